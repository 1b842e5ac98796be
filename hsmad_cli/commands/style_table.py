"""The table of `hsmad style-benchmark` as Markdown."""

from __future__ import annotations

from hsmad_cli.commands import judging
from hsmad_cli.commands.benchmark_table import Cell, mean, setting

RATIO = "generated/reference"


def _ratio(key: str) -> Cell:
    return lambda row: judging.interval(row.get(key, {}).get(RATIO))


def _of_labels(key: str) -> Cell:
    return lambda row: judging.number(row.get("onset_f1_ratio_of_labels", {}).get(key))


COLUMNS: dict[str, Cell] = {
    "label": lambda row: row["set"],
    "cfg": setting("guidance"),
    "wh": setting("w_h"),
    "ws": setting("w_s"),
    "steps": setting("steps"),
    "temperature": setting("temperature"),
    "rescale": setting("rescale"),
    "wa": setting("w_a"),
    "n": lambda row: str(row["n_named"] or "-"),
    "reference, top 1": mean("top1", "reference"),
    "reference, top 5": mean("top5", "reference"),
    "codec, top 1": mean("top1", "codec"),
    "generated, top 1": lambda row: judging.interval(row.get("top1", {}).get("generated")),
    "generated, top 5": mean("top5", "generated"),
    "top 1, generated / reference": _ratio("top1_ratio"),
    "n, notes": lambda row: str(row["n"]),
    "reference, F1": mean("onset_f1", "reference"),
    "codec, F1": mean("onset_f1", "codec"),
    "generated, F1": mean("onset_f1", "generated"),
    "F1, generated / reference": _ratio("onset_f1_ratio"),
    "mean of labels": _of_labels("mean"),
    "worst label": _of_labels("worst"),
    "unseen words": lambda row: ", ".join(row["unknown_words"]),
}
