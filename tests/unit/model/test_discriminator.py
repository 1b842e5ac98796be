"""The discriminator and its losses."""

from __future__ import annotations

import torch

from hsmad_cli.model.discriminator import (
    SCALES,
    Discriminator,
    Judgement,
    adversarial_loss,
    discriminator_loss,
    draw_scales,
    feature_loss,
)


def judgement(verdict: float, feature: float = 1.0) -> list[Judgement]:
    return [Judgement([torch.full((1, 2), feature)], torch.full((1, 1), verdict))]


def test_every_scale_judges_and_silence_has_finite_gradients() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(channels=4)
    audio = torch.zeros(1, 2, 4000, requires_grad=True)
    judgements = discriminator(audio)
    assert len(judgements) == len(SCALES)
    assert all(len(j.features) == 5 and j.verdict.shape[:2] == (1, 1) for j in judgements)
    adversarial_loss(judgements).backward()
    assert torch.isfinite(audio.grad).all()


def test_an_item_is_judged_the_same_alone_and_in_a_batch() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(channels=4)
    audio = torch.randn(2, 2, 3000)
    together = discriminator(audio, (512, 128))
    alone = discriminator(audio[1:], (512, 128))
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.verdict[1:], other.verdict, atol=1e-5, rtol=1e-4)


def test_hinge_losses_by_hand() -> None:
    assert discriminator_loss(judgement(0.0), judgement(0.0)) == 2.0
    assert discriminator_loss(judgement(3.0), judgement(-1.0)) == 0.0
    assert discriminator_loss(judgement(0.5), judgement(0.25)) == 0.5 + 1.25
    assert adversarial_loss(judgement(0.75)) == -0.75


def test_feature_loss_is_relative_to_the_real_features() -> None:
    assert feature_loss(judgement(0.0, 4.0), judgement(0.0, 5.0)) == 0.25
    assert feature_loss(judgement(0.0, 4.0), judgement(0.0, 4.0)) == 0.0


def test_drawn_scales_are_two_different_ones_and_agree_for_equal_generators() -> None:
    seen = set()
    for seed in range(40):
        scales = draw_scales(torch.Generator().manual_seed(seed))
        assert scales == draw_scales(torch.Generator().manual_seed(seed))
        assert len(set(scales)) == 2
        assert list(scales) == sorted(scales, reverse=True)
        seen |= set(scales)
    assert seen == set(SCALES)
