"""How well heard notes agree with the score: precision, recall, F1, timing, velocity.

The figures of `mir_eval.transcription` (onset within 50 ms, pitch exact, offset within 20 % of the duration or 50 ms),
matched pitch by pitch so that a whole song fits in memory, and what mir_eval leaves out: by how much the notes are off.

Unison rule: no judge hears how many instruments play one pitch at once, so reference notes of one pitch that start
within `UNISON_S` of the first of them are one note: earliest onset, latest offset, loudest velocity. Drums are left
out, or judged apart as onsets without pitch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hsmad_cli.symbolic.notes import NoteTable

ONSET_TOLERANCE_S = 0.05
WIDE_TOLERANCE_S = 0.5
OFFSET_RATIO = 0.2
VELOCITY_TOLERANCE = 0.1
UNISON_S = 0.05
MIN_DISTINCT_VELOCITIES = 16
MIN_DRIFT_SPAN_S = 10.0
DECIMALS = 4


@dataclass(frozen=True)
class HeardNotes:
    """Notes as a judge hears them, in order of (onset, pitch).

    onset_s, offset_s: float64 seconds. pitch: int64 MIDI number. velocity: float64, 1 to 127, or None when unknown.
    """

    onset_s: np.ndarray
    offset_s: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.onset_s)

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[float]] | np.ndarray, velocity: bool = True) -> HeardNotes:
        """From (onset_s, offset_s, pitch[, velocity]) in any order."""
        table = np.array(rows, np.float64).reshape(len(rows), 4 if velocity else 3)
        table = table[np.lexsort((table[:, 2], table[:, 0]))]
        return cls(table[:, 0], table[:, 1], table[:, 2].astype(np.int64), table[:, 3] if velocity else None)

    def select(self, index: np.ndarray) -> HeardNotes:
        velocity = None if self.velocity is None else self.velocity[index]
        return HeardNotes(self.onset_s[index], self.offset_s[index], self.pitch[index], velocity)


@dataclass(frozen=True)
class Rate:
    """Precision, recall and their harmonic mean, 0 to 1; zero where nothing matched."""

    precision: float
    recall: float
    f1: float

    @classmethod
    def of(cls, n_matched: int, n_reference: int, n_heard: int) -> Rate:
        if n_matched == 0:
            return cls(0.0, 0.0, 0.0)
        return cls(n_matched / n_heard, n_matched / n_reference, 2 * n_matched / (n_reference + n_heard))


@dataclass(frozen=True)
class Timing:
    """Onset errors, heard minus reference, of matched notes. None where no note matched.

    mean_absolute_ms is the paper's TAE; bias_ms the mean signed error (positive = late); drift_ms_per_minute the slope
    of a straight line through the errors, None when the matched notes span less than 10 s.
    """

    n: int
    mean_absolute_ms: float | None = None
    median_absolute_ms: float | None = None
    p90_absolute_ms: float | None = None
    bias_ms: float | None = None
    median_bias_ms: float | None = None
    drift_ms_per_minute: float | None = None

    @classmethod
    def of(cls, error_s: np.ndarray, time_s: np.ndarray) -> Timing:
        if len(error_s) == 0:
            return cls(0)
        error_ms = 1000 * error_s
        size = np.abs(error_ms)
        return cls(
            n=len(error_ms),
            mean_absolute_ms=float(size.mean()),
            median_absolute_ms=float(np.median(size)),
            p90_absolute_ms=float(np.percentile(size, 90)),
            bias_ms=float(error_ms.mean()),
            median_bias_ms=float(np.median(error_ms)),
            drift_ms_per_minute=_slope(time_s / 60, error_ms) if np.ptp(time_s) >= MIN_DRIFT_SPAN_S else None,
        )


@dataclass(frozen=True)
class NoteScores:
    """All scores of one piece; field names are the JSON keys of `hsmad transcribe-eval`.

    onset counts a note as right when pitch and onset agree; the others also ask for the offset, the velocity (within
    0.1 of the range after the best linear map, as mir_eval) or both, and are None where velocity is unknown.
    missed and extra notes have no partner within 500 ms; late ones (ms < 0: early) only beyond 50 ms.
    """

    n_reference: int
    n_heard: int
    n_matched: int
    onset: Rate
    onset_offset: Rate
    onset_velocity: Rate | None
    onset_offset_velocity: Rate | None
    timing: Timing
    timing_within_500_ms: Timing
    velocity_correlation: float | None
    missed: list[dict[str, float]] = field(default_factory=list)
    extra: list[dict[str, float]] = field(default_factory=list)
    late: list[dict[str, float]] = field(default_factory=list)
    n_missed: int = 0
    n_extra: int = 0
    n_late: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def pitched_notes(notes: NoteTable, start_s: float = 0.0, end_s: float = np.inf) -> HeardNotes:
    """What a perfect judge hears of a score: pitched notes that start in [start_s, end_s), unisons merged.

    Times are seconds after `start_s`; offsets are cut at `end_s`.
    """
    inside = ~notes.is_drum & (notes.onset_s >= start_s) & (notes.onset_s < end_s)
    kept = notes.select(inside)
    offset_s = np.minimum(kept.offset_s, end_s)
    rows = np.stack([kept.onset_s - start_s, offset_s - start_s, kept.pitch, kept.velocity], axis=1)
    return merge_unisons(HeardNotes.from_rows(rows))


def drum_strikes(notes: NoteTable, start_s: float = 0.0, end_s: float = np.inf) -> HeardNotes:
    """The drum notes of a score in [start_s, end_s) as onsets without pitch, simultaneous strikes merged."""
    inside = notes.is_drum & (notes.onset_s >= start_s) & (notes.onset_s < end_s)
    rows = [(time, time, 0) for time in notes.onset_s[inside] - start_s]
    return merge_unisons(HeardNotes.from_rows(rows, velocity=False))


def merge_unisons(notes: HeardNotes) -> HeardNotes:
    """Apply the unison rule of this module."""
    merged: list[list[float]] = []
    latest: dict[int, int] = {}
    velocity = np.zeros(len(notes)) if notes.velocity is None else notes.velocity
    for row in zip(notes.onset_s, notes.offset_s, notes.pitch, velocity, strict=True):
        onset_s, offset_s, pitch, strength = map(float, row)
        first = merged[latest[int(pitch)]] if int(pitch) in latest else None
        if first is not None and round(onset_s - first[0], DECIMALS) <= UNISON_S:
            first[1], first[3] = max(first[1], offset_s), max(first[3], strength)
        else:
            latest[int(pitch)] = len(merged)
            merged.append([onset_s, offset_s, pitch, strength])
    result = HeardNotes.from_rows(merged)
    return result if notes.velocity is not None else HeardNotes(result.onset_s, result.offset_s, result.pitch)


def match(
    reference: HeardNotes, heard: HeardNotes, tolerance_s: float = ONSET_TOLERANCE_S, offsets: bool = False
) -> np.ndarray:
    """Pairs (reference index, heard index), int64 [M, 2], in order of the reference.

    As many pairs of equal pitch as possible with onsets within `tolerance_s` (and offsets within 20 % of the duration
    or 50 ms, whichever is more); of those matchings, the one with the smallest sum of onset errors.
    """
    pairs = [
        _match_one_pitch(
            reference, heard, np.flatnonzero(reference.pitch == pitch), np.flatnonzero(heard.pitch == pitch),
            tolerance_s, offsets,
        )
        for pitch in np.intersect1d(reference.pitch, heard.pitch)
    ]  # fmt: skip
    matched = np.concatenate([np.zeros((0, 2), np.int64), *pairs])
    return matched[np.argsort(matched[:, 0], kind="stable")]


def _match_one_pitch(
    reference: HeardNotes, heard: HeardNotes, rows: np.ndarray, columns: np.ndarray, tolerance_s: float, offsets: bool
) -> np.ndarray:
    from scipy.optimize import linear_sum_assignment

    distance = np.abs(reference.onset_s[rows, None] - heard.onset_s[columns])
    allowed = np.round(distance, DECIMALS) <= tolerance_s
    if offsets:
        duration = reference.offset_s[rows] - reference.onset_s[rows]
        slack = np.maximum(OFFSET_RATIO * duration, ONSET_TOLERANCE_S)[:, None]
        allowed &= np.round(np.abs(reference.offset_s[rows, None] - heard.offset_s[columns]), DECIMALS) <= slack
    forbidden = 1.0 + tolerance_s * (1 + min(distance.shape))
    i, j = linear_sum_assignment(np.where(allowed, distance, forbidden))
    kept = allowed[i, j]
    return np.stack([rows[i[kept]], columns[j[kept]]], axis=1)


def match_widely(reference: HeardNotes, heard: HeardNotes, close: np.ndarray) -> np.ndarray:
    """The pairs of a `close` matching, and the notes it left over matched within 500 ms."""
    rows = np.setdiff1d(np.arange(len(reference)), close[:, 0])
    columns = np.setdiff1d(np.arange(len(heard)), close[:, 1])
    further = match(reference.select(rows), heard.select(columns), WIDE_TOLERANCE_S)
    pairs = np.concatenate([close, np.stack([rows[further[:, 0]], columns[further[:, 1]]], axis=1)])
    return pairs[np.argsort(pairs[:, 0], kind="stable")]


def score_notes(reference: HeardNotes, heard: HeardNotes, listed: int = 50) -> NoteScores:
    """Compare what was heard with what should be; at most `listed` missed, extra and late notes are listed."""
    onset = match(reference, heard)
    both = match(reference, heard, offsets=True)
    wide = match_widely(reference, heard, onset)
    missed = _rows(reference, np.setdiff1d(np.arange(len(reference)), wide[:, 0]))
    extra = _rows(heard, np.setdiff1d(np.arange(len(heard)), wide[:, 1]))
    late = _late_rows(reference, heard, wide[~np.isin(wide[:, 0], onset[:, 0])])
    return NoteScores(
        n_reference=len(reference),
        n_heard=len(heard),
        n_matched=len(onset),
        onset=_rate(reference, heard, onset),
        onset_offset=_rate(reference, heard, both),
        onset_velocity=_velocity_rate(reference, heard, onset),
        onset_offset_velocity=_velocity_rate(reference, heard, both),
        timing=_timing(reference, heard, onset),
        timing_within_500_ms=_timing(reference, heard, wide),
        velocity_correlation=velocity_correlation(reference, heard, onset),
        missed=missed[:listed],
        extra=extra[:listed],
        late=late[:listed],
        n_missed=len(missed),
        n_extra=len(extra),
        n_late=len(late),
    )


def velocity_correlation(reference: HeardNotes, heard: HeardNotes, pairs: np.ndarray) -> float | None:
    """Pearson's r of the velocities of matched notes, None below 16 distinct velocities or where they are unknown."""
    if reference.velocity is None or heard.velocity is None or len(pairs) == 0:
        return None
    written, played = reference.velocity[pairs[:, 0]], heard.velocity[pairs[:, 1]]
    if len(np.unique(written)) < MIN_DISTINCT_VELOCITIES or np.ptp(played) == 0:
        return None
    return float(np.corrcoef(written, played)[0, 1])


def paired_errors(reference: HeardNotes, heard: HeardNotes, baseline: HeardNotes) -> tuple[np.ndarray, np.ndarray]:
    """Onsets heard in one rendering minus those heard in a baseline, over the notes that the judge found in both.

    Returns (differences, times in the baseline), both in seconds.
    """
    first, second = match(reference, heard), match(reference, baseline)
    _, i, j = np.intersect1d(first[:, 0], second[:, 0], return_indices=True)
    time_s = baseline.onset_s[second[j, 1]]
    return heard.onset_s[first[i, 1]] - time_s, time_s


def _rate(reference: HeardNotes, heard: HeardNotes, pairs: np.ndarray) -> Rate:
    return Rate.of(len(pairs), len(reference), len(heard))


def _velocity_rate(reference: HeardNotes, heard: HeardNotes, pairs: np.ndarray) -> Rate | None:
    """mir_eval's rule: written velocities scaled to 0..1, heard ones mapped onto them by least squares, within 0.1."""
    if reference.velocity is None or heard.velocity is None:
        return None
    if len(pairs) == 0:
        return Rate.of(0, len(reference), len(heard))
    span = max(1.0, float(np.ptp(reference.velocity)))
    written = (reference.velocity[pairs[:, 0]] - reference.velocity.min()) / span
    played = np.stack([heard.velocity[pairs[:, 1]], np.ones(len(pairs))], axis=1)
    fit = np.linalg.lstsq(played, written, rcond=None)[0]
    return _rate(reference, heard, pairs[np.abs(played @ fit - written) < VELOCITY_TOLERANCE])


def _timing(reference: HeardNotes, heard: HeardNotes, pairs: np.ndarray) -> Timing:
    time_s = reference.onset_s[pairs[:, 0]]
    return Timing.of(heard.onset_s[pairs[:, 1]] - time_s, time_s)


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    centred = x - x.mean()
    return float(centred @ (y - y.mean()) / (centred @ centred))


def _rows(notes: HeardNotes, index: np.ndarray) -> list[dict[str, float]]:
    return [{"time_s": round(float(notes.onset_s[i]), 4), "pitch": int(notes.pitch[i])} for i in index]


def _late_rows(reference: HeardNotes, heard: HeardNotes, pairs: np.ndarray) -> list[dict[str, float]]:
    error_ms = 1000 * (heard.onset_s[pairs[:, 1]] - reference.onset_s[pairs[:, 0]])
    rows = _rows(reference, pairs[:, 0])
    return [row | {"ms": round(float(ms), 1)} for row, ms in zip(rows, error_ms, strict=True)]
