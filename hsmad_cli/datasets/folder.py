"""A plain folder of music: song.mid, its recording song.wav (or .flac, .ogg, .mp3), chords song.lab, words song.txt."""

from __future__ import annotations

from pathlib import Path

from hsmad_cli.datasets.manifest import SPLITS, Item, Listing, split_by_group
from hsmad_cli.datasets.recordings import by_name

MIDI_SUFFIXES = (".mid", ".midi")
CHORD_SUFFIXES = (".chords.lab", ".lab")


def read_folder(folder: Path) -> Listing:
    """Every MIDI file in a folder and the folders in it, hidden ones apart, with what has the same name beside it.

    A score without a recording is one to render; a recording without a score and a second score of a name are problems.
    Folders named after splits make these splits; else each score is a group of its own, split by hash.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path.relative_to(folder)))
    recordings, problems = by_name(files), []
    scores: dict[Path, Path] = {}
    for path in (path for path in files if path.suffix.lower() in MIDI_SUFFIXES):
        first = scores.setdefault(path.with_suffix(""), path)
        if first != path:
            problems.append(f"{path}: of the same name as {first.name}, which is taken; rename one")
    strays = [path for name, path in recordings.items() if name not in scores]
    problems += [f"{path}: a recording without a MIDI file beside it" for path in sorted(strays)]
    return Listing(tuple(_item(path, recordings.get(name), folder) for name, path in scores.items()), tuple(problems))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _item(midi: Path, audio: Path | None, folder: Path) -> Item:
    name, words = midi.relative_to(folder).with_suffix(""), midi.with_suffix(".txt")
    chords = (midi.with_name(midi.stem + suffix) for suffix in CHORD_SUFFIXES)
    return Item(
        id=str(name),
        midi=str(midi),
        audio=None if audio is None else str(audio),
        split=name.parts[0] if name.parts[0] in SPLITS else split_by_group(str(name)),
        group=str(name),
        caption=words.read_text(encoding="utf-8", errors="replace").partition("\n")[0] if words.is_file() else "",
        chords=next((str(path) for path in chords if path.is_file()), None),
    )
