from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy import CONFIG, ToyStage

from hsmad_cli.files.checkpoint import load_checkpoint
from hsmad_cli.training.loop import Run, train
from hsmad_cli.training.muon import ADAM_RMS, Muon, orthogonalised
from hsmad_cli.training.parallel import Workers

ALONE = Workers(torch.device("cpu"))
MUON = replace(CONFIG, optimiser="muon")


@pytest.mark.parametrize("shape", [(24, 24), (16, 96), (96, 16)])
def test_all_singular_values_come_near_one_and_the_directions_stay(shape: tuple[int, int]) -> None:
    left, _, right = torch.linalg.svd(torch.randn(shape, generator=torch.manual_seed(0)), full_matrices=False)
    sizes = torch.linspace(0.2, 3, min(shape))
    result = orthogonalised((left @ torch.diag(sizes) @ right)[None])[0]
    near_one = torch.diagonal(left.mT @ result @ right.mT)
    assert near_one.min() > 0.6
    assert near_one.max() < 1.3
    torch.testing.assert_close(left @ torch.diag(near_one) @ right, result, rtol=0, atol=2e-3)


def test_a_step_does_not_depend_on_the_size_of_the_gradient_and_is_as_large_as_adams() -> None:
    moves = []
    for scale in (1.0, 1e-3):
        weight = torch.nn.Parameter(torch.zeros(32, 48, 1, 3))
        weight.grad = scale * torch.randn(weight.shape, generator=torch.manual_seed(1))
        Muon([weight], lr=0.1).step()
        moves.append(weight.detach())
    torch.testing.assert_close(moves[0], moves[1], rtol=1e-3, atol=1e-5)
    assert moves[0].square().mean().sqrt() == pytest.approx(0.1 * ADAM_RMS, rel=0.2)


def test_matrices_of_one_shape_move_as_each_alone() -> None:
    def moved(*seeds: int) -> list[torch.Tensor]:
        weights = [torch.nn.Parameter(torch.ones(8, 12)) for _ in seeds]
        for weight, seed in zip(weights, seeds, strict=True):
            weight.grad = torch.randn(weight.shape, generator=torch.manual_seed(seed))
        Muon(weights, lr=0.1, weight_decay=0.5).step()
        return [weight.detach() for weight in weights]

    together = moved(1, 2)
    torch.testing.assert_close(together, [*moved(1), *moved(2)])
    assert not torch.allclose(*together)


def test_momentum_is_the_average_of_the_gradients_looked_ahead_once() -> None:
    weight = torch.nn.Parameter(torch.zeros(1, 1))
    muon = Muon([weight], lr=1.0, momentum=0.5)
    for gradient in (1.0, -0.4):
        weight.grad = torch.full((1, 1), gradient)
        muon.step()
    assert muon.state[weight]["momentum"] == pytest.approx(0.5 * 0.5 - 0.5 * 0.4)


def test_a_resumed_run_is_as_if_never_stopped(tmp_path: Path) -> None:
    train(ToyStage(), MUON, tmp_path / "whole", workers=ALONE)
    with pytest.raises(RuntimeError, match="stopped here"):
        train(ToyStage(stop_at=7), MUON, tmp_path / "cut", workers=ALONE)
    train(ToyStage(), MUON, tmp_path / "cut", workers=ALONE, resume=True)
    whole, cut = (load_checkpoint(tmp_path / name / "state.safetensors", "training")[0] for name in ("whole", "cut"))
    assert whole.keys() == cut.keys()
    assert any("momentum" in name for name in whole)
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_matrices_are_its_own_and_the_rest_is_adams() -> None:
    run = Run(ToyStage(), MUON, ALONE, 0)
    muon, adam = run.optimisers["model"]
    assert all(p.ndim >= 2 for group in muon.param_groups for p in group["params"])
    assert all(p.ndim < 2 for group in adam.param_groups for p in group["params"])
    together = [p for optimiser in (muon, adam) for group in optimiser.param_groups for p in group["params"]]
    assert {id(p) for p in together} == {id(p) for p in run.parameters["model"]}
