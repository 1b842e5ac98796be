"""What the 128 General MIDI programs are called, which pitches they play, and where they sit."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Instrument:
    """names: the usual one first. range: lowest and highest MIDI pitch. seat: pan, 0 (left) to 127 (right)."""

    names: tuple[str, ...]
    range: tuple[int, int]
    seat: int


@functools.cache
def instruments() -> tuple[Instrument, ...]:
    """The 128 programs, in order."""
    text = (resources.files("hsmad_cli") / "symbolic" / "instruments.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)["program"]
    return tuple(Instrument(tuple(row["names"]), (row["range"][0], row["range"][1]), row["seat"]) for row in rows)
