"""The table of `hsmad benchmark` as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hsmad_cli.commands import judging

Row = dict[str, Any]
Cell = Callable[[Row], str]
RATIOS = ("codec/reference", "generated/codec", "generated/reference")


def markdown_table(rows: Sequence[Row], columns: Mapping[str, Cell] | None = None) -> str:
    """One line a row, by default with the columns of `hsmad benchmark`; those that say nothing are left out."""
    cells = {heading: [cell(row) for row in rows] for heading, cell in (columns or _COLUMNS).items()}
    used = {heading: column for heading, column in cells.items() if any(each not in ("", "-") for each in column)}
    lines = [list(used), ["---"] * len(used), *(list(line) for line in zip(*used.values(), strict=True))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def mean(key: str, role: str, decimals: int = 3) -> Cell:
    def cell(row: Row) -> str:
        found = row.get(key, {}).get(role)
        return judging.number(found and found["value"], decimals)

    return cell


def interval(key: str, role: str) -> Cell:
    return lambda row: judging.interval(row[key].get(role))


def setting(name: str) -> Cell:
    def cell(row: Row) -> str:
        if row["setting"] is None:
            return "-"
        value = row["setting"][name]
        return value if isinstance(value, str) else f"{value:g}"

    return cell


def _clipped(row: Row) -> str:
    return str(row["clipped_samples"].get("generated", row["clipped_samples"]["codec"]))


def _speed(row: Row) -> str:
    return f"{row['seconds'] / row['compute_s']:.1f}" if row["compute_s"] else "-"


_COLUMNS: dict[str, Cell] = {
    "set": lambda row: row["set"],
    "shift": lambda row: row["shift"],
    "judge": lambda row: row["judge"],
    "cfg": setting("guidance"),
    "wh": setting("w_h"),
    "ws": setting("w_s"),
    "steps": setting("steps"),
    "temperature": setting("temperature"),
    "rescale": setting("rescale"),
    "wa": setting("w_a"),
    "n": lambda row: str(row["n"]),
    "left out": lambda row: str(row["n_left_out"]),
    "reference": mean("onset_f1", "reference"),
    "codec": mean("onset_f1", "codec"),
    "generated": mean("onset_f1", "generated"),
    **{ratio.replace("/", " / "): interval("onset_f1_ratio", ratio) for ratio in RATIOS},
    "perfect, old notes": mean("old_onset_f1", "reference"),
    "generated, old notes": mean("old_onset_f1", "generated"),
    "reference, with offset": mean("onset_offset_f1", "reference"),
    "codec, with offset": mean("onset_offset_f1", "codec"),
    "generated, with offset": mean("onset_offset_f1", "generated"),
    "error, ms": mean("median_absolute_ms_minus_reference", "generated", 1),
    "bias, ms": mean("bias_ms_minus_reference", "generated", 1),
    "reference, velocity r": mean("velocity_correlation", "reference"),
    "codec, velocity r": mean("velocity_correlation", "codec"),
    "generated, velocity r": mean("velocity_correlation", "generated"),
    "clipped": _clipped,
    "x real time": _speed,
}
