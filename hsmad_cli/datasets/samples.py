"""A clip as the files of one WebDataset sample: a sound or its latents, an npz of arrays and a JSON of words."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np

from hsmad_cli.datasets.factory import Clip
from hsmad_cli.datasets.manifest import Item
from hsmad_cli.datasets.sheets import NOTE_DTYPES, Rates, Sheet, sheet_of
from hsmad_cli.errors import InputError

FLAC, INT16, LATENTS = "flac", "audio.npy", "latents.npy"
ARRAYS, WORDS = "npz", "json"
_SHEET_ARRAYS = ("pedal_s", "pedal_value", "chord", "key", "tempo")
_SHEET_WORDS = ("n_samples", "captions", "tags", "item_id", "recipe", "soundfont")


@dataclass(frozen=True)
class Sample:
    """A clip on disk. audio: int16 [n_samples, 2], or None where latents, float16 [T_H, C], took its place.

    beats_s: seconds of the beats in the clip. group, split: of its item. annotated: whether its chords are annotated
    rather than derived from the notes.
    """

    sheet: Sheet
    audio: np.ndarray | None
    latents: np.ndarray | None
    beats_s: np.ndarray
    group: str
    split: str
    annotated: bool


def sample_of(clip: Clip, item: Item, rates: Rates) -> Sample:
    """The sample of a clip of this item."""
    sheet = sheet_of(clip, rates)
    audio = np.ascontiguousarray(clip.audio[:, : sheet.n_samples].T)
    return Sample(sheet, audio, None, clip.score.beats_s, item.group, item.split, bool(clip.score.chords))


def pack(sample: Sample, sound: str, sample_rate: int) -> dict[str, bytes]:
    """The files of a sample by extension; equal samples give equal bytes. sound: FLAC, INT16 or LATENTS."""
    sheet = sample.sheet
    arrays = {f"note_{name}": column for name, column in sheet.notes.items()}
    arrays |= {name: getattr(sheet, name) for name in _SHEET_ARRAYS}
    words = {name: getattr(sheet, name) for name in _SHEET_WORDS}
    words |= {
        "group": sample.group, "split": sample.split, "sample_rate": sample_rate,
        "chords": "annotated" if sample.annotated else "derived",
    }  # fmt: skip
    buffer = BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, beats_s=sample.beats_s, **arrays)
    sounding = sample.latents if sound == LATENTS else sample.audio
    if sounding is None:
        raise ValueError(f"a sample without what {sound} holds")
    data = _flac(sounding, sample_rate) if sound == FLAC else npy_bytes(sounding)
    text = json.dumps(words, ensure_ascii=False, sort_keys=True)
    return {sound: data, ARRAYS: buffer.getvalue(), WORDS: text.encode()}


def _flac(audio: np.ndarray, sample_rate: int) -> bytes:
    import soundfile

    buffer = BytesIO()
    soundfile.write(buffer, audio, sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def npy_bytes(array: np.ndarray) -> bytes:
    """An array as the bytes of an npy file."""
    buffer = BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def unpack(members: Mapping[str, bytes], name: str) -> Sample:
    """The sample of its files; raises InputError, with `name`, for what is damaged or missing."""
    import soundfile

    try:
        words = json.loads(members[WORDS])
        with np.load(BytesIO(members[ARRAYS]), allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        audio = latents = None
        if FLAC in members:
            audio, _ = soundfile.read(BytesIO(members[FLAC]), dtype="int16", always_2d=True)
        elif INT16 in members:
            audio = read_npy(members[INT16])
        else:
            latents = read_npy(members[LATENTS])
        sheet = _sheet(words, arrays)
        if audio is not None and audio.shape != (sheet.n_samples, 2):
            raise InputError(f"{name}: {len(audio)} samples of audio, {sheet.n_samples} expected")
        annotated = words["chords"] == "annotated"
        return Sample(sheet, audio, latents, arrays["beats_s"], words["group"], words["split"], annotated)
    except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{name}: a damaged clip: {error!r}") from error
    except soundfile.SoundFileError as error:
        raise InputError(f"{name}: damaged audio: {error}") from error


def read_npy(data: bytes) -> np.ndarray:
    array: np.ndarray = np.lib.format.read_array(BytesIO(data), allow_pickle=False)
    return array


def _sheet(words: Mapping, arrays: Mapping[str, np.ndarray]) -> Sheet:
    return Sheet(
        n_samples=words["n_samples"],
        notes={name: arrays[f"note_{name}"] for name in NOTE_DTYPES},
        **{name: arrays[name] for name in _SHEET_ARRAYS},
        captions=tuple(words["captions"]),
        tags=tuple(words["tags"]),
        item_id=words["item_id"],
        recipe=words["recipe"],
        soundfont=words["soundfont"],
    )
