"""A pack of tiny scores, one of them as it is, and a soundfont that every installation has."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tiny_scores import make_score

from hsmad_cli.files.midi import write_midi
from hsmad_cli.symbolic.notes import Score
from hsmad_cli.synth.soundfonts import packaged_soundfont

COLUMNS = ("path", "licence", "tier", "seconds", "has_chord_annotation", "genre", "caption", "group")


@pytest.fixture
def score() -> Score:
    return make_score()


@pytest.fixture(scope="session")
def soundfont() -> Path:
    path = packaged_soundfont()
    assert path is not None
    return path


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MIDI pack of four scores in three groups."""
    folder = tmp_path_factory.mktemp("pack")
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for index, (group, genre) in enumerate([("a", "jazz"), ("a", "jazz"), ("b", "rock"), ("c", "hymn")]):
            write_midi(make_score(index, with_drums=genre != "hymn"), folder / f"song{index}.mid")
            row = (f"song{index}.mid", "CC0-1.0", "A", "12.0", "0", genre, f"a {genre} tune", group)
            table.writerow(dict(zip(COLUMNS, row, strict=True)))
    return folder
