"""`hsmad check-dataset` on what `hsmad dataset` made, as a bank and as shards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsmad_cli.files.midi import write_midi
from hsmad_cli.symbolic.notes import NoteTable, Score
from hsmad_cli.synth.soundfonts import packaged_soundfont

Hsmad = Callable[..., Any]


@pytest.fixture
def make(hsmad: Hsmad, tmp_path: Path) -> Callable[..., Any]:
    """`hsmad dataset` on a song of plucked notes: three clips of 4 s."""
    onset_s = np.arange(0.0, 12.0, 0.4)
    ones = np.ones(len(onset_s))
    notes = NoteTable(onset_s, onset_s + 0.3, 60 * ones, 80 * ones, 24 * ones, 0 * ones, 0 * ones)
    (tmp_path / "music" / "train").mkdir(parents=True)
    write_midi(Score(notes), tmp_path / "music" / "train" / "song.mid")
    hsmad("manifest", "music", "-o", "list.jsonl", "--workers", 1)
    options = f"--hours {12 / 3600} --clip-seconds 4 --soundfont {packaged_soundfont()} --workers 1 --json".split()
    options += ["--set", "own_share=1", "--set", "recipe_share=0"]
    return lambda *more: json.loads(hsmad("dataset", "list.jsonl", *options, *more).out)


def test_a_bank_and_shards_are_checked(hsmad: Hsmad, make: Callable[..., Any]) -> None:
    bank = make()["bank"]
    checked = hsmad("check-dataset", bank, "--json", "--listen", "page.html", "--listen-clips", 2)
    report = json.loads(checked.out)
    assert report["clips"] == 3
    assert checked.code == (0 if all(bar["met"] for bar in report["bars"]) else 3)
    page = Path("page.html").read_text()
    assert page.count("data:audio/mpeg") == page.count("data:image/jpeg") == 2
    assert hsmad("check-dataset", bank, "--listen", "page.html").code == 6
    make("--shards", "shards")
    assert json.loads(hsmad("check-dataset", "shards", "--json").out)["clips"] == 3
    assert "share of them heard" in hsmad("check-dataset", "shards").out.decode()


def test_sound_that_is_not_the_score_misses_the_bars(hsmad: Hsmad, make: Callable[..., Any]) -> None:
    bank = Path(make()["bank"])
    silent = np.zeros_like(np.load(bank / "audio.npy"))
    np.save(bank / "audio.npy", silent)
    checked = hsmad("check-dataset", bank)
    assert checked.code == 3
    assert "silent clips: 3" in checked.err
    assert hsmad("check-dataset", "absent").code == 3


def test_annotations_are_compared_with_the_notes(hsmad: Hsmad, tmp_path: Path) -> None:
    """C and F major for 4 s each at 120 bpm; the annotation calls the second half of F a D minor."""
    pitch = np.concatenate([np.tile([48, 52, 55], 8), np.tile([53, 57, 60], 8)])
    onset_s = np.repeat(np.arange(16) * 0.5, 3)
    ones = np.ones(len(pitch))
    notes = NoteTable(onset_s, onset_s + 0.5, pitch, 80 * ones, 0 * ones, 0 * ones, 0 * ones)
    pack = tmp_path / "pack"
    (pack / "songs").mkdir(parents=True)
    score = Score(notes, tempo_bpm=np.array([120.0]), beats_s=np.arange(16) * 0.5)
    write_midi(score, pack / "songs" / "one.mid")
    (pack / "songs" / "one.chords.lab").write_text("0\t4\tC:maj\n4\t6\tF:maj\n6\t8\tD:min7\n")
    (pack / "songs" / "one.beats.txt").write_text("0.0\t1\n0.5\t0\n1.0\t0\n")
    columns = {"path": "songs/one.mid", "group": "g", "tier": "A", "caption": '"pop, 120 bpm, C:maj"', "genre": "pop"}
    columns |= {"licence": "CC0", "seconds": "8", "has_chord_annotation": "1"}
    (pack / "manifest.csv").write_text(",".join(columns) + "\n" + ",".join(columns.values()) + "\n")
    songs = json.loads(hsmad("check-dataset", pack, "--annotations", "--json").out)["songs"]
    assert songs["chords"] == pytest.approx(0.75, abs=0.03)
    assert songs["major_minor"] == pytest.approx(0.75, abs=0.03)
    assert (songs["songs"], songs["tempo"], songs["key"]) == (1, 1.0, 1.0)
    (pack / "songs" / "one.beats.txt").write_text("0.0\n0.6\n1.2\n")
    assert json.loads(hsmad("check-dataset", pack, "--annotations", "--json").out)["songs"]["tempo"] == 0
    (pack / "songs" / "one.chords.lab").unlink()
    assert hsmad("check-dataset", pack, "--annotations").code == 3
