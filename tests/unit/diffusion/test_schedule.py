"""The cosine schedule: hand-worked values, and steps from noise to exactly clean."""

from __future__ import annotations

import math

import pytest
import torch

from hsmad_cli.diffusion.schedule import LOG_SNR_MIN, T_MAX, alpha_sigma, log_snr, time_steps


def test_hand_worked_values() -> None:
    alpha, sigma = alpha_sigma(torch.tensor([0.0, 1 / 3, 0.5, 1.0]))
    assert alpha.dtype == torch.float64
    assert alpha.tolist() == pytest.approx([1, math.sqrt(3) / 2, math.sqrt(0.5), 0], abs=1e-7)
    assert sigma.tolist() == pytest.approx([0, 1 / 2, math.sqrt(0.5), 1], abs=1e-7)
    assert float(log_snr(0.5)) == pytest.approx(0, abs=1e-12)
    assert float(log_snr(1 / 3)) == pytest.approx(math.log(3), abs=1e-12)
    assert float(log_snr(0.0)) == math.inf


def test_variance_is_preserved() -> None:
    alpha, sigma = alpha_sigma(torch.linspace(0, 1, 101))
    assert torch.allclose(alpha**2 + sigma**2, torch.ones(101, dtype=torch.float64), rtol=0, atol=1e-15)


def test_the_noisy_end_keeps_a_trace_of_the_signal() -> None:
    assert float(log_snr(T_MAX)) == pytest.approx(LOG_SNR_MIN, abs=1e-9)
    assert 0.99 < T_MAX < 1


@pytest.mark.parametrize("steps", [1, 8, 50])
def test_steps_fall_from_noise_to_clean(steps: int) -> None:
    even, bent = time_steps(steps, 1.0), time_steps(steps, 2.0)
    assert len(even) == steps + 1
    assert (float(even[0]), float(even[-1])) == (T_MAX, 0.0)
    assert bool((even.diff() < 0).all())
    assert torch.allclose(even.diff(), even.diff()[0].expand(steps), atol=1e-12)
    assert torch.allclose(bent, T_MAX * (even / T_MAX) ** 2, atol=1e-12)


def test_no_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one step, got 0"):
        time_steps(0)
