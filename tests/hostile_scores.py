"""MIDI files that mean harm: made by hand, and by damage to real ones; as a program, what each costs to read.

    python tests/hostile_scores.py made
    python tests/hostile_scores.py damaged 2000 FILE.mid...

prints one JSON object a file: its name, CPU seconds, MB above the idle process, and notes or error.
"""

from __future__ import annotations

import json
import random
import re
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from time import process_time

import numpy as np

from hsmad_cli.errors import InputError
from hsmad_cli.files.midi import read_midi
from hsmad_cli.symbolic.caption import caption
from hsmad_cli.symbolic.harmony import chord_targets, key_targets, tempo_targets
from hsmad_cli.symbolic.notes import HIGHEST_PITCH, LOWEST_PITCH, Score

END = b"\0\xff\x2f\0"
NOTE = b"\0\x90\x3c\x50\x83\x60\x80\x3c\0"  # middle C, one beat of 480 ticks: half a second


def header(n_tracks: int, kind: int = 1, division: int = 480, size: int = 6) -> bytes:
    return struct.pack(">4sIHHH", b"MThd", size, kind, n_tracks, division)


def chunk(body: bytes, kind: bytes = b"MTrk", size: int | None = None) -> bytes:
    return kind + struct.pack(">I", len(body) if size is None else size) + body


def song(*tracks: bytes) -> bytes:
    """A well-formed file of these tracks, each with its end."""
    return header(len(tracks)) + b"".join(chunk(track + END) for track in tracks)


def length(value: int) -> bytes:
    """A variable-length quantity."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))


def meta(kind: int, payload: bytes, delta: int = 0) -> bytes:
    return length(delta) + bytes([0xFF, kind]) + length(len(payload)) + payload


def tempo(microseconds: int) -> bytes:
    return meta(0x51, microseconds.to_bytes(3, "big"))


def hand_made() -> dict[str, tuple[bytes, int | str]]:
    """By name: a file, and the number of notes that it gives or what its error says."""
    return {**_structure(), **_events(), **_metadata(), **_floods(), **_notes()}


def _structure() -> dict[str, tuple[bytes, int | str]]:
    body = NOTE + END
    return {
        "nothing": (b"", "empty file"),
        "four bytes": (b"MThd", "not a MIDI file"),
        "header cut in its fields": (header(1)[:12], "not a MIDI file"),
        "a RIFF file": (b"RIFF\x40\0\0\0RMIDdata" + song(NOTE), "not a MIDI file"),
        "text": (b"<!DOCTYPE html><html></html>", "not a MIDI file"),
        "byte order mark": (b"\xef\xbb\xbf" + song(NOTE), "not a MIDI file"),
        "little-endian header": (b"MThd" + struct.pack("<IHHH", 6, 1, 1, 480) + chunk(body), "SMPTE|cut short"),
        "header length 0": (header(1, size=0) + chunk(body), "cut short"),
        "header length 5": (header(1, size=5) + chunk(body), "cut short"),
        "header length 10": (header(1, size=10) + b"more" + chunk(body), 1),
        "header length 4 GiB": (header(1, size=2**32 - 1) + chunk(body), "cut short"),
        "format 0 with three tracks": (header(3, kind=0) + chunk(body) * 3, 3),
        "format 2": (header(2, kind=2) + chunk(body) * 2, 2),
        "format 65535": (header(1, kind=0xFFFF) + chunk(body), 1),
        "SMPTE division": (header(1, division=0xE728) + chunk(body), "SMPTE"),
        "division 0": (header(1, division=0) + chunk(body), "zero ticks per beat"),
        "division 1": (header(1, division=1) + chunk(body), 1),
        "division 32767": (header(1, division=0x7FFF) + chunk(body), 1),
        "0 tracks": (header(0) + chunk(body), "no notes"),
        "65535 tracks declared": (header(0xFFFF) + chunk(body), "cut short in track 2 of 65535"),
        "fewer tracks declared than there": (header(1) + chunk(body) * 2, 1),
        "65535 empty tracks": (header(0xFFFF) + chunk(b"") * 0xFFFE + chunk(body), 1),
        "128 tracks": (song(*[NOTE] * 128), 128),
        "300 tracks": (song(*[NOTE] * 300), "300 parts, at most 256"),
        "empty tracks around": (header(3) + chunk(b"") + chunk(body) + chunk(b""), 1),
        "only empty tracks": (header(3) + chunk(b"") * 3, "no notes"),
        "strange chunks": (header(1) + chunk(b"\x90" * 99, b"XFIH") + chunk(body) + chunk(b"?", b"junk"), 1),
        "track length 4 GiB": (header(1) + chunk(body, size=2**32 - 1), "cut short"),
        "track length too small": (header(1) + chunk(body, size=len(body) - 6), "middle of an event"),
        "track length too large": (header(2) + chunk(body, size=len(body) + 4) + chunk(body), "cut short|damaged"),
        "no end of track": (header(1) + chunk(NOTE), 1),
        "events after the end of track": (header(1) + chunk(NOTE + END + NOTE * 9), 1),
        "garbage after the last track": (song(NOTE) + bytes(range(256)) * 99, 1),
        "16 MiB and more": (song(NOTE) + bytes(17 * 2**20), "more than 16 MiB"),
        "zeros": (bytes(99_999), "not a MIDI file"),
        "zeros in a track": (header(1) + chunk(bytes(99_999)), "byte 0 where an event should begin"),
    }


def _events() -> dict[str, tuple[bytes, int | str]]:
    return {
        "running status at the start": (song(b"\0\x3c\x50" + NOTE), "byte 60 where an event should begin"),
        "running status across a meta event": (song(b"\0\x90\x3c\x50" + meta(1, b"a") + b"\x60\x3c\0"), 1),
        "note-on cut after its pitch": (header(1) + chunk(NOTE + b"\0\x90\x3c"), "middle of an event"),
        "note-on cut after its status": (header(1) + chunk(NOTE + b"\0\x90"), "middle of an event"),
        "delta and no event": (header(1) + chunk(NOTE + b"\x83\x60"), "middle of an event"),
        "delta without its last byte": (header(1) + chunk(NOTE + b"\xff\xff"), "middle of an event"),
        "delta of five bytes": (song(b"\xff\xff\xff\xff\x7f" + NOTE[1:]), "number of more than four bytes"),
        "delta of many bytes": (song(b"\x80" * 9999 + NOTE), "number of more than four bytes"),
        "delta padded with zeros": (song(b"\x80\x80\x80" + NOTE), 1),
        "largest delta": (song(b"\xff\xff\xff\x7f" + NOTE[1:]), "lasts 77.7 h, more than the cap"),
        "largest deltas": (song(NOTE + b"\xff\xff\xff\x7f\x90\x3c\x50" * 5000), "more than the cap"),
        "data byte above 127": (song(b"\0\x90\xbc\x50"), "data byte 188 above 127"),
        "undefined status": (song(b"\0\xf4\0" + NOTE), "status byte 0xf4"),
        "real-time status": (song(b"\0\xf8" + NOTE), "status byte 0xf8"),
        "sysex": (song(b"\0\xf0\x05\x7e\x7f\x09\x01\xf7" + NOTE), 1),
        "sysex without its end mark": (song(b"\0\xf0\x04\x7e\x7f\x09\x01" + NOTE), 1),
        "sysex past the end": (song(b"\0\xf0\x84\x00\x7e" + NOTE), "middle of an event"),
        "sysex of 256 MB": (song(b"\0\xf0\xff\xff\xff\x7f" + NOTE), "middle of an event"),
        "sysex without a length": (header(1) + chunk(b"\0\xf0"), "middle of an event"),
        "escapes": (song(b"\0\xf7\x01\xf8" * 99 + NOTE), 1),
    }


def _metadata() -> dict[str, tuple[bytes, int | str]]:
    long_texts = b"".join(meta(kind, bytes(range(256)) * 40) for kind in range(1, 16))
    in_encodings = [
        meta(3, "Ünïcödé 音楽 🎵".encode(encoding))
        for encoding in ("utf-8", "utf-16", "utf-32", "utf-7", "gb18030", "cp65001")
    ]
    changing = [meta(0x58, bytes([n % 9 + 1, n % 7, 24, 8]), 1) for n in range(20_000)]
    latin, sjis = meta(3, "Prélude".encode("latin-1")), meta(3, "前奏曲".encode("shift_jis"))
    return {
        "tempo 0": (song(tempo(0) + NOTE), 1),
        "slowest tempo": (song(tempo(0xFFFFFF) + NOTE), 1),
        "fastest tempo": (song(tempo(1) + NOTE), 1),
        "tempo of two bytes": (song(meta(0x51, b"\7\xa1") + NOTE), 1),
        "tempo of nine bytes": (song(meta(0x51, b"\7\xa1\x20" * 3) + NOTE), 1),
        "tempo of no bytes": (song(meta(0x51, b"") + NOTE), 1),
        "tempo past the end": (header(1) + chunk(NOTE + b"\0\xff\x51\x03\x07"), "middle of an event"),
        "50,000 tempos on a tick": (song(b"".join(tempo(t + 1) for t in range(50_000)) + NOTE), 1),
        "50,000 tempos": (song(b"".join(b"\1" + tempo(9999 + t)[1:] for t in range(50_000)) + NOTE), 1),
        "time signature 4/2^255": (song(meta(0x58, b"\4\xff\x18\x08") + NOTE), 1),
        "time signature 0/4": (song(meta(0x58, b"\0\2\x18\x08") + NOTE), 1),
        "time signature 255/64": (song(meta(0x58, b"\xff\6\0\0") + NOTE), 1),
        "time signature of no bytes": (song(meta(0x58, b"") + NOTE), 1),
        "20,000 time signatures": (song(b"".join(changing) + NOTE), 1),
        "key of 99 flats": (song(meta(0x59, b"\x9d\x07") + NOTE), 1),
        "key of no bytes": (song(meta(0x59, b"") + NOTE), 1),
        "unknown meta events": (song(b"".join(meta(kind, b"?") for kind in range(0x60, 0x7F)) + NOTE), 1),
        "meta kind above 127": (song(meta(0xFE, b"?") + NOTE), 1),
        "meta without a length": (header(1) + chunk(b"\0\xff\x01"), "middle of an event"),
        "meta of 256 MB": (song(b"\0\xff\x01\xff\xff\xff\x7f" + NOTE), "middle of an event"),
        "end of track with a payload": (song(NOTE + meta(0x2F, b"bye")), 1),
        "channel prefix 255, port 255": (song(meta(0x20, b"\xff") + meta(0x21, b"\xff") + NOTE), 1),
        "SMPTE offset out of range": (song(meta(0x54, b"\xff" * 5) + NOTE), 1),
        "sequence number of 200 bytes": (song(meta(0, bytes(200)) + NOTE), 1),
        "texts of all bytes": (song(long_texts + NOTE), 1),
        "name in six encodings": (song(b"".join(in_encodings) + NOTE), 1),
        "name in Latin-1": (song(latin + NOTE), 1),
        "name in Shift JIS": (song(sjis + NOTE), 1),
        "name of lone surrogates": (song(meta(3, "\ud800\udfff".encode("utf-8", "surrogatepass")) + NOTE), 1),
        "name of control characters": (song(meta(3, bytes(range(32)) + b"\x1b[2J\x7f") + NOTE), 1),
        "only metadata": (song(tempo(500_000) + meta(3, b"silence")), "no notes"),
    }  # fmt: skip


def _floods() -> dict[str, tuple[bytes, int | str]]:
    return {
        "a million controllers": (song(b"\0\xb0\x07\x64" + b"\0\x07\x64" * 10**6 + NOTE), "more than 300,000 events"),
        "299,000 pedal moves": (song(b"\0\xb0\x40\x7f" + b"\0\x40\0\0\x40\x7f" * 149_499 + NOTE), 1),
        "200,000 bends": (song(b"\0\xe0\0\x40" + b"\0\x7f\x7f" * 200_000 + NOTE), 1),
        "200,000 aftertouches": (song(b"\0\xa0\x3c\x40" + b"\0\x3c\x41" * 200_000 + NOTE), 1),
        "10,000 program changes": (song(b"".join(b"\0\xc0" + bytes([n % 128]) for n in range(10_000)) + NOTE), 1),
        "a program for each note": (song(b"".join(b"\0\xc0" + bytes([n % 128]) + NOTE for n in range(999))), 999),
        "98,000 notes on a tick": (song(b"\0\x90\x3c\x50" * 98_000 + b"\x60\x80\x3c\0"), 1),
        "85,000 notes in a row": (song(b"\x14\x90\x3c\x50\x14\x3c\0" * 85_000), 85_000),
        "100,001 notes": (song(b"\1\x90\x3c\x50" * 100_001), "100,001 notes, at most 100,000"),
        "128 pitches on 16 channels, held": (
            song(b"".join(bytes([0, 0x90 | c, p, 64]) for c in range(16) for p in range(128)) + NOTE),
            16 * 88,
        ),
        "all-notes-off flood": (song(b"\0\xb0\x7b\0" * 60_000 + NOTE + b"\0\xb0\x78\0" * 60_000), 1),
        "note-off flood": (song(b"\0\x80\x3c\0" * 90_000 + NOTE), 1),
    }


def _notes() -> dict[str, tuple[bytes, int | str]]:
    drum = b"\0\x99\x26\x50\x60\x89\x26\0"
    far = b"\0\x90\x3c\x50" + length(27 * 3600 * 960) + b"\x80\x3c\0"
    return {
        "zero-length note": (song(b"\0\x90\x3c\x50\0\x80\x3c\0"), 1),
        "note-off before its note-on": (song(b"\0\x80\x3c\0" + NOTE), 1),
        "note-off alone": (song(b"\0\x80\x3c\0"), "no notes"),
        "note-on alone": (song(b"\0\x90\x3c\x50"), 1),
        "overlap of one pitch": (song(b"\0\x90\x3c\x50\x60\x90\x3c\x50\x60\x80\x3c\0\x60\x80\x3c\0"), 2),
        "velocity 0 alone": (song(b"\0\x90\x3c\0" * 99), "no notes"),
        "program change within a note": (song(b"\0\x90\x3c\x50\x60\xc0\x28\x60\x80\x3c\0"), 1),
        "drums with programs": (song(b"\0\xc9\x7f" + drum + b"\0\xc9\x19" + drum), 2),
        "only drums": (song(drum * 9), 9),
        "drums off the keyboard": (song(b"\0\x99\x05\x50\x60\x99\x7f\x50"), "no note can be played: 2 of 2"),
        "pitches 0 to 127": (song(b"".join(bytes([0, 0x90, p, 64, 9, 0x80, p, 0]) for p in range(128))), 88),
        "pitches all out of range": (song(b"\0\x90\x14\x50\x60\x90\x6d\x50"), "no note can be played: 2 of 2"),
        "27 hours of one note": (song(far), "lasts 27 h, more than the cap"),
        "27 hours of pedal": (song(b"\0\xb0\x40\x7f" + NOTE + length(27 * 3600 * 960) + b"\xb0\x40\0"), 1),
        "27 hours of silence at the end": (song(NOTE + meta(1, b"the end", 27 * 3600 * 960)), 1),
        "a note in the last minute of the hour": (song(length(3599 * 960) + NOTE[1:]), 1),
        "every channel at once": (song(b"".join(bytes([0, 0x90 | c, 60, 80]) for c in range(16)) + NOTE), 16),
    }


def damaged(originals: Sequence[bytes], count: int) -> Iterator[tuple[str, bytes]]:
    """Real files with flipped bits, wrong bytes, cuts, and slices doubled, moved or removed: (name, bytes)."""
    for seed in range(count):
        draw = random.Random(seed)
        data = bytearray(draw.choice(originals))
        for _ in range(draw.choice((1, 1, 2, 5, 40))):
            draw.choice(_DAMAGES)(data, draw)
        yield f"damage {seed}", bytes(data)


def _flip_bit(data: bytearray, draw: random.Random) -> None:
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def _flip_early_bit(data: bytearray, draw: random.Random) -> None:
    data[draw.randrange(min(len(data), 60))] ^= 1 << draw.randrange(8)


def _extreme_byte(data: bytearray, draw: random.Random) -> None:
    data[draw.randrange(len(data))] = draw.choice((0, 0x7F, 0x80, 0x90, 0xB0, 0xF0, 0xFF))


def _cut(data: bytearray, draw: random.Random) -> None:
    if draw.random() < 0.2:
        del data[draw.randrange(1, len(data) + 1) :]


def _slice(data: bytearray, draw: random.Random) -> tuple[int, int]:
    start = draw.randrange(len(data))
    return start, start + draw.choice((1, 2, 3, 4, 100, 2000))


def _double(data: bytearray, draw: random.Random) -> None:
    start, end = _slice(data, draw)
    data[start:start] = data[start:end] * draw.choice((1, 1, 2, 30))


def _remove(data: bytearray, draw: random.Random) -> None:
    start, end = _slice(data, draw)
    del data[max(start, 1) : end]


def _move(data: bytearray, draw: random.Random) -> None:
    start, end = _slice(data, draw)
    piece = data[start:end]
    _remove(data, draw)
    place = draw.randrange(len(data))
    data[place:place] = piece


_DAMAGES = (_flip_bit, _flip_bit, _flip_early_bit, _extreme_byte, _cut, _double, _remove, _move)


def damaged_but_intact(originals: Sequence[bytes], count: int) -> Iterator[tuple[str, bytes]]:
    """As `damaged`, with the lengths of the tracks set right, so that their events are read."""
    for name, data in damaged(originals, count):
        yield (
            name,
            header(len(re.findall(b"MTrk", data))) + b"".join(chunk(body[4:]) for body in data.split(b"MTrk")[1:]),
        )


def costs(files: Iterable[tuple[str, bytes]]) -> Iterator[dict[str, str | int | float]]:
    """What it takes to read each file. Linux: the peak of memory is reset before each."""
    idle = _peak_mb()
    for name, data in files:
        Path("/proc/self/clear_refs").write_text("5")
        began = process_time()
        found: dict[str, str | int | float] = {"name": name}
        try:
            score = read_midi(data)
            found |= {"notes": len(score.notes), "valid": _is_valid(score)}
        except InputError as error:
            found["error"] = str(error)
        yield found | {"seconds": process_time() - began, "mb": _peak_mb() - idle}


def _is_valid(score: Score) -> bool:
    """Whether the ledger balances, all numbers are what their docstrings say, and targets and caption can be made."""
    notes, ledger = score.notes, score.ledger
    n_frames = int(notes.end_s * 12.5) + 1
    chords, keys, tempos = (make(score, n_frames, (25, 2)) for make in (chord_targets, key_targets, tempo_targets))
    return bool(
        ledger.balances()
        and len(notes) == ledger.rendered + sum(ledger.repaired.values())
        and np.isfinite(notes.offset_s).all()
        and notes.onset_s.min() >= 0
        and (np.diff(notes.onset_s) >= 0).all()
        and (notes.offset_s - notes.onset_s).min() >= 0.01 - 1e-9
        and ((notes.pitch >= LOWEST_PITCH) & (notes.pitch <= HIGHEST_PITCH)).all()
        and ((notes.velocity >= 1) & (notes.velocity <= 127)).all()
        and (np.isfinite(score.tempo_bpm) & (score.tempo_bpm > 0)).all()
        and (np.diff(score.beats_s) >= 0).all()
        and len(chords) == len(keys) == len(tempos) == n_frames
        and caption(score)
        and json.dumps(score.title)
    )


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    if sys.argv[1] == "made":
        files = ((name, data) for name, (data, _) in hand_made().items())
    else:
        originals = [Path(path).read_bytes() for path in sys.argv[3:]]
        half = int(sys.argv[2]) // 2
        files = (pair for make in (damaged, damaged_but_intact) for pair in make(originals, half))
    for cost in costs(files):
        print(json.dumps(cost), flush=True)
