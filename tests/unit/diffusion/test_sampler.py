"""Each sampler against the closed form of a Gaussian, at its order; exactness where a step is exact."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from gaussian import Gaussian

from hsmad_cli.diffusion.sampler import SAMPLERS, ddim, dpm_solver_2m
from hsmad_cli.diffusion.schedule import HALFWAY, T_MAX, alpha_sigma

Z = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
DATA = Gaussian(mean=0.7, deviation=0.4)


def error(sampler: Callable[..., torch.Tensor], steps: int, **options: float) -> float:
    return float((sampler(DATA.denoise, Z, steps, **options) - DATA.solution(Z)).abs().max())


@pytest.mark.parametrize(("sampler", "order"), [(ddim, 1), (dpm_solver_2m, 2)])
def test_it_converges_at_its_order(sampler: Callable[..., torch.Tensor], order: int) -> None:
    measured = math.log2(error(sampler, 128) / error(sampler, 256))
    assert measured == pytest.approx(order, abs=0.15)


def test_second_order_needs_fewer_steps() -> None:
    assert error(dpm_solver_2m, 8) < error(ddim, 8) / 3
    assert error(dpm_solver_2m, 20) < error(ddim, 50)


@pytest.mark.parametrize("sampler", SAMPLERS.values())
@pytest.mark.parametrize("steps", [1, 2, 50])
def test_a_constant_guess_is_reached_exactly(sampler: Callable[..., torch.Tensor], steps: int) -> None:
    clean = torch.randn(Z.shape, dtype=torch.float64)
    assert torch.allclose(sampler(lambda z, t: clean, Z, steps), clean, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sampler", SAMPLERS.values())
@pytest.mark.parametrize("temperature", [0.0, 0.6])
def test_halfway_the_noise_is_scaled_by_the_temperature(
    sampler: Callable[..., torch.Tensor], temperature: float
) -> None:
    """With x known, z - alpha x is all noise: above t = 1/2 as it was, below it so much smaller."""
    clean = torch.randn(Z.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def noise_at(temperature: float) -> dict[float, torch.Tensor]:
        noise = {}

        def denoise(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            noise[float(t[0])] = z - alpha_sigma(t[0])[0] * clean
            return clean

        assert torch.allclose(sampler(denoise, Z, 8, temperature=temperature), clean, rtol=0, atol=1e-12)
        return noise

    plain = noise_at(1.0)
    for t, noise in noise_at(temperature).items():
        kept = temperature if t <= HALFWAY else 1.0
        assert torch.allclose(noise, kept * plain[t], rtol=0, atol=1e-12)
    assert min(plain) <= HALFWAY < max(plain)


@pytest.mark.parametrize("sampler", SAMPLERS.values())
def test_items_do_not_meet(sampler: Callable[..., torch.Tensor]) -> None:
    assert torch.equal(sampler(DATA.denoise, Z, 8)[1:], sampler(DATA.denoise, Z[1:], 8))


@pytest.mark.parametrize("sampler", SAMPLERS.values())
def test_the_callback_hears_every_guess(sampler: Callable[..., torch.Tensor]) -> None:
    times, heard = [], []

    def denoise(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        times.append(t.tolist())
        return DATA.denoise(z, t)

    answer = sampler(denoise, Z, 5, callback=lambda step, steps, x: heard.append((step, steps, x)))
    assert [(step, steps) for step, steps, _ in heard] == [(n, 5) for n in range(5)]
    assert times[0] == [T_MAX, T_MAX]
    assert times == sorted(times, reverse=True)
    assert torch.allclose(heard[-1][2], answer, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sampler", SAMPLERS.values())
def test_single_precision_loses_rounding_only(sampler: Callable[..., torch.Tensor]) -> None:
    double = sampler(DATA.denoise, Z, 8)
    assert torch.allclose(sampler(DATA.denoise, Z.float(), 8).double(), double, rtol=0, atol=1e-5)
