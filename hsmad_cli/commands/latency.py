"""hsmad latency: how long after a note-on the sounds of a soundfont begin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console


def latency(
    soundfont: Annotated[Path, typer.Argument(metavar="SOUNDFONT", help="A General MIDI .sf2 or .sf3.")],
    output: options.Output = "-",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Measure when each sound of a soundfont begins, by program, drum kit and pitch: a table for `synth --latency`.

    Takes about a minute."""
    from hsmad_cli.files.publish import write_output
    from hsmad_cli.synth.engine import DRY, Synthesizer
    from hsmad_cli.synth.latency import measure_latency

    console = Console("latency", as_json, quiet, verbose)
    engine = Synthesizer(soundfont, polyphony=64, latency=None)
    table = measure_latency(
        engine.soundfont, lambda notes, duration_s: engine.render(notes, duration_s, room=DRY), engine.kits(),
        engine.sample_rate,
    )  # fmt: skip
    target = output or "-"
    write_output(target, table.to_json().encode())
    console.detail(f"slow attacks, only their silent heads corrected: programs {list(table.slow_programs)}")
    slow = {"slow_programs": table.slow_programs, "slow_keys": table.slow_keys}
    console.report({"soundfont": table.soundfont, "sha256": table.sha256, **slow}, stdout_taken=target == "-")
