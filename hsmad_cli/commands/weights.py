"""hsmad weights: what is installed, is it whole, fetching what others publish, and means of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console
from hsmad_cli.errors import UsageError, WeightsError

app = typer.Typer(rich_markup_mode=None)


@app.callback()
def weights() -> None:
    """List, fetch, verify and average weights."""


@app.command("list")
def list_weights(as_json: options.Json = False) -> None:
    """Say which weights are installed, and which can be pulled."""
    from dataclasses import asdict

    from hsmad_cli.files.hub import REMOTES, entries, pulled, weights_folder

    console = Console("weights", as_json)
    shipped = entries()
    remote = {name: pulled(name) for name in REMOTES}
    console.report(
        {
            "folder": str(weights_folder()),
            "shipped": [asdict(entry) for entry in shipped],
            "remote": {name: str(folder) if folder else None for name, folder in remote.items()},
        }
    )
    if as_json:
        return
    for entry in shipped:
        mark = "default" if entry.default else ""
        print(f"{entry.name:16} {entry.kind:10} {entry.bytes / 1e6:7.1f} MB  {entry.sha256[:12]}  {mark}".rstrip())
    for name, folder in remote.items():
        place = "here" if folder else f"hsmad weights pull {name}"
        print(f"{name:16} {REMOTES[name].what} ({REMOTES[name].licence}): {place}")
    if not shipped:
        console.warn(f"no weights in {weights_folder()}")


@app.command()
def pull(names: Annotated[list[str], typer.Argument(metavar="NAME", help="As `hsmad weights list` calls it.")]) -> None:
    """Fetch published weights from the hub into the local cache. Nothing else in hsmad downloads anything.

    Their licences are their authors': `hsmad weights list` names them.
    """
    from hsmad_cli.files.hub import pull as fetch

    console = Console("weights")
    for name in names:
        console.say(f"{name}: {fetch(name)}")


@app.command()
def verify(as_json: options.Json = False, quiet: options.Quiet = False) -> None:
    """Check size and sha256 of all shipped weights."""
    from hsmad_cli.files.hub import entries, verified, weights_folder

    console = Console("weights", as_json, quiet)
    found = entries()
    if not found:
        raise WeightsError(f"no weights in {weights_folder()}", "install hsmad again, or set HSMAD_WEIGHTS")
    bad = []
    for entry in found:
        try:
            verified(entry)
        except WeightsError as error:
            console.warn(str(error))
            bad.append(entry.file)
        else:
            console.say(f"{entry.file}: whole")
    console.report({"verified": len(found) - len(bad), "bad": bad})
    if bad:
        raise WeightsError(f"{len(bad)} of {len(found)} files are damaged or absent", "install hsmad again")


@app.command()
def average(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Checkpoints of one ancestor.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Where the mean goes.")],
    force: options.Force = False,
) -> None:
    """The mean of weights that began as the same and parted a short training ago: now and then better than each.

    That they did begin as the same is not checked.
    """
    from hsmad_cli.commands.jobs import STDOUT, check_target
    from hsmad_cli.files.averaging import averaged
    from hsmad_cli.files.checkpoint import save_checkpoint

    if len(files) < 2:
        raise UsageError("a mean is of two files or more", "hsmad weights average ONE OTHER -o MEAN")
    if str(output) == STDOUT:
        raise UsageError("weights do not go to stdout", "name a file with -o")
    check_target(str(output), force)
    tensors, header = averaged(files)
    sha256 = save_checkpoint(output, tensors, header)
    Console("weights").say(f"{output}: mean of {len(files)}, content {sha256[:12]}")
