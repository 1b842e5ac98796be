"""The loss on clips that nothing is learnt from: it tells learning from learning by heart."""

from __future__ import annotations

import math
from collections import defaultdict

import torch
from torch import Tensor, nn

from hsmad_cli.config import TrainConfig
from hsmad_cli.model.precision import autocast
from hsmad_cli.training.loop import Stage
from hsmad_cli.training.randomness import Draw

BATCHES = 8
SEED = 0


class HeldOut:
    """A test for `train`: the loss and a stage's scalars over the same crops, noise and chances at every test.

    stage: one on held-out clips, of which nothing is trained: its first player takes the weights that are tested.
    """

    def __init__(self, stage: Stage, config: TrainConfig, device: torch.device, batches: int = BATCHES) -> None:
        self.stage, self.config, self.device, self.batches = stage, config, device, batches

    def __call__(self, model: nn.Module, step: int) -> dict[str, float]:
        """Means over the batches; of a scalar, of those where it was observed (none: NaN)."""
        name, twin = next(iter(self.stage.players.items()))
        twin.load_state_dict(model.state_dict())
        twin.eval()
        losses, observed = [], defaultdict(list)
        for number in range(self.batches):
            loss, scalars = self._losses(name, number)
            losses.append(float(loss))
            for scalar, value in scalars.items():
                observed[scalar].append(float(value))
        means = {scalar: _known_mean(values) for scalar, values in observed.items()}
        return {"loss": sum(losses) / len(losses), **means}

    @torch.no_grad()
    def _losses(self, name: str, number: int) -> tuple[Tensor, dict[str, Tensor]]:
        batch = self.stage.batch(number, Draw(SEED, number))
        with autocast(self.device, self.config.precision):
            outcome = self.stage.loss(name, batch, 0)
        if outcome is None:
            raise ValueError(f"{name} has no loss in the first step")
        return outcome


def _known_mean(values: list[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan
