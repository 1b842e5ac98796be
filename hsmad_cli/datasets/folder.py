"""A plain folder of music: song.mid, its recording song.wav (or .flac, .ogg, .mp3), chords song.lab, words song.txt."""

from __future__ import annotations

from pathlib import Path

from hsmad_cli.datasets.manifest import SPLITS, Item, Listing, split_by_group
from hsmad_cli.datasets.recordings import SUFFIXES, recording

MIDI_SUFFIXES = (".mid", ".midi")
CHORD_SUFFIXES = (".chords.lab", ".lab")


def read_folder(folder: Path) -> Listing:
    """Every MIDI file in a folder and the folders in it, with what lies beside it under the same name.

    A score without a recording is one to render; a recording without a score is a problem. Folders named after splits
    make these splits; else each score is a group of its own, split by hash.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    scores = [path for path in files if path.suffix.lower() in MIDI_SUFFIXES]
    known = {path.with_suffix("") for path in scores}
    strays = [path for path in files if path.suffix.lower() in SUFFIXES and path.with_suffix("") not in known]
    problems = tuple(f"{path}: a recording without a MIDI file beside it" for path in strays)
    return Listing(tuple(_item(path, folder) for path in scores), problems)


def _item(midi: Path, folder: Path) -> Item:
    name = midi.relative_to(folder).with_suffix("")
    audio, words = recording(midi.with_suffix(SUFFIXES[0])), midi.with_suffix(".txt")
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
