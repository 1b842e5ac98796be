"""Dynamics as the player is told them: velocities nearer to, or further from, the mean of their part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hsmad_cli.symbolic.notes import Score

SOFTEST, LOUDEST = 1, 127


def with_dynamics(score: Score, factor: float) -> Score:
    """Every velocity v as m + factor (v - m), in 1..127, where m is the mean of its part; drums stay as they are.

    Raises ValueError for a negative factor.
    """
    if factor < 0:
        raise ValueError(f"dynamics are {factor:g} times as wide, from 0 on")
    notes = score.notes
    velocity = notes.velocity.astype(np.float64)
    for part in np.unique(notes.part[~notes.is_drum]):
        mine = (notes.part == part) & ~notes.is_drum
        mean = velocity[mine].mean()
        velocity[mine] = mean + factor * (velocity[mine] - mean)
    return replace(score, notes=notes.with_columns(velocity=np.clip(np.rint(velocity), SOFTEST, LOUDEST)))
