"""Sound in and out: WAV, FLAC, OGG and MP3 in, 16-bit WAV or FLAC or Ogg Vorbis out, through files, bytes and pipes.

The only file that imports torchaudio, and the only place where a sampling rate is changed.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import numpy as np

from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.errors import ConfigError, InputError, UsageError
from hsmad_cli.files.ogg import encode_ogg
from hsmad_cli.files.publish import STDOUT, write_output

FORMATS = ("wav", "flac", "ogg")
MAX_AUDIO_S = 4 * 3600.0


def read_audio(
    source: Path | str | bytes | BinaryIO, sample_rate: int = SAMPLE_RATE, max_s: float = MAX_AUDIO_S
) -> np.ndarray:
    """Sound as float32 [2, samples] at `sample_rate`, nominally in -1..1; mono is given to both channels.

    Raises InputError for what is not audio, is empty, has more than two channels, is longer than `max_s` seconds or
    holds non-finite samples.
    """
    audio, source_rate = _decode(source, max_s)
    if audio.shape[0] == 1:
        audio = np.repeat(audio, 2, axis=0)
    return resample(audio, source_rate, sample_rate)


def _decode(source: Path | str | bytes | BinaryIO, max_s: float) -> tuple[np.ndarray, int]:
    import soundfile

    name = str(source) if isinstance(source, Path | str) else "stdin"
    try:
        with soundfile.SoundFile(BytesIO(source) if isinstance(source, bytes) else source) as file:
            _check_header(name, file.frames, file.channels, file.samplerate, max_s)
            audio, rate = file.read(dtype="float32", always_2d=True), file.samplerate
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}") from error
    except soundfile.SoundFileError as error:
        if isinstance(source, Path | str) and not Path(source).is_file():
            raise InputError(f"{name}: no such file") from error
        reason = str(error).rsplit(": ", 1)[-1].rstrip(".")
        raise InputError(f"{name}: not readable audio: {reason}", "WAV, FLAC, OGG and MP3 can be read") from error
    if not np.isfinite(audio).all():
        raise InputError(f"{name}: {np.count_nonzero(~np.isfinite(audio))} samples are not finite numbers")
    return np.ascontiguousarray(audio.T), rate


def _check_header(name: str, frames: int, channels: int, rate: int, max_s: float) -> None:
    if frames <= 0:
        raise InputError(f"{name}: no samples")
    if channels > 2:
        raise InputError(f"{name}: {channels} channels, expected 1 or 2", "mix it down to stereo first")
    if frames > max_s * rate:
        raise InputError(f"{name}: {frames / rate:.0f} s of audio, at most {max_s:.0f} s can be read")


def resample(audio: np.ndarray, source_rate: int, sample_rate: int) -> np.ndarray:
    """Float32 [channels, samples] at another rate, by a windowed sinc; unchanged when the rates are equal."""
    if source_rate == sample_rate:
        return audio
    import torch

    resampled = import_torchaudio().functional.resample(torch.from_numpy(audio), source_rate, sample_rate)
    return resampled.numpy()


def import_torchaudio() -> ModuleType:
    """torchaudio, or ConfigError with the cure when it does not fit the installed torch."""
    try:
        import torchaudio
        import torchaudio.functional
    except (ImportError, OSError, RuntimeError) as error:
        cure = "install torch and torchaudio as a tested pair: pip install -c constraints.txt torch torchaudio"
        raise ConfigError(f"torchaudio does not load: {str(error).splitlines()[0]}", cure) from error
    return torchaudio


def audio_format(target: Path | str) -> str:
    """`wav`, `flac` or `ogg` after the suffix of `target`; stdout is `wav`."""
    suffix = Path(target).suffix.lower().lstrip(".") if str(target) != STDOUT else "wav"
    if suffix not in FORMATS:
        raise UsageError(f"{target}: cannot write {suffix or 'audio without a suffix'}", "name it .wav, .flac or .ogg")
    return suffix


def write_audio(
    target: Path | str, audio: np.ndarray, sample_rate: int = SAMPLE_RATE, format: str | None = None, force: bool = True
) -> int:
    """Write float [channels, samples] as WAV or FLAC of 16 bits or as Ogg Vorbis; how many samples were clipped.

    `format` is by default that of the suffix. The same samples always give the same bytes.
    """
    data, clipped = encode_audio(audio, sample_rate, format or audio_format(target))
    write_output(target, data, force)
    return clipped


def encode_audio(audio: np.ndarray, sample_rate: int, format: str) -> tuple[bytes, int]:
    """The bytes of a file with float [channels, samples], in one of FORMATS, and the number of clipped samples."""
    import soundfile

    clipped = int(np.count_nonzero(np.abs(audio) > 1.0))
    pcm = np.rint(np.clip(audio, -1.0, 1.0) * 32767.0).astype(np.int16)
    if format == "ogg":
        return encode_ogg(pcm.T, sample_rate), clipped
    buffer = BytesIO()
    soundfile.write(buffer, pcm.T, sample_rate, format=format.upper(), subtype="PCM_16")
    return buffer.getvalue(), clipped
