"""The score as hsmad sees it: a table of notes, and what surrounds them.

A `NoteTable` is what is *heard*: sustain pedal already lengthens its offsets. A `Score` adds tempo, pedal, beats and
the ledger that accounts for every note that was read.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import ClassVar

import numpy as np

LOWEST_PITCH = 21
HIGHEST_PITCH = 108
N_PITCHES = HIGHEST_PITCH - LOWEST_PITCH + 1
N_FAMILIES = 16
TAIL_S = 2.0
DRUM_LENGTH_S = 0.1

GM_FAMILIES = (
    "piano", "chromatic percussion", "organ", "guitar", "bass", "strings", "ensemble", "brass",
    "reed", "pipe", "synth lead", "synth pad", "synth effects", "ethnic", "percussive", "sound effects",
)  # fmt: skip


@dataclass(frozen=True)
class NoteTable:
    """Notes in order of (onset, part, pitch); all arrays have length N.

    onset_s, offset_s: float64 seconds, offset > onset. pitch: int16 MIDI number (for drums the GM percussion key).
    velocity: int16, 1 to 127. program: int16, 0 to 127 (for drums the kit's program). is_drum: bool.
    part: int16, index of the part (track) that plays the note; every part has its own synth channel.
    """

    onset_s: np.ndarray
    offset_s: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray
    program: np.ndarray
    is_drum: np.ndarray
    part: np.ndarray

    DTYPES: ClassVar = {
        "onset_s": np.float64, "offset_s": np.float64, "pitch": np.int16, "velocity": np.int16,
        "program": np.int16, "is_drum": np.bool_, "part": np.int16,
    }  # fmt: skip

    def __post_init__(self) -> None:
        lengths = {f.name: len(getattr(self, f.name)) for f in fields(self)}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of a note table differ in length: {lengths}")
        for name, dtype in self.DTYPES.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype))

    def __len__(self) -> int:
        return len(self.onset_s)

    @classmethod
    def empty(cls) -> NoteTable:
        return cls(**{name: np.zeros(0, dtype) for name, dtype in cls.DTYPES.items()})

    def columns(self) -> dict[str, np.ndarray]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def select(self, index: np.ndarray) -> NoteTable:
        """The notes of a boolean mask or an index array, in that order."""
        return NoteTable(**{name: column[index] for name, column in self.columns().items()})

    def sorted(self) -> NoteTable:
        return self.select(np.lexsort((self.pitch, self.part, self.onset_s)))

    def with_columns(self, **columns: np.ndarray) -> NoteTable:
        return replace(self, **columns)

    @property
    def end_s(self) -> float:
        return float(self.offset_s.max(initial=0.0))


@dataclass(frozen=True)
class Ledger:
    """What became of every note that was read: read = rendered + repaired + dropped.

    `repaired` and `dropped` count by reason, e.g. {"pitch outside 21..108": 3}.
    """

    read: int = 0
    rendered: int = 0
    repaired: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)

    def balances(self) -> bool:
        return self.read == self.rendered + sum(self.repaired.values()) + sum(self.dropped.values())


@dataclass(frozen=True)
class Score:
    """A score: the notes that sound, and the curves that targets and features come from.

    tempo_s [K], tempo_bpm [K]: tempo from each time on (tempo_s[0] == 0). pedal_s [P], pedal_value [P]: sustain pedal
    as a step function, 0 to 1 (the maximum over parts). beats_s [B]: beat times. chords: annotated (start_s, end_s,
    label) or empty. Time 0 of the score is sample 0 of the audio.
    """

    notes: NoteTable
    tempo_s: np.ndarray = field(default_factory=lambda: np.zeros(1))
    tempo_bpm: np.ndarray = field(default_factory=lambda: np.full(1, 120.0))
    pedal_s: np.ndarray = field(default_factory=lambda: np.zeros(0))
    pedal_value: np.ndarray = field(default_factory=lambda: np.zeros(0))
    beats_s: np.ndarray = field(default_factory=lambda: np.zeros(0))
    chords: tuple[tuple[float, float, str], ...] = ()
    ledger: Ledger = field(default_factory=Ledger)
    title: str = ""

    @property
    def duration_s(self) -> float:
        """Length of the audio: the last offset and a tail in which it dies away."""
        return self.notes.end_s + TAIL_S
