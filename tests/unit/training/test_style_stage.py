from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hsmad_cli.config import load_preset
from hsmad_cli.datasets.memory import ClipBank, Texts
from hsmad_cli.files.checkpoint import load_checkpoint
from hsmad_cli.model.style_encoder import AudioTextModel, BuiltinStyleEncoder
from hsmad_cli.training.loop import train
from hsmad_cli.training.parallel import Workers
from hsmad_cli.training.randomness import Draw
from hsmad_cli.training.score_words import with_random_score_words
from hsmad_cli.training.stages.style import StyleStage, agreement, attribute_table, by_score, soft_cross_entropy

N_SAMPLES = 882 * 64
WORDS = ["dark", "hum", "low", "noise", "tone", "white"]


def hum_and_noise() -> ClipBank:
    """Six clips of two scores; even clips are low tones, odd ones noise."""
    hum = 9000 * np.sin(2 * np.pi * 110 * np.arange(N_SAMPLES) / 44100)
    noise = np.random.default_rng(0).normal(0, 5000, N_SAMPLES)
    audio = np.concatenate([hum, noise] * 3).astype(np.int16)[:, None].repeat(2, 1)
    counts = {"audio": np.full(6, N_SAMPLES)}
    captions = [["low hum", "dark tone"], ["white noise"]] * 3
    texts = Texts(captions, [["recipe:hum"], ["recipe:noise"]] * 3, ["b", "a"] * 3, ["own"] * 6, [""] * 6)
    return ClipBank({"audio": torch.from_numpy(audio)}, counts, texts)


def test_agreement_is_one_for_twins_and_falls_with_what_differs() -> None:
    table = attribute_table([["a", "b"], ["b", "a"], ["a", "c"], ["d"]])
    assert table.shape == (4, 4)
    wanted = [[1, 1, 1 / 81, 0], [1, 1, 1 / 81, 0], [1 / 81, 1 / 81, 1, 0], [0, 0, 0, 1]]
    torch.testing.assert_close(agreement(table), torch.tensor(wanted))
    assert agreement(attribute_table([[], []])).tolist() == [[1, 1], [1, 1]]


def test_soft_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [3.0, 3.0]])
    assert float(soft_cross_entropy(logits, torch.ones(2, 2))) == pytest.approx(float(torch.tensor(2.0).log()))
    confident = torch.tensor([[50.0, 0.0], [0.0, 50.0]])
    assert float(soft_cross_entropy(confident, torch.eye(2))) == pytest.approx(0.0, abs=1e-6)


def test_a_batch_holds_neighbours_in_order_of_score() -> None:
    stage = StyleStage(load_preset("tiny"), hum_and_noise(), WORDS)
    assert stage.by_score.tolist() == [1, 3, 5, 0, 2, 4]
    batch = stage.batch(0, Draw(0, 0))
    assert batch.audio.shape == (4, 2, 50 * 882)
    assert batch.tokens.shape == (4, 48)
    assert torch.equal(batch.agreement, batch.agreement.T)
    again = stage.batch(0, Draw(0, 0))
    assert torch.equal(batch.tokens, again.tokens)
    assert torch.equal(batch.audio, again.audio)


def test_the_order_of_score_says_where_each_score_begins() -> None:
    order, first = by_score(["b", "a", "b", "c", "a"])
    assert order.tolist() == [1, 4, 0, 2, 3]
    assert first.tolist() == [0, 0, 2, 2, 4]


def test_a_group_is_of_one_score() -> None:
    """Three scores of four clips and groups of four: every group is exactly one score."""
    stage = StyleStage(load_preset("tiny"), hum_and_noise(), WORDS)
    ids = [name for name in "cab" for _ in range(4)]
    stage.by_score, stage.score_first = by_score(ids)
    stage.bank = range(12)
    for seed in range(20):
        clips = stage._clips(torch.Generator().manual_seed(seed)).tolist()
        assert len(set(clips)) == 4
        assert len({ids[clip] for clip in clips}) == 1


def test_words_for_what_the_score_decides_are_made_random() -> None:
    generator = torch.Generator().manual_seed(0)
    said = {with_random_score_words("slow jazz in a minor key, in a church", generator) for _ in range(200)}
    assert "fast jazz in major, in a church" in said
    assert len(said) == 7 * 4
    assert all(" jazz in " in text and text.endswith(", in a church") for text in said)
    assert with_random_score_words("breakfast in C minor", generator) == "breakfast in C minor"


def test_hum_and_noise_are_told_apart_after_a_few_steps(tmp_path: Path) -> None:
    changes = {"steps": 30, "learning_rate": 1e-2, "crop_frames": 10}
    config = load_preset("tiny", [f"train_style.{name} = {value}" for name, value in changes.items()])
    stage = StyleStage(config, hum_and_noise(), WORDS)
    train(stage, config.train_style, tmp_path, workers=Workers(torch.device("cpu")))
    tensors, header = load_checkpoint(tmp_path / "style.safetensors", "style")
    model = AudioTextModel.from_checkpoint(tensors, header)
    sounds = model.audio(hum_and_noise().audio_at(torch.tensor([0, 1]), torch.zeros(2).long(), 8820))
    similar = model.similarity(model.text.encode(["low hum", "white noise"]), sounds)
    assert (similar.diagonal() > similar.flip(1).diagonal()).all()
    encoder = BuiltinStyleEncoder.from_checkpoint(tensors, header)
    assert encoder.unknown_words("low zither") == ["zither"]
