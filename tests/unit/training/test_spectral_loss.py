"""The distances between a reconstruction and its target."""

from __future__ import annotations

import math

import pytest
import torch

from hsmad_cli.training.spectral_loss import (
    SIZE_PAIRS,
    SpectralDistance,
    draw_sizes,
    loudness,
    relative_error,
    third_octaves,
    three_signals,
    wave_distance,
)

RATE = 44100
SIZES = [size for pair in SIZE_PAIRS for size in pair]
LEFT = torch.ones(2, 1)


def signals(seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 2, 3000, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", SIZES)
def test_equal_signals_have_no_distance(size: int) -> None:
    for value in SpectralDistance(size, RATE)(signals(), signals(), LEFT):
        assert abs(float(value)) < 1e-6
    assert wave_distance(signals(), signals()) == 0.0


@pytest.mark.parametrize("size", SIZES)
def test_silence_has_finite_values_and_gradients(size: int) -> None:
    for target in (torch.zeros(2, 2, 3000), signals()):
        estimate = torch.zeros(2, 2, 3000, requires_grad=True)
        values = (*SpectralDistance(size, RATE)(estimate, target, LEFT), wave_distance(estimate, target))
        torch.stack(values).sum().backward()
        assert all(torch.isfinite(value) for value in values)
        assert torch.isfinite(estimate.grad).all()


def test_silence_instead_of_a_signal_costs_about_one() -> None:
    complex_distance, magnitude, _ = SpectralDistance(512, RATE)(torch.zeros(2, 2, 3000), signals(), LEFT)
    assert 0.9 < complex_distance < 1.0
    assert 0.9 < magnitude < 1.0
    assert 0.9 < wave_distance(torch.zeros(2, 2, 3000), signals()) < 1.0


def test_the_wrong_phase_costs_more_than_the_wrong_level() -> None:
    distance = SpectralDistance(512, RATE)
    inverted, upright, _ = distance(-signals(), signals(), LEFT)
    quieter, low, log_quieter = distance(0.5 * signals(), signals(), LEFT)
    assert inverted > 1.8
    assert upright < 1e-6
    assert float(quieter) == pytest.approx(1 - math.sqrt(0.5), abs=0.03)
    assert float(low) == pytest.approx(1 - math.sqrt(0.5), abs=0.03)
    assert float(log_quieter) == pytest.approx(math.log(2), abs=0.03)


def test_loudness_makes_the_distance_independent_of_level() -> None:
    distance = SpectralDistance(1024, RATE)
    values = []
    for gain in (1.0, 0.03):
        target, estimate = gain * signals(), gain * (signals() + 0.5 * signals(1))
        scale = loudness(target)
        values.append(torch.stack(distance(estimate / scale, target / scale, LEFT)))
    torch.testing.assert_close(values[0], values[1], rtol=1e-4, atol=1e-5)


def test_loudness_by_hand_and_its_floor() -> None:
    audio = torch.stack((torch.full((2, 8), 0.5), torch.zeros(2, 8)))
    assert loudness(audio).flatten().tolist() == pytest.approx([0.5, 0.01])


@pytest.mark.parametrize("size", SIZES)
def test_every_bin_is_of_one_band_and_no_band_is_empty_or_wide(size: int) -> None:
    bands = third_octaves(size, RATE)
    assert torch.equal(bands.sum(1), torch.ones(size // 2 + 1))
    hertz = torch.fft.rfftfreq(size, 1 / RATE)
    for members in bands.bool().T:
        first, last = hertz[members][[0, -1]]
        assert last <= max(60.0, first) * 2 ** (1 / 3) * 1.26


@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_lost_octaves_cost_their_share_of_all_however_quiet_they_are(gain: float) -> None:
    spectra = torch.fft.rfft(signals())
    high = torch.fft.rfftfreq(3000, 1 / RATE) > 2000
    target, estimate = (torch.fft.irfft(spectra * torch.where(high, level, 1.0)) for level in (gain, 0.0))
    scale = loudness(target)
    distance = SpectralDistance(2048, RATE)
    lost = (torch.fft.rfftfreq(2048, 1 / RATE) > 2000).float() @ distance.bands > 0
    for value in distance(estimate / scale, target / scale, LEFT)[:2]:
        assert float(value) == pytest.approx(float(lost.float().mean()), abs=0.1)


def test_three_signals_are_mid_side_and_one_channel() -> None:
    audio = torch.tensor([[[3.0], [1.0]], [[3.0], [1.0]]])
    signs = torch.tensor([[1.0], [-1.0]])
    assert three_signals(audio, signs)[..., 0].tolist() == [[2.0, 1.0, 3.0], [2.0, 1.0, 1.0]]


def test_relative_error_by_hand() -> None:
    assert float(relative_error(torch.zeros(()), torch.ones(()))) == 0.0
    assert float(relative_error(torch.tensor(1.01), torch.ones(()))) == pytest.approx(0.99, abs=1e-3)


def test_drawn_sizes_are_one_of_each_pair_and_follow_the_generator() -> None:
    drawn = {draw_sizes(torch.Generator().manual_seed(seed)) for seed in range(60)}
    assert len(drawn) == 8
    assert all(size in pair for sizes in drawn for size, pair in zip(sizes, SIZE_PAIRS, strict=True))
