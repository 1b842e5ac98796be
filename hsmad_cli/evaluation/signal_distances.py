"""How far decoded audio is from the original, as a signal. Audio is float32 [2, samples] of equal length."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.files.audio import import_torchaudio

STFT_SIZES = (512, 1024, 2048)
MEL_SIZE = 2048
MEL_BANDS = 128
FLOOR_DB = -80.0
MAX_SDR_DB = 100.0
BAND_SIZE = 2048
BANDS_HZ = ((0, 1000), (1000, 2000), (2000, 4000), (4000, 8000), (8000, 16000))


def signal_distances(original: np.ndarray, decoded: np.ndarray) -> dict[str, float]:
    """log_mel_db, stft_distance, si_sdr_db, stereo_error and `band_errors` of one recording.

    log_mel_db: mean absolute difference of 128 mel bands of both channels in dB, floored 80 dB below the original's
    loudest. stft_distance: spectral convergence plus mean absolute difference of log magnitudes, averaged over windows
    of 512, 1024 and 2048 samples. si_sdr_db: scale-invariant signal-to-distortion ratio of both channels together, at
    most 100, better when higher. stereo_error: mean difference of the panning index (L - R) / (L + R) of mel band
    energies, weighted by the original's energy: 0 to 2.
    """
    if original.shape != decoded.shape:
        raise ValueError(f"original {original.shape} and decoded {decoded.shape} differ in shape")
    first, second = torch.from_numpy(original), torch.from_numpy(decoded)
    mel_first, mel_second = _mel_power(first), _mel_power(second)
    return {
        "log_mel_db": _log_mel_db(mel_first, mel_second),
        "stft_distance": float(np.mean([_stft_distance(first, second, size) for size in STFT_SIZES])),
        "si_sdr_db": si_sdr_db(original, decoded),
        "stereo_error": _stereo_error(mel_first, mel_second),
        **band_errors(original, decoded),
    }


def band_errors(original: np.ndarray, decoded: np.ndarray) -> dict[str, float]:
    """What a judge of notes depends on: energy_db_LOW and magnitude_db_LOW of each band, LOW its lower end in Hz.

    Of the mean of the channels: decoded energy over the original's (0 is right), and the energy of the error of
    magnitudes over it (lower is better; silence has 0). All energies are at least 80 dB below the original's whole, so
    that a band in which nothing is heard has no say.
    """
    first, second = (_magnitudes(torch.from_numpy(audio).mean(0), BAND_SIZE) for audio in (original, decoded))
    hertz = torch.fft.rfftfreq(BAND_SIZE, 1 / SAMPLE_RATE)
    floor = float(first.square().sum()) * 10 ** (FLOOR_DB / 10)
    errors: dict[str, float] = {}
    for low, high in BANDS_HZ:
        here = (hertz >= low) & (hertz < high)
        energy, kept, lost = (max(float(x[here].square().sum()), floor) for x in (first, second, first - second))
        errors |= {f"energy_db_{low}": _ratio_db(kept, energy), f"magnitude_db_{low}": _ratio_db(lost, energy)}
    return errors


def _ratio_db(energy: float, other: float) -> float:
    """A ratio of energies in dB, within -100 to 100; two silences are equal."""
    if energy == other:
        return 0.0
    if min(energy, other) <= 0:
        return MAX_SDR_DB if energy > other else -MAX_SDR_DB
    return float(np.clip(10 * np.log10(energy / other), -MAX_SDR_DB, MAX_SDR_DB))


def si_sdr_db(original: np.ndarray, decoded: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB, within -100 to 100."""
    target, estimate = original.ravel().astype(np.float64), decoded.ravel().astype(np.float64)
    energy = target @ target
    scaled = target * (target @ estimate / energy) if energy > 0 else target
    signal, distortion = scaled @ scaled, (estimate - scaled) @ (estimate - scaled)
    return MAX_SDR_DB if signal == distortion == 0 else _ratio_db(float(signal), float(distortion))


def _magnitudes(audio: Tensor, size: int) -> Tensor:
    window = torch.hann_window(size)
    return torch.stft(audio, size, size // 4, window=window, return_complex=True, pad_mode="constant").abs()


@lru_cache(maxsize=1)
def _mel_filters() -> Tensor:
    bins = MEL_SIZE // 2 + 1
    return import_torchaudio().functional.melscale_fbanks(bins, 30.0, SAMPLE_RATE / 2, MEL_BANDS, SAMPLE_RATE).T


def _mel_power(audio: Tensor) -> Tensor:
    return _mel_filters() @ _magnitudes(audio, MEL_SIZE).square()


def _log_mel_db(first: Tensor, second: Tensor) -> float:
    floor = (first.max() * 10 ** (FLOOR_DB / 10)).clamp_min(1e-10)
    return float((10 * torch.log10(first.clamp_min(floor) / second.clamp_min(floor))).abs().mean())


def _stft_distance(original: Tensor, decoded: Tensor, size: int) -> float:
    first, second = _magnitudes(original, size), _magnitudes(decoded, size)
    convergence = (first - second).norm() / first.norm().clamp_min(1e-7)
    floor = (first.max() * 10 ** (FLOOR_DB / 20)).clamp_min(1e-7)
    return float(convergence + (first.clamp_min(floor) / second.clamp_min(floor)).log().abs().mean())


def _stereo_error(first: Tensor, second: Tensor) -> float:
    energy = first.sum(0)
    difference = (_panning(first) - _panning(second)).abs()
    return float((energy * difference).sum() / energy.sum().clamp_min(1e-10))


def _panning(mel_power: Tensor) -> Tensor:
    left, right = mel_power
    return (left - right) / (left + right).clamp_min(1e-10)
