"""What is heard and what is said about it move together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsmad_cli.datasets import augment
from hsmad_cli.symbolic.notes import NoteTable, Score


def one_note(onset_s: float, offset_s: float, pitch: int = 60, program: int = 0) -> Score:
    notes = NoteTable(*(np.array([value]) for value in (onset_s, offset_s, pitch, 80, program, False, 0)))
    return Score(notes, beats_s=np.arange(0.0, 8.0, 0.5), chords=((0.0, 4.0, "C:maj"), (4.0, 8.0, "N")))


def test_transposing_moves_pitched_notes_and_chords_alone(score: Score) -> None:
    moved = augment.transpose(score, 3)
    drums, was = (s.notes.pitch[s.notes.is_drum] for s in (moved, score))
    np.testing.assert_array_equal(drums, was)
    assert sorted(moved.notes.pitch[~moved.notes.is_drum]) == sorted(score.notes.pitch[~score.notes.is_drum] + 3)
    assert [label for *_, label in moved.chords] == ["Eb:maj", "F#:min7"]


@pytest.mark.parametrize(
    ("label", "semitones", "expected"),
    [
        ("Eb:min7", 2, "F:min7"),
        ("B", 1, "C"),
        ("C#:maj", -2, "B:maj"),
        ("Cb", 0, "B"),
        ("N", 5, "N"),
        ("F##:7", 1, "Ab:7"),
    ],
)
def test_chord_labels(label: str, semitones: int, expected: str) -> None:
    assert augment.transpose_chord(label, semitones) == expected


def test_a_transposition_out_of_range_is_not_made(score: Score) -> None:
    assert augment.transpose(score, 60) is score


def test_stretching_divides_the_tempo_and_moves_everything(score: Score) -> None:
    slow = augment.stretch(score, 1.25)
    np.testing.assert_allclose(slow.notes.onset_s, score.notes.onset_s * 1.25)
    np.testing.assert_allclose(slow.notes.offset_s, score.notes.offset_s * 1.25)
    np.testing.assert_allclose(slow.beats_s, score.beats_s * 1.25)
    np.testing.assert_allclose(slow.tempo_bpm, score.tempo_bpm / 1.25)
    assert slow.chords[0][1] == 2.5


def test_a_delay_moves_everything_but_the_beginning_of_the_tempo() -> None:
    score = replace(
        one_note(1.0, 2.0), tempo_s=np.array([0.0, 3.0]), tempo_bpm=np.array([100.0, 110.0]),
        pedal_s=np.array([0.5]), pedal_value=np.array([1.0]),
    )  # fmt: skip
    late = augment.delay(score, 0.25)
    assert (late.notes.onset_s[0], late.notes.offset_s[0]) == (1.25, 2.25)
    assert (late.tempo_s.tolist(), late.pedal_s.tolist()) == ([0.0, 3.25], [0.75])
    assert late.beats_s[:2].tolist() == [0.25, 0.75]
    assert late.chords[0] == (0.25, 4.25, "C:maj")


def test_a_warp_keeps_notes_on_their_beats_and_the_tempo_true(score: Score) -> None:
    played = augment.rubato(score, np.random.default_rng(1), 0.1)
    on_beat = np.isin(score.notes.onset_s, score.beats_s)
    assert np.isclose(played.notes.onset_s[on_beat][:, None], played.beats_s[None]).any(axis=1).all()
    beat_s = np.diff(played.beats_s)
    bpm = played.tempo_bpm[np.searchsorted(played.tempo_s, played.beats_s[:-1] + beat_s / 2, side="right") - 1]
    np.testing.assert_allclose(60 / beat_s, bpm, rtol=1e-6)


def test_swing_delays_what_is_between_the_beats() -> None:
    straight = np.arange(1.0, 3.0, 0.25)  # eighths at 120 beats a minute
    notes = NoteTable(
        straight, straight + 0.25, *(np.full(8, value) for value in (60, 80, 0)), np.zeros(8, bool), np.zeros(8)
    )
    swung = augment.swing(Score(notes, beats_s=np.arange(1.0, 3.01, 0.5)), 2 / 3)
    np.testing.assert_allclose(swung.notes.onset_s[::2], straight[::2])
    np.testing.assert_allclose(swung.notes.onset_s[1::2], straight[::2] + 1 / 3)
    np.testing.assert_allclose(swung.notes.offset_s[1::2], straight[::2] + 0.5)
    np.testing.assert_allclose(swung.tempo_bpm, Score(notes).tempo_bpm)


def test_a_doubled_part_sounds_twice_and_the_others_stay(score: Score) -> None:
    doubled = augment.double_part(score, np.random.default_rng(0), program=73)
    new = doubled.notes.part == score.notes.part.max() + 1
    copy, kept = doubled.notes.select(new), doubled.notes.select(~new)
    for name, column in score.notes.columns().items():
        np.testing.assert_array_equal(getattr(kept, name), column)
    assert set(copy.program) == {73}
    assert not copy.is_drum.any()
    onsets = [set(score.notes.onset_s[(score.notes.part == part) & ~score.notes.is_drum]) for part in range(9)]
    assert set(copy.onset_s) in onsets
    assert len({int(p) % 12 for p in copy.pitch} - {int(p) % 12 for p in score.notes.pitch}) == 0


def test_a_cut_strikes_again_what_is_left_long_enough() -> None:
    cut = augment.crop(one_note(1.0, 3.0), 2.0, 4.0)
    assert (cut.notes.onset_s[0], cut.notes.offset_s[0]) == (0.0, 1.0)
    assert len(augment.crop(one_note(1.0, 2.2), 2.0, 4.0).notes) == 0


def test_a_cut_shifts_beats_chords_tempo_and_pedal() -> None:
    score = replace(
        one_note(2.5, 7.5), tempo_s=np.array([0.0, 1.0, 3.0]), tempo_bpm=np.array([100.0, 110.0, 120.0]),
        pedal_s=np.array([0.5, 2.5]), pedal_value=np.array([1.0, 0.0]),
    )  # fmt: skip
    cut = augment.crop(score, 2.0, 3.0)
    assert cut.notes.offset_s[0] == 5.5
    assert cut.beats_s.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert cut.chords == ((0.0, 2.0, "C:maj"), (2.0, 6.0, "N"))
    assert (cut.tempo_s.tolist(), cut.tempo_bpm.tolist()) == ([0.0, 1.0], [110.0, 120.0])
    assert (cut.pedal_s.tolist(), cut.pedal_value.tolist()) == ([0.0, 0.5], [1.0, 0.0])


def test_repeating_fills_the_time(score: Score) -> None:
    long = augment.repeat(score, 40.0, 1.0)
    period = score.notes.end_s + 1.0
    assert len(long.notes) == 4 * len(score.notes)
    np.testing.assert_allclose(
        long.notes.onset_s[: len(score.notes)] + period, long.notes.onset_s[len(score.notes) :][: len(score.notes)]
    )
    assert (np.diff(long.tempo_s) > 0).all()
    assert (np.diff(long.beats_s) > 0).all()


def test_some_parts_are_dropped_but_never_all_pitched_ones(score: Score) -> None:
    for seed in range(20):
        kept = augment.drop_parts(score, np.random.default_rng(seed), 0.9).notes
        assert len(kept) > 0
        assert not kept.is_drum.all()


def test_dynamics_leave_times_and_pitches(score: Score) -> None:
    played = augment.phrase_velocities(score, np.random.default_rng(0)).notes
    np.testing.assert_array_equal(played.onset_s, score.notes.onset_s)
    np.testing.assert_array_equal(played.pitch, score.notes.pitch)
    assert augment.is_flat(score.notes)
    assert not augment.is_flat(played)
    assert played.velocity.min() >= 1
    assert played.velocity.max() <= 127


def test_uneven_notes_keep_their_mean_and_deviate_as_said(score: Score) -> None:
    """Over many draws the deviation is within its bounds, and none of it follows from the note before."""
    steps = []
    for seed in range(50):
        played = augment.uneven_velocities(score, np.random.default_rng(seed)).notes
        steps.append(played.velocity.astype(float) - score.notes.velocity)
    deviations = np.array([step.std() for step in steps])
    low, high = augment.UNEVENNESS
    assert 0.5 * low < deviations.min() < deviations.max() < 1.5 * high
    assert abs(np.mean(steps)) < 2.0
    assert abs(np.mean([np.corrcoef(step[1:], step[:-1])[0, 1] for step in steps])) < 0.2


def test_loose_timing_stays_near_and_rolls_chords_upwards(score: Score) -> None:
    assert augment.is_typeset(score.notes)
    loose = augment.loosen_timing(score, np.random.default_rng(0), 0.005, 0.0)
    assert np.abs(np.sort(loose.notes.onset_s) - np.sort(score.notes.onset_s)).max() < 0.03
    assert (loose.notes.offset_s > loose.notes.onset_s).all()
    assert not augment.is_typeset(loose.notes)
    rolled = augment.loosen_timing(score, np.random.default_rng(0), 0.0, 0.02).notes
    chord = rolled.select((rolled.part == 0) & (rolled.onset_s > 2.9) & (rolled.onset_s < 3.2))
    np.testing.assert_allclose(chord.onset_s, [3.0, 3.02, 3.04])
    assert (np.diff(chord.pitch) > 0).all()


def test_a_pedal_holds_piano_notes_until_it_comes_up(score: Score) -> None:
    pedalled = augment.add_pedal(score, np.random.default_rng(0))
    assert len(pedalled.pedal_s) == len(pedalled.pedal_value) > 0
    assert (np.diff(pedalled.pedal_s) > 0).all()
    piano = score.notes.program == 0
    longer = pedalled.notes.offset_s > score.notes.offset_s
    assert longer.any()
    assert not longer[~piano].any()
    assert not longer[score.notes.is_drum].any()
