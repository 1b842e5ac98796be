from __future__ import annotations

import pytest
import torch
from toy import CONFIG, ToyStage

from hsmad_cli.training.held_out import HeldOut
from hsmad_cli.training.randomness import Draw


def test_it_is_the_mean_of_the_loss_of_the_weights_that_are_tested() -> None:
    trained, other = ToyStage(), ToyStage()
    with torch.no_grad():
        trained.players["model"][0].weight += 0.1
    found = HeldOut(other, CONFIG, torch.device("cpu"), batches=3)(trained.players["model"], step=9)
    expected = [trained.loss("model", trained.batch(n, Draw(0, n)), 0) for n in range(3)]
    assert found["loss"] == pytest.approx(sum(float(loss.detach()) for loss, _ in expected) / 3, rel=1e-6)
    assert found["error"] == pytest.approx(
        sum(float(scalars["error"].detach()) for _, scalars in expected) / 3, rel=1e-6
    )
    assert found["never"] != found["never"]


def test_every_test_draws_the_same_and_the_tested_weights_stay() -> None:
    model = ToyStage().players["model"]
    before = [parameter.clone() for parameter in model.parameters()]
    test = HeldOut(ToyStage(), CONFIG, torch.device("cpu"))
    first = test(model, step=1)
    assert test(model, step=2)["loss"] == first["loss"]
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())
