"""Slakh2100 as its archive unpacks: the score of a track is what its stems played."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from tiny_trees import write_slakh, write_track

from hsmad_cli.datasets.layouts import checked, list_folder
from hsmad_cli.datasets.manifest import read_manifest, write_manifest
from hsmad_cli.datasets.scores import read_score
from hsmad_cli.datasets.slakh import DUPLICATE, OMITTED


@pytest.fixture
def slakh(tmp_path: Path) -> Path:
    return write_slakh(tmp_path)


@pytest.fixture
def track(slakh: Path) -> Path:
    return slakh / "train" / "Track00001"


def change(track: Path, stem: str, **values: object) -> None:
    metadata = yaml.safe_load((track / "metadata.yaml").read_text())
    metadata["stems"][stem] |= values
    (track / "metadata.yaml").write_text(yaml.safe_dump(metadata))


def test_tracks_come_with_official_splits_and_words(slakh: Path) -> None:
    layout, listing = list_folder(slakh)
    assert layout == "Slakh2100"
    assert {item.id: item.split for item in listing.items} == {
        "Track00001": "train", "Track01501": "validation", "Track01876": "test",
    }  # fmt: skip
    assert listing.omitted == {OMITTED: 1}
    assert listing.items[0].caption.endswith("bass and drums")
    assert "guitar" in listing.items[0].caption
    assert {item.licence for item in listing.items} == {"CC-BY-4.0"}
    assert all(item.official for item in listing.items)


def test_a_score_is_what_the_stems_played(slakh: Path) -> None:
    score = read_score(list_folder(slakh)[1].items[-1])
    parts = [score.notes.select(score.notes.part == part) for part in range(3)]
    assert [part.pitch.tolist() for part in parts] == [[64, 67, 71, 64], [40, 40, 43, 43], [36, 38, 36, 38]]
    assert [part.program.tolist() for part in parts] == [[25] * 4, [35] * 4, [0] * 4]
    assert [part.is_drum.any() for part in parts] == [False, False, True]
    np.testing.assert_allclose(parts[0].offset_s, [0.9, 0.9, 1.4, 1.9], atol=2e-3)
    np.testing.assert_allclose(parts[1].offset_s, [0.4, 0.9, 1.4, 1.9], atol=2e-3)
    np.testing.assert_allclose(score.pedal_s, [0.1, 0.9], atol=2e-3)
    assert score.ledger.read == 12
    assert score.ledger.balances()


def test_programs_and_drums_are_those_of_the_metadata(track: Path) -> None:
    change(track, "S01", program_num=33, is_drum=False)
    change(track, "S00", program_num=128, is_drum=True)
    notes = read_score(list_folder(track.parent)[1].items[0]).notes
    assert set(notes.program[notes.part == 1].tolist()) == {33}
    assert notes.is_drum[notes.part == 0].all()
    assert not notes.program[notes.is_drum].any()


def test_a_track_is_read_back_from_its_manifest(slakh: Path) -> None:
    (slakh / "manifest.jsonl").write_bytes(write_manifest(list_folder(slakh)[1].items, slakh))
    first = read_manifest(slakh)[0]
    assert len(read_score(first).notes) == 12
    assert first.official


def test_tracks_side_by_side_are_split_by_number(tmp_path: Path) -> None:
    for number in (1, 1500, 1501, 1876):
        write_track(tmp_path / f"Track{number:05d}", str(number))
    assert [item.split for item in list_folder(tmp_path)[1].items] == ["train", "train", "validation", "test"]


def test_one_source_is_in_one_split(slakh: Path) -> None:
    write_track(slakh / "train" / "Track00002", "uuid2")
    listing = list_folder(slakh)[1]
    assert [item.split for item in listing.items if item.group == "uuid2"] == ["test"]
    assert listing.omitted[DUPLICATE] == 1


def test_wav_copies_will_do(tmp_path: Path) -> None:
    write_track(tmp_path / "Track00001", "a", suffix=".wav")
    listing = checked(list_folder(tmp_path)[1], 1)
    assert listing.items[0].audio == str(tmp_path / "Track00001" / "mix.wav")
    assert not listing.problems


def test_what_was_not_mixed_is_not_in_the_score(track: Path) -> None:
    (track / "MIDI" / "S03.mid").write_bytes((track / "MIDI" / "S00.mid").read_bytes())
    (item,) = list_folder(track.parent)[1].items
    assert len(read_score(item).notes) == 12


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("mix.flac", Path.unlink),
        ("mix.flac", cut),
        ("stems/S01.flac", Path.unlink),
        ("MIDI/S01.mid", Path.unlink),
        ("MIDI/S01.mid", cut),
        ("metadata.yaml", lambda path: path.write_text("stems: [")),
        ("metadata.yaml", lambda path: path.write_text("stems: {S00: {is_drum: false, program_num: 200}}")),
        ("metadata.yaml", lambda path: path.write_text("UUID: a")),
    ],
)
def test_what_is_missing_or_corrupt_is_named(slakh: Path, track: Path, name: str, spoil) -> None:
    spoil(track / name)
    listing = checked(list_folder(slakh)[1], 1)
    assert sorted(item.split for item in listing.items) == ["test", "validation"]
    (problem,) = listing.problems
    assert f"Track00001/{name}" in problem


def test_a_mix_that_ends_before_its_notes_is_found(slakh: Path, track: Path) -> None:
    audio, rate = soundfile.read(track / "mix.flac")
    soundfile.write(track / "mix.flac", audio[:rate], rate)
    assert "before the last note" in checked(list_folder(slakh)[1], 1).problems[0]
