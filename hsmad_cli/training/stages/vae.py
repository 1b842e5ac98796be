"""The codec's stage: a VAE that learns waveforms, and later a discriminator that judges them.

The weights of the four distances give their gradients, as measured at the waveform near 13 dB of SNR, about the shares
30 : 46 : 22 : 1; the discriminator's two gradients are brought to their shares in every step.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from hsmad_cli.config import Config, to_dict
from hsmad_cli.model.discriminator import (
    Discriminator,
    Judgement,
    adversarial_loss,
    discriminator_loss,
    draw_scales,
    feature_loss,
)
from hsmad_cli.model.vae import VAE
from hsmad_cli.training.randomness import Draw, seeded
from hsmad_cli.training.spectral_loss import (
    SIZE_PAIRS,
    Comparison,
    SpectralDistance,
    compare_spectra,
    draw_sizes,
    loudness,
    wave_distance,
)

WEIGHTS = {"complex": 0.5, "magnitude": 1.0, "log_magnitude": 0.5, "wave": 0.5}
SPECTRAL_SHARE, FEATURE_SHARE, ADVERSARIAL_SHARE = 0.65, 0.25, 0.10
ADVERSARIAL_RAMP = 500
JUDGED_ITEMS = 0.5
NOISY_ITEMS, NOISY_RANGE = 0.3, (2.0, 3.0)
GAIN_DB, WIDE_GAIN_DB, WIDE_ITEMS = (-15.0, 9.0), (-40.0, 0.0), 0.15
MONO_ITEMS, SILENT_ITEMS = 0.05, 0.005


class AudioSource(Protocol):
    """Where crops come from: a `ClipBank`."""

    def crop_audio(self, generator: torch.Generator, batch: int, n_samples: int) -> Tensor:
        """[batch, 2, n_samples] float32 in -1..1."""
        ...


class VAEBatch(NamedTuple):
    """audio [B, 2, n]; latent noise [B, T, C]; sides [B, 1], 1 = left, -1 = right; FFT sizes of this step."""

    audio: Tensor
    noise: Tensor
    sides: Tensor
    sizes: tuple[int, ...]
    scales: tuple[int, ...]


class VAEStage:
    """Trains the codec on crops of `clips`; the discriminator joins at step `adversarial_from` (0 = never).

    With a frozen encoder the statistics of the latents are frozen, too: the decoder hears the latents of `encode`.
    """

    kind = "vae"

    def __init__(self, config: Config, clips: AudioSource, device: torch.device, seed: int = 0) -> None:
        self.config, self.train, self.clips, self.device = config, config.train_vae, clips, device
        with seeded(seed, "vae"):
            self.vae = VAE(config.codec)
            self.discriminator = Discriminator()
        self.players: dict[str, nn.Module] = {"vae": self.vae.to(device)}
        if self.train.adversarial_from:
            self.players["discriminator"] = self.discriminator.to(device)
        self.decoder_alone = "encoder" in self.train.frozen
        self.reconstruct: Callable[..., Any] = (
            self.vae.reconstruct_frozen if self.decoder_alone else self.vae.reconstruct
        )
        compare: Comparison = compare_spectra
        if self.train.compile:
            self.reconstruct = torch.compile(self.reconstruct, dynamic=False, fullgraph=True)
            compare = torch.compile(compare_spectra, dynamic=True, fullgraph=True)
        rate = config.codec.sample_rate
        sizes = (size for pair in SIZE_PAIRS for size in pair)
        self.distances = {size: SpectralDistance(size, rate, compare).to(device) for size in sizes}
        self.judged: tuple[list[Judgement], list[Judgement]] | None = None

    def batch(self, step: int, draw: Draw) -> VAEBatch:
        """Augmented crops and all chances of one step; the FFT sizes agree on all processes."""
        generator = draw.generator("vae", self.device)
        shared = draw.generator("vae sizes", shared=True)
        items, frames = self.train.batch, self.train.crop_frames
        audio = self.clips.crop_audio(generator, items, frames * self.config.codec.hop_length)
        return VAEBatch(
            audio=augment(audio, generator),
            noise=self._latent_noise(items, frames, generator),
            sides=random_signs(items, generator)[:, None],
            sizes=draw_sizes(shared),
            scales=draw_scales(shared),
        )

    def _latent_noise(self, items: int, frames: int, generator: torch.Generator) -> Tensor:
        """Gaussian noise [B, T, C] of the usual size, on some of the items of two to three times that size."""
        shape = (items, frames, self.config.codec.latent_channels)
        noise = torch.randn(shape, generator=generator, device=self.device)
        noisy = chance(NOISY_ITEMS, items, generator)
        size = torch.where(noisy, uniform(*NOISY_RANGE, items, generator), 1.0)
        return noise * (self.train.latent_noise * size)[:, None, None]

    def loss(self, player: str, batch: VAEBatch, step: int) -> tuple[Tensor, dict[str, Tensor]] | None:
        """The codec's loss, or the discriminator's by what it said for that loss just before."""
        adversarial = 0 < self.train.adversarial_from <= step
        if player == "vae":
            return self._vae_loss(batch, self._ramp(step) if adversarial else 0.0)
        return self._discriminator_loss() if adversarial else None

    def _ramp(self, step: int) -> float:
        return min(1.0, (step + 1 - self.train.adversarial_from) / ADVERSARIAL_RAMP)

    def _vae_loss(self, batch: VAEBatch, adversarial: float) -> tuple[Tensor, dict[str, Tensor]]:
        audio = self._reconstructed(batch)
        scale = loudness(batch.audio)
        estimate, target = audio / scale, batch.audio / scale
        if not adversarial:
            return self._spectral_loss(estimate, target, batch)
        return self._balanced_loss(estimate, target, batch, adversarial)

    def _reconstructed(self, batch: VAEBatch) -> Tensor:
        if self.decoder_alone:
            return self.reconstruct(batch.audio, batch.noise)
        audio, mean, variance = self.reconstruct(batch.audio, batch.noise)
        self.vae.update_statistics(mean, variance)
        return audio

    def _spectral_loss(self, estimate: Tensor, target: Tensor, batch: VAEBatch) -> tuple[Tensor, dict[str, Tensor]]:
        pairs = [self.distances[size](estimate, target, batch.sides) for size in batch.sizes]
        names = ("complex", "magnitude", "log_magnitude")
        scalars = {name: torch.stack(terms).mean() for name, terms in zip(names, zip(*pairs, strict=True), strict=True)}
        scalars["wave"] = wave_distance(estimate, target)
        loss = torch.stack([WEIGHTS[name] * value for name, value in scalars.items()]).sum()
        return loss, {name: value.detach() for name, value in scalars.items()}

    def _balanced_loss(
        self, estimate: Tensor, target: Tensor, batch: VAEBatch, adversarial: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A loss whose gradient is the spectral one plus the discriminator's two, each brought to its share.

        The discriminator, which takes longer than all the rest, hears the first half of the items only.
        The gradients are weighed where they are comparable, at the estimate [B, 2, n]; so the decoder is passed through
        backwards only once. `heard` is no leaf, which the FLOP counter of `--profile` would refuse.
        """
        heard = estimate.detach().requires_grad_().view_as(estimate)
        spectral, scalars = self._spectral_loss(heard, target, batch)
        gradient = torch.autograd.grad(spectral, heard)[0]
        norm = gradient.norm() / SPECTRAL_SHARE
        judged = ceil(JUDGED_ITEMS * len(heard))
        real, fake = (self.discriminator(audio[:judged], batch.scales) for audio in (target, heard))
        features, verdicts = feature_loss(real, fake), adversarial_loss(fake)
        for term, share in ((features, FEATURE_SHARE), (verdicts, ADVERSARIAL_SHARE)):
            other = torch.autograd.grad(term, heard, retain_graph=True)[0]
            gradient = gradient + adversarial * share * norm / other.norm().clamp_min(1e-8) * other
        self.judged = real, fake
        scalars |= {"spectral": spectral.detach(), "features": features.detach(), "adversarial": verdicts.detach()}
        return passing_on(estimate, gradient, spectral), scalars

    def _discriminator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The discriminator has not moved since the codec's loss: its verdicts, and their gradients, still hold."""
        if self.judged is None:
            raise ValueError("the discriminator moves after the vae, in the same step")
        (real, fake), self.judged = self.judged, None
        return discriminator_loss(real, fake), {}

    def header(self) -> dict[str, Any]:
        return {"config": to_dict(self.config.codec)}


def passing_on(estimate: Tensor, gradient: Tensor, value: Tensor) -> Tensor:
    """A scalar that equals `value` and whose gradient with respect to `estimate` is `gradient`."""
    inner = (estimate * gradient).sum()
    return inner - inner.detach() + value.detach()


def uniform(low: float, high: float, items: int, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(items, generator=generator, device=generator.device)


def chance(probability: float, items: int, generator: torch.Generator) -> Tensor:
    return torch.rand(items, generator=generator, device=generator.device) < probability


def random_signs(items: int, generator: torch.Generator) -> Tensor:
    return torch.where(chance(0.5, items, generator), 1.0, -1.0)


def augment(audio: Tensor, generator: torch.Generator) -> Tensor:
    """Polarity, swapped channels, mono, silence, and levels from a whisper to full scale; peaks never exceed 1.

    audio [B, 2, n] in -1..1 -> the same.
    """
    items = len(audio)
    decibels = torch.where(
        chance(WIDE_ITEMS, items, generator),
        uniform(*WIDE_GAIN_DB, items, generator),
        uniform(*GAIN_DB, items, generator),
    )
    gain = random_signs(items, generator) * 10 ** (decibels / 20) * ~chance(SILENT_ITEMS, items, generator)
    swapped = chance(0.5, items, generator)[:, None, None]
    mono = chance(MONO_ITEMS, items, generator)[:, None, None]
    audio = torch.where(swapped, audio.flip(1), audio)
    audio = torch.where(mono, audio.mean(1, keepdim=True), audio)
    audio = audio * gain[:, None, None]
    return audio / audio.abs().amax((1, 2), keepdim=True).clamp_min(1.0)
