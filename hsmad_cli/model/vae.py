"""The waveform VAE [4.1.2]: stereo audio <-> latents at T_H (design: DAC-like convolutions, standardised bottleneck).

Sequences are [B, T, C] throughout, so that changing the rate by R is a reshape and one matrix product: R neighbouring
frames of C channels are one frame of R*C channels. Every level is aligned to its frames; only the dilated convolutions
look sideways, which makes the receptive field, and so the halo of block-wise coding, exact.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import accumulate
from math import ceil, prod
from operator import mul

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hsmad_cli.config import CodecConfig

STEREO = 2
INPUT_GAIN = 5.0
OUTPUT_SCALE = 0.01
BRANCH_GAIN = 0.3
LATENT_KERNEL = 3
STATISTICS_HORIZON = 500
VARIANCE_FLOOR = 1e-5
CACHED_ELEMENTS = 1 << 17
SNAKE_KERNEL = """
template <typename T> T snake(T x, T log_alpha) {
  float alpha = expf(float(log_alpha));
  float wave = sinf(alpha * float(x));
  return T(float(x) + wave * wave / alpha);
}
"""


def to_mid_side(audio: Tensor) -> Tensor:
    """[B, 2, n] left and right -> [B, 2, n] mid = (l + r) / 2 and side = (l - r) / 2."""
    left, right = audio.unbind(1)
    return torch.stack((left + right, left - right), 1) / 2


def from_mid_side(audio: Tensor) -> Tensor:
    """The inverse of `to_mid_side`."""
    mid, side = audio.unbind(1)
    return torch.stack((mid + side, mid - side), 1)


def to_patches(audio: Tensor, size: int) -> Tensor:
    """[B, C, T * size] -> [B, T, C * size]."""
    batch, channels, samples = audio.shape
    return audio.view(batch, channels, samples // size, size).transpose(1, 2).reshape(batch, -1, channels * size)


def from_patches(patches: Tensor, size: int) -> Tensor:
    """The inverse of `to_patches`."""
    batch, frames, width = patches.shape
    return patches.view(batch, frames, width // size, size).transpose(1, 2).reshape(batch, width // size, -1)


class Snake(nn.Module):
    """x + sin^2(alpha x) / alpha with one alpha a channel, kept as its logarithm; computed in float32."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_alpha = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda and not torch.compiler.is_compiling() and torch.version.cuda and torch.is_inference_mode_enabled():
            return snake_kernel()(x, self.log_alpha.to(x.dtype))
        alpha = self.log_alpha.float().exp()
        if x.device.type == "cpu" and not torch.is_grad_enabled():
            return self._in_cache(x, alpha)
        wave = torch.sin(x.float() * alpha)
        return torch.addcmul(x.float(), wave, wave / alpha).to(x.dtype)

    @staticmethod
    def _in_cache(x: Tensor, alpha: Tensor) -> Tensor:
        """The same for inference on a CPU: in pieces that stay in its cache, up to five times faster."""
        result = torch.empty_like(x)
        scale = alpha.rsqrt()
        frames = max(1, CACHED_ELEMENTS // x.shape[-1])
        for source, target in zip(x.split(frames, 1), result.split(frames, 1), strict=True):
            source = source.float()
            wave = (source * alpha).sin_().mul_(scale)
            target.copy_(wave.square_().add_(source))
        return result


@cache
def snake_kernel() -> Callable[[Tensor, Tensor], Tensor]:
    """snake(x [..., C], log_alpha [C]) as one kernel of a GPU, compiled at its first call (0.7 s once a machine)."""
    kernel: Callable[[Tensor, Tensor], Tensor] = torch.cuda.jiterator._create_jit_fn(SNAKE_KERNEL)
    return kernel


class WeightNormed(nn.Module):
    """A weight as direction times gain, w = g v / |v| row by row: rows of norm 1 keep the variance of their input."""

    def __init__(self, shape: tuple[int, ...], gain: float) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.randn(shape) / prod(shape[1:]) ** 0.5)
        self.gain = nn.Parameter(torch.full((shape[0],), gain))
        self.bias = nn.Parameter(torch.zeros(shape[0]))

    def weight(self) -> Tensor:
        direction = self.direction.flatten(1).float()
        scale = self.gain.float() * direction.square().sum(1).clamp_min(1e-12).rsqrt()
        return (direction * scale[:, None]).view_as(self.direction)


class Pointwise(WeightNormed):
    """[B, T, C] -> [B, T, C'], each frame alone."""

    def __init__(self, channels_in: int, channels_out: int, gain: float = 1.0) -> None:
        super().__init__((channels_out, channels_in), gain)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight(), self.bias)


class Convolution(WeightNormed):
    """[B, T, C] -> [B, T, C'] over an odd number of frames, zeros beyond the ends.

    Runs as a 1 x kernel image convolution: [B, T, C] is what libraries call channels-last, their fastest layout.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, dilation: int = 1, gain: float = 1.0) -> None:
        super().__init__((channels_out, channels_in, 1, kernel), gain)
        self.dilation = dilation
        self.reach = kernel // 2 * dilation

    def forward(self, x: Tensor) -> Tensor:
        image = x.transpose(1, 2).unsqueeze(2)
        image = F.conv2d(image, self.weight(), self.bias, padding=(0, self.reach), dilation=(1, self.dilation))
        return image.squeeze(2).transpose(1, 2)


class ResidualUnit(nn.Module):
    """x + mix(snake(convolve(snake(x))))."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.before = Snake(channels)
        self.convolve = Convolution(channels, channels, kernel, dilation)
        self.between = Snake(channels)
        self.mix = Pointwise(channels, channels, BRANCH_GAIN)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mix(self.between(self.convolve(self.before(x))))


class Downsample(nn.Module):
    """[B, T * R, C] -> [B, T, C']."""

    def __init__(self, channels_in: int, channels_out: int, ratio: int) -> None:
        super().__init__()
        self.ratio = ratio
        self.activation = Snake(channels_in)
        self.merge = Pointwise(channels_in * ratio, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        batch, frames, channels = x.shape
        return self.merge(self.activation(x).reshape(batch, frames // self.ratio, channels * self.ratio))


class Upsample(nn.Module):
    """[B, T, C] -> [B, T * R, C']."""

    def __init__(self, channels_in: int, channels_out: int, ratio: int) -> None:
        super().__init__()
        self.ratio = ratio
        self.activation = Snake(channels_in)
        self.split = Pointwise(channels_in, channels_out * ratio)

    def forward(self, x: Tensor) -> Tensor:
        batch, frames, _ = x.shape
        return self.split(self.activation(x)).reshape(batch, frames * self.ratio, -1)


def residual_units(channels: int, kernel: int, dilations: tuple[int, ...]) -> list[nn.Module]:
    return [ResidualUnit(channels, kernel, dilation) for dilation in dilations]


class Encoder(nn.Module):
    """Mid/side audio [B, 2, T * hop] -> raw latents [B, T, C]."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        channels, kernels, strides = config.encoder_channels, config.kernels, config.strides
        self.patch = strides[0]
        layers: list[nn.Module] = [Convolution(STEREO * self.patch, channels[0], kernels[0], gain=INPUT_GAIN)]
        for level, width in enumerate(channels):
            if level:
                layers.append(Downsample(channels[level - 1], width, strides[level]))
            layers += residual_units(width, kernels[level], config.dilations)
        layers += [Snake(channels[-1]), Convolution(channels[-1], config.latent_channels, LATENT_KERNEL)]
        self.layers = nn.Sequential(*layers)

    def forward(self, audio: Tensor) -> Tensor:
        return self.layers(to_patches(audio, self.patch)).float()


class Decoder(nn.Module):
    """Latents [B, T, C] -> mid/side audio [B, 2, T * hop]; the last convolution runs in float32."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        channels, kernels, strides = config.decoder_channels, config.kernels, config.strides
        self.patch = strides[0]
        layers: list[nn.Module] = [Convolution(config.latent_channels, channels[-1], LATENT_KERNEL)]
        for level in reversed(range(len(channels))):
            layers += residual_units(channels[level], kernels[level], config.dilations)
            if level:
                layers.append(Upsample(channels[level], channels[level - 1], strides[level]))
        layers.append(Snake(channels[0]))
        self.layers = nn.Sequential(*layers)
        self.to_audio = Convolution(channels[0], STEREO * self.patch, kernels[0])

    def forward(self, latent: Tensor) -> Tensor:
        hidden = self.layers(latent)
        with torch.autocast(hidden.device.type, enabled=False):
            return from_patches(OUTPUT_SCALE * self.to_audio(hidden.float()), self.patch)


class VAE(nn.Module):
    """Stereo audio [B, 2, n] in -1..1 at `config.sample_rate` <-> latents [B, T, C] of mean 0 and variance 1 [4.1.2].

    In training the latents are standardised by the statistics of the batch and disturbed by noise, in place of a KL
    term; `update_statistics` gathers the running statistics that `encode` uses. They are of augmented audio, the scale
    that the decoder knows: music at full level comes out a tenth wider.
    """

    latent_mean: Tensor
    latent_variance: Tensor
    latent_updates: Tensor

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = config.sample_rate
        self.hop_length = config.hop_length
        self.latent_channels = config.latent_channels
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.register_buffer("latent_mean", torch.zeros(config.latent_channels))
        self.register_buffer("latent_variance", torch.ones(config.latent_channels))
        self.register_buffer("latent_updates", torch.zeros(()))

    @property
    def halo(self) -> int:
        """Latent frames that a block needs on each side so that coding it equals coding the whole."""
        config = self.config
        samples_a_frame = accumulate(config.strides, mul)
        reach = config.kernels[0] // 2 * config.strides[0] + LATENT_KERNEL // 2 * self.hop_length
        for kernel, samples in zip(config.kernels, samples_a_frame, strict=True):
            reach += kernel // 2 * sum(config.dilations) * samples
        return ceil(reach / self.hop_length)

    def encode(self, audio: Tensor) -> Tensor:
        """Audio [B, 2, n] -> standardised latents [B, ceil(n / hop), C], float32; the end is padded with zeros."""
        if audio.ndim != 3 or audio.shape[1] != STEREO:
            raise ValueError(f"the codec reads stereo audio [B, {STEREO}, n], got {list(audio.shape)}")
        audio = F.pad(audio, (0, -audio.shape[-1] % self.hop_length))
        return self.standardise(self.encoder(to_mid_side(audio)), self.latent_mean, self.latent_variance)

    def decode(self, latent: Tensor) -> Tensor:
        """Standardised latents [B, T, C] -> audio [B, 2, T * hop], float32, not clipped."""
        if latent.ndim != 3 or latent.shape[2] != self.latent_channels:
            raise ValueError(f"the codec reads latents [B, T, {self.latent_channels}], got {list(latent.shape)}")
        return from_mid_side(self.decoder(latent))

    def reconstruct(self, audio: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The training pass: audio [B, 2, T * hop] and latent noise [B, T, C] -> audio, and mean and variance [C].

        The statistics are those of this batch before standardisation, without gradient, for `update_statistics`.
        """
        raw = self.encoder(to_mid_side(audio))
        variance, mean = torch.var_mean(raw, (0, 1), correction=0)
        latent = self.standardise(raw, mean, variance)
        return self.decode(latent + noise), mean.detach(), variance.detach()

    def reconstruct_frozen(self, audio: Tensor, noise: Tensor) -> Tensor:
        """The training pass of the decoder alone: what it makes of the latents of `encode` and of noise [B, T, C]."""
        with torch.no_grad():
            latent = self.encode(audio)
        return self.decode(latent + noise)

    @staticmethod
    def standardise(raw: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        return (raw - mean) * (variance + VARIANCE_FLOOR).rsqrt()

    @torch.no_grad()
    def update_statistics(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics [C] towards those of a batch: first a plain average, then a moving one."""
        self.latent_updates.add_(1).clamp_(max=STATISTICS_HORIZON)
        weight = self.latent_updates.reciprocal()
        self.latent_mean.lerp_(mean, weight)
        self.latent_variance.lerp_(variance, weight)
