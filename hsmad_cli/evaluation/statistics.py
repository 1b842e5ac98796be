"""Means with their uncertainty, by resampling the pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

N_RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """An estimate from n pieces and its 95 % bootstrap confidence interval."""

    value: float
    low: float
    high: float
    n: int


def mean_interval(values: Sequence[float]) -> Interval | None:
    """The mean of `values`, None if there are none."""
    return ratio_interval(values, [1.0] * len(values))


def ratio_interval(numerators: Sequence[float], denominators: Sequence[float]) -> Interval | None:
    """Ratio of the means of paired values, None if there are no pairs or the denominators sum to zero.

    Pieces are drawn with replacement, numerator and denominator together; the same input gives the same interval.
    """
    above, below = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    if above.shape != below.shape:
        raise ValueError(f"{len(above)} numerators, {len(below)} denominators")
    if below.sum() == 0:
        return None
    drawn = np.random.default_rng(0).integers(0, len(above), (N_RESAMPLES, len(above)))
    sums = below[drawn].sum(axis=1)
    ratios = above[drawn].sum(axis=1)[sums > 0] / sums[sums > 0]
    low, high = np.percentile(ratios, [2.5, 97.5])
    return Interval(float(above.sum() / below.sum()), float(low), float(high), len(above))
