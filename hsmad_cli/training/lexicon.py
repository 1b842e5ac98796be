"""What words outside all captions mean: a phrase lies among the names that a language model finds it near [2.4].

The style stage knows the words of captions alone. A sentence encoder that has read the web knows that a "sea shanty" is
near "folk" and "accordion"; here its nearness becomes a vector of our space, for a text tower to learn by.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hsmad_cli.datasets.sentences import names_of_captions, phrases, synonyms
from hsmad_cli.files.text_models import SentenceModel
from hsmad_cli.model.style_encoder import StyleEncoder, scaled

NEIGHBOURS = 8
TEMPERATURE = 0.04
LEAST_NEAR, LEAST_NEAR_OF_A_WORD = 0.4, 0.55


class Lexicon(NamedTuple):
    """phrases [n], and the vector of each in the teacher's space, [n, D]."""

    phrases: list[str]
    meant: Tensor

    @classmethod
    def of(cls, model: SentenceModel, teacher: StyleEncoder) -> Lexicon:
        """Of the phrases of phrases.txt and of the language model's own words, those that are near any name.

        A word alone must be nearer: each is a bit like some band.
        """
        named = [(name, name) for name in names_of_captions()]
        named += [(other, name) for name, others in synonyms().items() for other in others]
        called, names = zip(*named, strict=True)
        vectors = teacher.encode(names)
        said = [*phrases(), *model.words]
        least = torch.tensor([LEAST_NEAR] * len(phrases()) + [LEAST_NEAR_OF_A_WORD] * len(model.words))
        nearness, neighbours = (model.encode(said) @ model.encode(called).T).topk(NEIGHBOURS)
        kept = nearness[:, 0] >= least
        meant = meaning(nearness[kept], vectors[neighbours[kept]])
        return cls([phrase for phrase, keep in zip(said, kept.tolist(), strict=True) if keep], meant)


def meaning(nearness: Tensor, vectors: Tensor) -> Tensor:
    """The mean of neighbours' vectors [n, K, D], the nearest counting most: by a softmax of the nearness [n, K]."""
    weights = torch.softmax(nearness / TEMPERATURE, dim=-1)
    return scaled((weights[..., None] * vectors).sum(1))
