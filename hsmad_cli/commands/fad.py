"""hsmad fad: does a set of audio sound like another set?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console
from hsmad_cli.commands.jobs import HEARD_SUFFIXES, sounds_in
from hsmad_cli.errors import InputError

if TYPE_CHECKING:
    from hsmad_cli.evaluation.fad import Embedder, Gaussian


def fad(
    generated: Annotated[Path, typer.Argument(metavar="GENERATED", help="Folder of sounds.")],
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="Folder of sounds to compare with.")],
    model: Annotated[
        Path | None, typer.Option("--model", metavar="FOLDER", help="A CLAP model; without, log-mel statistics.")
    ] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Frechet distance between two folders of audio.

    With a CLAP model it is the Frechet audio distance; without, a distance of log-mel statistics, which is no FAD and
    is named so. Both fall with more audio: compare sets of the same size only.
    """
    from hsmad_cli.evaluation.fad import frechet_distance

    console = Console("fad", as_json, quiet, verbose)
    embedder = _embedder(model, device)
    first, second = (_gaussian(console, folder, embedder) for folder in (generated, reference))
    if min(first.n, second.n) <= len(first.mean):
        console.warn(f"only {min(first.n, second.n)} windows for {len(first.mean)} dimensions: the distance is biased")
    values = {
        "distance": frechet_distance(first, second),
        "embedding": embedder.name,
        "dimensions": len(first.mean),
        "n_generated": first.n,
        "n_reference": second.n,
    }
    console.report(values)
    if not as_json:
        print(f"{values['distance']:.4f}  (Frechet distance, {embedder.name}, {first.n} and {second.n} windows)")


def _embedder(model: Path | None, device: str) -> Embedder:
    from hsmad_cli.evaluation.clap_score import Clap
    from hsmad_cli.evaluation.fad import LogMelStatistics
    from hsmad_cli.pipeline import choose_device

    return LogMelStatistics() if model is None else Clap(model, choose_device(device).type)


def _gaussian(console: Console, folder: Path, embedder: Embedder) -> Gaussian:
    import numpy as np

    from hsmad_cli.evaluation.fad import Gaussian
    from hsmad_cli.files.audio import read_audio

    paths = sounds_in(folder)
    if not paths:
        raise InputError(f"{folder}: no {', '.join(HEARD_SUFFIXES)} files")
    vectors = []
    with console.progress(folder.name, len(paths)) as bar:
        for path in paths:
            vectors.append(embedder.embed_audio(read_audio(path)))
            bar.update()
    return Gaussian.of(np.concatenate(vectors))
