"""The latents of a whole clip bank, encoded once: what the denoiser learns to make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from hsmad_cli.datasets.memory import ClipBank
from hsmad_cli.model.precision import autocast
from hsmad_cli.model.vae import VAE

BLOCK_SAMPLES = 2**24


@torch.no_grad()
def with_encoded_audio(bank: ClipBank, codec: VAE, device: torch.device) -> ClipBank:
    """The bank on `device` with latents, float16, in place of its audio; as it is if it holds latents.

    Every clip is encoded whole, clips of equal length together.
    """
    if "latents" in bank.columns:
        return bank.to(device)
    codec = codec.to(device).eval()
    frames = np.cumsum([0, *bank.n_frames])
    latents = torch.empty(int(frames[-1]), codec.config.latent_channels, dtype=torch.float16, device=device)
    samples = frames * bank.rates.hop_length
    audio = bank.columns["audio"]
    for group in _blocks(bank.n_frames.tolist(), BLOCK_SAMPLES // bank.rates.hop_length):
        sound = torch.stack([audio[samples[clip] : samples[clip + 1]] for clip in group]).to(device)
        for clip, latent in zip(group, encoded(sound, codec), strict=True):
            latents[frames[clip] : frames[clip + 1]] = latent
    bank = bank.with_latents(latents)
    return replace(bank, columns={**bank.columns, "audio": audio[:0]}).to(device)


@torch.inference_mode()
def encoded(sound: Tensor, codec: VAE) -> Tensor:
    """Latents [B, T_H, C] of sound int16 [B, n, 2] on the codec's device, computed in bfloat16 where the chip does."""
    with autocast(sound.device):
        return codec.encode(sound.transpose(1, 2).float() / 32768)


def _blocks(lengths: Sequence[int], block: int) -> Iterator[list[int]]:
    """Indices of equal length, together no longer than a block (or one alone)."""
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    for length, group in groupby(order, key=lambda index: lengths[index]):
        indices = list(group)
        size = max(1, block // max(length, 1))
        yield from (indices[i : i + size] for i in range(0, len(indices), size))
