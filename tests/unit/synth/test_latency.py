"""Sounds begin where the score says, whatever their samples do before."""

from __future__ import annotations

import numpy as np
import pytest

from hsmad_cli.errors import InputError
from hsmad_cli.symbolic.notes import LOWEST_PITCH, N_PITCHES, NoteTable
from hsmad_cli.synth.engine import BLOCK, DRY, Synthesizer
from hsmad_cli.synth.latency import LatencyTable, measure_latency, reaches, read_latency, shipped_latency
from hsmad_cli.synth.soundfonts import packaged_soundfont

RATE = 44100
HALF_BLOCK_MS = 500 * BLOCK / RATE


def note(onset_s: float, pitch: int = 60, program: int = 0, is_drum: bool = False, velocity: int = 90) -> NoteTable:
    columns = (onset_s, onset_s + 0.3, pitch, velocity, program, is_drum, 0)
    return NoteTable(*(np.array([value]) for value in columns))


def constant_table(latency_ms: float) -> LatencyTable:
    return LatencyTable("a.sf2", "0" * 64, np.full((128, N_PITCHES), latency_ms), {0: np.full(N_PITCHES, latency_ms)})


@pytest.fixture(scope="module")
def corrected() -> Synthesizer:
    return Synthesizer(packaged_soundfont())


@pytest.fixture(scope="module")
def uncorrected() -> Synthesizer:
    return Synthesizer(packaged_soundfont(), latency=None)


def test_a_sound_reaches_a_level_where_its_amplitude_first_does() -> None:
    audio = np.array([[0.0, 0.0, 0.05, -0.3, 1.0], [0.0, 0.0, 0.0, 0.0, -0.5]])
    assert reaches(audio, (0.01, 0.1, 0.25, 0.5)).tolist() == [2, 3, 3, 4]
    assert reaches(np.zeros((2, 9)), (0.1,)).tolist() == [0]


def pluck(head_ms: float, rise_ms: float) -> np.ndarray:
    """A head of silence, then an amplitude that grows linearly to 1."""
    return np.clip((np.arange(4410) * 1000 / RATE - head_ms) / max(rise_ms, 1e-9), 0.0, 1.0)[None].repeat(2, axis=0)


def test_sharp_attacks_are_timed_at_a_tenth_and_slow_ones_at_the_end_of_their_silence(tmp_path) -> None:
    soundfont = tmp_path / "made.sf2"
    soundfont.write_bytes(b"anything")

    def render(notes: NoteTable, duration_s: float) -> np.ndarray:
        if notes.is_drum[0]:
            return pluck(5.0, 60.0 if notes.pitch[0] == 40 else 0.0)
        if notes.program[0] == 2:
            return pluck(5.0 if notes.velocity[0] > 64 else 9.0, 0.0)
        return pluck(12.0, 60.0 if notes.program[0] == 1 else 0.0)

    table = measure_latency(soundfont, render, (8,), RATE)
    tolerance_ms = 1000 / RATE
    np.testing.assert_allclose(table.programs[0], 12.0, atol=tolerance_ms)
    np.testing.assert_allclose(table.programs[1], 12.0 + 0.01 * 60, atol=tolerance_ms)
    np.testing.assert_allclose(table.kits[8][40 - LOWEST_PITCH], 5.0 + 0.01 * 60, atol=tolerance_ms)
    np.testing.assert_allclose(table.kits[8][41 - LOWEST_PITCH], 5.0, atol=tolerance_ms)
    assert table.slow_programs == (1, 2)
    assert table.slow_keys == {8: (40,)}


def test_a_table_survives_its_file(tmp_path) -> None:
    table = shipped_latency(packaged_soundfont())
    path = tmp_path / "table.json"
    path.write_text(table.to_json())
    again = read_latency(path)
    np.testing.assert_array_equal(again.programs, table.programs)
    assert (again.to_json(), again.slow_keys) == (table.to_json(), table.slow_keys)


def test_a_file_that_is_no_table_is_bad_input(tmp_path) -> None:
    path = tmp_path / "table.json"
    for text in ("", "[]", "{}", constant_table(1.0).to_json().replace("[1,", "[", 1)):
        path.write_text(text)
        with pytest.raises(InputError, match=r"no table of latencies|128 x 88"):
            read_latency(path)
    with pytest.raises(InputError, match="No such file"):
        read_latency(tmp_path / "absent.json")


def test_an_unknown_soundfont_is_not_corrected(tmp_path) -> None:
    path = tmp_path / "own.sf2"
    path.write_bytes(b"not one of ours")
    assert shipped_latency(path) is None


@pytest.mark.parametrize(
    ("pitch", "program", "is_drum"),
    [(38, 0, True), (46, 0, True), (60, 0, False), (40, 33, False), (52, 24, False), (45, 45, False), (67, 11, False)],
    ids=["snare", "open hi-hat", "piano", "electric bass", "nylon guitar", "pizzicato", "vibraphone"],
)
@pytest.mark.parametrize("onset_s", [0.0, 0.0377, 0.3])
def test_struck_and_plucked_notes_begin_within_a_millisecond(
    corrected: Synthesizer, pitch: int, program: int, is_drum: bool, onset_s: float
) -> None:
    for velocity in (40, 75, 110):
        audio = corrected.render(note(onset_s, pitch, program, is_drum, velocity), onset_s + 0.1, room=DRY)
        begins_ms = 1000 * reaches(audio, (0.1,))[0] / RATE
        assert abs(begins_ms - 1000 * onset_s) < 1.0 if onset_s else begins_ms < 1.0


def test_a_correction_moves_the_sound_and_nothing_else(uncorrected: Synthesizer) -> None:
    blocks = 20
    early = Synthesizer(packaged_soundfont(), latency=constant_table(1000 * blocks * BLOCK / RATE))
    onset_s = 100 * BLOCK / RATE
    plain = uncorrected.render(note(onset_s), 0.4, room=DRY)
    moved = early.render(note(onset_s), 0.4, room=DRY)
    np.testing.assert_array_equal(moved[:, : -blocks * BLOCK], plain[:, blocks * BLOCK :])


def test_what_would_sound_before_the_first_sample_is_cut(uncorrected: Synthesizer) -> None:
    early = Synthesizer(packaged_soundfont(), latency=constant_table(1000 * 10 * BLOCK / RATE))
    plain = uncorrected.render(note(0.0), 0.2, room=DRY)
    cut = early.render(note(0.0), 0.2, room=DRY)
    assert cut.shape == plain.shape
    np.testing.assert_array_equal(cut[:, : 8000 - 10 * BLOCK], plain[:, 10 * BLOCK : 8000])


def test_a_key_struck_again_sounds_for_its_whole_length() -> None:
    early = Synthesizer(packaged_soundfont(), latency=constant_table(40.0))
    first, second = note(0.5, program=16), note(0.8, program=16)
    both = NoteTable(**{name: np.append(column, getattr(second, name)) for name, column in first.columns().items()})
    audio = early.render(both, 1.5, room=DRY)
    ends = slice(round(0.9 * RATE), round(1.05 * RATE))
    assert np.abs(audio[:, ends]).max() > 0.2 * np.abs(audio).max()
