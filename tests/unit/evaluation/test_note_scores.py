"""Note scores against fractions worked out by hand, and against mir_eval."""

from __future__ import annotations

import mir_eval
import numpy as np
import pytest

from hsmad_cli.evaluation.note_scores import (
    HeardNotes,
    Rate,
    Timing,
    drum_strikes,
    match,
    merge_unisons,
    paired_errors,
    pitched_notes,
    score_notes,
)
from hsmad_cli.symbolic.notes import NoteTable


def notes(*rows: tuple[float, ...]) -> HeardNotes:
    return HeardNotes.from_rows(rows, velocity=len(rows[0]) == 4 if rows else True)


def table(*rows: tuple[float, float, int, int, int, bool, int]) -> NoteTable:
    return NoteTable(*(np.array(column) for column in zip(*rows, strict=True)))


def random_notes(generator: np.random.Generator, n: int) -> HeardNotes:
    onset_s = np.sort(generator.uniform(0, 60, n))
    duration_s = generator.uniform(0.06, 2, n)
    rows = np.stack([onset_s, onset_s + duration_s, generator.integers(40, 52, n), generator.integers(1, 128, n)], 1)
    return HeardNotes.from_rows(rows)


def jittered(reference: HeardNotes, generator: np.random.Generator) -> HeardNotes:
    kept = generator.random(len(reference)) < 0.8
    shift = generator.normal(0, 0.03, len(reference))
    rows = np.stack([reference.onset_s + shift, reference.offset_s + shift, reference.pitch, reference.velocity], 1)
    return HeardNotes.from_rows(rows[kept])


THREE = notes((0.0, 0.5, 60, 50), (1.0, 1.5, 64, 60), (2.0, 2.5, 67, 70))


def test_a_perfect_transcription_scores_one():
    scores = score_notes(THREE, THREE)
    assert scores.onset == scores.onset_offset == scores.onset_velocity == scores.onset_offset_velocity == Rate(1, 1, 1)
    assert scores.timing.mean_absolute_ms == scores.timing.bias_ms == 0
    assert (scores.n_missed, scores.n_extra, scores.n_late) == (0, 0, 0)


def test_one_of_three_notes_is_60_ms_late():
    scores = score_notes(THREE, notes((0.01, 0.5, 60, 50), (1.06, 1.5, 64, 60), (1.97, 2.5, 67, 70)))
    assert scores.onset.f1 == pytest.approx(2 / 3)
    assert scores.timing.mean_absolute_ms == pytest.approx(20)
    assert scores.timing.bias_ms == pytest.approx(-10)
    assert scores.timing_within_500_ms.mean_absolute_ms == pytest.approx(100 / 3)
    assert scores.late == [{"time_s": 1.0, "pitch": 64, "ms": 60.0}]
    assert (scores.n_missed, scores.n_extra, scores.n_late) == (0, 0, 1)


def test_precision_and_recall_of_two_right_one_missed_and_two_extra():
    scores = score_notes(THREE, notes((0, 1, 60, 9), (1, 2, 64, 9), (0.7, 1, 30, 9), (2, 3, 66, 9)))
    assert scores.onset == Rate(precision=2 / 4, recall=2 / 3, f1=4 / 7)
    assert scores.missed == [{"time_s": 2.0, "pitch": 67}]
    assert scores.extra == [{"time_s": 0.7, "pitch": 30}, {"time_s": 2.0, "pitch": 66}]


def test_a_wrong_offset_counts_against_onset_offset_only():
    scores = score_notes(THREE, notes((0, 0.6, 60, 50), (1, 1.61, 64, 60), (2, 2.41, 67, 70)))
    assert scores.onset.f1 == 1
    assert scores.onset_offset.f1 == pytest.approx(2 / 3)


def test_a_wrong_velocity_counts_against_onset_velocity_only():
    reference = notes(*((float(i), i + 0.5, 60, 10 * (i + 1)) for i in range(10)))
    heard = notes(*((float(i), i + 0.5, 60, 90 if i == 0 else 10 * (i + 1)) for i in range(10)))
    scores = score_notes(reference, heard)
    assert scores.onset.f1 == 1
    assert scores.onset_velocity is not None
    assert scores.onset_velocity.f1 < 1


def test_no_velocity_from_the_judge_is_null():
    scores = score_notes(THREE, notes((0, 0.5, 60), (1, 1.5, 64)))
    assert scores.onset_velocity is scores.onset_offset_velocity is scores.velocity_correlation is None


@pytest.mark.parametrize("empty", ["reference", "heard", "both"])
def test_nothing_written_or_nothing_heard_scores_zero(empty):
    none = notes()
    scores = score_notes(none if empty != "heard" else THREE, none if empty != "reference" else THREE)
    assert scores.onset == Rate(0, 0, 0)
    assert scores.timing.n == 0
    assert scores.timing.mean_absolute_ms is None


def test_of_the_largest_matchings_the_closest_is_taken():
    assert match(notes((1.0, 2, 60)), notes((0.96, 2, 60), (1.01, 2, 60))).tolist() == [[0, 1]]
    assert match(notes((1.0, 2, 60), (1.06, 2, 60)), notes((1.05, 2, 60), (1.1, 2, 60))).tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("seed", range(5))
def test_the_rates_are_those_of_mir_eval(seed):
    generator = np.random.default_rng(seed)
    reference = random_notes(generator, 200)
    heard = jittered(reference, generator)
    scores = score_notes(reference, heard)
    spans = [np.stack([side.onset_s, side.offset_s], axis=1) for side in (reference, heard)]
    hertz = [mir_eval.util.midi_to_hz(side.pitch) for side in (reference, heard)]
    pairs = spans[0], hertz[0], spans[1], hertz[1]
    for rate, ratio in ((scores.onset, None), (scores.onset_offset, 0.2)):
        expected = mir_eval.transcription.precision_recall_f1_overlap(*pairs, offset_ratio=ratio)
        assert (rate.precision, rate.recall, rate.f1) == pytest.approx(expected[:3])


def test_the_velocity_rate_is_that_of_mir_eval():
    generator = np.random.default_rng(7)
    reference = random_notes(generator, 50)
    velocity = np.clip(0.5 * reference.velocity + 20 + generator.normal(0, 8, 50), 1, 127)
    heard = HeardNotes(reference.onset_s, reference.offset_s, reference.pitch, velocity)
    span = np.stack([reference.onset_s, reference.offset_s], axis=1)
    hertz = mir_eval.util.midi_to_hz(reference.pitch)
    expected = mir_eval.transcription_velocity.precision_recall_f1_overlap(
        span, hertz, reference.velocity, span, hertz, velocity, offset_ratio=None
    )
    rate = score_notes(reference, heard).onset_velocity
    assert rate is not None
    assert 0 < rate.f1 < 1
    assert (rate.precision, rate.recall, rate.f1) == pytest.approx(expected[:3])


def test_a_drift_of_10_ms_a_minute_is_found():
    onset_s = np.arange(0, 180, 0.5)
    reference = notes(*((time, time + 0.4, 60 + i % 12) for i, time in enumerate(onset_s)))
    heard = HeardNotes(onset_s + 0.005 + onset_s / 6000, reference.offset_s, reference.pitch)
    scores = score_notes(reference, heard)
    assert scores.timing_within_500_ms.drift_ms_per_minute == pytest.approx(10, abs=1e-6)
    assert scores.timing_within_500_ms.bias_ms == pytest.approx(5 + 10 * 179.5 / 120)


def test_a_drift_beyond_50_ms_is_still_followed():
    onset_s = np.arange(0, 180, 0.5)
    reference = notes(*((time, time + 0.4, 60) for time in onset_s))
    heard = HeardNotes(onset_s + onset_s / 1000, reference.offset_s, reference.pitch)
    scores = score_notes(reference, heard)
    assert scores.onset.f1 < 0.3
    assert scores.timing_within_500_ms.n == len(onset_s)
    assert scores.timing_within_500_ms.drift_ms_per_minute == pytest.approx(60, abs=1e-6)


def test_the_drift_of_a_few_seconds_is_not_given():
    assert score_notes(THREE, THREE).timing.drift_ms_per_minute is None


def test_velocity_correlation_is_one_under_an_affine_map():
    reference = notes(*((i, i + 0.5, 60, 20 + 5 * i) for i in range(16)))
    heard = HeardNotes(reference.onset_s, reference.offset_s, reference.pitch, 30 + 0.5 * reference.velocity)
    assert score_notes(reference, heard).velocity_correlation == pytest.approx(1)


def test_velocity_correlation_needs_sixteen_velocities():
    reference = notes(*((i, i + 0.5, 60, 20 + 5 * (i % 15)) for i in range(40)))
    assert score_notes(reference, reference).velocity_correlation is None


def test_notes_of_one_pitch_within_50_ms_are_one_note():
    merged = merge_unisons(notes((1.0, 2.0, 60, 40), (1.05, 3.0, 60, 90), (1.06, 2.5, 60, 20), (1.02, 1.5, 61, 50)))
    assert merged.onset_s.tolist() == [1.0, 1.02, 1.06]
    assert merged.offset_s.tolist() == [3.0, 1.5, 2.5]
    assert merged.velocity is not None
    assert merged.velocity.tolist() == [90, 50, 20]


def test_pitched_notes_leaves_drums_out_merges_parts_and_cuts_a_window():
    score = table(
        (0.5, 9.0, 60, 80, 0, False, 0), (1.0, 2.0, 36, 99, 0, True, 9), (1.0, 2.0, 64, 80, 0, False, 0),
        (1.01, 9.0, 64, 90, 40, False, 1), (5.0, 6.0, 67, 80, 0, False, 0),
    )  # fmt: skip
    heard = pitched_notes(score, start_s=1.0, end_s=5.0)
    assert (heard.onset_s.tolist(), heard.offset_s.tolist(), heard.pitch.tolist()) == ([0.0], [4.0], [64])


def test_paired_errors_compare_what_was_found_in_both():
    heard = notes((0.012, 1, 60), (1.002, 2, 64), (2.001, 3, 67))
    baseline = notes((0.002, 1, 60), (1.004, 2, 64))
    timing = Timing.of(*paired_errors(notes((0, 1, 60), (1, 2, 64), (2, 3, 67)), heard, baseline))
    assert timing.n == 2
    assert timing.bias_ms == pytest.approx(4)
    assert timing.median_absolute_ms == pytest.approx(6)


def test_drum_strikes_have_no_pitch_and_simultaneous_ones_are_one():
    score = table(
        (0.0, 0.1, 36, 99, 0, True, 9), (0.01, 0.1, 42, 99, 0, True, 9), (0.5, 9.0, 60, 80, 0, False, 0),
        (1.0, 1.1, 38, 99, 0, True, 9), (2.0, 2.1, 36, 99, 0, True, 9),
    )  # fmt: skip
    strikes = drum_strikes(score)
    assert (strikes.onset_s.tolist(), strikes.pitch.tolist()) == ([0.0, 1.0, 2.0], [0, 0, 0])
    heard = notes((0.02, 0.02, 0), (1.06, 1.06, 0), (1.99, 1.99, 0), (3.0, 3.0, 0))
    assert score_notes(strikes, heard).onset == Rate(precision=2 / 4, recall=2 / 3, f1=4 / 7)
