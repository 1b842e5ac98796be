from __future__ import annotations

import numpy as np
import pytest

from hsmad_cli.symbolic.harmony import (
    IGNORE,
    KEY_NAMES,
    NO_CHORD,
    chord_class,
    chord_targets,
    estimate_chords,
    key_targets,
    tempo_targets,
)
from hsmad_cli.symbolic.notes import NoteTable, Score

T_M, T_L = (25, 2), (25, 8)
C_MAJOR, A_MINOR, F_MAJOR, G_MAJOR = (48, 52, 55), (45, 48, 52), (41, 45, 48), (43, 47, 50)


def progression(chords: list[tuple[int, ...]], bar_s: float = 2.0, transpose: int = 0, drums: bool = False) -> Score:
    """One bar a chord, struck on each of its four beats, two octaves."""
    rows = [
        (bar * bar_s + beat * bar_s / 4, pitch + octave + transpose)
        for bar, chord in enumerate(chords)
        for beat in range(4)
        for octave in (0, 12)
        for pitch in chord
    ]
    onset_s, pitch = np.array(rows).T
    n = len(rows)
    notes = NoteTable(
        onset_s, onset_s + 0.9 * bar_s / 4, pitch, np.full(n, 80), np.zeros(n), np.full(n, drums), np.zeros(n)
    )
    beats_s = np.arange(4 * len(chords)) * bar_s / 4
    return Score(notes, tempo_bpm=np.array([240 / bar_s]), beats_s=beats_s)


CADENCES = [C_MAJOR, A_MINOR, F_MAJOR, G_MAJOR, C_MAJOR, F_MAJOR, G_MAJOR, C_MAJOR]


@pytest.mark.parametrize("transpose", range(12))
def test_chords_of_a_progression(transpose: int) -> None:
    chords = chord_targets(progression(CADENCES, transpose=transpose), 200, T_M)
    roots = np.repeat([(root + transpose) % 12 for root in (0, 9, 5, 7, 0, 5, 7, 0)], 25)
    assert chords.dtype == np.int64
    assert ((chords % 12) == roots).mean() > 0.97
    assert set(chords[:25]) == {transpose % 12}
    assert set(chords[25:50] // 12) == {1}


@pytest.mark.parametrize("beats", [np.zeros(0), np.arange(0, 16, 4.0), np.arange(0, 16, 0.125)])
def test_chords_need_no_beats(beats: np.ndarray) -> None:
    score = progression(CADENCES)
    edges, chords = estimate_chords(Score(score.notes, beats_s=beats))
    assert chords[np.searchsorted(edges, [1.0, 3.0, 5.0, 7.0]) - 1].tolist() == [0, 21, 5, 7]


def test_annotations_come_first() -> None:
    score = progression(CADENCES)
    annotated = Score(score.notes, chords=((0.5, 1.0, "D:min7"), (1.0, 1.5, "N"), (2.0, 3.0, "Eb:maj/3")))
    chords = chord_targets(annotated, 8, (2, 1))
    assert chords.tolist() == [NO_CHORD, 14, NO_CHORD, NO_CHORD, 3, 3, NO_CHORD, NO_CHORD]


def test_silence_and_drums_have_no_chord_and_no_key() -> None:
    drums = progression(CADENCES, drums=True)
    assert set(chord_targets(drums, 100, T_M)) == {NO_CHORD}
    assert set(key_targets(drums, 25, T_L)) == {IGNORE}
    assert set(chord_targets(Score(NoteTable.empty()), 100, T_M)) == {NO_CHORD}


@pytest.mark.parametrize("transpose", range(12))
def test_key_of_a_progression(transpose: int) -> None:
    keys = key_targets(progression(CADENCES, transpose=transpose), 60, T_L)
    assert set(keys[:50]) == {transpose}
    assert set(keys[53:]) == {IGNORE}


def test_a_modulation_changes_the_key() -> None:
    chords = [C_MAJOR, F_MAJOR, G_MAJOR, C_MAJOR] * 5
    distant = [tuple(pitch + 6 for pitch in chord) for chord in chords]
    keys = key_targets(progression(chords + distant), 250, T_L)
    assert set(keys[:100]) == {0}
    assert set(keys[150:]) == {6}
    assert np.count_nonzero(np.diff(keys)) <= 2


def test_tempo_is_log_bpm_along_the_map() -> None:
    score = progression(CADENCES)
    score = Score(score.notes, np.array([0.0, 8.0]), np.array([120.0, 90.0]), beats_s=score.beats_s)
    tempo = tempo_targets(score, 50, T_L)
    assert tempo.dtype == np.float32
    np.testing.assert_allclose(np.exp(tempo), [120.0] * 25 + [90.0] * 25, rtol=1e-6)


def test_a_performance_without_beats_has_no_tempo() -> None:
    score = progression(CADENCES)
    free = np.sort(np.random.default_rng(0).uniform(0, 15, len(score.notes)))
    played = score.notes.with_columns(onset_s=free, offset_s=free + 0.3)
    assert np.isnan(tempo_targets(Score(played, beats_s=score.beats_s), 50, T_L)).all()


@pytest.mark.parametrize(
    ("label", "expected"),
    [("C", 0), ("C:maj7/3", 0), ("Bb:7", 10), ("F#:min", 18), ("Eb:min7/b3", 15), ("B:hdim7", 23), ("Cb:maj", 11),
     ("G:sus4(b7)", 7), ("A:5", 9), ("D:dim7", 14), ("N", NO_CHORD), ("X", NO_CHORD), ("B:minmaj7", 23), ("G:m", 19)],
)  # fmt: skip
def test_labels_by_their_third(label: str, expected: int) -> None:
    assert chord_class(label) == expected


def test_keys_have_names() -> None:
    assert KEY_NAMES[10] == "Bb major"
    assert KEY_NAMES[16] == "E minor"
