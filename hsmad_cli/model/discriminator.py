"""A discriminator on complex spectrograms at several resolutions, for the adversarial part of the codec's training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hsmad_cli.model.spectrum import analysis_window, compressed, spectrum
from hsmad_cli.model.vae import STEREO, WeightNormed, to_mid_side

SCALES = (2048, 1024, 512, 256, 128)
SCALES_A_STEP = 2
SLOPE = 0.2


class Judgement(NamedTuple):
    """The hidden features of one scale and its verdict [B, 1, frames, bins]: above 0 = real."""

    features: list[Tensor]
    verdict: Tensor


class ImageConvolution(WeightNormed):
    """[B, C, frames, bins] -> [B, C', frames, bins / stride]; kernel and dilation are (frames, bins)."""

    def __init__(self, channels_in: int, channels_out: int, kernel: tuple[int, int], stride: int, dilation: int = 1):
        super().__init__((channels_out, channels_in, *kernel), gain=1.0)
        self.stride = (1, stride)
        self.dilation = (dilation, 1)
        self.padding = (kernel[0] // 2 * dilation, kernel[1] // 2)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight(), self.bias, self.stride, self.padding, self.dilation)


class ScaleDiscriminator(nn.Module):
    """Judges compressed complex spectra of mid and side at one FFT size; halves the frequency axis at every layer."""

    window: Tensor

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("window", analysis_window(size), persistent=False)
        self.layers = nn.ModuleList(
            [
                ImageConvolution(2 * STEREO, channels, (3, 9), 2),
                ImageConvolution(channels, channels, (3, 5), 2),
                ImageConvolution(channels, channels, (3, 5), 2, dilation=2),
                ImageConvolution(channels, channels, (3, 5), 2, dilation=4),
                ImageConvolution(channels, channels, (3, 3), 1),
            ]
        )
        self.verdict = ImageConvolution(channels, 1, (3, 3), 1)

    def forward(self, audio: Tensor) -> Judgement:
        """Audio [B, 2, n] -> its verdict, with the hidden features [B, channels, frames, bins] of every layer."""
        spectra = compressed(spectrum(to_mid_side(audio), self.window))
        hidden = spectra.permute(0, 1, 4, 2, 3).flatten(1, 2).contiguous(memory_format=torch.channels_last)
        features = []
        for layer in self.layers:
            hidden = F.leaky_relu(layer(hidden), SLOPE)
            features.append(hidden)
        return Judgement(features, self.verdict(hidden).float())


class Discriminator(nn.Module):
    """Judges stereo audio [B, 2, n] of unit loudness at a choice of its scales."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.scales = nn.ModuleDict({str(size): ScaleDiscriminator(size, channels) for size in SCALES})

    def forward(self, audio: Tensor, scales: Iterable[int] = SCALES) -> list[Judgement]:
        return [self.scales[str(size)](audio) for size in scales]


def draw_scales(generator: torch.Generator) -> tuple[int, ...]:
    """The scales of one step, largest first, from a CPU generator that all processes share."""
    order = torch.randperm(len(SCALES), generator=generator)[:SCALES_A_STEP].sort().values
    return tuple(SCALES[i] for i in order.tolist())


def discriminator_loss(real: list[Judgement], fake: list[Judgement]) -> Tensor:
    """Hinge loss of the discriminator: 2 when it knows nothing, 0 when it is sure and right."""
    losses = [F.relu(1 - r.verdict).mean() + F.relu(1 + f.verdict).mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(losses).mean()


def adversarial_loss(fake: list[Judgement]) -> Tensor:
    """Hinge loss of the generator: minus the mean verdict."""
    return torch.stack([-judgement.verdict.mean() for judgement in fake]).mean()


def feature_loss(real: list[Judgement], fake: list[Judgement]) -> Tensor:
    """Mean absolute difference of hidden features, relative to the size of the real ones."""
    distances = [
        F.l1_loss(g.float(), f.detach().float()) / f.detach().float().abs().mean().clamp_min(1e-3)
        for r, k in zip(real, fake, strict=True)
        for f, g in zip(r.features, k.features, strict=True)
    ]
    return torch.stack(distances).mean()
