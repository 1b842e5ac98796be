"""hsmad doctor: is everything here that hsmad needs, and what is it?"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from platform import machine, python_version, system

from hsmad_cli import __version__
from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console
from hsmad_cli.errors import ConfigError, HsmadError, extra

REQUIRED = ("torch", "torchaudio", "sound files", "device", "weights")


def doctor(as_json: options.Json = False, quiet: options.Quiet = False) -> None:
    """Check the installation and say what is missing.

    Exit code 4 if something is missing without which nothing plays; the rest is only mentioned.
    """
    console = Console("doctor", as_json, quiet)
    found: dict[str, str] = {"hsmad": f"{__version__}, Python {python_version()}, {system()} {machine()}"}
    missing: dict[str, str] = {}
    for name, check in CHECKS.items():
        try:
            found[name] = check()
        except HsmadError as error:
            missing[name] = f"{error}" + (f" ({error.hint})" if error.hint else "")
    console.report({"found": found, "missing": missing})
    if not as_json:
        for name, what in found.items():
            print(f"ok       {name:12} {what}")
        for name, what in missing.items():
            print(f"missing  {name:12} {what}")
    vital = [name for name in REQUIRED if name in missing]
    if vital:
        raise ConfigError(f"{len(vital)} of {len(REQUIRED)} things that hsmad needs are missing: {', '.join(vital)}")


def _package(name: str, cure: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        raise ConfigError(f"{name} is not installed", cure) from None


def _torch() -> str:
    _package("torch", "pip install -c constraints.txt torch torchaudio")
    import torch

    return str(torch.__version__)


def _torchaudio() -> str:
    from hsmad_cli.files.audio import import_torchaudio

    return str(import_torchaudio().__version__)


def _sound_files() -> str:
    from hsmad_cli.files.audio import encode_audio, read_audio

    _package("soundfile", "pip install soundfile")
    import numpy as np

    read_audio(encode_audio(np.zeros((2, 64)), 44100, "flac")[0])
    return f"soundfile {version('soundfile')}, WAV and FLAC"


def _device() -> str:
    import torch

    from hsmad_cli.pipeline import choose_device, has_bfloat16

    device = choose_device("auto")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return f"{device.type}, {name}, {'bfloat16' if has_bfloat16(device) else 'float32'}"


def _weights() -> str:
    from hsmad_cli.files.hub import entries, find_entry, verified, weights_folder

    find_entry(None, "denoiser")
    shipped = entries()
    for entry in shipped:
        verified(entry)
    return f"{', '.join(entry.file for entry in shipped)}, whole, in {weights_folder()}"


def _synth() -> str:
    from hsmad_cli.synth.library import load_fluidsynth
    from hsmad_cli.synth.soundfonts import find_soundfont

    load_fluidsynth()
    return f"FluidSynth, {find_soundfont()}"


CHECKS: dict[str, Callable[[], str]] = {
    "torch": _torch,
    "torchaudio": _torchaudio,
    "sound files": _sound_files,
    "device": _device,
    "weights": _weights,
    "synth": _synth,
    "transkun": lambda: _package("transkun", extra("judges")),
    "basic-pitch": lambda: _package("basic-pitch", extra("judges")),
    "transformers": lambda: _package("transformers", extra("text")),
    "matplotlib": lambda: _package("matplotlib", extra("plot")),
}
