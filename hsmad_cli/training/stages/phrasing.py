"""The phrasing stage: a trained text tower [2.4] learns that a sentence, or a synonym, means what its caption means.

The tower as it was is the teacher, and its space stays: the vector of a caption is what it was, and that of a sentence
around it becomes the same. So every denoiser that learnt by the teacher plays by the pupil. With a `Lexicon` it also
learns words that no caption has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hsmad_cli.config import Config, to_dict
from hsmad_cli.datasets.sentences import (
    learnt_phrases,
    names_of_captions,
    said_otherwise,
    sentence,
    synonyms,
    with_slips,
)
from hsmad_cli.model.style_encoder import AudioTextModel, BuiltinStyleEncoder, scaled
from hsmad_cli.model.tokenizer import FIRST_TRIGRAM, PADDING, WordTokenizer, words_of
from hsmad_cli.training.lexicon import OF_NEXT_NAME, Lexicon, contains_held_out
from hsmad_cli.training.randomness import Draw

LONGEST = 96
VOCABULARY = 8192
SOURCES = (0.45, 0.35, 0.2)
OF_LEXICON, BESIDE_A_NAME = 0.5, 0.3
PLAIN_ITEMS, SYNONYMS, SENTENCES = 0.25, 0.7, 0.6


class PhrasingBatch(NamedTuple):
    """tokens [B, L] of what is said, and the vectors [B, D] of what is meant."""

    tokens: Tensor
    meant: Tensor


class PhrasingStage:
    """Trains the text tower of `teacher` on sentences around `captions`, and on a lexicon if there is one.

    rates: the teacher's sample_rate and hop_length. space_sha256: of the space that it keeps.
    """

    kind = "style"

    def __init__(
        self,
        config: Config,
        captions: Sequence[str],
        teacher: AudioTextModel,
        rates: Mapping[str, int],
        space_sha256: str,
        device: torch.device,
        lexicon: Lexicon | None = None,
    ) -> None:
        self.config, self.train, self.device = config, config.train_phrasing, device
        called_otherwise = [name for name, others in synonyms().items() for _ in others]
        self.names = names_of_captions()
        self.sources = [list(captions), called_otherwise, self.names]
        self.teacher = teacher.text.to(device).eval().requires_grad_(False)
        self.of_names = self.teacher.encode(self.names)
        self.space_sha256 = space_sha256
        known = teacher.text.config
        self.lexicon = lexicon
        vocabulary = doubled_to(VOCABULARY, known.vocabulary) if lexicon else known.vocabulary
        self.style = replace(known, max_tokens=max(known.max_tokens, LONGEST), vocabulary=vocabulary)
        taught = more_words(self.teacher.tokenizer.words, learnt_phrases(), vocabulary)
        self.words = more_words(taught, lexicon.phrases if lexicon else (), vocabulary)
        self.rates = dict(rates)
        self.model = AudioTextModel(self.style, self.words, **self.rates)
        self.model.load_state_dict({**teacher.state_dict(), **_text_tensors(self.teacher, self.model.text)})
        self.model.to(device).requires_grad_(False).text.requires_grad_(True)
        self.players: dict[str, nn.Module] = {"style": self.model}

    def batch(self, step: int, draw: Draw) -> PhrasingBatch:
        """Captions, and what is said for them."""
        chance = draw.generator("phrasing")
        generator = np.random.default_rng(int(torch.randint(2**62, (), generator=chance)))
        captions = [self._caption(generator) for _ in range(self.train.batch)]
        said = [_said(caption, generator) for caption in captions]
        meant = self.teacher.encode(captions)
        if self.lexicon is not None:
            for item in np.flatnonzero(generator.uniform(size=len(said)) < OF_LEXICON):
                phrase, meant[item] = self.of_lexicon(self.lexicon, generator)
                said[item] = _in_a_sentence(phrase, generator)
        tokens = self.model.text.tokenizer(said)
        longest = int((tokens != PADDING).sum(1).max())
        return PhrasingBatch(tokens[:, :longest].to(self.device), meant)

    def of_lexicon(self, lexicon: Lexicon, generator: np.random.Generator) -> tuple[str, Tensor]:
        """A phrase and its meaning [D]; some beside a name, which counts most, as in "jazz, late at night"."""
        drawn = int(generator.integers(len(lexicon.phrases)))
        phrase, meant = lexicon.phrases[drawn], lexicon.meant[drawn].to(self.device)
        if generator.uniform() >= BESIDE_A_NAME:
            return phrase, meant
        name = int(generator.integers(len(self.names)))
        pair = [self.names[name], phrase][:: 1 if generator.uniform() < 0.5 else -1]
        both = (", " if generator.uniform() < 0.5 else " ").join(pair)
        if contains_held_out(both):
            return phrase, meant
        return both, scaled(self.of_names[name] + OF_NEXT_NAME * meant)

    def _caption(self, generator: np.random.Generator) -> str:
        """One of a clip, a name once for each of its synonyms, or any name alone."""
        choices = self.sources[int(generator.choice(len(self.sources), p=SOURCES))]
        return choices[int(generator.integers(len(choices)))]

    def loss(self, player: str, batch: PhrasingBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """One minus the cosine of what is understood and what is meant."""
        understood = self.model.text(batch.tokens)
        cosine = (understood * batch.meant).mean(1)
        return 1 - cosine.mean(), {"cosine": cosine.mean().detach(), "worst_cosine": cosine.min().detach()}

    def header(self) -> dict[str, Any]:
        return {"config": to_dict(self.style), "words": self.words, **self.rates, "space_sha256": self.space_sha256}


def _said(caption: str, generator: np.random.Generator) -> str:
    """A caption as it is, or called otherwise, in a sentence, with slips."""
    if generator.uniform() < PLAIN_ITEMS:
        return caption
    said = said_otherwise(caption, generator) if generator.uniform() < SYNONYMS else caption
    return _in_a_sentence(said, generator)


def _in_a_sentence(said: str, generator: np.random.Generator) -> str:
    """The same, mostly with words around it, and with slips."""
    said = sentence(said, generator) if generator.uniform() < SENTENCES else said
    return with_slips(said, generator)


def doubled_to(least: int, size: int) -> int:
    """A size doubled until it is at least so large."""
    return size if size >= least else doubled_to(least, 2 * size)


def more_words(words: Sequence[str], phrases: Sequence[str], vocabulary: int) -> list[str]:
    """The words of a vocabulary and, as far as it has room, those of phrases: the most frequent, then the first."""
    counts = Counter(word for phrase in phrases for word in words_of(phrase))
    old = set(words)
    ranked = [word for word, _ in counts.most_common() if word not in old]
    return [*words, *ranked[: WordTokenizer.most_words(vocabulary) - len(words)]]


def _text_tensors(teacher: BuiltinStyleEncoder, pupil: BuiltinStyleEncoder) -> dict[str, Tensor]:
    """The teacher's tensors as the pupil's: new words begin as the mean of their letters, new positions as the last.

    The pupil's vocabulary is some doublings of the teacher's: a trigram begins as the one that it was confused with.
    """
    old, position = teacher.embedding.weight.detach().cpu(), teacher.position
    rows = torch.zeros_like(pupil.embedding.weight)
    rows[:FIRST_TRIGRAM] = old[:FIRST_TRIGRAM]
    trigrams = torch.arange(pupil.tokenizer.n_trigrams)
    rows[FIRST_TRIGRAM + trigrams] = old[FIRST_TRIGRAM + trigrams % teacher.tokenizer.n_trigrams]
    for word, row in pupil.tokenizer.ids.items():
        known = teacher.tokenizer.ids.get(word)
        rows[row] = old[teacher.tokenizer.spell(word)].mean(0) if known is None else old[known]
    longer = position[-1:].expand(len(pupil.position) - len(position), -1)
    changed = {"embedding.weight": rows, "position": torch.cat([position, longer])}
    return {f"text.{name}": tensor for name, tensor in {**teacher.state_dict(), **changed}.items()}
