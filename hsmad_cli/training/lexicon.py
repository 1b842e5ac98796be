"""What words outside all captions mean: a phrase lies among the names that a language model finds it near [2.4].

The style stage knows the words of captions alone. A sentence encoder that has read the web knows that a "sea shanty" is
near "folk" and "accordion"; here its nearness becomes a vector of our space, for a text tower to learn by.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hsmad_cli.datasets.sentences import names_of_captions, phrases, synonyms, taught_otherwise
from hsmad_cli.errors import WeightsError
from hsmad_cli.files.text_models import SentenceModel
from hsmad_cli.model.style_encoder import StyleEncoder, scaled
from hsmad_cli.model.tokenizer import words_of

NEIGHBOURS = 8
TEMPERATURE = 0.04
LEAST_NEAR, LEAST_NEAR_OF_A_WORD = 0.4, 0.55


class Lexicon(NamedTuple):
    """phrases [n], and the vector of each in the teacher's space, [n, D]."""

    phrases: list[str]
    meant: Tensor

    @classmethod
    def of(cls, model: SentenceModel, teacher: StyleEncoder) -> Lexicon:
        """Of the phrases of phrases.txt and of the language model's own words, those that are near any name, the
        nearest first; but none that is taught otherwise, or that an evaluation asks for.

        A word alone must be nearer: each is a bit like some band. Raises WeightsError if nothing is near.
        """
        named = [(name, name) for name in names_of_captions()]
        named += [(other, name) for name, others in synonyms().items() for other in others]
        called, names = zip(*named, strict=True)
        vectors = teacher.encode(names)
        taught = {_key(phrase) for phrase in taught_otherwise()}
        least_of = dict.fromkeys(model.words, LEAST_NEAR_OF_A_WORD) | dict.fromkeys(phrases(), LEAST_NEAR)
        said, least = zip(
            *((phrase, near) for phrase, near in least_of.items() if _key(phrase) not in taught), strict=True
        )
        nearness, neighbours = (model.encode(said) @ model.encode(called).T).topk(NEIGHBOURS)
        order = nearness[:, 0].argsort(descending=True, stable=True)
        kept = [n for n in order.tolist() if float(nearness[n, 0]) >= least[n]]
        if not kept:
            raise WeightsError("to this language model nothing is near the names of styles", "it must know English")
        return cls([said[n] for n in kept], meaning(nearness[kept], vectors[neighbours[kept]]))


def _key(phrase: str) -> tuple[str, ...]:
    return tuple(words_of(phrase))


def meaning(nearness: Tensor, vectors: Tensor) -> Tensor:
    """The mean of neighbours' vectors [n, K, D], the nearest counting most: by a softmax of the nearness [n, K]."""
    weights = torch.softmax(nearness / TEMPERATURE, dim=-1)
    return scaled((weights[..., None] * vectors).sum(1))
