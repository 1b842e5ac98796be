"""What the denoiser predicts [2.5.1], and at which noise levels it trains.

`epsilon` (the paper): the noise e. `v`: alpha e - sigma x, which determines x at every level.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hsmad_cli.diffusion.schedule import T_MAX, alpha_sigma

OBJECTIVES = ("epsilon", "v")


def add_noise(x: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """z_t = alpha x + sigma e. x, noise: [B, ...], t: [B] in 0..1."""
    alpha, sigma = _amplitudes(t, x)
    return alpha * x + sigma * noise


def target(objective: str, x: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """What a perfect denoiser answers for z_t, [B, ...] as x and noise, t: [B]; of variance one where that of x is."""
    alpha, sigma = _amplitudes(t, x)
    return noise if _known(objective) == "epsilon" else alpha * noise - sigma * x


def to_x(objective: str, prediction: Tensor, z: Tensor, t: Tensor) -> Tensor:
    """The clean latent [B, ...] that a prediction at z_t stands for. prediction, z: [B, ...], t: [B]."""
    alpha, sigma = _amplitudes(t, z)
    if _known(objective) == "epsilon":
        return (z - sigma * prediction) / alpha
    return alpha * z - sigma * prediction


def sample_levels(
    batch: int, generator: torch.Generator, uniform: float = 0.5, mean: float = 0.5, std: float = 1.0
) -> Tensor:
    """Diffusion times [batch] in (0, T_MAX) for training, float32 on the generator's device.

    A share `uniform` is drawn evenly, the others as sigmoid(mean + std N(0, 1)): mean > 0 leans to the noisy side. The
    draws are stratified over the batch, so that every batch sees the whole range.
    """
    device = generator.device
    offset, choice = torch.rand(2, batch, generator=generator, device=device, dtype=torch.float64)
    quantile = (torch.arange(batch, device=device) + offset) / batch
    normal = torch.special.ndtri(quantile.clamp(1e-9, 1 - 1e-9))
    t = torch.where(choice < uniform, quantile, torch.sigmoid(mean + std * normal))
    return (T_MAX * t).float()


def _amplitudes(t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    shape = (-1,) + (1,) * (like.ndim - 1)
    alpha, sigma = alpha_sigma(t)
    return alpha.to(like.dtype).view(shape), sigma.to(like.dtype).view(shape)


def _known(objective: str) -> str:
    if objective not in OBJECTIVES:
        raise ValueError(f"objective is {objective!r}, not one of {', '.join(OBJECTIVES)}")
    return objective
