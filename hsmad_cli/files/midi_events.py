"""A guarded first look at a Standard MIDI File: its events and tempo map, before anything is expanded in memory.

Only what hsmad plays is kept: notes, programs, sustain pedal, all-notes-off, tempo and time signatures. Volume,
expression and pitch bends are left out on purpose: they are not in the score features, so they must not be heard.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from hsmad_cli.errors import InputError

MAX_EVENTS = 300_000

NOTE_OFF, NOTE_ON, CONTROL, PROGRAM = 0x80, 0x90, 0xB0, 0xC0
DRUM_CHANNEL = 9
SUSTAIN = 64
ALL_SOUND_OFF, ALL_NOTES_OFF = 120, 123

_SYSEX, _SYSEX_CONTINUED, _META = 0xF0, 0xF7, 0xFF
_TEMPO, _TIME_SIGNATURE, _END_OF_TRACK, _TRACK_NAME = 0x51, 0x58, 0x2F, 0x03
_DEFAULT_TEMPO = 500_000
_SOUND_MAGICS = (b"RIFF", b"fLaC", b"OggS", b"ID3", b"\xff\xfb")
_KEPT_CONTROLS = frozenset((SUSTAIN, ALL_SOUND_OFF, ALL_NOTES_OFF))


class Event(NamedTuple):
    """A channel event: absolute tick, kind (status byte without channel), channel, two data bytes."""

    tick: int
    kind: int
    channel: int
    number: int
    value: int


class TimeSignature(NamedTuple):
    tick: int
    numerator: int
    denominator: int


class TempoMap:
    """Ticks to seconds. Built from (tick, microseconds a quarter note), of all tracks, in any order."""

    def __init__(self, tempos: list[tuple[int, int]], ticks_per_beat: int) -> None:
        self.changes = list({0: _DEFAULT_TEMPO, **dict(sorted(tempos, key=lambda change: change[0]))}.items())
        self.ticks = np.array([tick for tick, _ in self.changes], np.float64)
        self.beat_s = np.array([tempo for _, tempo in self.changes]) / 1e6
        self.tick_s = self.beat_s / ticks_per_beat
        self.start_s = np.concatenate([[0.0], np.cumsum(np.diff(self.ticks) * self.tick_s[:-1])])

    def seconds(self, ticks: np.ndarray | int) -> np.ndarray:
        """Seconds of ticks, the last tempo going on for ever."""
        segment = np.searchsorted(self.ticks, ticks, side="right") - 1
        return self.start_s[segment] + (ticks - self.ticks[segment]) * self.tick_s[segment]


@dataclass
class MidiEvents:
    """What a MIDI file holds for us: per track its events in order of time, and what holds for all tracks."""

    ticks_per_beat: int
    tracks: list[list[Event]] = field(default_factory=list)
    tempos: list[tuple[int, int]] = field(default_factory=list)
    signatures: list[TimeSignature] = field(default_factory=list)
    title: str = ""
    n_events: int = 0

    @cached_property
    def n_notes(self) -> int:
        return sum(event.kind == NOTE_ON for track in self.tracks for event in track)

    @cached_property
    def last_tick(self) -> int:
        """Tick of the last note's beginning or end."""
        return max((e.tick for track in self.tracks for e in track if e.kind in (NOTE_ON, NOTE_OFF)), default=0)


def read_events(data: bytes, name: str) -> MidiEvents:
    """The events of a Standard MIDI File of type 0, 1 or 2, all tracks starting together.

    A note-on of velocity 0 comes back as a note-off. Raises InputError, beginning with `name`, for what is not MIDI, is
    cut short or damaged, counts time in SMPTE frames or has more than MAX_EVENTS events.
    """
    n_tracks, ticks_per_beat = _read_header(data, name)
    song = MidiEvents(ticks_per_beat)
    for number, body in enumerate(_track_chunks(data, n_tracks, name), 1):
        try:
            _read_track(body, song)
        except IndexError:
            raise InputError(f"{name}: track {number} ends in the middle of an event") from None
        except ValueError as error:
            raise InputError(f"{name}: track {number} is damaged: {error}") from None
        if song.n_events > MAX_EVENTS:
            raise InputError(f"{name}: more than {MAX_EVENTS:,} events")
    return song


def _read_header(data: bytes, name: str) -> tuple[int, int]:
    if not data:
        raise InputError(f"{name}: empty file", "copy or export it again")
    if data.startswith(_SOUND_MAGICS) and data[8:12] != b"RMID":
        raise InputError(
            f"{name}: a sound, and a score (MIDI) is wanted",
            "transcribe it to MIDI first; `hsmad encode` makes latents of a sound",
        )
    if data[:4] != b"MThd" or len(data) < 14:
        raise InputError(
            f"{name}: not a MIDI file: begins with {data[:4]!r}, expected a header of b'MThd'",
            "export the score as a Standard MIDI File",
        )
    n_tracks, division = struct.unpack(">HH", data[10:14])
    if division == 0:
        raise InputError(f"{name}: zero ticks per beat", "export it again, for instance with 480")
    if division & 0x8000:
        raise InputError(f"{name}: counts time in SMPTE frames, not in beats", "export it with ticks per beat")
    return n_tracks, division


def _track_chunks(data: bytes, n_tracks: int, name: str) -> Iterator[bytes]:
    """Bodies of the track chunks; chunks of other kinds are skipped."""
    position = 8 + int.from_bytes(data[4:8], "big")
    found = 0
    while found < n_tracks:
        kind, size = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "big")
        body = data[position + 8 : position + 8 + size]
        if len(body) < size or len(kind) < 4:
            raise InputError(
                f"{name}: cut short in track {found + 1} of {n_tracks}: {len(data):,} bytes are there",
                "copy or export it again",
            )
        if kind == b"MTrk":
            found += 1
            yield body
        position += 8 + size


def _read_track(body: bytes, song: MidiEvents) -> None:
    """Append the events of one track. IndexError: it ends too early; ValueError: it holds what MIDI does not allow."""
    events: list[Event] = []
    song.tracks.append(events)
    position = tick = running = 0
    while position < len(body) and song.n_events <= MAX_EVENTS:
        delta, position = _variable_length(body, position)
        tick += delta
        song.n_events += 1
        status = body[position]
        if status >= 0xF0:
            position = _read_system_event(body, position + 1, tick, status, song)
            continue
        if status & 0x80:
            running, position = status, position + 1
        elif not running:
            raise ValueError(f"byte {status} where an event should begin")
        position = _read_channel_event(body, position, tick, running, events)


def _variable_length(body: bytes, position: int) -> tuple[int, int]:
    """A number of up to four bytes of seven bits, and the position after it."""
    value = 0
    for end in range(position + 1, position + 5):
        byte = body[end - 1]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, end
    raise ValueError("a number of more than four bytes")


def _read_channel_event(body: bytes, position: int, tick: int, status: int, events: list[Event]) -> int:
    kind, channel, number = status & 0xF0, status & 0x0F, body[position]
    if kind in (0xC0, 0xD0):
        value, end = 0, position + 1
    else:
        value, end = body[position + 1], position + 2
    if (number | value) & 0x80:
        raise ValueError(f"data byte {max(number, value)} above 127")
    if kind == NOTE_ON and value == 0:
        kind = NOTE_OFF
    if kind in (NOTE_ON, NOTE_OFF, PROGRAM) or (kind == CONTROL and number in _KEPT_CONTROLS):
        events.append(Event(tick, kind, channel, number, value))
    return end


def _read_system_event(body: bytes, position: int, tick: int, status: int, song: MidiEvents) -> int:
    if status not in (_SYSEX, _SYSEX_CONTINUED, _META):
        raise ValueError(f"status byte {status:#x} in a file")
    meta = body[position] if status == _META else None
    size, start = _variable_length(body, position + (status == _META))
    end = start + size
    if end > len(body):
        raise IndexError
    payload = body[start:end]
    if meta == _END_OF_TRACK:
        return len(body)
    if meta == _TEMPO and size == 3 and any(payload):
        song.tempos.append((tick, int.from_bytes(payload, "big")))
    elif meta == _TIME_SIGNATURE and size >= 2 and payload[0] > 0 and payload[1] <= 6:
        song.signatures.append(TimeSignature(tick, payload[0], 2 ** payload[1]))
    elif meta == _TRACK_NAME and not song.title and len(song.tracks) == 1:
        song.title = payload[:200].decode("utf-8", "replace").strip("\0 \n\r\t")
    return end
