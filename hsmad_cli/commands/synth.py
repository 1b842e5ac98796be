"""hsmad synth: the reference rendering of a score, by a soundfont."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console
from hsmad_cli.commands.jobs import Job, plan_jobs, run_jobs

EngineName = Literal["fluidsynth", "tinysoundfont"]
RoomName = Literal["dry", "room", "hall", "church"]


def synth(
    inputs: options.Inputs,
    output: options.Output = None,
    out_dir: options.OutDir = None,
    soundfont: Annotated[
        Path | None,
        typer.Option("--soundfont", metavar="FILE", help="A General MIDI .sf2 or .sf3 (default: one installed)."),
    ] = None,
    engine: Annotated[
        EngineName, typer.Option("--engine", help="What plays; tinysoundfont is optional.")
    ] = "fluidsynth",
    latency: Annotated[
        Path | None,
        typer.Option("--latency", metavar="FILE", help="Table of `hsmad latency`, for a soundfont that has none here."),
    ] = None,
    room: Annotated[RoomName, typer.Option("--room", help="The reverb.")] = "room",
    sound_format: options.SoundFormat = "wav",
    max_minutes: options.MaxMinutes = 60,
    force: options.Force = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Play MIDI with a soundfont: the reference that generated music is compared with. MIDI time 0 is sample 0."""
    from hsmad_cli.commands.scores import report_ledger
    from hsmad_cli.files.audio import write_audio
    from hsmad_cli.files.midi import read_midi
    from hsmad_cli.synth.engine import ROOMS
    from hsmad_cli.synth.engines import build_engine
    from hsmad_cli.synth.latency import read_latency

    console = Console("synth", as_json, quiet, verbose)
    jobs = plan_jobs(inputs, output, out_dir, f".{sound_format}", force)
    synthesizer = build_engine(engine, soundfont, latency=read_latency(latency) if latency else "shipped")
    console.detail(f"soundfont {synthesizer.soundfont}")

    def work(job: Job) -> Mapping[str, Any]:
        score = read_midi(job.source.content(), 60 * max_minutes)
        audio = synthesizer.render(score.notes, score.duration_s, room=ROOMS[room])
        named = sound_format if job.to_stdout else None
        clipped = write_audio(job.target, audio, synthesizer.sample_rate, named, job.replace)
        report_ledger(console, job.source.name, score.ledger)
        seconds = audio.shape[1] / synthesizer.sample_rate
        return {"seconds": seconds, "clipped_samples": clipped, "soundfont": synthesizer.soundfont.name,
                "ledger": asdict(score.ledger)}  # fmt: skip

    run_jobs(console, jobs, work)
