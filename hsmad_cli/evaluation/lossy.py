"""MP3 and Opus through soundfile: the yardsticks of a codec table."""

from __future__ import annotations

from io import BytesIO

import numpy as np

from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.errors import UsageError
from hsmad_cli.files.audio import resample

OPUS_RATE = 48000
LOSSY = ("mp3-64", "mp3-128", "opus-64", "opus-128")


def encode_lossy(audio: np.ndarray, name: str) -> bytes:
    """A file with audio [2, samples] at 44.1 kHz. name: mp3-K or opus-K, K the kbit/s.

    libsndfile sets the bit rate by a level from 0 to 1: MP3 320 - 288 x level (exact), Opus 512 - 500 x level (within 2
    kbit/s for stereo). Raises UsageError for another name or a rate out of reach.
    """
    import soundfile

    kind, _, rate = name.partition("-")
    kbps = int(rate) if rate.isdecimal() else 0
    buffer = BytesIO()
    if kind == "mp3" and 48 < kbps <= 320:
        soundfile.write(
            buffer, audio.T, SAMPLE_RATE, "MPEG_LAYER_III", format="MP3",
            compression_level=(320 - kbps) / 288, bitrate_mode="CONSTANT",
        )  # fmt: skip
    elif kind == "opus" and 12 <= kbps <= 512:
        wide = resample(audio, SAMPLE_RATE, OPUS_RATE)
        soundfile.write(buffer, wide.T, OPUS_RATE, "OPUS", format="OGG", compression_level=(512 - kbps) / 500)
    else:
        raise UsageError(f"no lossy codec {name!r}", f"for example {', '.join(LOSSY)}")
    return buffer.getvalue()


def decode_lossy(data: bytes) -> np.ndarray:
    """Audio [2, samples] at 44.1 kHz of an MP3 or Opus file; both come back without delay."""
    import soundfile

    audio, rate = soundfile.read(BytesIO(data), dtype="float32", always_2d=True)
    return resample(np.ascontiguousarray(audio.T), rate, SAMPLE_RATE)
