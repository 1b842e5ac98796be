"""One strike of a key at a time, and events in the order an instrument needs."""

from __future__ import annotations

import numpy as np

from hsmad_cli.symbolic.notes import NoteTable
from hsmad_cli.synth.schedule import NOTE_OFF, NOTE_ON, channels, events, playable


def table(rows: list[tuple[float, float, int, int, int]]) -> NoteTable:
    onset_s, offset_s, pitch, velocity, part = (np.array(column) for column in zip(*rows, strict=True))
    n = len(rows)
    return NoteTable(onset_s, offset_s, pitch, velocity, np.zeros(n), np.zeros(n, bool), part)


def test_a_note_ends_where_its_key_is_struck_again() -> None:
    notes = playable(table([(0.0, 2.0, 60, 80, 0), (1.0, 1.5, 60, 90, 0), (0.5, 3.0, 60, 70, 1)]))
    assert notes.onset_s.tolist() == [0.0, 0.5, 1.0]
    assert notes.offset_s.tolist() == [1.0, 3.0, 1.5]


def test_of_equal_strikes_the_loudest_stays_with_the_longest_end() -> None:
    notes = playable(table([(0.0, 2.0, 60, 80, 0), (0.0, 1.5, 60, 90, 0)]))
    assert (len(notes), notes.velocity[0], notes.offset_s[0]) == (1, 90, 2.0)


def test_playable_is_idempotent() -> None:
    generator = np.random.default_rng(0)
    onset_s = generator.uniform(0, 5, 200).round(1)
    length = generator.uniform(0.1, 2, 200)
    notes = playable(
        table(list(zip(onset_s, onset_s + length, generator.integers(60, 64, 200), [80] * 200, [0] * 200, strict=True)))
    )
    again = playable(notes)
    for name, column in notes.columns().items():
        np.testing.assert_array_equal(column, getattr(again, name))


def test_ends_come_before_beginnings_in_a_block_and_a_note_lasts_at_least_one() -> None:
    notes = table([(0.0, 1.0, 60, 80, 0), (1.0, 1.001, 60, 90, 0)])
    channel, voices = channels(notes)
    assert voices.tolist() == [[0, 0, 0]]
    assert events(notes, channel, 100.0) == [
        (0, NOTE_ON, 0, 60, 80),
        (100, NOTE_OFF, 0, 60, 80),
        (100, NOTE_ON, 0, 60, 90),
        (101, NOTE_OFF, 0, 60, 90),
    ]
