"""The words of captions: one table for what training says of clips and for what a score says of itself."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from hsmad_cli.symbolic.instruments import instruments

_KITS = {24: "electronic", 25: "analog", 32: "jazz", 40: "brush", 48: "orchestra"}


@functools.cache
def words() -> Mapping[str, Any]:
    """The tables of words.toml."""
    text = (resources.files("hsmad_cli") / "symbolic" / "words.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def genre_words(genre: str) -> tuple[str, ...]:
    """What a manifest's genre is called."""
    return tuple(words()["genres"].get(genre, [genre] if genre else []))


def names_of(program: int, is_drum: bool) -> tuple[str, ...]:
    """All names of a program, or of a drum kit."""
    if is_drum:
        return tuple(words()["kits"][_KITS.get(program, "standard")])
    return instruments()[program].names
