"""What words outside all captions are taught to mean."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
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
from hsmad_cli.training.lexicon import LEAST_NEAR, OF_NEXT_NAME, TEMPERATURE, Lexicon, labelled_meaning, meaning

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


class Vectors:
    """A language model of which the nearness of every text to "jazz", and to nothing else, is chosen."""

    def __init__(self, nearness: dict[str, float]) -> None:
        self.nearness, self.words = nearness, [text for text in nearness if " " not in text]
        self.axes: dict[str, int] = {"jazz": 0}

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        vectors = torch.zeros(len(texts), 64)
        for vector, text in zip(vectors, texts, strict=True):
            vector[0] = near = self.nearness.get(text, 0.0)
            vector[self.axes.setdefault(text, len(self.axes))] = (1 - near**2) ** 0.5
        return vectors


TEACHER = BuiltinStyleEncoder(load_preset("tiny").style, ["jazz", "choir"])


def lexicon(monkeypatch: pytest.MonkeyPatch, nearness: dict[str, float], labels: dict[str, tuple[str, ...]]) -> Lexicon:
    monkeypatch.setattr("hsmad_cli.training.lexicon.phrases", lambda: labels)
    monkeypatch.setattr("hsmad_cli.training.lexicon.names_of_captions", lambda: ["jazz", *"abcdefgh"])
    monkeypatch.setattr("hsmad_cli.training.lexicon.synonyms", dict)
    return Lexicon.of(TEACHER, Vectors(nearness))


def test_a_phrase_is_its_names_the_first_counting_most() -> None:
    jazz, choir = TEACHER.encode(["jazz", "choir"])
    one, both = labelled_meaning([("jazz",), ("jazz", "choir")], TEACHER)
    torch.testing.assert_close(one, jazz)
    torch.testing.assert_close(F.normalize(both, dim=0), F.normalize(jazz + OF_NEXT_NAME * choir, dim=0))
    torch.testing.assert_close(both.norm(), jazz.norm())


def test_without_a_language_model_the_labelled_phrases_are_all() -> None:
    alone = Lexicon.of(TEACHER)
    assert set(alone.phrases) <= set(phrases())
    assert len(alone.phrases) == len(alone.meant) > 0.98 * len(phrases())


def test_words_follow_that_are_near_enough_to_a_name_the_nearest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"vuvuzela": LEAST_NEAR + 0.01, "zitherist": 0.99, "gravel": LEAST_NEAR - 0.01}
    known = lexicon(monkeypatch, words, {"late night": ("choir",)})
    assert known.phrases == ["late night", "zitherist", "vuvuzela"]
    torch.testing.assert_close(known.meant[0], TEACHER.encode(["choir"])[0])
    torch.testing.assert_close(known.meant[1], TEACHER.encode(["jazz"])[0], rtol=0, atol=1e-2)
    torch.testing.assert_close(known.meant.norm(dim=1), torch.full((3,), TEACHER.width**0.5))


def test_what_is_taught_otherwise_or_asked_for_by_evaluations_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    held_out = recipes()[0].held_out[0]
    others = ["hazy", "dreamy", "bossa nova", held_out, "samba"]
    nearness = {"zither": 0.9, **dict.fromkeys(others, 0.95)}
    known = lexicon(monkeypatch, nearness, {"late night": ("jazz",), **dict.fromkeys(others, ("jazz",))})
    assert known.phrases == ["late night", "zither"]


def test_a_model_to_which_nothing_is_near_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match="nothing is near"):
        lexicon(monkeypatch, {"zither": 0.1}, {"late night": ("jazz",)})


def test_every_label_is_a_name_and_no_phrase_is_one_that_evaluations_ask_for() -> None:
    known = {*names_of_captions(), *synonyms()}
    assert {name for names in phrases().values() for name in names} <= known
    assert {len(names) for names in phrases().values()} == {1, 2, 3}
    held_out = [words_of(phrase) for recipe in recipes() for phrase in recipe.held_out]
    said = [words_of(phrase) for phrase in phrases()]
    everything = "|".join(f" {' '.join(words)} " for words in said)
    assert not [words for words in held_out if f" {' '.join(words)} " in everything]
    assert not {"".join(words) for words in held_out} & {"".join(words) for words in said}


def test_no_phrase_is_labelled_twice() -> None:
    text = (resources.files("hsmad_cli") / "datasets" / "phrases.tsv").read_text(encoding="utf-8")
    assert len(text.splitlines()) == len(phrases())
