"""Words of prompts: what captions are made of, and what a style encoder never saw of a prompt."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hsmad_cli.model.style_encoder import StyleEncoder

ALIKE = 0.75
UnknownWords = Callable[[str], list[str]]


def learnt_names(unknown_words: UnknownWords) -> dict[str, list[tuple[str, ...]]]:
    """By group what captions speak of, each thing by its names, the usual one first, as far as all words are known."""
    learnt = {
        group: dict.fromkeys(tuple(name for name in names if not unknown_words(name)) for names in things)
        for group, things in _lexicon().items()
    }
    return {group: kept for group, things in learnt.items() if (kept := [names for names in things if names])}


def with_suggestions(unknown: list[str], unknown_words: UnknownWords) -> str:
    """Unknown words for people, with commas between, each with the known word of captions that it looks like."""
    from hsmad_cli.model.tokenizer import words_of

    text = " ".join(name for things in _lexicon().values() for name in itertools.chain.from_iterable(things))
    known = sorted(set(words_of(text)) - set(unknown_words(text)))
    return ", ".join(
        f"{word} (did you mean {alike[0]}?)" if (alike := get_close_matches(word, known, 1, ALIKE)) else word
        for word in unknown
    )


def nearest_styles(encoder: StyleEncoder, text: str, n: int = 3) -> dict[str, float]:
    """The n styles that a text is nearest to, the nearest first, with the cosines of their vectors."""
    from hsmad_cli.datasets.recipes import recipes

    names = [recipe.words[0] for recipe in recipes()]
    vectors = encoder.encode([text, *names])
    cosines = (vectors[1:] @ vectors[0] / encoder.width).tolist()
    ranked = sorted(zip(cosines, names, strict=True), reverse=True)
    return {name: round(cosine, 3) for cosine, name in ranked[:n]}


def _lexicon() -> dict[str, list[tuple[str, ...]]]:
    """By group everything that captions speak of, and its names."""
    from hsmad_cli.datasets.recipes import recipes
    from hsmad_cli.symbolic.instruments import instruments
    from hsmad_cli.symbolic.words import words

    tables = {group: [*map(tuple, table.values())] for group, table in words().items() if isinstance(table, dict)}
    return {
        "styles": [recipe.words for recipe in recipes()],
        "instruments": [instrument.names for instrument in instruments()],
        **tables,
    }
