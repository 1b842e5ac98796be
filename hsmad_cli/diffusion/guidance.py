"""Decoupled classifier-free guidance [2.5.2]: score and style are dropped, and weighted, independently.

A *branch* says which conditions are present; e(H, S) below is the denoiser's answer with both, and 0 marks an absent
one. Each mode is a sum of branches whose coefficients add up to one, so it may be applied to noise, v or x. Rescaling
it, after Lin et al. (2023), may not: it is a matter of x, the music.

Attention guidance compares the denoiser with itself, as perturbed-attention guidance does (Ahn et al., 2024): a *deaf*
branch has its conditions, but its first layer does without its temporal cross-attention. The way from there leads to
notes that are told apart better, and away from no condition, so it changes the timbre less than more of w_H would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from hsmad_cli.diffusion.schedule import HALFWAY


class Branch(NamedTuple):
    """Which conditions a branch has, and whether its first layer is deaf to the score."""

    score: bool
    style: bool
    deaf: bool = False


Denoise = Callable[[Tensor, Tensor], Tensor]
PredictBranches = Callable[[tuple[Branch, ...], Tensor, Tensor], Tensor]

NEITHER, STYLE, SCORE, BOTH = Branch(False, False), Branch(False, True), Branch(True, False), Branch(True, True)

MODES: dict[str, Callable[[float, float], dict[Branch, float]]] = {
    # e(0,0) + w_H [e(H,0) - e(0,0)] + w_S [e(0,S) - e(0,0)]
    "additive": lambda w_h, w_s: {NEITHER: 1 - w_h - w_s, SCORE: w_h, STYLE: w_s},
    # e(0,0) + w_H [e(H,0) - e(0,0)] + w_S [e(H,S) - e(H,0)]
    "nested": lambda w_h, w_s: {NEITHER: 1 - w_h, SCORE: w_h - w_s, BOTH: w_s},
    # e(H,S) + (w_H - 1) [e(H,S) - e(0,S)] + (w_S - 1) [e(H,S) - e(H,0)]
    "anchored": lambda w_h, w_s: {BOTH: w_h + w_s - 1, STYLE: 1 - w_h, SCORE: 1 - w_s},
    # e(0,0) + w_H [e(H,S) - e(0,0)]
    "joint": lambda w_h, w_s: {NEITHER: 1 - w_h, BOTH: w_h},
}


def branch_weights(mode: str, w_h: float, w_s: float = 1.0) -> dict[Branch, float]:
    """The coefficient of every branch that a mode needs; they add up to one. `joint` has no w_s.

    An unknown mode raises ValueError.
    """
    if mode not in MODES:
        raise ValueError(f"guidance mode is {mode!r}, not one of {', '.join(MODES)}")
    return {branch: weight for branch, weight in MODES[mode](w_h, w_s).items() if weight != 0}


def guided(
    predict: PredictBranches, weights: Mapping[Branch, float], rescale: float = 0.0, w_a: float = 0.0
) -> Denoise:
    """A denoiser that answers with the weighted sum of branches, and with attention guidance of the strongest of them.

    predict(branches, z, t) -> x [branches, B, T, C]: all branches at once, in the order asked for. z: [B, T, C],
    t: [B]. rescale: 0..1, how far a frame whose deviation over its channels exceeds that of the most conditioned branch
    is drawn back to it: strong guidance makes music louder and noise ripple. Frame by frame, so that blocks of a song
    agree with the whole. w_a: of e(H,S) - e_deaf(H,S), added to that; nothing where no branch has the score.
    """
    branches = tuple(weights)
    strongest = max(branches)
    listens = w_a != 0 and strongest.score
    asked = (*branches, strongest._replace(deaf=True)) if listens else branches

    def denoise(z: Tensor, t: Tensor) -> Tensor:
        answers = predict(asked, z, t).to(z.dtype)
        coefficients = torch.tensor([weights[branch] for branch in branches], dtype=z.dtype, device=z.device)
        total = torch.tensordot(coefficients, answers[: len(branches)], dims=1)
        conditioned = answers[branches.index(strongest)]
        if rescale:
            total = _rescaled(total, conditioned, rescale)
        return total + w_a * (conditioned - answers[-1]) if listens else total

    return denoise


def outline_then_details(outline: Denoise, details: Denoise) -> Denoise:
    """One denoiser above t = `HALFWAY`, another from there on down. t [B]: all items are at one time."""
    return lambda z, t: (outline if t[0] > HALFWAY else details)(z, t)


def _rescaled(total: Tensor, reference: Tensor, share: float) -> Tensor:
    ratio = reference.std(dim=-1, keepdim=True) / total.std(dim=-1, keepdim=True).clamp(min=1e-8)
    return total * (1 + share * (ratio.clamp(max=1) - 1))
