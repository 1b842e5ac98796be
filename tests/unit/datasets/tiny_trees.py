"""Miniature MAESTRO and Slakh2100, laid out as their archives unpack, with a few seconds of music a track."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pretty_midi
import soundfile
import yaml

COLUMNS = ("canonical_composer", "canonical_title", "split", "year", "midi_filename", "audio_filename", "duration")
LISZT = "2018/MIDI-Unprocessed_Chamber3_MID--AUDIO_10_R3_2018_wav--1"
PERFORMANCES = (
    ("Alban Berg", "Sonata Op. 1", "train", "2018", LISZT),
    ("Frédéric Chopin", "Étude Op. 10, No. 4", "validation", "2008", "2008/MIDI-Unprocessed_02_R1_2008_01-05_wav--2"),
    ("Johann Sebastian Bach / Ferruccio Busoni", "Chaconne", "test", "2004", "2004/MIDI-Unprocessed_SMF_02_R1_wav"),
)
SECONDS = 4.0

GUITAR = {"inst_class": "Guitar", "is_drum": False, "midi_program_name": "Acoustic Guitar (steel)", "program_num": 25}
BASS = {"inst_class": "Bass", "is_drum": False, "midi_program_name": "Fretless Bass", "program_num": 35}
DRUMS = {"inst_class": "Drums", "is_drum": True, "midi_program_name": "Drums", "program_num": 128}


def write_sound(path: Path, seconds: float = SECONDS, channels: int = 1, rate: int = 44100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (round(seconds * rate), channels))
    soundfile.write(path, noise, rate, subtype="PCM_16")


def write_part(
    path: Path, pitches: tuple[int, ...], program: int = 0, is_drum: bool = False, pedal: tuple[float, ...] = ()
) -> None:
    """One note of 0.4 s every half second; the pedal goes down and up in turn at the times of `pedal`."""
    song = pretty_midi.PrettyMIDI(initial_tempo=120)
    part = pretty_midi.Instrument(program, is_drum)
    part.notes = [pretty_midi.Note(80, pitch, i / 2, i / 2 + 0.4) for i, pitch in enumerate(pitches)]
    part.control_changes = [pretty_midi.ControlChange(64, 127 * (i % 2 == 0), time) for i, time in enumerate(pedal)]
    song.instruments.append(part)
    path.parent.mkdir(parents=True, exist_ok=True)
    song.write(str(path))


def write_maestro(parent: Path, with_audio: bool = True) -> Path:
    """maestro-v3.0.0 with one performance a split, 16-bit stereo, at 44.1 and 48 kHz."""
    folder = parent / "maestro-v3.0.0"
    rows = []
    for index, (composer, title, split, year, stem) in enumerate(PERFORMANCES):
        write_part(folder / f"{stem}.midi", (60, 64, 67, 72), pedal=(0.1, 1.4))
        if with_audio:
            write_sound(folder / f"{stem}.wav", channels=2, rate=48000 if index == 0 else 44100)
        values = (composer, title, split, year, f"{stem}.midi", f"{stem}.wav", f"{SECONDS:.6f}")
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    with (folder / "maestro-v3.0.0.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    columns = {name: {str(i): row[name] for i, row in enumerate(rows)} for name in COLUMNS}
    (folder / "maestro-v3.0.0.json").write_text(json.dumps(columns))
    return folder


def write_track(folder: Path, uuid: str, suffix: str = ".flac") -> Path:
    """A track of Slakh: guitar with a pedal, bass, and drums; a fourth stem that was never rendered."""
    stems = {}
    for index, about in enumerate((GUITAR, BASS, DRUMS, GUITAR)):
        rendered = index < 3
        loudness = -12.8 if rendered else None
        stems[f"S{index:02d}"] = {
            "audio_rendered": rendered, "integrated_loudness": loudness, "midi_saved": rendered,
            "plugin_name": "elektrik_guitar.nkm", **about,
        }  # fmt: skip
    write_part(folder / "MIDI" / "S00.mid", (64, 67, 71, 64), 25, pedal=(0.1, 0.9))
    write_part(folder / "MIDI" / "S01.mid", (40, 40, 43, 43), 35)
    write_part(folder / "MIDI" / "S02.mid", (36, 38, 36, 38), 0, is_drum=True)
    write_part(folder / "all_src.mid", (100, 100, 100, 100), 5)
    for name in ("mix", "stems/S00", "stems/S01", "stems/S02"):
        write_sound(folder / f"{name}{suffix}")
    metadata = {
        "UUID": uuid, "audio_dir": "stems", "lmd_midi_dir": f"lmd_matched/O/O/H/{uuid}.mid", "midi_dir": "MIDI",
        "normalization_factor": -13.0, "normalized": True, "overall_gain": 0.18, "stems": stems, "target_peak": -1.0,
    }  # fmt: skip
    (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    return folder


def write_slakh(parent: Path) -> Path:
    """slakh2100_flac_redux with a track a split, and one that was omitted."""
    folder = parent / "slakh2100_flac_redux"
    tracks = ("train/Track00001", "validation/Track01501", "test/Track01876", "omitted/Track00049")
    for number, track in enumerate(tracks):
        write_track(folder / track, f"uuid{number}")
    return folder
