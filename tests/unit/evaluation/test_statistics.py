"""Means and ratios of means with bootstrap intervals."""

from __future__ import annotations

import numpy as np
import pytest

from hsmad_cli.evaluation.statistics import mean_interval, ratio_interval


def test_the_ratio_is_that_of_the_means():
    interval = ratio_interval([1, 2, 3], [2, 2, 8])
    assert interval is not None
    assert interval.value == pytest.approx(6 / 12)
    assert interval.low <= interval.value <= interval.high
    assert interval.n == 3


def test_a_constant_ratio_is_certain():
    interval = ratio_interval([0.5, 1.0, 2.0], [1, 2, 4])
    assert interval is not None
    assert (interval.low, interval.value, interval.high) == (0.5, 0.5, 0.5)


def test_the_interval_of_a_mean_is_two_standard_errors_wide():
    values = np.random.default_rng(1).normal(5, 1, 400)
    interval = mean_interval(values.tolist())
    assert interval is not None
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_nothing_has_no_mean():
    assert mean_interval([]) is None
    assert ratio_interval([1.0], [0.0]) is None


def test_pairs_must_match():
    with pytest.raises(ValueError, match="2 numerators, 1 denominators"):
        ratio_interval([1, 2], [1])
