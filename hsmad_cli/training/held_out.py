"""The loss on clips that nothing is learnt from: it tells learning from learning by heart."""

from __future__ import annotations

import math
from collections import defaultdict

import torch
from torch import nn

from hsmad_cli.config import TrainConfig
from hsmad_cli.model.precision import autocast
from hsmad_cli.training.loop import Stage
from hsmad_cli.training.randomness import Draw

BATCHES = 8
SEED = 0


class HeldOut:
    """A test for `train`: means of a stage's scalars over the same crops, noise and chances at every test.

    stage: one on held-out clips, of which nothing is trained: its first player takes the weights that are tested.
    """

    def __init__(self, stage: Stage, config: TrainConfig, device: torch.device, batches: int = BATCHES) -> None:
        self.stage, self.config, self.device, self.batches = stage, config, device, batches

    def __call__(self, model: nn.Module, step: int) -> dict[str, float]:
        name, twin = next(iter(self.stage.players.items()))
        twin.load_state_dict(model.state_dict())
        twin.eval()
        observed: dict[str, list[float]] = defaultdict(list)
        for number in range(self.batches):
            batch = self.stage.batch(number, Draw(SEED, number))
            with torch.no_grad(), autocast(self.device, self.config.precision):
                outcome = self.stage.loss(name, batch, 0)
            loss, scalars = outcome if outcome is not None else (torch.tensor(math.nan), {})
            for scalar, value in {"loss": loss, **scalars}.items():
                observed[scalar].append(float(value))
        return {scalar: _mean_of_observed(values) for scalar, values in observed.items()}


def _mean_of_observed(values: list[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan
