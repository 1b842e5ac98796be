"""A blind listening test: a page that hides which system made which clip, and mean opinion scores from its ratings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hsmad_cli.errors import InputError
from hsmad_cli.evaluation.listening_page import listening_page

RATINGS = {5: "excellent", 4: "good", 3: "fair", 2: "poor", 1: "bad"}


@dataclass(frozen=True)
class Clip:
    """A clip under its blind name, and what is hidden: the system and the piece."""

    blind: str
    system: str
    piece: str
    source: Path


@dataclass(frozen=True)
class OpinionScore:
    """Mean opinion score of n ratings, 1 to 5, with its 95 % confidence interval (None for a single rating).

    The interval ends where the scale does.
    """

    mos: float
    low: float | None
    high: float | None
    n: int


def blind_clips(systems: Mapping[str, Sequence[Path]], seed: int) -> list[Clip]:
    """All clips in random order under names that tell nothing; the same seed gives the same test.

    Files of one stem are the same piece; raises InputError unless every system has every piece once.
    """
    pieces = {name: sorted(path.stem for path in paths) for name, paths in systems.items()}
    for name, stems in pieces.items():
        reference = next(iter(pieces.values()))
        if stems != reference or len(set(stems)) != len(stems) or not stems:
            raise InputError(
                f"{name}: {len(stems)} clips, others have {len(reference)}", "the same names in each folder"
            )
    clips = [
        Clip(_blind_name(seed, name, path.stem) + path.suffix, name, path.stem, path)
        for name, paths in systems.items()
        for path in paths
    ]
    clips.sort(key=lambda clip: clip.blind)
    return [clips[index] for index in np.random.default_rng(seed).permutation(len(clips))]


def _blind_name(seed: int, system: str, piece: str) -> str:
    return hashlib.sha256(json.dumps([seed, system, piece]).encode()).hexdigest()[:12]


def answer_key(clips: Sequence[Clip]) -> dict[str, dict[str, str]]:
    """What the test hides: {blind name: {system, piece}}."""
    return {clip.blind: {"system": clip.system, "piece": clip.piece} for clip in clips}


def page(clips: Sequence[Clip], question: str = "How good does this sound?") -> str:
    """An HTML page that plays clips/NAME in order and saves the ratings of one listener as a JSON file.

    The browser keeps the ratings, also when the page is reloaded.
    """
    fieldsets = "\n".join(map(_fieldset, range(1, len(clips) + 1), clips))
    return listening_page(question, STYLE, FORM.format(clips=fieldsets))


def _fieldset(number: int, clip: Clip) -> str:
    choices = "".join(
        f'<label><input type="radio" name="{clip.blind}" value="{value}" required> {value} {word}</label>\n'
        for value, word in RATINGS.items()
    )
    player = f'<audio controls preload="none" src="clips/{clip.blind}"></audio>'
    return f"<fieldset><legend>{number}</legend>{player}\n{choices}</fieldset>"


STYLE = """body { max-width: 42rem }
fieldset { margin: 1rem 0; padding: .5rem 1rem }
label { display: inline-block; padding: .5rem 1rem .5rem 0 }
button { font: inherit; padding: .5rem 1rem }"""

FORM = """<form>
{clips}
<button>Save my ratings</button>
</form>
<script>
const form = document.querySelector("form");
const rated = () => Object.fromEntries([...new FormData(form)].map(([clip, value]) => [clip, Number(value)]));
form.addEventListener("submit", event => {{
  event.preventDefault();
  const ratings = rated();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(ratings)], {{type: "application/json"}}));
  link.download = "ratings.json";
  link.click();
}});
const test = [...form.querySelectorAll("audio")].map(player => player.getAttribute("src")).join();
const kept = JSON.parse(localStorage.getItem(test) ?? "{{}}");
for (const [clip, value] of Object.entries(kept)) form.elements[clip].value = value;
form.addEventListener("change", () => localStorage.setItem(test, JSON.stringify(rated())));
</script>"""


def opinion_scores(
    key: Mapping[str, Mapping[str, str]], listeners: Sequence[Mapping[str, int]]
) -> dict[str, OpinionScore]:
    """MOS of each system, best first, from the ratings {blind name: 1 to 5} of each listener.

    The interval is Student's t over ratings, which are taken as independent. Raises InputError for clips that the key
    does not know and ratings out of range.
    """
    ratings: dict[str, list[int]] = {}
    for listener in listeners:
        for blind, value in listener.items():
            if blind not in key:
                raise InputError(f"a rating of {blind}, which is not in this test")
            if value not in RATINGS:
                raise InputError(f"a rating of {value!r}, expected 1 to 5")
            ratings.setdefault(key[blind]["system"], []).append(value)
    scores = {system: opinion_score(values) for system, values in ratings.items()}
    return dict(sorted(scores.items(), key=lambda entry: -entry[1].mos))


def opinion_score(ratings: Sequence[int]) -> OpinionScore:
    """Mean and 95 % interval of one system's ratings."""
    from scipy.stats import t

    n, mos = len(ratings), float(np.mean(ratings))
    if n < 2:
        return OpinionScore(mos, None, None, n)
    half = float(t.ppf(0.975, n - 1) * np.std(ratings, ddof=1) / np.sqrt(n))
    return OpinionScore(mos, max(mos - half, min(RATINGS)), min(mos + half, max(RATINGS)), n)
