"""The tables of style: how often a scorer names a sound rightly, beside how well its notes are played."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from hsmad_cli.config import SampleConfig
from hsmad_cli.evaluation.benchmark import (
    AUDIBLE_F1,
    GENERATED,
    REFERENCE,
    Clip,
    Hearing,
    Row,
    Setting,
    summarise_clips,
)
from hsmad_cli.evaluation.linear_classifier import LinearClassifier
from hsmad_cli.evaluation.statistics import Interval, mean_interval, ratio_interval

TOP = (1, 5)
ALL = "all"
RATIO = f"{GENERATED}/{REFERENCE}"


@dataclass(frozen=True, eq=False)
class PromptedClip(Clip):
    """A clip that is asked for in words (None: by the caption of its score). kind: its label; audio: its reference
    (None: a plain rendering)."""

    prompt: str | None = None
    audio: np.ndarray | None = None


@dataclass(frozen=True)
class Ear:
    """Names sounds [2, samples] at 44.1 kHz by a classifier of their embeddings [D]."""

    embed: Callable[[np.ndarray], np.ndarray]
    classifier: LinearClassifier

    def verdict(self, sounds: Mapping[str, np.ndarray], label: str) -> Row:
        """By role, the rank of the right label, and the label that is heard."""
        heard = {role: self.embed(audio) for role, audio in sounds.items()}
        return {
            "rank": {role: self.classifier.rank(embedding, label) for role, embedding in heard.items()},
            "named": {role: self.classifier.name(embedding) for role, embedding in heard.items()},
        }


@dataclass
class Listener:
    """Says what an ear (None: nobody) makes of every sound. To be told of each `Hearing`."""

    ear: Ear | None
    verdicts: dict[tuple[str, str, Setting], Row] = field(default_factory=dict)

    def __call__(self, hearing: Hearing) -> None:
        clip = hearing.clip
        prompt = {"prompt": (isinstance(clip, PromptedClip) and clip.prompt) or ""}
        named = self.ear.verdict(hearing.sounds, clip.kind) if self.ear else {}
        self.verdicts[clip.name, clip.kind, hearing.setting] = prompt | named

    def with_verdict(self, row: Row) -> Row:
        """A row of the benchmark with the prompt and the verdict of the ear."""
        setting = row["setting"] and SampleConfig(**row["setting"])
        return row | self.verdicts[row["clip"], row["set"], setting]


def summarise_styles(
    rows: Iterable[Row],
    n_labels: int,
    unknown_words: Callable[[str], Sequence[str]],
    min_reference_f1: float = AUDIBLE_F1,
) -> list[Row]:
    """The table: a row for each label and setting, then one of all labels for each setting, with 95 % intervals.

    Names, where an ear gave any, count for all clips, notes where the judge hears enough of the reference. The rows of
    all labels also have `onset_f1_ratio_of_labels`: generated / reference of each label, their mean, and the worst.
    """
    rows = list(rows)
    labels = [_named(row, rows, unknown_words) for row in summarise_clips(rows, min_reference_f1)]
    everything = [row | {"set": ALL, "judge": ALL} for row in rows]
    totals = [_named(row, everything, unknown_words) for row in summarise_clips(everything, min_reference_f1)]
    return [
        *labels,
        *(
            row | _over_labels([each for each in labels if each["setting"] == row["setting"]], n_labels)
            for row in totals
        ),
    ]


def _named(row: Row, rows: Sequence[Row], unknown_words: Callable[[str], Sequence[str]]) -> Row:
    """A row of the table with its prompts and, if they were named, how often the right label is among the first."""
    mine = [each for each in rows if all(each[key] == row[key] for key in ("set", "judge", "setting"))]
    unknown = {word for each in mine for word in unknown_words(each["prompt"])}
    asked = {"prompts": sorted({each["prompt"] for each in mine}), "unknown_words": sorted(unknown)}
    return row | _hits([each["rank"] for each in mine if "rank" in each]) | asked


def _hits(ranks: Sequence[dict[str, int]]) -> Row:
    """How often the right label is among the first, from its ranks by role."""
    found: Row = {"n_named": len(ranks)}
    for top in TOP if ranks else ():
        hits = {role: [float(each[role] <= top) for each in ranks] for role in ranks[0]}
        found[f"top{top}"] = {role: _interval(mean_interval(values)) for role, values in hits.items()}
        if GENERATED in hits:
            found[f"top{top}_ratio"] = {RATIO: _interval(ratio_interval(hits[GENERATED], hits[REFERENCE]))}
    return found


def _over_labels(labels: Sequence[Row], n_labels: int) -> Row:
    ratios = {row["set"]: row["onset_f1_ratio"].get(RATIO) for row in labels}
    audible = {label: ratio["value"] for label, ratio in ratios.items() if ratio is not None}
    worst = min(audible, key=audible.__getitem__, default=None)
    return {
        "chance": 1 / n_labels,
        "onset_f1_ratio_of_labels": {
            "n": len(audible),
            "mean": float(np.mean(list(audible.values()))) if audible else None,
            "worst": audible[worst] if worst is not None else None,
            "worst_label": worst,
        },
    }


def _interval(interval: Interval | None) -> Row | None:
    return None if interval is None else asdict(interval)
