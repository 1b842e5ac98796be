"""Clips of a bank as files that people and other programs open: a sound, its score, what is said of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hsmad_cli.datasets.memory import AUDIO, ClipBank
from hsmad_cli.datasets.sheets import NOTE_DTYPES
from hsmad_cli.files.audio import write_audio
from hsmad_cli.files.midi import write_midi
from hsmad_cli.files.publish import write_bytes
from hsmad_cli.symbolic.notes import NoteTable, Score


def export_clips(bank: ClipBank, folder: Path, n_clips: int) -> None:
    """Write the first clips of a bank into a folder: 0000.wav, 0000.mid and 0000.txt (one caption a line), and so on.

    Raises OutputError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for clip in range(min(n_clips, len(bank))):
        stem = folder / f"{clip:04d}"
        audio = bank.columns[AUDIO][extent(bank, AUDIO, clip)].numpy()
        write_audio(stem.with_suffix(".wav"), audio.T.astype(np.float32) / 32768, bank.rates.sample_rate)
        write_midi(Score(notes_of(bank, clip)), stem.with_suffix(".mid"))
        write_bytes(stem.with_suffix(".txt"), "".join(f"{text}\n" for text in bank.captions[clip]).encode())


def notes_of(bank: ClipBank, clip: int) -> NoteTable:
    """What is heard in a clip."""
    span = extent(bank, "note", clip)
    return NoteTable(**{name: bank.columns[f"note_{name}"][span].numpy() for name in NOTE_DTYPES})


def extent(bank: ClipBank, group: str, clip: int) -> slice:
    """Where a clip lies in the columns of a group."""
    first = int(bank.first[group][clip])
    return slice(first, first + int(bank.counts[group][clip]))
