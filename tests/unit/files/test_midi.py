from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest

from hsmad_cli.errors import InputError
from hsmad_cli.files import midi
from hsmad_cli.files.midi import read_chords, read_midi, write_midi
from hsmad_cli.symbolic.notes import NoteTable, Score

TICKS = 480  # a beat; at the default 120 beats a minute one tick is 1/960 s


def on(tick: int, pitch: int, velocity: int = 80, channel: int = 0) -> tuple[int, mido.Message]:
    return tick, mido.Message("note_on", note=pitch, velocity=velocity, channel=channel)


def off(tick: int, pitch: int, channel: int = 0) -> tuple[int, mido.Message]:
    return tick, mido.Message("note_off", note=pitch, channel=channel)


def pedal(tick: int, value: int, channel: int = 0) -> tuple[int, mido.Message]:
    return tick, mido.Message("control_change", control=64, value=value, channel=channel)


def program(tick: int, number: int, channel: int = 0) -> tuple[int, mido.Message]:
    return tick, mido.Message("program_change", program=number, channel=channel)


def tempo(tick: int, bpm: float) -> tuple[int, mido.MetaMessage]:
    return tick, mido.MetaMessage("set_tempo", tempo=round(6e7 / bpm))


def song(*tracks: Sequence[tuple[int, mido.Message]], ticks_per_beat: int = TICKS) -> bytes:
    """A MIDI file of tracks of (absolute tick, message), in this order."""
    file = mido.MidiFile(ticks_per_beat=ticks_per_beat)
    for events in tracks:
        track, before = mido.MidiTrack(), 0
        for tick, message in events:
            track.append(message.copy(time=tick - before))
            before = tick
        file.tracks.append(track)
    buffer = BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def raw_song(*tracks: bytes, ticks_per_beat: int = TICKS, n_tracks: int | None = None) -> bytes:
    header = struct.pack(">4sIHHH", b"MThd", 6, 1, len(tracks) if n_tracks is None else n_tracks, ticks_per_beat)
    return header + b"".join(struct.pack(">4sI", b"MTrk", len(track)) + track for track in tracks)


def spans(score: Score) -> list[tuple[float, float, int]]:
    """Onset and offset in ticks at 120 beats a minute, and pitch."""
    notes = score.notes
    ends = zip((notes.onset_s * 960).round(6), (notes.offset_s * 960).round(6), notes.pitch, strict=True)
    return [(float(start), float(end), int(pitch)) for start, end, pitch in ends]


def random_song(seed: int, n: int = 300) -> bytes:
    draw = random.Random(seed)
    tracks = []
    for channel in (0, 3, 9):
        events = [program(0, draw.randrange(128), channel)]
        for _ in range(n):
            tick, pitch = draw.randrange(20_000), draw.randrange(10, 120)
            events.append(on(tick, pitch, draw.randrange(128), channel))
            if draw.random() < 0.9:
                events.append(off(tick + draw.choice((0, 1, 50, 400)), pitch, channel))
            if draw.random() < 0.1:
                events.append(pedal(tick, draw.randrange(128), channel))
        tracks.append(sorted(events, key=lambda event: event[0]))
    return song([tempo(0, 97), tempo(5000, 143)], *tracks)


def test_times_programs_and_parts_are_those_of_pretty_midi() -> None:
    data = song(
        [tempo(0, 90), tempo(960, 132.5)],
        [program(0, 40, 2), on(100, 60, 50, 2), off(700, 60, 2), on(1000, 64, 51, 2), off(1500, 64, 2)],
        [on(100, 38, 90, 9), off(200, 38, 9)],
    )
    score, expected = read_midi(data), pretty_midi.PrettyMIDI(BytesIO(data))
    strings = next(part for part in expected.instruments if not part.is_drum)
    mine = score.notes.select(~score.notes.is_drum)
    np.testing.assert_allclose(mine.onset_s, [note.start for note in strings.notes], rtol=1e-12)
    np.testing.assert_allclose(mine.offset_s, [note.end for note in strings.notes], rtol=1e-12)
    assert mine.velocity.tolist() == [50, 51]
    assert mine.program.tolist() == [40, 40]
    assert score.notes.part.tolist() == [0, 1, 0]
    np.testing.assert_allclose(score.tempo_s, [0, 960 / 480 * 60 / 90], rtol=1e-6)
    np.testing.assert_allclose(score.tempo_bpm, [90, 132.5], rtol=1e-5)
    assert score.ledger.read == score.ledger.rendered == 3


def test_tempo_holds_for_all_tracks_wherever_it_stands() -> None:
    score = read_midi(song([on(0, 60), off(960, 60)], [tempo(0, 60), tempo(480, 240)]))
    assert score.notes.offset_s.tolist() == pytest.approx([1.0 + 0.25])


def test_pedal_carries_notes_to_pedal_up() -> None:
    events = [on(0, 60), off(100, 60), pedal(150, 127), on(200, 62), off(300, 62), on(400, 64), off(900, 64)]
    score = read_midi(song([*events[:6], pedal(700, 0), events[6]]))
    assert spans(score) == [(0, 100, 60), (200, 700, 62), (400, 900, 64)]
    assert score.ledger.rendered == 3
    np.testing.assert_allclose(score.pedal_s * 960, [150, 700])
    assert score.pedal_value.tolist() == [1.0, 0.0]


def test_pedal_ends_at_the_next_strike_and_at_the_last_note() -> None:
    events = [pedal(0, 64), on(0, 60), off(100, 60), on(200, 60), off(250, 60), on(260, 62), off(600, 62)]
    score = read_midi(song(events))
    assert spans(score) == [(0, 200, 60), (200, 600, 60), (260, 600, 62)]
    assert score.ledger.rendered == 3


def test_a_pedal_lifted_long_after_the_end_rings_for_ten_seconds() -> None:
    score = read_midi(song([pedal(0, 127), on(0, 60), off(960, 60), pedal(26 * 3600 * 960, 0)]))
    assert score.notes.offset_s.tolist() == [11.0]


def test_pedal_belongs_to_its_channel_on_whatever_track() -> None:
    left = [on(0, 48), off(100, 48), on(500, 48), off(600, 48)]
    other = [on(0, 72, channel=1), off(100, 72, channel=1)]
    score = read_midi(song(left, [pedal(50, 127), pedal(400, 0)], other))
    assert spans(score) == [(0, 400, 48), (0, 100, 72), (500, 600, 48)]


def test_programs_of_another_track_reach_the_channel() -> None:
    score = read_midi(song([program(0, 73, 4)], [on(0, 60, channel=4), off(100, 60, channel=4)]))
    assert score.notes.program.tolist() == [73]


def test_a_program_change_begins_a_new_part() -> None:
    score = read_midi(song([program(0, 10), on(0, 60), program(100, 20), off(100, 60), on(100, 60), off(200, 60)]))
    assert score.notes.program.tolist() == [10, 20]
    assert score.notes.part.tolist() == [0, 1]


def test_overlap_is_cut_at_the_next_strike() -> None:
    score = read_midi(song([on(0, 60), on(100, 60), off(200, 60)]))
    assert spans(score) == [(0, 100, 60), (100, 200, 60)]
    assert score.ledger.repaired == {midi.OVERLAP: 1}
    assert score.ledger.rendered == 1


def test_a_strike_on_the_tick_of_an_end_is_kept() -> None:
    score = read_midi(song([on(0, 60), on(100, 60), off(100, 60), off(200, 60)]))
    assert spans(score) == [(0, 100, 60), (100, 200, 60)]
    assert score.ledger.rendered == 2


def test_notes_without_an_end_last_to_the_end_of_their_track() -> None:
    score = read_midi(song([on(0, 60), on(50, 64), off(480, 64)], [on(0, 40, channel=1), off(960, 40, channel=1)]))
    assert spans(score) == [(0, 480, 60), (0, 960, 40), (50, 480, 64)]
    assert score.ledger.repaired == {midi.NO_END: 1}


def test_all_notes_off_ends_every_note() -> None:
    silence = 300, mido.Message("control_change", control=123, value=0)
    score = read_midi(song([on(0, 60), on(0, 64), silence, on(500, 67), off(600, 67)]))
    assert spans(score) == [(0, 300, 60), (0, 300, 64), (500, 600, 67)]
    assert score.ledger.rendered == 3


def test_zero_length_and_velocity_zero() -> None:
    score = read_midi(song([on(0, 60), off(0, 60), on(100, 62), on(200, 62, velocity=0)]))
    assert spans(score) == [(0, 9.6, 60), (100, 200, 62)]
    assert score.ledger.repaired == {midi.TOO_SHORT: 1}


def test_double_strikes_are_one() -> None:
    strikes = [on(0, 60, 40), on(18, 60, 90), off(100, 60), on(120, 60), off(200, 60)]
    elsewhere = [on(5, 60, channel=1), off(100, 60, channel=1)]
    score = read_midi(song(strikes, elsewhere))
    assert spans(score) == [(0, 100, 60), (5, 100, 60), (120, 200, 60)]
    assert score.notes.velocity.tolist() == [90, 80, 80]
    assert score.ledger.dropped == {midi.MERGED: 1}


def test_pitches_off_the_keyboard_are_dropped() -> None:
    score = read_midi(song([on(0, 20), on(0, 21), on(0, 108), off(9, 20), off(99, 21), off(99, 108), on(99, 109)]))
    assert score.notes.pitch.tolist() == [21, 108]
    assert score.ledger.dropped == {midi.OUT_OF_RANGE: 2}


def test_drums_last_a_tenth_of_a_second_and_have_no_pedal() -> None:
    events = [
        pedal(0, 127, 9),
        on(0, 38, channel=9),
        off(0, 38, channel=9),
        on(960, 42, channel=9),
        off(999, 42, channel=9),
    ]
    score = read_midi(song(events))
    assert spans(score) == [(0, 96, 38), (960, 960 + 96, 42)]
    assert score.notes.is_drum.all()
    assert score.ledger.rendered == 2


@pytest.mark.parametrize("seed", range(5))
def test_ledger_balances_and_notes_are_sound(seed: int) -> None:
    score = read_midi(random_song(seed))
    ledger, notes = score.ledger, score.notes
    assert ledger.balances()
    assert len(notes) == ledger.rendered + sum(ledger.repaired.values())
    assert ledger.read == sum(
        m.type == "note_on" and m.velocity > 0 for m in mido.MidiFile(file=BytesIO(random_song(seed)))
    )
    assert (notes.offset_s - notes.onset_s).min() >= 0.01 - 1e-9
    voices = notes.select(np.lexsort((notes.onset_s, notes.pitch, notes.part)))
    same_voice = (np.diff(voices.part) == 0) & (np.diff(voices.pitch) == 0)
    assert (voices.offset_s[:-1] <= voices.onset_s[1:] + 1e-9)[same_voice].all()


def test_beats_follow_the_time_signature() -> None:
    compound = 0, mido.MetaMessage("time_signature", numerator=6, denominator=8)
    simple = 1440, mido.MetaMessage("time_signature", numerator=3, denominator=4)
    score = read_midi(song([compound, simple], [on(0, 60), off(2880, 60)]))
    np.testing.assert_allclose(score.beats_s * 960, [0, 720, 1440, 1920, 2400])


def test_a_fine_clock_loses_nothing() -> None:
    score = read_midi(
        song([on(0, 60), off(10_000_000, 60), on(20_000_001, 62), off(30_000_000, 62)], ticks_per_beat=30_000)
    )
    np.testing.assert_allclose(score.notes.onset_s, [0, 20_000_001 / 60_000], rtol=1e-14)


def test_a_note_keeps_the_program_that_it_was_struck_with() -> None:
    score = read_midi(song([program(0, 10), on(0, 60), program(50, 20), off(100, 60), on(100, 60), off(200, 60)]))
    assert score.notes.program.tolist() == [10, 20]
    assert spans(score) == [(0, 100, 60), (100, 200, 60)]


def test_a_song_of_27_hours_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "song.mid"
    path.write_bytes(song([tempo(0, 60)], [on(0, 60), off(27 * 3600 * TICKS, 60)]))
    with pytest.raises(InputError, match=r"song\.mid: lasts 27 h, more than the cap of 60 min") as caught:
        read_midi(path)
    assert caught.value.hint == "raise the cap with --max-minutes 1621"


def test_silence_after_the_last_note_does_not_count() -> None:
    late_end = 27 * 3600 * 2 * TICKS, mido.MetaMessage("text", text="the end")
    score = read_midi(song([on(0, 60), off(480, 60), pedal(26 * 3600 * 2 * TICKS, 0), late_end]))
    assert score.notes.end_s == 0.5


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty file"),
        (b"RIFF" + bytes(60), "a sound, and a score"),
        (b"RIFF\0\0\0\0RMID" + bytes(60), "not a MIDI file"),
        (b"MThd\0\0", "not a MIDI file"),
        (raw_song(b"\0\xff\x2f\0", ticks_per_beat=0), "zero ticks per beat"),
        (raw_song(b"\0\xff\x2f\0", ticks_per_beat=0xE728), "SMPTE"),
        (raw_song(b"\0\xff\x2f\0"), "no notes"),
        (raw_song(), "no notes"),
        (raw_song(b"\0\xff\x2f\0", n_tracks=60_000), "cut short in track 2 of 60000"),
        (raw_song(b"\0\x90\x40\x40\x10\x40\0")[:-2], "cut short in track 1 of 1"),
        (raw_song(b"\0\x90\x40"), "track 1 ends in the middle of an event"),
        (raw_song(b"\0\xf0\xff\xff\xff\x7f"), "track 1 ends in the middle of an event"),
        (raw_song(b"\0\x40\x40"), "byte 64 where an event should begin"),
        (raw_song(b"\0\x90\x40\xc0"), "data byte 192 above 127"),
        (raw_song(b"\xff\xff\xff\xff\x7f\x90\x40\x40"), "a number of more than four bytes"),
        (raw_song(b"\0\xf8"), "status byte 0xf8"),
        (raw_song(b"\0\x90\x10\x40\x10\x10\0"), "no note can be played: 1 of 1"),
        (raw_song(b"\0\x90\x40\x40" + b"\x01\x40\x40" * 100_001), "100,002 notes, at most 100,000"),
        (raw_song(b"\0\xd0\x40" + b"\0\x40" * 300_001), "more than 300,000 events"),
        (raw_song(*[b"\0\x90\x40\x40\x10\x40\0"] * 257), "257 parts, at most 256"),
        (raw_song(bytes(17 * 2**20)), "more than 16 MiB"),
    ],
)
def test_bad_files_are_one_clear_line(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_midi(data)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.mid: no such file"):
        read_midi(tmp_path / "absent.mid")
    with pytest.raises(InputError, match="Is a directory"):
        read_midi(tmp_path)


def test_metadata_nobody_needs_may_be_wrong() -> None:
    nonsense = b"\0\xff\x59\2\x63\7" + b"\0\xff\x51\3\0\0\0" + b"\0\xff\x58\4\0\xff\x18\x08" + b"\0\xff\x51\1\7"
    assert read_midi(raw_song(nonsense + b"\0\x90\x40\x40\x83\x60\x40\0")).notes.offset_s.tolist() == [0.5]


def test_damaged_files_end_in_a_score_or_in_one_error() -> None:
    whole = random_song(9, 60)
    for seed in range(300):
        draw = random.Random(seed)
        data = bytearray(whole)
        for _ in range(draw.choice((1, 3, 30))):
            place = draw.randrange(len(data))
            data[place] = draw.choice((draw.randrange(256), data[place] ^ 1, 0, 127))
        if draw.random() < 0.2:
            del data[draw.randrange(len(data)) :]
        try:
            score = read_midi(bytes(data))
        except InputError:
            continue
        assert score.ledger.balances()
        assert np.isfinite(score.notes.offset_s).all()


def test_written_scores_read_back(tmp_path: Path) -> None:
    notes = NoteTable(
        onset_s=[0.0, 0.25, 1.0, 1.5], offset_s=[0.2, 1.0, 1.25, 1.6],
        pitch=[60, 45, 64, 38], velocity=[1, 64, 127, 90],
        program=[5, 33, 5, 16], is_drum=[False, False, False, True], part=[0, 1, 0, 2],
    )  # fmt: skip
    write_midi(Score(notes, tempo_bpm=np.array([93.0])), tmp_path / "score.mid")
    score = read_midi(tmp_path / "score.mid")
    for name, column in notes.columns().items():
        np.testing.assert_allclose(getattr(score.notes, name), column, atol=1e-3, err_msg=name)
    assert score.tempo_bpm.tolist() == pytest.approx([93.0], abs=1e-3)


def test_chords_are_read_with_their_times(tmp_path: Path) -> None:
    path = tmp_path / "song.chords.lab"
    path.write_text("0.0000\t2.5\tBb:maj\n2.5\t4.0\tN\n\n")
    assert read_chords(path) == ((0.0, 2.5, "Bb:maj"), (2.5, 4.0, "N"))
    path.write_text("0.0\t2.5\tBb:maj\n2.5\tC:min\n")
    with pytest.raises(InputError, match="line 2: expected start, end and label"):
        read_chords(path)
