"""The app: every verb, registered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from hsmad_cli import __version__
from hsmad_cli.commands.benchmark import benchmark
from hsmad_cli.commands.caption import caption
from hsmad_cli.commands.check_dataset import check_dataset
from hsmad_cli.commands.clap_score import clap_score
from hsmad_cli.commands.codec_eval import codec_eval
from hsmad_cli.commands.dataset import dataset
from hsmad_cli.commands.decode import decode
from hsmad_cli.commands.doctor import doctor
from hsmad_cli.commands.encode import encode
from hsmad_cli.commands.fad import fad
from hsmad_cli.commands.latency import latency
from hsmad_cli.commands.listen import listen
from hsmad_cli.commands.manifest import manifest
from hsmad_cli.commands.musicgen import musicgen
from hsmad_cli.commands.plot import plot
from hsmad_cli.commands.render_srm import render_srm
from hsmad_cli.commands.sample import sample
from hsmad_cli.commands.style_benchmark import style_benchmark
from hsmad_cli.commands.styles import styles
from hsmad_cli.commands.synth import synth
from hsmad_cli.commands.train import train
from hsmad_cli.commands.transcribe_eval import transcribe_eval
from hsmad_cli.commands.weights import app as weights

VERBS: tuple[Callable[..., None], ...] = (
    sample, styles, caption, render_srm, encode, decode, synth, transcribe_eval, plot, listen, fad, clap_score,
    codec_eval, benchmark, style_benchmark, musicgen, manifest, dataset, check_dataset, train, doctor, latency,
)  # fmt: skip

app = typer.Typer(name="hsmad", rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})
for verb in VERBS:
    app.command(verb.__name__.replace("_", "-"))(verb)
app.add_typer(weights, name="weights")


def verb_of(arguments: list[str]) -> str | None:
    """The verb that the arguments of a command line begin with, if they do."""
    names = {verb.__name__.replace("_", "-") for verb in VERBS} | {"weights"}
    return arguments[0] if arguments and arguments[0] in names else None


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
