"""Predictions of noise and of v mean the same; training levels follow the distribution they are drawn from."""

from __future__ import annotations

import math

import pytest
import torch

from hsmad_cli.diffusion.objective import OBJECTIVES, add_noise, sample_levels, target, to_x
from hsmad_cli.diffusion.schedule import T_MAX


def pair() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    x, noise = torch.randn(2, 4, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x, noise, torch.tensor([0.01, 0.3, 0.9, T_MAX], dtype=torch.float64)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_perfect_prediction_gives_back_the_signal(objective: str) -> None:
    x, noise, t = pair()
    z, prediction = add_noise(x, noise, t), target(objective, x, noise, t)
    assert torch.allclose(to_x(objective, prediction, z, t), x, rtol=0, atol=1e-9)


def test_v_at_a_third_by_hand() -> None:
    """alpha = sqrt(3)/2, sigma = 1/2: z = sqrt(3) + 2, v = 2 sqrt(3) - 1 for x = 2, e = 4."""
    x, noise, t = torch.full((1, 1), 2.0), torch.full((1, 1), 4.0), torch.tensor([1 / 3])
    assert float(add_noise(x, noise, t)) == pytest.approx(math.sqrt(3) + 2, rel=1e-6)
    assert float(target("v", x, noise, t)) == pytest.approx(2 * math.sqrt(3) - 1, rel=1e-6)


def test_v_determines_the_signal_even_in_pure_noise() -> None:
    x, noise, _ = pair()
    t = torch.ones(4, dtype=torch.float64)
    assert torch.allclose(to_x("v", target("v", x, noise, t), noise, t), x, rtol=0, atol=1e-12)


def test_items_keep_their_own_level() -> None:
    x, noise, t = pair()
    whole = add_noise(x, noise, t)
    assert torch.equal(whole[2:3], add_noise(x[2:3], noise[2:3], t[2:3]))


def test_an_unknown_objective_is_refused() -> None:
    x, noise, t = pair()
    with pytest.raises(ValueError, match="'flow', not one of epsilon, v"):
        target("flow", x, noise, t)


def levels(**arguments: float) -> torch.Tensor:
    return sample_levels(4096, torch.Generator().manual_seed(0), **arguments) / T_MAX


def test_levels_are_uniform_or_logit_normal() -> None:
    uniform = levels(uniform=1.0).double()
    assert uniform.sort().values.numpy() == pytest.approx((torch.arange(4096) + 0.5).numpy() / 4096, abs=1 / 4096)
    normal = torch.logit(levels(uniform=0.0, mean=0.5, std=2.0).double())
    assert float(normal.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(normal.std()) == pytest.approx(2.0, abs=0.02)
    mixed = levels(uniform=0.5, mean=5.0, std=0.1)
    assert float((mixed < 0.98).float().mean()) == pytest.approx(0.49, abs=0.03)


def test_levels_stay_inside_and_come_from_the_generator_alone() -> None:
    assert float(levels(uniform=0.0, std=9.0).min()) > 0
    assert float(levels(uniform=0.0, std=9.0).max()) <= 1
    assert torch.equal(levels(), levels())


def test_every_batch_sees_the_whole_range() -> None:
    few = sample_levels(8, torch.Generator().manual_seed(3), uniform=1.0) / T_MAX
    assert (few * 8).long().tolist() == list(range(8))
