"""hsmad musicgen: what MusicGen makes of the same words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console
from hsmad_cli.commands.jobs import STDIN, Job, Source, plan_jobs, run_jobs, with_takes
from hsmad_cli.commands.scores import is_score, read_roll, report_ledger
from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from hsmad_cli.pipeline.musicgen import MusicGen
    from hsmad_cli.symbolic.notes import Ledger
    from hsmad_cli.synth.engines import Engine

DEFAULT_S = 10.0
NO_INPUT = "musicgen"
ROLL_RATE = (1, 1)


@dataclass(frozen=True)
class Material:
    """What a score or a sound says: in words (of a sound, none), for how long, and how it sounds."""

    caption: str
    seconds: float
    audio: Callable[[], np.ndarray]
    ledger: Ledger | None = None


def musicgen(
    scores: Annotated[
        list[str] | None,
        typer.Argument(metavar="SCORE", help="MIDI or SRM: its caption, length and melody.", show_default=False),
    ] = None,
    style: Annotated[
        str | None, typer.Option("--style", metavar="TEXT", help="How it sounds; default: the score's caption.")
    ] = None,
    melody: Annotated[
        str | None,
        typer.Option("--melody", metavar="FILE", help="Score or sound that a melody model follows; default: SCORE."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--seconds", min=0.1, help=f"Length, at most 30 s; default: the score's or melody's, else {DEFAULT_S:g}."
        ),
    ] = None,
    ws: Annotated[float, typer.Option("--ws", help="How closely words and melody are followed; 1: no guidance.")] = 3.0,
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="Of how many codes each is drawn.")] = 250,
    count: Annotated[
        int, typer.Option("--count", min=1, help="So many versions, <stem>-<seed>, with seeds that count up.")
    ] = 1,
    seed: options.Seed = 0,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME|FOLDER",
            help="musicgen-small, musicgen-melody or a folder.  [default: small, with --melody melody]",
            show_default=False,
        ),
    ] = None,
    soundfont: Annotated[
        Path | None,
        typer.Option("--soundfont", metavar="FILE", help="Plays a melody that is a score (default: one installed)."),
    ] = None,
    device: options.Device = "auto",
    max_minutes: options.MaxMinutes = 60,
    output: options.Output = None,
    out_dir: options.OutDir = None,
    sound_format: options.SoundFormat = "wav",
    force: options.Force = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Play words with MusicGen, a baseline that reads no notes.

    A score gives it words and a length, and a melody model the chroma of the score. It plays at most 30 s, which become
    44.1 kHz stereo, softer if they would clip.

    The weights are Meta's, licensed CC BY-NC 4.0: no commercial use. `hsmad weights pull musicgen-small` fetches them.
    """
    from hsmad_cli.files.audio import audio_format, write_audio
    from hsmad_cli.pipeline.musicgen import MAX_S, MELODY_MODEL, TEXT_MODEL, musicgen_folder
    from hsmad_cli.synth.engine import within_peak
    from hsmad_cli.synth.engines import build_engine

    console = Console("musicgen", as_json, quiet, verbose)
    if not scores and style is None and melody is None:
        raise UsageError("a score, --style or --melody is needed", 'hsmad musicgen --style "jazz trio" -o jazz.wav')
    if melody == STDIN and STDIN in (scores or ()):
        raise UsageError("stdin (-) is named twice")
    jobs = plan_jobs(scores or [melody or NO_INPUT], output, out_dir, f".{sound_format}", force)
    if count > 1:
        jobs = with_takes(jobs, [str(seed + take) for take in range(count)])
    written_as = sound_format if jobs[0].to_stdout else audio_format(jobs[0].target)
    named = model or (MELODY_MODEL if melody else TEXT_MODEL)
    folder = musicgen_folder(named)
    load = cache(lambda: _load(console, folder, device, melody is not None))
    engine = cache(partial(build_engine, "fluidsynth", soundfont))
    read = lru_cache(1)(partial(_read_score, console, engine, max_minutes))
    hear = cache(lambda source: read(source) if is_score(source) else _read_sound(source))

    def work(job: Job) -> Mapping[str, Any]:
        heard = hear(Source(melody)) if melody else None
        source = read(job.source) if scores else heard
        words = style if style is not None else source.caption if source else ""
        wanted = seconds or (source.seconds if source else DEFAULT_S)
        if wanted > MAX_S and not job.take:
            console.warn(f"{job.source.name}: MusicGen plays at most {MAX_S:g} s, here the first of {wanted:.1f} s")
        player, take_seed, played, followed = load(), seed + job.take, min(wanted, MAX_S), heard or source
        tune = followed.audio() if followed and player.hears_melody else None
        with console.following(job.source.name) as bar:
            audio = player.play(words, played, tune, ws, top_k, take_seed, bar.follow)
        write_audio(job.target, within_peak(audio), SAMPLE_RATE, written_as, job.replace)
        return {
            "seconds": audio.shape[1] / SAMPLE_RATE,
            "seed": take_seed,
            "style": words,
            "melody": None if tune is None else melody or job.source.name,
            "settings": {"ws": ws, "top_k": top_k},
            "model": named,
            "ledger": asdict(source.ledger) if source and source.ledger else None,
        }

    run_jobs(console, jobs, work)


def _load(console: Console, folder: Path, device: str, needs_melody: bool) -> MusicGen:
    from hsmad_cli.pipeline.musicgen import MELODY_MODEL, MusicGen

    player = MusicGen(folder, device)
    if needs_melody and not player.hears_melody:
        raise UsageError(f"{folder} follows no melody", f"--model {MELODY_MODEL}")
    console.detail(f"model {folder} on {player.device}")
    return player


def _read_score(console: Console, engine: Callable[[], Engine], max_minutes: float, source: Source) -> Material:
    """The material of a score, played by the engine for as long as MusicGen can hear it."""
    from hsmad_cli.pipeline.musicgen import MAX_S

    roll = read_roll(source, ROLL_RATE, max_minutes)
    report_ledger(console, source.name, roll.score.ledger)
    render = cache(lambda: engine().render(roll.score.notes, min(roll.duration_s, MAX_S)))
    return Material(roll.caption, roll.duration_s, render, roll.score.ledger)


def _read_sound(source: Source) -> Material:
    from hsmad_cli.files.audio import read_audio

    audio = read_audio(source.content(), SAMPLE_RATE)
    return Material("", audio.shape[1] / SAMPLE_RATE, lambda: audio)
