from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsmad_cli.symbolic.caption import INSTRUMENTS, caption, instruments_in_words
from hsmad_cli.symbolic.notes import NoteTable, Score


def scale(program: int = 0, is_drum: bool = False, note_s: float = 0.5) -> NoteTable:
    """C major up and down, twice, on every half second."""
    pitch = np.tile([60, 62, 64, 65, 67, 69, 71, 72, 71, 69, 67, 65, 64, 62, 60, 60], 2)
    onset_s = np.arange(len(pitch)) * 0.5
    same = np.ones(len(pitch))
    return NoteTable(onset_s, onset_s + note_s, pitch, 80 * same, program * same, is_drum * same, 0 * same)


def together(*tables: NoteTable) -> NoteTable:
    columns = zip(*(table.columns().values() for table in tables), strict=True)
    return NoteTable(*(np.concatenate(column) for column in columns)).sorted()


def test_every_program_has_a_name() -> None:
    assert len(INSTRUMENTS) == 128


def test_a_caption_says_what_is_known() -> None:
    notes = together(scale(32), scale(0, note_s=0.4), scale(0, is_drum=True))
    score = Score(notes, tempo_bpm=np.array([120.0]), beats_s=np.arange(0, 16, 0.5))
    assert caption(score, "jazz") == "jazz, double bass, piano and drums, fast, C major"
    assert caption(replace(score, beats_s=np.zeros(0))) == "double bass, piano and drums, C major"
    assert caption(Score(NoteTable.empty())) == ""


@pytest.mark.parametrize(
    ("bpm", "word"), [(50, "very slow"), (70, "slow"), (100, "moderate tempo"), (180, "very fast")]
)
def test_tempo_words(bpm: float, word: str) -> None:
    score = Score(scale(), np.array([0.0, 1.0]), np.array([130.0, bpm]), beats_s=np.arange(0, 16, 0.5))
    assert caption(score) == f"solo piano, {word}, C major"


def test_instruments_are_named_once_and_in_order_of_weight() -> None:
    assert instruments_in_words(together(scale(40, note_s=0.1), scale(0), scale(1))) == "piano and violin"
    assert instruments_in_words(scale(0, is_drum=True)) == "solo drums"
    orchestra = together(*(scale(program, note_s=1 - program / 128) for program in (0, 16, 32, 40, 56, 64, 72, 80)))
    assert instruments_in_words(orchestra) == ("piano, organ, double bass, violin, trumpet and soprano saxophone")
