"""How long after a note-on a sound begins: measured once per soundfont, undone in every rendering.

Samples have silent heads, and a sample that is transposed down has a longer one, so the latency is a table over
program and pitch. A sound begins where its amplitude first reaches a tenth of its peak within 100 ms. Where the attack
is slow nobody agrees on the moment; there only the silent head counts, which ends at a hundredth of the peak.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np

from hsmad_cli.errors import InputError
from hsmad_cli.symbolic.notes import HIGHEST_PITCH, LOWEST_PITCH, N_PITCHES, NoteTable

FOLDER = "latencies"
WINDOW_S = 0.1
N_PROGRAMS = 128
VELOCITIES = (50, 100)
ONSET, HEAD, RISEN = 0.1, 0.01, 0.25
SLOW_RISE_MS, SPREAD_MS = 5.0, 3.0
_SILENT = 1e-5

Render = Callable[[NoteTable, float], np.ndarray]


@dataclass(frozen=True)
class LatencyTable:
    """Latencies of one soundfont in ms, over the pitches 21 to 108.

    programs: [128, 88]. kits: [88] by the kit's program. slow_programs, slow_keys (by kit): where only the silent head
    is corrected, since the attack is slow (from 10 to 25 % of its peak in more than 5 ms), or its beginning differs
    between velocities by more than 3 ms.
    """

    soundfont: str
    sha256: str
    programs: np.ndarray
    kits: Mapping[int, np.ndarray] = field(default_factory=dict)
    slow_programs: tuple[int, ...] = ()
    slow_keys: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    def seconds(self, program: int, is_drum: bool, pitch: np.ndarray) -> np.ndarray:
        """Latency of each pitch in seconds; those outside 21 to 108 have that of the nearest, unknown kits none."""
        row = self.kits.get(program, np.zeros(N_PITCHES)) if is_drum else self.programs[program]
        return row[np.clip(pitch, LOWEST_PITCH, HIGHEST_PITCH) - LOWEST_PITCH] / 1000

    def to_json(self) -> str:
        """One line for each program and kit."""
        rows = [_row(row) for row in self.programs]
        kits = [f'"{kit}": {_row(row)}' for kit, row in self.kits.items()]
        return (
            f'{{"soundfont": {json.dumps(self.soundfont)}, "sha256": "{self.sha256}", "lowest_pitch": {LOWEST_PITCH},\n'
            f'"slow_programs": {json.dumps(self.slow_programs)},\n'
            f'"slow_keys": {json.dumps({str(kit): keys for kit, keys in self.slow_keys.items()})},\n'
            f'"programs_ms": [\n{_lines(rows)}\n],\n"kits_ms": {{\n{_lines(kits)}\n}}}}\n'
        )

    @classmethod
    def from_json(cls, text: str) -> LatencyTable:
        """Raises InputError if the text is no table of latencies."""
        try:
            row = json.loads(text)
            table = cls(
                row["soundfont"], row["sha256"], np.array(row["programs_ms"], np.float64),
                {int(kit): np.array(values, np.float64) for kit, values in row["kits_ms"].items()},
                tuple(row["slow_programs"]), {int(kit): tuple(keys) for kit, keys in row["slow_keys"].items()},
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise InputError(f"no table of latencies: {error}") from error
        if table.programs.shape != (N_PROGRAMS, N_PITCHES) or any(
            row.shape != (N_PITCHES,) for row in table.kits.values()
        ):
            raise InputError(f"a table of latencies is {N_PROGRAMS} x {N_PITCHES}, this one is {table.programs.shape}")
        return table


def strike_early(
    notes: NoteTable, table: LatencyTable | None, nearest: Callable[[int, bool], int], step_s: float
) -> tuple[NoteTable, float]:
    """The notes, struck early by the latency of their sounds, and the seconds of audio to cut before time 0.

    nearest(program, is_drum): the program that plays in its place. step_s: the cut is a multiple of it.
    """
    if table is None or not len(notes):
        return notes, 0.0
    latency_s = np.zeros(len(notes))
    for program, is_drum in set(zip(notes.program.tolist(), notes.is_drum.tolist(), strict=True)):
        mine = (notes.program == program) & (notes.is_drum == is_drum)
        latency_s[mine] = table.seconds(nearest(program, is_drum), is_drum, notes.pitch[mine])
    onset_s = notes.onset_s - latency_s
    lead_s = step_s * max(0, -math.floor(onset_s.min() / step_s))
    return notes.with_columns(onset_s=onset_s + lead_s, offset_s=notes.offset_s + lead_s), lead_s


def _row(values_ms: np.ndarray) -> str:
    return "[" + ",".join(f"{value:.1f}".removesuffix(".0") for value in values_ms) + "]"


def _lines(rows: Iterable[str]) -> str:
    return ",\n".join(rows)


def shipped_latency(soundfont: Path) -> LatencyTable | None:
    """The table shipped for this soundfont, recognised by its content; None for one that was never measured."""
    with soundfont.open("rb") as file:
        return _shipped().get(hashlib.file_digest(file, "sha256").hexdigest())


def read_latency(path: Path) -> LatencyTable:
    """A table that `hsmad latency` wrote. Raises InputError if the file cannot be read, or is none."""
    try:
        return LatencyTable.from_json(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (InputError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error


@functools.cache
def _shipped() -> dict[str, LatencyTable]:
    files = sorted((resources.files("hsmad_cli") / "synth" / FOLDER).iterdir(), key=lambda file: file.name)
    tables = [LatencyTable.from_json(file.read_text("utf-8")) for file in files if file.name.endswith(".json")]
    return {table.sha256: table for table in tables}


def measure_latency(soundfont: Path, render: Render, kits: Iterable[int], sample_rate: int) -> LatencyTable:
    """Latencies of all programs, and of these drum kits, heard in isolated notes.

    render(notes, duration_s): dry, uncorrected audio [2, n] of notes on a fresh instrument. About a minute.
    """
    programs = [_attacks(render, program, False, sample_rate) for program in range(N_PROGRAMS)]
    slow = tuple(index for index, attacks in enumerate(programs) if np.median(_is_slow(attacks)) > 0)
    drums = {kit: _attacks(render, kit, True, sample_rate) for kit in kits}
    slow_keys = {kit: _is_slow(attacks) for kit, attacks in drums.items()}
    with soundfont.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return LatencyTable(
        soundfont.name,
        sha256,
        np.stack([attacks[HEAD if index in slow else ONSET].mean(axis=1) for index, attacks in enumerate(programs)]),
        {
            kit: np.where(slow_keys[kit], attacks[HEAD].mean(1), attacks[ONSET].mean(1))
            for kit, attacks in drums.items()
        },
        slow,
        {kit: tuple((np.flatnonzero(keys) + LOWEST_PITCH).tolist()) for kit, keys in slow_keys.items()},
    )


def _attacks(render: Render, program: int, is_drum: bool, sample_rate: int) -> dict[float, np.ndarray]:
    """For each of the levels HEAD, ONSET and RISEN: when a note reaches it, ms [88 pitches, velocities]."""
    levels = (HEAD, ONSET, RISEN)
    times_ms = np.zeros((N_PITCHES, len(VELOCITIES), len(levels)))
    for index, pitch in enumerate(range(LOWEST_PITCH, HIGHEST_PITCH + 1)):
        for column, velocity in enumerate(VELOCITIES):
            note = NoteTable(
                *(np.array([value]) for value in (0.0, 2 * WINDOW_S, pitch, velocity, program, is_drum, 0))
            )
            times_ms[index, column] = 1000 * reaches(render(note, WINDOW_S), levels) / sample_rate
    return dict(zip(levels, np.moveaxis(times_ms, -1, 0), strict=True))


def _is_slow(attacks: Mapping[float, np.ndarray]) -> np.ndarray:
    rise_ms = (attacks[RISEN] - attacks[ONSET]).mean(axis=1)
    spread_ms = np.ptp(attacks[ONSET], axis=1)
    return (rise_ms > SLOW_RISE_MS) | (spread_ms > SPREAD_MS)


def reaches(audio: np.ndarray, levels: Iterable[float]) -> np.ndarray:
    """First sample at which |audio| [channels, n] is at each of these shares of its peak; zeros for silence."""
    amplitude = np.abs(audio).max(axis=0)
    peak = amplitude.max(initial=0.0)
    if peak < _SILENT:
        return np.zeros(len(tuple(levels)))
    return np.array([np.argmax(amplitude >= level * peak) for level in levels], np.float64)
