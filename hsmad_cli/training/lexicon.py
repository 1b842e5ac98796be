"""What phrases outside all captions mean: each is labelled with the names that come nearest to it [2.4].

The style stage knows the words of captions alone. That a "sea shanty" is "folk" and "accordion" is written down in
phrases.tsv; of words that stand in no list, a sentence encoder that has read the web can say which names they are near.
Both become vectors of our space, for a text tower to learn by.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from hsmad_cli.datasets.recipes import recipes
from hsmad_cli.datasets.sentences import names_of_captions, phrases, synonyms, taught_otherwise
from hsmad_cli.errors import WeightsError
from hsmad_cli.files.text_models import SentenceModel
from hsmad_cli.model.style_encoder import StyleEncoder, scaled
from hsmad_cli.model.tokenizer import words_of

OF_NEXT_NAME = 0.4
NEIGHBOURS = 8
TEMPERATURE = 0.04
LEAST_NEAR = 0.55


class Lexicon(NamedTuple):
    """phrases [n], and the vector of each in the teacher's space, [n, D]."""

    phrases: list[str]
    meant: Tensor

    @classmethod
    def of(cls, teacher: StyleEncoder, model: SentenceModel | None = None) -> Lexicon:
        """The phrases of phrases.tsv and, given a language model, those of its words that are near any name; nothing
        that is taught otherwise, or that an evaluation asks for.

        Raises WeightsError if no word of the language model is near.
        """
        taught = {_key(phrase) for phrase in taught_otherwise()}
        labelled = {phrase: names for phrase, names in phrases().items() if _key(phrase) not in taught}
        texts, meant = list(labelled), labelled_meaning(list(labelled.values()), teacher)
        if model is None:
            return cls(texts, meant)
        known = taught | {_key(phrase) for phrase in labelled}
        others = [word for word in model.words if _key(word) not in known]
        if not others:
            return cls(texts, meant)
        words, of_words = _words(model, teacher, others)
        return cls([*texts, *words], torch.cat([meant, of_words]))


def labelled_meaning(labels: Sequence[Sequence[str]], teacher: StyleEncoder) -> Tensor:
    """The vectors [n, D] of lists of names: the first counts most, each next one `OF_NEXT_NAME` of that before it."""
    names = sorted({name for label in labels for name in label})
    vector_of = dict(zip(names, teacher.encode(names), strict=True))
    sums = [
        torch.stack([vector_of[name] * OF_NEXT_NAME**place for place, name in enumerate(label)]).sum(0)
        for label in labels
    ]
    return scaled(torch.stack(sums))


def _words(model: SentenceModel, teacher: StyleEncoder, words: Sequence[str]) -> tuple[list[str], Tensor]:
    """Those words that are near names, the nearest first, each as the mean of its neighbours among them."""
    named = [(name, name) for name in names_of_captions()]
    named += [(other, name) for name, others in synonyms().items() for other in others]
    called, names = zip(*named, strict=True)
    nearness, neighbours = (model.encode(words) @ model.encode(called).T).topk(NEIGHBOURS)
    order = nearness[:, 0].argsort(descending=True, stable=True)
    kept = order[nearness[order, 0] >= LEAST_NEAR]
    if not len(kept):
        raise WeightsError("to this language model nothing is near the names of styles", "it must know English")
    return [words[n] for n in kept.tolist()], meaning(nearness[kept], teacher.encode(names)[neighbours[kept]])


def contains_held_out(text: str) -> bool:
    """Whether a phrase that recipes hold out stands in a text, word for word."""
    said = f" {' '.join(words_of(text))} "
    return any(phrase in said for phrase in _held_out())


@cache
def _held_out() -> tuple[str, ...]:
    return tuple(f" {' '.join(words_of(phrase))} " for recipe in recipes() for phrase in recipe.held_out)


def _key(phrase: str) -> tuple[str, ...]:
    return tuple(words_of(phrase))


def meaning(nearness: Tensor, vectors: Tensor) -> Tensor:
    """The mean of neighbours' vectors [n, K, D], the nearest counting most: by a softmax of the nearness [n, K]."""
    weights = torch.softmax(nearness / TEMPERATURE, dim=-1)
    return scaled((weights[..., None] * vectors).sum(1))
