"""Slakh2100: tracks of the Lakh MIDI data set, each stem played by a sampled instrument, and their mix.

A track is a folder TrackNNNNN with metadata.yaml, all_src.mid, mix.flac, MIDI/S00.mid, ... and stems/S00.flac, ...
The stems' MIDI is exactly what was played (all_src.mid is not), so the score of a track is made of it, with programs
and drums from the metadata. Tracks lie in folders of splits, or side by side, split by their numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hsmad_cli.datasets.manifest import SPLITS, Item, Listing
from hsmad_cli.datasets.recordings import recording
from hsmad_cli.errors import InputError
from hsmad_cli.files.midi import read_midi
from hsmad_cli.symbolic.instruments import instruments
from hsmad_cli.symbolic.notes import DRUM_LENGTH_S, Ledger, NoteTable, Score

METADATA = "metadata.yaml"
LICENCE = "CC-BY-4.0"
TIER = "B"
OMITTED = "omitted"
DUPLICATE = "the same MIDI in another split"
LAST_OF_SPLIT = {"train": 1500, "validation": 1875, "test": 2100}
MOST_PLAYERS = 6
STANDARD_KIT = 0


@dataclass(frozen=True)
class Stem:
    """A stem that is heard in the mix. midi: its file. program: of General MIDI (for drums the standard kit's)."""

    midi: Path
    program: int
    is_drum: bool


def slakh_tracks(folder: Path) -> list[Path]:
    """The track folders in a folder, or in its folders of splits, in order."""
    found = (*folder.glob(f"Track*/{METADATA}"), *folder.glob(f"*/Track*/{METADATA}"))
    return sorted(path.parent for path in found)


def read_slakh(tracks: Sequence[Path]) -> Listing:
    """The tracks of Slakh in its official splits.

    Tracks under `omitted` are left out. Of tracks made from one MIDI file of Lakh in several splits (the first release
    has such) only those in the last of train, validation and test stay. Without a single mix (MIDI and metadata alone)
    they are scores to render; else a track without one is missing.
    """
    used = [track for track in tracks if track.parent.name != OMITTED]
    mixes = {track: recording(track / "mix.flac") for track in used}
    recorded = any(mix is not None for mix in mixes.values())
    items, problems = [], []
    for track, mix in mixes.items():
        if recorded and mix is None:
            problems.append(f"{track / 'mix.flac'}: no such file")
            continue
        try:
            items.append(_item(track, mix))
        except InputError as error:
            problems.append(str(error))
    kept = _one_split_a_group(items)
    omitted = Counter({OMITTED: len(tracks) - len(used), DUPLICATE: len(items) - len(kept)})
    return Listing(tuple(kept), tuple(problems), +omitted)


def _item(track: Path, mix: Path | None) -> Item:
    metadata = read_metadata(track / METADATA)
    stems = heard_stems(track, metadata)
    return Item(
        id=track.name,
        midi=str(track / METADATA),
        audio=None if mix is None else str(mix),
        split=_split(track),
        group=str(metadata.get("UUID", track.name)),
        tier=TIER,
        caption=_caption(stems),
        licence=LICENCE,
        official=True,
    )


def _split(track: Path) -> str:
    if track.parent.name in SPLITS:
        return track.parent.name
    digits = re.fullmatch(r"Track(\d+)", track.name)
    if digits is None:
        raise InputError(f"{track}: neither in a folder of a split nor numbered")
    return next((split for split, last in LAST_OF_SPLIT.items() if int(digits[1]) <= last), "train")


def _one_split_a_group(items: Sequence[Item]) -> list[Item]:
    last: dict[str, str] = {}
    for item in items:
        last[item.group] = max(last.get(item.group, item.split), item.split, key=SPLITS.index)
    return [item for item in items if item.split == last[item.group]]


def _caption(stems: Sequence[Stem]) -> str:
    """Who plays, in the words of General MIDI, drums last."""
    names = dict.fromkeys(instruments()[stem.program].names[0] for stem in stems if not stem.is_drum)
    players = [*list(names)[:MOST_PLAYERS], *(["drums"] if any(stem.is_drum for stem in stems) else [])]
    return " and ".join([", ".join(players[:-1]), players[-1]] if len(players) > 1 else players)


def read_metadata(path: Path) -> dict[str, Any]:
    """A track's metadata.yaml, its stems checked; raises InputError."""
    try:
        metadata = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {error}") from error
    stems = metadata.get("stems") if isinstance(metadata, dict) else None
    if not isinstance(stems, dict) or not stems:
        raise InputError(f"{path}: no stems")
    for name, stem in stems.items():
        known = isinstance(stem, dict) and isinstance(stem.get("is_drum"), bool) and _is_program(stem)
        if not known:
            raise InputError(f"{path}: {name} has no is_drum and program_num that make sense")
    return metadata


def _is_program(stem: Mapping[str, Any]) -> bool:
    """Whether the program is one of General MIDI's; Slakh gives drums the number 128."""
    program = stem.get("program_num")
    return type(program) is int and (0 <= program < 128 or stem["is_drum"])


def heard_stems(track: Path, metadata: Mapping[str, Any]) -> list[Stem]:
    """The stems in the mix; raises InputError for one whose notes are not known.

    What lies in `stems` was mixed; the flags audio_rendered and midi_saved count where these folders were left away.
    """
    has_audio = (track / "stems").is_dir()
    found = []
    for name, about in sorted(metadata["stems"].items()):
        midi = track / "MIDI" / f"{name}.mid"
        mixed = recording(track / "stems" / f"{name}.flac") if has_audio else about.get("audio_rendered", True)
        if has_audio and mixed is None and about.get("audio_rendered"):
            raise InputError(f"{track / 'stems' / name}.flac: no such file")
        if not mixed:
            continue
        if not midi.is_file():
            raise InputError(f"{midi}: no such file")
        found.append(Stem(midi, STANDARD_KIT if about["is_drum"] else about["program_num"], about["is_drum"]))
    if not found:
        raise InputError(f"{track}: no stem is heard")
    return found


def read_track(path: Path) -> Score:
    """The score of a track, given its metadata.yaml: a part a stem. Tempo and beats are those of all_src.mid.

    Raises InputError.
    """
    track = path.parent
    stems = heard_stems(track, read_metadata(path))
    scores = [read_midi(stem.midi) for stem in stems]
    tables = [_as_stem(score.notes, part, stem) for part, (score, stem) in enumerate(zip(scores, stems, strict=True))]
    columns = [table.columns() for table in tables]
    notes = NoteTable(**{name: np.concatenate([table[name] for table in columns]) for name in NoteTable.DTYPES})
    source = track / "all_src.mid"
    clock = read_midi(source) if source.is_file() else max(scores, key=lambda score: score.duration_s)
    pedal_s, pedal_value = _highest([s for s, stem in zip(scores, stems, strict=True) if not stem.is_drum])
    return Score(
        notes=notes.sorted(),
        tempo_s=clock.tempo_s,
        tempo_bpm=clock.tempo_bpm,
        pedal_s=pedal_s,
        pedal_value=pedal_value,
        beats_s=clock.beats_s,
        ledger=_sum([score.ledger for score in scores]),
        title=clock.title,
    )


def _as_stem(notes: NoteTable, part: int, stem: Stem) -> NoteTable:
    same = np.ones(len(notes))
    offset_s = np.maximum(notes.offset_s, notes.onset_s + DRUM_LENGTH_S) if stem.is_drum else notes.offset_s
    return replace(notes, offset_s=offset_s, part=same * part, program=same * stem.program, is_drum=same * stem.is_drum)


def _highest(scores: Sequence[Score]) -> tuple[np.ndarray, np.ndarray]:
    """The pedal that is furthest down, as steps."""
    times = np.unique(np.concatenate([np.zeros(0), *(score.pedal_s for score in scores)]))
    values = np.zeros(len(times))
    for score in scores:
        steps = np.append(0.0, score.pedal_value)
        values = np.maximum(values, steps[np.searchsorted(score.pedal_s, times, side="right")])
    return times, values


def _sum(ledgers: Sequence[Ledger]) -> Ledger:
    return Ledger(
        read=sum(ledger.read for ledger in ledgers),
        rendered=sum(ledger.rendered for ledger in ledgers),
        repaired=dict(sum((Counter(ledger.repaired) for ledger in ledgers), Counter())),
        dropped=dict(sum((Counter(ledger.dropped) for ledger in ledgers), Counter())),
    )
