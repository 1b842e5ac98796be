"""Orchestration recipes: the same notes, other instruments. Octaves apart no pitch moves, and no time at all."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources

import numpy as np

from hsmad_cli.symbolic.instruments import instruments
from hsmad_cli.symbolic.notes import HIGHEST_PITCH, LOWEST_PITCH, NoteTable

ROLES = ("lead", "harmony", "pad", "bass")
LEVELS = {"lead": 106, "harmony": 92, "pad": 84, "bass": 100, "drums": 98}
OWN, SINGLE = "own", "single"
KITS = (0, 8, 16, 24, 25, 32, 40, 48)
# Percussion keys that may stand in for each other: kicks, snares, toms, hats and shakers, cymbals, hand drums, blocks.
KEY_KINDS = (
    (35, 36), (37, 38, 39, 40), (41, 43, 45, 47, 48, 50), (42, 44, 46, 54, 69, 70), (49, 51, 52, 53, 55, 57, 59),
    (60, 61, 62, 63, 64, 65, 66), (56, 67, 68, 75, 76, 77),
)  # fmt: skip
_BASS_FAMILY, _STRIKE_S = 4, 0.02


@dataclass(frozen=True)
class Recipe:
    """A style: GM programs for each role, drum kits (none: drums are left out), and the words for the result.

    needs: roles without which the words would be wrong. rooms, tones, width, effects: what suits it (empty: anything).
    held_out: phrases that training never uses.
    """

    name: str
    words: tuple[str, ...]
    lead: tuple[int, ...]
    harmony: tuple[int, ...]
    pad: tuple[int, ...]
    bass: tuple[int, ...]
    drums: tuple[int, ...] = ()
    needs: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    tones: tuple[str, ...] = ()
    width: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()

    def programs(self, role: str) -> tuple[int, ...]:
        choices: tuple[int, ...] = getattr(self, role)
        return choices


@dataclass(frozen=True)
class Orchestration:
    """Notes in their new instruments, and the role of each part: one of ROLES or "drums"."""

    notes: NoteTable
    roles: dict[int, str]


@functools.cache
def recipes() -> tuple[Recipe, ...]:
    """The shipped recipes, in order of name."""
    text = (resources.files("hsmad_cli") / "datasets" / "recipes.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    return tuple(Recipe(name, **{key: tuple(value) for key, value in tables[name].items()}) for name in sorted(tables))


def suitable(notes: NoteTable) -> list[Recipe]:
    """The recipes whose needs these notes meet."""
    present = set(assign_roles(split_voices(notes)).values())
    return [recipe for recipe in recipes() if present & set(ROLES) and set(recipe.needs) <= present]


def assign_roles(notes: NoteTable) -> dict[int, str]:
    """The role of each part: the lowest line is the bass, the highest leads, long chords are a pad."""
    parts = np.unique(notes.part)
    roles = {int(part): "drums" for part in parts if notes.is_drum[notes.part == part].all()}
    profiles = {int(part): _profile(notes, part) for part in parts if int(part) not in roles}
    if not profiles:
        return roles
    lowest = min(profiles, key=lambda part: (not profiles[part].is_bass, profiles[part].pitch))
    is_line = profiles[lowest].pitch < 55 and profiles[lowest].voices < 1.8
    if profiles[lowest].is_bass or (len(profiles) > 1 and is_line):
        roles[lowest] = "bass"
    others = [part for part in profiles if part not in roles]
    if others:
        roles[max(others, key=lambda part: profiles[part].pitch - 12 * (profiles[part].voices > 1.6))] = "lead"
    for part in others:
        profile = profiles[part]
        is_pad = profile.voices > 1.6 and profile.length_s > 1.2
        roles.setdefault(part, "bass" if profile.is_bass else "pad" if is_pad else "harmony")
    return roles


@dataclass(frozen=True)
class _Profile:
    pitch: float
    voices: float
    length_s: float
    is_bass: bool


def _profile(notes: NoteTable, part: int) -> _Profile:
    mine = notes.select((notes.part == part) & ~notes.is_drum)
    length_s = mine.offset_s - mine.onset_s
    latest = np.maximum.accumulate(np.concatenate([[0.0], mine.offset_s[:-1]]))
    covered = np.maximum(mine.offset_s - np.maximum(mine.onset_s, latest), 0.0).sum()
    voices = float(length_s.sum() / max(covered, 1e-3))
    is_bass = bool((mine.program // 8 == _BASS_FAMILY).mean() > 0.5)
    return _Profile(float(mine.pitch.mean()), voices, float(length_s.mean()), is_bass)


def split_voices(notes: NoteTable) -> NoteTable:
    """A score of one or two polyphonic parts, each taken apart into top line, middle and bass as parts of their own."""
    pitched = np.unique(notes.part[~notes.is_drum])
    if len(pitched) > 2:
        return notes
    part = notes.part.copy()
    free = int(notes.part.max(initial=0)) + 1
    for index, old in enumerate(pitched):
        mine = np.flatnonzero((notes.part == old) & ~notes.is_drum)
        if _profile(notes, old).voices < 1.6:
            continue
        slot = np.rint(notes.onset_s[mine] / _STRIKE_S)
        highest, lowest = _extremes(slot, notes.pitch[mine])
        top = highest & (notes.pitch[mine] >= 60)
        bottom = lowest & (notes.pitch[mine] < 52) & ~top
        part[mine[top]] = free + 2 * index
        part[mine[bottom]] = free + 2 * index + 1
    return notes.with_columns(part=part).sorted()


def _extremes(slot: np.ndarray, pitch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each note is the highest, and whether it is the lowest, of its time slot."""
    order = np.lexsort((pitch, slot))
    first = np.concatenate([[True], np.diff(slot[order]) != 0])
    last = np.append(first[1:], True)
    highest, lowest = np.zeros(len(slot), bool), np.zeros(len(slot), bool)
    highest[order[last]], lowest[order[first]] = True, True
    return highest, lowest


def orchestrate(notes: NoteTable, recipe: Recipe, generator: np.random.Generator) -> Orchestration:
    """The notes in the instruments of a recipe; parts of one role take different programs while there are any."""
    notes = split_voices(notes)
    roles = assign_roles(notes)
    if not recipe.drums:
        notes = notes.select(~notes.is_drum)
    program, pitch = notes.program.copy(), notes.pitch.copy()
    queues = {role: generator.permutation(recipe.programs(role)) for role in ROLES}
    taken = dict.fromkeys(ROLES, 0)
    for part, role in sorted(roles.items()):
        mine = notes.part == part
        if role == "drums":
            program[mine] = generator.choice(recipe.drums) if recipe.drums else 0
            continue
        chosen = int(queues[role][taken[role] % len(queues[role])])
        taken[role] += 1
        mine &= ~notes.is_drum
        program[mine] = chosen
        pitch[mine] += octave_shift(pitch[mine], instruments()[chosen].range)
    return Orchestration(notes.with_columns(program=program, pitch=pitch).sorted(), roles)


def play_alone(notes: NoteTable, program: int) -> Orchestration:
    """All pitched notes on one program, part by part in its range; drums are left out."""
    notes = notes.select(~notes.is_drum)
    pitch = notes.pitch.copy()
    for part in np.unique(notes.part):
        mine = notes.part == part
        pitch[mine] += octave_shift(pitch[mine], instruments()[program].range)
    roles = assign_roles(notes)
    return Orchestration(notes.with_columns(pitch=pitch, program=np.full(len(notes), program)).sorted(), roles)


def drums_alone(notes: NoteTable, kit: int) -> Orchestration:
    """All drums on one kit; pitched notes are left out."""
    notes = notes.select(notes.is_drum)
    return Orchestration(notes.with_columns(program=np.full(len(notes), kit)), assign_roles(notes))


def exchange_keys(notes: NoteTable, generator: np.random.Generator) -> NoteTable:
    """The notes with the percussion keys of each of KEY_KINDS exchanged at random; no two keys become one."""
    keys = np.arange(128)
    for kind in KEY_KINDS:
        keys[list(kind)] = generator.permutation(kind)
    return notes.with_columns(pitch=np.where(notes.is_drum, keys[notes.pitch], notes.pitch)).sorted()


def octave_shift(pitch: np.ndarray, playable: tuple[int, int]) -> int:
    """The smallest multiple of 12 semitones that brings most of the pitches into a range, and none out of 21..108."""
    best, least = 0, None
    for shift in (0, 12, -12, 24, -24, 36, -36):
        moved = pitch + shift
        if shift and (moved.min() < LOWEST_PITCH or moved.max() > HIGHEST_PITCH):
            continue
        outside = int(((moved < playable[0]) | (moved > playable[1])).sum())
        if least is None or outside < least:
            best, least = shift, outside
    return best
