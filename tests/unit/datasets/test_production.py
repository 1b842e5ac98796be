"""Tone, width and level, measured."""

from __future__ import annotations

import numpy as np
import pytest

from hsmad_cli.datasets.effects import high_shelf
from hsmad_cli.datasets.production import draw_production, levelled, set_width
from hsmad_cli.symbolic.words import words

RATE = 44100


def sine(frequency: float, seconds: float = 0.5) -> np.ndarray:
    wave = 0.1 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)
    return np.stack([wave, wave]).astype(np.float32)


@pytest.mark.parametrize(("frequency", "expected_db"), [(30.0, 0.0), (1800.0, 4.0), (16000.0, 8.0)])
def test_the_shelf_has_its_gain(frequency: float, expected_db: float) -> None:
    before = sine(frequency)
    after = high_shelf(before, 8.0, 1800.0, RATE)[:, RATE // 4 :]
    gain_db = 10 * np.log10((after**2).mean() / (before**2).mean())
    assert gain_db == pytest.approx(expected_db, abs=0.25)


def test_no_width_is_mono_and_double_width_doubles_the_side() -> None:
    audio = np.random.default_rng(0).normal(size=(2, 100)).astype(np.float32)
    mono = set_width(audio, 0.0)
    np.testing.assert_allclose(mono[0], mono[1])
    wide = set_width(audio, 2.0)
    np.testing.assert_allclose(wide[0] - wide[1], 2 * (audio[0] - audio[1]), atol=1e-6)
    np.testing.assert_allclose(wide.mean(axis=0), audio.mean(axis=0), atol=1e-6)


def test_the_level_follows_the_velocity() -> None:
    for velocity, expected_db in ((80.0, -20.0), (112.0, -16.0), (40.0, -25.0)):
        rms_db = 10 * np.log10((levelled(sine(440.0), velocity) ** 2).mean())
        assert rms_db == pytest.approx(expected_db, abs=0.05)


def test_silence_stays_silence() -> None:
    assert not levelled(np.zeros((2, 100), np.float32), 80.0).any()


def test_what_suits_is_mostly_drawn() -> None:
    generator = np.random.default_rng(0)
    rooms = [draw_production(("church",), (), (), (), generator).room_name for _ in range(200)]
    assert rooms.count("church") > 120
    assert len(set(rooms)) == 4
    drawn = [draw_production((), ("dark",), ("mono",), (), generator) for _ in range(5)]
    assert all({"dark", "mono"} <= set(production.tones) for production in drawn)


def test_effects_are_rare_unless_they_suit() -> None:
    generator = np.random.default_rng(0)
    plain = [draw_production((), (), (), (), generator) for _ in range(1000)]
    for effect in ("close", "distant", "lofi", "tape", "overdrive"):
        assert 0.01 < np.mean([effect in production.tones for production in plain]) < 0.08
    metal = [draw_production((), (), (), ("overdrive",), generator).effect for _ in range(400)]
    assert 0.35 < metal.count("overdrive") / 400 < 0.55


def test_productions_do_not_contradict_themselves() -> None:
    generator = np.random.default_rng(0)
    for _ in range(2000):
        production = draw_production((), (), (), ("close", "distant", "lofi"), generator)
        assert set(production.tones) <= set(words()["tone"])
        assert production.distance != "distant" or production.room_name != "dry"
        assert production.distance != "close" or production.room_name in ("dry", "room")
        assert not ({"distant", "lofi"} & set(production.tones) and production.tone == "bright")
