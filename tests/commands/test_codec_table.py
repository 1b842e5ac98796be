"""hsmad codec-eval: the codec table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hsmad_cli.files.audio import write_audio
from hsmad_cli.files.midi import write_midi
from hsmad_cli.symbolic.notes import NoteTable, Score
from hsmad_cli.synth.engine import Synthesizer

pytestmark = pytest.mark.judge
pytest.importorskip("onnxruntime")
pytest.importorskip("basic_pitch")
pytest.importorskip("librosa")

ONSET_S = np.repeat(np.arange(8) / 4, 2)
DRUM = np.tile([False, True], 8)
PITCH = np.where(DRUM, 38, 60 + np.arange(16) // 2)
BAND = NoteTable(ONSET_S, ONSET_S + 0.2, PITCH, np.full(16, 90), np.where(DRUM, 0, 25), DRUM, DRUM)


def write_folder(folder: Path, name: str) -> None:
    folder.mkdir()
    write_midi(Score(BAND), folder / f"{name}.mid")
    write_audio(folder / f"{name}.wav", Synthesizer().render(BAND, 3.0))


def test_a_folder_of_sounds_and_scores(hsmad) -> None:
    write_folder(Path("pieces"), "band")
    done = hsmad("codec-eval", "pieces", "--codec", "mp3-128", "--codec", "vae", "--noise", 0.1, "--json")
    assert done.code == 0, done.err
    mp3, vae, noisy = map(json.loads, done.out.splitlines())
    assert [(row["set"], row["judge"]) for row in mp3["notes"]] == [("recordings", "basic-pitch")]
    assert mp3["notes"][0]["onset_f1_ratio"]["codec/reference"]["value"] > 0.8
    assert mp3["kbit_per_s"] == pytest.approx(128, rel=0.1)
    assert (vae["codec"], noisy["codec"]) == ("vae", "vae + 10% noise")
    assert vae["latent"]["channels"] > 0
    assert vae["seconds"] == pytest.approx(3)


def test_scores_are_rendered_and_their_drums_judged_alone(hsmad) -> None:
    write_midi(Score(BAND), Path("band.mid"))
    Path("list.jsonl").write_text(json.dumps({"id": "band", "midi": "band.mid", "split": "test"}))
    done = hsmad("codec-eval", "list.jsonl", "--codec", "opus-128", "--seconds", 3, "--json")
    assert done.code == 0, done.err
    row = json.loads(done.out)
    assert row["n"] == 2
    assert [each["set"] for each in row["notes"]] == ["bands", "drums"]
    assert [each["judge"] for each in row["notes"]] == ["basic-pitch", "librosa-onset"]


def test_people_get_a_table(hsmad) -> None:
    write_folder(Path("pieces"), "band")
    table = hsmad("codec-eval", "pieces", "--codec", "mp3-64").out.decode()
    for words in ("mp3-64", "onset F1", "90 % of shifts", "SI-SDR, dB", "stereo error", "kbit/s", "dead channels"):
        assert words in table


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nowhere",), 3, "nowhere"),
        (("pieces", "--codec", "flac"), 2, "no lossy codec 'flac'"),
        (("pieces", "--codec", "vae=nothing"), 5, "nothing"),
        (("pieces", "--sets", "choirs"), 2, "'choirs'"),
    ],
)
def test_bad_usage_is_one_line(hsmad, arguments: tuple[str, ...], code: int, message: str) -> None:
    write_folder(Path("pieces"), "band")
    done = hsmad("codec-eval", *arguments)
    assert done.code == code
    assert message in done.err.splitlines()[0]


def test_sounds_without_scores_are_named(hsmad) -> None:
    write_folder(Path("pieces"), "band")
    Path("pieces/band.mid").unlink()
    done = hsmad("codec-eval", "pieces")
    assert done.code == 3
    assert "none with a .mid" in done.err
