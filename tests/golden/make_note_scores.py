"""Regenerates note_scores.json: 40 notes, what a careless judge made of them, and their scores by mir_eval.

python tests/golden/make_note_scores.py
"""

from __future__ import annotations

import json
from pathlib import Path

import mir_eval
import numpy as np

TARGET = Path(__file__).with_suffix("").parent / "note_scores.json"


def make() -> dict[str, object]:
    generator = np.random.default_rng(2026)
    onset_s = np.arange(40) * 0.25
    written = np.stack([onset_s, onset_s + 0.4, generator.integers(55, 65, 40), generator.integers(20, 120, 40)], 1)
    heard = written + generator.normal(0, [0.03, 0.08, 0, 12], (40, 4))
    heard = heard[generator.random(40) < 0.85]
    heard[::7, 2] += 1
    written, heard = written.round(3), heard.round(3)
    heard[:, 3] = heard[:, 3].clip(1, 127)
    return {"written": written.tolist(), "heard": heard.tolist(), "expected": expected(written, heard)}


def expected(written: np.ndarray, heard: np.ndarray) -> dict[str, list[float]]:
    """Precision, recall and F1 of each kind, by mir_eval."""
    sides = [(notes[:, :2], mir_eval.util.midi_to_hz(notes[:, 2])) for notes in (written, heard)]
    plain = (*sides[0], *sides[1])
    loud = (*sides[0], written[:, 3], *sides[1], heard[:, 3])
    note, velocity = mir_eval.transcription, mir_eval.transcription_velocity
    return {
        "onset": list(note.precision_recall_f1_overlap(*plain, offset_ratio=None)[:3]),
        "onset_offset": list(note.precision_recall_f1_overlap(*plain)[:3]),
        "onset_velocity": list(velocity.precision_recall_f1_overlap(*loud, offset_ratio=None)[:3]),
        "onset_offset_velocity": list(velocity.precision_recall_f1_overlap(*loud)[:3]),
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(make(), indent=1) + "\n", encoding="utf-8")
