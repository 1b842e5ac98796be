"""hsmad transcribe-eval: audio against its score."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from hsmad_cli.files.audio import read_audio, write_audio
from hsmad_cli.files.midi import write_midi
from hsmad_cli.symbolic.notes import NoteTable, Score
from hsmad_cli.synth.engine import Synthesizer

pytestmark = pytest.mark.judge
pytest.importorskip("onnxruntime")
pytest.importorskip("basic_pitch")


@pytest.fixture(scope="module")
def melody(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """melody.mid, eight notes of a guitar, and melody.wav, its rendering."""
    n = 8
    onset_s = 0.5 * np.arange(n)
    pitch = np.array([60, 64, 67, 72, 71, 67, 62, 60])
    notes = NoteTable(onset_s, onset_s + 0.45, pitch, np.full(n, 90), np.full(n, 25), np.zeros(n), np.zeros(n))
    folder = tmp_path_factory.mktemp("melody")
    write_midi(Score(notes), folder / "melody.mid")
    write_audio(folder / "melody.wav", Synthesizer().render(notes, 6.0))
    return folder / "melody.mid"


def test_a_rendering_plays_its_score(hsmad, melody: Path) -> None:
    done = hsmad("transcribe-eval", melody.with_suffix(".wav"), melody, "--json")
    assert done.code == 0
    report = json.loads(done.out)
    assert report["judge"] == "basic-pitch"
    assert report["seconds"] == pytest.approx(6)
    assert report["generated"]["n_reference"] == 8
    assert report["generated"]["onset"]["recall"] == 1
    assert report["generated"]["onset_velocity"] is None
    assert (report["ceilings"], report["versus"]) == ({}, {})


def test_the_reference_and_its_codec_are_ceilings(hsmad, melody: Path) -> None:
    wav = melody.with_suffix(".wav")
    done = hsmad("transcribe-eval", wav, melody, "--reference", wav, "--json")
    report = json.loads(done.out)
    assert set(report["ceilings"]) == set(report["versus"]) == {"reference", "codec"}
    assert report["versus"]["reference"]["onset_f1_ratio"] == 1
    assert report["versus"]["reference"]["paired"]["p90_absolute_ms"] == 0
    assert report["ceilings"]["codec"]["onset"]["f1"] < report["ceilings"]["reference"]["onset"]["f1"]


def test_without_codec_weights_it_warns_and_goes_on(hsmad, melody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSMAD_WEIGHTS", "nowhere")
    wav = melody.with_suffix(".wav")
    done = hsmad("transcribe-eval", wav, melody, "--reference", wav, "--json")
    assert done.code == 0
    assert "no ceiling for the codec" in done.err
    assert set(json.loads(done.out)["ceilings"]) == {"reference"}


def test_synth_makes_the_reference_and_stdin_gives_the_sound(hsmad, melody: Path, monkeypatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(melody.with_suffix(".wav").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    done = hsmad("transcribe-eval", "-", melody, "--synth", "--no-codec", "--json")
    report = json.loads(done.out)
    assert report["name"] == "stdin"
    assert report["versus"]["reference"]["onset_f1_ratio"] == pytest.approx(1, abs=0.05)


def test_an_excerpt_is_compared_with_its_part_of_the_score(hsmad, melody: Path) -> None:
    write_audio("tail.wav", read_audio(melody.with_suffix(".wav"))[:, 2 * 44100 :])
    report = json.loads(hsmad("transcribe-eval", "tail.wav", melody, "--start", 2, "--seconds", 1, "--json").out)
    assert report["seconds"] == pytest.approx(1)
    assert report["generated"]["n_reference"] == 2
    assert report["generated"]["onset"]["recall"] == 1


def test_people_get_a_table(hsmad, melody: Path) -> None:
    wav = melody.with_suffix(".wav")
    table = hsmad("transcribe-eval", wav, melody, "--reference", wav).out.decode()
    for words in ("onset F1", "reference", "codec(reference)", "missed / extra / late", "basic-pitch"):
        assert words in table


def test_many_pairs_are_a_line_each_and_a_summary(hsmad, melody: Path) -> None:
    wav = str(melody.with_suffix(".wav"))
    rows = [{"audio": wav, "midi": str(melody)}, {"audio": wav, "midi": str(melody), "reference": wav}]
    Path("pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = hsmad("transcribe-eval", "--pairs", "pairs.jsonl", "--no-codec", "--workers", 2, "--json")
    first, second, last = map(json.loads, done.out.splitlines())
    assert first["generated"]["onset"] == second["generated"]["onset"]
    assert last["summary"]["basic-pitch"]["n"] == 2
    assert last["summary"]["basic-pitch"]["versus"]["reference"]["onset_f1_ratio"]["n"] == 1
    assert "mean of 2" in hsmad("transcribe-eval", "--pairs", "pairs.jsonl", "--no-codec").out.decode()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("song.wav",), 2, "AUDIO and MIDI are needed"),
        (("-", "-"), 2, "named twice"),
        (("missing.wav", "missing.mid"), 3, "missing.wav: no such file"),
        (("a.wav", "a.mid", "--pairs", "x"), 2, "--pairs names all files"),
        (("--pairs", "nowhere.jsonl"), 3, "nowhere.jsonl"),
        (("a.wav", "a.mid", "--reference", "b.wav", "--synth"), 2, "--synth makes the reference"),
    ],
)
def test_bad_usage_is_one_line(hsmad, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = hsmad("transcribe-eval", *arguments)
    assert done.code == code
    assert message in done.err.splitlines()[0]
    assert done.out == b""


@pytest.mark.parametrize("line", ["{", "[]", '{"audio": "a.wav"}', '{"audio": 3, "midi": 4}'])
def test_a_bad_line_of_pairs_is_named(hsmad, line: str) -> None:
    Path("pairs.jsonl").write_text(line)
    done = hsmad("transcribe-eval", "--pairs", "pairs.jsonl")
    assert done.code == 3
    assert "line 1" in done.err


def test_a_missing_judge_names_its_cure(hsmad, melody: Path) -> None:
    done = hsmad("transcribe-eval", melody.with_suffix(".wav"), melody, "--judge", "mt3")
    assert done.code == 2
    assert "pip install mt3-infer" in done.err
