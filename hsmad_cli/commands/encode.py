"""hsmad encode: sound to latents, or a score to features."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console
from hsmad_cli.commands.jobs import Job, plan_jobs, run_jobs
from hsmad_cli.commands.scores import is_score
from hsmad_cli.config import DYNAMICS, Instruments

if TYPE_CHECKING:
    from hsmad_cli.pipeline import Codec, Pipeline


def encode(
    inputs: options.Inputs,
    output: options.Output = None,
    out_dir: options.OutDir = None,
    codec: Annotated[
        Literal["vae", "encodec", "dac"], typer.Option("--codec", help="Which codec makes the latents of a sound.")
    ] = "vae",
    instruments: Annotated[
        Instruments, typer.Option("--instruments", help="midi: the features say who plays; free: they do not.")
    ] = "midi",
    dynamics: options.Dynamics = DYNAMICS,
    weights: Annotated[
        str | None,
        typer.Option("--weights", metavar="NAME|FILE", help="Codec (of a sound) or denoiser (of a score)."),
    ] = None,
    device: options.Device = "auto",
    max_minutes: options.MaxMinutes = 60,
    force: options.Force = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Sound to latents, or score to features.

    WAV, FLAC, OGG or MP3 becomes an npz of kind latent; MIDI or an SRM npz becomes one of kind features.
    """
    from hsmad_cli.pipeline import Codec, Pipeline

    console = Console("encode", as_json, quiet, verbose)
    load_codec = cache(lambda: Codec.load(weights, device, codec))
    load_pipeline = cache(lambda: Pipeline.load(weights, device))

    def work(job: Job) -> Mapping[str, Any]:
        if is_score(job.source):
            return _encode_score(console, job, load_pipeline(), instruments, dynamics, max_minutes)
        return _encode_sound(console, job, load_codec())

    run_jobs(console, plan_jobs(inputs, output, out_dir, ".npz", force), work)


def _encode_score(
    console: Console,
    job: Job,
    pipeline: Pipeline,
    instruments: Instruments,
    dynamics: float,
    max_minutes: float,
) -> Mapping[str, Any]:
    from hsmad_cli.commands.scores import read_roll, report_ledger
    from hsmad_cli.files.score_npz import save_features

    score = pipeline.encode(read_roll(job.source, pipeline.codec.frame_rate, max_minutes), instruments, dynamics)
    save_features(job.target, pipeline.store(score), job.replace)
    report_ledger(console, job.source.name, score.ledger)
    return {"kind": "features", "frames": score.n_frames, "seconds": score.duration_s}


def _encode_sound(console: Console, job: Job, codec: Codec) -> Mapping[str, Any]:
    from hsmad_cli.files.audio import read_audio
    from hsmad_cli.files.npz import save_npz

    audio = read_audio(job.source.content(), codec.sample_rate)
    with console.following(job.source.name) as bar:
        latent = codec.encode(audio, bar.follow)
    n_samples = audio.shape[1]
    meta = {
        "kind": "latent",
        "codec": codec.name,
        "codec_sha256": codec.sha256,
        "latent_sha256": codec.latent_sha256,
        "frame_rate": codec.frame_rate,
        "sample_rate": codec.sample_rate,
        "n_samples": n_samples,
    }
    save_npz(job.target, {"latent": latent}, meta, job.replace)
    return {"kind": "latent", "frames": len(latent), "seconds": n_samples / codec.sample_rate}
