"""Words for what the score decides: tempo, mood and key. A style encoder must not learn them from the sound."""

from __future__ import annotations

import functools
import re

import torch

from hsmad_cli.symbolic.words import words

TABLES = ("pace", "mood", "mode")


def with_random_score_words(text: str, generator: torch.Generator) -> str:
    """The text with each of these phrases replaced by any of its kind: what says nothing is learnt to mean nothing."""
    choices = _choices()

    def another(found: re.Match[str]) -> str:
        kind = choices[str(found.lastgroup)]
        return kind[int(torch.randint(len(kind), (), generator=generator))]

    return _pattern().sub(another, text)


@functools.cache
def _choices() -> dict[str, tuple[str, ...]]:
    """By table, all of its phrases."""
    return {table: tuple(phrase for phrases in words()[table].values() for phrase in phrases) for table in TABLES}


@functools.cache
def _pattern() -> re.Pattern[str]:
    """Any of the phrases, the longest that fits, in a group that is called like its table."""
    groups = (
        f"(?P<{table}>{'|'.join(map(re.escape, sorted(phrases, key=len, reverse=True)))})"
        for table, phrases in _choices().items()
    )
    return re.compile(rf"(?<![\w-])(?:{'|'.join(groups)})(?![\w-])")
