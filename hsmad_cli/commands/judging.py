"""What the verbs that listen share: who judges, where, and how results are printed."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

JudgeName = Literal["auto", "transkun", "basic-pitch", "librosa-onset", "piano-transcription", "mt3"]
Judge = Annotated[
    JudgeName,
    typer.Option("--judge", help="Who listens; auto: Transkun for pianos, Basic Pitch with others, onsets for drums."),
]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Pieces judged at once.")]


def judge_device(device: str) -> str:
    """Where a judge runs: on the chosen device, except that Transkun does not know mps."""
    from hsmad_cli.pipeline import choose_device

    chosen = choose_device(device).type
    return "cpu" if chosen == "mps" else chosen


def number(value: float | None, decimals: int = 3) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


def interval(values: dict[str, float] | None) -> str:
    """An estimate with its confidence interval."""
    return f"{values['value']:.3f} [{values['low']:.3f}, {values['high']:.3f}]" if values else "-"
