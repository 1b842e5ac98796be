from __future__ import annotations

import pytest
import torch
from toy import CONFIG, ToyStage

from hsmad_cli.training.loop import Run
from hsmad_cli.training.parallel import Workers
from hsmad_cli.training.profile import WARM_UP, profile

ITEMS, MODEL_IN, HIDDEN, OUT = 4, 6, 8, 3


@pytest.fixture
def run() -> Run:
    return Run(ToyStage(ITEMS), CONFIG, Workers(torch.device("cpu")), seed=0)


def test_counts_the_products_of_a_step(run: Run) -> None:
    first, second, critic = (2 * ITEMS * a * b for a, b in ((MODEL_IN, HIDDEN), (HIDDEN, OUT), (OUT, 1)))
    forward = first + second + 2 * critic
    weight_gradients = first + second + 2 * critic
    gradient_of_hidden = second
    assert round(1e12 * profile(run, 1).tflop) == forward + weight_gradients + gradient_of_hidden


def test_moves_the_run_on_and_says_where_the_time_goes(run: Run) -> None:
    measured = profile(run, 2)
    assert run.step == 1 + WARM_UP + 2 + 2 + 2
    assert set(measured.phases_ms) == {"batch", "loss", "gradient", "step"}
    assert min(measured.step_ms, measured.first_s, *measured.phases_ms.values()) > 0
    assert measured.kernels == sorted(measured.kernels, key=lambda kernel: -kernel.ms)
    assert len(measured.lines(most=3)) == 6
