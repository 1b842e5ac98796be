"""Windows of a bank equal what plain numpy finds in the clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_scores import make_score

from hsmad_cli.datasets.factory import Clip
from hsmad_cli.datasets.memory import ClipBank
from hsmad_cli.datasets.sheets import Rates
from hsmad_cli.errors import InputError
from hsmad_cli.symbolic.notes import NoteTable, Score
from hsmad_cli.symbolic.srm import render_srm

RATES = Rates()
FRAME_S = RATES.hop_length / RATES.sample_rate


def make_clip(seed: int, seconds: float) -> Clip:
    score = make_score(seed, seconds)
    generator = np.random.default_rng(seed)
    length = score.notes.offset_s - score.notes.onset_s
    notes = score.notes.with_columns(
        onset_s=score.notes.onset_s + generator.uniform(0, 0.1, len(score.notes)),
        offset_s=score.notes.onset_s + 0.1 + length * generator.uniform(1, 4, len(score.notes)),
    ).sorted()
    pedal = (np.array([0.5, 1.5, 2.5]), np.array([1.0, 0.0, 1.0])) if seed else (np.zeros(0), np.zeros(0))
    score = Score(notes, beats_s=score.beats_s, chords=score.chords, pedal_s=pedal[0], pedal_value=pedal[1])
    audio = generator.integers(-2000, 2000, (2, round(seconds * 44100))).astype(np.int16)
    return Clip(f"item{seed}", audio, notes, score, ("a", "b"), "own", "font.sf2", (f"tag:{seed}",))


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [make_clip(0, 6.4), make_clip(1, 10.0), make_clip(2, 3.3)]


@pytest.fixture(scope="module")
def bank(clips: list[Clip]) -> ClipBank:
    return ClipBank.from_clips(clips, RATES)


def touching(notes: NoteTable, start_s: float, end_s: float) -> NoteTable:
    reach_s = np.where(notes.is_drum, np.maximum(notes.offset_s, notes.onset_s + 0.1), notes.offset_s)
    return notes.select((notes.onset_s < end_s + FRAME_S) & (reach_s > start_s - FRAME_S))


def test_clips_are_counted_in_whole_frames(bank: ClipBank) -> None:
    assert bank.n_frames.tolist() == [320, 496, 160]
    assert len(bank) == 3
    assert bank.seconds == pytest.approx(976 * 0.02)


def test_a_window_holds_the_notes_that_touch_it(bank: ClipBank, clips: list[Clip]) -> None:
    clip_index = torch.tensor([0, 1, 2, 1, 0])
    start = torch.tensor([0, 160, 96, -80, 300])
    window = bank.window(clip_index, start, 64, 80)
    for row, (clip, first) in enumerate(zip(clip_index.tolist(), start.tolist(), strict=True)):
        expected = touching(clips[clip].notes, first * FRAME_S, (first + 64) * FRAME_S)
        valid = window.valid[row]
        assert int(valid.sum()) == len(expected)
        np.testing.assert_allclose(window.onset_s[row][valid], expected.onset_s - first * FRAME_S, atol=2e-6)
        np.testing.assert_allclose(window.offset_s[row][valid], expected.offset_s - first * FRAME_S, atol=2e-6)
        for name in ("pitch", "velocity", "program", "is_drum", "part"):
            np.testing.assert_array_equal(getattr(window, name)[row][valid], getattr(expected, name))


def test_a_window_renders_as_the_whole_clip_does(bank: ClipBank) -> None:
    clip_index = torch.tensor([1, 1])
    whole = render_srm(
        bank.window(clip_index[:1], torch.tensor([0]), 496, bank.most_notes(496)), 0, 496, RATES.frame_rate(0)
    )
    starts = torch.tensor([160, 208])
    parts = render_srm(bank.window(clip_index, starts, 96, bank.most_notes(96)), 0, 96, RATES.frame_rate(0))
    for part, start in zip(parts, starts.tolist(), strict=True):
        torch.testing.assert_close(part, whole[0, start : start + 96], atol=2e-3, rtol=0)


def test_too_many_notes_are_cut_at_the_limit_and_the_limit_is_known(bank: ClipBank) -> None:
    clip_index, start = torch.tensor([1]), torch.tensor([0])
    assert int(bank.window(clip_index, start, 496, 5).valid.sum()) == 5
    most = bank.most_notes(64)
    for first in range(0, 432, 16):
        assert int(bank.window(clip_index, torch.tensor([first]), 64, 1000).valid.sum()) <= most


def test_pedal_steps_come_with_the_window(bank: ClipBank) -> None:
    window = bank.window(torch.tensor([1, 0]), torch.tensor([50, 0]), 64, 10)
    np.testing.assert_allclose(window.pedal_s[0], np.array([0.5, 1.5, 2.5]) - 1.0, atol=1e-6)
    assert window.pedal_value[0].tolist() == [1.0, 0.0, 1.0]
    assert not window.pedal_value[1].any()


def test_audio_crops_are_the_clips_own(bank: ClipBank, clips: list[Clip]) -> None:
    clip_index, start = bank.draw(torch.Generator().manual_seed(0), 50, 5000)
    audio = bank.audio_at(clip_index, start, 5000)
    for row in range(50):
        at = int(start[row])
        expected = clips[int(clip_index[row])].audio[:, at : at + 5000] / 32768
        np.testing.assert_allclose(audio[row], expected, atol=1e-7)
    assert set(clip_index.tolist()) == {0, 1, 2}


def test_frame_windows_lie_in_their_clips_on_whole_multiples(bank: ClipBank) -> None:
    clip_index, start = bank.draw_frames(torch.Generator().manual_seed(0), 200, 320)
    assert set(clip_index.tolist()) == {0, 1}
    assert (start % 16 == 0).all()
    assert (start + 320 <= torch.from_numpy(bank.n_frames)[clip_index]).all()
    with pytest.raises(ValueError, match="no clip has"):
        bank.draw_frames(torch.Generator(), 1, 512)


def test_targets_are_aligned_with_frames(bank: ClipBank) -> None:
    whole = bank.targets(torch.tensor([1]), torch.tensor([0]), 496)
    part = bank.targets(torch.tensor([1]), torch.tensor([160]), 64)
    assert part["chord"].shape == (1, 16)
    assert part["key"].shape == part["tempo"].shape == (1, 4)
    assert torch.equal(part["chord"][0], whole["chord"][0, 40:56])
    assert torch.equal(part["key"][0], whole["key"][0, 10:14])
    assert whole["chord"][0, 0] == 0
    np.testing.assert_allclose(part["tempo"], np.log(120.0), rtol=1e-6)


def test_latents_are_cut_by_frame(bank: ClipBank) -> None:
    latents = torch.arange(976 * 2).view(976, 2).half()
    with_latents = bank.with_latents(latents)
    crop = with_latents.latents_at(torch.tensor([1, 2]), torch.tensor([16, 0]), 8)
    assert torch.equal(crop[0], latents[336:344])
    assert torch.equal(crop[1], latents[816:824])
    with pytest.raises(ValueError, match="10 latent frames"):
        bank.with_latents(latents[:10])


def test_a_bank_is_saved_and_dealt_out_to_ranks(bank: ClipBank, tmp_path: Path) -> None:
    bank.save(tmp_path / "bank")
    again = ClipBank.load(tmp_path / "bank")
    assert again.texts == bank.texts
    for name, column in bank.columns.items():
        torch.testing.assert_close(again.columns[name], column, equal_nan=True, rtol=0, atol=0)
    first, second = (ClipBank.load(tmp_path / "bank", rank, 2) for rank in range(2))
    assert first.texts.item_ids == ["item0", "item2"]
    assert second.texts.item_ids == ["item1"]
    clip_index = torch.tensor([1])
    for one, other in ((first, torch.tensor([2])), (second, torch.tensor([1]))):
        index = clip_index if one is first else torch.tensor([0])
        mine, whole = (b.window(i, torch.tensor([16]), 64, 60) for b, i in ((one, index), (bank, other)))
        assert torch.equal(mine.onset_s, whole.onset_s)
        sound, expected = (b.audio_at(i, torch.tensor([9]), 500) for b, i in ((one, index), (bank, other)))
        assert torch.equal(sound, expected)


def test_a_folder_without_a_bank_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a clip bank"):
        ClipBank.load(tmp_path)
    (tmp_path / "bank.json").write_text('{"version": 0}')
    with pytest.raises(InputError, match="version 0"):
        ClipBank.load(tmp_path)
