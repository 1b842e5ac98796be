"""From a preset, a clip bank and frozen weights to a stage that can be trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from hsmad_cli.config import CodecConfig, Config, StyleConfig
from hsmad_cli.datasets.build import build_bank, make_plan
from hsmad_cli.datasets.factory import FactoryOptions, Plan
from hsmad_cli.datasets.manifest import NoItemError
from hsmad_cli.datasets.memory import TABLE as BANK_TABLE
from hsmad_cli.datasets.memory import ClipBank, read_table
from hsmad_cli.datasets.replacing import with_room
from hsmad_cli.datasets.shards import TABLE as SHARD_TABLE
from hsmad_cli.datasets.sheets import Rates
from hsmad_cli.errors import ConfigError, InputError, UsageError
from hsmad_cli.files.checkpoint import (
    config_of,
    file_sha256,
    fill,
    latent_sha256,
    load_checkpoint,
    of_this_version,
    style_space,
)
from hsmad_cli.files.hub import find_codec
from hsmad_cli.files.text_models import SentenceModel, load_text_model, text_model_folder
from hsmad_cli.model.style_encoder import PRETRAINED_STYLES, AudioTextModel, BuiltinStyleEncoder, StyleEncoder
from hsmad_cli.model.tokenizer import WordTokenizer
from hsmad_cli.model.vae import VAE
from hsmad_cli.training.held_out import HeldOut
from hsmad_cli.training.latents import with_encoded_audio
from hsmad_cli.training.lexicon import Lexicon
from hsmad_cli.training.loop import Stage
from hsmad_cli.training.parallel import Workers
from hsmad_cli.training.refresh import AudioClips, LatentClips, Refresher
from hsmad_cli.training.stages.denoiser import DenoiserStage
from hsmad_cli.training.stages.phrasing import PhrasingStage
from hsmad_cli.training.stages.style import StyleStage
from hsmad_cli.training.stages.vae import VAEStage
from hsmad_cli.training.style_table import StyleTable


def prepare_bank(
    source: Path, config: Config, workers: Workers, seed: int, hours: float, soundfonts: Sequence[Path], cache: Path
) -> Path:
    """The folder of a bank, or of one made from a manifest or from shards (by one process, while the others wait)."""
    options = _factory_options(config)
    rates = Rates(config.codec.sample_rate, config.codec.hop_length, config.denoiser.ratios)

    def built() -> Path:
        with _clips_of_others_offered(source):
            return build_bank(source, soundfonts, hours, seed, cache_dir=cache, options=options, rates=rates)

    if workers.chief:
        built()
    workers.wait()
    return built()


def _factory_options(config: Config) -> FactoryOptions:
    return FactoryOptions(sample_rate=config.codec.sample_rate)


def plan_of_bank(source: Path, config: Config, seed: int, hours: float, soundfonts: Sequence[Path]) -> Plan:
    """The plan of the bank that `prepare_bank` makes from scores. Raises UsageError where there are only clips."""
    if _holds_clips(source):
        raise UsageError(f"{source}: finished clips, fresh ones are made from scores", "name a manifest or a MIDI pack")
    with _clips_of_others_offered(source):
        return make_plan(source, soundfonts, hours, seed, ("train",), ("A",), _factory_options(config))


@contextmanager
def _clips_of_others_offered(source: Path) -> Iterator[None]:
    """Where a manifest has nothing for training, the hint is how to train on what it has."""
    try:
        yield
    except NoItemError as error:
        hint = f"{error.hint}; train takes the clips that `hsmad dataset {source}` makes with these options"
        raise InputError(f"{source}: {error}", hint) from error


def require_held_out(kind: str, clips: Path) -> None:
    """Raises UsageError where there are only scores, whose clips would be those of training, and for the style stage,
    whose vocabulary is chosen from its own clips."""
    if kind in ("style", "phrasing"):
        raise UsageError(f"the {kind} stage has no held-out test", "`hsmad style-benchmark` judges it")
    if not _holds_clips(clips):
        raise UsageError(f"{clips}: not clips to test on", "a bank or shards, as of `hsmad dataset PACK --split test`")


def build_held_out(
    kind: str,
    config: Config,
    clips: Path,
    workers: Workers,
    cache: Path,
    codec: Path | None = None,
    style_encoder: Path | None = None,
) -> HeldOut | None:
    """A test of a stage on clips that it does not train on, not compiled; None on all processes but the first.

    Raises what `build_stage` raises.
    """
    bank = prepare_bank(clips, config, workers, 0, 0.0, (), cache)
    if not workers.chief:
        return None
    part = f"train_{kind}"
    settings = replace(getattr(config, part), compile=False, capture=False)
    alone = Workers(workers.device)
    twin = build_stage(kind, replace(config, **{part: settings}), bank, alone, 0, codec, style_encoder)
    return HeldOut(twin, settings, workers.device)


def _holds_clips(source: Path) -> bool:
    return any((source / table).is_file() for table in (BANK_TABLE, SHARD_TABLE))


def build_refresher(
    stage: Stage,
    config: Config,
    plan: Plan,
    workers: Workers,
    processes: int,
    codec: Path | None = None,
    style_encoder: Path | None = None,
) -> Refresher:
    """What replaces the replaceable clips of a codec's or a denoiser's stage by fresh ones of their plan."""
    if isinstance(stage, DenoiserStage) and codec is not None:
        encoder, _ = load_style_encoder(config.style, style_encoder, torch.device("cpu"))
        return Refresher(LatentClips(stage, load_codec(codec), encoder), plan, workers, processes)
    if isinstance(stage, VAEStage) and isinstance(stage.clips, ClipBank):
        return Refresher(AudioClips(stage.clips), plan, workers, processes)
    raise ValueError(f"a {stage.kind} stage learns from a fixed bank")


def build_stage(
    kind: str,
    config: Config,
    folder: Path,
    workers: Workers,
    seed: int,
    codec: Path | None = None,
    style_encoder: Path | None = None,
    replaceable: bool = False,
    language_model: Path | None = None,
) -> Stage:
    """A stage on this process's share of a bank's clips, which a refresher can replace if they are `replaceable`.

    The denoiser's also needs its codec and, unless that is pretrained, its style encoder. Raises UsageError,
    ConfigError, InputError, WeightsError.
    """
    bank = ClipBank.load(folder, workers.rank, workers.world)
    if bank.rates.frame_rate(0) != config.codec.frame_rate or bank.rates.ratios != config.denoiser.ratios:
        raise ConfigError(f"{folder}: a bank of {bank.rates}, the preset differs")
    _check_latents(folder, kind, codec)
    if replaceable:
        bank = with_room(bank)
    if kind == "vae":
        return VAEStage(config, bank.to(workers.device), workers.device, seed)
    if kind == "style":
        every_caption = [text for texts in ClipBank.load(folder).captions for text in texts]
        words = WordTokenizer.choose_words(every_caption, config.style.vocabulary)
        return StyleStage(config, bank.to(workers.device), words, seed)
    if kind == "phrasing":
        captions = [text for texts in bank.captions for text in texts]
        return _phrasing_stage(config, captions, workers.device, style_encoder, language_model)
    if codec is None:
        raise UsageError("the denoiser is trained on a codec's latents", "name one with --codec FILE")
    return _denoiser_stage(config, bank, workers.device, seed, codec, style_encoder)


def _phrasing_stage(
    config: Config,
    captions: Sequence[str],
    device: torch.device,
    teacher: Path | None,
    language_model: Path | None,
) -> PhrasingStage:
    if teacher is None:
        raise UsageError("phrasing is taught to a trained style encoder", "name one with --style-encoder FILE")
    tensors, header = load_checkpoint(teacher, "style")
    with of_this_version(teacher, "style encoder"):
        model = AudioTextModel.from_checkpoint(tensors, header)
    rates = {key: header[key] for key in ("sample_rate", "hop_length")}
    lexicon = Lexicon.of(model.text, SentenceModel(language_model) if language_model else None)
    return PhrasingStage(config, captions, model, rates, style_space(teacher), device, lexicon)


def _check_latents(folder: Path, kind: str, codec: Path | None) -> None:
    """Raises ConfigError unless a bank of latents serves this stage, and WeightsError if they are not this codec's."""
    table = read_table(folder)
    if "codec_sha256" not in table:
        return
    if kind not in ("denoiser", "phrasing"):
        raise ConfigError(f"{folder}: holds latents, and the {kind} is trained on audio")
    if codec is not None:
        find_codec(table, folder, codec)


def _denoiser_stage(
    config: Config, bank: ClipBank, device: torch.device, seed: int, codec: Path, style_encoder: Path | None
) -> DenoiserStage:
    vae = load_codec(codec)
    if vae.config.frame_rate != config.codec.frame_rate:
        rates = " and ".join(f"{a}/{b}" for a, b in (vae.config.frame_rate, config.codec.frame_rate))
        raise ConfigError(f"{codec}: latent frame rate and that of the preset differ: {rates} per second")
    encoder, about_style = load_style_encoder(config.style, style_encoder, device)
    styles = StyleTable.of(encoder, bank.captions, device)
    made_with = {"codec_sha256": file_sha256(codec), "latent_sha256": latent_sha256(codec), **about_style}
    return DenoiserStage(config, with_encoded_audio(bank, vae, device), styles, seed, made_with)


def load_codec(path: Path) -> VAE:
    """The codec of a checkpoint, frozen. Raises WeightsError."""
    tensors, header = load_checkpoint(path, "vae")
    with of_this_version(path, "codec"):
        vae = VAE(config_of(CodecConfig, header, path))
    fill(vae, tensors, str(path))
    return vae.eval().requires_grad_(False)


def load_style_encoder(
    config: StyleConfig, path: Path | None, device: torch.device
) -> tuple[StyleEncoder, dict[str, Any]]:
    """The style encoder of a configuration, and what a denoiser's header says of it.

    `path` is a checkpoint for `builtin`, and for `clap` and `t5` a folder (None: the local cache). Raises WeightsError,
    UsageError.
    """
    if config.encoder == "builtin":
        if path is None:
            raise UsageError("the builtin style encoder has to be trained first", "name one with --style-encoder FILE")
        tensors, header = load_checkpoint(path, "style")
        about = {"style_encoder": "builtin", "style_sha256": style_space(path)}
        with of_this_version(path, "style encoder"):
            return BuiltinStyleEncoder.from_checkpoint(tensors, header).to(device), about
    folder = text_model_folder(config.encoder, str(path or ""))
    model, tokenizer, width = load_text_model(config.encoder, str(folder))
    encoder = PRETRAINED_STYLES[config.encoder](model.to(device), tokenizer, width)
    about = {"style_encoder": config.encoder, "style_sha256": file_sha256(folder / "model.safetensors")}
    return encoder, about
