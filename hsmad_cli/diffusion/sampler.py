"""Samplers: pure loops over a callable denoise(z, t) -> x, the clean latent that z_t suggests; float64 coefficients."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from hsmad_cli.diffusion.schedule import HALFWAY, SPACING, alpha_sigma, log_snr, time_steps

Denoise = Callable[[Tensor, Tensor], Tensor]
Callback = Callable[[int, int, Tensor], None]


def ddim(
    denoise: Denoise,
    z: Tensor,
    steps: int,
    *,
    temperature: float = 1.0,
    spacing: float = SPACING,
    callback: Callback | None = None,
) -> Tensor:
    """Deterministic DDIM, first order: z: [B, T, C] of unit Gaussian noise -> x [B, T, C].

    denoise gets t as [B]. temperature: what is kept of the noise when t passes `HALFWAY`; below 1, the likelier
    details of the music that the first steps have outlined, with less hiss. callback(step, steps, x) is told the
    present guess of x after each evaluation. `spacing`: see `time_steps`.
    """
    times = time_steps(steps, spacing)
    for step, (t, t_next) in enumerate(pairwise(times)):
        x = denoise(z, _batch_time(t, z))
        if callback is not None:
            callback(step, steps, x)
        z = _step(z, x, t, t_next, temperature)
    return z


def dpm_solver_2m(
    denoise: Denoise,
    z: Tensor,
    steps: int,
    *,
    temperature: float = 1.0,
    spacing: float = SPACING,
    callback: Callback | None = None,
) -> Tensor:
    """DPM-Solver++(2M), second order at one evaluation a step; the first and the last step are of first order.

    With lambda = log(alpha / sigma) and h = lambda_next - lambda, each step moves towards x + (x - x_previous) h / (2
    h_previous), the guess extrapolated to the middle of the step. Arguments as for `ddim`.
    """
    times = time_steps(steps, spacing)
    half_log_snr = [float(log_snr(t)) / 2 for t in times]
    previous = None
    for step, (t, t_next) in enumerate(pairwise(times)):
        x = denoise(z, _batch_time(t, z))
        if callback is not None:
            callback(step, steps, x)
        if previous is None or step == steps - 1:
            z = _step(z, x, t, t_next, temperature)
        else:
            h_previous = half_log_snr[step] - half_log_snr[step - 1]
            h = half_log_snr[step + 1] - half_log_snr[step]
            z = _step(z, x + h / (2 * h_previous) * (x - previous), t, t_next, temperature)
        previous = x
    return z


SAMPLERS: dict[str, Callable[..., Tensor]] = {"dpm_solver_2m": dpm_solver_2m, "ddim": ddim}


def _step(z: Tensor, x: Tensor, t: Tensor, t_next: Tensor, temperature: float) -> Tensor:
    """The exact solution from t to t_next of the probability flow whose clean latent stays x.

    A step that passes `HALFWAY` keeps `temperature` of its noise.
    """
    alpha, sigma = alpha_sigma(t)
    alpha_next, sigma_next = alpha_sigma(t_next)
    kept = temperature if t > HALFWAY >= t_next else 1.0
    keep = kept * float(sigma_next / sigma)
    return keep * z + (float(alpha_next) - float(alpha) * keep) * x


def _batch_time(t: Tensor, z: Tensor) -> Tensor:
    return torch.full((len(z),), float(t), dtype=torch.promote_types(z.dtype, torch.float32), device=z.device)
