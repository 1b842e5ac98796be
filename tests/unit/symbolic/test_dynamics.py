from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsmad_cli.symbolic.dynamics import with_dynamics
from hsmad_cli.symbolic.notes import NoteTable, Score


def score(velocity: list[int], part: list[int]) -> Score:
    n = len(velocity)
    onsets = np.arange(n, dtype=np.float64)
    return Score(
        NoteTable(
            onset_s=onsets,
            offset_s=onsets + 0.5,
            pitch=np.full(n, 60),
            velocity=np.array(velocity),
            program=np.zeros(n, dtype=np.int64),
            is_drum=np.zeros(n, dtype=bool),
            part=np.array(part),
        )
    )


def test_each_part_spreads_about_its_own_mean() -> None:
    """60 and 80 are 10 from their mean of 70, 40 and 50 are 5 from theirs of 45."""
    played = with_dynamics(score([60, 80, 40, 50], [0, 0, 1, 1]), 2.0)
    assert played.notes.velocity.tolist() == [50, 90, 35, 55]


def test_drums_are_told_as_written() -> None:
    played = score([60, 80, 40, 50], [0, 0, 1, 1])
    drums = np.array([False, False, True, True])
    wider = with_dynamics(replace(played, notes=played.notes.with_columns(is_drum=drums)), 2.0)
    assert wider.notes.velocity.tolist() == [50, 90, 40, 50]


def test_one_changes_nothing_zero_makes_it_flat_and_limits_hold() -> None:
    plain = score([10, 60, 110], [0, 0, 0])
    assert with_dynamics(plain, 1.0).notes.velocity.tolist() == [10, 60, 110]
    assert with_dynamics(plain, 0.0).notes.velocity.tolist() == [60, 60, 60]
    assert with_dynamics(plain, 9.0).notes.velocity.tolist() == [1, 60, 127]
    assert (with_dynamics(plain, 9.0).notes.onset_s == plain.notes.onset_s).all()


def test_a_negative_factor_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 times"):
        with_dynamics(score([60], [0]), -1.0)
