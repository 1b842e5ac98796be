"""A score and a sentence become latents, and latents become sound [2.5]."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hsmad_cli.config import DYNAMICS, Instruments, SampleConfig, default_wh
from hsmad_cli.diffusion.guidance import (
    BOTH,
    NEITHER,
    SCORE,
    STYLE,
    Branch,
    Denoise,
    PredictBranches,
    branch_weights,
    guided,
    outline_then_details,
)
from hsmad_cli.diffusion.objective import to_x
from hsmad_cli.diffusion.sampler import SAMPLERS
from hsmad_cli.errors import InputError, WeightsError
from hsmad_cli.files.checkpoint import file_sha256
from hsmad_cli.files.hub import find_codec, find_weights
from hsmad_cli.files.score_npz import ScoreRoll, StoredFeatures, same_rate
from hsmad_cli.model.denoiser import Denoiser
from hsmad_cli.model.hse import ScoreFeatures
from hsmad_cli.model.precision import autocast, round_weights
from hsmad_cli.model.style_encoder import StyleEncoder
from hsmad_cli.pipeline.blocks import Block, Progress, blocks, finite, silent
from hsmad_cli.pipeline.codec import Codec
from hsmad_cli.pipeline.device import choose_device
from hsmad_cli.pipeline.noise import song_noise
from hsmad_cli.pipeline.weights import check_sizes, load_denoiser, load_style
from hsmad_cli.symbolic.notes import Ledger, Score
from hsmad_cli.symbolic.srm import LAYOUT, hide_families

DENOISE_BLOCK = 8192
EXCERPT_MARGIN_S = 2.0
LESS_GUIDANCE = "try smaller --wh and --ws"


@dataclass(frozen=True)
class EncodedScore:
    """What the denoiser hears of a song: F_event, F_local, F_global of all its frames [2.2], and what belongs to it.

    features: of one item, on the pipeline's device, T_H padded to a multiple of R1 R2. instruments: None is unknown.
    """

    features: ScoreFeatures
    caption: str
    duration_s: float
    dynamics: float
    instruments: Instruments | None
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
    def load(
        cls,
        weights: str | Path | None = None,
        device: str | torch.device = "auto",
        codec: Path | None = None,
        style_encoder: Path | None = None,
    ) -> Pipeline:
        """The denoiser of a file, of a shipped name, or (None) the default, and by sha256 all that belongs to it.

        codec, style_encoder: where they are, if not shipped or near the denoiser.

        Raises WeightsError if a file is absent or damaged, or if they do not belong together.
        """
        path, where = find_weights(None if weights is None else str(weights), "denoiser"), choose_device(device)
        denoiser, header = load_denoiser(path, where)
        vae = Codec.load(find_codec(header, path, codec), where)
        style = load_style(header, path, where, style_encoder)
        here = {"latent_channels": vae.latent_channels, "style_width": style.width, "d_in": LAYOUT.width}
        check_sizes(header, path, here)
        round_weights(denoiser, where)
        return cls(denoiser, vae, style, where, file_sha256(path))

    @torch.inference_mode()
    def encode(
        self, score: Score | ScoreRoll, instruments: Instruments = "midi", dynamics: float = DYNAMICS
    ) -> EncodedScore:
        """The features of a whole song [2.2], computed once. `instruments`: `midi`, or `free` to hide who plays.

        dynamics: how much wider than written the velocities of pitched parts are told, 1 = as they are.
        """
        roll = score if isinstance(score, ScoreRoll) else ScoreRoll.of(score, self.codec.frame_rate)
        if not same_rate(roll.frame_rate, self.codec.frame_rate):
            ours, theirs = (f"{a / b:g}" for a, b in (self.codec.frame_rate, roll.frame_rate))
            raise InputError(f"a roll of {theirs} frames a second, these weights need {ours}")
        hidden = torch.tensor([instruments == "free"])
        told = roll.with_dynamics(dynamics)
        planes = (hide_families(block, hidden) for block in told.blocks(self.config.multiple))
        with autocast(self.device):
            features = self.denoiser.encode_score(block.to(self.device) for block in planes)
        levels = ScoreFeatures(*(level.float() for level in features))
        return EncodedScore(levels, roll.caption, roll.duration_s, dynamics, instruments, roll.score.ledger)

    def restore(self, stored: StoredFeatures) -> EncodedScore:
        """Features that this denoiser's encoder made earlier. Raises WeightsError if another one made them."""
        if stored.denoiser_sha256 != self.sha256:
            raise WeightsError(
                f"features of denoiser {stored.denoiser_sha256[:12]}, these weights are {self.sha256[:12]}",
                "make them again with `hsmad encode`, or name their --weights",
            )
        levels = (stored.event, stored.local, stored.global_)
        features = ScoreFeatures(*(torch.from_numpy(level)[None].to(self.device) for level in levels))
        told = stored.caption, stored.duration_s, stored.dynamics, stored.instruments
        return EncodedScore(features, *told, stored.ledger)

    def store(self, score: EncodedScore) -> StoredFeatures:
        """The features of a song as arrays, for a file."""
        event, local, global_ = (level[0].cpu().numpy() for level in score.features)
        rate = self.codec.frame_rate
        told = score.caption, score.duration_s, rate, score.dynamics, score.instruments
        return StoredFeatures(event, local, global_, *told, score.ledger, self.sha256)

    @torch.inference_mode()
    def sample(
        self,
        score: EncodedScore,
        style: str,
        settings: SampleConfig | None = None,
        *,
        seed: int = 0,
        start_s: float = 0.0,
        seconds: float | None = None,
        progress: Progress = silent,
    ) -> np.ndarray:
        """Audio [2, n], float32, of a score and a sentence; the empty sentence is the null style.

        settings: by default those of `hsmad sample`. seconds: length of an excerpt from start_s on; by default all that
        follows. Raises NonFiniteError, and InputError if the song ends before start_s.
        """
        settings = settings or SampleConfig(w_h=default_wh(score.instruments or "midi"))
        wanted, heard = self._excerpt(score, start_s, seconds)
        latent = self._denoise(score, style, settings, seed, heard, progress)
        audio = self.codec.decode(latent, progress, LESS_GUIDANCE)
        first = wanted.start - heard.start * self.codec.hop_length
        return audio[:, first : first + wanted.stop - wanted.start]

    def _excerpt(self, score: EncodedScore, start_s: float, seconds: float | None) -> tuple[slice, slice]:
        """The samples that are wanted, and the frames that are made for them: a margin more, on multiples of R1 R2."""
        length_s = score.duration_s
        if not 0 <= start_s < length_s:
            raise InputError(f"the song lasts {length_s:.1f} s, it cannot start at {start_s:g} s")
        end_s = length_s if seconds is None else min(length_s, start_s + seconds)
        wanted = slice(*(round(moment * self.codec.sample_rate) for moment in (start_s, end_s)))
        rate, multiple = self.codec.frame_rate[0] / self.codec.frame_rate[1], self.config.multiple
        first = int((start_s - EXCERPT_MARGIN_S) * rate // multiple) * multiple
        last = -int(-(end_s + EXCERPT_MARGIN_S) * rate // multiple) * multiple
        return wanted, slice(max(0, first), min(score.n_frames, last))

    def _denoise(
        self, score: EncodedScore, style: str, settings: SampleConfig, seed: int, heard: slice, progress: Progress
    ) -> np.ndarray:
        """Latents [T, C] of the frames `heard` [2.5]. The sampler runs on the CPU in float32; only blocks travel."""
        vector = self.style.encode([style]).to(self.device)
        predict, objective = self._predictor(score, vector, heard), self.config.diffusion.objective

        def predict_x(branches: tuple[Branch, ...], z: Tensor, t: Tensor) -> Tensor:
            return to_x(objective, predict(branches, z, t), z, t)

        def report(step: int, steps: int, x: Tensor) -> None:
            progress("denoise", step + 1, steps)

        z = song_noise(seed, heard.start, heard.stop, self.codec.latent_channels)[None]
        denoise = guided_by(settings, predict_x, styled=bool(style.strip()), attentive=self.denoiser.can_be_deaf)
        sampler = SAMPLERS[settings.sampler]
        latent = sampler(denoise, z, settings.steps, temperature=settings.temperature, callback=report)
        return finite(latent[0].numpy(), "the latents", LESS_GUIDANCE)

    def _predictor(
        self, score: EncodedScore, style: Tensor, heard: slice
    ) -> Callable[[tuple[Branch, ...], Tensor, Tensor], Tensor]:
        """predict(branches, z [1, T, C], t [1]) -> [branches, 1, T, C]: branches in one batch, the song in blocks."""
        denoiser = self.denoiser

        def predict(branches: tuple[Branch, ...], z: Tensor, t: Tensor) -> Tensor:
            has_score, has_style, deaf = (torch.tensor(of, device=self.device) for of in zip(*branches, strict=True))
            n = len(branches)
            styles = denoiser.null_style(style.expand(n, -1), ~has_style)
            times = t.to(self.device).expand(n)
            answer = torch.empty(n, 1, *z.shape[1:])
            for block in blocks(heard.start, heard.stop, DENOISE_BLOCK, denoiser.receptive_field):
                seen = z[:, block.first - heard.start : block.last - heard.start].to(self.device).expand(n, -1, -1)
                features = denoiser.null_score(self._features(score, block, n), ~has_score)
                with autocast(self.device):
                    predicted = denoiser(seen, times, features, styles, block.first, deaf)
                rows = slice(block.start - heard.start, block.stop - heard.start)
                answer[:, 0, rows] = predicted[:, block.inner].float().cpu()
            return answer

        return predict

    def _features(self, score: EncodedScore, block: Block, n: int) -> ScoreFeatures:
        """The features of a block at every level, n times."""
        return ScoreFeatures(
            *(
                level[:, block.first // scale : block.last // scale].expand(n, -1, -1)
                for level, scale in zip(score.features, self.config.scales, strict=True)
            )
        )


def guided_by(settings: SampleConfig, predict: PredictBranches, styled: bool, attentive: bool = True) -> Denoise:
    """The guidance of `settings` [2.5.2]; not `styled`: with the null style; not `attentive`: no attention to guide.

    A w_S above w_H holds for the outline, in which the words decide who plays. In the details it would only cost
    notes: there w_S is at most w_H (or 1, which is no guidance). Where w_H is 0, attention is not guided.
    """
    w_a = settings.w_a if settings.w_h and attentive else 0.0

    def guided_with(w_s: float) -> Denoise:
        weights = branch_weights(settings.guidance, settings.w_h, w_s)
        return guided(predict, weights if styled else without_style(weights), settings.rescale, w_a)

    return outline_then_details(guided_with(settings.w_s), guided_with(min(settings.w_s, max(settings.w_h, 1.0))))


def without_style(weights: Mapping[Branch, float]) -> dict[Branch, float]:
    """The same guidance when the style is the null style: e(., S) is e(., 0), and branches that meet add up."""
    folded = {
        SCORE: weights.get(SCORE, 0.0) + weights.get(BOTH, 0.0),
        NEITHER: weights.get(NEITHER, 0.0) + weights.get(STYLE, 0.0),
    }
    return {branch: weight for branch, weight in folded.items() if weight}
