"""A bank whose clips are replaced in place reads as one that was made of the new clips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_scores import make_score

from hsmad_cli.datasets.factory import Clip
from hsmad_cli.datasets.memory import ClipBank
from hsmad_cli.datasets.replacing import fits, put, with_room
from hsmad_cli.datasets.sheets import Rates, sheet_of
from hsmad_cli.symbolic.notes import Score

RATES = Rates()


def make_clip(seed: int, n_notes: int, seconds: float = 6.4, n_pedals: int = 3) -> Clip:
    """The first notes of a tiny score, with noise for sound."""
    score = make_score(seed, seconds)
    notes = score.notes.select(np.arange(len(score.notes)) < n_notes)
    pedal_s, pedal_value = 0.5 * np.arange(n_pedals), np.arange(n_pedals) % 2 == 0
    score = Score(notes, beats_s=score.beats_s, chords=score.chords, pedal_s=pedal_s, pedal_value=pedal_value * 1.0)
    audio = np.random.default_rng(seed).integers(-2000, 2000, (2, round(seconds * 44100))).astype(np.int16)
    return Clip(f"item{seed}", audio, notes, score, (f"caption {seed}",), "own", "font.sf2", (f"tag:{seed}",))


CLIPS = [make_clip(0, 9), make_clip(1, 14, n_pedals=2), make_clip(2, 5)]
CLIP_INDEX, START = torch.tensor([0, 1, 2, 1]), torch.tensor([0, 32, 16, -16])


def read(bank: ClipBank) -> list[torch.Tensor]:
    """Windows of notes, audio and targets."""
    notes = bank.window(CLIP_INDEX, START, 64, 20)
    kept = [torch.where(notes.valid, getattr(notes, name), 0) for name in ("onset_s", "offset_s", "pitch", "velocity")]
    inside = START.clamp(min=0)
    targets = bank.targets(CLIP_INDEX, inside, 64)
    pedal = torch.where(torch.isfinite(notes.pedal_s), notes.pedal_s, 0)
    return [*kept, pedal, bank.audio_at(CLIP_INDEX, inside * 882, 2000), targets["chord"], targets["tempo"]]


def assert_alike(one: ClipBank, other: ClipBank) -> None:
    for mine, theirs in zip(read(one), read(other), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0, equal_nan=True)


def test_room_changes_nothing() -> None:
    bank = ClipBank.from_clips(CLIPS, RATES)
    roomy = with_room(bank)
    assert roomy.room["note"] == 14
    assert_alike(bank, roomy)
    assert roomy.most_notes(64) == bank.most_notes(64)


def test_a_replaced_clip_reads_as_if_it_had_always_been_there() -> None:
    fresh = make_clip(7, 11)
    bank = with_room(ClipBank.from_clips(CLIPS, RATES))
    before = {name: column.data_ptr() for name, column in bank.columns.items()}
    shapes = [tensor.shape for tensor in read(bank)]
    put(bank, 1, sheet_of(fresh, RATES), torch.from_numpy(fresh.audio.T.copy()[: 320 * 882]))
    assert_alike(bank, with_room(ClipBank.from_clips([CLIPS[0], fresh, CLIPS[2]], RATES)))
    assert {name: column.data_ptr() for name, column in bank.columns.items()} == before
    assert [tensor.shape for tensor in read(bank)] == shapes
    assert bank.captions[1] == ["caption 7"]


def test_a_bank_with_latents_gets_latents(tmp_path) -> None:
    bank = with_room(ClipBank.from_clips(CLIPS, RATES)).with_latents(torch.zeros(960, 4))
    put(bank, 2, sheet_of(make_clip(7, 4), RATES), torch.ones(320, 4))
    assert bank.latents_at(torch.tensor([1, 2]), torch.tensor([0, 0]), 320).mean((1, 2)).tolist() == [0, 1]
    bank.save(tmp_path)
    assert ClipBank.load(tmp_path).counts["note"].tolist() == [9, 14, 4]


def test_only_what_is_as_long_and_no_fuller_fits() -> None:
    bank = with_room(ClipBank.from_clips(CLIPS, RATES))
    assert fits(bank, sheet_of(make_clip(7, 14), RATES))
    assert not fits(bank, sheet_of(make_clip(7, 15), RATES))
    assert not fits(bank, sheet_of(make_clip(7, 14, n_pedals=4), RATES))
    assert not fits(bank, sheet_of(make_clip(7, 9, seconds=3.2), RATES))
    with pytest.raises(ValueError, match="samples"):
        with_room(ClipBank.from_clips([CLIPS[0], replace(make_clip(7, 9, seconds=3.2))], RATES))
