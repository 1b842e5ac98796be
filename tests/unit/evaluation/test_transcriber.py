"""The judges on sounds whose notes are known."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from hsmad_cli.errors import UsageError
from hsmad_cli.evaluation import transcriber
from hsmad_cli.evaluation.note_scores import HeardNotes, pitched_notes, score_notes
from hsmad_cli.evaluation.transcriber import choose_judge, decode_notes, load_judge, written_notes
from hsmad_cli.symbolic.notes import NoteTable
from hsmad_cli.synth.engine import Synthesizer

RATE = 44100
CHORD = HeardNotes.from_rows([(0.5, 1.3, 60), (1.5, 2.3, 64), (2.5, 3.3, 67), (2.5, 3.3, 72)], velocity=False)


def tones(notes: HeardNotes, seconds: float) -> np.ndarray:
    """Plucked harmonic tones, the same in both channels."""
    audio = np.zeros(round(seconds * RATE), np.float32)
    for onset_s, offset_s, pitch in zip(notes.onset_s, notes.offset_s, notes.pitch, strict=True):
        time = np.arange(round((offset_s - onset_s) * RATE)) / RATE
        hertz = 440 * 2 ** ((pitch - 69) / 12)
        wave = sum(0.5**k * np.sin(2 * np.pi * k * hertz * time) for k in range(1, 7))
        start = round(onset_s * RATE)
        audio[start : start + len(time)] += 0.3 * wave * np.exp(-2 * time) * np.minimum(1, time * 500)
    return np.stack([audio, audio])


def parts(*programs: int, drums: bool = False) -> NoteTable:
    n = len(programs) + drums
    is_drum = np.arange(n) >= len(programs)
    return NoteTable(np.zeros(n), np.ones(n), np.full(n, 60), np.full(n, 80), [*programs, 0][:n], is_drum, np.arange(n))


def test_auto_takes_transkun_for_pianos_only():
    assert choose_judge(parts(0, 7)) == "transkun"
    assert choose_judge(parts(0, drums=True)) == "transkun"
    assert choose_judge(parts(0, 40)) == "basic-pitch"
    assert choose_judge(parts(drums=True)) == "librosa-onset"


def test_the_drum_judge_is_asked_for_drums_and_the_others_for_pitches():
    notes = parts(0, 40, drums=True)
    assert written_notes(notes, "librosa-onset").pitch.tolist() == [0]
    assert written_notes(notes, "basic-pitch").pitch.tolist() == [60]


def test_an_unknown_judge_is_a_usage_error():
    with pytest.raises(UsageError, match="no judge 'me'"):
        load_judge("me")


@pytest.mark.parametrize("judge", ["piano-transcription", "mt3"])
def test_a_missing_judge_names_its_cure(judge):
    with pytest.raises(UsageError, match="missing") as caught:
        load_judge(judge)
    assert "pip install" in (caught.value.hint or "")


def test_basic_pitch_without_onnxruntime_names_its_cure(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name == "onnxruntime":
            raise ImportError("No module named 'onnxruntime'")
        return real(name, *arguments, **options)

    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match="missing") as caught:
        transcriber.BasicPitch()
    assert caught.value.hint == "in the folder of hsmad: make judges"


@pytest.mark.judge
def test_basic_pitch_hears_a_melody_and_no_velocity():
    pytest.importorskip("onnxruntime")
    pytest.importorskip("basic_pitch")
    heard = load_judge("basic-pitch").transcribe(tones(CHORD, 4.0))
    scores = score_notes(CHORD, heard)
    assert scores.onset.recall == 1
    assert abs(scores.timing.bias_ms) < 15
    assert heard.velocity is None


@pytest.mark.judge
def test_basic_pitch_hears_the_end_of_a_long_file_at_the_right_time():
    pytest.importorskip("onnxruntime")
    pytest.importorskip("basic_pitch")
    late = HeardNotes(CHORD.onset_s + 30, CHORD.offset_s + 30, CHORD.pitch)
    both = HeardNotes(
        *(np.concatenate([getattr(CHORD, k), getattr(late, k)]) for k in ("onset_s", "offset_s", "pitch"))
    )
    scores = score_notes(both, load_judge("basic-pitch").transcribe(tones(both, 33.31)))
    assert scores.onset.recall == 1
    assert abs(scores.timing.drift_ms_per_minute) < 10


@pytest.mark.judge
@pytest.mark.parametrize("judge", ["basic-pitch", "librosa-onset", "transkun"])
def test_silence_holds_no_notes(judge):
    pytest.importorskip({"basic-pitch": "basic_pitch", "librosa-onset": "librosa", "transkun": "transkun"}[judge])
    assert len(load_judge(judge).transcribe(np.zeros((2, RATE), np.float32))) == 0


@pytest.mark.judge
@pytest.mark.slow
def test_transkun_hears_a_piano_and_its_dynamics():
    pytest.importorskip("transkun")
    number = np.arange(20)
    onset_s = 0.25 * number
    velocity, pitch = 25 + 5 * (number * 7 % 20), 55 + number * 9 % 20
    notes = NoteTable(onset_s, onset_s + 0.4, pitch, velocity, np.zeros(20), np.zeros(20), np.zeros(20))
    scores = score_notes(pitched_notes(notes), load_judge("transkun").transcribe(Synthesizer().render(notes, 6.0)))
    assert scores.onset.f1 > 0.9
    assert scores.timing.median_absolute_ms < 10
    assert scores.velocity_correlation > 0.8


@pytest.mark.judge
def test_drum_strikes_are_heard():
    pytest.importorskip("librosa")
    generator = np.random.default_rng(0)
    strikes = np.arange(0.5, 4, 0.25)
    time = np.arange(RATE * 5) / RATE
    envelope = sum(np.where(time >= strike, np.exp(-60 * (time - strike).clip(0)), 0) for strike in strikes)
    mono = (0.3 * envelope * generator.standard_normal(len(time))).astype(np.float32)
    heard = load_judge("librosa-onset").transcribe(np.stack([mono, mono]))
    written = HeardNotes.from_rows([(strike, strike, 0) for strike in strikes], velocity=False)
    assert score_notes(written, heard).onset.f1 == 1


@pytest.mark.judge
@pytest.mark.slow
def test_processes_that_compile_at_once_do_not_spoil_what_numba_keeps(tmp_path):
    pytest.importorskip("librosa")
    command = [sys.executable, "-c", f"from {load_judge.__module__} import load_judge; load_judge('librosa-onset')"]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    together = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [process.wait() for process in together] == [0, 0, 0]
    assert subprocess.run(command, env=environment, check=False).returncode == 0


@pytest.mark.judge
@pytest.mark.parametrize("seed", range(3))
def test_notes_are_decoded_as_basic_pitch_does(seed):
    creation = pytest.importorskip("basic_pitch.note_creation")
    generator = np.random.default_rng(seed)
    smooth = np.ones(9) / 9
    frames, onsets = (
        np.apply_along_axis(np.convolve, 0, generator.random((400, 88)) ** 2, smooth, mode="same").astype(np.float32)
        for _ in range(2)
    )
    frames, onsets = frames * 1.2, onsets * 1.5
    expected = creation.output_to_notes_polyphonic(frames.copy(), onsets.copy(), 0.6, 0.4, 5, True, None, None)
    found = decode_notes(frames, onsets, 0.6, 0.4, 5)
    assert len(found) > 50
    assert sorted(found) == sorted((int(start), int(end), int(pitch) - 21) for start, end, pitch, _ in expected)


def test_a_piano_transcription_backend_is_used_when_installed(monkeypatch):
    class Fake:
        def __init__(self, device):
            assert device == "cpu"

        def transcribe(self, mono, path):
            assert (mono.dtype, len(mono), path) == (np.float32, 16000, None)
            return {"est_note_events": [{"onset_time": 0.1, "offset_time": 0.5, "midi_note": 60, "velocity": 70}]}

    monkeypatch.setitem(sys.modules, "piano_transcription_inference", SimpleNamespace(PianoTranscription=Fake))
    heard = transcriber.PianoTranscription().transcribe(np.zeros((2, RATE), np.float32))
    assert (heard.onset_s.tolist(), heard.pitch.tolist(), heard.velocity.tolist()) == ([0.1], [60], [70])


def test_mt3_notes_are_read_from_its_midi(monkeypatch):
    mido = pytest.importorskip("mido")
    midi = mido.MidiFile(ticks_per_beat=480)
    midi.tracks.append(
        mido.MidiTrack([
            mido.Message("note_on", note=60, velocity=90, time=480),
            mido.Message("note_on", note=38, velocity=90, channel=9, time=0),
            mido.Message("note_on", note=60, velocity=0, time=480),
        ])
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "mt3_infer", SimpleNamespace(transcribe=lambda mono, sr: midi))
    heard = transcriber.MT3().transcribe(np.zeros((2, RATE), np.float32))
    assert (heard.onset_s.tolist(), heard.offset_s.tolist(), heard.pitch.tolist()) == ([0.5], [1.0], [60])
