"""What musicians type for sixty styles, written by one who saw no list of ours; no training may use prompts.json."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch.nn import functional as F

from hsmad_cli.config import StyleConfig
from hsmad_cli.datasets.recipes import recipes
from hsmad_cli.datasets.sentences import learnt_phrases, names_of_captions, phrases
from hsmad_cli.files.hub import find_weights
from hsmad_cli.model.tokenizer import words_of
from hsmad_cli.training.setup import load_style_encoder

PROMPTS = json.loads((Path(__file__).parent / "prompts.json").read_text(encoding="utf-8"))
LEAST_FIRST, LEAST_AMONG_FIVE = 0.92, 0.96
MOST_SHARED = 23


def test_the_shipped_text_encoder_knows_what_is_meant() -> None:
    """Of 300 prompts, to how many the style meant is the nearest of all, and among the five nearest."""
    encoder, _ = load_style_encoder(StyleConfig(), find_weights(None, "style"), torch.device("cpu"))
    names = [recipe.words[0] for recipe in recipes()]
    styles = F.normalize(encoder.encode(names), dim=1)
    ranks = []
    for style, prompts in PROMPTS.items():
        nearness = F.normalize(encoder.encode(prompts), dim=1) @ styles.T
        ranks.append((nearness >= nearness[:, [names.index(style)]]).sum(1))
        assert nearness.isfinite().all()
    rank = torch.cat(ranks)
    assert float((rank == 1).float().mean()) > LEAST_FIRST
    assert float((rank <= 5).float().mean()) > LEAST_AMONG_FIVE


def test_every_style_is_asked_for_and_few_prompts_are_of_the_training_lists() -> None:
    assert set(PROMPTS) == {recipe.words[0] for recipe in recipes()}
    assert {len(prompts) for prompts in PROMPTS.values()} == {5}
    learnt = {tuple(words_of(phrase)) for phrase in (*learnt_phrases(), *names_of_captions(), *phrases())}
    shared = [prompt for prompts in PROMPTS.values() for prompt in prompts if tuple(words_of(prompt)) in learnt]
    assert len(shared) <= MOST_SHARED
