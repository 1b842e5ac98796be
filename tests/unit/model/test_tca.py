"""Temporal cross-attention: aligned in time, linear in what it must be, strict about lengths."""

from __future__ import annotations

import pytest
import torch
from tiny_denoiser import random

from hsmad_cli.model.layers import time_code
from hsmad_cli.model.skip_modulation import SkipModulation
from hsmad_cli.model.tca import TCA, LevelScore

WIDTH, SCORE = 12, 10


def tiny_tca() -> TCA:
    torch.manual_seed(0)
    return TCA(WIDTH, SCORE, heads=2, head_width=8).double()


def level_score(features: torch.Tensor, window: int = 6, start: int = 0) -> LevelScore:
    return LevelScore(features, time_code(features.shape[1], 8, window, features, start))


def test_a_frame_hears_the_score_within_its_window_only() -> None:
    tca, z, features = tiny_tca(), random(1, 40, WIDTH), random(1, 40, SCORE, seed=2)
    changed = features.clone()
    changed[:, 20] += 1
    difference = (tca(z, level_score(changed)) - tca(z, level_score(features))).detach().abs().amax(-1)[0]
    assert difference.nonzero().flatten().tolist() == list(range(17, 24))
    assert int(difference.argmax()) == 20


def test_a_frame_asks_with_its_own_latent_only() -> None:
    tca, z, score = tiny_tca(), random(1, 40, WIDTH), level_score(random(1, 40, SCORE, seed=2))
    changed = z.clone()
    changed[:, 20] += random(WIDTH, seed=5)
    difference = (tca(changed, score) - tca(z, score)).detach().abs().amax(-1)[0]
    assert difference.nonzero().flatten().tolist() == [20]


def test_the_score_speaks_at_the_first_step() -> None:
    """Neither gated nor zero at the start: the direct path and the attention both carry what the score says."""
    tca, z, features = tiny_tca(), random(2, 40, WIDTH), random(2, 40, SCORE, seed=2)
    _, _, same_frame = tca.score(features).split(tca.sizes, dim=-1)
    answer = tca(z, level_score(features))
    assert 0.3 < float(same_frame.detach().std()) < 2
    assert 0.05 < float((answer - same_frame).detach().std()) < 2


def test_the_absolute_start_does_not_matter_to_a_closed_window() -> None:
    tca, z, features = tiny_tca(), random(1, 40, WIDTH), random(1, 40, SCORE, seed=2)
    here, later = (tca(z, level_score(features, start=start)) for start in (0, 160_000))
    assert torch.allclose(here, later, rtol=0, atol=1e-9)


def test_lengths_that_differ_are_named() -> None:
    with pytest.raises(ValueError, match="z has 40 frames, score has 41 frames"):
        tiny_tca()(random(1, 40, WIDTH), level_score(random(1, 41, SCORE)))


def test_skip_modulation_is_a_gated_sum() -> None:
    tca, z, score = tiny_tca(), random(1, 40, WIDTH), level_score(random(1, 40, SCORE, seed=2))
    modulation = SkipModulation(tca, gate=0.25).double()
    assert torch.equal(modulation(z, score), z + 0.25 * tca(z, score))
    assert modulation.gamma.shape == ()
