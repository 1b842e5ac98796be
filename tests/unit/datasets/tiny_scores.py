"""A score of twelve seconds for the tests of this folder."""

from __future__ import annotations

import numpy as np

from hsmad_cli.symbolic.notes import NoteTable, Score


def make_score(seed: int = 0, seconds: float = 12.0, with_drums: bool = True) -> Score:
    """Piano chords, a bass line, a flute and drums, typeset: on the grid, one velocity."""
    generator = np.random.default_rng(seed)
    rows = []
    for beat in np.arange(0.0, seconds, 0.5).tolist():
        root = int(generator.choice([0, 5, 7]))
        rows += [(beat, 0.5, 60 + root + step, 80, 0, False, 0) for step in (0, 4, 7)]
        rows.append((beat, 0.45, 36 + root, 80, 33, False, 1))
        rows.append((beat + 0.25, 0.2, int(generator.integers(74, 86)), 80, 73, False, 2))
        if with_drums:
            rows.append((beat, 0.1, 36 if beat % 1 == 0 else 38, 80, 0, True, 3))
    onset_s, length, pitch, velocity, program, is_drum, part = (np.array(c) for c in zip(*rows, strict=True))
    notes = NoteTable(onset_s, onset_s + length, pitch, velocity, program, is_drum, part).sorted()
    return Score(notes, beats_s=np.arange(0.0, seconds, 0.5), chords=((0.0, 2.0, "C:maj"), (2.0, seconds, "Eb:min7")))
