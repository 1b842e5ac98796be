"""The score encoder: three rates, independent of neighbours in the batch, moving with the score."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_denoiser import D_IN, SCALES, TINY, random, random_features

from hsmad_cli.model.hse import HSE, NullScore, ScoreFeatures


def tiny_hse(block: str = "conformer") -> HSE:
    torch.manual_seed(0)
    return HSE(replace(TINY.hse, block=block), D_IN, TINY.ratios).double().eval()


@pytest.mark.parametrize("block", ["conformer", "transformer"])
def test_every_level_has_its_rate(block: str) -> None:
    features = tiny_hse(block)(random(2, 64, D_IN))
    assert [tuple(x.shape) for x in features] == [(2, 64 // scale, TINY.hse.width) for scale in SCALES]


def test_an_item_alone_is_the_item_in_a_batch() -> None:
    hse, srm = tiny_hse(), random(3, 96, D_IN)
    for batch, alone in zip(hse(srm), hse(srm[2:]), strict=True):
        assert torch.allclose(batch[2:], alone, rtol=0, atol=1e-12)


def test_delaying_the_score_delays_the_features() -> None:
    """By whole coarse frames, away from the edges: what an edge can reach is its windows and convolutions."""
    hse, srm = tiny_hse(), random(1, 640, D_IN)
    delayed = torch.cat([random(1, 32, D_IN, seed=9), srm[:, :-32]], dim=1)
    for level, (now, later) in enumerate(zip(hse(srm), hse(delayed), strict=True)):
        shift, edge = 32 // SCALES[level], 288 // SCALES[level]
        middle = slice(edge, now.shape[1] - edge)
        assert torch.allclose(now[:, middle], later[:, edge + shift : now.shape[1] - edge + shift], rtol=0, atol=1e-10)


def test_a_score_projected_in_blocks_is_the_score() -> None:
    hse, srm = tiny_hse(), random(1, 64, D_IN)
    whole = hse(srm)
    parts = hse.encode(torch.cat([hse.project(block) for block in srm.split(24, dim=1)], dim=1))
    assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(whole, parts, strict=True))


def test_a_remainder_is_refused() -> None:
    with pytest.raises(ValueError, match=r"40 frames .* R1 R2 = 16"):
        tiny_hse()(random(1, 40, D_IN))


def test_an_unknown_block_is_refused() -> None:
    with pytest.raises(ValueError, match="'mamba', not one of conformer, transformer"):
        tiny_hse("mamba")


def test_null_score_replaces_whole_items_by_one_vector_a_level() -> None:
    null, features = NullScore(TINY.hse.width, ("event", "local", "global")).double(), random_features(2, 32)
    answer = null(features, torch.tensor([True, False]))
    for level, before, after in zip(("event", "local", "global"), features, answer, strict=True):
        assert torch.equal(after[0], null.vectors[level].expand_as(after[0]))
        assert torch.equal(after[1], before[1])


def test_levels_that_are_not_injected_have_no_null() -> None:
    null, features = NullScore(TINY.hse.width, ("local",)).double(), random_features(1, 32)
    answer = null(features, torch.tensor([True]))
    assert list(null.vectors) == ["local"]
    assert isinstance(answer, ScoreFeatures)
    assert answer.event is features.event
