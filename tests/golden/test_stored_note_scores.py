"""Note scores of a stored transcription, as mir_eval computed them once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hsmad_cli.evaluation.note_scores import HeardNotes, score_notes

GOLDEN = json.loads((Path(__file__).parent / "note_scores.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", GOLDEN["expected"])
def test_the_rates_are_the_stored_ones(kind: str) -> None:
    scores = score_notes(HeardNotes.from_rows(GOLDEN["written"]), HeardNotes.from_rows(GOLDEN["heard"]))
    rate = getattr(scores, kind)
    assert 0.2 < rate.f1 < 0.9
    assert (rate.precision, rate.recall, rate.f1) == pytest.approx(GOLDEN["expected"][kind])
