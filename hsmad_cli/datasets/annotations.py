"""Chords, tempo and key from the notes against the annotations beside a score: .chords.lab, .beats.txt, caption."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hsmad_cli.datasets.manifest import Item
from hsmad_cli.datasets.scores import read_score
from hsmad_cli.errors import InputError
from hsmad_cli.symbolic.harmony import NO_CHORD, chord_class, chord_targets, estimate_keys, tempo_targets
from hsmad_cli.symbolic.notes import Score

CHORD_RATE, TEMPO_RATE = (25, 2), (25, 8)
TEMPO_TOLERANCE = 0.04
_MAJOR_MINOR = re.compile(r"[A-G][#b]*(:(maj|min)|$)")
_KEY = re.compile(r"(?:^|, )([A-G][#b]?)(?::maj|(:min|m))?(?=,|$)")


@dataclass(frozen=True)
class Agreement:
    """Of one song. chords, triads: frames that agree, and all; triads only where the label is major or minor.

    tempo, key: whether they agree; None without annotation.
    """

    chords: tuple[int, int]
    triads: tuple[int, int]
    tempo: bool | None
    key: bool | None


def agreement(item: Item) -> Agreement:
    """How far the targets from the notes of an item agree with its annotations; raises InputError."""
    score = read_score(item)
    n_frames = int(score.notes.end_s * CHORD_RATE[0] / CHORD_RATE[1])
    annotated = chord_targets(score, n_frames, CHORD_RATE)
    same = chord_targets(replace(score, chords=()), n_frames, CHORD_RATE) == annotated
    plain = tuple(chord for chord in score.chords if _MAJOR_MINOR.match(chord[2]))
    triads = same[chord_targets(replace(score, chords=plain), n_frames, CHORD_RATE) != NO_CHORD] if plain else same[:0]
    tempo, key = _tempo_agrees(score, Path(item.midi).with_suffix(".beats.txt")), annotated_key(item.caption)
    return Agreement(
        (int(same.sum()), len(same)),
        (int(triads.sum()), len(triads)),
        tempo,
        None if key is None else main_key(score) == key,
    )


def annotated_key(caption: str) -> int | None:
    """The key that a caption names as "A:maj" or "Ebm": 0 to 11 major from C, 12 to 23 minor; None if it names none."""
    found = _KEY.search(caption)
    return None if found is None else chord_class(found[1] + (":min" if found[2] else ":maj"))


def main_key(score: Score) -> int | None:
    """The key that lasts longest; None without pitched notes."""
    edges, keys = estimate_keys(score)
    return int(np.bincount(keys, np.diff(edges)).argmax()) if len(keys) else None


def _tempo_agrees(score: Score, beats: Path) -> bool | None:
    """Whether the median tempo is within 4 % of that of the annotated beats (their first column, in seconds)."""
    if not beats.is_file():
        return None
    try:
        beats_s = np.array([float(line.split()[0]) for line in beats.read_text("utf-8").splitlines() if line.strip()])
    except (OSError, ValueError) as error:
        raise InputError(f"{beats}: no list of beats: {error}") from error
    if len(beats_s) < 2:
        return None
    n_frames = int(score.duration_s * TEMPO_RATE[0] / TEMPO_RATE[1])
    bpm = np.exp(np.median(tempo_targets(score, n_frames, TEMPO_RATE))) if n_frames else np.nan
    return bool(abs(bpm * np.median(np.diff(beats_s)) / 60 - 1) <= TEMPO_TOLERANCE)


def summary(found: Sequence[Agreement]) -> dict[str, float | int | None]:
    """Shares over songs: chords by frame, tempo and key by song; None where nothing is annotated."""
    return {
        "songs": len(found),
        "frames": sum(each.chords[1] for each in found),
        "chords": _share([each.chords for each in found]),
        "major_minor": _share([each.triads for each in found]),
        "tempo": _share([(each.tempo, 1) for each in found if each.tempo is not None]),
        "key": _share([(each.key, 1) for each in found if each.key is not None]),
    }


def _share(parts: Iterable[tuple[int, int]]) -> float | None:
    agreed, total = np.array([*parts, (0, 0)]).sum(0).tolist()
    return agreed / total if total else None


def by_collection(
    items: Iterable[Item], progress: Callable[[], object] = lambda: None
) -> dict[str, dict[str, float | int | None]]:
    """The summary of the items with annotated chords, for each folder of scores."""
    found: dict[str, list[Agreement]] = {}
    for item in items:
        found.setdefault(Path(item.midi).parent.name, []).append(agreement(item))
        progress()
    return {name: summary(songs) for name, songs in found.items()}
