"""Recordings of scores on disk: which file it is, and whether all of it is there."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from hsmad_cli.errors import InputError

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


def recording(path: Path) -> Path | None:
    """The recording of this name, whatever its format is now: `mix.flac` may have become `mix.wav`."""
    if path.is_file():
        return path
    beside = path.parent.glob(f"{glob.escape(path.stem)}.*")
    return by_name(each for each in beside if each.is_file()).get(path.with_suffix(""))


def by_name(files: Iterable[Path]) -> dict[Path, Path]:
    """The recordings among some files, by path without suffix; of those of one name the first in SUFFIXES."""
    found = [path for path in files if path.suffix.lower() in SUFFIXES]
    found.sort(key=lambda path: (SUFFIXES.index(path.suffix.lower()), path), reverse=True)
    return {path.with_suffix(""): path for path in found}


def recording_seconds(path: Path) -> float:
    """Length of a recording whose last sample can be read; raises InputError for one that is damaged or cut short."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            file.seek(max(file.frames - 1, 0))
            if len(file.read(1)) != 1:
                raise InputError(f"{path}: no samples")
            return file.frames / file.samplerate
    except (OSError, soundfile.SoundFileError) as error:
        raise InputError(f"{path}: not a whole recording: {error}") from error
