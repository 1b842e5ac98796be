from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hsmad_cli.config import load_preset, to_dict
from hsmad_cli.errors import WeightsError
from hsmad_cli.files.text_models import load_text_model
from hsmad_cli.model.style_encoder import (
    AudioTextModel,
    AudioTower,
    BuiltinStyleEncoder,
    ClapStyleEncoder,
    StyleEncoder,
    T5StyleEncoder,
    mel_filters,
)
from hsmad_cli.model.tokenizer import PADDING, START, WordTokenizer, words_of

CONFIG = load_preset("tiny").style
TEXTS = ["jazz piano", "warm strings in a large hall", "solo piano, bright", ""]


@pytest.fixture(scope="module")
def builtin() -> BuiltinStyleEncoder:
    torch.manual_seed(0)
    words = WordTokenizer.choose_words(TEXTS, CONFIG.vocabulary)
    return BuiltinStyleEncoder(CONFIG, words).eval()


def test_words_are_lower_case_without_accents_and_punctuation() -> None:
    assert words_of("Café-Jazz, drum'n'bass (120 BPM)!") == ["cafe", "jazz", "drum", "n", "bass", "120", "bpm"]


def test_known_words_are_one_token_and_unknown_words_are_spelt() -> None:
    tokenizer = WordTokenizer(["jazz", "piano"], size=64, max_tokens=12)
    assert tokenizer.tokens("Jazz piano") == [START, 18, 19]
    assert tokenizer.tokens("ab") == [START, *tokenizer.spell("ab")]
    assert len(tokenizer.spell("pianno")) == 6
    shared = set(tokenizer.spell("pianno")) & set(tokenizer.spell("piano"))
    assert len(shared) >= 3
    assert tokenizer.tokens("jazz piano", spelt=[True, False]) == [START, *tokenizer.spell("jazz"), 19]
    assert tokenizer.unknown_words("jazz zither, Zither and piano") == ["zither", "and"]


def test_tokens_are_padded_and_cut() -> None:
    tokenizer = WordTokenizer(["jazz"], size=64, max_tokens=4)
    table = tokenizer(["jazz", "jazz " * 9])
    assert table.tolist() == [[START, 18, PADDING, PADDING], [START, 18, 18, 18]]


def test_the_most_frequent_words_are_chosen() -> None:
    texts = ["b a", "b a", "c b"]
    assert WordTokenizer.choose_words(texts, 6) == ["a", "b", "c"]
    assert WordTokenizer.choose_words(texts, 5) == ["a", "b"]
    with pytest.raises(ValueError, match="vocabulary of 64"):
        WordTokenizer([str(n) for n in range(60)], 64, 8)


def test_vectors_have_length_sqrt_d(builtin: BuiltinStyleEncoder) -> None:
    style = builtin.encode(TEXTS)
    assert style.shape == (4, CONFIG.width)
    torch.testing.assert_close(style.norm(dim=1), torch.full((4,), math.sqrt(CONFIG.width)))
    assert not style.requires_grad


def test_a_text_alone_is_as_in_a_batch(builtin: BuiltinStyleEncoder) -> None:
    together = builtin.encode(TEXTS)
    for row, text in zip(together, TEXTS, strict=True):
        torch.testing.assert_close(builtin.encode([text])[0], row, rtol=0, atol=2e-6)


def test_checkpoint_round_trip(builtin: BuiltinStyleEncoder) -> None:
    tensors = {f"text.{name}": tensor.half() for name, tensor in builtin.state_dict().items()}
    header = {"config": json.loads(json.dumps(to_dict(CONFIG))), "words": list(builtin.tokenizer.words)}
    loaded = BuiltinStyleEncoder.from_checkpoint({**tensors, "audio.out": torch.ones(1)}, header)
    torch.testing.assert_close(loaded.encode(TEXTS), builtin.encode(TEXTS), rtol=0, atol=0.02)
    assert loaded.unknown_words("jazz zither") == ["zither"]


def test_the_shipped_towers_have_at_most_five_million_parameters() -> None:
    model = AudioTextModel(load_preset("base").style, [], 44100, 882)
    assert sum(parameter.numel() for parameter in model.parameters()) < 5e6


def test_the_similarity_of_a_vector_with_itself_is_one(builtin: BuiltinStyleEncoder) -> None:
    model = AudioTextModel(CONFIG, builtin.tokenizer.words, 44100, 882)
    style = model.text.encode(TEXTS)
    torch.testing.assert_close(model.similarity(style, style).diagonal(), torch.ones(4))
    header = {"config": to_dict(CONFIG), "words": builtin.tokenizer.words, "sample_rate": 44100, "hop_length": 882}
    loaded = AudioTextModel.from_checkpoint(model.state_dict(), header)
    assert torch.equal(loaded.text.encode(TEXTS), style)


def test_mel_filters_cover_the_band_with_peaks_near_one() -> None:
    filters = mel_filters(1025, 96, 44100)
    assert filters.shape == (1025, 96)
    assert (filters.max(0).values > 0).all()
    assert filters.max() <= 1
    frequency = torch.linspace(0, 22050, 1025)
    covered = filters.sum(1)[(frequency > 2000) & (frequency < 15000)]
    torch.testing.assert_close(covered, torch.ones_like(covered))


def test_the_audio_tower_hears_an_item_alone_as_in_a_batch() -> None:
    torch.manual_seed(0)
    tower = AudioTower(16, 44100, 882, (4, 8)).eval()
    audio = 0.1 * torch.randn(3, 2, 882 * 20)
    together = tower(audio)
    torch.testing.assert_close(together.norm(dim=1), torch.full((3,), 4.0))
    torch.testing.assert_close(tower(audio[1:2])[0], together[1], rtol=0, atol=1e-5)


def save_tokenizer(folder: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    words = ["<pad>", "</s>", "<unk>", "<s>", "jazz", "piano", "warm", "strings"]
    model = tokenizers.models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "bos_token": "<s>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def clap_folder(folder: Path) -> Path:
    import transformers

    config = transformers.ClapTextConfig(
        vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=90, projection_dim=6, pad_token_id=0,
    )  # fmt: skip
    transformers.ClapTextModelWithProjection(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def t5_folder(folder: Path) -> Path:
    import transformers

    config = transformers.T5Config(vocab_size=8, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    transformers.T5EncoderModel(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.mark.parametrize(
    ("encoder", "make", "wrapper", "width"),
    [("clap", clap_folder, ClapStyleEncoder, 6), ("t5", t5_folder, T5StyleEncoder, 8)],
)
def test_pretrained_encoders_load_from_a_folder(tmp_path: Path, encoder, make, wrapper, width) -> None:
    pytest.importorskip("transformers")
    loaded: StyleEncoder = wrapper(*load_text_model(encoder, str(make(tmp_path))))
    texts = ["jazz piano", "warm", "strings strings strings"]
    style = loaded.encode(texts)
    assert loaded.width == width
    torch.testing.assert_close(style.norm(dim=1), torch.full((3,), math.sqrt(width)))
    torch.testing.assert_close(loaded.encode(["warm"])[0], style[1], rtol=0, atol=1e-5)
    assert loaded.unknown_words("zither") == []


@pytest.mark.parametrize("encoder", ["clap", "t5"])
def test_absent_weights_name_the_command_that_pulls_them(encoder, tmp_path, monkeypatch) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setattr("hsmad_cli.files.text_models.pulled", lambda name: None)
    for folder in ("", str(tmp_path / "nowhere"), str(tmp_path)):
        with pytest.raises(WeightsError) as caught:
            load_text_model(encoder, folder)
        assert caught.value.hint == f"hsmad weights pull {encoder}"


def test_a_vocabulary_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError):
        BuiltinStyleEncoder(replace(CONFIG, vocabulary=8), ["a"] * 20)
