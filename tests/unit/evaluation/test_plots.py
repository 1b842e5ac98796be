"""The plot puts notes where they sound."""

from __future__ import annotations

import numpy as np
import pytest

from hsmad_cli.evaluation.plots import STEPS_PER_SEMITONE, plot_renderings, semitone_spectrogram
from hsmad_cli.symbolic.notes import NoteTable

RATE = 44100
TIME = np.arange(2 * RATE) / RATE
TONE = np.where(TIME >= 1, np.sin(2 * np.pi * 440 * TIME), 0).astype(np.float32)[None].repeat(2, 0)


def test_a_tone_is_in_the_row_of_its_pitch_and_the_column_of_its_time():
    level = semitone_spectrogram(TONE, n_columns=200)
    assert level.shape == ((127 - 21) * STEPS_PER_SEMITONE, 200)
    assert np.argmax(level[:, 150]) == (69 - 21) * STEPS_PER_SEMITONE
    assert level.max() == pytest.approx(0, abs=0.01)
    assert (level[:, 80] == -70).all()


def test_silence_can_be_drawn():
    assert (semitone_spectrogram(np.zeros((2, 1000), np.float32), n_columns=10) == -70).all()


def test_the_png_has_a_panel_for_each_sound_and_the_same_bytes_each_time():
    pytest.importorskip("matplotlib")
    notes = NoteTable([1.0, 1.0], [2.0, 1.1], [69, 36], [80, 80], [40, 0], [False, True], [0, 1])
    one, two = (plot_renderings([("tone", TONE)] * n, notes) for n in (1, 2))
    assert one.startswith(b"\x89PNG")
    assert int.from_bytes(two[20:24]) > int.from_bytes(one[20:24])
    assert one == plot_renderings([("tone", TONE)], notes)


def test_an_empty_score_can_be_drawn():
    pytest.importorskip("matplotlib")
    assert plot_renderings([("tone", TONE)], NoteTable.empty()).startswith(b"\x89PNG")
