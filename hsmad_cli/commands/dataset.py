"""hsmad dataset: a bank of clips to train on, rendered from scores on all cores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console


def dataset(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="A manifest, or a folder with one or with a MIDI pack.", show_default=False
        ),
    ],
    cache: Annotated[Path, typer.Option("--cache", metavar="FOLDER", help="Where the bank is kept.")] = Path("cache"),
    hours: Annotated[float, typer.Option("--hours", min=0, help="Music to make (0.635 GB an hour).")] = 1.0,
    soundfont: Annotated[
        list[Path] | None,
        typer.Option("--soundfont", metavar="FILE", help="Soundfonts to draw from, each as often as it is named."),
    ] = None,
    split: Annotated[list[str] | None, typer.Option("--split", help="Splits to take (default: train).")] = None,
    tier: Annotated[list[str] | None, typer.Option("--tier", help="Tiers to take (default: A).")] = None,
    clip_seconds: Annotated[float, typer.Option("--clip-seconds", min=1, help="Length of a clip.")] = 48.0,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change how clips are made: own_share=1, transpose_share=0"),
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FOLDER", help="Also write clips as WAV, MIDI and captions.")
    ] = None,
    export_clips: Annotated[int, typer.Option("--export-clips", min=1, help="How many of them.")] = 24,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes (default: one a core).")] = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make clips from scores: audio, the notes that are heard in it, captions and targets.

    The bank depends on DATA, soundfonts, hours, seed and how clips are made, not on workers; one that exists is kept.
    """
    from time import monotonic

    from hsmad_cli.config import changed, from_dict
    from hsmad_cli.datasets.build import build_bank
    from hsmad_cli.datasets.factory import FactoryOptions

    console = Console("dataset", as_json, quiet)
    began = monotonic()
    clip_options = from_dict(FactoryOptions, changed({"seconds": clip_seconds}, change or ()), where="clips")
    with console.following("clips") as bar:
        folder = build_bank(
            source,
            soundfont or (),
            hours,
            seed,
            workers,
            cache,
            splits=split or ("train",),
            tiers=tier or ("A",),
            options=clip_options,
            progress=lambda done, total: bar.follow("clips", done, total),
        )
    seconds = monotonic() - began
    if export is not None:
        _export(folder, export, export_clips)
    console.say(f"{folder} ({seconds:.0f} s)")
    console.report({"bank": str(folder), "seconds": seconds})


def _export(folder: Path, target: Path, n_clips: int) -> None:
    from hsmad_cli.datasets.export import export_clips
    from hsmad_cli.datasets.memory import ClipBank

    export_clips(ClipBank.load(folder), target, n_clips)
