"""CLAP from a tiny random model, saved and loaded as a real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsmad_cli.errors import WeightsError
from hsmad_cli.evaluation.clap_score import Clap, clap_scores, windows

WORDS = ["<pad>", "</s>", "<unk>", "<s>", "jazz", "piano", "warm", "strings"]


def save_tiny_clap(folder: Path) -> Path:
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    import torch

    text = {
        "vocab_size": len(WORDS), "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 8, "max_position_embeddings": 40, "pad_token_id": 0,
    }  # fmt: skip
    audio = {
        "patch_embeds_hidden_size": 8, "depths": [1, 1], "num_attention_heads": [1, 1], "hidden_size": 16,
        "spec_size": 64, "num_mel_bins": 16, "window_size": 2, "patch_size": 4, "patch_stride": [4, 4],
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.ClapModel(transformers.ClapConfig(text_config=text, audio_config=audio, projection_dim=6))
    model.save_pretrained(folder)
    extractor = transformers.ClapFeatureExtractor(
        feature_size=16, sampling_rate=16000, hop_length=160, max_length_s=1, fft_window_size=512,
        truncation="rand_trunc", padding="repeatpad", frequency_max=8000,
    )  # fmt: skip
    extractor.save_pretrained(folder)
    words = tokenizers.models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>")
    tokenizer = tokenizers.Tokenizer(words)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "bos_token": "<s>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clap(tmp_path_factory) -> Clap:
    return Clap(save_tiny_clap(tmp_path_factory.mktemp("clap")))


AUDIO = np.random.default_rng(0).standard_normal((2, 5 * 22050)).astype(np.float32)


def test_audio_and_text_become_unit_vectors(clap):
    audio, text = clap.embed_audio(AUDIO), clap.embed_text(["jazz piano", "warm strings"])
    assert (audio.shape, text.shape) == ((3, 6), (2, 6))
    for vectors in (audio, text):
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(vectors)), abs=1e-5)


def test_the_score_is_the_mean_cosine_over_windows(clap):
    scores = clap_scores(clap, AUDIO, ["jazz", "warm strings"])
    cosine = clap.embed_audio(AUDIO) @ clap.embed_text(["jazz", "warm strings"]).T
    assert scores == pytest.approx(cosine.mean(axis=0).tolist())
    assert scores == clap_scores(clap, AUDIO, ["jazz", "warm strings"])


def test_a_text_scores_the_same_alone_and_beside_a_longer_one(clap):
    alone = clap.embed_text(["jazz"])
    beside = clap.embed_text(["jazz", "warm strings piano jazz"])
    assert beside[0] == pytest.approx(alone[0], abs=1e-5)


def test_windows_are_equally_long_and_the_last_ends_with_the_audio():
    pieces = windows(np.arange(25), 10)
    assert [piece.tolist()[0] for piece in pieces] == [0, 10, 15]
    assert {len(piece) for piece in pieces} == {10}
    assert len(windows(np.arange(20), 10)) == 2


def test_a_folder_without_a_model_names_the_cure(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(WeightsError, match="not a CLAP model") as caught:
        Clap(tmp_path)
    assert caught.value.hint == "hsmad weights pull clap"
