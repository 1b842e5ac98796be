"""A stage of two small players, and the subprocess that trains it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from hsmad_cli.config import TrainConfig
from hsmad_cli.training.loop import train
from hsmad_cli.training.parallel import Workers
from hsmad_cli.training.randomness import Draw, seeded

CONFIG = TrainConfig(
    steps=12, batch=4, learning_rate=1e-2, warmup=3, decay=0.5, ema=0.9, precision="fp32", log_every=1, save_every=5
)


class ToyStage:
    """`model` fits a noisy linear map; `critic` joins from step 2 on and reads what the model left on the stage.

    The batch is drawn whole from shared randomness and dealt out, so that two processes see what one would see.
    """

    kind = "toy"

    def __init__(self, batch: int = 4, bad_step: int = -1, pause_s: float = 0.0, stop_at: int = -1) -> None:
        with seeded(0, "initial weights"):
            model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.LayerNorm(8), nn.Linear(8, 3))
            critic = nn.Linear(3, 1)
        self.players: dict[str, nn.Module] = {"model": model, "critic": critic}
        self.size, self.bad_step, self.pause_s, self.stop_at = batch, bad_step, pause_s, stop_at
        self.guess = torch.zeros(0)
        self.draws: list[Draw] = []

    def batch(self, step: int, draw: Draw) -> Tensor:
        time.sleep(self.pause_s)
        if step == self.stop_at:
            raise RuntimeError("stopped here")
        self.draws.append(draw)
        x = torch.randn(self.size * draw.world, 6, generator=draw.generator("data", shared=True))
        return x[draw.rank :: draw.world]

    def loss(self, player: str, batch: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]] | None:
        target = batch[:, :3].cumsum(1)
        if player == "model":
            guess = self.players["model"](batch)
            self.guess = guess.detach()
            loss = (guess - target).square().mean()
            if step == self.bad_step:
                loss = loss / 0.0
            return loss, {"error": (guess - target).abs().mean(), "never": torch.tensor(float("nan"))}
        if step < 2:
            return None
        critic = self.players["critic"]
        return (critic(self.guess) - critic(target)).mean() + critic.weight.square().sum(), {}

    def header(self) -> dict[str, object]:
        return {"config": {"width": 8}}


if __name__ == "__main__":
    with Workers.join("cpu") as workers:
        train(ToyStage(pause_s=0.02), CONFIG, Path(sys.argv[1]), workers=workers, resume=True)
