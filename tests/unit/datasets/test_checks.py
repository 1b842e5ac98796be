"""Checks that need no ear: they pass what is right, and catch each thing that is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsmad_cli.datasets.checks import (
    Bar,
    HeardClip,
    bars,
    check_clip,
    drawn,
    false_names,
    is_clipped,
    isolated_onsets,
    level_db,
    onset_errors,
)
from hsmad_cli.symbolic.notes import NoteTable

RATE = 44100
ONSETS_S = np.array([0.5, 1.0, 1.7, 2.4])


def table(onset_s: np.ndarray, program: int = 0, pitch: int = 69, velocity: int = 80) -> NoteTable:
    ones = np.ones(len(onset_s))
    return NoteTable(onset_s, onset_s + 0.3, pitch * ones, velocity * ones, program * ones, 0 * ones, 0 * ones)


def plucked(onset_s: np.ndarray, seconds: float = 3.0) -> np.ndarray:
    """Decaying tones of 440 Hz with eight harmonics, int16 [n, 2]."""
    times_s = np.arange(round(seconds * RATE)) / RATE
    sound = np.zeros(len(times_s))
    for start_s in onset_s:
        since_s = np.maximum(times_s - start_s, 0)
        tones = sum(np.sin(2 * np.pi * 440 * k * since_s) / k for k in range(1, 9))
        sound += tones * np.exp(-since_s / 0.15) * (times_s >= start_s)
    return np.tile((sound * 6000).astype(np.int16)[:, None], 2)


def clip(captions: tuple[str, ...] = ("grand piano",), late_s: float = 0.0, **notes: int) -> HeardClip:
    return HeardClip(0, plucked(ONSETS_S + late_s), RATE, table(ONSETS_S, **notes), captions, "own", ("genre:waltz",))


@pytest.mark.parametrize("late_s", [-0.03, -0.01, 0.0, 0.004, 0.02])
def test_onsets_are_heard_when_they_sound(late_s: float) -> None:
    np.testing.assert_allclose(onset_errors(clip(late_s=late_s)), late_s, atol=0.009)


def test_only_onsets_that_can_be_told_are_looked_for() -> None:
    assert isolated_onsets(table(np.array([0.05, 0.5, 1.0, 1.05, 2.0, 2.95])), 3.0).tolist() == [0.5, 2.0]
    assert len(isolated_onsets(table(ONSETS_S, program=48), 3.0)) == 0
    assert len(isolated_onsets(table(ONSETS_S, pitch=30), 3.0)) == 0
    soft = table(ONSETS_S)
    soft = soft.with_columns(velocity=np.array([80, 20, 20, 20]), offset_s=np.array([1.2, 1.3, 2.0, 2.7]))
    assert isolated_onsets(soft, 3.0).tolist() == [0.5, 1.7, 2.4]


def test_no_onset_is_told_under_what_does_not_die_away() -> None:
    """A note held from 0.8 to 1.8 s, played by strings or by a piano, beside strikes at 0.5, 1.0, 1.7 and 2.4 s."""
    onset_s, offset_s = np.array([0.5, 0.8, 1.0, 1.7, 2.4]), np.array([0.7, 1.8, 1.3, 2.0, 2.7])
    below = table(onset_s).with_columns(offset_s=offset_s, velocity=np.array([80, 20, 80, 80, 80]))
    assert isolated_onsets(below, 3.0).tolist() == [0.5, 1.0, 1.7, 2.4]
    strings = below.with_columns(program=np.array([0, 48, 0, 0, 0]))
    assert isolated_onsets(strings, 3.0).tolist() == [0.5, 2.4]
    drums = strings.with_columns(is_drum=np.array([False, False, True, True, True]))
    assert isolated_onsets(drums, 3.0).tolist() == [0.5, 2.4]
    distorted = below.with_columns(program=np.array([0, 30, 0, 0, 0]))
    assert isolated_onsets(distorted, 3.0).tolist() == [0.5, 2.4]


def test_no_onset_is_told_of_a_strike_together_with_what_does_not_die_away() -> None:
    onset_s = np.array([0.5, 1.0, 1.0, 1.7])
    both = table(onset_s).with_columns(program=np.array([0, 0, 48, 0]))
    assert isolated_onsets(both, 3.0).tolist() == [0.5, 1.7]


def test_clipping_is_a_run_at_full_scale() -> None:
    audio = plucked(ONSETS_S)
    assert not is_clipped(audio)
    audio[100:102] = 32767
    assert not is_clipped(audio)
    audio[102, 1] = audio[100, 1] = -32768
    assert is_clipped(audio)


def test_level_of_a_square_wave() -> None:
    assert level_db(np.full((100, 2), 3277, np.int16)) == pytest.approx(-20, abs=0.01)
    assert level_db(np.zeros((100, 2), np.int16)) == -120


def test_captions_may_name_only_what_plays() -> None:
    right = ("slow waltz with grand piano", "acoustic grand", "a warm piano recording on tape")
    assert false_names(clip(right)) == []
    assert false_names(clip(("bright piano",))) == []
    assert false_names(clip(("bright piano",), program=73)) == [("bright piano", "bright piano")]
    assert false_names(clip(("grand piano and cello",))) == [("grand piano and cello", "cello")]
    assert false_names(clip(("steel drums",), program=114)) == []
    in_style = replace(clip(("piano trio jazz, violin",), program=32), recipe="jazz_trio")
    assert [name for _, name in false_names(in_style)] == ["violin"]


def test_bars_name_what_is_missed() -> None:
    good, late = check_clip(clip()), check_clip(clip(("cello",), late_s=0.03))
    assert all(bar.is_met for bar in bars([good]))
    assert [bar.is_met for bar in bars([good, late])] == [True, False, True, True, False]
    silent = check_clip(replace(clip(), audio=np.zeros((3 * RATE, 2), np.int16)))
    assert not bars([silent])[3].is_met
    assert Bar("x", 1.0, least=1.0, most=1.0).is_met


def test_clips_are_drawn_once_each() -> None:
    assert drawn(5, 9, 0) == [0, 1, 2, 3, 4]
    assert drawn(100, 10, 3) == drawn(100, 10, 3)
    assert len(set(drawn(100, 10, 3))) == 10
