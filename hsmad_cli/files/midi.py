"""MIDI files in and out: every note that was read is rendered, repaired or dropped by a rule, and counted.

The rules, in their order:
1. A drum strike lasts at least 0.1 s; what it strikes has no end that anyone hears.
2. Pitches outside 21 to 108 are dropped.
3. Strikes of one pitch on one part within 20 ms are one strike, with the larger velocity and the later end.
4. A note without an end (repaired) lasts to the last note event of its track.
5. The sustain pedal of the channel lengthens pitched notes to pedal-up, at most to 10 s after the last note's end.
6. A note ends where the same part strikes the same pitch again: repaired, unless only the pedal had carried it there.
7. A note shorter than 10 ms (repaired) lasts 10 ms.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import mido
import numpy as np

from hsmad_cli.errors import InputError
from hsmad_cli.files import midi_events as me
from hsmad_cli.files.midi_events import DRUM_CHANNEL, Event, MidiEvents, TempoMap
from hsmad_cli.files.publish import write_bytes
from hsmad_cli.symbolic.notes import DRUM_LENGTH_S, HIGHEST_PITCH, LOWEST_PITCH, Ledger, NoteTable, Score

MAX_BYTES = 16 * 2**20
MAX_SCORE_S = 3600.0
MAX_NOTES = 100_000
MAX_PARTS = 256
TICKS_A_BEAT = 960
PITCHED_CHANNELS = [channel for channel in range(16) if channel != DRUM_CHANNEL]

_MERGE_S = 0.02
_SHORTEST_S = 0.01
_RING_S = 10.0
_NEVER = -1
_MAX_BEATS_PER_S = 20

OUT_OF_RANGE = f"pitch outside {LOWEST_PITCH} to {HIGHEST_PITCH}"
MERGED = "struck again within 20 ms"
NO_END = "no end: held to the end of its track"
OVERLAP = "cut where its pitch is struck again"
TOO_SHORT = "shorter than 10 ms: lengthened"


def read_midi(source: Path | str | bytes | BinaryIO, max_s: float = MAX_SCORE_S) -> Score:
    """The score of a Standard MIDI File, of at most `max_s` seconds.

    Raises InputError for a file that cannot be read, is not MIDI, is damaged or cut short, has no notes, or is too
    long; its length is known before anything is expanded in memory.
    """
    name, data = _load(source)
    song = me.read_events(data, name)
    if song.n_notes == 0:
        raise InputError(f"{name}: no notes", "is it the right file? tempo and text alone make no music")
    if song.n_notes > MAX_NOTES:
        raise InputError(f"{name}: {song.n_notes:,} notes, at most {MAX_NOTES:,} can be played")
    duration_s = float(TempoMap(song.tempos, song.ticks_per_beat).seconds(song.last_tick))
    if duration_s > max_s:
        raise InputError(
            f"{name}: lasts {_spoken(duration_s)}, more than the cap of {_spoken(max_s)}",
            f"raise the cap with --max-minutes {int(duration_s // 60) + 1}",
        )
    score = _score(song, name)
    if len(score.notes) == 0:
        raise InputError(f"{name}: no note can be played: {score.ledger.read} of {score.ledger.read}: {OUT_OF_RANGE}")
    return score


def _load(source: Path | str | bytes | BinaryIO) -> tuple[str, bytes]:
    if isinstance(source, bytes):
        return _sized("stdin", source)
    if not isinstance(source, Path | str):
        return _sized(getattr(source, "name", "stdin"), source.read(MAX_BYTES + 1))
    try:
        with open(source, "rb") as file:
            return _sized(str(source), file.read(MAX_BYTES + 1))
    except FileNotFoundError:
        raise InputError(f"{source}: no such file") from None
    except OSError as error:
        raise InputError(f"{source}: {error.strerror or error}") from error


def _sized(name: str, data: bytes) -> tuple[str, bytes]:
    if len(data) > MAX_BYTES:
        raise InputError(f"{name}: more than {MAX_BYTES // 2**20} MiB, too large for a score")
    return str(name), data


def _spoken(seconds: float) -> str:
    return f"{seconds / 3600:.3g} h" if seconds > 2 * 3600 else f"{seconds / 60:.3g} min"


def _score(song: MidiEvents, name: str) -> Score:
    clock = TempoMap(song.tempos, song.ticks_per_beat)
    parts = _parts(song)
    notes, ledger = _settle(_read_notes(parts, clock, name), parts, clock)
    end_s = float(clock.seconds(song.last_tick))
    known = clock.start_s <= end_s
    pedal_s, pedal_value = _pedal_curve(song, clock)
    return Score(
        notes=notes,
        tempo_s=clock.start_s[known],
        tempo_bpm=60 / clock.beat_s[known],
        pedal_s=pedal_s,
        pedal_value=pedal_value,
        beats_s=_beats(song, clock, end_s),
        ledger=ledger,
        title=song.title,
    )


@dataclass(frozen=True)
class _Part:
    """The strikes of one channel on one track, in order of time, the tick that ends each, and who was never ended.

    Programs and pedal are those of the track, else those that other tracks send to the channel.
    """

    strikes: list[Event]
    end_ticks: np.ndarray
    never_ended: np.ndarray
    programs: list[Event]
    pedal: list[Event]


def _parts(song: MidiEvents) -> list[_Part]:
    notes, programs, pedals = _Streams(), _Streams(), _Streams()
    for track, events in enumerate(song.tracks):
        for event in events:
            if event.kind == me.PROGRAM:
                programs.add(track, event)
            elif event.kind == me.CONTROL and event.number == me.SUSTAIN:
                pedals.add(track, event)
            else:
                notes.add(track, event)
    parts = []
    for (track, channel), events in notes.of_part.items():
        strikes, end_ticks, never_ended = _ended(events)
        if strikes:
            own = programs.own_or_shared(track, channel), pedals.own_or_shared(track, channel)
            parts.append(_Part(strikes, end_ticks, never_ended, *own))
    return parts


class _Streams:
    """Events of one kind, by (track, channel) and by channel."""

    def __init__(self) -> None:
        self.of_part: dict[tuple[int, int], list[Event]] = defaultdict(list)
        self.of_channel: dict[int, list[Event]] = defaultdict(list)

    def add(self, track: int, event: Event) -> None:
        self.of_part[track, event.channel].append(event)
        self.of_channel[event.channel].append(event)

    def own_or_shared(self, track: int, channel: int) -> list[Event]:
        return self.of_part.get((track, channel)) or sorted(self.of_channel[channel])


def _ended(events: list[Event]) -> tuple[list[Event], np.ndarray, np.ndarray]:
    """The strikes, the tick later than its beginning at which each ends, and whether nobody had ended it.

    An end ends every note of its pitch, except one that begins at the same tick as an older one ends. All-notes-off
    ends every pitch. An end without a note is left out.
    """
    strikes: list[Event] = []
    ends: list[int] = []
    sounding: dict[int, list[int]] = {}  # pitch -> its strikes without an end
    for event in events:
        if event.kind == me.NOTE_ON:
            sounding.setdefault(event.number, []).append(len(strikes))
            strikes.append(event)
            ends.append(_NEVER)
            continue
        for pitch in [event.number] if event.kind == me.NOTE_OFF else list(sounding):
            ended = sounding.pop(pitch, [])
            if ended and strikes[ended[0]].tick < event.tick == strikes[ended[-1]].tick:
                sounding[pitch] = [index for index in ended if strikes[index].tick == event.tick]
                ended = ended[: -len(sounding[pitch])]
            for index in ended:
                ends[index] = max(event.tick, strikes[index].tick + 1)
    never_ended = np.array(ends, np.int64) == _NEVER
    end_tick = max([events[-1].tick, *(strikes[indices[-1]].tick + 1 for indices in sounding.values())])
    return strikes, np.where(never_ended, end_tick, ends), never_ended


@dataclass(frozen=True)
class _Notes:
    """A note table, and for each note the index of the `_Part` it comes from and whether nobody had ended it."""

    table: NoteTable
    source: np.ndarray
    never_ended: np.ndarray


def _read_notes(parts: list[_Part], clock: TempoMap, name: str) -> _Notes:
    """Every note of the song. A note keeps the program that it was struck with; a part of the table has one program."""
    strikes = np.array([strike for part in parts for strike in part.strikes], np.int64).reshape(-1, len(Event._fields))
    onset_ticks, _, channel, pitch, velocity = strikes.T
    source = np.repeat(np.arange(len(parts)), [len(part.strikes) for part in parts])
    program = np.concatenate([_programs(part) for part in parts])
    voices = dict.fromkeys(zip(source.tolist(), program.tolist(), strict=True))
    if len(voices) > MAX_PARTS:
        raise InputError(f"{name}: {len(voices)} parts, at most {MAX_PARTS} can be played")
    number = {voice: index for index, voice in enumerate(voices)}
    table = NoteTable(
        onset_s=clock.seconds(onset_ticks),
        offset_s=clock.seconds(np.concatenate([part.end_ticks for part in parts])),
        pitch=pitch,
        velocity=velocity,
        program=program,
        is_drum=channel == DRUM_CHANNEL,
        part=np.array([number[voice] for voice in zip(source.tolist(), program.tolist(), strict=True)]),
    )
    return _Notes(table, source, np.concatenate([part.never_ended for part in parts]))


def _programs(part: _Part) -> np.ndarray:
    """The program of each strike: the last that was chosen by then, else 0."""
    ticks = [event.tick for event in part.programs]
    numbers = np.array([0, *(event.number for event in part.programs)])
    return numbers[np.searchsorted(ticks, [strike.tick for strike in part.strikes], side="right")]


def _settle(read: _Notes, parts: list[_Part], clock: TempoMap) -> tuple[NoteTable, Ledger]:
    """The notes as they are rendered, by the rules of this file, and what became of all that were read."""
    table = read.table
    in_range = (table.pitch >= LOWEST_PITCH) & (table.pitch <= HIGHEST_PITCH)
    order = np.lexsort((table.onset_s, table.pitch, table.part))
    order = order[in_range[order]]
    merged = _merged(_Notes(table.select(order), read.source[order], read.never_ended[order]))
    notes, no_end = merged.table, merged.never_ended

    next_strike_s = _next_strike(notes)
    overlap = notes.offset_s > next_strike_s + 1e-9
    offset_s = np.where(notes.is_drum, notes.onset_s + DRUM_LENGTH_S, notes.offset_s).clip(notes.offset_s)
    offset_s = np.minimum(_pedalled(notes, offset_s, merged.source, parts, clock), next_strike_s)
    too_short = offset_s < notes.onset_s + _SHORTEST_S - 1e-9
    offset_s = np.maximum(offset_s, notes.onset_s + _SHORTEST_S)

    reason = np.select([notes.is_drum, no_end, overlap, too_short], [0, 1, 2, 3], 0)
    repaired = np.bincount(reason, minlength=4).tolist()
    dropped = [(OUT_OF_RANGE, int((~in_range).sum())), (MERGED, len(order) - len(notes))]
    ledger = Ledger(
        read=len(table),
        rendered=repaired[0],
        repaired={text: n for text, n in zip((NO_END, OVERLAP, TOO_SHORT), repaired[1:], strict=True) if n},
        dropped={text: n for text, n in dropped if n},
    )
    return notes.with_columns(offset_s=offset_s).sorted(), ledger


def _same_voice(notes: NoteTable) -> np.ndarray:
    """Of notes in order of (part, pitch, onset): True where a note has the part and pitch of the one before it."""
    same = np.zeros(len(notes), np.bool_)
    same[1:] = (np.diff(notes.part) == 0) & (np.diff(notes.pitch) == 0)
    return same


def _merged(notes: _Notes) -> _Notes:
    """Notes in order of (part, pitch, onset) without those that belong to the strike before."""
    table = notes.table
    again = _same_voice(table)
    again[1:] &= np.diff(table.onset_s) < _MERGE_S - 1e-9
    if not again.any():
        return notes
    first = np.flatnonzero(~again)
    velocity, offset_s, never_ended = (
        np.maximum.reduceat(column, first) for column in (table.velocity, table.offset_s, notes.never_ended)
    )
    return _Notes(
        table.select(first).with_columns(velocity=velocity, offset_s=offset_s), notes.source[first], never_ended
    )


def _next_strike(notes: NoteTable) -> np.ndarray:
    """When the same part strikes the same pitch again, in seconds; infinite where it does not."""
    following = np.append(notes.onset_s[1:], np.inf)
    return np.where(np.append(_same_voice(notes)[1:], False), following, np.inf)


def _pedalled(
    notes: NoteTable, offset_s: np.ndarray, source: np.ndarray, parts: list[_Part], clock: TempoMap
) -> np.ndarray:
    """Offsets of pitched notes, carried on to pedal-up."""
    carried = offset_s.copy()
    last_s = offset_s.max(initial=0.0)
    for index, part in enumerate(parts):
        down_s, up_s = _pedal_spans(part.pedal, clock, last_s)
        if len(down_s):
            mine = np.flatnonzero((source == index) & ~notes.is_drum)
            span = np.searchsorted(down_s, offset_s[mine], side="right") - 1
            held = (span >= 0) & (offset_s[mine] < up_s[span])
            carried[mine[held]] = up_s[span[held]]
    return carried


def _pedal_spans(events: list[Event], clock: TempoMap, last_s: float) -> tuple[np.ndarray, np.ndarray]:
    """When the pedal goes down (value 64 and more) and up, in seconds, two arrays of one length.

    A pedal that nobody lifts is lifted at the last note's end, `last_s`.
    """
    down = np.array([False, *(event.value >= 64 for event in events)])
    moves = clock.seconds(np.array([event.tick for event in events], np.int64))
    down_s, up_s = moves[down[1:] & ~down[:-1]], moves[~down[1:] & down[:-1]]
    return down_s, np.append(np.minimum(up_s, last_s + _RING_S), last_s)[: len(down_s)]


def _pedal_curve(song: MidiEvents, clock: TempoMap) -> tuple[np.ndarray, np.ndarray]:
    """The sustain pedal as steps: seconds, and the maximum over the channels, 0 to 1."""
    events = sorted(e for track in song.tracks for e in track if e.kind == me.CONTROL and e.number == me.SUSTAIN)
    position = [0] * 16
    values = []
    for event in events:
        position[event.channel] = event.value
        values.append(max(position) / 127)
    return clock.seconds(np.array([event.tick for event in events], np.int64)), np.array(values)


def _beats(song: MidiEvents, clock: TempoMap, end_s: float) -> np.ndarray:
    """Beat times in seconds: the denominator of the time signature, or three of it in 6/8, 9/8 and 12/8."""
    signatures = [me.TimeSignature(0, 4, 4), *sorted(s for s in song.signatures if s.tick < song.last_tick)]
    edges = [*(signature.tick for signature in signatures), song.last_tick]
    steps = [4 * song.ticks_per_beat / s.denominator * (3 if _is_compound(s) else 1) for s in signatures]
    spans = list(zip(edges[:-1], edges[1:], steps, strict=True))
    if sum((end - start) / step for start, end, step in spans) > _MAX_BEATS_PER_S * end_s + 1:
        return np.zeros(0)
    return clock.seconds(np.concatenate([np.arange(start, end, step) for start, end, step in spans]))


def _is_compound(signature: me.TimeSignature) -> bool:
    return signature.denominator >= 8 and signature.numerator % 3 == 0 and signature.numerator > 3


def read_chords(path: Path | str) -> tuple[tuple[float, float, str], ...]:
    """Annotated chords (start_s, end_s, label) of a .lab file: three columns, labels as in `C:min7/b3` or `N`."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    chords = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                start_s, end_s, label = line.split()
                chords.append((float(start_s), float(end_s), label))
            except ValueError:
                raise InputError(f"{path}: line {number}: expected start, end and label, got {line[:60]!r}") from None
    return tuple(chords)


def write_midi(score: Score, path: Path) -> None:
    """The notes of a score as a MIDI file, one track a part, at the score's first tempo and 960 ticks a beat."""
    tempo = mido.bpm2tempo(float(score.tempo_bpm[0]))
    ticks_a_second = 1e6 * TICKS_A_BEAT / tempo
    song = mido.MidiFile(ticks_per_beat=TICKS_A_BEAT)
    song.tracks.append(mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=tempo)]))
    for place, part in enumerate(np.unique(score.notes.part)):
        notes = score.notes.select(score.notes.part == part)
        channel = DRUM_CHANNEL if notes.is_drum[0] else PITCHED_CHANNELS[place % len(PITCHED_CHANNELS)]
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=f"part {part}")])
        track.append(mido.Message("program_change", channel=channel, program=int(notes.program[0])))
        track.extend(_messages(notes, channel, ticks_a_second))
        song.tracks.append(track)
    buffer = io.BytesIO()
    song.save(file=buffer)
    write_bytes(path, buffer.getvalue())


def _messages(notes: NoteTable, channel: int, ticks_a_second: float) -> Iterator[mido.Message]:
    """The strikes and ends of a part's notes, each so many ticks after the one before; ends come first."""
    onset = np.rint(notes.onset_s * ticks_a_second).astype(int)
    offset = np.maximum(np.rint(notes.offset_s * ticks_a_second).astype(int), onset + 1)
    silence = np.zeros(len(notes))
    ends, strikes = (offset, silence, notes.pitch), (onset, notes.velocity, notes.pitch)
    events = np.concatenate([np.stack(ends, 1), np.stack(strikes, 1)]).astype(int).tolist()
    now = 0
    for tick, velocity, pitch in sorted(events):
        yield mido.Message("note_on", channel=channel, note=pitch, velocity=velocity, time=tick - now)
        now = tick
