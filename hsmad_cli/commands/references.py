"""The reference of a score: its rendering by a soundfont, which a process loads once."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from hsmad_cli.symbolic.notes import NoteTable
    from hsmad_cli.synth.engine import Synthesizer


def render_reference(soundfont: Path | None, notes: NoteTable, seconds: float) -> np.ndarray:
    """The notes as played by the soundfont (None: an installed one), float32 [2, samples] at 44.1 kHz."""
    return load_synthesizer(soundfont).render(notes, seconds)


@lru_cache(maxsize=1)
def load_synthesizer(soundfont: Path | None) -> Synthesizer:
    """FluidSynth with that soundfont. Raises InputError for a file that is none."""
    from hsmad_cli.synth.engine import Synthesizer

    return Synthesizer(soundfont)
