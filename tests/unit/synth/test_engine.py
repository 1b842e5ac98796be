"""The reference rendering: on time, the same every time, never clipped."""

from __future__ import annotations

import numpy as np
import pytest

from hsmad_cli.errors import InputError
from hsmad_cli.symbolic.notes import NoteTable
from hsmad_cli.synth.engine import BLOCK, DRY, HALL, PEAK, Mix, Synthesizer
from hsmad_cli.synth.soundfonts import packaged_soundfont

RATE = 44100


@pytest.fixture(scope="module")
def engine() -> Synthesizer:
    return Synthesizer(packaged_soundfont())


def notes_at(onset_s: np.ndarray, pitch: int = 60, program: int = 0, is_drum: bool = False, part: int = 0) -> NoteTable:
    n = len(onset_s)
    return NoteTable(
        onset_s, onset_s + 0.2, np.full(n, pitch), np.full(n, 110), np.full(n, program), np.full(n, is_drum),
        np.full(n, part),
    )  # fmt: skip


def first_sound_ms(audio: np.ndarray, onset_s: np.ndarray) -> np.ndarray:
    """How long after each onset the signal first exceeds a twentieth of its next peak."""
    found = []
    for onset in onset_s:
        start = int((onset - 0.005) * RATE)
        piece = np.abs(audio[:, start : start + 2205]).max(axis=0)
        found.append((start + int(np.argmax(piece > 0.05 * piece.max()))) / RATE - onset)
    return 1000 * np.array(found)


@pytest.mark.parametrize(
    ("pitch", "program", "is_drum"),
    [(36, 0, True), (38, 0, True), (42, 0, True), (60, 45, False), (72, 12, False), (72, 13, False)],
    ids=["kick", "snare", "hi-hat", "pizzicato", "marimba", "xylophone"],
)
def test_strikes_are_heard_within_three_milliseconds(
    engine: Synthesizer, pitch: int, program: int, is_drum: bool
) -> None:
    onset_s = np.arange(8) * 0.5 + np.linspace(0.1, 0.2, 8)
    audio = engine.render(notes_at(onset_s, pitch, program, is_drum), 4.5, room=DRY)
    assert np.abs(first_sound_ms(audio, onset_s)).max() < 3.0


def test_a_note_is_delayed_by_whole_blocks_and_nothing_else() -> None:
    engine = Synthesizer(packaged_soundfont(), latency=None)
    early = engine.render(notes_at(np.array([0.0])), 1.0, room=DRY)
    late = engine.render(notes_at(np.array([100 * BLOCK / RATE])), 1.0, room=DRY)
    np.testing.assert_array_equal(late[:, 100 * BLOCK :], early[:, : -100 * BLOCK])
    assert not late[:, : 100 * BLOCK].any()


def test_the_same_notes_give_the_same_samples_whatever_was_played_before(engine: Synthesizer) -> None:
    notes = notes_at(np.array([0.0, 0.4]), program=48)
    mix = {0: Mix(chorus=60, reverb=100)}
    first = engine.render(notes, 1.0, mix, HALL)
    engine.render(notes_at(np.linspace(0, 1, 30), pitch=40, program=30), 1.5, room=HALL)
    np.testing.assert_array_equal(engine.render(notes, 1.0, mix, HALL), first)


def test_dense_music_keeps_its_peak_below_one_decibel(engine: Synthesizer) -> None:
    parts = [notes_at(np.arange(4) * 0.25, pitch=40 + 3 * part, program=56, part=part) for part in range(20)]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in parts[0].columns()}
    audio = engine.render(NoteTable(**columns), 1.0)
    assert audio.dtype == np.float32
    assert audio.shape == (2, RATE)
    assert 0.5 < np.abs(audio).max() <= PEAK + 1e-6


def test_pan_moves_a_part(engine: Synthesizer) -> None:
    audio = engine.render(notes_at(np.array([0.0]), program=73), 0.5, {0: Mix(pan=0)}, DRY)
    left, right = np.abs(audio).sum(axis=1)
    assert left > 10 * right


def test_a_missing_kit_falls_back_to_one_that_exists(engine: Synthesizer) -> None:
    standard, unknown = (engine.render(notes_at(np.array([0.0]), 38, kit, True), 0.3) for kit in (0, 7))
    np.testing.assert_array_equal(standard, unknown)


def test_no_notes_are_silence(engine: Synthesizer) -> None:
    assert not engine.render(NoteTable.empty(), 0.25, room=DRY).any()
    assert np.abs(engine.render(NoteTable.empty(), 0.25, room=HALL)).max() < 1e-6


def test_a_file_that_is_no_soundfont_is_bad_input(tmp_path) -> None:
    path = tmp_path / "not.sf2"
    path.write_bytes(b"RIFF" + bytes(100))
    with pytest.raises(InputError, match="not a soundfont"):
        Synthesizer(path)
    with pytest.raises(InputError, match="No such file"):
        Synthesizer(tmp_path / "absent.sf2")
