"""hsmad manifest: the list of scores that training reads, from a folder of MIDI with a table."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import STDOUT, Console


def manifest(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A MIDI pack: a folder with manifest.csv.", show_default=False)
    ],
    output: options.Output = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """List the scores of a MIDI pack, split by group into train, validation and test: JSON lines.

    Paths in the list are relative to the folder of OUTPUT (on stdout: to the current folder).
    """
    from hsmad_cli.datasets.manifest import read_pack, write_manifest
    from hsmad_cli.files.publish import write_output

    console = Console("manifest", as_json, quiet)
    items = read_pack(folder)
    target = output or STDOUT
    write_output(target, write_manifest(items, Path() if target == STDOUT else Path(target).parent))
    splits = dict(Counter(item.split for item in items))
    hours = sum(item.duration_s for item in items) / 3600
    console.say(f"{len(items)} scores, {hours:.1f} h: {', '.join(f'{n} {split}' for split, n in splits.items())}")
    console.report({"items": len(items), "hours": hours, "splits": splits}, target == STDOUT)
