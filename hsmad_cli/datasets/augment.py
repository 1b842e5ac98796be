"""Changes to a score that keep it true: notes, beats, chords, tempo and pedal move together.

Every function takes a Score (and a generator where chance is wanted) and returns a Score; none touches a sound.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from hsmad_cli.symbolic.notes import HIGHEST_PITCH, LOWEST_PITCH, NoteTable, Score

RESTRIKE_S = 0.25
SHORTEST_S = 0.03
FLAT_VELOCITIES = 8
UNEVENNESS = (2.0, 16.0)
EXACT_CHORDS = 0.3
_ROOTS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def transpose(score: Score, semitones: int) -> Score:
    """Pitched notes and chord labels moved by `semitones`, or the score itself if a note would leave 21..108."""
    notes = score.notes
    pitch = np.where(notes.is_drum, notes.pitch, notes.pitch + semitones)
    pitched = pitch[~notes.is_drum]
    if semitones == 0 or pitched.min(initial=HIGHEST_PITCH) < LOWEST_PITCH or pitched.max(initial=0) > HIGHEST_PITCH:
        return score
    chords = tuple((start, end, transpose_chord(label, semitones)) for start, end, label in score.chords)
    return replace(score, notes=notes.with_columns(pitch=pitch).sorted(), chords=chords)


def transpose_chord(label: str, semitones: int) -> str:
    """A chord label such as "Eb:min7" with its root moved; labels without a root (N, X) stay."""
    match = re.match(r"([A-G])([#b]*)", label)
    if match is None:
        return label
    accidental = match[2].count("#") - match[2].count("b")
    return _ROOTS[(_STEPS[match[1]] + accidental + semitones) % 12] + label[match.end() :]


def warp(score: Score, times_s: np.ndarray, warped_s: np.ndarray) -> Score:
    """The score on another clock: `times_s` [K] become `warped_s` [K], linearly between, with the end slopes beyond.

    Both increase strictly, K >= 2. The tempo is divided by the local slope.
    """

    def moved(t: np.ndarray) -> np.ndarray:
        inside = np.interp(t, times_s, warped_s)
        before = warped_s[0] + (t - times_s[0]) * slopes[0]
        after = warped_s[-1] + (t - times_s[-1]) * slopes[-1]
        return np.where(t < times_s[0], before, np.where(t > times_s[-1], after, inside))

    slopes = np.diff(warped_s) / np.diff(times_s)
    inner = times_s[1:-1]
    breaks = np.unique(np.concatenate([score.tempo_s, inner[(inner > 0) & (inner < score.duration_s)]]))
    bpm = score.tempo_bpm[np.searchsorted(score.tempo_s, breaks, side="right") - 1]
    local = slopes[np.clip(np.searchsorted(times_s, breaks, side="right") - 1, 0, len(slopes) - 1)]
    notes = score.notes
    return replace(
        score,
        notes=notes.with_columns(onset_s=moved(notes.onset_s), offset_s=moved(notes.offset_s)),
        tempo_s=moved(breaks),
        tempo_bpm=bpm / local,
        pedal_s=moved(score.pedal_s),
        beats_s=moved(score.beats_s),
        chords=tuple(
            (float(moved(np.array(start))), float(moved(np.array(end))), label) for start, end, label in score.chords
        ),
    )


def delay(score: Score, seconds: float) -> Score:
    """The score `seconds` later; the tempo at its beginning also holds before."""

    def later(times: np.ndarray) -> np.ndarray:
        return times + seconds

    notes = score.notes
    return replace(
        score,
        notes=notes.with_columns(onset_s=later(notes.onset_s), offset_s=later(notes.offset_s)),
        tempo_s=np.where(score.tempo_s > 0, later(score.tempo_s), 0.0),
        pedal_s=later(score.pedal_s),
        beats_s=later(score.beats_s),
        chords=tuple((start + seconds, end + seconds, label) for start, end, label in score.chords),
    )


def stretch(score: Score, factor: float) -> Score:
    """The score `factor` times as long."""
    return warp(score, np.array([0.0, 1.0]), np.array([0.0, factor]))


def rubato(score: Score, generator: np.random.Generator, depth: float) -> Score:
    """The tempo breathing by about `depth` (0.05: five per cent), in waves of 4 to 16 seconds."""
    times = np.arange(0.0, score.duration_s + 1.0, 0.5)
    pace = np.zeros(len(times))
    for period in generator.uniform(4.0, 16.0, 3):
        pace += np.sin(2 * np.pi * (times / period + generator.uniform()))
    slopes = np.exp(depth * pace[:-1] / np.sqrt(1.5))
    return warp(score, times, np.concatenate([[0.0], np.cumsum(slopes * np.diff(times))]))


def swing(score: Score, share: float) -> Score:
    """Beats divided unevenly: what is half-way comes after `share` of the beat (0.5 straight, 2/3 triplets).

    Beats and tempo stay. A score with fewer than two beats stays as it is.
    """
    beats = np.unique(score.beats_s)
    if len(beats) < 2:
        return score
    halves = beats[:-1] + 0.5 * np.diff(beats)
    swung = beats[:-1] + share * np.diff(beats)
    around = [beats[0] - 1.0, beats[-1] + 1.0]
    moved = warp(score, np.sort([*around, *beats, *halves]), np.sort([*around, *beats, *swung]))
    return replace(moved, tempo_s=score.tempo_s, tempo_bpm=score.tempo_bpm, beats_s=score.beats_s)


def crop(score: Score, start_s: float, seconds: float) -> Score:
    """The score from `start_s` on, which becomes time 0, for `seconds`.

    A note that sounds across the start is struck again at 0 if more than 0.25 s of it are left, and else left out. One
    that sounds across the end keeps its offset: the audio just stops there.
    """
    notes = score.notes
    across = (notes.onset_s < start_s) & ~notes.is_drum & (notes.offset_s > start_s + RESTRIKE_S)
    kept = across | ((notes.onset_s >= start_s) & (notes.onset_s < start_s + seconds))
    notes = notes.select(kept)
    onset_s = np.maximum(notes.onset_s - start_s, 0.0)
    tempo_s, tempo_bpm = _steps_from(score.tempo_s, score.tempo_bpm, start_s)
    pedal_s, pedal_value = _steps_from(score.pedal_s, score.pedal_value, start_s)
    return replace(
        score,
        notes=notes.with_columns(onset_s=onset_s, offset_s=notes.offset_s - start_s).sorted(),
        tempo_s=tempo_s,
        tempo_bpm=tempo_bpm,
        pedal_s=pedal_s,
        pedal_value=pedal_value,
        beats_s=score.beats_s[(score.beats_s >= start_s) & (score.beats_s < start_s + seconds)] - start_s,
        chords=tuple(
            (max(start - start_s, 0.0), end - start_s, label)
            for start, end, label in score.chords
            if end > start_s and start < start_s + seconds
        ),
    )


def _steps_from(times_s: np.ndarray, values: np.ndarray, start_s: float) -> tuple[np.ndarray, np.ndarray]:
    """A step function from `start_s` on, its value there as the step at time 0."""
    first = np.searchsorted(times_s, start_s, side="right") - 1
    if first < 0:
        return times_s - start_s, values
    return np.maximum(times_s[first:] - start_s, 0.0), values[first:]


def repeat(score: Score, seconds: float, pause_s: float) -> Score:
    """The score played again and again, with a pause between, until it fills `seconds`."""
    period = score.notes.end_s + pause_s
    shifts = np.arange(0.0, max(seconds, 1e-9), period)
    notes = score.notes
    table = {name: np.tile(column, len(shifts)) for name, column in notes.columns().items()}
    later = np.repeat(shifts, len(notes))
    table["onset_s"], table["offset_s"] = table["onset_s"] + later, table["offset_s"] + later

    def again(times: np.ndarray) -> np.ndarray:
        return (shifts[:, None] + times[None]).reshape(-1)

    within = score.tempo_s < period
    pedal_within = score.pedal_s < period
    return replace(
        score,
        notes=NoteTable(**table).sorted(),
        tempo_s=again(score.tempo_s[within]),
        tempo_bpm=np.tile(score.tempo_bpm[within], len(shifts)),
        pedal_s=again(score.pedal_s[pedal_within]),
        pedal_value=np.tile(score.pedal_value[pedal_within], len(shifts)),
        beats_s=again(score.beats_s[score.beats_s < period]),
        chords=tuple(
            (start + shift, min(end, period) + shift, label)
            for shift in shifts.tolist()
            for start, end, label in score.chords
            if start < period
        ),
    )


def drop_parts(score: Score, generator: np.random.Generator, share: float) -> Score:
    """Each part left out with probability `share`; one pitched part (or, without any, one part) always stays."""
    notes = score.notes
    parts = np.unique(notes.part)
    pitched = np.unique(notes.part[~notes.is_drum])
    kept = generator.uniform(size=len(parts)) >= share
    kept |= parts == generator.choice(pitched if len(pitched) else parts)
    return replace(score, notes=notes.select(np.isin(notes.part, parts[kept])))


def double_part(score: Score, generator: np.random.Generator, program: int) -> Score:
    """A pitched part, drawn at random, also played by `program`, in unison or, where it can be, an octave away."""
    notes = score.notes
    pitched = np.unique(notes.part[~notes.is_drum])
    if not len(pitched):
        return score
    chosen = notes.select((notes.part == generator.choice(pitched)) & ~notes.is_drum)
    pitch = chosen.pitch + int(generator.choice([0, 12, -12]))
    if pitch.min() < LOWEST_PITCH or pitch.max() > HIGHEST_PITCH:
        pitch = chosen.pitch
    own = {"pitch": pitch, "program": np.full(len(chosen), program), "part": np.full(len(chosen), notes.part.max() + 1)}
    doubled = chosen.with_columns(**own).columns()
    both = {name: np.concatenate([column, doubled[name]]) for name, column in notes.columns().items()}
    return replace(score, notes=NoteTable(**both).sorted())


def curve_velocities(score: Score, exponent: float) -> Score:
    """Velocities through a power curve that keeps 127: above 1 quieter and wider apart, below 1 louder and closer."""
    velocity = 127 * (score.notes.velocity / 127) ** exponent
    return _with_velocity(score, velocity)


def phrase_velocities(score: Score, generator: np.random.Generator) -> Score:
    """Dynamics as people play them: phrases swell, beats and top notes are stressed, the melody most of all."""
    notes = score.notes
    swell = np.zeros(len(notes))
    for period in generator.uniform(4.0, 18.0, 3):
        swell += np.sin(2 * np.pi * (notes.onset_s / period + generator.uniform()))
    velocity = notes.velocity + generator.uniform(3, 9) * swell
    velocity += generator.uniform(0, 8) * _on_beat(notes.onset_s, score.beats_s)
    velocity += generator.uniform(0, 24) * (_is_top(notes) - 0.5)
    return _with_velocity(score, velocity + generator.uniform(-28, 12))


def uneven_velocities(score: Score, generator: np.random.Generator) -> Score:
    """Each note louder or softer than written by chance, with a standard deviation of 2 to 16.

    Nothing but the note's own velocity tells how loud it is then.
    """
    deviation = np.exp(generator.uniform(*np.log(UNEVENNESS)))
    return _with_velocity(score, score.notes.velocity + generator.normal(0.0, deviation, len(score.notes)))


def _with_velocity(score: Score, velocity: np.ndarray) -> Score:
    return replace(score, notes=score.notes.with_columns(velocity=np.clip(np.rint(velocity), 8, 127)))


def _on_beat(times_s: np.ndarray, beats_s: np.ndarray) -> np.ndarray:
    if not len(beats_s):
        return np.zeros(len(times_s))
    nearest = np.clip(np.searchsorted(beats_s, times_s), 1, max(len(beats_s) - 1, 1))
    after = beats_s[np.minimum(nearest, len(beats_s) - 1)]
    return (np.minimum(np.abs(after - times_s), np.abs(beats_s[nearest - 1] - times_s)) < 0.03).astype(float)


def _is_top(notes: NoteTable) -> np.ndarray:
    """1.0 for the highest of the pitched notes struck together (within 20 ms), else 0.0."""
    slot = np.rint(notes.onset_s / 0.02).astype(np.int64)
    pitch = np.where(notes.is_drum, -1, notes.pitch)
    order = np.lexsort((pitch, slot))
    last = np.append(np.diff(slot[order]) > 0, True)
    top = np.zeros(len(notes))
    top[order[last]] = 1.0
    return top * ~notes.is_drum


def loosen_timing(score: Score, generator: np.random.Generator, jitter_s: float, spread_s: float) -> Score:
    """Onsets moved by chance (standard deviation `jitter_s`, at most three of them), each part a little early or late.

    spread_s: chords of pitched notes are rolled from low to high, so much from note to note. Offsets move likewise.
    """
    notes = score.notes
    parts, index = np.unique(notes.part, return_inverse=True)
    move = generator.normal(0.0, jitter_s / 3, len(parts))[index.reshape(-1)]
    move = move + np.clip(generator.normal(0.0, jitter_s, len(notes)), -3 * jitter_s, 3 * jitter_s)
    move = move + spread_s * _rank_in_chord(notes)
    onset_s = np.maximum(notes.onset_s + move, 0.0)
    offset_s = np.maximum(notes.offset_s + move, onset_s + SHORTEST_S)
    return replace(score, notes=notes.with_columns(onset_s=onset_s, offset_s=offset_s).sorted())


def _rank_in_chord(notes: NoteTable) -> np.ndarray:
    """0, 1, 2, ... from low to high among the pitched notes that a part strikes together; at most 6, drums 0."""
    slot = np.rint(notes.onset_s / 0.01).astype(np.int64)
    order = np.lexsort((notes.pitch, slot, notes.part))
    new = np.ones(len(notes), bool)
    new[1:] = (np.diff(slot[order]) != 0) | (np.diff(notes.part[order]) != 0)
    position = np.arange(len(notes))
    start = np.maximum.accumulate(np.where(new, position, 0))
    rank = np.zeros(len(notes))
    rank[order] = np.minimum(position - start, 6)
    return rank * ~notes.is_drum


def articulate(score: Score, generator: np.random.Generator) -> Score:
    """Typeset durations, made shorter part by part as players do: between 75 and 100 per cent of what is written."""
    notes = score.notes
    parts, index = np.unique(notes.part, return_inverse=True)
    share = generator.uniform(0.75, 1.0, len(parts))[index.reshape(-1)]
    length = np.maximum((notes.offset_s - notes.onset_s) * np.where(notes.is_drum, 1.0, share), SHORTEST_S)
    return replace(score, notes=notes.with_columns(offset_s=notes.onset_s + length))


def add_pedal(score: Score, generator: np.random.Generator) -> Score:
    """Sustain pedal for the piano parts of a score that has none, changed every one to four beats.

    A piano note that ends while the pedal is down sounds until it comes up.
    """
    if len(score.pedal_s) or len(score.beats_s) < 3:
        return score
    every = int(generator.choice([1, 2, 2, 4]))
    up = score.beats_s[every::every]
    down = score.beats_s[: len(up) * every : every] + generator.uniform(0.04, 0.12)
    down, up = down[down < up], up[down < up]
    if not len(up):
        return score
    notes = score.notes
    piano = ~notes.is_drum & (notes.program < 6)
    index = np.clip(np.searchsorted(down, notes.offset_s, side="right") - 1, 0, None)
    held = piano & (notes.offset_s >= down[index]) & (notes.offset_s < up[index])
    pedal_s = np.stack([down, up], axis=1).reshape(-1)
    return replace(
        score,
        notes=notes.with_columns(offset_s=np.where(held, up[index], notes.offset_s)),
        pedal_s=pedal_s,
        pedal_value=np.tile([1.0, 0.0], len(up)),
    )


def is_flat(notes: NoteTable) -> bool:
    """Whether the velocities were not played: eight different ones at most."""
    return len(np.unique(notes.velocity)) <= FLAT_VELOCITIES


def is_typeset(notes: NoteTable) -> bool:
    """Whether the timing was not played: many pitched notes begin at exactly the same time as another."""
    onset_s = notes.onset_s[~notes.is_drum]
    if len(onset_s) < 2:
        return False
    _, counts = np.unique(np.round(onset_s, 5), return_counts=True)
    return counts[counts > 1].sum() / len(onset_s) > EXACT_CHORDS
