"""hsmad plot: see where a rendering departs from its score."""

from __future__ import annotations

from typing import Annotated

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console
from hsmad_cli.commands.jobs import Source
from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.errors import InputError, UsageError


def plot(
    midi: Annotated[str, typer.Argument(metavar="MIDI", help="The score.")],
    sounds: Annotated[list[str], typer.Argument(metavar="AUDIO...", help="Renderings of it, one panel each.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="The PNG; - is stdout.")],
    start: Annotated[float, typer.Option("--start", min=0, help="First second to show.")] = 0.0,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0.1, help="Show so much, default all.")] = None,
    force: options.Force = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Draw the score as a piano roll over the spectrogram of each rendering, as a PNG."""
    from hsmad_cli.evaluation.plots import Panel, plot_renderings
    from hsmad_cli.files.audio import read_audio
    from hsmad_cli.files.midi import read_midi
    from hsmad_cli.files.publish import STDOUT, write_output

    console = Console("plot", as_json, quiet)
    if [midi, *sounds].count("-") > 1:
        raise UsageError("stdin (-) is named twice")
    notes = read_midi(Source(midi).content()).notes
    first = round(start * SAMPLE_RATE)
    last = None if seconds is None else first + round(seconds * SAMPLE_RATE)
    panels = []
    for source in map(Source, sounds):
        audio = read_audio(source.content())
        if audio.shape[1] <= first:
            raise InputError(f"{source.name}: {audio.shape[1] / SAMPLE_RATE:.1f} s, cannot start at {start:g} s")
        panels.append(Panel(source.name, audio[:, first:last]))
    write_output(output, plot_renderings(panels, notes, start), force)
    console.report({"output": output, "panels": len(panels)}, output == STDOUT)
