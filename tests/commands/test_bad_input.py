"""Input that cannot be used: one clear line, the exit code of the design, and nothing written."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

HEADER = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480)
NOTE = b"\x00\x90\x3c\x50" + b"\x83\x60\x80\x3c\x00"
END = b"\x00\xff\x2f\x00"


def midi(events: bytes, header: bytes = HEADER) -> bytes:
    return header + b"MTrk" + struct.pack(">I", len(events)) + events


SOUND = midi(NOTE + END)
HOURS_27 = midi(b"\x00\xff\x51\x03\xff\xff\xff" + (b"\xff\xff\xff\x7f\x90\x3c\x50\x01\x80\x3c\x00") + END)
ZERO_TICKS = midi(NOTE + END, HEADER[:-2] + b"\x00\x00")

BAD = {
    "empty": (b"", "empty file"),
    "text": (b"this is no music, this is a letter", "not a MIDI file"),
    "sound": (b"RIFF\x24\0\0\0WAVEfmt ", "a sound, and a score"),
    "truncated": (SOUND[:-6], "cut short"),
    "header only": (HEADER, "cut short|no notes"),
    "27 hours": (HOURS_27, r"h, more than the cap"),
    "zero ticks": (ZERO_TICKS, "ticks|division"),
    "no notes": (midi(END), "no notes"),
    "zip without arrays": (b"PK\x03\x04 and nothing else", "not an npz file"),
}


@pytest.mark.parametrize("verb", ["sample", "render-srm"])
@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=BAD)
def test_bad_scores(hsmad, verb: str, content: bytes, reason: str) -> None:
    Path("song.mid").write_bytes(content)
    done = hsmad(verb, "song.mid", "-o", "out.wav")
    assert (done.code, done.out) == (3, b"")
    lines = done.err.splitlines()
    assert lines[0].startswith(f"hsmad {verb}: song.mid: ")
    assert re.search(reason, lines[0]), lines[0]
    assert len(lines) == 2
    assert lines[1].startswith("  hint: ")
    assert [path.name for path in Path().iterdir()] == ["song.mid"]


def test_the_good_one_is_good(hsmad) -> None:
    Path("song.mid").write_bytes(SOUND)
    assert hsmad("sample", "song.mid", "-o", "out.wav", "--steps", 1).code == 0


def test_an_npz_of_another_kind_names_the_verb_that_reads_it(hsmad) -> None:
    Path("song.mid").write_bytes(SOUND)
    assert hsmad("render-srm", "song.mid", "-o", "song.npz").code == 0
    done = hsmad("decode", "song.npz", "-o", "out.wav")
    assert (done.code, Path("out.wav").exists()) == (3, False)
    assert done.err.splitlines() == [
        "hsmad decode: song.npz: an npz of kind 'srm', expected 'latent'",
        "  hint: `hsmad sample` reads this kind",
    ]


def test_what_is_no_file(hsmad) -> None:
    Path("folder").mkdir()
    for name, reason in (("absent.mid", "no such file"), ("folder", "is a folder")):
        done = hsmad("sample", name, "-o", "out.wav")
        assert done.code == 3
        assert done.err.splitlines()[0] == f"hsmad sample: {name}: {reason}"
        assert done.err.splitlines()[1].startswith("  hint: ")


def test_a_longer_cap_lets_a_long_song_in(hsmad) -> None:
    Path("song.mid").write_bytes(SOUND)
    done = hsmad("sample", "song.mid", "-o", "out.wav", "--max-minutes", 0.001)
    assert (done.code, "more than the cap" in done.err) == (3, True)
    hsmad("render-srm", "song.mid", "-o", "song.npz")
    done = hsmad("sample", "song.npz", "-o", "out.wav", "--max-minutes", 0.001)
    assert (done.code, "song.npz: " in done.err) == (3, True)


@pytest.mark.parametrize("content", [b"", b"RIFF but no sound", SOUND[:10]])
def test_bad_sounds(hsmad, content: bytes) -> None:
    Path("sound.wav").write_bytes(content)
    done = hsmad("encode", "sound.wav", "-o", "out.npz")
    assert done.code == 3
    assert done.err.startswith("hsmad encode: sound.wav: ")
    assert not Path("out.npz").exists()


def test_a_missing_folder_is_refused_before_the_score_is_read(hsmad) -> None:
    done = hsmad("sample", "absent.mid", "-o", "nodir/out.wav")
    assert (done.code, done.out) == (6, b"")
    assert done.err == "hsmad sample: nodir/out.wav: no such folder\n  hint: make nodir first\n"


def test_an_output_that_cannot_be_written(hsmad) -> None:
    Path("song.mid").write_bytes(SOUND)
    Path("file").write_bytes(b"")
    assert hsmad("sample", "song.mid", "--out-dir", "file").code == 6
