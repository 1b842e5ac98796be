"""What every engine can do, and the engines by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np

from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.symbolic.notes import NoteTable
from hsmad_cli.synth.engine import Mix, Room, Synthesizer
from hsmad_cli.synth.latency import LatencyTable
from hsmad_cli.synth.tiny import TinySynthesizer

EngineName = Literal["fluidsynth", "tinysoundfont"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)


class Engine(Protocol):
    """Plays scores with one soundfont; the same arguments give the same samples."""

    soundfont: Path
    sample_rate: int

    def render(
        self, notes: NoteTable, duration_s: float, mix: Mapping[int, Mix] | None = None, room: Room = ...
    ) -> np.ndarray:
        """The sound of `notes`, float32 [2, round(duration_s * sample_rate)], peak at most -1 dBFS."""
        ...


def build_engine(
    name: EngineName,
    soundfont: str | Path | None = None,
    sample_rate: int = SAMPLE_RATE,
    latency: LatencyTable | Literal["shipped"] | None = "shipped",
) -> Engine:
    """The engine of this name, with a soundfont loaded. Raises ConfigError with the cure if it is not installed."""
    if name == "tinysoundfont":
        return TinySynthesizer(soundfont, sample_rate, latency=latency)
    return Synthesizer(soundfont, sample_rate, latency=latency)
