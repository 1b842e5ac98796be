"""Evaluation of pieces with a judge whose ears are known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hsmad_cli.evaluation import evaluate as module
from hsmad_cli.evaluation.evaluate import Piece, evaluate, evaluate_many
from hsmad_cli.evaluation.note_scores import HeardNotes
from hsmad_cli.symbolic.notes import NoteTable

N = 20
SCORE = NoteTable(
    np.arange(N), np.arange(N) + 0.5, np.full(N, 60), np.arange(N) + 40, np.full(N, 40), np.zeros(N), np.zeros(N)
)


class Ear:
    """Hears the score; the first sample of the audio is the delay in seconds, the second the share of notes missed."""

    name = "basic-pitch"

    def transcribe(self, audio: np.ndarray) -> HeardNotes:
        delay_s, missed = float(audio[0, 0]), float(audio[0, 1])
        kept = np.arange(N) >= missed * N
        rows = np.stack([np.arange(N) + delay_s, np.arange(N) + 0.5 + delay_s, np.full(N, 60)], axis=1)
        return HeardNotes.from_rows(rows[kept], velocity=False)


@pytest.fixture(autouse=True)
def ear(monkeypatch):
    monkeypatch.setattr(module, "load_judge", lambda name, device: Ear())


def sound(delay_s: float = 0.0, missed: float = 0.0) -> np.ndarray:
    return np.array([[delay_s, missed], [0, 0]], np.float32)


def test_a_piece_is_scored_beside_its_ceilings():
    row = evaluate(Piece("song", sound(0.02, 0.5), SCORE, reference=sound(0.005), codec=sound(0.01, 0.25)))
    assert row.judge == "basic-pitch"
    assert row.generated.onset.f1 == pytest.approx(2 / 3)
    assert row.ceilings["codec"].onset.f1 == pytest.approx(6 / 7)
    report = json.loads(json.dumps(row.to_json(), allow_nan=False))
    assert report["versus"]["reference"]["onset_f1_ratio"] == pytest.approx(2 / 3)
    assert report["versus"]["reference"]["bias_ms_difference"] == pytest.approx(15, abs=1e-4)
    assert report["versus"]["codec"]["onset_f1_ratio"] == pytest.approx(7 / 9)
    assert report["versus"]["codec"]["paired"]["n"] == N / 2
    assert report["versus"]["codec"]["paired"]["bias_ms"] == pytest.approx(10, abs=1e-4)
    assert report["generated"]["velocity_correlation"] is None
    assert len(report["generated"]["missed"]) == report["generated"]["n_missed"] == N / 2


def test_a_ceiling_heard_before_needs_no_listening():
    heard = Ear().transcribe(sound(0.005))
    first = evaluate(Piece("song", sound(0.02), SCORE, reference=heard))
    second = evaluate(Piece("song", sound(0.02), SCORE, reference=sound(0.005)))
    assert first.to_json() == second.to_json()


def test_an_excerpt_asks_for_its_own_notes():
    row = evaluate(Piece("song", sound(), SCORE, start_s=5.0, end_s=15.0))
    assert row.generated.n_reference == 10


def test_the_summary_takes_means_and_ratios_of_means():
    pieces = [Piece(str(share), sound(missed=share), SCORE, reference=sound(missed=0.25)) for share in (0, 0.25, 0.5)]
    rows, summary = evaluate_many(pieces, workers=2)
    assert [row.name for row in rows] == ["0", "0.25", "0.5"]
    f1 = (1 + 6 / 7 + 2 / 3) / 3
    assert summary["basic-pitch"]["onset_f1"]["value"] == pytest.approx(f1)
    assert summary["basic-pitch"]["versus"]["reference"]["onset_f1_ratio"]["value"] == pytest.approx(f1 / (6 / 7))
    assert summary["basic-pitch"]["versus"]["reference"]["paired"]["n"] == 15 + 15 + 10
    assert json.dumps(summary, allow_nan=False)


def test_pieces_whose_reference_is_unclear_are_left_out_and_counted():
    pieces = [Piece(str(share), sound(), SCORE, reference=sound(missed=share)) for share in (0, 0.9)]
    _, summary = evaluate_many(pieces, min_reference_f1=0.4)
    assert (summary["basic-pitch"]["n"], summary["basic-pitch"]["n_left_out"]) == (1, 1)


def test_few_pieces_are_held_at_a_time():
    held = 0

    def pieces():
        nonlocal held
        for index in range(10):
            held = max(held, index - finished)
            yield Piece(str(index), sound(), SCORE)

    finished = 0

    def done(row):
        nonlocal finished
        finished += 1

    evaluate_many(pieces(), workers=2, done=done)
    assert finished == 10
    assert held <= 3
