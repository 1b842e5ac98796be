"""Fixtures of the tests that go through the command line: tiny weights, a short song, and `hsmad` as a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hsmad_cli.symbolic.notes import NoteTable, Score


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of untrained weights of the tiny preset, laid out as hsmad ships them."""
    from tiny_weights import write_weights

    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MIDI file of 1.1 s: four notes of a piano and a bass, and two strikes of a drum; 3.1 s of audio."""
    from hsmad_cli.files.midi import write_midi

    notes = NoteTable(
        onset_s=np.array([0.0, 0.0, 0.1, 0.25, 0.5, 0.75]),
        offset_s=np.array([0.5, 1.1, 0.2, 0.5, 0.6, 1.0]),
        pitch=np.array([60, 36, 38, 64, 38, 67]),
        velocity=np.array([80, 90, 100, 70, 100, 60]),
        program=np.array([0, 32, 0, 0, 0, 0]),
        is_drum=np.array([False, False, True, False, True, False]),
        part=np.array([0, 1, 2, 0, 2, 0]),
    )
    path = tmp_path_factory.mktemp("songs") / "song.mid"
    write_midi(Score(notes), path)
    return path


@dataclass(frozen=True)
class Outcome:
    """What one run of the command line left: exit code, stdout as bytes, stderr as text."""

    code: int
    out: bytes
    err: str


Hsmad = Callable[..., Outcome]


@pytest.fixture
def hsmad(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Hsmad:
    """`main(argv)` in an empty folder, with the tiny weights installed."""
    from hsmad_cli.__main__ import main

    monkeypatch.setenv("HSMAD_WEIGHTS", str(tiny_weights))
    monkeypatch.chdir(tmp_path)

    def run(*argv: object) -> Outcome:
        capfdbinary.readouterr()
        code = main([str(argument) for argument in argv])
        captured = capfdbinary.readouterr()
        return Outcome(code, captured.out, captured.err.decode())

    return run
