"""MAESTRO: concert recordings of piano with what the keys and pedals did, listed in one table.

The folder is as the archive unpacks: maestro-v3.0.0.csv (and .json) beside folders of years with .midi and .wav files.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

from hsmad_cli.datasets.manifest import SPLITS, Item, Listing
from hsmad_cli.datasets.recordings import recording
from hsmad_cli.errors import InputError

LICENCE = "CC-BY-NC-SA-4.0"
TIER = "B"


def maestro_table(folder: Path) -> Path | None:
    """The table of a MAESTRO folder, or of one that lies in this folder."""
    for pattern in ("maestro-v*.csv", "maestro-v*.json", "maestro-v*/maestro-v*.csv", "maestro-v*/maestro-v*.json"):
        found = sorted(folder.glob(pattern))
        if found:
            return found[-1]
    return None


def read_maestro(table: Path) -> Listing:
    """The performances of MAESTRO in its official splits; raises InputError naming the table.

    Without a single recording (the MIDI archive) they are scores to render; else a performance without one is missing.
    """
    rows = _rows(table)
    try:
        paths = [(row, table.parent / row["midi_filename"], _audio(table, row)) for row in rows]
        items = [_item(row, midi, audio) for row, midi, audio in paths]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{table}: not the table of MAESTRO: {error!r}") from error
    recorded = any(audio is not None for _, _, audio in paths)
    problems, kept = [], []
    for (row, midi, audio), item in zip(paths, items, strict=True):
        if not midi.is_file():
            problems.append(f"{midi}: no such file")
        elif recorded and audio is None:
            problems.append(f"{table.parent / row['audio_filename']}: no such file")
        else:
            kept.append(item)
    return Listing(tuple(kept), tuple(problems))


def _rows(table: Path) -> list[dict[str, str]]:
    """One dict of columns a performance, from the CSV, or from the JSON, whose newer form is a dict of columns."""
    try:
        text = table.read_text(encoding="utf-8")
        if table.suffix == ".csv":
            return list(csv.DictReader(text.splitlines()))
        values = json.loads(text)
        if isinstance(values, list):
            return values
        return [{name: column[key] for name, column in values.items()} for key in values["midi_filename"]]
    except OSError as error:
        raise InputError(f"{table}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{table}: not the table of MAESTRO: {error!r}") from error


def _audio(table: Path, row: Mapping[str, str]) -> Path | None:
    return recording(table.parent / row["audio_filename"])


def _item(row: Mapping[str, str], midi: Path, audio: Path | None) -> Item:
    if row["split"] not in SPLITS:
        raise ValueError(f"split {row['split']!r}")
    composer, title = row["canonical_composer"], row["canonical_title"]
    return Item(
        id=str(Path(row["midi_filename"]).with_suffix("")),
        midi=str(midi),
        audio=None if audio is None else str(audio),
        split=row["split"],
        group=f"{composer}: {title}",
        tier=TIER,
        caption=f"solo piano, {composer}, {title}, concert recording of {row['year']}",
        genre="classical piano",
        licence=LICENCE,
        duration_s=float(row["duration"]),
        official=True,
    )
