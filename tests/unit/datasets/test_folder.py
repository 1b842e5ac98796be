"""A plain folder: what belongs together has one name."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_trees import write_part, write_sound

from hsmad_cli.datasets.layouts import checked, list_folder
from hsmad_cli.datasets.recordings import recording
from hsmad_cli.datasets.scores import read_score
from hsmad_cli.errors import InputError


def test_pairs_words_and_chords_are_found_by_name(tmp_path: Path) -> None:
    write_part(tmp_path / "a" / "song.mid", (60, 62))
    write_sound(tmp_path / "a" / "song.flac")
    (tmp_path / "a" / "song.txt").write_text("upright piano\nanother line\n")
    (tmp_path / "a" / "song.lab").write_text("0.0 1.0 C:maj\n")
    write_part(tmp_path / "alone.MIDI", (60, 62))
    write_sound(tmp_path / "stray.wav")
    layout, listing = list_folder(tmp_path)
    assert layout == "folder"
    song, alone = listing.items
    assert (song.id, song.audio, song.caption) == ("a/song", str(tmp_path / "a" / "song.flac"), "upright piano")
    assert read_score(song).chords == ((0.0, 1.0, "C:maj"),)
    assert alone.audio is None
    assert listing.problems == (f"{tmp_path / 'stray.wav'}: a recording without a MIDI file beside it",)
    assert checked(listing, 1).items[0].duration_s == pytest.approx(0.9 + 2.0, abs=0.01)


@pytest.mark.parametrize("name", ["song.WAV", "song.Flac"])
def test_the_case_of_a_suffix_is_of_no_account(tmp_path: Path, name: str) -> None:
    write_part(tmp_path / "song.mid", (60, 62))
    (tmp_path / name).write_bytes(b"sound")
    assert recording(tmp_path / "song.wav") == tmp_path / name
    _, listing = list_folder(tmp_path)
    assert listing.items[0].audio == str(tmp_path / name)
    assert not listing.problems


def test_the_name_itself_comes_first_then_wav(tmp_path: Path) -> None:
    for suffix in (".OGG", ".flac", ".WAV"):
        (tmp_path / f"a[1]{suffix}").touch()
    (tmp_path / "a[1].b.wav").touch()
    assert recording(tmp_path / "a[1].flac") == tmp_path / "a[1].flac"
    assert recording(tmp_path / "a[1].mp3") == tmp_path / "a[1].WAV"
    assert recording(tmp_path / "a.wav") is recording(tmp_path / "none" / "a.wav") is None


def test_a_second_score_of_a_name_is_a_problem(tmp_path: Path) -> None:
    for name in ("two.mid", "two.midi", "other/two.mid"):
        write_part(tmp_path / name, (60,))
    _, listing = list_folder(tmp_path)
    assert [(item.id, Path(item.midi).suffix) for item in listing.items] == [("other/two", ".mid"), ("two", ".mid")]
    (problem,) = listing.problems
    assert problem.startswith(f"{tmp_path / 'two.midi'}: ")
    assert "two.mid," in problem


def test_hidden_files_and_folders_are_left_alone(tmp_path: Path) -> None:
    root = tmp_path / ".music"
    for name in ("a.mid", ".b.mid", ".hid/x.mid", "c/.hid/deep/x.mid"):
        write_part(root / name, (60,))
    assert [item.id for item in list_folder(root)[1].items] == ["a"]


def test_folders_named_after_splits_make_them(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        write_part(tmp_path / split / f"{split}.mid", (60,))
    assert all(item.id.startswith(item.split) for item in list_folder(tmp_path)[1].items)


def test_processes_find_what_one_finds(tmp_path: Path) -> None:
    for index in range(5):
        write_part(tmp_path / f"{index}.mid", (60, 62))
    (tmp_path / "3.mid").write_bytes(b"MThd")
    _, listing = list_folder(tmp_path)
    assert checked(listing, 2) == checked(listing, 1)
    assert [item.id for item in checked(listing, 1).items] == ["0", "1", "2", "4"]


def test_a_folder_without_music_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no MAESTRO table"):
        list_folder(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        list_folder(tmp_path / "absent")
