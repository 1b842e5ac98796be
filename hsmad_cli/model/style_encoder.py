"""Style encoders [2.4]: a sentence becomes F_style, one vector of length sqrt(D).

`BuiltinStyleEncoder` is ours, trained against `AudioTower` by the style stage; `ClapStyleEncoder` and `T5StyleEncoder`
wrap the models of transformers, which `files.text_models` loads. All of them are frozen while the denoiser trains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hsmad_cli.config import StyleConfig, from_dict
from hsmad_cli.model.tokenizer import PADDING, WordTokenizer
from hsmad_cli.model.vae import to_mid_side

TEXT_PREFIX = "text."
N_MELS = 96


class StyleEncoder(Protocol):
    """What the denoiser and the pipeline need to know of a style encoder."""

    width: int

    def encode(self, texts: Sequence[str]) -> Tensor:
        """F_style [B, width] float32 of texts, each row of length sqrt(width)."""
        ...

    def unknown_words(self, text: str) -> list[str]:
        """Words that this encoder has never seen, to tell the user."""
        ...


def scaled(vector: Tensor) -> Tensor:
    """[..., D] -> the same directions with length sqrt(D), so that a component has unit scale."""
    return F.normalize(vector.float(), dim=-1) * math.sqrt(vector.shape[-1])


class TextBlock(nn.Module):
    """Attention and feed-forward, each a residual branch behind a LayerNorm; padding is not looked at."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.to_qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """x: [B, L, D], present: [B, L] bool."""
        q, k, v = self.to_qkv(self.norms[0](x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=present[:, None, None, :])
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.feed_forward(self.norms[1](x))


class BuiltinStyleEncoder(nn.Module):
    """Our text tower: a small transformer over words, read at its start token. `words` are its known words."""

    def __init__(self, config: StyleConfig, words: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        self.tokenizer = WordTokenizer(words, config.vocabulary, config.max_tokens)
        self.embedding = nn.Embedding(config.vocabulary, config.text_width)
        self.position = nn.Parameter(0.1 * torch.randn(config.max_tokens, config.text_width))
        self.blocks = nn.ModuleList(TextBlock(config.text_width, config.heads) for _ in range(config.depth))
        self.out = nn.Sequential(nn.LayerNorm(config.text_width), nn.Linear(config.text_width, config.width))

    @classmethod
    def from_checkpoint(cls, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> BuiltinStyleEncoder:
        """The text tower of a style checkpoint, for inference. Raises RuntimeError if the tensors do not fit."""
        encoder = cls(from_dict(StyleConfig, header["config"], "style checkpoint"), header["words"])
        text = {name.removeprefix(TEXT_PREFIX): t for name, t in tensors.items() if name.startswith(TEXT_PREFIX)}
        encoder.load_state_dict(text)
        return encoder.eval().requires_grad_(False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Ids [B, L] -> F_style [B, D]."""
        present = tokens != PADDING
        x = self.embedding(tokens) + self.position[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x, present)
        return scaled(self.out(x[:, 0]))

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Tensor:
        tokens = self.tokenizer(texts)
        longest = max(int((tokens != PADDING).any(0).sum()), 1)
        return self(tokens[:, :longest].to(self.position.device))

    def unknown_words(self, text: str) -> list[str]:
        return self.tokenizer.unknown_words(text)


class PretrainedStyleEncoder:
    """A frozen text model of transformers with its tokenizer; the subclasses say how its output becomes a vector."""

    def __init__(self, model: nn.Module, tokenizer: Callable[..., Mapping[str, Tensor]], width: int) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.width = width

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Tensor:
        device = next(self.model.parameters()).device
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, max_length=77, return_tensors="pt")
        tokens = {name: tensor.to(device) for name, tensor in tokens.items()}
        return scaled(self.pooled(tokens))

    def pooled(self, tokens: Mapping[str, Tensor]) -> Tensor:
        raise NotImplementedError

    def unknown_words(self, text: str) -> list[str]:
        return []


class ClapStyleEncoder(PretrainedStyleEncoder):
    """CLAP's text tower with its projection (`ClapTextModelWithProjection`)."""

    def pooled(self, tokens: Mapping[str, Tensor]) -> Tensor:
        return self.model(**tokens).text_embeds


class T5StyleEncoder(PretrainedStyleEncoder):
    """The mean over a T5 encoder's outputs (`T5EncoderModel`)."""

    def pooled(self, tokens: Mapping[str, Tensor]) -> Tensor:
        present = tokens["attention_mask"][..., None].float()
        return (self.model(**tokens).last_hidden_state * present).sum(1) / present.sum(1)


PRETRAINED_STYLES: dict[str, type[ClapStyleEncoder] | type[T5StyleEncoder]] = {
    "clap": ClapStyleEncoder,
    "t5": T5StyleEncoder,
}


def mel_filters(n_bins: int, n_mels: int, sample_rate: int) -> Tensor:
    """Triangular filters, evenly spaced in mel from 30 Hz to 16 kHz (or half the rate): [n_bins, n_mels]."""
    top = min(16000.0, sample_rate / 2)
    low, high = (2595.0 * math.log10(1.0 + hertz / 700.0) for hertz in (30.0, top))
    corners = 700.0 * (10.0 ** (torch.linspace(low, high, n_mels + 2) / 2595.0) - 1.0)
    frequency = torch.linspace(0.0, sample_rate / 2, n_bins)[:, None]
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    return torch.minimum((frequency - left) / (centre - left), (right - frequency) / (right - centre)).clamp(min=0.0)


class LogMel(nn.Module):
    """Stereo audio [B, 2, n] -> log-mel energies of mid and side [B, 2, T, n_mels], in float32."""

    window: Tensor
    filters: Tensor

    def __init__(self, sample_rate: int, hop_length: int, n_fft: int = 2048, n_mels: int = N_MELS) -> None:
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.register_buffer("filters", mel_filters(n_fft // 2 + 1, n_mels, sample_rate), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        with torch.autocast(audio.device.type, enabled=False):
            channels = to_mid_side(audio.float()).flatten(0, 1)
            spectrum = torch.stft(channels, self.n_fft, self.hop_length, window=self.window, return_complex=True)
            energy = spectrum.abs().square().transpose(1, 2) @ self.filters
            return energy.add(1e-5).log().unflatten(0, (-1, 2))


class AudioTower(nn.Module):
    """Audio [B, 2, n] -> F_style [B, D]: what the text tower learns to agree with; also a style by reference audio."""

    def __init__(self, width: int, sample_rate: int, hop_length: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.width = width
        self.log_mel = LogMel(sample_rate, hop_length)
        layers: list[nn.Module] = []
        for d_in, d_out in zip((2, *channels[:-1]), channels, strict=True):
            layers += [nn.Conv2d(d_in, d_out, 3, stride=2, padding=1), nn.GroupNorm(1, d_out), nn.GELU()]
            layers += [nn.Conv2d(d_out, d_out, 3, padding=1), nn.GroupNorm(1, d_out), nn.GELU()]
        self.layers = nn.Sequential(*layers)
        n_bands = -(-N_MELS // 2 ** len(channels))
        self.out = nn.Sequential(nn.LayerNorm(2 * n_bands * channels[-1]), nn.Linear(2 * n_bands * channels[-1], width))

    def forward(self, audio: Tensor) -> Tensor:
        hidden = self.layers(0.3 * self.log_mel(audio) + 1.0).float()
        bands = hidden.transpose(2, 3).flatten(1, 2)
        return scaled(self.out(torch.cat([bands.mean(-1), bands.std(-1, correction=0)], -1)))


class AudioTextModel(nn.Module):
    """Both towers in one space: what the style stage trains, and a judge of how well a sound fits a sentence."""

    def __init__(self, config: StyleConfig, words: Sequence[str], sample_rate: int, hop_length: int) -> None:
        super().__init__()
        self.text = BuiltinStyleEncoder(config, words)
        self.audio = AudioTower(config.width, sample_rate, hop_length, config.audio_channels)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    @classmethod
    def from_checkpoint(cls, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> AudioTextModel:
        """Both towers of a style checkpoint, for inference. Raises RuntimeError if the tensors do not fit."""
        config = from_dict(StyleConfig, header["config"], "style checkpoint")
        model = cls(config, header["words"], header["sample_rate"], header["hop_length"])
        model.load_state_dict(tensors)
        return model.eval().requires_grad_(False)

    def similarity(self, text: Tensor, audio: Tensor) -> Tensor:
        """Cosines [B_text, B_audio] of vectors of the two towers."""
        return text @ audio.T / text.shape[-1]
