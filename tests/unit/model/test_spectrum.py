"""Energy-conserving spectra and their compression."""

from __future__ import annotations

import math

import pytest
import torch

from hsmad_cli.model.spectrum import analysis_window, compressed, power, spectrum


@pytest.mark.parametrize("size", [8, 128, 2048])
@pytest.mark.parametrize("samples", [100, 1000])
def test_energy_of_spectra_is_energy_of_the_signal(size: int, samples: int) -> None:
    signal = torch.randn(3, samples, generator=torch.Generator().manual_seed(0))
    bins = power(spectrum(signal, analysis_window(size)))
    two_sided = torch.full((size // 2 + 1,), 2.0)
    two_sided[[0, -1]] = 1.0
    torch.testing.assert_close((bins * two_sided).sum((1, 2)), signal.square().sum(1))


def test_one_frame_equals_the_transform_written_out() -> None:
    window = analysis_window(8)
    signal = torch.arange(8.0)
    frame = spectrum(signal, window)[3]  # three frames begin before the signal, at hops of 2
    angle = 2 * math.pi * torch.arange(5)[:, None] * torch.arange(8) / 8
    expected = torch.stack(((window * signal * angle.cos()).sum(1), -(window * signal * angle.sin()).sum(1)), -1)
    torch.testing.assert_close(frame, expected / math.sqrt(8))


def test_compression_is_a_square_root_that_keeps_the_phase() -> None:
    spectra = torch.tensor([[9.0, 0.0], [0.0, -16.0], [0.0, 0.0]], requires_grad=True)
    result = compressed(spectra)
    torch.testing.assert_close(result, torch.tensor([[3.0, 0.0], [0.0, -4.0], [0.0, 0.0]]), atol=1e-4, rtol=1e-4)
    result.sum().backward()
    assert torch.isfinite(spectra.grad).all()
    assert spectra.grad.abs().max() < 20
