"""Recordings of scores on disk: which file it is, and whether all of it is there."""

from __future__ import annotations

from pathlib import Path

from hsmad_cli.errors import InputError

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


def recording(path: Path) -> Path | None:
    """The recording of this name, whatever its format is now: `mix.flac` may have become `mix.wav`."""
    candidates = (path, *(path.with_suffix(suffix) for suffix in SUFFIXES))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


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
