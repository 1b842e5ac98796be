"""hsmad clap-score: does the audio sound like the words?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console
from hsmad_cli.commands.jobs import Source, for_each, named
from hsmad_cli.errors import InputError


def clap_score(
    inputs: options.Inputs,
    texts: Annotated[list[str], typer.Option("--text", metavar="WORDS", help="A description; repeatable.")],
    model: Annotated[
        Path | None, typer.Option("--model", metavar="FOLDER", help="A CLAP model; default: the one pulled.")
    ] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Cosine between CLAP's ideas of a sound and of each text, -1 to 1; one line a sound."""
    from hsmad_cli.evaluation.clap_score import Clap, clap_scores
    from hsmad_cli.files.audio import read_audio
    from hsmad_cli.files.hub import pulled_folder
    from hsmad_cli.pipeline import choose_device

    console = Console("clap-score", as_json, quiet, verbose)
    clap = Clap(model or pulled_folder("clap"), choose_device(device).type)

    def work(source: Source) -> None:
        try:
            scores = clap_scores(clap, read_audio(source.content()), texts)
        except InputError as error:
            raise named(error, source.name) from error
        console.report({"input": source.name, "scores": dict(zip(texts, scores, strict=True))})
        if not as_json:
            print("\t".join([source.name, *(f"{score:.4f}" for score in scores)]))

    for_each(console, [Source(argument) for argument in inputs], work)
