"""The app: every verb, registered."""

from __future__ import annotations

import importlib
from typing import Annotated

import typer

from hsmad_cli import __version__

VERBS = (
    "render-srm", "sample", "encode", "decode", "styles", "synth", "manifest", "train",
    "transcribe-eval", "codec-eval", "fad", "clap-score", "listen", "plot", "weights", "doctor",
)  # fmt: skip

app = typer.Typer(name="hsmad", rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hsmad {__version__}")
        raise typer.Exit


@app.callback()
def hsmad(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A score and a sentence in, music out."""


for verb in VERBS:
    name = verb.replace("-", "_")
    try:
        module = importlib.import_module(f"hsmad_cli.commands.{name}")
    except ModuleNotFoundError:  # while the verbs are being written
        continue
    if hasattr(module, "app"):
        app.add_typer(module.app, name=verb)
    else:
        app.command(verb)(getattr(module, name))
