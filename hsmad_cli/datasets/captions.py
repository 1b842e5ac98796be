"""What a clip is called, in many ways: a word, a list, a sentence. Parts are left out; nothing is made up."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from hsmad_cli.datasets.recipes import recipes
from hsmad_cli.symbolic.caption import MAX_PLAYERS, Facts, spoken_list
from hsmad_cli.symbolic.words import words

_TRIES, _LIST_SHARE = 40, 0.3
_DETAILS = ("place", "tone", "how", "pace", "mood", "mode")


def captions(known: Facts, generator: np.random.Generator, forms: int) -> tuple[str, ...]:
    """Up to `forms` different captions, at least one; the first is short."""
    found: dict[str, None] = {}
    if known.styles:
        found[pick(known.styles, generator)] = None
    for _ in range(_TRIES):
        if len(found) >= forms:
            break
        in_a_list = generator.uniform() < _LIST_SHARE
        text = _list(known, generator) if in_a_list else _fill(pick(words()["templates"], generator), known, generator)
        if text:
            found[text] = None
    return tuple(found) or ("music",)


def held_out_phrases() -> Mapping[str, tuple[str, ...]]:
    """By recipe: synonyms that no caption uses, and its usual word in templates that no caption uses."""
    templates = words()["held_out_templates"]
    return {
        recipe.name: (*recipe.held_out, *(template.format(style=recipe.words[0]) for template in templates))
        for recipe in recipes()
    }


def _list(known: Facts, generator: np.random.Generator) -> str:
    """Style or players and some details, in any order, with commas."""
    subjects = [slot for slot in ("style", "players") if _word(slot, known, generator)]
    if not subjects:
        return ""
    details = [slot for slot in _DETAILS if known.traits.get(slot)]
    chosen = [slot for slot in details if generator.uniform() < 0.5]
    chosen += subjects if generator.uniform() < 0.5 else [pick(subjects, generator)]
    phrases = [_word(chosen[i], known, generator) for i in generator.permutation(len(chosen))]
    return ", ".join(dict.fromkeys(phrases))


def _fill(template: str, known: Facts, generator: np.random.Generator) -> str:
    """A template with its words, or "" where one of them is not known."""
    values: dict[str, str] = {}
    for slot in re.findall(r"{(\w+)}", template):
        value = _word(slot, known, generator)
        if not value:
            return ""
        values[slot] = value
    text = re.sub(r"\b([\w-]+) \1\b", r"\1", template.format(**values))
    return re.sub(r"\ba ([aeiou8])", r"an \1", text)


def _word(slot: str, known: Facts, generator: np.random.Generator) -> str:
    if slot == "style":
        return pick(known.styles, generator) if known.styles else ""
    if slot == "players":
        return _players(known, generator)
    keys = known.traits.get(slot, ())
    return pick(words()[slot][pick(keys, generator)], generator) if keys else ""


def _players(known: Facts, generator: np.random.Generator) -> str:
    """Some or all of the players, by any of their names, in any order."""
    if not known.players:
        return ""
    if known.solo:
        name = pick(known.players[0], generator)
        return pick((name, f"solo {name}"), generator)
    most = min(len(known.players), MAX_PLAYERS)
    count = most if generator.uniform() < 0.5 else int(generator.integers(1, most + 1))
    chosen = known.players[:count] if generator.uniform() < 0.5 else _some(known.players, count, generator)
    return spoken_list([pick(names, generator) for names in chosen])


def _some(players: Sequence[tuple[str, ...]], count: int, generator: np.random.Generator) -> list[tuple[str, ...]]:
    return [players[i] for i in generator.permutation(len(players))[:count]]


def pick(choices: Sequence[str], generator: np.random.Generator) -> str:
    """One of some texts, each as likely as any other."""
    return choices[int(generator.integers(len(choices)))]
