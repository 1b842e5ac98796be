"""What people type: a caption inside a sentence, among words that say nothing of the sound, with slips of the pen."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np

from hsmad_cli.datasets.captions import pick
from hsmad_cli.datasets.recipes import recipes
from hsmad_cli.symbolic.instruments import instruments

_FRAME_SHARE, _ADJECTIVE_SHARE, _ASIDE_SHARE = 0.6, 0.35, 0.35
_MADE_UP_SHARE, _SLIP_SHARE = 0.25, 0.1
_SYLLABLES = (
    "ba ber cal der dor eb fen gil ha il jun kel lo mar mor nes ob pel quin ra sil sta tor ul ven wick zo".split()
)
_LEAST_LETTERS = 5


@functools.cache
def _tables(file: str) -> dict[str, Any]:
    return tomllib.loads((resources.files("hsmad_cli") / "datasets" / file).read_text(encoding="utf-8"))


def table() -> Mapping[str, Sequence[str]]:
    """The frames, adjectives and asides of sentences.toml, and those that are held out, by name."""
    return _tables("sentences.toml")


def synonyms() -> Mapping[str, Sequence[str]]:
    """By a name that captions use, what else people call it."""
    return _tables("synonyms.toml")


@functools.cache
def phrases() -> Mapping[str, tuple[str, ...]]:
    """By what people type, the one to three names that come nearest to it, the nearest first."""
    text = (resources.files("hsmad_cli") / "datasets" / "phrases.tsv").read_text(encoding="utf-8")
    lines = (line.split("\t") for line in text.splitlines())
    return {phrase: tuple(names.split("; ")) for phrase, names in lines}


def names_of_captions() -> list[str]:
    """Every name of a style or of an instrument."""
    called = (*(recipe.words for recipe in recipes()), *(instrument.names for instrument in instruments()))
    return sorted({name for names in called for name in names})


def learnt_phrases() -> list[str]:
    """All that training says beyond captions, for its words."""
    empty = (phrase for name, phrases in table().items() if not name.startswith("held_out") for phrase in phrases)
    return [*empty, *(name for names in synonyms().values() for name in names)]


def taught_otherwise() -> list[str]:
    """What has a meaning of its own: names and their synonyms, what says nothing of the sound, and all that an
    evaluation asks for."""
    held_out = [phrase for recipe in recipes() for phrase in recipe.held_out]
    held_out += [phrase for name, parts in table().items() if name.startswith("held_out") for phrase in parts]
    return [*names_of_captions(), *learnt_phrases(), *held_out]


def said_otherwise(caption: str, generator: np.random.Generator) -> str:
    """The caption with one of the names in it called by a synonym, if it has any; "rock" in "hard rock" is no name."""
    named = [found for found in _any_name().finditer(caption) if found[0] in synonyms()]
    if not named:
        return caption
    found = named[int(generator.integers(len(named)))]
    return caption[: found.start()] + pick(synonyms()[found[0]], generator) + caption[found.end() :]


@functools.cache
def _any_name() -> re.Pattern[str]:
    """The longest name of captions that begins at a word."""
    names = sorted({*names_of_captions(), *synonyms()}, key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, names))})(?![\w-])")


def sentence(caption: str, generator: np.random.Generator, held_out: bool = False) -> str:
    """A caption in a frame, behind an adjective and before asides, or without them; by held-out phrases only or never.

    A held-out sentence always has a frame, an adjective and an aside.
    """
    frames, adjectives, asides = (
        table()[f"held_out_{name}" if held_out else name] for name in ("frames", "adjectives", "asides")
    )
    said = caption
    if held_out or generator.uniform() < _ADJECTIVE_SHARE:
        said = f"{pick(adjectives, generator)} {said}"
    if held_out or generator.uniform() < _FRAME_SHARE:
        said = pick(frames, generator).format(said)
    for _ in range(1 if held_out else int(generator.binomial(2, _ASIDE_SHARE))):
        aside = pick(asides, generator)
        said = f"{said}, {aside}" if held_out or generator.uniform() < 0.8 else f"{aside}, {said}"
    return said


def with_slips(text: str, generator: np.random.Generator) -> str:
    """The same with some words mistyped, and now and then words that nobody knows."""
    words = [_mistyped(word, generator) if generator.uniform() < _SLIP_SHARE else word for word in text.split()]
    if generator.uniform() < _MADE_UP_SHARE:
        for _ in range(int(generator.integers(1, 4))):
            words.insert(int(generator.integers(len(words) + 1)), _made_up(generator))
    return " ".join(words)


def _mistyped(word: str, generator: np.random.Generator) -> str:
    """A long word with a letter left out, doubled, or two exchanged."""
    if len(word) < _LEAST_LETTERS:
        return word
    i = int(generator.integers(1, len(word) - 1))
    before, letter, after = word[:i], word[i], word[i + 1 :]
    return before + pick((after, 2 * letter + after, after[0] + letter + after[1:]), generator)


def _made_up(generator: np.random.Generator) -> str:
    return "".join(pick(_SYLLABLES, generator) for _ in range(int(generator.integers(2, 4))))
