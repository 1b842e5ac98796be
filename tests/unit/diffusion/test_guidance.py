"""Guidance identities: which branches a mode needs, and what the weighted sums are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hsmad_cli.diffusion.guidance import (
    BOTH,
    MODES,
    NEITHER,
    SCORE,
    STYLE,
    Branch,
    branch_weights,
    guided,
    outline_then_details,
)

DEAF, SCORE_DEAF = BOTH._replace(deaf=True), SCORE._replace(deaf=True)
_BRANCHES = (NEITHER, STYLE, SCORE, BOTH, SCORE_DEAF, DEAF)
E = dict(zip(_BRANCHES, torch.randn(6, 2, 7, 3, dtype=torch.float64), strict=True))
FORMULAS = {
    "additive": lambda h, s: E[NEITHER] + h * (E[SCORE] - E[NEITHER]) + s * (E[STYLE] - E[NEITHER]),
    "nested": lambda h, s: E[NEITHER] + h * (E[SCORE] - E[NEITHER]) + s * (E[BOTH] - E[SCORE]),
    "anchored": lambda h, s: E[BOTH] + (h - 1) * (E[BOTH] - E[STYLE]) + (s - 1) * (E[BOTH] - E[SCORE]),
    "joint": lambda h, s: E[NEITHER] + h * (E[BOTH] - E[NEITHER]),
}
Z = torch.zeros(2, 7, 3, dtype=torch.float64)


class Branches:
    """Answers with E and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Branch, ...]] = []

    def __call__(self, branches: tuple[Branch, ...], z: Tensor, t: Tensor) -> Tensor:
        self.asked.append(branches)
        return torch.stack([E[branch] for branch in branches])


def answer(mode: str, w_h: float, w_s: float, t: float = 0.5, **options: object) -> tuple[Tensor, Branches]:
    branches = Branches()
    denoise = guided(branches, branch_weights(mode, w_h, w_s), **options)
    return denoise(Z, torch.full((2,), t)), branches


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("w_h", "w_s"), [(4, 2), (1, 1), (0, 0), (2.5, 0), (0, 3), (1, 5)])
def test_the_table_is_the_formula(mode: str, w_h: float, w_s: float) -> None:
    assert torch.allclose(answer(mode, w_h, w_s)[0], FORMULAS[mode](w_h, w_s), rtol=0, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_coefficients_add_up_to_one(mode: str) -> None:
    """So guiding noise, v or x is the same."""
    assert sum(branch_weights(mode, 3.7, 1.3).values()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("mode", "w_h", "w_s", "branches"),
    [
        ("additive", 4, 2, {NEITHER, SCORE, STYLE}),
        ("additive", 1, 0, {SCORE}),
        ("additive", 0, 0, {NEITHER}),
        ("additive", 0.5, 0.5, {SCORE, STYLE}),
        ("nested", 4, 2, {NEITHER, SCORE, BOTH}),
        ("nested", 1, 1, {BOTH}),
        ("nested", 3, 3, {NEITHER, BOTH}),
        ("anchored", 4, 2, {BOTH, STYLE, SCORE}),
        ("anchored", 1, 1, {BOTH}),
        ("anchored", 4, 1, {BOTH, STYLE}),
        ("joint", 4, 1, {NEITHER, BOTH}),
        ("joint", 1, 9, {BOTH}),
    ],
)
def test_branches_without_weight_are_not_computed(mode: str, w_h: float, w_s: float, branches: set[Branch]) -> None:
    _, called = answer(mode, w_h, w_s)
    assert len(called.asked) == 1
    assert set(called.asked[0]) == branches


def test_anchored_at_one_is_the_joint_model() -> None:
    assert torch.equal(answer("anchored", 1, 1)[0], E[BOTH])


def test_nested_with_equal_weights_is_joint_guidance() -> None:
    assert torch.allclose(answer("nested", 3, 3)[0], answer("joint", 3, 3)[0], rtol=0, atol=1e-12)


def test_rescaling_draws_louder_frames_back_to_the_conditioned_ones_and_leaves_softer_ones() -> None:
    """2 e(H,S) - e(0,S) is 3 e(H,S) in the first frame, e(H,S) / 2 in the second."""
    both = torch.tensor([[[1.0, -1.0], [2.0, -2.0]]])
    style = both * torch.tensor([[[-1.0], [1.5]]])

    def frames(rescale: float) -> Tensor:
        denoise = guided(lambda branches, z, t: torch.stack([both, style]), {BOTH: 2.0, STYLE: -1.0}, rescale)
        return denoise(torch.zeros(1, 2, 2), torch.tensor([0.5]))[0]

    assert frames(0.0).tolist() == [[3, -3], [1, -1]]
    torch.testing.assert_close(frames(1.0), torch.tensor([[1.0, -1.0], [1.0, -1.0]]))
    torch.testing.assert_close(frames(0.5), torch.tensor([[2.0, -2.0], [1.0, -1.0]]))


def test_rescaling_changes_nothing_without_guidance() -> None:
    assert torch.equal(answer("anchored", 1, 1, rescale=0.7)[0], E[BOTH])


@pytest.mark.parametrize("mode", MODES)
def test_attention_guidance_adds_what_the_first_layer_hears(mode: str) -> None:
    """After rescaling, which is of the other branches alone."""
    plain, attentive = answer(mode, 3, 2, rescale=0.6)[0], answer(mode, 3, 2, rescale=0.6, w_a=1.5)[0]
    strongest = E[max(branch_weights(mode, 3, 2))]
    deaf = E[DEAF] if mode != "additive" else E[SCORE_DEAF]
    assert torch.allclose(attentive, plain + 1.5 * (strongest - deaf), rtol=0, atol=1e-12)


def test_attention_guidance_costs_one_branch_and_without_weight_or_score_none() -> None:
    weights = {"joint": branch_weights("joint", 4), "nested": {NEITHER: 0.5, STYLE: 0.5}}
    for mode, w_a, more in (("joint", 1.0, {DEAF}), ("joint", 0.0, set()), ("nested", 1.0, set())):
        branches = Branches()
        guided(branches, weights[mode], w_a=w_a)(Z, torch.full((2,), 0.5))
        assert [set(asked) for asked in branches.asked] == [set(weights[mode]) | more]


def test_halfway_the_details_take_over_from_the_outline() -> None:
    denoise = outline_then_details(lambda z, t: z + 1, lambda z, t: z - 1)
    assert [float(denoise(torch.zeros(1), torch.tensor([t]))) for t in (0.99, 0.51, 0.5, 0.01)] == [1, 1, -1, -1]


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="'cfg', not one of additive, nested, anchored, joint"):
        branch_weights("cfg", 1, 1)
