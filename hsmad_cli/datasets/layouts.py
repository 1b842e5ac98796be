"""From a folder of music to its list: which layout it has, and what of it is missing or corrupt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hsmad_cli.datasets.folder import read_folder
from hsmad_cli.datasets.maestro import maestro_table, read_maestro
from hsmad_cli.datasets.manifest import PACK_TABLE, Item, Listing, read_pack
from hsmad_cli.datasets.recordings import recording_seconds
from hsmad_cli.datasets.scores import read_score
from hsmad_cli.datasets.slakh import read_slakh, slakh_tracks
from hsmad_cli.datasets.workers import in_order
from hsmad_cli.errors import InputError


def list_folder(folder: Path) -> tuple[str, Listing]:
    """The layout of a folder (MAESTRO, Slakh2100, MIDI pack or folder) and what it holds.

    Only tables and names are read: `checked` reads the rest. Raises InputError if there is nothing of use.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    table, tracks = maestro_table(folder), slakh_tracks(folder)
    if table is not None:
        layout, listing = "MAESTRO", read_maestro(table)
    elif tracks:
        layout, listing = "Slakh2100", read_slakh(tracks)
    elif (folder / PACK_TABLE).is_file():
        layout, listing = "MIDI pack", Listing(tuple(read_pack(folder)))
    else:
        layout, listing = "folder", read_folder(folder)
    if not (listing.items or listing.problems):
        raise InputError(f"{folder}: no MAESTRO table, Slakh track, {PACK_TABLE} or MIDI file in it")
    return layout, listing


def checked(listing: Listing, workers: int, progress: Callable[[int, int], None] | None = None) -> Listing:
    """The listing without what cannot be read, which becomes problems; durations that no table gave are filled in."""
    kept, problems = [], list(listing.problems)
    for done, outcome in enumerate(in_order(_checker, listing.items, workers), 1):
        if isinstance(outcome, Item):
            kept.append(outcome)
        else:
            problems.append(outcome)
        if progress is not None:
            progress(done, len(listing.items))
    return replace(listing, items=tuple(kept), problems=tuple(problems))


def _checker() -> Callable[[Item], Item | str]:
    return check


def check(item: Item) -> Item | str:
    """The item with its duration, or what is wrong with it: a file that cannot be read, or that ends too early."""
    try:
        score = read_score(item)
        audio_s = None if item.audio is None else recording_seconds(Path(item.audio))
    except InputError as error:
        return str(error)
    last_s = float(score.notes.onset_s.max())
    if audio_s is not None and audio_s < last_s:
        return f"{item.audio}: ends at {audio_s:.1f} s, before the last note at {last_s:.1f} s"
    return replace(item, duration_s=item.duration_s or round(score.duration_s, 3))
