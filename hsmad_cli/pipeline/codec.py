"""The codec at work on whole sounds [4.1.2]."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from hsmad_cli.errors import InputError
from hsmad_cli.files.checkpoint import file_sha256
from hsmad_cli.files.hub import find_weights
from hsmad_cli.model.precision import autocast
from hsmad_cli.model.pretrained_codecs import PretrainedCodec
from hsmad_cli.model.vae import VAE
from hsmad_cli.pipeline.blocks import Progress, blocks, finite, require_finite, silent
from hsmad_cli.pipeline.device import choose_device
from hsmad_cli.pipeline.weights import load_pretrained_codec, load_vae

CODEC_BLOCK = 512
GPU_CODEC_BLOCK = 4096


class Codec:
    """Sound to latents and back [4.1.2], in blocks that agree with the whole. `name`: vae, encodec or dac.

    sha256: of its file. latent_sha256: of what decides its latents; codecs that agree in it can decode each other's.
    """

    def __init__(
        self,
        model: VAE | PretrainedCodec,
        device: torch.device,
        name: str = "vae",
        sha256: str = "",
        latent_sha256: str = "",
    ) -> None:
        self.model, self.device, self.name = model, device, name
        self.sha256, self.latent_sha256 = sha256, latent_sha256
        self.sample_rate, self.hop_length = model.sample_rate, model.hop_length
        self.latent_channels = model.latent_channels

    @property
    def block(self) -> int:
        """Frames that are coded at once: few for the cache of a CPU, many for the few launches of a GPU."""
        return GPU_CODEC_BLOCK if self.device.type == "cuda" else CODEC_BLOCK

    @classmethod
    def load(cls, weights: str | Path | None = None, device: str | torch.device = "auto", name: str = "vae") -> Codec:
        """Our codec from a file, by a shipped name or (None) the default one; or the pulled `encodec` or `dac`.

        Raises WeightsError.
        """
        where = choose_device(device)
        if name != "vae":
            model, sha256 = load_pretrained_codec(name, where)
            return cls(model, where, name, sha256, sha256)
        path = find_weights(None if weights is None else str(weights), "vae")
        vae, latent_sha256 = load_vae(path, where)
        return cls(vae, where, name, file_sha256(path), latent_sha256)

    @property
    def frame_rate(self) -> tuple[int, int]:
        """Latent frames a second, as (numerator, denominator)."""
        return self.sample_rate, self.hop_length

    @torch.inference_mode()
    def encode(self, audio: np.ndarray, progress: Progress = silent) -> np.ndarray:
        """Audio [2, n] at `sample_rate` -> latents [ceil(n / hop), C], float32."""
        hop, n_frames = self.hop_length, -(-audio.shape[1] // self.hop_length)
        padded = torch.from_numpy(np.pad(audio, ((0, 0), (0, n_frames * hop - audio.shape[1]))))
        latent = np.empty((n_frames, self.latent_channels), np.float32)
        for block in blocks(0, n_frames, self.block, self.model.halo):
            part = padded[None, :, block.first * hop : block.last * hop].to(self.device)
            with autocast(self.device):
                encoded = self.model.encode(part)
            latent[block.start : block.stop] = encoded[0, block.inner].float().cpu().numpy()
            progress("encode", block.stop, n_frames)
        return finite(latent, "the latents")

    @torch.inference_mode()
    def decode(self, latent: np.ndarray, progress: Progress = silent, hint: str | None = None) -> np.ndarray:
        """Latents [T, C] -> audio [2, T hop], float32, not clipped. Raises InputError, NonFiniteError with the hint."""
        if latent.shape[1] != self.latent_channels:
            raise InputError(f"latents with {latent.shape[1]} channels, this codec has {self.latent_channels}")
        hop, n_frames = self.hop_length, len(latent)
        on_gpu = self.device.type == "cuda"
        audio = torch.empty(2, n_frames * hop, pin_memory=on_gpu)
        bad = torch.zeros((), dtype=torch.int64, device=self.device)
        for block in blocks(0, n_frames, self.block, self.model.halo):
            part = torch.from_numpy(latent[block.first : block.last])[None].to(self.device)
            with autocast(self.device):
                decoded = self.model.decode(part)[0]
            wanted = decoded[:, block.inner.start * hop : block.inner.stop * hop].float()
            bad += wanted.isfinite().logical_not().sum()
            for channel, samples in zip(audio, wanted, strict=True):
                channel[block.start * hop : block.stop * hop].copy_(samples, non_blocking=on_gpu)
            progress("decode", block.stop, n_frames)
        require_finite(int(bad), audio.numel(), "the audio", hint)
        return audio.numpy()
