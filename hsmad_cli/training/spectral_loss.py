"""How far a reconstruction is from its target: complex spectra, log magnitudes and the waveform itself.

All terms compare signals that were divided by the loudness of the target (`loudness`), item by item, so that a whisper
counts as much as a full orchestra. Half of the weight lies below 5 kHz, where the notes are.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hsmad_cli.model.spectrum import analysis_window, compressed, power, spectrum
from hsmad_cli.model.vae import to_mid_side

SIZE_PAIRS = ((4096, 2048), (1024, 512), (256, 128))
SPLIT_HZ = 5000.0
QUIETEST_RMS = 1e-2
LOG_FLOOR = 5e-3
ENERGY_FLOOR = 1e-2
SMOOTHING = 1e-2

Comparison = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def loudness(audio: Tensor) -> Tensor:
    """Root mean square of each item of audio [B, C, n] as [B, 1, 1], at least -40 dBFS."""
    return audio.float().square().mean((1, 2), keepdim=True).sqrt().clamp_min(QUIETEST_RMS)


def draw_sizes(generator: torch.Generator) -> tuple[int, ...]:
    """One FFT size of each pair, from a CPU generator that all processes share."""
    choices = torch.randint(2, (len(SIZE_PAIRS),), generator=generator).tolist()
    return tuple(pair[choice] for pair, choice in zip(SIZE_PAIRS, choices, strict=True))


def band_weights(size: int, sample_rate: int) -> Tensor:
    """Weights of the bins [size / 2 + 1] with sum 1: one half below 5 kHz, one half above, even within each."""
    low = torch.fft.rfftfreq(size, 1 / sample_rate) < SPLIT_HZ
    return 0.5 * (low / low.sum() + ~low / (~low).sum())


def relative_error(error_energy: Tensor, energy: Tensor) -> Tensor:
    """|error| / |signal| from their energies: 0 when equal, 1 for silence instead of the signal, smooth at 0."""
    return (error_energy / (energy + ENERGY_FLOOR) + SMOOTHING**2).sqrt() - SMOOTHING


def three_signals(audio: Tensor, sides: Tensor) -> Tensor:
    """[B, 2, n] left and right -> [B, 3, n] mid, side, and left where `sides` [B, 1] is 1, right where it is -1."""
    mid, side = to_mid_side(audio).unbind(1)
    return torch.stack((mid, side, mid + sides * side), 1)


class SpectralDistance(nn.Module):
    """Distances of stereo signals at one FFT size.

    `forward(estimate, target, sides)`: two signals [B, 2, n] of unit loudness -> (complex, log-magnitude) scalars.
    `compare` may be a compiled `compare_spectra`; one serves all sizes.
    """

    window: Tensor
    weights: Tensor

    def __init__(self, size: int, sample_rate: int, compare: Comparison | None = None) -> None:
        super().__init__()
        self.compare = compare or compare_spectra
        self.register_buffer("window", analysis_window(size), persistent=False)
        self.register_buffer("weights", band_weights(size, sample_rate), persistent=False)

    def forward(self, estimate: Tensor, target: Tensor, sides: Tensor) -> tuple[Tensor, Tensor]:
        Y = spectrum(three_signals(estimate, sides), self.window)
        X = spectrum(three_signals(target, sides), self.window)
        return self.compare(Y, X, self.weights)


def compare_spectra(Y: Tensor, X: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The relative error of |Y|^(1/2) e^(i phase), and the mean |log |Y| / |X|| in nepers.

    Y, X: estimate and target [B, signals, frames, bins, 2]; weights: of the bins, with sum 1.
    """

    def mean(values: Tensor) -> Tensor:
        return (values * weights).sum(-1).mean((1, 2))

    compressed_X = compressed(X)
    error = mean(power(compressed(Y) - compressed_X))
    log_ratio = torch.log((power(Y) + LOG_FLOOR**2) / (power(X) + LOG_FLOOR**2))
    return relative_error(error, mean(power(compressed_X))).mean(), 0.5 * mean(log_ratio.abs()).mean()


def wave_distance(estimate: Tensor, target: Tensor) -> Tensor:
    """Relative error of signals [B, 2, n] of unit loudness, a scalar: the loudest partials, phase first."""
    error = (estimate - target).square().mean((1, 2))
    return relative_error(error, target.square().mean((1, 2))).mean()
