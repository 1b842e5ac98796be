"""How far a reconstruction is from its target: complex spectra, magnitudes, log magnitudes and the waveform itself.

All terms compare signals that were divided by the loudness of the target (`loudness`), item by item, so that a whisper
counts as much as a full orchestra; and each third of an octave counts as much as any other. An error measured over all
of the spectrum together is that of its loudest octaves: the partials above 2 kHz, of which no phase can be known, then
come out silent, and with them go notes. Magnitudes are compared by themselves for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hsmad_cli.model.spectrum import analysis_window, compressed, power, spectrum
from hsmad_cli.model.vae import to_mid_side

SIZE_PAIRS = ((4096, 2048), (1024, 512), (256, 128))
LOWEST_HZ, BANDS_AN_OCTAVE = 60.0, 3
QUIETEST_RMS = 1e-2
LOG_FLOOR = 2e-3
ENERGY_FLOOR = 1e-2
BAND_FLOOR = 1e-2
AMPLITUDE_FLOOR = 1e-4
SMOOTHING = 1e-2

Distances = tuple[Tensor, Tensor, Tensor]
Comparison = Callable[[Tensor, Tensor, Tensor], Distances]


def loudness(audio: Tensor) -> Tensor:
    """Root mean square of each item of audio [B, C, n] as [B, 1, 1], at least -40 dBFS."""
    return audio.float().square().mean((1, 2), keepdim=True).sqrt().clamp_min(QUIETEST_RMS)


def draw_sizes(generator: torch.Generator) -> tuple[int, ...]:
    """One FFT size of each pair, from a CPU generator that all processes share."""
    choices = torch.randint(2, (len(SIZE_PAIRS),), generator=generator).tolist()
    return tuple(pair[choice] for pair, choice in zip(SIZE_PAIRS, choices, strict=True))


def third_octaves(size: int, sample_rate: int) -> Tensor:
    """Which bin is of which band, 0 or 1 [size / 2 + 1, bands]: thirds of an octave, but none without a bin."""
    hertz = torch.fft.rfftfreq(size, 1 / sample_rate).clamp_min(LOWEST_HZ)
    number = (BANDS_AN_OCTAVE * torch.log2(hertz / LOWEST_HZ)).long()
    return F.one_hot(number.unique(return_inverse=True)[1]).float()


def relative_error(error_energy: Tensor, energy: Tensor) -> Tensor:
    """|error| / |signal| from their energies: 0 when equal, 1 for silence instead of the signal, smooth at 0."""
    return (error_energy / (energy + ENERGY_FLOOR) + SMOOTHING**2).sqrt() - SMOOTHING


def three_signals(audio: Tensor, sides: Tensor) -> Tensor:
    """[B, 2, n] left and right -> [B, 3, n] mid, side, and left where `sides` [B, 1] is 1, right where it is -1."""
    mid, side = to_mid_side(audio).unbind(1)
    return torch.stack((mid, side, mid + sides * side), 1)


class SpectralDistance(nn.Module):
    """Distances of stereo signals at one FFT size.

    `forward(estimate, target, sides)`: two signals [B, 2, n] of unit loudness -> scalars (complex, magnitude,
    log-magnitude).
    `compare` may be a compiled `compare_spectra`; one serves all sizes.
    """

    window: Tensor
    bands: Tensor

    def __init__(self, size: int, sample_rate: int, compare: Comparison | None = None) -> None:
        super().__init__()
        self.compare = compare or compare_spectra
        self.register_buffer("window", analysis_window(size), persistent=False)
        self.register_buffer("bands", third_octaves(size, sample_rate), persistent=False)

    def forward(self, estimate: Tensor, target: Tensor, sides: Tensor) -> Distances:
        Y = spectrum(three_signals(estimate, sides), self.window)
        X = spectrum(three_signals(target, sides), self.window)
        return self.compare(Y, X, self.bands)


def compare_spectra(Y: Tensor, X: Tensor, bands: Tensor) -> Distances:
    """Means over the bands: relative errors of |Y|^(1/2) e^(i phase) and of |Y|^(1/2), and |log |Y| / |X|| in nepers.

    Y, X: estimate and target [B, signals, frames, bins, 2]; bands: of the bins, 0 or 1 [bins, bands]. A band much
    quieter than the others of an item counts less.
    """
    compressed_X, compressed_Y = compressed(X), compressed(Y)
    energy = power(compressed_X).mean(2) @ bands
    energy = energy + BAND_FLOOR * energy.mean((1, 2), keepdim=True)
    complex_error = power(compressed_Y - compressed_X).mean(2) @ bands
    magnitude_error = (amplitude(compressed_Y) - amplitude(compressed_X)).square().mean(2) @ bands
    log_ratio = torch.log((power(Y) + LOG_FLOOR**2) / (power(X) + LOG_FLOOR**2)).abs().mean((0, 1, 2))
    return (
        relative_error(complex_error, energy).mean(),
        relative_error(magnitude_error, energy).mean(),
        0.5 * (log_ratio @ bands / bands.sum(0)).mean(),
    )


def amplitude(spectra: Tensor) -> Tensor:
    """|X| of spectra [..., 2], smooth at 0."""
    return (power(spectra) + AMPLITUDE_FLOOR**2).sqrt()


def wave_distance(estimate: Tensor, target: Tensor) -> Tensor:
    """Relative error of signals [B, 2, n] of unit loudness, a scalar: the loudest partials, phase first."""
    error = (estimate - target).square().mean((1, 2))
    return relative_error(error, target.square().mean((1, 2))).mean()
