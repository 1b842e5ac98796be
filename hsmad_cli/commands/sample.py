"""hsmad sample: a score and a sentence in, music out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from math import log10
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console
from hsmad_cli.commands.jobs import Job, Source, plan_jobs, run_jobs, with_takes
from hsmad_cli.commands.prompt_words import with_suggestions
from hsmad_cli.commands.scores import read_encoded, report_ledger
from hsmad_cli.config import Guidance, Instruments, SampleConfig, Sampler, default_wh, default_ws
from hsmad_cli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from hsmad_cli.pipeline import EncodedScore, Pipeline

DEFAULT = SampleConfig()
FULL_SCALE = 0.999
SAMPLERS: dict[str, Sampler] = {"dpm": "dpm_solver_2m", "ddim": "ddim"}


def sample(
    inputs: options.Inputs,
    style: Annotated[
        str | None,
        typer.Option("--style", metavar="TEXT", help="How it sounds; default: the score's caption; '': anything."),
    ] = None,
    wh: Annotated[
        float | None,
        typer.Option("--wh", help=f"How closely the score is followed.  {options.DEFAULT_WH}", show_default=False),
    ] = None,
    ws: Annotated[
        float | None,
        typer.Option(
            "--ws",
            help="How closely the style is followed; above --wh, only until the outline of the music stands.  "
            + options.DEFAULT_WS,
            show_default=False,
        ),
    ] = None,
    cfg: Annotated[Guidance, typer.Option("--cfg", help="How the two are combined.")] = DEFAULT.guidance,
    steps: Annotated[
        int, typer.Option("--steps", min=1, max=options.MAX_STEPS, help="More is better and slower.")
    ] = DEFAULT.steps,
    sampler: Annotated[Literal["dpm", "ddim"], typer.Option("--sampler", help="DPM-Solver++(2M) or DDIM.")] = "dpm",
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature", help="Noise that is kept halfway, 0 to 1: less makes cleaner notes and less hiss."
        ),
    ] = DEFAULT.temperature,
    wa: Annotated[
        float,
        typer.Option(
            "--wa", help="How much more than its deaf twin the first layer is trusted: clearer notes. 0 is quicker."
        ),
    ] = DEFAULT.w_a,
    rescale: Annotated[
        float, typer.Option("--rescale", help="How far strong guidance is kept from making it louder: 0 to 1.")
    ] = DEFAULT.rescale,
    instruments: Annotated[
        Instruments | None,
        typer.Option(
            "--instruments",
            help="Who plays: free, as the words say; midi, as the score says.  [default: free with --style, else midi]",
            show_default=False,
        ),
    ] = None,
    dynamics: options.DynamicsOfScore = None,
    start: Annotated[float, typer.Option("--start", min=0, help="Second of the song to begin at.")] = 0.0,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.1, help="Only so many seconds; the whole song by default.")
    ] = None,
    count: Annotated[
        int, typer.Option("--count", min=1, help="So many versions, <stem>-<seed>, with seeds that count up.")
    ] = 1,
    gain: Annotated[
        float | None,
        typer.Option(
            "--gain",
            metavar="DB",
            min=-120,
            max=120,
            help="Louder or softer by so much; by default softer if it would clip.",
        ),
    ] = None,
    seed: options.Seed = 0,
    weights: options.Weights = None,
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
    """Turn a score and a sentence into music.

    The score is MIDI, or the npz of render-srm or encode; the music is WAV, FLAC or Ogg Vorbis.

    Without -o the sound goes to stdout if that is a pipe or a file, and to <stem>.wav here if it is a terminal.
    """
    from hsmad_cli.files.audio import audio_format, write_audio

    console = Console("sample", as_json, quiet, verbose)
    if cfg == "joint" and ws is not None:
        raise UsageError("--cfg joint has one weight, --wh, for score and style together", "leave --ws out")
    score_weight, style_weight = DEFAULT.w_h if wh is None else wh, default_ws(cfg) if ws is None else ws
    asked = SampleConfig(score_weight, style_weight, cfg, steps, SAMPLERS[sampler], temperature, rescale, wa)
    jobs = plan_jobs(inputs, output, out_dir, f".{sound_format}", force)
    if count > 1:
        jobs = with_takes(jobs, [str(seed + take) for take in range(count)])
    written_as = sound_format if jobs[0].to_stdout else audio_format(jobs[0].target)
    usual: Instruments = "midi" if style is None else "free"
    load = cache(lambda: _load(console, weights, device))
    tell_unknown = cache(lambda: _tell_unknown(console, load(), style or ""))

    @lru_cache(1)
    def encode(source: Source) -> EncodedScore:
        score = read_encoded(source, load(), max_minutes, instruments, dynamics, usual)
        report_ledger(console, source.name, score.ledger)
        return score

    def work(job: Job) -> Mapping[str, Any]:
        from dataclasses import asdict, replace

        tell_unknown()
        score, pipeline, take_seed = encode(job.source), load(), seed + job.take
        words = score.caption if style is None else style
        settings = replace(asked, w_h=default_wh(score.instruments or usual)) if wh is None else asked
        with console.following(job.source.name, parts=2) as bar:
            audio = pipeline.sample(
                score, words, settings, seed=take_seed, start_s=start, seconds=seconds, progress=bar.follow
            )
        gain_db = _full_scale_db(audio) if gain is None else gain
        audio *= 10 ** (gain_db / 20)
        clipped = write_audio(job.target, audio, pipeline.codec.sample_rate, written_as, job.replace)
        console.warn_clipped(job.source.name, clipped, audio.size)
        return {
            "seconds": audio.shape[1] / pipeline.codec.sample_rate,
            "seed": take_seed,
            "style": words,
            "instruments": score.instruments,
            "dynamics": score.dynamics,
            "settings": asdict(settings),
            "weights": pipeline.sha256,
            "ledger": asdict(score.ledger),
            "gain_db": gain_db,
            "clipped_samples": clipped,
            "unknown_words": pipeline.style.unknown_words(words),
        }

    run_jobs(console, jobs, work)


def _full_scale_db(audio: np.ndarray) -> float:
    """The gain, at most 0 dB, that brings the peak of what is louder down to full scale."""
    return -20 * log10(max(1.0, float(abs(audio).max()) / FULL_SCALE))


def _load(console: Console, weights: str | None, device: str) -> Pipeline:
    from hsmad_cli.pipeline import Pipeline

    pipeline = Pipeline.load(weights, device)
    console.detail(f"weights {pipeline.sha256[:12]} on {pipeline.device}")
    return pipeline


def _tell_unknown(console: Console, pipeline: Pipeline, prompt: str) -> None:
    unknown = pipeline.style.unknown_words(prompt)
    if unknown:
        told = with_suggestions(unknown, pipeline.style.unknown_words)
        console.warn(f"words the style encoder never saw: {told}")
