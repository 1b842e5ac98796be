"""What words outside all captions are taught to mean."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from hsmad_cli.config import load_preset
from hsmad_cli.datasets.recipes import recipes
from hsmad_cli.datasets.sentences import names_of_captions, phrases, synonyms
from hsmad_cli.errors import WeightsError
from hsmad_cli.files.text_models import SentenceModel
from hsmad_cli.model.style_encoder import BuiltinStyleEncoder
from hsmad_cli.model.tokenizer import words_of
from hsmad_cli.training.lexicon import LEAST_NEAR, NEIGHBOURS, TEMPERATURE, Lexicon, meaning

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence encoder as small as it can be, saved as any other, with random weights."""
    where = tmp_path_factory.mktemp("sentences")
    words = sorted({word for text in (*names_of_captions(), "zither", "or") for word in words_of(text)})
    (where / "vocab.txt").write_text("\n".join(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words)))
    transformers.BertTokenizerFast(str(where / "vocab.txt")).save_pretrained(where)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=5 + len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.BertModel(config).save_pretrained(where)
    return where


def test_sentences_are_unit_vectors_whatever_stands_beside_them(folder: Path) -> None:
    model = SentenceModel(folder)
    together = model.encode(["jazz trio", "a choir in a church, with an organ", "zither"])
    torch.testing.assert_close(together.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(together[:1], model.encode(["jazz trio"]), rtol=0, atol=1e-6)
    assert {"zither", "choir"} < set(model.words)
    assert not {"or", "[PAD]"} & set(model.words)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not a sentence encoder"):
        SentenceModel(tmp_path)
    with pytest.raises(WeightsError, match="no such folder"):
        SentenceModel(tmp_path / "absent")


def test_the_nearest_neighbour_counts_most_and_equal_ones_alike() -> None:
    one, other = F.one_hot(torch.tensor([0, 1]), 4).float()
    near, between = meaning(torch.tensor([[0.9, 0.9 - 10 * TEMPERATURE], [0.5, 0.5]]), torch.stack([one, other]))
    torch.testing.assert_close(near, 2 * one, rtol=0, atol=1e-3)
    torch.testing.assert_close(between, 2**0.5 * (one + other))


def test_a_lexicon_knows_what_is_near_a_name_and_a_name_itself_best(folder: Path) -> None:
    model, teacher = SentenceModel(folder), BuiltinStyleEncoder(load_preset("tiny").style, ["jazz", "choir"])
    lexicon = Lexicon.of(model, teacher)
    assert len(lexicon.phrases) == len(lexicon.meant) > len(phrases()) / 2
    called = model.encode([*names_of_captions(), *(other for others in synonyms().values() for other in others)])
    assert float((model.encode(lexicon.phrases) @ called.T).amax(1).min()) >= LEAST_NEAR
    torch.testing.assert_close(lexicon.meant.norm(dim=1), torch.full((len(lexicon.meant),), teacher.width**0.5))
    assert len(called) > NEIGHBOURS


def test_no_phrase_is_one_that_evaluations_ask_for() -> None:
    held_out = {tuple(words_of(phrase)) for recipe in recipes() for phrase in recipe.held_out}
    assert not held_out & {tuple(words_of(phrase)) for phrase in phrases()}
    assert len(set(phrases())) == len(phrases())
