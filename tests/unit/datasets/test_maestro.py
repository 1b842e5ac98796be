"""MAESTRO as its archive unpacks: official splits, pedal, and what is said when files are missing or damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_trees import COLUMNS, LISZT, write_maestro, write_sound

from hsmad_cli.datasets.layouts import checked, list_folder
from hsmad_cli.datasets.maestro import read_maestro
from hsmad_cli.datasets.scores import read_score
from hsmad_cli.errors import InputError


@pytest.fixture
def maestro(tmp_path: Path) -> Path:
    return write_maestro(tmp_path)


def test_performances_come_with_official_splits_and_words(maestro: Path) -> None:
    layout, listing = list_folder(maestro)
    assert layout == "MAESTRO"
    assert [item.split for item in listing.items] == ["train", "validation", "test"]
    first, second, _ = listing.items
    assert first.id == LISZT
    assert second.caption == "solo piano, Frédéric Chopin, Étude Op. 10, No. 4, concert recording of 2008"
    assert second.group == "Frédéric Chopin: Étude Op. 10, No. 4"
    assert (first.licence, first.tier, first.duration_s) == ("CC-BY-NC-SA-4.0", "B", 4.0)
    assert all(item.official for item in listing.items)
    assert listing == checked(listing, 1)


def test_the_folder_around_it_and_the_json_alone_say_the_same(maestro: Path) -> None:
    assert list_folder(maestro.parent) == list_folder(maestro)
    from_json = read_maestro(maestro / "maestro-v3.0.0.json")
    assert from_json == read_maestro(maestro / "maestro-v3.0.0.csv")


def test_the_pedal_carries_notes(maestro: Path) -> None:
    score = read_score(list_folder(maestro)[1].items[0])
    assert score.notes.pitch.tolist() == [60, 64, 67, 72]
    np.testing.assert_allclose(score.notes.offset_s, [1.4, 1.4, 1.4, 1.9], atol=2e-3)
    np.testing.assert_allclose(score.pedal_s, [0.1, 1.4], atol=2e-3)


def test_recordings_may_have_become_flac(maestro: Path) -> None:
    (maestro / f"{LISZT}.wav").unlink()
    write_sound(maestro / f"{LISZT}.flac", channels=2)
    listing = checked(list_folder(maestro)[1], 1)
    assert listing.items[0].audio == str(maestro / f"{LISZT}.flac")
    assert not listing.problems


def test_without_any_recording_they_are_scores(tmp_path: Path) -> None:
    listing = list_folder(write_maestro(tmp_path, with_audio=False))[1]
    assert [item.audio for item in listing.items] == [None] * 3
    assert not listing.problems


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


@pytest.mark.parametrize(
    ("name", "spoil", "words"),
    [
        (f"{LISZT}.wav", Path.unlink, "no such file"),
        (f"{LISZT}.midi", Path.unlink, "no such file"),
        (f"{LISZT}.midi", damage, "MIDI"),
        (f"{LISZT}.wav", damage, "before the last note"),
        (f"{LISZT}.wav", lambda path: path.write_bytes(b"not audio"), "not a whole recording"),
    ],
)
def test_what_is_missing_or_corrupt_is_named(maestro: Path, name: str, spoil, words: str) -> None:
    spoil(maestro / name)
    listing = checked(list_folder(maestro)[1], 1)
    assert [item.split for item in listing.items] == ["validation", "test"]
    (problem,) = listing.problems
    assert name in problem
    assert words in problem


def test_a_flac_cut_short_is_found(maestro: Path) -> None:
    (maestro / f"{LISZT}.wav").unlink()
    write_sound(maestro / f"{LISZT}.flac")
    damage(maestro / f"{LISZT}.flac")
    assert "not a whole recording" in checked(list_folder(maestro)[1], 1).problems[0]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", ",".join(COLUMNS) + "\nx,y,dev,2004,a.midi,a.wav,3\n"])
def test_another_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "maestro-v3.0.0.csv").write_text(text)
    with pytest.raises(InputError, match=r"maestro-v3\.0\.0\.csv: not the table of MAESTRO"):
        list_folder(tmp_path)
