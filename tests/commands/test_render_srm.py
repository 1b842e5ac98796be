"""hsmad render-srm: what the network sees of a score."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from hsmad_cli.files.npz import load_npz


def test_the_roll_of_a_song(hsmad, song: Path) -> None:
    done = hsmad("render-srm", song, "-o", "song.npz", "--json")
    assert done.code == 0
    arrays, meta = load_npz(Path("song.npz"), "srm")
    assert arrays["union_onset"].shape == (155, 88)  # 3.1 s at 50 frames a second
    assert arrays["union_onset"][0, 60 - 21] == pytest.approx(0.5 * 80 / 127)  # half of the kernel lies before time 0
    assert arrays["note_pitch"].tolist() == [60, 36, 38, 64, 38, 67]
    assert meta["programs"] == [0, 32]
    assert meta["drums"] is True
    assert meta["duration_s"] == pytest.approx(3.1)
    assert meta["ledger"]["read"] == 6
    report = json.loads(done.out)
    assert report["frames"] == 155
    assert report["caption"] == meta["caption"]


def test_the_rate_is_that_of_the_codec(hsmad, song: Path) -> None:
    assert hsmad("render-srm", song, "-o", "song.npz", "--frame-rate", "44100/512").code == 0
    arrays, meta = load_npz(Path("song.npz"), "srm")
    assert meta["frame_rate"] == [44100, 512]
    assert len(arrays["union_onset"]) == 268  # 3.1 x 86.13 = 267.01
    wrong = hsmad("sample", "song.npz", "-o", "song.wav")
    assert wrong.code == 3
    assert "song.npz: a roll of 86.1328 frames a second, these weights need 50" in wrong.err
    for rate in ("0", "1/0", "fast", "-5", "50/"):
        assert hsmad("render-srm", song, "-o", "b.npz", "--frame-rate", rate).code == (0 if rate == "50/" else 2)


def test_a_plot(hsmad, song: Path) -> None:
    pytest.importorskip("matplotlib")
    assert hsmad("render-srm", song, "-o", "song.npz", "--plot", "song.png").code == 0
    assert Path("song.png").read_bytes().startswith(b"\x89PNG")
    assert hsmad("render-srm", song, song, "--out-dir", "out", "--plot", "song.png").code == 2


def test_stdout_carries_the_same_bytes(hsmad, song: Path) -> None:
    hsmad("render-srm", song, "-o", "song.npz")
    assert hsmad("render-srm", song).out == hsmad("render-srm", song, "-o", "-").out == Path("song.npz").read_bytes()


def test_dropped_notes_are_reported(hsmad, song: Path) -> None:
    from hsmad_cli.files.midi import read_midi, write_midi

    score = read_midi(song)
    notes = score.notes.with_columns(pitch=np.array([60, 15, 38, 64, 38, 67]))
    write_midi(type(score)(notes), Path("low.mid"))
    done = hsmad("render-srm", "low.mid", "-o", "low.npz")
    assert "low.mid: of 6 notes 1 dropped (pitch outside 21 to 108: 1)" in done.err
    assert "dropped" not in hsmad("render-srm", "low.mid", "-o", "low.npz", "-q").err


def test_repaired_notes_are_a_detail(hsmad) -> None:
    strikes = b"\x00\x90\x3c\x50\x60\x3c\x50\x60\x80\x3c\x00\x00\xff\x2f\x00"
    header = b"MThd\0\0\0\6\0\0\0\1\1\xe0"
    Path("twice.mid").write_bytes(header + b"MTrk" + len(strikes).to_bytes(4, "big") + strikes)
    done, verbose = (hsmad("render-srm", "twice.mid", "-o", "twice.npz", *flags) for flags in ((), ("-v",)))
    assert (done.code, done.err) == (0, "twice.npz\n")
    assert "twice.mid: of 2 notes 1 repaired (" in verbose.err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk(hsmad, song: Path) -> None:
    done = hsmad("render-srm", song, "-o", "/dev/full")
    assert done.code == 6
    assert done.err.startswith("hsmad render-srm: /dev/full: cannot write: No space left on device\n  hint: ")
