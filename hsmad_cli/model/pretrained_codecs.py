"""EnCodec and DAC of transformers behind the two calls of our own codec [4.1.2].

Latents are what the encoder says before quantisation; `decode` quantises, so a generated latent need only come near.
Both channels are coded by the mono model, side by side in the latent: [left C | right C].
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import ceil, prod
from operator import mul
from pathlib import Path
from typing import Any, Protocol, Self

from torch import Tensor, nn
from torch.nn import functional as F

STEREO = 2
DAC_UNITS_REACH = 3 * (1 + 3 + 9)


class Codec(Protocol):
    """What a codec is to the rest of hsmad: T_H is `sample_rate` / `hop_length`.

    `halo` is the latent frames on each side with which a block is coded as in the whole; None: only the whole will do.
    """

    sample_rate: int
    hop_length: int
    latent_channels: int
    halo: int | None

    def encode(self, audio: Tensor) -> Tensor: ...

    def decode(self, latent: Tensor) -> Tensor: ...


class PretrainedCodec(nn.Module):
    """Stereo audio [B, 2, n] at `sample_rate` <-> latents [B, T, 2 C] by a mono model of transformers."""

    def __init__(self, model: Any, hop_length: int, hidden_size: int, halo: int | None) -> None:
        super().__init__()
        self.model = model.eval()
        self.sample_rate: int = model.config.sampling_rate
        self.hop_length = hop_length
        self.latent_channels = STEREO * hidden_size
        self.halo = halo

    def encode(self, audio: Tensor) -> Tensor:
        """Audio [B, 2, n] in -1..1 -> latents [B, ceil(n / hop), 2 C]; the end is padded with zeros."""
        if audio.ndim != 3 or audio.shape[1] != STEREO:
            raise ValueError(f"the codec reads stereo audio [B, {STEREO}, n], got {list(audio.shape)}")
        audio = F.pad(audio, (0, -audio.shape[-1] % self.hop_length))
        frames = audio.shape[-1] // self.hop_length
        hidden = self.model.encoder(audio.reshape(-1, 1, audio.shape[-1]))
        return _exactly(hidden, frames).unflatten(0, (-1, STEREO)).flatten(1, 2).transpose(1, 2).float()

    def decode(self, latent: Tensor) -> Tensor:
        """Latents [B, T, 2 C] -> audio [B, 2, T * hop]."""
        if latent.ndim != 3 or latent.shape[2] != self.latent_channels:
            raise ValueError(f"the codec reads latents [B, T, {self.latent_channels}], got {list(latent.shape)}")
        hidden = latent.transpose(1, 2).unflatten(1, (STEREO, -1)).flatten(0, 1)
        audio = self.model.decoder(self.quantised(hidden))
        return _exactly(audio, latent.shape[1] * self.hop_length).reshape(len(latent), STEREO, -1).float()

    def quantised(self, hidden: Tensor) -> Tensor:
        """The nearest codewords [B, C, T] of an encoder's output."""
        raise NotImplementedError


class EncodecCodec(PretrainedCodec):
    """EnCodec for mono audio that is not normalised: `facebook/encodec_24khz`, MusicGen's `encodec_32khz`.

    Its recurrent layer remembers without limit, so it has no halo.
    """

    @classmethod
    def load(cls, path: Path) -> Self:
        """From a folder that `save_pretrained` wrote. Raises OSError if it cannot be read, ValueError if unsuitable."""
        from transformers import EncodecModel

        model = EncodecModel.from_pretrained(path, local_files_only=True)
        config = model.config
        if config.audio_channels != 1 or config.normalize:
            raise ValueError(
                f"{path}: {config.audio_channels} channels, normalize={config.normalize}; needs a mono EnCodec without"
            )
        return cls(model, prod(config.upsampling_ratios), config.hidden_size, halo=None)

    def quantised(self, hidden: Tensor) -> Tensor:
        quantizer = self.model.quantizer
        return quantizer.decode(quantizer.encode(hidden))


class DACCodec(PretrainedCodec):
    """The Descript Audio Codec: `descript/dac_44khz` and its kin."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """From a folder that `save_pretrained` wrote. Raises OSError if it cannot be read."""
        from transformers import DacModel

        model = DacModel.from_pretrained(path, local_files_only=True)
        ratios = model.config.downsampling_ratios
        return cls(model, prod(ratios), model.config.hidden_size, dac_halo(ratios))

    def quantised(self, hidden: Tensor) -> Tensor:
        return self.model.quantizer(hidden)[0]


def dac_halo(ratios: Sequence[int]) -> int:
    """Latent frames that DAC's decoder sees to each side (its encoder sees fewer): of every level the upsampling, one
    sample of the level below, and the dilated units; around them kernels of 7."""
    rates = list(accumulate(ratios, mul, initial=1))
    reach = 3 * rates[-1] + 3 + sum(rates[1:]) + DAC_UNITS_REACH * sum(rates[:-1])
    return ceil(reach / rates[-1])


PRETRAINED_CODECS: dict[str, type[EncodecCodec] | type[DACCodec]] = {"encodec": EncodecCodec, "dac": DACCodec}


def _exactly(signal: Tensor, length: int) -> Tensor:
    """The last axis cut or padded with zeros: models of odd strides come out a few samples short."""
    missing = length - signal.shape[-1]
    left = missing // 2 if missing > 0 else 0
    return F.pad(signal[..., :length], (left, max(missing, 0) - left))
