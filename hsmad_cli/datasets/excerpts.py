"""Excerpts of a manifest's scores, by kind of music: what the tables of quality are made on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, zip_longest
from pathlib import Path

from hsmad_cli.datasets import augment
from hsmad_cli.datasets.manifest import Item
from hsmad_cli.datasets.scores import read_score
from hsmad_cli.errors import InputError
from hsmad_cli.symbolic.notes import NoteTable, Score

SETS = ("piano", "ensembles", "bands", "drums")
UNSEEN = "unseen"
TAIL_S = 0.5
LEAST_NOTES = 8
LAST_PIANO_PROGRAM = 7


@dataclass(frozen=True, eq=False)
class Excerpt:
    """A piece of a score on its own clock, `seconds` long, without onsets in the last half second."""

    name: str
    score: Score
    seconds: float


@dataclass(frozen=True)
class Choice:
    """Which excerpts: `n` of a set at most, `seconds` long (None: whole scores) from `start_s` on, drawn by `seed`.

    split: one of the manifest's, or `unseen`: validation, test, and tier B but for the `train` of an official split.
    """

    n: int
    seconds: float | None = 20.0
    start_s: float = 20.0
    split: str = UNSEEN
    seed: int = 0


def excerpts(
    items: Sequence[Item],
    kind: str,
    choice: Choice,
    failed: Callable[[str, InputError], object],
    usable: Callable[[Score], bool] = lambda score: True,
) -> Iterator[Excerpt]:
    """The excerpts of a set of SETS; the same arguments give the same ones, and a larger `n` the same and more.

    Who plays in an excerpt decides its set; if there is anything of tier B, the pianos are of tier B.
    Scores of a source (the first folder of an item's id) come in an order drawn by hash, the sources take turns.
    `failed` is told of scores that cannot be read; those that are not `usable` are passed over.
    """
    found = (_excerpt(item, kind, choice, failed) for item in _in_turn(_candidates(items, kind, choice), choice.seed))
    yield from islice((each for each in found if each is not None and usable(each.score)), choice.n)


def _excerpt(item: Item, kind: str, choice: Choice, failed: Callable[[str, InputError], object]) -> Excerpt | None:
    """The excerpt of an item if it belongs to the set, and for the set of drums of its drums alone."""
    try:
        score = read_score(item)
    except InputError as error:
        failed(item.id, error)
        return None
    excerpt = cut(item.id, score, choice.start_s, choice.seconds)
    if not _is(excerpt.score.notes, kind):
        return None
    if kind == "drums":
        excerpt = drums_alone(excerpt)
    return excerpt if len(excerpt.score.notes) >= LEAST_NOTES else None


def drums_alone(excerpt: Excerpt) -> Excerpt:
    """The excerpt without its pitched notes."""
    notes = excerpt.score.notes
    return replace(excerpt, score=replace(excerpt.score, notes=notes.select(notes.is_drum)))


def cut(name: str, score: Score, start_s: float, seconds: float | None) -> Excerpt:
    """An excerpt of a score, from `start_s` on or, where the score ends too soon, from earlier on; or all of it."""
    if seconds is None:
        return Excerpt(name, score, score.notes.end_s + TAIL_S)
    start_s = max(0.0, min(start_s, score.notes.end_s - seconds))
    part = augment.crop(score, start_s, seconds)
    notes = part.notes.select(part.notes.onset_s < seconds - TAIL_S)
    return Excerpt(name, replace(part, notes=notes), seconds)


def _candidates(items: Sequence[Item], kind: str, choice: Choice) -> list[Item]:
    held = [item for item in items if (_is_unseen(item) if choice.split == UNSEEN else item.split == choice.split)]
    tier_b = [item for item in held if item.tier == "B"]
    return tier_b if kind == "piano" and tier_b else held


def _is_unseen(item: Item) -> bool:
    return item.split != "train" or (item.tier == "B" and not item.official)


def _is(notes: NoteTable, kind: str) -> bool:
    programs = notes.program[~notes.is_drum]
    if not len(programs):
        return False
    if kind in ("bands", "drums"):
        return bool(notes.is_drum.any())
    return not notes.is_drum.any() and bool(programs.max() <= LAST_PIANO_PROGRAM) == (kind == "piano")


def _in_turn(items: Sequence[Item], seed: int) -> Iterator[Item]:
    def drawn(item: Item) -> bytes:
        return hashlib.sha256(f"{seed}:{item.id}".encode()).digest()

    sources: dict[tuple[str, ...], list[Item]] = {}
    for item in sorted(items, key=drawn):
        sources.setdefault(Path(item.id).parts[:-1][:1], []).append(item)
    for turn in zip_longest(*(sources[name] for name in sorted(sources))):
        yield from (item for item in turn if item is not None)
