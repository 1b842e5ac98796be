"""A denoiser in closed form: data x ~ N(mean, deviation^2) in every number, and the exact end of its flow."""

from __future__ import annotations

from torch import Tensor

from hsmad_cli.diffusion.schedule import T_MAX, alpha_sigma


class Gaussian:
    def __init__(self, mean: float, deviation: float) -> None:
        self.mean, self.deviation = mean, deviation

    def denoise(self, z: Tensor, t: Tensor) -> Tensor:
        """E[x | z_t] = m + alpha s^2 / (alpha^2 s^2 + sigma^2) (z - alpha m)."""
        alpha, sigma = (a.view(-1, *[1] * (z.ndim - 1)).to(z.dtype) for a in alpha_sigma(t))
        variance = (alpha * self.deviation) ** 2 + sigma**2
        return self.mean + alpha * self.deviation**2 / variance * (z - alpha * self.mean)

    def solution(self, z: Tensor) -> Tensor:
        """Where the flow that passes z at T_MAX ends: each number keeps its place in its distribution."""
        alpha, sigma = alpha_sigma(T_MAX)
        spread = ((alpha * self.deviation) ** 2 + sigma**2).sqrt()
        return self.mean + self.deviation * (z - alpha * self.mean) / spread
