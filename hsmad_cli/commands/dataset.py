"""hsmad dataset: clips to train on, made from scores on all cores: a bank for one machine, or shards for many."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console
from hsmad_cli.errors import UsageError

if TYPE_CHECKING:
    from hsmad_cli.datasets.factory import FactoryOptions, Plan
    from hsmad_cli.datasets.shard_build import Part
    from hsmad_cli.pipeline import Codec

SOUNDS = {"flac": "flac", "int16": "audio.npy", "latents": "latents.npy"}
Sound = Literal["flac", "int16", "latents"]


def dataset(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="A manifest, or a folder with one, a MIDI pack or shards.", show_default=False
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
        typer.Option("--set", metavar="KEY=VALUE", help="How clips are made: own_share=1, engine='tinysoundfont', ..."),
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FOLDER", help="Also write clips as WAV, MIDI and captions.")
    ] = None,
    export_clips: Annotated[int, typer.Option("--export-clips", min=1, help="How many of them.")] = 24,
    shards: Annotated[
        Path | None, typer.Option("--shards", metavar="FOLDER", help="Write tar shards there, and no bank.")
    ] = None,
    shard: Annotated[
        str, typer.Option("--shard", metavar="I/N", help="Make every N-th shard from I (0 to N-1) on; the rest later.")
    ] = "0/1",
    clips_per_shard: Annotated[int, typer.Option("--clips-per-shard", min=1, help="Clips in a tar file.")] = 64,
    sound: Annotated[Sound, typer.Option("--sound", help="How shards hold the sound.")] = "flac",
    codec: Annotated[
        str | None, typer.Option("--codec", metavar="NAME|FILE", help="Codec that makes the latents.")
    ] = None,
    device: options.Device = "auto",
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes (default: one a core).")] = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make clips from scores or recordings: sound, the notes that are heard in it, captions and targets.

    What is made depends on DATA, soundfonts, hours, seed and how clips are made, not on workers or parts; what is there
    already is kept. A build of shards that was stopped goes on with the same command.
    """
    from hsmad_cli.config import changed, from_dict
    from hsmad_cli.datasets.build import build_bank, make_plan
    from hsmad_cli.datasets.factory import FactoryOptions

    console = Console("dataset", as_json, quiet)
    splits, tiers = split or ("train",), tier or ("A",)
    clips = from_dict(FactoryOptions, changed({"seconds": clip_seconds}, change or ()), where="clips")
    if shards is not None:
        if export is not None:
            raise UsageError("--export writes clips of a bank", "leave out --shards")
        part, encoder = _part(shard), _codec(sound, codec, device)
        clips = _at_rate_of(encoder, clips)
        plan = make_plan(source, soundfont or (), hours, seed, splits, tiers, clips)
        _build_shards(console, shards, plan, part, SOUNDS[sound], clips_per_shard, encoder, workers)
        return
    if shard != "0/1" or sound != "flac":
        raise UsageError("--shard and --sound are for shards", "name their folder with --shards")
    began = monotonic()
    with console.following("clips") as bar:
        folder = build_bank(
            source,
            soundfont or (),
            hours,
            seed,
            workers,
            cache,
            splits=splits,
            tiers=tiers,
            options=clips,
            progress=lambda done, total: bar.follow("clips", done, total),
        )
    seconds = monotonic() - began
    if export is not None:
        _export(folder, export, export_clips)
    console.say(f"a bank, in {seconds:.0f} s")
    console.report({"bank": str(folder), "seconds": seconds})
    if not as_json:
        print(folder, flush=True)


def _part(text: str) -> Part:
    """The part that `--shard i/n` names."""
    from hsmad_cli.datasets.shard_build import Part

    try:
        index, count = text.split("/")
        return Part(int(index), int(count))
    except ValueError as error:
        raise UsageError(f"--shard {text}: {error}", "0/8, 1/8, ... 7/8 are the parts of eight") from error


def _codec(sound: Sound, name: str | None, device: str) -> Codec | None:
    if sound != "latents":
        if name is not None:
            raise UsageError("--codec makes latents", "add --sound latents")
        return None
    from hsmad_cli.pipeline import Codec

    return Codec.load(name, device)


def _at_rate_of(codec: Codec | None, clips: FactoryOptions) -> FactoryOptions:
    from dataclasses import replace

    return clips if codec is None else replace(clips, sample_rate=codec.sample_rate)


def _build_shards(
    console: Console,
    folder: Path,
    plan: Plan,
    part: Part,
    sound: str,
    clips_per_shard: int,
    codec: Codec | None,
    workers: int | None,
) -> None:
    from hsmad_cli.datasets.shard_build import build_shards, shard_table
    from hsmad_cli.datasets.shards import missing_shards, tree_hash
    from hsmad_cli.datasets.sheets import Rates

    began = monotonic()
    rates = Rates(plan.options.sample_rate) if codec is None else Rates(codec.sample_rate, codec.hop_length)
    table = shard_table(plan, rates, sound, clips_per_shard, None if codec is None else codec.sha256)
    encode = None if codec is None else codec.encode
    with console.following("clips") as bar:
        made = build_shards(
            folder, plan, table, part, workers, encode, lambda done, total: bar.follow("clips", done, total)
        )
    there = table.n_shards - len(missing_shards(folder, table))
    tree = tree_hash(folder, table) if there == table.n_shards else None
    seconds = monotonic() - began
    whole = f", tree sha256 {tree}" if tree else ""
    console.say(f"{folder}: {made} shards made, {there} of {table.n_shards} there{whole} ({seconds:.0f} s)")
    report = {"shards": str(folder), "made": made, "there": there, "of": table.n_shards}
    console.report({**report, "tree_sha256": tree, "seconds": seconds})


def _export(folder: Path, target: Path, n_clips: int) -> None:
    from hsmad_cli.datasets.export import export_clips
    from hsmad_cli.datasets.memory import ClipBank

    export_clips(ClipBank.load(folder), target, n_clips)
