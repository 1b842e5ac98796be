"""The plot puts notes where they sound."""

from __future__ import annotations

import numpy as np
import pytest

from hsmad_cli.evaluation import plots
from hsmad_cli.evaluation.note_scores import HeardNotes
from hsmad_cli.evaluation.plots import STEPS_PER_SEMITONE, Panel, plot_renderings, semitone_spectrogram
from hsmad_cli.symbolic.notes import NoteTable

RATE = 44100
TIME = np.arange(2 * RATE) / RATE
TONE = np.where(TIME >= 1, np.sin(2 * np.pi * 440 * TIME), 0).astype(np.float32)[None].repeat(2, 0)


def test_a_tone_is_in_the_row_of_its_pitch_and_the_column_of_its_time():
    level = semitone_spectrogram(TONE, n_columns=200)
    assert level.shape == ((111 - 21) * STEPS_PER_SEMITONE, 200)
    assert np.argmax(level[:, 150]) == (69 - 21) * STEPS_PER_SEMITONE
    assert level.max() == pytest.approx(0, abs=0.01)
    assert (level[:, 80] == -70).all()


def test_silence_can_be_drawn():
    assert (semitone_spectrogram(np.zeros((2, 1000), np.float32), n_columns=10) == -70).all()


def test_the_png_has_a_panel_for_each_sound_and_the_same_bytes_each_time():
    pytest.importorskip("matplotlib")
    notes = NoteTable([1.0, 1.0], [2.0, 1.1], [69, 36], [80, 80], [40, 0], [False, True], [0, 1])
    one, two = (plot_renderings([Panel("tone", TONE)] * n, notes) for n in (1, 2))
    assert one.startswith(b"\x89PNG")
    assert int.from_bytes(two[20:24]) > int.from_bytes(one[20:24])
    assert one == plot_renderings([Panel("tone", TONE)], notes)


def test_an_empty_score_can_be_drawn():
    pytest.importorskip("matplotlib")
    assert plot_renderings([Panel("tone", TONE)], NoteTable.empty()).startswith(b"\x89PNG")


def test_bands_of_different_windows_agree_on_the_level_of_a_tone():
    time = np.arange(RATE) / RATE
    for pitch in (60, 76, 90):
        tone = 0.5 * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time)
        low = 0.5 * np.sin(2 * np.pi * 220 * time)
        level = semitone_spectrogram(np.stack([tone + low] * 2), n_columns=9)[:, 4]
        rows = level[(pitch - 21) * STEPS_PER_SEMITONE], level[(57 - 21) * STEPS_PER_SEMITONE]
        assert rows == pytest.approx((0, 0), abs=1.5)


def test_notes_are_found_missed_or_heard_besides(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("matplotlib")
    drawn = {}
    monkeypatch.setattr(plots, "_outline", lambda axis, notes, colour: drawn.update({colour: notes.pitch.tolist()}))
    written = HeardNotes.from_rows([(0.0, 1.0, 60), (0.5, 1.0, 64)], velocity=False)
    heard = HeardNotes.from_rows([(0.04, 1.0, 60), (0.6, 1.0, 64), (1.0, 1.5, 72)], velocity=False)
    plot_renderings([Panel("tone", TONE, heard, written)], NoteTable.empty())
    assert drawn == {"white": [60], "red": [64], "cyan": [64, 72]}
