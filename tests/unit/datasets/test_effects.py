"""Effects colour the sound; they move no onset, add no noise, and change no pitch."""

from __future__ import annotations

import numpy as np
import pytest

from hsmad_cli.datasets.effects import EFFECTS, soft_clip
from hsmad_cli.datasets.production import levelled

RATE = 44100
MILLISECOND = RATE // 1000
everywhere = pytest.mark.parametrize("name", EFFECTS)
at_any_strength = pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])


def tone(frequency: float, seconds: float = 1.0) -> np.ndarray:
    wave = 0.1 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)
    return np.stack([wave, wave]).astype(np.float32)


def gain_db(name: str, strength: float, frequency: float) -> float:
    """Gain of the fundamental in a steady state of a whole number of periods."""
    before, after = tone(frequency), EFFECTS[name](tone(frequency), strength, RATE)
    spectra = [np.abs(np.fft.rfft(audio[0, RATE // 2 :])) for audio in (before, after)]
    bin_of_it = round(frequency / 2)
    return float(20 * np.log10(spectra[1][bin_of_it] / spectra[0][bin_of_it]))


@everywhere
@at_any_strength
def test_a_click_stays_where_it_is(name: str, strength: float) -> None:
    click = np.zeros((2, RATE), np.float32)
    click[:, 20000] = 0.5
    heard = np.abs(EFFECTS[name](click, strength, RATE)[0])
    assert abs(int(heard.argmax()) - 20000) < MILLISECOND
    assert heard[: 20000 - MILLISECOND].max() < 1e-3 * heard.max()


@everywhere
@at_any_strength
def test_silence_stays_silent(name: str, strength: float) -> None:
    assert not EFFECTS[name](np.zeros((2, RATE), np.float32), strength, RATE).any()
    ends = np.concatenate([tone(440.0), np.zeros((2, RATE), np.float32)], axis=1)
    assert np.abs(EFFECTS[name](ends, strength, RATE)[:, RATE + RATE // 4 :]).max() < 1 / 65536


@everywhere
def test_the_pitch_stays(name: str) -> None:
    spectrum = np.abs(np.fft.rfft(EFFECTS[name](tone(440.0), 1.0, RATE)[0]))
    assert int(spectrum.argmax()) == 440


@everywhere
def test_nothing_clips_and_nothing_is_random(name: str) -> None:
    noise = np.random.default_rng(0).normal(size=(2, RATE)).astype(np.float32)
    once, again = (levelled(EFFECTS[name](noise, 1.0, RATE), 127.0) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert np.abs(once).max() <= 10 ** (-1 / 20) + 1e-6
    assert once.dtype == np.float32


def test_each_effect_has_its_colour() -> None:
    assert gain_db("close", 1.0, 80.0) > 3.5
    assert gain_db("distant", 1.0, 12000.0) < -12
    assert abs(gain_db("distant", 1.0, 400.0)) < 1.5
    assert gain_db("lofi", 1.0, 60.0) < gain_db("lofi", 1.0, 1000.0) - 20
    assert gain_db("lofi", 1.0, 10000.0) < gain_db("lofi", 1.0, 1000.0) - 15
    assert gain_db("tape", 1.0, 78.0) > gain_db("tape", 1.0, 1000.0) + 3
    assert gain_db("tape", 1.0, 14000.0) < gain_db("tape", 1.0, 1000.0) - 6


def test_soft_clipping_makes_odd_harmonics_and_spares_what_is_soft() -> None:
    spectrum = np.abs(np.fft.rfft(soft_clip(tone(1000.0), 12.0)[0]))
    assert spectrum[3000] > 0.1 * spectrum[1000]
    assert spectrum[2000] < 1e-3 * spectrum[1000]
    gentle = soft_clip(tone(1000.0), -40.0)
    np.testing.assert_allclose(gentle[:, 100:-100], tone(1000.0)[:, 100:-100], atol=2e-4)


def test_aliases_stay_far_below_the_tone() -> None:
    frequency = 7001
    spectrum = np.abs(np.fft.rfft(soft_clip(tone(frequency), 6.0)[0]))
    alias = 2 * RATE - 9 * frequency
    assert spectrum[RATE - 5 * frequency] < 0.01 * spectrum[frequency]
    assert spectrum[alias if alias < RATE / 2 else RATE - alias] < 0.01 * spectrum[frequency]
