"""Effects on a finished rendering [2, n]: distance, lo-fi, tape, overdrive.

Filters are minimum phase, distortion is without memory: an onset stays where it is, and silence stays silent. Strength
runs from 0 to 1. Distortion depends on the level relative to the RMS of what sounds, so that soft music is driven, too.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, lfilter, resample_poly, sosfilt

QUIET = 1e-4
_OVERSAMPLING = 2


def close(audio: np.ndarray, strength: float, sample_rate: int) -> np.ndarray:
    """A microphone close by: 2 to 5 dB more bass below 150 Hz (proximity), 2 to 4 dB more treble above 5 kHz."""
    audio = bump(audio, 2 + 3 * strength, (40.0, 150.0), sample_rate)
    return high_shelf(audio, 2 + 2 * strength, 5000.0, sample_rate)


def distant(audio: np.ndarray, strength: float, sample_rate: int) -> np.ndarray:
    """A microphone far away: the air takes 8 to 16 dB of the treble above 3 kHz, and the bass below 120 Hz is thin."""
    audio = high_shelf(audio, -8 - 8 * strength, 3000.0, sample_rate)
    return _filtered(audio, 1, 120.0, "highpass", sample_rate)


def lofi(audio: np.ndarray, strength: float, sample_rate: int) -> np.ndarray:
    """A small radio: 120 to 350 Hz up to 7 to 3 kHz, a little saturated."""
    lowest, highest = 120 + 230 * strength, 7000 * (3 / 7) ** strength
    audio = _filtered(audio, 2, (lowest, highest), "bandpass", sample_rate)
    return soft_clip(audio, -3 + 9 * strength)


def tape(audio: np.ndarray, strength: float, sample_rate: int) -> np.ndarray:
    """A tape machine: soft saturation, 2 to 5 dB more at the head bump around 80 Hz, no treble above 12 to 6 kHz."""
    audio = bump(soft_clip(audio, -3 + 9 * strength), 2 + 3 * strength, (50.0, 120.0), sample_rate)
    return _filtered(audio, 1, 12000 * 0.5**strength, "lowpass", sample_rate)


def overdrive(audio: np.ndarray, strength: float, sample_rate: int) -> np.ndarray:
    """A driven amplifier: the bass kept out of the distortion, 8 to 18 dB of drive, a loudspeaker's roll-off."""
    audio = _filtered(audio, 1, 90.0, "highpass", sample_rate)
    return _filtered(soft_clip(audio, 8 + 10 * strength), 2, 9000 - 3000 * strength, "lowpass", sample_rate)


EFFECTS = {"close": close, "distant": distant, "lofi": lofi, "tape": tape, "overdrive": overdrive}


def soft_clip(audio: np.ndarray, drive_db: float) -> np.ndarray:
    """A hyperbolic tangent, oversampled against aliases; with 0 dB of drive an RMS level is where it starts to bend."""
    rms = rms_of_sound(audio)
    if rms == 0:
        return audio
    gain = np.float32(10 ** (drive_db / 20) / rms)
    driven = resample_poly(audio * gain, _OVERSAMPLING, 1, axis=-1)
    clipped: np.ndarray = resample_poly(np.tanh(driven, out=driven), 1, _OVERSAMPLING, axis=-1)
    return np.asarray(clipped / gain, np.float32)


def bump(audio: np.ndarray, gain_db: float, band_hz: tuple[float, float], sample_rate: int) -> np.ndarray:
    """`gain_db` more in the middle of a band, and nothing far from it."""
    return audio + np.float32(10 ** (gain_db / 20) - 1) * _filtered(audio, 1, band_hz, "bandpass", sample_rate)


def high_shelf(audio: np.ndarray, gain_db: float, corner_hz: float, sample_rate: int) -> np.ndarray:
    """A first-order shelf: `gain_db` far above the corner, half of it there, nothing far below; minimum phase."""
    root = 10 ** (gain_db / 40)
    k = np.tan(np.pi * corner_hz / sample_rate)
    # Analog prototype (root^2 s + root w) / (s + root w), bilinear transform with s = (1 - z^-1) / k.
    b = np.array([root * root + root * k, -root * root + root * k])
    a = np.array([1 + root * k, -1 + root * k])
    filtered: np.ndarray = lfilter((b / a[0]).astype(np.float32), (a / a[0]).astype(np.float32), audio, axis=-1)
    return filtered


def _filtered(
    audio: np.ndarray, order: int, corners_hz: float | tuple[float, float], kind: str, sample_rate: int
) -> np.ndarray:
    sections = butter(order, corners_hz, kind, fs=sample_rate, output="sos").astype(np.float32)
    filtered: np.ndarray = sosfilt(sections, audio, axis=-1)
    return filtered


def rms_of_sound(audio: np.ndarray) -> float:
    """The RMS of all samples that are not silent; 0 where all are."""
    size = np.abs(audio)
    heard = size.max(axis=0) > QUIET
    if not heard.any():
        return 0.0
    energy = np.square(size, out=size).sum(axis=0)
    return float(np.sqrt((energy * heard).sum(dtype=np.float64) / (len(audio) * heard.sum())))
