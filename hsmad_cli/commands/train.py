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

StageName = Literal["vae", "style", "denoiser"]


def train(
    stage: Annotated[StageName, typer.Option("--stage", help="What to train.")],
    data: Annotated[
        Path, typer.Option("--data", metavar="PATH", help="A bank of clips, or a manifest to make one from first.")
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
        Path | None, typer.Option("--style-encoder", metavar="FILE", help="Style encoder of the denoiser.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where RUN stopped, if it has begun.")] = False,
    init: Annotated[
        Path | None, typer.Option("--init", metavar="FILE", help="Start from these weights (a checkpoint or a state).")
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
    seed: options.Seed = 0,
    device: options.Device = "auto",
    force: Annotated[bool, typer.Option("--force", help="Begin anew although RUN has begun.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Train the codec, the style encoder or the denoiser. Many GPUs: torchrun --nproc-per-node 4 -m hsmad_cli train ...

    RUN gets metrics.jsonl, state.safetensors (to resume from) and the weights. SIGTERM and Ctrl-C save first.
    """
    from hsmad_cli.config import load_preset
    from hsmad_cli.pipeline import choose_device
    from hsmad_cli.training.loop import STATE_FILE
    from hsmad_cli.training.loop import train as run_training
    from hsmad_cli.training.parallel import Workers
    from hsmad_cli.training.setup import build_stage, prepare_bank

    console = Console("train", quiet=quiet)
    if resume and (init is not None or force):
        raise UsageError("--resume goes on with a run, --init and --force begin one", "leave one of them out")
    if (output / STATE_FILE).exists() and not (resume or force):
        raise OutputError(f"{output}: holds a run already", "--resume goes on with it, --force begins anew")
    config, settings = _settings(load_preset(preset, change or ()), stage, steps, seconds, batch)
    workers = Workers.join(str(choose_device(device)))
    bank = prepare_bank(data, config, workers, seed, hours, soundfont or (), cache)
    trained = build_stage(stage, config, bank, workers, seed, codec, style_encoder)
    about = {"data": str(data), "bank": bank.name, "preset": config.name}
    try:
        run_training(
            trained,
            settings,
            output,
            workers=workers,
            seed=seed,
            resume=resume,
            init=init,
            about=about,
            log=console.say,
        )
    finally:
        workers.leave()


def _settings(
    config: Config, stage: str, steps: int | None, seconds: float | None, batch: int | None
) -> tuple[Config, TrainConfig]:
    """The preset with the options of the command line, and its part for this stage."""
    name = f"train_{stage}"
    given = {"steps": steps, "seconds": seconds, "batch": batch}
    settings = replace(getattr(config, name), **{key: value for key, value in given.items() if value is not None})
    return replace(config, **{name: settings}), settings
