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
    assert page.count("data:audio/ogg") == page.count("data:image/png") == 2
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
