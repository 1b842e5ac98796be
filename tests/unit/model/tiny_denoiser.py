"""What the tests of the score side and the U-Net share: the tiny denoiser in float64, features, slices in time."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from hsmad_cli.config import load_preset
from hsmad_cli.model.denoiser import Denoiser
from hsmad_cli.model.hse import ScoreFeatures

D_IN, CHANNELS, STYLE = 24, 6, 10
SCALES = (1, 4, 16)
TINY = load_preset("tiny").denoiser


def tiny_denoiser(**unet: object) -> Denoiser:
    """The tiny preset with some U-Net fields changed, weights from a fixed seed, float64."""
    torch.manual_seed(0)
    config = replace(TINY, unet=replace(TINY.unet, **unet))
    return Denoiser(config, CHANNELS, STYLE, D_IN).double().eval()


def random(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_features(n_items: int, n_frames: int, seed: int = 2) -> ScoreFeatures:
    width = TINY.hse.width
    return ScoreFeatures(*(random(n_items, n_frames // scale, width, seed=seed + scale) for scale in SCALES))


def sliced(features: ScoreFeatures, start: int, stop: int) -> ScoreFeatures:
    """The features of the frames [start, stop) of T_H."""
    return ScoreFeatures(*(x[:, start // scale : stop // scale] for x, scale in zip(features, SCALES, strict=True)))
