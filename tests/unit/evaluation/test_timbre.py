"""Plain timbre: the same however loud and whatever the notes, another for another sound."""

from __future__ import annotations

import numpy as np
import pytest

from hsmad_cli.evaluation.timbre import timbre

RATE = 44100


def played(pitches: list[int], slope: float, decay_s: float) -> np.ndarray:
    """Half a second for each note: harmonics k at level k^-slope that decay, [2, samples]."""
    t = np.arange(RATE // 2) / RATE
    notes = []
    for pitch in pitches:
        hertz = 440 * 2 ** ((pitch - 69) / 12)
        harmonics = np.arange(1, int(15000 / hertz))[:, None]
        tone = (harmonics**-slope * np.sin(2 * np.pi * hertz * harmonics * t)).sum(axis=0)
        notes.append(tone * np.exp(-t / decay_s))
    return np.tile(np.concatenate(notes), (2, 1)) * 0.1


FLUTE, HARP = (2.5, 10.0), (1.0, 0.1)


def test_the_features_are_finite_numbers_of_one_length() -> None:
    for n_samples in (1, 1000, RATE, 3 * RATE):
        noise = np.random.default_rng(0).normal(0, 0.1, (2, n_samples)).astype(np.float32)
        features = timbre(noise)
        assert (features.shape, features.dtype) == ((72,), np.float64)
        assert np.isfinite(features).all()


def test_silence_has_a_timbre_and_so_has_one_click() -> None:
    click = np.zeros((2, 2 * RATE), np.float32)
    assert np.isfinite(timbre(click)).all()
    click[:, 0] = 1
    assert np.isfinite(timbre(click)).all()


def test_a_louder_copy_has_the_same_timbre() -> None:
    quiet = played([60, 64, 67, 72], *HARP)
    for gain in (1e-3, 7.0):
        assert timbre(gain * quiet) == pytest.approx(timbre(quiet), abs=1e-6)


def test_the_order_of_channels_is_not_heard() -> None:
    audio = np.stack([played([60], *FLUTE)[0], played([67], *FLUTE)[1]])
    assert timbre(audio[::-1]) == pytest.approx(timbre(audio), abs=1e-9)


def test_two_timbres_differ_more_than_two_melodies_of_one() -> None:
    up, down = [60, 64, 67, 72, 65, 62], [71, 67, 62, 59, 64, 66]
    (flute, other_flute), (harp, other_harp) = (
        (timbre(played(up, *who)), timbre(played(down, *who))) for who in (FLUTE, HARP)
    )
    same = max(np.linalg.norm(flute - other_flute), np.linalg.norm(harp - other_harp))
    different = min(np.linalg.norm(flute - each) for each in (harp, other_harp))
    assert different > 2 * same
