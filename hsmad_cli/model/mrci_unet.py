"""Multi-resolution condition injection U-Net [figure 1, algorithm 2]: five blocks, each reads the score at its rate.

Only convolutions carry the latent along time, and norms act on single frames: the receptive field is small and exact,
so a long song can be denoised in blocks that agree with the whole.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hsmad_cli.config import LEVELS, UNetConfig, scales_of
from hsmad_cli.model.hse import ScoreFeatures
from hsmad_cli.model.layers import (
    Convolution,
    Downsample,
    FiLM,
    TimestepEmbedding,
    Upsample,
    require_equal_length,
    time_code,
)
from hsmad_cli.model.skip_modulation import SkipModulation
from hsmad_cli.model.tca import TCA, LevelScore


class ResidualBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(AdaLN(x, timestep))))))."""

    def __init__(self, width: int, condition_width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.timestep = FiLM(width, condition_width)
        self.convolution_in = Convolution(width, width, kernel, dilation)
        self.norm = nn.LayerNorm(width)
        self.convolution_out = Convolution(width, width, kernel, dilation)

    def forward(self, x: Tensor, timestep: Tensor) -> Tensor:
        hidden = self.timestep(F.layer_norm(x, x.shape[-1:]), timestep)
        hidden = self.norm(self.convolution_in(F.silu(hidden)))
        return x + self.convolution_out(F.silu(hidden))


class Layer(nn.Module):
    """Residual block with timestep, then style by FiLM, then Z + TCA(Z, F_l) where the level is injected."""

    def __init__(self, config: UNetConfig, level: int, score_width: int, dilation: int = 1) -> None:
        super().__init__()
        width = config.widths[level]
        self.residual = ResidualBlock(width, config.condition_width, config.kernel, dilation)
        self.style = FiLM(width, config.condition_width)
        self.tca = _tca(config, level, score_width)

    def forward(
        self, z: Tensor, timestep: Tensor, style: Tensor, score: LevelScore, deaf: Tensor | None = None
    ) -> Tensor:
        """deaf [B] bool: the items that do without their TCA."""
        z = self.style(self.residual(z, timestep), style)
        if self.tca is None:
            return z
        heard = self.tca(z, score)
        return z + (heard if deaf is None else heard.masked_fill(deaf[:, None, None], 0))


class UpEntry(nn.Module):
    """Algorithm 2, steps 0 to 2: check the lengths, modulate the skip by the score, join it with what came up."""

    def __init__(self, config: UNetConfig, level: int, score_width: int) -> None:
        super().__init__()
        width = config.widths[level]
        tca = _tca(config, level, score_width) if config.skip_modulation else None
        self.modulation = None if tca is None else SkipModulation(tca, config.skip_gate)
        self.join = nn.Linear(2 * width, width)

    def forward(self, z_up: Tensor, z_skip: Tensor, score: LevelScore) -> Tensor:
        require_equal_length(z_up=z_up.shape[1], z_skip=z_skip.shape[1], score=score.features.shape[1])
        if self.modulation is not None:
            z_skip = self.modulation(z_skip, score)
        return self.join(torch.cat([z_up, z_skip], dim=-1))


def _tca(config: UNetConfig, level: int, score_width: int) -> TCA | None:
    if LEVELS[level] not in config.inject:
        return None
    return TCA(config.widths[level], score_width, config.heads, config.head_width)


class MRCIUNet(nn.Module):
    """Noisy latent, diffusion time, score features and style -> prediction of the objective's target."""

    def __init__(
        self, config: UNetConfig, latent_channels: int, score_width: int, style_width: int, ratios: tuple[int, int]
    ) -> None:
        super().__init__()
        unknown = set(config.inject) - set(LEVELS)
        if unknown:
            raise ValueError(f"unet.inject names {', '.join(sorted(unknown))}; levels are {', '.join(LEVELS)}")
        self.config, self.ratios = config, ratios
        high, middle, low = config.widths
        self.timestep = TimestepEmbedding(config.condition_width)
        self.style = nn.Sequential(nn.LayerNorm(style_width), nn.Linear(style_width, config.condition_width), nn.SiLU())
        self.style_of_score = None
        if config.global_film:
            if "global" not in config.inject:
                raise ValueError("unet.global_film needs the global level in unet.inject")
            self.style_of_score = nn.Linear(score_width, config.condition_width, bias=False)
            nn.init.zeros_(self.style_of_score.weight)
        self.input = nn.Linear(latent_channels, high)
        self.down_1 = self._block(0, score_width)
        self.to_middle = Downsample(high, middle, ratios[0])
        self.down_2 = self._block(1, score_width)
        self.to_low = Downsample(middle, low, ratios[1])
        self.bottleneck = self._block(2, score_width, config.bottleneck_dilation)
        self.from_low = Upsample(low, middle, ratios[1])
        self.up_2_entry = UpEntry(config, 1, score_width)
        self.up_2 = self._block(1, score_width)
        self.from_middle = Upsample(middle, high, ratios[0])
        self.up_1_entry = UpEntry(config, 0, score_width)
        self.up_1 = self._block(0, score_width)
        self.output = nn.Sequential(nn.LayerNorm(high), nn.Linear(high, latent_channels))

    def _block(self, level: int, score_width: int, dilation: int = 1) -> nn.ModuleList:
        depth = self.config.depths[level]
        return nn.ModuleList(Layer(self.config, level, score_width, dilation**n) for n in range(depth))

    def forward(
        self,
        z: Tensor,
        t: Tensor,
        features: ScoreFeatures,
        style: Tensor,
        start: int = 0,
        deaf: Tensor | None = None,
    ) -> Tensor:
        """z: [B, T_H, C], t: [B] in 0..1, style: [B, D_style], start: absolute frame of z's first, multiple of R1 R2.

        deaf: [B] bool, the items whose first layer does without its TCA. Returns [B, T_H, C]. Time axes that do not
        match raise ValueError with the numbers.
        """
        high, middle, low = self._level_scores(z, features, start)
        condition = self.timestep(t), self._style_code(style, features)
        first, *others = self.down_1
        x = first(self.input(z), *condition, high, deaf)
        x = skip_1 = _run(others, x, *condition, high)
        x = skip_2 = _run(self.down_2, self.to_middle(x), *condition, middle)
        x = _run(self.bottleneck, self.to_low(x), *condition, low)
        x = self.up_2_entry(self.from_low(x), skip_2, middle)
        x = _run(self.up_2, x, *condition, middle)
        x = self.up_1_entry(self.from_middle(x), skip_1, high)
        x = _run(self.up_1, x, *condition, high)
        return self.output(x)

    def _style_code(self, style: Tensor, features: ScoreFeatures) -> Tensor:
        """The code that FiLM reads: [B, W], or [B, T_L, W] where F_global has a part in it."""
        code: Tensor = self.style(style)
        return code if self.style_of_score is None else code[:, None] + self.style_of_score(features.global_)

    def _level_scores(self, z: Tensor, features: ScoreFeatures, start: int) -> list[LevelScore]:
        n_frames, scales = z.shape[1], scales_of(self.ratios)
        multiple = scales[-1]
        if n_frames % multiple or start % multiple:
            raise ValueError(f"frames [{start}, {start + n_frames}) do not lie on multiples of R1 R2 = {multiple}")
        scores = []
        for level, scale, feature, window in zip(LEVELS, scales, features, self.config.tca_windows, strict=True):
            require_equal_length(**{f"z at the {level} level": n_frames // scale, f"F_{level}": feature.shape[1]})
            code = time_code(n_frames // scale, self.config.head_width, window, feature, start // scale)
            scores.append(LevelScore(feature, code))
        return scores

    @property
    def receptive_field(self) -> int | None:
        """Frames at T_H, a multiple of R1 R2, that a block needs on each side to agree with the whole; None = all.

        Counts the frames at an edge that the missing neighbours spoil, level by level. Attention reads the score of a
        fixed window, so it spoils a fixed number of frames and does not add up.
        """
        if any(self.config.tca_windows[LEVELS.index(level)] == 0 for level in self.config.inject):
            return None
        ratio_1, ratio_2 = self.ratios
        spoilt = self._spoilt(0, 0)
        spoilt = self._spoilt(1, _ceil_divide(spoilt + ratio_1 // 2, ratio_1))
        spoilt = self._spoilt(2, _ceil_divide(spoilt + ratio_2 // 2, ratio_2), self.config.bottleneck_dilation)
        spoilt = self._spoilt(1, spoilt * ratio_2 + ratio_2 // 2)
        spoilt = self._spoilt(0, spoilt * ratio_1 + ratio_1 // 2)
        multiple = scales_of(self.ratios)[-1]
        return _ceil_divide(spoilt, multiple) * multiple

    def _spoilt(self, level: int, spoilt: int, dilation: int = 1) -> int:
        injected = LEVELS[level] in self.config.inject
        attention = self.config.tca_windows[level] // 2 if injected else 0
        for n in range(self.config.depths[level]):
            spoilt = max(spoilt + 2 * (self.config.kernel // 2) * dilation**n, attention)
        return spoilt


def _run(block: Iterable[nn.Module], z: Tensor, timestep: Tensor, style: Tensor, score: LevelScore) -> Tensor:
    for layer in block:
        z = layer(z, timestep, style, score)
    return z


def _ceil_divide(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
