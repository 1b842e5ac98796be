"""hsmad caption: one line a score, and the same that `sample` takes."""

from __future__ import annotations

import json
from pathlib import Path


def test_one_line_for_each_score(hsmad, song: Path) -> None:
    lines = hsmad("caption", song, song).out.decode().splitlines()
    alone = hsmad("caption", song).out.decode()
    assert "piano" in alone
    assert lines == [f"{song}\t{alone.strip()}"] * 2


def test_a_stored_score_has_the_caption_of_its_midi_file(hsmad, song: Path) -> None:
    assert hsmad("render-srm", song, "-o", "song.npz").code == 0
    assert hsmad("caption", "song.npz").out == hsmad("caption", song).out


def test_json_and_a_bad_file_among_good_ones(hsmad, song: Path) -> None:
    Path("bad.mid").write_bytes(b"no score")
    done = hsmad("caption", "--json", "bad.mid", song)
    assert done.code == 8
    assert "bad.mid" in done.err
    report = json.loads(done.out)
    assert set(report) == {"input", "caption"}
    assert report["caption"] == hsmad("caption", song).out.decode().strip()
    assert hsmad("caption", "bad.mid").code == 3
