"""Inference, where all blocks of the paper meet: score -> SRM -> HSE -> guided diffusion -> codec -> audio.

Every stage works on a song of any length in flat memory: the roll is rendered block by block, the U-Net and the codec
get blocks with a halo as wide as they can see, so that blocks and the whole agree. The noise depends on the seed and
the absolute latent frame only. Songs are never batched together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hsmad_cli.config import CodecConfig, DenoiserConfig, SampleConfig, from_dict
from hsmad_cli.diffusion.guidance import BOTH, NEITHER, SCORE, STYLE, Branch, branch_weights, guided
from hsmad_cli.diffusion.objective import to_x
from hsmad_cli.diffusion.sampler import SAMPLERS
from hsmad_cli.errors import ConfigError, InputError, NonFiniteError, UsageError, WeightsError
from hsmad_cli.files.checkpoint import file_sha256, fill, load_checkpoint
from hsmad_cli.files.hub import find_by_sha256, find_weights, pulled_folder
from hsmad_cli.files.score_npz import ScoreRoll, StoredFeatures, same_rate
from hsmad_cli.files.text_models import load_text_model
from hsmad_cli.model.denoiser import Denoiser
from hsmad_cli.model.hse import ScoreFeatures
from hsmad_cli.model.pretrained_codecs import PRETRAINED_CODECS, PretrainedCodec
from hsmad_cli.model.style_encoder import BuiltinStyleEncoder, ClapStyleEncoder, StyleEncoder, T5StyleEncoder
from hsmad_cli.model.vae import VAE
from hsmad_cli.symbolic.notes import Ledger
from hsmad_cli.symbolic.srm import LAYOUT, hide_families

NOISE_CHUNK = 64
DENOISE_BLOCK = 8192
CODEC_BLOCK = 512
EXCERPT_MARGIN_S = 2.0
PRETRAINED_STYLES = {"clap": ClapStyleEncoder, "t5": T5StyleEncoder}

Progress = Callable[[str, int, int], None]


def silent(part: str, done: int, total: int) -> None:
    """A progress callback that tells nobody."""


class Block(NamedTuple):
    """Frames [start, stop) that are wanted of a block, and [first, last) that it has to see."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def inner(self) -> slice:
        """The wanted frames, within those seen."""
        return slice(self.start - self.first, self.stop - self.first)


def blocks(start: int, stop: int, size: int, halo: int | None) -> Iterator[Block]:
    """Blocks that cover [start, stop), each with up to `halo` frames on both sides; halo None: one block."""
    step = stop - start if halo is None else size
    for first in range(start, stop, step):
        last = min(first + step, stop)
        reach = halo or 0
        yield Block(first, last, max(start, first - reach), min(stop, last + reach))


def choose_device(name: str | torch.device) -> torch.device:
    """`auto` is cuda, else mps, else cpu. Raises UsageError for a device that is not there."""
    if isinstance(name, torch.device):
        return name
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, there in present.items() if there))
    if not present.get(name, False):
        raise UsageError(f"no device {name!r} here", "use --device auto")
    return torch.device(name)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the chip computes in bfloat16: CUDA, or a CPU with AMX or AVX512-BF16."""
    if device.type != "cpu":
        return device.type == "cuda"
    chip = torch.cpu.get_capabilities()
    return torch.backends.mkldnn.is_available() and bool(chip.get("amx_bf16") or chip.get("avx512_bf16"))


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 where the chip computes in it, else float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device))


class Codec:
    """Sound to latents and back [4.1.2], in blocks that agree with the whole. `name`: vae, encodec or dac."""

    def __init__(self, model: VAE | PretrainedCodec, device: torch.device, name: str = "vae", sha256: str = "") -> None:
        self.model, self.device, self.name, self.sha256 = model, device, name, sha256
        self.sample_rate, self.hop_length = model.sample_rate, model.hop_length
        self.latent_channels = model.latent_channels

    @classmethod
    def load(cls, weights: str | Path | None = None, device: str | torch.device = "auto", name: str = "vae") -> Codec:
        """Our codec from a file, by a shipped name or (None) the default one; or the pulled `encodec` or `dac`.

        Raises WeightsError.
        """
        where = choose_device(device)
        if name in PRETRAINED_CODECS:
            return cls._load_pretrained(name, where)
        path = find_weights(None if weights is None else str(weights), "vae")
        tensors, header = load_checkpoint(path, "vae")
        model = VAE(_configured(CodecConfig, header, path))
        fill(model, tensors, str(path))
        return cls(model.to(where).eval().requires_grad_(False), where, name, file_sha256(path))

    @classmethod
    def _load_pretrained(cls, name: str, device: torch.device) -> Codec:
        folder = pulled_folder(name)
        try:
            model = PRETRAINED_CODECS[name].load(folder)
        except (ImportError, OSError, ValueError) as error:
            raise WeightsError(f"codec {name}: {error}", f"hsmad weights pull {name}") from error
        model.to(device).eval().requires_grad_(False)
        return cls(model, device, name, file_sha256(folder / "model.safetensors"))

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
        for block in blocks(0, n_frames, CODEC_BLOCK, self.model.halo):
            part = padded[None, :, block.first * hop : block.last * hop].to(self.device)
            with autocast(self.device):
                encoded = self.model.encode(part)
            latent[block.start : block.stop] = encoded[0, block.inner].float().cpu().numpy()
            progress("encode", block.stop, n_frames)
        return _finite(latent, "the latents")

    @torch.inference_mode()
    def decode(self, latent: np.ndarray, progress: Progress = silent) -> np.ndarray:
        """Latents [T, C] -> audio [2, T hop], float32, not clipped."""
        if latent.shape[1] != self.latent_channels:
            raise InputError(f"latents with {latent.shape[1]} channels, this codec has {self.latent_channels}")
        hop, n_frames = self.hop_length, len(latent)
        audio = np.empty((2, n_frames * hop), np.float32)
        for block in blocks(0, n_frames, CODEC_BLOCK, self.model.halo):
            part = torch.from_numpy(latent[block.first : block.last])[None].to(self.device)
            with autocast(self.device):
                decoded = self.model.decode(part)[0]
            wanted = decoded[:, block.inner.start * hop : block.inner.stop * hop]
            audio[:, block.start * hop : block.stop * hop] = wanted.float().cpu().numpy()
            progress("decode", block.stop, n_frames)
        return _finite(audio, "the audio")


@dataclass(frozen=True)
class EncodedScore:
    """What the denoiser hears of a song: F_event, F_local, F_global of all its frames [2.2], and what belongs to it."""

    features: ScoreFeatures
    caption: str
    duration_s: float
    ledger: Ledger

    @property
    def n_frames(self) -> int:
        return self.features.event.shape[1]


class Pipeline:
    """A denoiser with the codec and the style encoder that it was trained with."""

    def __init__(
        self, denoiser: Denoiser, codec: Codec, style: StyleEncoder, device: torch.device, sha256: str = ""
    ) -> None:
        self.denoiser, self.codec, self.style, self.device, self.sha256 = denoiser, codec, style, device, sha256
        self.config = denoiser.config

    @classmethod
    def load(cls, weights: str | Path | None = None, device: str | torch.device = "auto") -> Pipeline:
        """The denoiser of a file, of a shipped name, or (None) the default, and by sha256 all that belongs to it.

        Raises WeightsError if a file is absent or damaged, or if they do not belong together.
        """
        path, where = find_weights(None if weights is None else str(weights), "denoiser"), choose_device(device)
        tensors, header = load_checkpoint(path, "denoiser")
        codec = Codec.load(find_by_sha256(_named(header, "codec_sha256", path), "vae", path), device)
        style = load_style(header, path, where)
        _check_sizes(header, path, codec, style)
        config = _configured(DenoiserConfig, header, path)
        denoiser = Denoiser(config, codec.latent_channels, style.width, LAYOUT.width)
        fill(denoiser, tensors, str(path))
        denoiser.to(where).eval().requires_grad_(False)
        return cls(denoiser, codec, style, where, file_sha256(path))

    @torch.inference_mode()
    def encode(self, roll: ScoreRoll, instruments: str = "midi") -> EncodedScore:
        """The features of a whole song [2.2], computed once. `instruments`: `midi`, or `free` to hide who plays."""
        if not same_rate(roll.frame_rate, self.codec.frame_rate):
            ours, theirs = (f"{a / b:g}" for a, b in (self.codec.frame_rate, roll.frame_rate))
            raise InputError(f"a roll of {theirs} frames a second, these weights need {ours}")
        hidden = torch.tensor([instruments == "free"])
        planes = (hide_families(block, hidden) for block in roll.blocks(self._multiple))
        with autocast(self.device):
            features = self.denoiser.encode_score(block.to(self.device) for block in planes)
        levels = ScoreFeatures(*(level.float() for level in features))
        return EncodedScore(levels, roll.caption, roll.duration_s, roll.score.ledger)

    def restore(self, stored: StoredFeatures) -> EncodedScore:
        """Features that this denoiser's encoder made earlier. Raises WeightsError if another one made them."""
        if stored.denoiser_sha256 != self.sha256:
            raise WeightsError(
                f"features of denoiser {stored.denoiser_sha256[:12]}, these weights are {self.sha256[:12]}",
                "make them again with `hsmad encode`, or name their --weights",
            )
        levels = (stored.event, stored.local, stored.global_)
        features = ScoreFeatures(*(torch.from_numpy(level)[None].to(self.device) for level in levels))
        return EncodedScore(features, stored.caption, stored.duration_s, stored.ledger)

    def store(self, score: EncodedScore) -> StoredFeatures:
        """The features of a song as arrays, for a file."""
        event, local, global_ = (level[0].cpu().numpy() for level in score.features)
        rate = self.codec.frame_rate
        return StoredFeatures(event, local, global_, score.caption, score.duration_s, rate, score.ledger, self.sha256)

    @torch.inference_mode()
    def sample(
        self,
        score: EncodedScore,
        style: str,
        settings: SampleConfig = SampleConfig(),
        *,
        seed: int = 0,
        start_s: float = 0.0,
        seconds: float | None = None,
        progress: Progress = silent,
    ) -> np.ndarray:
        """Audio [2, n], float32, of a score and a sentence; the empty sentence is the null style.

        seconds: length of an excerpt from start_s on; by default all that follows.
        Raises NonFiniteError, and InputError if the song ends before start_s.
        """
        wanted, heard = self._excerpt(score, start_s, seconds)
        latent = self._denoise(score, style, settings, seed, heard, progress)
        audio = self.codec.decode(latent, progress)
        first = wanted.start - heard.start * self.codec.hop_length
        return audio[:, first : first + wanted.stop - wanted.start]

    def _excerpt(self, score: EncodedScore, start_s: float, seconds: float | None) -> tuple[slice, slice]:
        """The samples that are wanted, and the frames that are made for them: a margin more, on multiples of R1 R2."""
        length_s = score.duration_s
        if not 0 <= start_s < length_s:
            raise InputError(f"the song lasts {length_s:.1f} s, it cannot start at {start_s:g} s")
        end_s = length_s if seconds is None else min(length_s, start_s + seconds)
        wanted = slice(*(round(moment * self.codec.sample_rate) for moment in (start_s, end_s)))
        rate, multiple = self.codec.frame_rate[0] / self.codec.frame_rate[1], self._multiple
        first = int((start_s - EXCERPT_MARGIN_S) * rate // multiple) * multiple
        last = -int(-(end_s + EXCERPT_MARGIN_S) * rate // multiple) * multiple
        return wanted, slice(max(0, first), min(score.n_frames, last))

    def _denoise(
        self, score: EncodedScore, style: str, settings: SampleConfig, seed: int, heard: slice, progress: Progress
    ) -> np.ndarray:
        """Latents [T, C] of the frames `heard` [2.5]. The sampler runs on the CPU in float32; only blocks travel."""
        weights = branch_weights(settings.guidance, settings.w_h, settings.w_s)
        if not style.strip():
            weights = without_style(weights)
        vector = self.style.encode([style]).to(self.device)
        answer = guided(self._predictor(score, vector, heard), weights)
        objective = self.config.diffusion.objective

        def denoise(z: Tensor, t: Tensor) -> Tensor:
            return to_x(objective, answer(z, t), z, t)

        def report(step: int, steps: int, x: Tensor) -> None:
            progress("denoise", step + 1, steps)

        z = song_noise(seed, heard.start, heard.stop, self.codec.latent_channels)[None]
        latent = SAMPLERS[settings.sampler](denoise, z, settings.steps, callback=report)
        return _finite(latent[0].numpy(), "the latents")

    def _predictor(
        self, score: EncodedScore, style: Tensor, heard: slice
    ) -> Callable[[tuple[Branch, ...], Tensor, Tensor], Tensor]:
        """predict(branches, z [1, T, C], t [1]) -> [branches, 1, T, C]: branches in one batch, the song in blocks."""
        denoiser = self.denoiser

        def predict(branches: tuple[Branch, ...], z: Tensor, t: Tensor) -> Tensor:
            no_score, no_style = (~torch.tensor(present, device=self.device) for present in zip(*branches, strict=True))
            n = len(branches)
            styles = denoiser.null_style(style.expand(n, -1), no_style)
            times = t.to(self.device).expand(n)
            answer = torch.empty(n, 1, *z.shape[1:])
            for block in blocks(heard.start, heard.stop, DENOISE_BLOCK, denoiser.receptive_field):
                seen = z[:, block.first - heard.start : block.last - heard.start].to(self.device).expand(n, -1, -1)
                features = denoiser.null_score(self._features(score, block, n), no_score)
                with autocast(self.device):
                    predicted = denoiser(seen, times, features, styles, block.first)
                rows = slice(block.start - heard.start, block.stop - heard.start)
                answer[:, 0, rows] = predicted[:, block.inner].float().cpu()
            return answer

        return predict

    def _features(self, score: EncodedScore, block: Block, n: int) -> ScoreFeatures:
        """The features of a block at every level, n times."""
        first_ratio, second_ratio = self.config.ratios
        scales = (1, first_ratio, first_ratio * second_ratio)
        return ScoreFeatures(
            *(
                level[:, block.first // scale : block.last // scale].expand(n, -1, -1)
                for level, scale in zip(score.features, scales, strict=True)
            )
        )

    @property
    def _multiple(self) -> int:
        return self.config.ratios[0] * self.config.ratios[1]


def song_noise(seed: int, start: int, stop: int, channels: int) -> Tensor:
    """Unit Gaussian noise [stop - start, C], float32, of latent frames [start, stop), from seed and frame alone."""
    first, last = start // NOISE_CHUNK, -(-stop // NOISE_CHUNK)
    chunks = [_noise_chunk(seed, k, channels) for k in range(first, last)]
    offset = first * NOISE_CHUNK
    return torch.from_numpy(np.concatenate(chunks)[start - offset : stop - offset])


def _noise_chunk(seed: int, k: int, channels: int) -> np.ndarray:
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, k], np.uint64)))
    return generator.standard_normal((NOISE_CHUNK, channels), dtype=np.float32)


def without_style(weights: Mapping[Branch, float]) -> dict[Branch, float]:
    """The same guidance when the style is the null style: e(., S) is e(., 0), and branches that meet add up."""
    folded = {
        SCORE: weights.get(SCORE, 0.0) + weights.get(BOTH, 0.0),
        NEITHER: weights.get(NEITHER, 0.0) + weights.get(STYLE, 0.0),
    }
    return {branch: weight for branch, weight in folded.items() if weight}


def load_style(header: Mapping[str, Any], path: Path, device: torch.device) -> StyleEncoder:
    """The style encoder that a denoiser was trained with [2.4]. Raises WeightsError."""
    kind, sha256 = _named(header, "style_encoder", path), _named(header, "style_sha256", path)
    if kind == "builtin":
        return _builtin_style(find_by_sha256(sha256, "style", path)).to(device)
    if kind not in PRETRAINED_STYLES:
        raise WeightsError(
            f"{path}: unknown style encoder {kind!r}", f"there are: builtin, {', '.join(PRETRAINED_STYLES)}"
        )
    folder = pulled_folder(kind)
    if file_sha256(folder / "model.safetensors") != sha256:
        raise WeightsError(f"{path}: trained with other {kind} weights than those in {folder}", f"pull {kind} again")
    model, tokenizer, width = load_text_model(kind, str(folder))
    return PRETRAINED_STYLES[kind](model.to(device), tokenizer, width)


def _builtin_style(path: Path) -> BuiltinStyleEncoder:
    tensors, header = load_checkpoint(path, "style")
    try:
        return BuiltinStyleEncoder.from_checkpoint(tensors, header)
    except (KeyError, RuntimeError, ConfigError) as error:
        raise WeightsError(f"{path}: not a style encoder of this version: {error}") from error


def _configured(kind: type, header: Mapping[str, Any], path: Path) -> Any:
    try:
        return from_dict(kind, header["config"], str(path))
    except (KeyError, ConfigError) as error:
        raise WeightsError(f"{path}: its configuration is not one of this version: {error}") from error


def _named(header: Mapping[str, Any], key: str, path: Path) -> str:
    if key not in header:
        raise WeightsError(f"{path}: its header does not say {key}")
    return str(header[key])


def _check_sizes(header: Mapping[str, Any], path: Path, codec: Codec, style: StyleEncoder) -> None:
    here = {"latent_channels": codec.latent_channels, "style_width": style.width, "d_in": LAYOUT.width}
    for name, size in here.items():
        if header.get(name) != size:
            raise WeightsError(f"{path}: trained with {name} {header.get(name)}, here it is {size}")


def _finite(values: np.ndarray, what: str) -> np.ndarray:
    bad = np.count_nonzero(~np.isfinite(values))
    if bad:
        raise NonFiniteError(f"{bad} of {values.size} numbers of {what} are not finite", "try smaller --wh and --ws")
    return values
