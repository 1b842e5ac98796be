"""The timbre of a sound in a few numbers that nothing was trained for: who plays, whatever the notes, however loud."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.files.audio import import_torchaudio

WINDOW = 2048
HOP = 441
BANDS = 64
LOWEST_HZ, HIGHEST_HZ = 30.0, 5200.0
FLOOR_DB = -50.0
HEARD_DB = 40.0
LAGS = (1, 3, 10, 30)
COEFFICIENTS = 12


def timbre(audio: np.ndarray) -> np.ndarray:
    """The features, float64 [72], of audio [2, samples] at 44.1 kHz; a louder copy has the same.

    Six curves over mel bands up to 5.2 kHz, in dB, each as 12 coefficients of its cosine transform: the mean of the
    spectrum, less its frame's level; its standard deviation over frames; and the root mean square of its change over
    10, 30, 100 and 300 ms. Only frames within 40 dB of the loudest count, and changes that begin or end in one.
    """
    from scipy.fft import dct

    bands, level = _log_mel(audio.mean(axis=0, dtype=np.float64))
    heard = level > level.max() - HEARD_DB
    curves = [(bands - level[:, None])[heard].mean(axis=0), bands[heard].std(axis=0)]
    for lag in LAGS:
        change = (bands[lag:] - bands[:-lag])[heard[lag:] | heard[:-lag]]
        curves.append(np.sqrt(np.square(change).mean(axis=0)))
    coefficients: np.ndarray = dct(np.stack(curves), norm="ortho")[:, :COEFFICIENTS]
    return coefficients.ravel()


def _log_mel(mono: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """dB below the loudest band: of each band [frames, BANDS], down to FLOOR_DB, and of whole frames [frames]."""
    padded = np.pad(mono, (0, max(0, SAMPLE_RATE - len(mono))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW))) ** 2 @ _filters()
    power = np.maximum(power / max(power.max(), np.finfo(float).tiny), np.finfo(float).tiny)
    return 10 * np.log10(np.maximum(power, 10 ** (FLOOR_DB / 10))), 10 * np.log10(power.sum(axis=1))


@lru_cache(maxsize=1)
def _filters() -> np.ndarray:
    """Mel bands [WINDOW / 2 + 1, BANDS]."""
    fbanks = import_torchaudio().functional.melscale_fbanks
    filters: np.ndarray = fbanks(WINDOW // 2 + 1, LOWEST_HZ, HIGHEST_HZ, BANDS, SAMPLE_RATE).numpy()
    return filters.astype(np.float64)
