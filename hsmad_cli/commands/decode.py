"""hsmad decode: latents to sound."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console
from hsmad_cli.commands.jobs import Job, plan_jobs, run_jobs
from hsmad_cli.errors import InputError

if TYPE_CHECKING:
    from hsmad_cli.pipeline import Codec


def decode(
    inputs: options.Inputs,
    output: options.Output = None,
    out_dir: options.OutDir = None,
    sound_format: options.SoundFormat = "wav",
    gain: options.Gain = 0.0,
    weights: options.Codec = None,
    device: options.Device = "auto",
    force: options.Force = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Latents to sound.

    An npz of kind latent becomes WAV, FLAC or Ogg Vorbis, by the codec that it names or another of the same latents.
    """
    from hsmad_cli.files.audio import audio_format, write_audio
    from hsmad_cli.files.npz import load_npz

    console = Console("decode", as_json, quiet, verbose)
    jobs = plan_jobs(inputs, output, out_dir, f".{sound_format}", force)
    written_as = sound_format if jobs[0].to_stdout else audio_format(jobs[0].target)
    load = cache(lambda name, sha256, latents: _load(name, sha256, latents, weights, device))

    def work(job: Job) -> Mapping[str, Any]:
        arrays, meta = load_npz(job.source.content(), "latent")
        try:
            name, sha256, n_samples = str(meta["codec"]), str(meta["codec_sha256"]), int(meta["n_samples"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{job.source.name}: the meta of these latents is damaged ({error})") from error
        codec = load(name, sha256, str(meta.get("latent_sha256", "")))
        with console.following(job.source.name) as bar:
            audio = codec.decode(arrays["latent"], bar.follow)[:, :n_samples] * 10 ** (gain / 20)
        clipped = write_audio(job.target, audio, codec.sample_rate, written_as, job.replace)
        console.warn_clipped(job.source.name, clipped, audio.size)
        return {"seconds": audio.shape[1] / codec.sample_rate, "codec": codec.sha256, "clipped_samples": clipped}

    run_jobs(console, jobs, work)


def _load(name: str, sha256: str, latent_sha256: str, weights: str | None, device: str) -> Codec:
    """The codec that latents name; the file `weights`, or one that is shipped or lies in this folder."""
    from hsmad_cli.errors import WeightsError
    from hsmad_cli.files.hub import find_codec, find_weights
    from hsmad_cli.pipeline import Codec

    if name == "vae":
        named = None if weights is None else find_weights(weights, "vae")
        header = {"codec_sha256": sha256, "latent_sha256": latent_sha256 or None}
        return Codec.load(find_codec(header, Path("the latents"), named), device)
    codec = Codec.load(None, device, name)
    if codec.sha256 != sha256:
        raise WeightsError(f"latents of {name} {sha256[:12]}, the one here is {codec.sha256[:12]}")
    return codec
