from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hsmad_cli.config import Config, DiffusionConfig, load_preset
from hsmad_cli.datasets.memory import ClipBank, Texts
from hsmad_cli.datasets.sheets import NOTE_DTYPES
from hsmad_cli.errors import ConfigError
from hsmad_cli.files.checkpoint import load_checkpoint
from hsmad_cli.model.vae import VAE
from hsmad_cli.symbolic.notes import NoteTable
from hsmad_cli.symbolic.srm import LAYOUT, NoteTensors
from hsmad_cli.training.latents import with_encoded_audio
from hsmad_cli.training.loop import train
from hsmad_cli.training.parallel import Workers
from hsmad_cli.training.randomness import Draw
from hsmad_cli.training.stages.denoiser import (
    DenoiserStage,
    HarmonyTargets,
    auxiliary_loss,
    by_quarter,
    drop_conditions,
    frames_from,
    named_notes,
)
from hsmad_cli.training.style_table import StyleTable

CPU = torch.device("cpu")
ALONE = Workers(CPU)
FRAMES = (160, 64, 96)


class Constant:
    """F_style is the length of the text."""

    width = 16

    def encode(self, texts):
        return torch.stack([torch.full((16,), float(len(text))) for text in texts])

    def unknown_words(self, text):
        return []


def silent_bank() -> ClipBank:
    """Three clips without sound; clip c plays one note, of pitch 60 + c, that begins with frame 32 and lasts 20."""
    notes = {"onset_s": 32 * 0.02, "offset_s": 52 * 0.02, "pitch": 60, "velocity": 100, "program": 0}
    notes |= {"is_drum": False, "part": 0}
    columns = {f"note_{name}": np.full(3, notes[name], dtype) for name, dtype in NOTE_DTYPES.items()}
    columns["note_pitch"] += np.arange(3, dtype=np.int16)
    columns |= {"audio": np.zeros((882 * sum(FRAMES), 2), np.int16)}
    columns |= {"pedal_s": np.zeros(0, np.float32), "pedal_value": np.zeros(0, np.float32)}
    columns |= {"chord": np.concatenate([np.arange(n // 4) % 25 for n in FRAMES]).astype(np.int8)}
    columns |= {"key": np.full(sum(FRAMES) // 16, -100, np.int8), "tempo": np.full(sum(FRAMES) // 16, 4.6, np.float32)}
    frames = np.array(FRAMES)
    counts = {"audio": 882 * frames, "note": np.ones(3, np.int64), "pedal": np.zeros(3, np.int64)}
    counts |= {"chord": frames // 4, "key": frames // 16, "tempo": frames // 16}
    texts = Texts([["a", "bb"], ["ccc"], []], [[], [], []], ["x", "y", "z"], ["own"] * 3, [""] * 3)
    return ClipBank({name: torch.from_numpy(column) for name, column in columns.items()}, counts, texts)


def counted_bank() -> ClipBank:
    """The silent bank; every channel of a frame's latent holds 500 x clip + frame."""
    rows = [500.0 * clip + torch.arange(n) for clip, n in enumerate(FRAMES)]
    return silent_bank().with_latents(torch.cat(rows)[:, None].expand(-1, 8).half())


def stage(config: Config | None = None) -> DenoiserStage:
    bank = counted_bank()
    styles = StyleTable.of(Constant(), bank.captions, CPU)
    return DenoiserStage(config or load_preset("tiny"), bank, styles, made_with={"codec_sha256": "x"})


def where(batch) -> tuple[Tensor, Tensor]:
    """Clip and first frame of every item."""
    clips = (batch.x[:, 0, 0] / 500).long()
    return clips, (batch.x[:, 0, 0] - 500 * clips).long()


@pytest.fixture(scope="module")
def batches():
    trained = stage(replace(load_preset("tiny"), train_denoiser=replace(load_preset("tiny").train_denoiser, batch=16)))
    return [trained.batch(step, Draw(0, step)) for step in range(40)]


def test_score_latent_targets_and_style_of_an_item_belong_to_the_same_clip_and_time(batches) -> None:
    seen = 0
    for batch in batches:
        clips, starts = where(batch)
        onset = batch.srm[..., LAYOUT.union_onset]
        for item, clip in enumerate(clips.tolist()):
            frame = 32 - int(starts[item]) + int(batch.first[item])
            if 0 < frame < onset.shape[1]:
                assert onset[item, frame, 60 + clip - 21] > 0.3
                assert onset[item].sum() == pytest.approx(100 / 127, abs=1e-4)
                seen += 1
            assert batch.targets.chord[item, 0] == int(starts[item]) // 4 % 25
            assert batch.style[item, 0] in ((1, 2), (3,), (0,))[clip]
    assert seen > 100


def test_crops_lie_on_the_grid_and_at_the_edges(batches) -> None:
    first = torch.cat([batch.first for batch in batches])
    assert set(first.tolist()) == {0, 16, 32, 48, 64}
    assert (first == 0).float().mean() == pytest.approx(0.25 + 0.1, abs=0.06)
    assert (first == 64).float().mean() == pytest.approx(0.25 + 0.1, abs=0.06)


def test_crops_are_drawn_from_all_clips_and_places(batches) -> None:
    places = [where(batch) for batch in batches]
    found = {(int(clip), int(start)) for pair in places for clip, start in zip(*pair, strict=True)}
    assert found == {(0, 16 * n) for n in range(7)} | {(1, 0)} | {(2, 0), (2, 16), (2, 32)}


def test_batches_depend_on_the_draw_only() -> None:
    one, again, other = (stage().batch(3, draw) for draw in (Draw(0, 3), Draw(0, 3), Draw(0, 3, rank=1)))
    assert torch.equal(one.noise, again.noise)
    assert torch.equal(one.srm, again.srm)
    assert not torch.equal(one.noise, other.noise)


def test_conditions_drop_independently_or_together() -> None:
    generator = torch.Generator().manual_seed(0)
    n = 20000
    config = DiffusionConfig(dropout_score=0.1, dropout_style=0.2)
    score, style = drop_conditions(config, n, generator)
    rates = [mask.float().mean().item() for mask in (score, style, score & style)]
    assert rates == pytest.approx([0.1, 0.2, 0.02], abs=0.01)
    score, style = drop_conditions(replace(config, dropout="together"), n, generator)
    assert torch.equal(score, style)
    assert score.float().mean().item() == pytest.approx(0.1, abs=0.01)
    with pytest.raises(ValueError, match="not decoupled or together"):
        drop_conditions(replace(config, dropout="never"), 1, generator)


def test_half_of_the_items_are_free_and_some_parts_of_the_others_unnamed() -> None:
    n = 20000
    notes = NoteTensors.from_tables([NoteTable.empty()])
    notes = replace(notes, part=torch.tensor([0, 0, 1]).expand(n, 3))
    named = named_notes(notes, torch.Generator().manual_seed(0))
    assert torch.equal(named[:, 0], named[:, 1])
    assert named[:, 0].float().mean().item() == pytest.approx(0.5 * 0.85, abs=0.015)
    assert (named[:, 0] & named[:, 2]).float().mean().item() == pytest.approx(0.5 * 0.85**2, abs=0.015)


def test_frames_are_cut_item_by_item() -> None:
    x = torch.arange(12.0).view(2, 6, 1)
    assert frames_from(x, torch.tensor([0, 3]), 3).flatten().tolist() == [0, 1, 2, 9, 10, 11]


def test_quarters_without_items_are_not_observed() -> None:
    means = by_quarter(torch.tensor([1.0, 3.0, 5.0]), torch.tensor([0.1, 0.2, 1.0]))
    assert means["diffusion_t0"] == 2
    assert means["diffusion_t1"].isnan()
    assert means["diffusion_t3"] == 5


def test_auxiliary_losses_by_hand() -> None:
    config = load_preset("tiny").denoiser
    config = replace(config, auxiliary=replace(config.auxiliary, chord=2.0, tempo=3.0, key=5.0))
    answers = {"chord": torch.zeros(1, 2, 25), "tempo": torch.tensor([[4.0, 4.0]]), "key": torch.zeros(1, 2, 24)}
    unknown = torch.tensor([[-100, -100]])
    targets = HarmonyTargets(torch.tensor([[0, 7]]), unknown, torch.tensor([[4.5, float("nan")]]))
    loss, scalars = auxiliary_loss(answers, targets, config)
    assert float(loss) == pytest.approx(2 * np.log(25) + 3 * 0.5, rel=1e-5)
    assert scalars["chord_accuracy"] == 0.5
    assert scalars["key_accuracy"].isnan()
    assert scalars["tempo_error"] == 0.5


@pytest.mark.parametrize("objective", ["v", "epsilon"])
def test_every_parameter_learns(objective: str) -> None:
    config = load_preset("tiny")
    diffusion = replace(config.denoiser.diffusion, objective=objective, dropout_score=0.5, dropout_style=0.5)
    trained = stage(replace(config, denoiser=replace(config.denoiser, diffusion=diffusion)))
    for step in range(2):
        loss, scalars = trained.loss("denoiser", trained.batch(step, Draw(0, step)), step)
        loss.backward()
    without = [name for name, p in trained.denoiser.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert without == []
    assert {"diffusion", "chord_accuracy", "tempo_error"} <= scalars.keys()


def test_crop_and_context_must_fit_the_ratios() -> None:
    config = load_preset("tiny")
    with pytest.raises(ConfigError, match="crop_frames 60"):
        stage(replace(config, train_denoiser=replace(config.train_denoiser, crop_frames=60)))


def test_a_tiny_run_trains_and_its_checkpoint_names_its_company(tmp_path: Path) -> None:
    trained = stage()
    train(trained, load_preset("tiny").train_denoiser, tmp_path, workers=ALONE)
    tensors, header = load_checkpoint(tmp_path / "denoiser.safetensors", "denoiser")
    assert header["codec_sha256"] == "x"
    assert (header["latent_channels"], header["style_width"], header["d_in"]) == (8, 16, LAYOUT.width)
    assert header["frame_rate"] == [44100, 882]
    assert tensors.keys() == trained.denoiser.state_dict().keys()


@pytest.mark.parametrize(("chip", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_the_score_is_drawn_in_the_precision_of_the_run(monkeypatch, chip: bool, dtype: torch.dtype) -> None:
    monkeypatch.setattr("hsmad_cli.model.precision.has_bfloat16", lambda device: chip)
    tiny = load_preset("tiny")
    trained = stage(replace(tiny, train_denoiser=replace(tiny.train_denoiser, precision="bf16")))
    assert trained.batch(0, Draw(0, 0)).srm.dtype == dtype


def test_clips_are_encoded_whole_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsmad_cli.model.precision.has_bfloat16", lambda device: False)
    torch.manual_seed(0)
    codec = VAE(load_preset("tiny").codec)
    bank = silent_bank()
    bank.columns["audio"].random_(-9000, 9000, generator=torch.Generator().manual_seed(1))
    encoded = with_encoded_audio(bank, codec, CPU)
    assert len(encoded.columns["audio"]) == 0
    for clip, n_frames in enumerate(FRAMES):
        index, start = torch.tensor([clip]), torch.tensor([0])
        with torch.no_grad():
            alone = codec.encode(bank.audio_at(index, start, 882 * n_frames))
        mine = encoded.latents_at(index, start, n_frames).float()
        torch.testing.assert_close(mine, alone, rtol=2e-3, atol=2e-3)
