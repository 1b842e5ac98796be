"""The second engine keeps the contract of the first: on time, the same every time, never clipped."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

from hsmad_cli.errors import ConfigError, InputError
from hsmad_cli.symbolic.notes import NoteTable
from hsmad_cli.synth.engine import DRY, HALL, PEAK, Mix
from hsmad_cli.synth.latency import reaches
from hsmad_cli.synth.soundfonts import packaged_soundfont
from hsmad_cli.synth.tiny import TinySynthesizer

RATE = 44100


def notes_at(
    onset_s: list[float],
    pitch: int = 60,
    program: int = 0,
    is_drum: bool = False,
    velocity: int = 90,
    length_s: float = 0.3,
) -> NoteTable:
    onset, n = np.array(onset_s), len(onset_s)
    columns = (np.full(n, value) for value in (pitch, velocity, program, is_drum, 0))
    return NoteTable(onset, onset + length_s, *columns)


@pytest.fixture(scope="module")
def engine() -> TinySynthesizer:
    pytest.importorskip("tinysoundfont")
    return TinySynthesizer(packaged_soundfont())


def test_without_the_package_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name == "tinysoundfont":
            raise ImportError("No module named 'tinysoundfont'")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match="TinySoundFont cannot be loaded") as caught:
        TinySynthesizer(packaged_soundfont())
    assert caught.value.hint == "pip install --no-deps tinysoundfont"


def test_a_note_is_delayed_by_any_number_of_samples(engine: TinySynthesizer) -> None:
    early = engine.render(notes_at([0.1]), 0.5, room=DRY)
    late = engine.render(notes_at([0.1 + 1001 / RATE]), 0.5, room=DRY)
    np.testing.assert_array_equal(late[:, 1001:15000], early[:, : 15000 - 1001])


@pytest.mark.parametrize(
    ("pitch", "program", "is_drum"),
    [(38, 0, True), (60, 0, False), (40, 33, False), (52, 24, False)],
    ids=["snare", "piano", "electric bass", "nylon guitar"],
)
def test_struck_and_plucked_notes_begin_within_a_millisecond(
    engine: TinySynthesizer, pitch: int, program: int, is_drum: bool
) -> None:
    for onset_s in (0.0377, 0.3):
        audio = engine.render(notes_at([onset_s], pitch, program, is_drum), onset_s + 0.1, room=DRY)
        assert abs(reaches(audio, (0.1,))[0] / RATE - onset_s) < 0.001


def test_gain_follows_the_square_of_velocity_and_of_volume(engine: TinySynthesizer) -> None:
    def peak(velocity: int, volume: int) -> float:
        audio = engine.render(notes_at([0.0], 60, 80, velocity=velocity), 0.4, {0: Mix(volume=volume)}, DRY)
        return float(np.abs(audio).max())

    assert peak(50, 100) / peak(100, 100) == pytest.approx(0.25, rel=0.01)
    assert peak(100, 50) / peak(100, 100) == pytest.approx(0.25, rel=0.01)


def test_a_note_ends_at_its_offset(engine: TinySynthesizer) -> None:
    audio = engine.render(notes_at([0.0], program=16, length_s=0.5), 1.5, room=DRY)
    level = [np.abs(audio[:, round(start * RATE) :][:, :4410]).max() for start in (0.35, 1.2)]
    assert level[0] > 0.01
    assert level[1] < 0.02 * level[0]


def test_the_same_notes_give_the_same_samples_whatever_was_played_before(engine: TinySynthesizer) -> None:
    notes = notes_at([0.0, 0.4], program=48)
    first = engine.render(notes, 1.0, room=HALL)
    engine.render(notes_at(list(np.linspace(0, 1, 30)), pitch=40, program=30, length_s=9.0), 1.5, room=HALL)
    np.testing.assert_array_equal(engine.render(notes, 1.0, room=HALL), first)
    assert np.abs(first).max() <= PEAK + 1e-6


def test_pan_moves_a_part(engine: TinySynthesizer) -> None:
    left, right = np.abs(engine.render(notes_at([0.0], program=73), 0.5, {0: Mix(pan=0)}, DRY)).sum(axis=1)
    assert left > 10 * right


def test_no_notes_are_silence(engine: TinySynthesizer) -> None:
    assert engine.render(NoteTable.empty(), 0.25, room=HALL).shape == (2, RATE // 4)
    assert not engine.render(NoteTable.empty(), 0.25, room=HALL).any()


def test_a_broken_soundfont_is_bad_input(engine: TinySynthesizer, tmp_path) -> None:
    path = tmp_path / "broken.sf2"
    path.write_bytes(b"RIFF\x00\x00\x00\x00sfbk" + bytes(50))
    with pytest.raises(InputError, match="cannot read this soundfont"):
        TinySynthesizer(path)
