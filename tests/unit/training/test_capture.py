from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from toy import CONFIG, ToyStage

from hsmad_cli.training.loop import Run
from hsmad_cli.training.parallel import Workers

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")


class OnGPU(ToyStage):
    """The toy with one player that moves in every step, on the GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.players = {"model": self.players["model"].cuda()}

    def batch(self, step, draw):
        return super().batch(step, draw).cuda()


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_a_captured_run_takes_the_same_steps_at_the_same_rates(optimiser) -> None:
    weights = []
    for capture in (False, True):
        config = replace(CONFIG, capture=capture, optimiser=optimiser, warmup=4, decay=0.5)
        run = Run(OnGPU(), config, Workers(torch.device("cuda")), seed=0)
        for step in range(6):
            run.advance(step / 6)
        weights.append(torch.cat([p.detach().flatten() for p in run.model.parameters()]))
    torch.testing.assert_close(*weights, rtol=1e-5, atol=1e-6)
