"""Chord, key and tempo of a score, as targets of the auxiliary tasks [4.1.3].

Chords come from annotations where there are any, else from the notes: the pitch classes that sound in each beat, and
the lowest of them, are scored against one template a chord class, and a Viterbi path that pays for each change smooths
the scores. Keys are found likewise, over twenty seconds at a time, with the profiles of Krumhansl and Kessler (1982).
"""

from __future__ import annotations

import re

import numpy as np

from hsmad_cli.symbolic.notes import LOWEST_PITCH, N_PITCHES, NoteTable, Score

_MAJOR_ROOTS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_MINOR_ROOTS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
KEY_NAMES = (*(f"{root} major" for root in _MAJOR_ROOTS), *(f"{root} minor" for root in _MINOR_ROOTS))
N_KEYS = len(KEY_NAMES)
NO_CHORD = 24
N_CHORDS = NO_CHORD + 1
IGNORE = -100

# Evidence for C major and C minor of each pitch class that sounds, and of the lowest one. The signs are those of chord
# tones; the sizes were fitted to half of the annotated songs of the training scores and rounded.
_CHORD_TONES = 7 * np.array([
    [1.0, -0.4, -0.2, -1.3, 1.0, -0.2, -0.2, 1.0, -0.5, -0.3, 0.3, -0.1],
    [1.0, -0.4, 0.0, 1.2, -1.3, -0.2, 0.0, 1.0, -0.6, -0.6, 0.4, -0.5],
])  # fmt: skip
_CHORD_BASS = np.array([
    [2.0, -0.8, -0.4, -0.7, 0.1, 0.0, -0.9, 0.5, -0.2, -0.2, 0.5, 0.2],
    [1.6, -0.4, -0.2, -0.9, 0.2, -0.3, 0.4, -0.1, 0.1, -0.5, 0.2, -0.3],
])  # fmt: skip
_CHORD_CHANGE = 3.0
_SILENCE = 0.05

_KEY_TONES = np.array([
    [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88],
    [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17],
])  # fmt: skip
_KEY_BASS = 0.6
_KEY_CHANGE = 1.0
_KEY_CELL_S = 2.0
_KEY_WINDOW = 11

_BEAT_CLARITY = 0.1


def chord_targets(score: Score, n_frames: int, frame_rate: tuple[int, int]) -> np.ndarray:
    """Chord at the centre of each frame: int64 [n_frames], 0 to 11 major from C, 12 to 23 minor, 24 none.

    frame_rate: frames a second of the level (T_M), as (numerator, denominator).
    """
    if score.chords:
        edges, classes = _annotated_chords(score.chords)
    else:
        edges, classes = estimate_chords(score)
    return _sampled(edges, classes, NO_CHORD, _centres(n_frames, frame_rate))


def key_targets(score: Score, n_frames: int, frame_rate: tuple[int, int]) -> np.ndarray:
    """Key at the centre of each frame: int64 [n_frames], 0 to 11 major from C, 12 to 23 minor; IGNORE after the end."""
    edges, keys = estimate_keys(score)
    return _sampled(edges, keys, IGNORE, _centres(n_frames, frame_rate))


def tempo_targets(score: Score, n_frames: int, frame_rate: tuple[int, int]) -> np.ndarray:
    """Log of quarter notes a minute at the centre of each frame: float32 [n_frames].

    NaN throughout where the notes do not follow the score's beats, as in a recorded performance without a tempo map.
    """
    if not follows_beats(score):
        return np.full(n_frames, np.nan, np.float32)
    segment = np.searchsorted(score.tempo_s, _centres(n_frames, frame_rate), side="right") - 1
    return np.log(score.tempo_bpm[segment]).astype(np.float32)


def follows_beats(score: Score) -> bool:
    """Whether onsets gather at the fourths or the sixths of the beats, rather than anywhere between."""
    if len(score.beats_s) < 2 or len(score.notes) == 0:
        return False
    phase = np.interp(score.notes.onset_s, score.beats_s, np.arange(len(score.beats_s)))
    clarity = [abs(np.exp(2j * np.pi * parts * phase).mean()) for parts in (4, 6)]
    return max(clarity) > max(_BEAT_CLARITY, 2 / np.sqrt(len(phase)))


def estimate_chords(score: Score) -> tuple[np.ndarray, np.ndarray]:
    """Chords from the notes: edges [S + 1] in seconds, and the chord class [S] between them."""
    edges = _beat_edges(score)
    tones, bass = _pitch_classes(score.notes, edges)
    loudness = tones.sum(1)
    share = tones / np.maximum(loudness, 1e-9)[:, None]
    evidence = _rotations(_CHORD_TONES, share) + _rotations(_CHORD_BASS, bass)
    none = np.where(loudness < _SILENCE, evidence.max(1, initial=0.0) + 10, evidence.min(1, initial=0.0) - 10)
    return edges, _smoothest_path(np.column_stack([evidence, none]), _CHORD_CHANGE)


def estimate_keys(score: Score) -> tuple[np.ndarray, np.ndarray]:
    """Keys from the pitched notes: edges [S + 1] in seconds, and the key [S] between them; none without such notes."""
    notes = score.notes.select(~score.notes.is_drum)
    if len(notes) == 0:
        return np.zeros(1), np.zeros(0, np.int64)
    edges = np.arange(0, notes.end_s + _KEY_CELL_S, _KEY_CELL_S)
    tones, bass = _pitch_classes(notes, edges)
    evidence = _rotations(_standard(_KEY_TONES), _standard(np.sqrt(_windowed(tones))))
    evidence += _KEY_BASS * _rotations(_standard(_KEY_TONES), _standard(np.sqrt(_windowed(bass))))
    return edges, _smoothest_path(evidence / 4, _KEY_CHANGE)


def chord_class(label: str) -> int:
    """Class of an annotated chord such as `Eb:min7/b3`: its third decides; without one (sus, 5, aug) it is major."""
    match = re.match(r"([A-G])([#b]*)(?::?([^/]*))?", label)
    if match is None:
        return NO_CHORD
    letter, accidentals, quality = match.groups()
    root = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[letter]
    root += accidentals.count("#") - accidentals.count("b")
    is_minor = (quality or "").startswith(("min", "dim", "hdim", "m7", "m6", "m9")) or quality == "m"
    return root % 12 + 12 * is_minor


def _annotated_chords(chords: tuple[tuple[float, float, str], ...]) -> tuple[np.ndarray, np.ndarray]:
    """Edges and classes of annotated spans, NO_CHORD between them."""
    edges, classes = [0.0], []
    for start_s, end_s, label in sorted(chords):
        edges += [max(start_s, edges[-1]), max(end_s, edges[-1])]
        classes += [NO_CHORD, chord_class(label)]
    return np.array(edges), np.array(classes, np.int64)


def _centres(n_frames: int, frame_rate: tuple[int, int]) -> np.ndarray:
    return (np.arange(n_frames) + 0.5) * frame_rate[1] / frame_rate[0]


def _sampled(edges: np.ndarray, values: np.ndarray, outside: int, at_s: np.ndarray) -> np.ndarray:
    """Values between edges at given times; `outside` beyond the last edge."""
    segment = np.searchsorted(edges, at_s, side="right") - 1
    return np.append(values, outside)[np.clip(segment, 0, len(values))].astype(np.int64)


def _beat_edges(score: Score) -> np.ndarray:
    """Edges of cells of about 0.35 to 0.8 s that end with the score: its beats, joined or halved, else 0.5 s each."""
    beats = score.beats_s
    period_s = float(np.median(np.diff(beats))) if len(beats) > 1 else 0.0
    if not 0.05 < period_s < 4:
        beats = np.arange(0, score.notes.end_s, 0.5)
    elif period_s < 0.35:
        beats = beats[:: int(np.ceil(0.35 / period_s))]
    elif period_s > 0.8:
        beats = np.interp(np.arange(0, len(beats), 0.5), np.arange(len(beats)), beats)
    return np.unique([0.0, *beats[beats < score.notes.end_s], score.notes.end_s])


def _pitch_classes(notes: NoteTable, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much of each pitch class sounds between edges, and which is the lowest that sounds for a quarter of it.

    Both [S, 12]: the first in multiples of the cell's length, summed over octaves; the second one-hot, 0 in silence.
    """
    sounding = _pitch_cover(notes, edges)
    folding = np.eye(12)[(np.arange(N_PITCHES) + LOWEST_PITCH) % 12]
    lasting, any_at_all = sounding > 0.25, sounding > 0
    lowest = np.where(lasting.any(1), lasting.argmax(1), any_at_all.argmax(1))
    return sounding @ folding, folding[lowest] * any_at_all.any(1, keepdims=True)


def _pitch_cover(notes: NoteTable, edges: np.ndarray) -> np.ndarray:
    """Fraction of each cell in which each pitch sounds, drums apart: [S, 88], at most 1."""
    cover = np.zeros((len(edges) - 1, N_PITCHES))
    for pitch in np.unique(notes.pitch[~notes.is_drum]):
        mine = (notes.pitch == pitch) & ~notes.is_drum
        cover[:, pitch - LOWEST_PITCH] = np.diff(_elapsed(notes.onset_s[mine], edges))
        cover[:, pitch - LOWEST_PITCH] -= np.diff(_elapsed(notes.offset_s[mine], edges))
    return np.minimum(cover / np.diff(edges)[:, None], 1)


def _elapsed(events_s: np.ndarray, at_s: np.ndarray) -> np.ndarray:
    """Sum over events of the time since each, at given times; events to come count 0."""
    events_s = np.sort(events_s)
    past = np.searchsorted(events_s, at_s)
    return past * at_s - np.append(0.0, np.cumsum(events_s))[past]


def _windowed(cells: np.ndarray) -> np.ndarray:
    """Sum of the `_KEY_WINDOW` cells around each: [S, 12]."""
    total = np.append(np.zeros((1, cells.shape[1])), np.cumsum(cells, 0), 0)
    centre = np.arange(len(cells))
    first = np.maximum(centre - _KEY_WINDOW // 2, 0)
    return np.maximum(total[np.minimum(centre + _KEY_WINDOW // 2 + 1, len(cells))] - total[first], 0)


def _standard(rows: np.ndarray) -> np.ndarray:
    """Rows with mean 0 and standard deviation 1; constant rows become 0."""
    centred = rows - rows.mean(1, keepdims=True)
    return centred / np.maximum(rows.std(1, keepdims=True), 1e-9)


def _rotations(templates: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Products of rows [S, 12] with both templates [2, 12], rotated to the twelve roots: [S, 24]."""
    rotated = np.stack([np.roll(template, root) for template in templates for root in range(12)])
    return rows @ rotated.T


def _smoothest_path(evidence: np.ndarray, change: float) -> np.ndarray:
    """States [S] of the path with the largest sum of evidence [S, K] less `change` for every change of state."""
    if len(evidence) == 0:
        return np.zeros(0, np.int64)
    stay = np.arange(evidence.shape[1])
    total, came_from = evidence[0], []
    for row in evidence[1:]:
        best = total.argmax()
        moves = total[best] - change > total
        came_from.append(np.where(moves, best, stay))
        total = np.where(moves, total[best] - change, total) + row
    path = [int(total.argmax())]
    for origin in reversed(came_from):
        path.append(int(origin[path[-1]]))
    return np.array(path[::-1], np.int64)
