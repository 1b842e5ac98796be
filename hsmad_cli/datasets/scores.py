"""The score of an item, whatever the layout that it comes from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hsmad_cli.datasets import slakh
from hsmad_cli.datasets.manifest import Item
from hsmad_cli.files.midi import read_chords, read_midi
from hsmad_cli.symbolic.notes import Score


def read_score(item: Item) -> Score:
    """The score of an item with its annotated chords; raises InputError."""
    path = Path(item.midi)
    score = slakh.read_track(path) if path.name == slakh.METADATA else read_midi(path)
    return score if item.chords is None else replace(score, chords=tuple(read_chords(Path(item.chords))))
