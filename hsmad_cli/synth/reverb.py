"""A room as an impulse response, for an engine that has none."""

from __future__ import annotations

import numpy as np

from hsmad_cli.synth.engine import Room

PREDELAY_S = 0.02
_CROSSOVER_HZ = 2000.0
_WET = 0.055
_SEED = 0


def decay_s(room: Room) -> float:
    """Time in which the reverb falls by 60 dB: a comb filter's law, fitted to FluidSynth's reverb (0.9 to 5.6 s)."""
    return float(-0.28 / np.log(0.7 + 0.28 * room.size))


def impulse_response(room: Room, sample_rate: int) -> np.ndarray:
    """The reverberation of a room without its direct sound, float32 [2, n]; its level is that of FluidSynth's.

    Decaying noise, the same at every call; damping shortens what is above 2 kHz.
    """
    from scipy.signal import lfilter

    n_samples = round(decay_s(room) * sample_rate)
    noise = np.random.default_rng(_SEED).standard_normal((2, n_samples))
    pole = np.exp(-2 * np.pi * _CROSSOVER_HZ / sample_rate)
    low = lfilter([1 - pole], [1, -pole], noise, axis=1)
    decay = np.exp(-np.log(1000) * np.arange(n_samples) / n_samples)
    response = low * decay + (noise - low) * decay ** (1 + room.damping)
    middle, side = response.sum(axis=0) / 2, np.diff(response, axis=0)[0] / 2 * min(room.width, 1.0)
    response = np.stack([middle - side, middle + side])
    gain = room.level * np.sqrt(_WET * decay_s(room) / np.square(response).sum(axis=1).mean())
    return np.pad(gain * response, ((0, 0), (round(PREDELAY_S * sample_rate), 0))).astype(np.float32)


def reverberate(audio: np.ndarray, room: Room, sample_rate: int) -> np.ndarray:
    """The audio [2, n] in a room, as long as it was; each channel excites its own side."""
    from scipy.signal import oaconvolve

    if not room.level:
        return audio
    wet: np.ndarray = oaconvolve(audio, impulse_response(room, sample_rate), axes=1)[:, : audio.shape[1]]
    return audio + wet.astype(np.float32)
