"""hsmad check-dataset: whether the clips of a bank or of shards sound as their notes and captions say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console
from hsmad_cli.errors import InputError

if TYPE_CHECKING:
    from hsmad_cli.datasets.checks import Bar, ClipCheck, HeardClip
    from hsmad_cli.evaluation.listening_sheet import SheetItem


def check_dataset(
    folder: Annotated[Path, typer.Argument(metavar="BANK|SHARDS", help="What `hsmad dataset` made.")],
    n_clips: Annotated[int, typer.Option("--clips", min=1, help="Clips to check, drawn at random.")] = 200,
    listen: Annotated[
        Path | None, typer.Option("--listen", metavar="PAGE", help="Also write an HTML page to look and listen.")
    ] = None,
    listened: Annotated[int, typer.Option("--listen-clips", min=1, help="Clips on that page.")] = 24,
    seed: options.Seed = 0,
    force: options.Force = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Check clips against their notes and captions: onsets, clipping, silence, instruments.

    Prints a table, or with --json one JSON object. Exit code 3 if a bar is missed.
    """
    from hsmad_cli.datasets.checks import bars, check_clip, drawn, heard_clip, open_clips
    from hsmad_cli.files.publish import check_absent, write_output

    console = Console("check-dataset", as_json, quiet)
    if listen is not None:
        check_absent(listen, force)
    clips = open_clips(folder)
    chosen = drawn(len(clips), n_clips, seed)
    with console.progress("checking", len(chosen)) as bar:
        checks = []
        for index in chosen:
            checks.append(check_clip(heard_clip(clips, index)))
            bar.update()
    if listen is not None:
        from hsmad_cli.evaluation.listening_sheet import listening_sheet

        shown = drawn(len(clips), min(listened, n_clips), seed)
        items = (_sheet_item(heard_clip(clips, index)) for index in shown)
        write_output(str(listen), listening_sheet(folder.name, items).encode(), force)
    found = bars(checks)
    console.report(_report(checks, found))
    if not as_json:
        _print(checks, found)
    missed = [f"{each.name}: {each.value:.3g}" for each in found if not each.is_met]
    if missed:
        raise InputError(f"{folder}: {len(missed)} of {len(found)} bars missed: {'; '.join(missed)}")


def _report(checks: list[ClipCheck], found: list[Bar]) -> dict[str, Any]:
    from dataclasses import asdict

    said = [
        {"clip": check.index, "caption": text, "name": name} for check in checks for text, name in check.false_names
    ]
    return {
        "clips": len(checks),
        "bars": [{**asdict(each), "met": each.is_met} for each in found],
        "clipped": [check.index for check in checks if check.clipped],
        "false_names": said,
    }


def _print(checks: list[ClipCheck], found: list[Bar]) -> None:
    print(f"{len(checks)} clips")
    for each in found:
        bound = f">= {each.least:g}" if each.least is not None else f"<= {each.most:g}"
        print(f"{'ok' if each.is_met else 'MISSED'}\t{each.name}\t{each.value:.4g}\t{bound}")
    for check in checks:
        for caption, name in check.false_names:
            print(f"\tclip {check.index}: no {name} in: {caption}")


def _sheet_item(clip: HeardClip) -> SheetItem:
    from hsmad_cli.evaluation.listening_sheet import SheetItem
    from hsmad_cli.evaluation.plots import Panel, plot_renderings
    from hsmad_cli.files.audio import encode_audio

    audio = clip.audio.T / 32768
    title = f"clip {clip.index}: {clip.recipe}"
    sound, _ = encode_audio(audio, clip.sample_rate, "ogg")
    return SheetItem(title, clip.captions, plot_renderings([Panel(title, audio)], clip.notes), sound)
