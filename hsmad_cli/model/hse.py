"""Hierarchical score encoder [2.2]: the soft piano roll becomes features at three time resolutions."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hsmad_cli.config import LEVELS, HSEConfig, Level, scales_of
from hsmad_cli.model.layers import (
    DepthwiseConvolution,
    Downsample,
    FeedForward,
    SelfAttention,
    TimeCode,
    time_code,
)


class ScoreFeatures(NamedTuple):
    """F_event [B, T_H, D], F_local [B, T_M, D], F_global [B, T_L, D], each of unit scale per frame."""

    event: Tensor
    local: Tensor
    global_: Tensor


class ConvolutionModule(nn.Module):
    """The Conformer's convolution: gate, depthwise convolution, LayerNorm, SiLU, projection."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, 2 * width)
        self.depthwise = DepthwiseConvolution(width, kernel)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.silu(self.norm(self.depthwise(F.glu(self.gate(x), dim=-1)))))


class ConformerBlock(nn.Module):
    """Half a feed-forward, attention, convolution, half a feed-forward; each a residual branch behind a LayerNorm."""

    def __init__(self, config: HSEConfig) -> None:
        super().__init__()
        width = config.width
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.feed_in = FeedForward(width, config.expansion, config.dropout)
        self.attention = SelfAttention(width, config.heads)
        self.convolution = ConvolutionModule(width, config.kernel)
        self.feed_out = FeedForward(width, config.expansion, config.dropout)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, code: TimeCode) -> Tensor:
        x = x + 0.5 * self.dropout(self.feed_in(self.norms[0](x)))
        x = x + self.dropout(self.attention(self.norms[1](x), code))
        x = x + self.dropout(self.convolution(self.norms[2](x)))
        return x + 0.5 * self.dropout(self.feed_out(self.norms[3](x)))


class TransformerBlock(nn.Module):
    """Attention and feed-forward, each a residual branch behind a LayerNorm (the paper's ablation)."""

    def __init__(self, config: HSEConfig) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(2))
        self.attention = SelfAttention(config.width, config.heads)
        self.feed_forward = FeedForward(config.width, config.expansion, config.dropout)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, code: TimeCode) -> Tensor:
        x = x + self.dropout(self.attention(self.norms[0](x), code))
        return x + self.dropout(self.feed_forward(self.norms[1](x)))


BLOCKS = {"conformer": ConformerBlock, "transformer": TransformerBlock}


class Stage(nn.Module):
    """Blocks at one time resolution with one attention window, then the LayerNorm of what leaves the encoder."""

    def __init__(self, config: HSEConfig, depth: int, window: int) -> None:
        super().__init__()
        if config.block not in BLOCKS:
            raise ValueError(f"hse.block is {config.block!r}, not one of {', '.join(BLOCKS)}")
        self.window, self.head_width = window, config.width // config.heads
        self.blocks = nn.ModuleList(BLOCKS[config.block](config) for _ in range(depth))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, x: Tensor) -> Tensor:
        code = time_code(x.shape[1], self.head_width, self.window, x)
        for block in self.blocks:
            x = block(x, code)
        return self.norm(x)


class HSE(nn.Module):
    """Input projection, then three stages joined by strided convolutions of ratios R1 and R2."""

    def __init__(self, config: HSEConfig, d_in: int, ratios: tuple[int, int]) -> None:
        super().__init__()
        self.ratios = ratios
        self.input = nn.Linear(d_in, config.width)
        nn.init.normal_(self.input.weight, std=0.1)
        self.event, self.local, self.global_ = (
            Stage(config, depth, window) for depth, window in zip(config.depths, config.windows, strict=True)
        )
        self.to_local = Downsample(config.width, config.width, ratios[0])
        self.to_global = Downsample(config.width, config.width, ratios[1])

    def project(self, srm: Tensor) -> Tensor:
        """S_sync [B, T, D_in] -> [B, T, D], frame by frame, so that a long score can be projected in blocks."""
        return self.input(srm)

    def encode(self, projected: Tensor) -> ScoreFeatures:
        """A projected score [B, T_H, D] -> features; T_H not a multiple of R1 R2 raises ValueError."""
        n_frames, multiple = projected.shape[1], scales_of(self.ratios)[-1]
        if n_frames % multiple:
            raise ValueError(f"a score of {n_frames} frames is not a multiple of R1 R2 = {multiple}")
        event = self.event(projected)
        local = self.local(self.to_local(event))
        return ScoreFeatures(event, local, self.global_(self.to_global(local)))

    def forward(self, srm: Tensor) -> ScoreFeatures:
        return self.encode(self.project(srm))


class NullScore(nn.Module):
    """The absent score [2.5.2]: one learned vector per injected level in place of the encoder's output."""

    def __init__(self, width: int, inject: tuple[Level, ...]) -> None:
        super().__init__()
        self.vectors = nn.ParameterDict({level: nn.Parameter(torch.randn(width)) for level in inject})

    def forward(self, features: ScoreFeatures, mask: Tensor) -> ScoreFeatures:
        """Features with the items where mask [B] is True replaced."""
        levels = zip(LEVELS, features, strict=True)
        return ScoreFeatures(*(self._replace(level, feature, mask) for level, feature in levels))

    def _replace(self, level: str, feature: Tensor, mask: Tensor) -> Tensor:
        if level not in self.vectors:
            return feature
        return torch.where(mask[:, None, None], self.vectors[level].to(feature.dtype), feature)
