"""The manifest is read back as it was written, and no group is split."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsmad_cli.datasets.manifest import (
    SPLITS,
    Item,
    choose,
    read_manifest,
    read_pack,
    split_by_group,
    write_manifest,
)
from hsmad_cli.errors import InputError


def test_a_manifest_is_read_back_with_paths_relative_to_itself(pack: Path, tmp_path: Path) -> None:
    items = read_pack(pack)
    (tmp_path / "manifest.jsonl").write_bytes(write_manifest(items, tmp_path))
    again = read_manifest(tmp_path)
    assert [item.id for item in again] == [item.id for item in items]
    assert all(Path(item.midi).is_file() for item in again)
    assert str(pack) not in (tmp_path / "manifest.jsonl").read_text()


def test_a_pack_is_a_manifest(pack: Path) -> None:
    assert read_manifest(pack) == read_pack(pack)
    assert not any(item.official for item in read_pack(pack))


def test_items_of_a_group_are_in_one_split(pack: Path) -> None:
    splits: dict[str, set[str]] = {}
    for item in read_pack(pack):
        splits.setdefault(item.group, set()).add(item.split)
    assert all(len(found) == 1 for found in splits.values())


def test_splits_are_about_ninety_five_five() -> None:
    found = [split_by_group(f"group {n}") for n in range(2000)]
    train, validation, test = (found.count(split) / 2000 for split in SPLITS)
    assert abs(train - 0.9) < 0.03
    assert abs(validation - 0.05) < 0.02
    assert abs(test - 0.05) < 0.02


def test_choose_takes_splits_and_tiers() -> None:
    items = [Item("a", "a.mid", tier="A"), Item("b", "b.mid", tier="B"), Item("c", "c.mid", split="test")]
    assert choose(items, ("train",), ("A",)) == items[:1]
    with pytest.raises(InputError, match="no item"):
        choose(items, ("validation",), ("A",))


@pytest.mark.parametrize(
    "line",
    [
        "{",
        '{"id": "a"}',
        '{"id": "a", "midi": "b", "split": "dev"}',
        '{"id": "a", "midi": 3}',
        '{"what": 1}',
        '{"id": "a", "midi": "b", "official": "yes"}',
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text('{"id": "fine", "midi": "fine.mid"}\n' + line + "\n")
    with pytest.raises(InputError, match=r"manifest\.jsonl:2"):
        read_manifest(path)


def test_an_absent_manifest_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_manifest(tmp_path / "absent.jsonl")
    with pytest.raises(InputError, match="neither"):
        read_manifest(tmp_path)
