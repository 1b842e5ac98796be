"""hsmad render-srm: what the network sees of a score."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console
from hsmad_cli.commands.jobs import Job, plan_jobs, run_jobs
from hsmad_cli.config import CodecConfig
from hsmad_cli.errors import UsageError

RATE = "{}/{}".format(*CodecConfig().frame_rate)


def render_srm(
    inputs: options.Inputs,
    output: options.Output = None,
    out_dir: options.OutDir = None,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="PNG", help="Draw the roll, too (one input).")] = None,
    frame_rate: Annotated[
        str, typer.Option("--frame-rate", metavar="N[/D]", help="Frames a second: those of the codec's latents.")
    ] = RATE,
    max_minutes: options.MaxMinutes = 60,
    force: options.Force = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Render MIDI as a soft piano roll.

    The output is S_sync, all that the score encoder reads: an npz of kind srm."""
    from dataclasses import asdict

    from hsmad_cli.commands.scores import read_roll, report_ledger
    from hsmad_cli.files.roll_plot import plot_roll
    from hsmad_cli.files.score_npz import save_roll

    console = Console("render-srm", as_json, quiet, verbose)
    jobs = plan_jobs(inputs, output, out_dir, ".npz", force)
    rate = _parse_rate(frame_rate)
    if plot is not None and len(jobs) > 1:
        raise UsageError(f"--plot draws one roll, there are {len(jobs)} inputs")

    def work(job: Job) -> Mapping[str, Any]:
        roll = read_roll(job.source, rate, max_minutes)
        save_roll(job.target, roll, job.replace)
        if plot is not None:
            plot_roll(plot, roll)
        ledger = roll.score.ledger
        report_ledger(console, job.source.name, ledger)
        return {"frames": roll.n_frames, "seconds": roll.duration_s, "caption": roll.caption, "ledger": asdict(ledger)}

    run_jobs(console, jobs, work)


def _parse_rate(text: str) -> tuple[int, int]:
    numerator, _, denominator = text.partition("/")
    if not numerator.isdecimal() or not (denominator or "1").isdecimal() or "0" in (numerator, denominator):
        raise UsageError(f"--frame-rate {text!r} is no rate", "for instance 50 or 44100/882")
    return int(numerator), int(denominator or "1")
