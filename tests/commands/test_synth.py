"""hsmad synth and hsmad latency: notes are heard at their time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
import soundfile

from hsmad_cli.symbolic.notes import N_PITCHES
from hsmad_cli.synth import latency
from hsmad_cli.synth.latency import LatencyTable
from hsmad_cli.synth.soundfonts import packaged_soundfont

ONSET_S = 0.5


@pytest.fixture
def snare(tmp_path: Path) -> Path:
    midi, kit = pretty_midi.PrettyMIDI(), pretty_midi.Instrument(0, is_drum=True)
    kit.notes.append(pretty_midi.Note(100, 38, ONSET_S, ONSET_S + 0.2))
    midi.instruments.append(kit)
    midi.write(str(tmp_path / "snare.mid"))
    return tmp_path / "snare.mid"


def begins_s(path: str) -> float:
    audio, rate = soundfile.read(path, always_2d=True)
    return float(latency.reaches(audio.T, (0.1,))[0] / rate)


@pytest.mark.parametrize("engine", ["fluidsynth", "tinysoundfont"])
def test_a_strike_is_heard_at_its_time(hsmad, snare: Path, engine: str) -> None:
    if engine == "tinysoundfont":
        pytest.importorskip("tinysoundfont")
    done = hsmad(
        "synth", snare, "-o", "a.wav", "--engine", engine, "--soundfont", packaged_soundfont(), "--room", "dry"
    )
    assert done.code == 0
    assert begins_s("a.wav") == pytest.approx(ONSET_S, abs=0.001)


def test_a_table_from_a_file_replaces_the_shipped_one(hsmad, snare: Path) -> None:
    rows = {0: np.full(N_PITCHES, 100.0)}
    Path("own.json").write_text(LatencyTable("own", "0" * 64, np.zeros((128, N_PITCHES)), rows).to_json())
    arguments = ("--soundfont", packaged_soundfont(), "--room", "dry", "--latency", "own.json")
    assert hsmad("synth", snare, "-o", "a.wav", *arguments).code == 0
    assert begins_s("a.wav") == pytest.approx(ONSET_S - 0.1, abs=0.005)
    Path("own.json").write_text("{}")
    wrong = hsmad("synth", snare, "-o", "b.wav", *arguments)
    assert wrong.code == 3
    assert "own.json: no table of latencies" in wrong.err


def test_the_shipped_table_is_what_latency_measures(hsmad, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within 0.4 ms: single pitches differ by 0.3 between FluidSynth 2.3, as of a system, and the bundled 2.5."""
    shipped = latency.shipped_latency(packaged_soundfont())
    monkeypatch.setattr(latency, "N_PROGRAMS", 2)
    done = hsmad("latency", packaged_soundfont(), "-o", "table.json", "--json")
    assert done.code == 0
    measured = json.loads(Path("table.json").read_text())
    assert measured["sha256"] == shipped.sha256
    np.testing.assert_allclose(measured["programs_ms"], shipped.programs[:2], atol=0.4)
    assert json.loads(done.out)["slow_programs"] == []
