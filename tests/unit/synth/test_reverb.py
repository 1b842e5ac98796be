"""A room decays as long as it says, at the level it says, and repeats itself."""

from __future__ import annotations

import numpy as np
import pytest

from hsmad_cli.synth.engine import CHURCH, DRY, HALL, SMALL_ROOM, Room
from hsmad_cli.synth.reverb import PREDELAY_S, decay_s, impulse_response, reverberate

RATE = 44100


@pytest.mark.parametrize("room", [SMALL_ROOM, HALL, CHURCH])
def test_a_room_falls_by_sixty_decibels_in_its_decay_time(room: Room) -> None:
    response = impulse_response(Room(room.size, 0.0, 1.0, room.level), RATE)[0, round(PREDELAY_S * RATE) :]
    left_db = 10 * np.log10(np.cumsum(response[::-1] ** 2)[::-1] / np.sum(response**2))
    seconds = (np.argmax(left_db < -25) - np.argmax(left_db < -5)) / RATE
    assert 3 * seconds == pytest.approx(decay_s(room), rel=0.05)


def test_energy_follows_the_square_of_the_level_and_the_decay() -> None:
    for room in (SMALL_ROOM, HALL):
        response = impulse_response(room, RATE)
        assert np.square(response).sum(axis=1).mean() == pytest.approx(0.055 * room.level**2 * decay_s(room), rel=1e-4)


def test_width_spreads_a_room_between_the_sides() -> None:
    narrow, wide = (impulse_response(Room(0.5, 0.3, width, 0.5), RATE) for width in (0.0, 1.0))
    np.testing.assert_array_equal(narrow[0], narrow[1])
    assert abs(np.corrcoef(wide)[0, 1]) < 0.1


def test_an_impulse_becomes_itself_and_the_response() -> None:
    audio = np.zeros((2, RATE // 2), np.float32)
    audio[:, 100] = 1.0
    expected = audio + np.pad(impulse_response(HALL, RATE), ((0, 0), (100, 0)))[:, : RATE // 2]
    np.testing.assert_allclose(reverberate(audio, HALL, RATE), expected, atol=1e-6)
    assert reverberate(audio, DRY, RATE) is audio
