"""Exported clips say what the bank holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from hsmad_cli.datasets.build import build_bank
from hsmad_cli.datasets.export import export_clips, notes_of
from hsmad_cli.datasets.factory import FactoryOptions
from hsmad_cli.datasets.memory import ClipBank
from hsmad_cli.files.midi import read_midi


def test_a_clip_survives_as_files(pack: Path, soundfont: Path, tmp_path: Path) -> None:
    options = FactoryOptions(seconds=4.0)
    bank = ClipBank.load(build_bank(pack, (soundfont,), 0.001, workers=1, cache_dir=tmp_path, options=options))
    export_clips(bank, tmp_path, 1)
    audio, rate = soundfile.read(tmp_path / "0000.wav", dtype="int16")
    assert rate == bank.rates.sample_rate
    np.testing.assert_allclose(audio, bank.columns["audio"][: len(audio)].numpy(), atol=1)
    written, notes = read_midi(tmp_path / "0000.mid").notes, notes_of(bank, 0)
    assert sorted(written.pitch.tolist()) == sorted(notes.pitch.tolist())
    np.testing.assert_allclose(np.sort(written.onset_s), np.sort(notes.onset_s), atol=1e-3)
    assert (tmp_path / "0000.txt").read_text().splitlines() == bank.captions[0]
