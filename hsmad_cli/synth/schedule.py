"""From a note table to what a synthesizer is told, block by block."""

from __future__ import annotations

import numpy as np

from hsmad_cli.symbolic.notes import NoteTable

NOTE_OFF, NOTE_ON = 0, 1


def channels(notes: NoteTable) -> tuple[np.ndarray, np.ndarray]:
    """One channel for every (part, program, is_drum).

    Returns channel_of_note [N] and voices [n_channels, 3], the (part, program, is_drum) of each channel.
    """
    voices = np.stack([notes.part, notes.program, notes.is_drum], axis=1).astype(np.int64)
    voices, channel = np.unique(voices, axis=0, return_inverse=True)
    return channel.reshape(-1), voices


def playable(notes: NoteTable) -> NoteTable:
    """The notes as an instrument can play them: one strike of a key at a time.

    A note that still sounds when its key is struck again in the same channel ends there. Of strikes at the same time
    the loudest stays, with the longest offset.
    """
    if not len(notes):
        return notes
    channel, _ = channels(notes)
    order = np.lexsort((-notes.velocity, notes.onset_s, notes.pitch, channel))
    notes, channel = notes.select(order), channel[order]
    key = channel * 128 + notes.pitch
    first = np.ones(len(notes), bool)
    first[1:] = (np.diff(key) != 0) | (np.diff(notes.onset_s) > 0)
    starts = np.flatnonzero(first)
    offset_s = np.maximum.reduceat(notes.offset_s, starts)
    notes, key = notes.select(starts), key[starts]
    again = key[1:] == key[:-1]
    offset_s[:-1] = np.where(again, np.minimum(offset_s[:-1], notes.onset_s[1:]), offset_s[:-1])
    return notes.with_columns(offset_s=offset_s).sorted()


def events(notes: NoteTable, channel: np.ndarray, block_rate: float) -> list[tuple[int, int, int, int, int]]:
    """(block, NOTE_OFF or NOTE_ON, channel, pitch, velocity) in order of time; offs come before ons in a block.

    Times are rounded to the nearest block; a note lasts at least one.
    """
    on = np.maximum(np.rint(notes.onset_s * block_rate).astype(np.int64), 0)
    off = np.maximum(np.rint(notes.offset_s * block_rate).astype(np.int64), on + 1)
    kind = np.repeat([NOTE_ON, NOTE_OFF], len(notes))
    block = np.concatenate([on, off])
    both = [np.tile(column, 2) for column in (channel, notes.pitch, notes.velocity)]
    order = np.lexsort((both[1], both[0], kind, block))
    return list(zip(*(column[order].tolist() for column in (block, kind, *both)), strict=True))
