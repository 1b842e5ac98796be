"""The denoiser's stage: noise on latents, score and style as conditions, each dropped now and then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hsmad_cli.config import Config, DenoiserConfig, DiffusionConfig, TrainConfig, to_dict
from hsmad_cli.datasets.memory import ClipBank
from hsmad_cli.diffusion.objective import add_noise, sample_levels, target
from hsmad_cli.errors import ConfigError
from hsmad_cli.model.denoiser import Denoiser
from hsmad_cli.model.hse import ScoreFeatures
from hsmad_cli.model.precision import precision_of
from hsmad_cli.symbolic.srm import LAYOUT, NoteTensors, render_srm
from hsmad_cli.training.randomness import Draw, seeded
from hsmad_cli.training.style_table import StyleTable

FREE_ITEMS = 0.5
UNNAMED_PARTS = 0.15
MAX_PARTS = 256
IGNORED = -100


class HarmonyTargets(NamedTuple):
    """chord [B, T_M] and key [B, T_L] int64 (IGNORED = unknown), tempo [B, T_L] log bpm (NaN = unknown)."""

    chord: Tensor
    key: Tensor
    tempo: Tensor


class DenoiserBatch(NamedTuple):
    """Clean latent x, noise [B, T_H, C]; times t [B]; the score around the crop, srm [B, T_window, D_in], with `first`
    [B], the crop's first frame in it; style [B, D]; drop_* [B] bool; targets of the crop."""

    x: Tensor
    noise: Tensor
    t: Tensor
    srm: Tensor
    first: Tensor
    style: Tensor
    drop_score: Tensor
    drop_style: Tensor
    targets: HarmonyTargets


class DenoiserStage:
    """Trains a `Denoiser` on the latents, scores and captions of a bank, all on its device.

    `styles` holds the captions of the bank's clips. `made_with` is what the checkpoint's header says of the codec and
    the style encoder.
    """

    kind = "denoiser"

    def __init__(
        self,
        config: Config,
        bank: ClipBank,
        styles: StyleTable,
        seed: int = 0,
        made_with: Mapping[str, Any] | None = None,
    ) -> None:
        self.config, self.train = config.denoiser, config.train_denoiser
        self.bank, self.styles, self.device = bank, styles, bank.device
        self.frame_rate = bank.rates.frame_rate(0)
        self.made_with = dict(made_with or {})
        _check_frames(self.train, self.config)
        self.window = self.train.crop_frames + 2 * self.train.context_frames
        self.max_notes = bank.most_notes(self.window)
        channels = bank.columns["latents"].shape[1]
        self.sizes = {"latent_channels": channels, "style_width": styles.width, "d_in": LAYOUT.width}
        with seeded(seed, "denoiser"):
            self.denoiser = Denoiser(self.config, **self.sizes).to(self.device)
        self.players: dict[str, nn.Module] = {"denoiser": self.denoiser}
        if self.train.compile:
            for block in self.denoiser.repeated_blocks():
                block.compile(dynamic=False)

    @torch.no_grad()
    def batch(self, step: int, draw: Draw) -> DenoiserBatch:
        """Random crops with the score around them, and all chances of one step."""
        generator = draw.generator("denoiser", self.device)
        items, n_frames, diffusion = self.train.batch, self.train.crop_frames, self.config.diffusion
        clips, starts = self.bank.draw_frames(generator, items, n_frames)
        x = self.bank.latents_at(clips, starts, n_frames).float()
        first = self._crop_place(items, generator)
        drop_score, drop_style = drop_conditions(diffusion, items, generator)
        levels = (diffusion.uniform_levels, diffusion.level_mean, diffusion.level_std)
        return DenoiserBatch(
            x=x,
            noise=torch.randn(x.shape, generator=generator, device=self.device),
            t=sample_levels(items, generator, *levels),
            srm=self._score(clips, starts - first, generator),
            first=first,
            style=self.styles.draw(clips, generator),
            drop_score=drop_score,
            drop_style=drop_style,
            targets=HarmonyTargets(**self.bank.targets(clips, starts, n_frames)),
        )

    def _score(self, clips: Tensor, starts: Tensor, generator: torch.Generator) -> Tensor:
        """S_sync [B, T_window, D_in] of windows; beyond the ends of a clip it is silent."""
        notes = self.bank.window(clips, starts, self.window, self.max_notes)
        dtype = precision_of(self.device, self.train.precision)
        return render_srm(notes, 0, self.window, self.frame_rate, named=named_notes(notes, generator), dtype=dtype)

    def _crop_place(self, items: int, generator: torch.Generator) -> Tensor:
        """First frames [B] of the crops within their windows: multiples of R1 R2; a quarter at each edge, where songs
        begin and end, the others anywhere between."""
        multiple = self.config.multiple
        places = 2 * self.train.context_frames // multiple
        drawn = torch.rand(items, generator=generator, device=self.device)
        return ((2 * drawn - 0.5) * (places + 1)).floor().clamp(0, places).long() * multiple

    def loss(self, player: str, batch: DenoiserBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        loss, scalars = self._losses(batch)
        return loss, {name: value.detach() for name, value in scalars.items()}

    def _losses(self, batch: DenoiserBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Diffusion loss plus the weighted auxiliary losses [4.1.3], and scalars for the log."""
        objective = self.config.diffusion.objective
        features = self._cropped(self.denoiser.encode_score(batch.srm), batch)
        score = self.denoiser.null_score(features, batch.drop_score)
        style = self.denoiser.null_style(batch.style, batch.drop_style)
        z = add_noise(batch.x, batch.noise, batch.t)
        prediction = self.denoiser(z, batch.t, score, style)
        error = prediction.float() - target(objective, batch.x, batch.noise, batch.t)
        of_item = error.square().mean((1, 2))
        loss = of_item.mean()
        scalars = {"diffusion": loss, **by_quarter(of_item, batch.t)}
        auxiliary, auxiliary_scalars = auxiliary_loss(self.denoiser.auxiliary(features), batch.targets, self.config)
        return loss + auxiliary, scalars | auxiliary_scalars

    def _cropped(self, features: ScoreFeatures, batch: DenoiserBatch) -> ScoreFeatures:
        """The features of the crop only, at every level."""
        n_frames = batch.x.shape[1]
        return ScoreFeatures(
            *(
                frames_from(feature, batch.first // scale, n_frames // scale)
                for feature, scale in zip(features, self.config.scales, strict=True)
            )
        )

    def header(self) -> dict[str, Any]:
        rate = {"frame_rate": list(self.frame_rate)}
        return {"config": to_dict(self.config), **self.sizes, **rate, **self.made_with}


def _check_frames(train: TrainConfig, config: DenoiserConfig) -> None:
    crop, context, multiple = train.crop_frames, train.context_frames, config.multiple
    if crop % multiple or context % multiple or crop <= 0:
        raise ConfigError(f"crop_frames {crop} and context_frames {context} must be multiples of R1 R2 = {multiple}")


def frames_from(x: Tensor, first: Tensor, n_frames: int) -> Tensor:
    """x [B, T, D] -> [B, n_frames, D], from frame first[b] on in item b."""
    frame = first[:, None] + torch.arange(n_frames, device=x.device)
    return x.gather(1, frame[..., None].expand(-1, -1, x.shape[2]))


def named_notes(notes: NoteTensors, generator: torch.Generator) -> Tensor:
    """[B, N] bool, which notes show their instrument: none in half of the items (`--instruments free`), and in the
    others all but those of some parts."""
    items, device = notes.part.shape[0], notes.part.device
    free = torch.rand(items, 1, generator=generator, device=device) < FREE_ITEMS
    shown = torch.rand(items, MAX_PARTS, generator=generator, device=device) >= UNNAMED_PARTS
    return shown.gather(1, notes.part.clamp(0, MAX_PARTS - 1)) & ~free


def drop_conditions(config: DiffusionConfig, items: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Which items [B] lose their score and which their style [2.5.2]: independent draws, or one for both."""
    for_score, for_style = torch.rand(2, items, generator=generator, device=generator.device)
    drop_score = for_score < config.dropout_score
    if config.dropout == "together":
        return drop_score, drop_score
    if config.dropout != "decoupled":
        raise ValueError(f"diffusion.dropout is {config.dropout!r}, not decoupled or together")
    return drop_score, for_style < config.dropout_style


def by_quarter(of_item: Tensor, t: Tensor) -> dict[str, Tensor]:
    """Mean loss of the items [B] in each quarter of diffusion time, NaN where there is none."""
    quarter = (4 * t).long().clamp(max=3)
    means = {}
    for n in range(4):
        chosen = (quarter == n).float()
        means[f"diffusion_t{n}"] = (of_item * chosen).sum() / chosen.sum()
    return means


def auxiliary_loss(
    answers: Mapping[str, Tensor], targets: HarmonyTargets, config: DenoiserConfig
) -> tuple[Tensor | float, dict[str, Tensor]]:
    """Weighted sum of the losses of the tasks that have answers, and their accuracies (tempo: mean log error)."""
    total: Tensor | float = 0.0
    scalars = {}
    for task, weight in (("chord", config.auxiliary.chord), ("key", config.auxiliary.key)):
        if task in answers:
            loss, scalars[f"{task}_accuracy"] = classification(answers[task], getattr(targets, task))
            total = total + weight * loss
    if "tempo" in answers:
        known = ~targets.tempo.isnan()
        error = (answers["tempo"].float() - targets.tempo.nan_to_num()).abs() * known
        loss = error.sum() / known.sum().clamp(min=1)
        scalars["tempo_error"] = loss
        total = total + config.auxiliary.tempo * loss
    return total, scalars


def classification(logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy and accuracy of logits [B, T, K] at classes [B, T], IGNORED ones left out; 0 and NaN if all are."""
    known = classes != IGNORED
    entropy = F.cross_entropy(logits.float().flatten(0, 1), classes.flatten(), ignore_index=IGNORED, reduction="sum")
    right = ((logits.argmax(-1) == classes) & known).sum()
    return entropy / known.sum().clamp(min=1), right / known.sum()
