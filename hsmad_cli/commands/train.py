"""hsmad train: one stage of the system, from clips to a checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console
from hsmad_cli.errors import OutputError, UsageError

if TYPE_CHECKING:
    from hsmad_cli.config import Config, TrainConfig

StageName = Literal["vae", "style", "phrasing", "denoiser"]


def train(
    stage: Annotated[StageName, typer.Option("--stage", help="What to train.")],
    data: Annotated[
        Path, typer.Option("--data", metavar="PATH", help="A bank of clips, or shards or a manifest to make one from.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="RUN", help="Folder of the run.")],
    preset: Annotated[str, typer.Option("--preset", help="Name of a preset, or a TOML file.")] = "base",
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the preset: train_vae.decay=0.2")
    ] = None,
    codec: Annotated[
        Path | None, typer.Option("--codec", metavar="FILE", help="Codec whose latents the denoiser learns.")
    ] = None,
    style_encoder: Annotated[
        Path | None,
        typer.Option(
            "--style-encoder", metavar="FILE", help="Style encoder of the denoiser, or one to teach phrasing."
        ),
    ] = None,
    language_model: Annotated[
        Path | None,
        typer.Option(
            "--language-model",
            metavar="FOLDER",
            help="Phrasing: a sentence encoder of transformers that says what words of no list mean.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where RUN stopped, if it has begun.")] = False,
    init: Annotated[
        Path | None,
        typer.Option("--init", metavar="FILE", help="Weights that a run begins with (a checkpoint or a state)."),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Steps in all (default: the preset's).")] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0, help="Stop after this many seconds of training, and save.")
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Items a step and process.")] = None,
    hours: Annotated[float, typer.Option("--hours", min=0, help="Music to make from a manifest.")] = 1.0,
    soundfont: Annotated[
        list[Path] | None, typer.Option("--soundfont", metavar="FILE", help="Soundfonts to make it with.")
    ] = None,
    cache: Annotated[
        Path, typer.Option("--cache", metavar="FOLDER", help="Where banks made from a manifest are kept.")
    ] = Path("cache"),
    refresh: Annotated[
        int,
        typer.Option(
            "--refresh",
            metavar="PROCESSES",
            min=0,
            help="Make fresh clips meanwhile, in so many processes, in place of the oldest (vae and denoiser).",
        ),
    ] = 0,
    held_out: Annotated[
        Path | None,
        typer.Option(
            "--held-out", metavar="CLIPS", help="A bank or shards to test on, every test_every steps (vae, denoiser)."
        ),
    ] = None,
    profile: Annotated[
        int,
        typer.Option(
            "--profile", metavar="STEPS", min=0, help="Measure so many steps, say where the time goes, save nothing."
        ),
    ] = 0,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    force: Annotated[bool, typer.Option("--force", help="Begin anew although RUN has begun.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Train the codec, the style encoder or the denoiser; or teach a style encoder to follow whole sentences.

    Many GPUs: torchrun --nproc-per-node 4 -m hsmad_cli train ...

    RUN gets metrics.jsonl, state.safetensors (to resume from) and the weights. SIGTERM and Ctrl-C save first. A run
    that is stopped and resumed gives the same weights as one in one piece, unless --refresh is given: when a fresh clip
    is ready depends on the machine, and a resumed run begins with the bank again.
    """
    from hsmad_cli.config import load_preset
    from hsmad_cli.pipeline import choose_device
    from hsmad_cli.training.loop import Run
    from hsmad_cli.training.loop import train as run_training
    from hsmad_cli.training.parallel import Workers
    from hsmad_cli.training.profile import profile as measure
    from hsmad_cli.training.setup import (
        build_held_out,
        build_refresher,
        build_stage,
        plan_of_bank,
        prepare_bank,
        require_held_out,
    )

    console = Console("train", quiet=quiet)
    _check_output(output, resume, force)
    _check_options(stage, refresh, language_model, init)
    if stage == "phrasing":
        _check_teacher(style_encoder, output)
    if held_out is not None:
        require_held_out(stage, held_out)
    config, settings = _settings(load_preset(preset, change or ()), stage, steps, seconds, batch)
    with Workers.join(str(choose_device(device))) as workers:
        plan = plan_of_bank(data, config, seed, hours, soundfont or ()) if refresh else None
        test = None
        if held_out is not None and not profile:
            test = build_held_out(stage, config, held_out, workers, cache, codec, style_encoder)
        bank = prepare_bank(data, config, workers, seed, hours, soundfont or (), cache)
        trained = build_stage(
            stage, config, bank, workers, seed, codec, style_encoder, refresh > 0, language_model=language_model
        )
        files = {
            "held_out": held_out, "language_model": language_model, "codec": codec, "style_encoder": style_encoder,
            "init": init,
        }  # fmt: skip
        about = {
            "data": str(data), "bank": bank.name, "preset": config.name, "refresh": refresh,
            "hours": hours, "soundfonts": [font.name for font in soundfont or ()],
            **{name: path and str(path) for name, path in files.items()},
        }  # fmt: skip
        refresher = build_refresher(trained, config, plan, workers, refresh, codec, style_encoder) if plan else None
        try:
            if profile:
                print("\n".join(measure(Run(trained, settings, workers, seed), profile).lines()))
                return
            run_training(
                trained,
                settings,
                output,
                workers=workers,
                seed=seed,
                resume=resume,
                init=init,
                about=about,
                test=test,
                between=refresher.poll if refresher else lambda step: None,
                log=console.say,
            )
        finally:
            if refresher:
                refresher.close()
                console.say(f"{refresher.taken} clips replaced, {refresher.left_out} left out as too full")


def _check_output(output: Path, resume: bool, force: bool) -> None:
    """Raises UsageError or OutputError unless a run may begin, or go on, in this folder."""
    from hsmad_cli.training.loop import STATE_FILE

    if resume and force:
        raise UsageError("--resume goes on with a run, --force begins one anew", "leave one of them out")
    if (output / STATE_FILE).exists() and not (resume or force):
        raise OutputError(f"{output}: holds a run already", "--resume goes on with it, --force begins anew")


def _check_options(stage: StageName, refresh: int, language_model: Path | None, init: Path | None) -> None:
    """Raises UsageError for an option that this stage has no use for."""
    if refresh and stage in ("style", "phrasing"):
        raise UsageError(f"the {stage} stage learns from a fixed bank", "leave out --refresh")
    if language_model is not None and stage != "phrasing":
        raise UsageError(
            f"the {stage} stage learns from sounds, not from a language model", "leave out --language-model"
        )
    if stage == "phrasing" and init is not None:
        raise UsageError("phrasing begins with its teacher", "name it with --style-encoder in place of --init")


def _check_teacher(teacher: Path | None, output: Path) -> None:
    """Raises UsageError if the pupil would be written into its teacher's folder."""
    if teacher is not None and teacher.resolve().parent == output.resolve():
        raise UsageError(f"{output}: the teacher's own folder", "name another with -o")


def _settings(
    config: Config, stage: str, steps: int | None, seconds: float | None, batch: int | None
) -> tuple[Config, TrainConfig]:
    """The preset with the options of the command line, and its part for this stage."""
    name = f"train_{stage}"
    given = {"steps": steps, "seconds": seconds, "batch": batch}
    settings = replace(getattr(config, name), **{key: value for key, value in given.items() if value is not None})
    return replace(config, **{name: settings}), settings
