"""hsmad manifest: the list of scores and recordings that training reads, from a folder of music."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import STDOUT, Console
from hsmad_cli.errors import InputError, PartialError


def manifest(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="MAESTRO, Slakh2100, a MIDI pack (manifest.csv), or any folder of MIDI and recordings of equal names.",
            show_default=False,
        ),
    ],
    output: options.Output = None,
    check: Annotated[bool, typer.Option(help="Open every file; a missing or corrupt item is left out.")] = True,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes (default: one a core).")] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """List the scores of a folder, with recordings, captions and splits: JSON lines.

    Splits are the data set's own, else made by group. What is missing or corrupt is named and counted (exit code 8).
    Paths in the list are relative to the folder of OUTPUT (on stdout: to the current folder).
    """
    from hsmad_cli.datasets.layouts import checked, list_folder
    from hsmad_cli.datasets.manifest import write_manifest
    from hsmad_cli.files.publish import write_output
    from hsmad_cli.processes import available_cores

    console = Console("manifest", as_json, quiet)
    layout, listing = list_folder(folder)
    if check:
        with console.following("items") as bar:
            listing = checked(listing, workers or available_cores(), lambda done, n: bar.follow("items", done, n))
    for problem in listing.problems:
        console.warn(problem)
    items = listing.items
    if not items:
        raise InputError(f"{folder}: none of {len(listing.problems)} items can be used")
    target = output or STDOUT
    write_output(target, write_manifest(items, Path() if target == STDOUT else Path(target).parent))
    splits = dict(Counter(item.split for item in items))
    recorded = sum(item.audio is not None for item in items)
    hours = sum(item.duration_s for item in items) / 3600
    spoken = ", ".join(f"{n} {split}" for split, n in splits.items())
    console.say(f"{layout}: {len(items)} scores, {recorded} recorded, {hours:.1f} h: {spoken}")
    for reason, count in listing.omitted.items():
        console.say(f"left out: {count} ({reason})")
    report = {"layout": layout, "items": len(items), "recorded": recorded, "hours": hours, "splits": splits}
    report |= {"omitted": dict(listing.omitted), "problems": len(listing.problems)}
    console.report(report, target == STDOUT)
    if listing.problems:
        total = len(items) + len(listing.problems)
        raise PartialError(f"{len(listing.problems)} of {total} items left out, {len(items)} listed")
