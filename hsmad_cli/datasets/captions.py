"""What a clip is called, in many ways: a word, a list, a sentence. Parts are left out; nothing is made up."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import numpy as np

from hsmad_cli.datasets.instruments import instruments
from hsmad_cli.symbolic.notes import NoteTable, Score

AUDIBLE_SHARE, AUDIBLE_NOTES = 0.01, 2
_KITS = {24: "electronic", 25: "analog", 32: "jazz", 40: "brush", 48: "orchestra"}
_TRIES = 40


@dataclass(frozen=True)
class Facts:
    """What is true of a clip and may be said.

    styles: words for the style (empty: none is known). players: all names of each instrument that sounds, the most
    active first. place: a key of `place` in words.toml, or empty. tones, paces: keys of `tone` and `pace` that apply.
    """

    styles: tuple[str, ...]
    players: tuple[tuple[str, ...], ...]
    solo: bool
    place: str
    tones: tuple[str, ...] = field(default=())
    paces: tuple[str, ...] = field(default=())


@functools.cache
def words() -> Mapping[str, Any]:
    """The tables of words.toml."""
    text = (resources.files("hsmad_cli") / "datasets" / "words.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def genre_words(genre: str) -> tuple[str, ...]:
    """What a manifest's genre is called."""
    return tuple(words()["genres"].get(genre, [genre] if genre else []))


def sounding(notes: NoteTable) -> list[tuple[int, bool]]:
    """(program, is_drum) of all that sounds enough to be named, most notes first."""
    voices, counts = np.unique(np.stack([notes.program, notes.is_drum], 1), axis=0, return_counts=True)
    least = max(AUDIBLE_NOTES, AUDIBLE_SHARE * len(notes))
    order = sorted(range(len(voices)), key=lambda i: (-counts[i], *voices[i].tolist()))
    return [(int(voices[i][0]), bool(voices[i][1])) for i in order if counts[i] >= least]


def names_of(program: int, is_drum: bool) -> tuple[str, ...]:
    """All names of a program, or of a drum kit."""
    if is_drum:
        return tuple(words()["kits"][_KITS.get(program, "standard")])
    return instruments()[program].names


def facts(score: Score, styles: Sequence[str], place: str, tones: Sequence[str]) -> Facts:
    """What may be said of a score that is played in this style, at this place, with these tones."""
    notes = score.notes
    voices = sounding(notes)
    pitched = {program for program, is_drum in voices if not is_drum}
    solo = len(pitched) == 1 and len(voices) == 1 and len(np.unique(notes.part)) == 1
    loudness = float(notes.velocity.mean()) if len(notes) else 80.0
    dynamics = ("loud",) if loudness > 98 else ("soft",) if loudness < 56 else ()
    players = tuple(names_of(*voice) for voice in voices)
    return Facts(tuple(styles), players, solo, place, (*tones, *dynamics), _paces(score))


def _paces(score: Score) -> tuple[str, ...]:
    """Whether it is slow or fast, said only where tempo and the density of onsets agree."""
    notes = score.notes
    if len(notes) < 8:
        return ()
    seconds = max(float(notes.onset_s.max() - notes.onset_s.min()), 1.0)
    strikes_per_s = len(np.unique(np.rint(notes.onset_s / 0.05))) / seconds
    bpm = float(np.median(score.tempo_bpm))
    if bpm <= 84 and strikes_per_s < 2.5:
        return ("slow",)
    return ("fast",) if bpm >= 126 and strikes_per_s > 5 else ()


def captions(known: Facts, generator: np.random.Generator, forms: int) -> tuple[str, ...]:
    """Up to `forms` different captions, at least one; the first is short."""
    found: dict[str, None] = {}
    if known.styles:
        found[_pick(known.styles, generator)] = None
    for _ in range(_TRIES):
        if len(found) >= forms:
            break
        text = _fill(_pick(words()["templates"], generator), known, generator)
        if text:
            found[text] = None
    return tuple(found) or ("music",)


def _fill(template: str, known: Facts, generator: np.random.Generator) -> str:
    """A template with its words, or "" where one of them is not known."""
    values: dict[str, str] = {}
    for slot in re.findall(r"{(\w+)}", template):
        value = _word(slot, known, generator)
        if not value:
            return ""
        values[slot] = value
    text = template.format(**values).replace("music music", "music")
    return re.sub(r"\ba ([aeiou8])", r"an \1", text)


def _word(slot: str, known: Facts, generator: np.random.Generator) -> str:
    if slot == "style":
        return _pick(known.styles, generator) if known.styles else ""
    if slot == "players":
        return _players(known, generator)
    keys = {"place": (known.place,) if known.place else (), "tone": known.tones, "pace": known.paces}[slot]
    return _pick(words()[slot][_pick(keys, generator)], generator) if keys else ""


def _players(known: Facts, generator: np.random.Generator) -> str:
    """Some or all of the players, by any of their names, in any order."""
    if not known.players:
        return ""
    if known.solo:
        name = _pick(known.players[0], generator)
        return _pick((name, f"solo {name}"), generator)
    count = int(generator.integers(1, min(len(known.players), 6) + 1))
    if generator.uniform() < 0.5:
        count = min(len(known.players), 6)
    chosen = known.players[:count] if generator.uniform() < 0.5 else _some(known.players, count, generator)
    names = list(dict.fromkeys(_pick(names, generator) for names in chosen))
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _some(players: Sequence[tuple[str, ...]], count: int, generator: np.random.Generator) -> list[tuple[str, ...]]:
    return [players[i] for i in generator.permutation(len(players))[:count]]


def _pick(choices: Sequence[str], generator: np.random.Generator) -> str:
    return choices[int(generator.integers(len(choices)))]
