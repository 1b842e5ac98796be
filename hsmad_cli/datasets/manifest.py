"""The manifest: which scores (and recordings) there are, one JSON object a line.

Paths in the file are relative to the manifest's own folder. Splits are made by group, so that two excerpts of one work
never fall on both sides.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from hsmad_cli.errors import InputError

SPLITS = ("train", "validation", "test")
PACK_TABLE = "manifest.csv"
MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Item:
    """A score and what is known about it.

    midi (a MIDI file, or the metadata.yaml of a Slakh track), audio (a recording; None: the score is rendered), chords
    (a .lab file or None): paths. split: one of SPLITS. official: whether the split is the data set's own. group: what
    must stay on one side of a split. tier: "A" may train shared weights. duration_s: of the score.
    """

    id: str
    midi: str
    audio: str | None = None
    split: str = "train"
    group: str = ""
    tier: str = "A"
    caption: str = ""
    genre: str = ""
    licence: str = ""
    duration_s: float = 0.0
    chords: str | None = None
    official: bool = False


PATHS = ("midi", "audio", "chords")
_KINDS: Mapping[str, type | tuple[type, ...]] = {"float": (int, float), "bool": bool, "str | None": (str, type(None))}


@dataclass(frozen=True)
class Listing:
    """What a folder of music holds.

    problems: a line for each item that is missing or corrupt, which names it. omitted: items left out by a rule of
    their data set, counted by reason.
    """

    items: tuple[Item, ...]
    problems: tuple[str, ...] = ()
    omitted: Mapping[str, int] = field(default_factory=dict)


def split_by_group(group: str) -> str:
    """train (90 %), validation (5 %) or test (5 %), by a hash of the group's name alone."""
    percent = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8]) % 100
    return "train" if percent < 90 else "validation" if percent < 95 else "test"


def write_manifest(items: Iterable[Item], folder: Path) -> bytes:
    """The manifest as UTF-8 bytes, for a file in `folder`."""
    lines = []
    for item in items:
        paths = {name: _relative(getattr(item, name), folder) for name in PATHS}
        lines.append(json.dumps({**asdict(item), **paths}, ensure_ascii=False))
    return "".join(line + "\n" for line in lines).encode()


def _relative(path: str | None, folder: Path) -> str | None:
    return None if path is None else os.path.relpath(path, folder)


def read_manifest(source: str | Path) -> list[Item]:
    """The items of a manifest, of a folder that holds one, or of a MIDI pack (a folder with manifest.csv).

    Raises InputError naming file and line.
    """
    path = Path(source)
    if path.is_dir():
        if (path / MANIFEST).is_file():
            path = path / MANIFEST
        elif (path / PACK_TABLE).is_file():
            return read_pack(path)
        else:
            hint = f"`hsmad manifest {path} -o {path / MANIFEST}` lists what is in it"
            raise InputError(f"{path}: neither {MANIFEST} nor {PACK_TABLE} in this folder", hint)
    items = [_parse(line, f"{path}:{number}", path.parent) for number, line in enumerate(_lines(path), 1) if line]
    if not items:
        raise InputError(f"{path}: no items")
    return items


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", f"`hsmad manifest FOLDER -o {MANIFEST}` makes one") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a manifest (not UTF-8)") from error


def _parse(line: str, where: str, folder: Path) -> Item:
    try:
        values = json.loads(line)
        item = Item(**values)
    except (json.JSONDecodeError, TypeError) as error:
        raise InputError(f"{where}: not a manifest line: {error}") from error
    for column in fields(Item):
        value = getattr(item, column.name)
        if not isinstance(value, _KINDS.get(str(column.type), str)):
            raise InputError(f"{where}: {column.name} is {value!r}")
    if item.split not in SPLITS:
        raise InputError(f"{where}: split {item.split!r} is none of {', '.join(SPLITS)}")
    audio, chords = _absolute(item.audio, folder), _absolute(item.chords, folder)
    return replace(item, midi=str(folder / item.midi), audio=audio, chords=chords)


def _absolute(path: str | None, folder: Path) -> str | None:
    return None if path is None else str(folder / path)


def read_pack(folder: str | Path) -> list[Item]:
    """The items of a MIDI pack: a folder whose manifest.csv names MIDI files, licences, captions and groups."""
    folder = Path(folder)
    try:
        with (folder / PACK_TABLE).open(encoding="utf-8", newline="") as file:
            return [_pack_item(row, folder) for row in csv.DictReader(file)]
    except OSError as error:
        raise InputError(f"{folder / PACK_TABLE}: {error.strerror}") from error
    except (KeyError, ValueError) as error:
        raise InputError(f"{folder / PACK_TABLE}: not the table of a MIDI pack: {error}") from error


def _pack_item(row: dict[str, str], folder: Path) -> Item:
    path = Path(row["path"])
    chords = folder / path.with_suffix(".chords.lab")
    return Item(
        id=str(path.with_suffix("")),
        midi=str(folder / path),
        split=split_by_group(row["group"]),
        group=row["group"],
        tier=row["tier"],
        caption=row["caption"],
        genre=row["genre"],
        licence=row["licence"],
        duration_s=float(row["seconds"]),
        chords=str(chords) if row["has_chord_annotation"] == "1" and chords.is_file() else None,
    )


class NoItemError(InputError):
    """A manifest without an item of the splits and tiers asked for; the hint is the options of those that it has."""


def choose(items: Iterable[Item], splits: Sequence[str], tiers: Sequence[str]) -> list[Item]:
    """The items of these splits and tiers; raises NoItemError if there are none."""
    items = list(items)
    chosen = [item for item in items if item.split in splits and item.tier in tiers]
    if not chosen:
        held = sorted({f"--split {item.split} --tier {item.tier}" for item in items})
        hint = f"it holds: {'; '.join(held)}"
        raise NoItemError(f"no item in splits {', '.join(splits)} of tiers {', '.join(tiers)}", hint)
    return chosen
