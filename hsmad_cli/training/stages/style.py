"""The style encoder's stage: captions and sounds learn to agree (InfoNCE with soft targets)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hsmad_cli.config import Config, to_dict
from hsmad_cli.datasets.memory import ClipBank
from hsmad_cli.errors import ConfigError
from hsmad_cli.model.style_encoder import AudioTextModel
from hsmad_cli.model.tokenizer import words_of
from hsmad_cli.training.randomness import Draw, seeded
from hsmad_cli.training.score_words import with_random_score_words

SPELT_WORDS = 0.1
GAIN_DB = 6.0
SCORE_GROUP = 16
SHARPNESS = 4
MAX_LOG_SCALE = 4.6


class StyleBatch(NamedTuple):
    """audio [B, 2, n], tokens [B, L] of one caption each, agreement [B, B]: 1 where two clips share all attributes."""

    audio: Tensor
    tokens: Tensor
    agreement: Tensor


class StyleStage:
    """Trains both towers on crops of a bank's clips and their captions. `words` is the vocabulary."""

    kind = "style"

    def __init__(self, config: Config, bank: ClipBank, words: Sequence[str], seed: int = 0) -> None:
        self.config, self.train, self.bank, self.device = config, config.train_style, bank, bank.device
        self.captions = [tuple(texts) or ("",) for texts in bank.captions]
        self.words = list(words)
        with seeded(seed, "style"):
            self.model = AudioTextModel(config.style, self.words, config.codec.sample_rate, config.codec.hop_length)
        self.model.to(self.device)
        self.players: dict[str, nn.Module] = {"style": self.model}
        self.by_score, self.score_first = by_score(bank.texts.item_ids)
        self.attributes = attribute_table(bank.texts.tags)
        self.n_samples = self.train.crop_frames * config.codec.hop_length
        self.room = torch.from_numpy(bank.counts["audio"] - self.n_samples)
        if (self.room < 0).any():
            raise ConfigError(f"crops of {self.n_samples} samples from a clip of {bank.counts['audio'].min()}")

    def batch(self, step: int, draw: Draw) -> StyleBatch:
        """Groups of clips of one score, as far as there are so many: a batch holds one score in several styles."""
        generator = draw.generator("style")
        clips = self._clips(generator)
        spelt = [self._tokens(int(clip), generator) for clip in clips]
        along, decibels = torch.rand(2, len(clips), generator=generator, dtype=torch.float64)
        start = (along * (self.room[clips] + 1)).long()
        gain = (10 ** (GAIN_DB * (2 * decibels - 1) / 20)).float()
        audio = self.bank.audio_at(clips.to(self.device), start.to(self.device), self.n_samples)
        return StyleBatch(
            audio * gain.to(self.device)[:, None, None],
            self.model.text.tokenizer.padded(spelt).to(self.device),
            agreement(self.attributes[clips]).to(self.device),
        )

    def _clips(self, generator: torch.Generator) -> Tensor:
        items = self.train.batch
        group = min(SCORE_GROUP, items)
        anchors = torch.randint(len(self.bank), (-(-items // group),), generator=generator)
        first = self.score_first[anchors]
        begin = first + (anchors - first) // group * group
        places = (begin[:, None] + torch.arange(group)) % len(self.bank)
        return self.by_score[places.flatten()[:items]]

    def _tokens(self, clip: int, generator: torch.Generator) -> list[int]:
        """One of the clip's captions, some of its words spelt by letters, so that unknown words mean something too.

        What it says of tempo, mood and key is made random: the score decides that, and no sound should be told by it.
        """
        forms = self.captions[clip]
        text = with_random_score_words(forms[int(torch.randint(len(forms), (), generator=generator))], generator)
        spelt = torch.rand(len(words_of(text)), generator=generator) < SPELT_WORDS
        return self.model.text.tokenizer.tokens(text, spelt.tolist())

    def loss(self, player: str, batch: StyleBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        text, audio = self.model.text(batch.tokens), self.model.audio(batch.audio)
        scale = self.model.log_scale.clamp(max=MAX_LOG_SCALE).exp()
        logits = scale * self.model.similarity(text, audio)
        loss = (soft_cross_entropy(logits, batch.agreement) + soft_cross_entropy(logits.T, batch.agreement)) / 2
        hits = batch.agreement.gather(1, logits.argmax(1, keepdim=True)) > 0.99
        return loss, {"top1": hits.float().mean(), "scale": scale.detach()}

    def header(self) -> dict[str, Any]:
        codec = self.config.codec
        rates = {"sample_rate": codec.sample_rate, "hop_length": codec.hop_length}
        return {"config": to_dict(self.config.style), "words": self.words, **rates}


def by_score(item_ids: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Clips [n] in order of score, as they are within a score; and by place in that order, where its score begins."""
    order = sorted(range(len(item_ids)), key=lambda clip: item_ids[clip])
    ids = [item_ids[clip] for clip in order]
    begins = {item: place for place, item in reversed(list(enumerate(ids)))}
    return torch.tensor(order), torch.tensor([begins[item] for item in ids])


def attribute_table(tags: Sequence[Sequence[str]]) -> Tensor:
    """Which attributes (style, room, instruments, ...) each clip has: float [n_clips, n_tags]."""
    column = {tag: n for n, tag in enumerate(sorted(set().union(*tags)))}
    table = torch.zeros(len(tags), max(len(column), 1))
    for row, own in zip(table, tags, strict=True):
        row[[column[tag] for tag in own]] = 1.0
    return table


def agreement(attributes: Tensor) -> Tensor:
    """Attributes [B, K] -> [B, B]: shared over all attributes of the two, to a power that leaves near twins only."""
    shared = attributes @ attributes.T
    count = attributes.sum(1)
    either = count[:, None] + count[None, :] - shared
    return torch.where(either > 0, shared / either.clamp(min=1), 1.0) ** SHARPNESS


def soft_cross_entropy(logits: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of rows of logits [B, B] against rows of weights, brought to sum one."""
    targets = weights / weights.sum(1, keepdim=True)
    return -(targets * logits.float().log_softmax(1)).sum(1).mean()
