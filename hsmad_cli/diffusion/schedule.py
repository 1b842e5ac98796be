"""The noise schedule [2.5.1]: z_t = alpha(t) x + sigma(t) e, alpha = cos(pi t / 2), sigma = sin(pi t / 2), t in [0, 1].

t = 0 is clean, t = 1 is noise. Everything here is float64. A sampler starts at `T_MAX` instead of 1: there alpha is
small but not zero, so that a prediction of the noise still determines x, and the trace of x is far below the noise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOG_SNR_MIN = -10.0
# Where signal and noise are equal: above this time the outline of the music is decided, below it the details.
HALFWAY = 0.5
# Steps that shorten towards the clean end keep faint detail: of 1 to 2, this value keeps the variance of Gaussians with
# deviations of 0.1 to 1 best at 8 steps of DPM-Solver++(2M).
SPACING = 1.5
T_MAX = 2 / math.pi * math.atan(math.exp(-LOG_SNR_MIN / 2))


def alpha_sigma(t: Tensor | float) -> tuple[Tensor, Tensor]:
    """Signal and noise amplitudes (alpha, sigma) at diffusion times t in [0, 1]; exact 0 and 1 at the clean end."""
    angle = torch.as_tensor(t, dtype=torch.float64) * (math.pi / 2)
    return angle.cos(), angle.sin()


def log_snr(t: Tensor | float) -> Tensor:
    """log(alpha^2 / sigma^2), infinite at t = 0."""
    alpha, sigma = alpha_sigma(t)
    return 2 * (alpha.log() - sigma.log())


def time_steps(steps: int, spacing: float = SPACING) -> Tensor:
    """Times [steps + 1] from `T_MAX` down to exactly 0.

    spacing 1 divides t evenly; above 1 the steps grow shorter towards the clean end (t = T_MAX u^spacing).
    Fewer than one step raises ValueError.
    """
    if steps < 1:
        raise ValueError(f"a sampler needs at least one step, got {steps}")
    return T_MAX * torch.linspace(1, 0, steps + 1, dtype=torch.float64) ** spacing
