"""Decoupled classifier-free guidance [2.5.2]: score and style are dropped, and weighted, independently.

A *branch* is a pair (score present, style present); e(H, S) below is the denoiser's answer with both, and 0 marks an
absent one. Each mode is a sum of branches whose coefficients add up to one, so it may be applied to noise, v or x.
Rescaling it, after Lin et al. (2023), may not: it is a matter of x, the music.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from hsmad_cli.diffusion.schedule import HALFWAY

Branch = tuple[bool, bool]
Denoise = Callable[[Tensor, Tensor], Tensor]
PredictBranches = Callable[[tuple[Branch, ...], Tensor, Tensor], Tensor]

NEITHER, STYLE, SCORE, BOTH = (False, False), (False, True), (True, False), (True, True)

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


def guided(predict: PredictBranches, weights: Mapping[Branch, float], rescale: float = 0.0) -> Denoise:
    """A denoiser that answers with the weighted sum of branches.

    predict(branches, z, t) -> x [branches, B, T, C]: all branches at once, in the order asked for. z: [B, T, C],
    t: [B]. rescale: 0..1, how far a frame whose deviation over its channels exceeds that of the most conditioned branch
    is drawn back to it: strong guidance makes music louder and noise ripple. Frame by frame, so that blocks of a song
    agree with the whole.
    """
    branches = tuple(weights)
    strongest = branches.index(max(branches))

    def denoise(z: Tensor, t: Tensor) -> Tensor:
        answers = predict(branches, z, t)
        coefficients = torch.tensor([weights[branch] for branch in branches], dtype=z.dtype, device=z.device)
        total = torch.tensordot(coefficients, answers.to(z.dtype), dims=1)
        return total if rescale == 0 else _rescaled(total, answers[strongest], rescale)

    return denoise


def outline_then_details(outline: Denoise, details: Denoise) -> Denoise:
    """One denoiser above t = `HALFWAY`, another from there on down. t [B]: all items are at one time."""
    return lambda z, t: (outline if t[0] > HALFWAY else details)(z, t)


def _rescaled(total: Tensor, reference: Tensor, share: float) -> Tensor:
    ratio = reference.std(dim=-1, keepdim=True) / total.std(dim=-1, keepdim=True).clamp(min=1e-8)
    return total * (1 + share * (ratio.clamp(max=1) - 1))
