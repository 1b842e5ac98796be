"""A scorer from a checkpoint of the style stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hsmad_cli.config import load_preset, to_dict
from hsmad_cli.errors import WeightsError
from hsmad_cli.evaluation.style_score import WINDOW_S, StyleScorer
from hsmad_cli.files.checkpoint import halved, load_checkpoint, save_checkpoint
from hsmad_cli.model.style_encoder import AudioTextModel

WORDS = ["jazz", "rock", "trio"]
NOISE = np.random.default_rng(0).normal(0, 0.1, (2, (25 * 44100))).astype(np.float32)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = load_preset("tiny")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AudioTextModel(config.style, WORDS, 44100, 882)
    path = tmp_path_factory.mktemp("scorer") / "style.safetensors"
    rates = {"sample_rate": 44100, "hop_length": 882}
    about = {"kind": "style", "config": to_dict(config.style), "words": WORDS, **rates}
    save_checkpoint(path, halved(model.state_dict()), about)
    return path


def test_sounds_and_words_are_unit_vectors_of_one_space(checkpoint: Path) -> None:
    scorer = StyleScorer.load(checkpoint)
    sound, texts = scorer.embed_audio(NOISE), scorer.embed_text(["jazz", "rock trio"])
    assert sound.shape == (16,)
    assert texts.shape == (2, 16)
    assert np.linalg.norm(sound) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(texts, axis=1) == pytest.approx([1, 1], abs=1e-5)


def test_a_long_sound_is_the_mean_of_its_windows(checkpoint: Path) -> None:
    """25 seconds: windows at 0, 10 and 15."""
    scorer = StyleScorer.load(checkpoint)
    rate = 44100
    pieces = [scorer.embed_audio(NOISE[:, s * rate : (s + int(WINDOW_S)) * rate]) for s in (0, 10, 15)]
    mean = np.mean(pieces, axis=0)
    assert scorer.embed_audio(NOISE) == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_a_label_is_the_mean_of_its_phrases(checkpoint: Path) -> None:
    scorer = StyleScorer.load(checkpoint)
    classifier = scorer.classifier({"a": ["jazz", "jazz trio"], "b": ["rock"]})
    assert classifier.labels == ("a", "b")
    assert classifier.weights[1] == pytest.approx(scorer.embed_text(["rock"])[0], abs=1e-6)
    mean = scorer.embed_text(["jazz", "jazz trio"]).mean(axis=0)
    assert classifier.weights[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)


def test_a_checkpoint_without_an_audio_tower_cannot_hear(checkpoint: Path, tmp_path: Path) -> None:
    tensors, header = load_checkpoint(checkpoint, "style")
    header.pop("sha256")
    text = {name: tensor for name, tensor in tensors.items() if name.startswith("text.")}
    save_checkpoint(tmp_path / "deaf.safetensors", text, header)
    with pytest.raises(WeightsError, match=r"deaf\.safetensors: not a style scorer"):
        StyleScorer.load(tmp_path / "deaf.safetensors")
