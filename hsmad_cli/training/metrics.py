"""Scalars that are summed on the device and fetched now and then."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from torch import Tensor

from hsmad_cli.errors import NonFiniteError
from hsmad_cli.files.publish import write_bytes
from hsmad_cli.training.parallel import Workers

NEVER = 2**62


class Meter:
    """Means of named scalars over steps and processes; NaN counts as not observed, except in `loss` and `grad_norm`.

    Adding waits for nothing; `take` and `check` fetch from the device, and all processes must call them together.
    """

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self.totals: dict[tuple[str, ...], Tensor] = {}
        self.first_bad_step = torch.full((), NEVER, dtype=torch.int64, device=workers.device)

    def add(self, player: str, step: int, scalars: dict[str, Tensor]) -> None:
        """Take in the scalars of step number `step` + 1 of a player."""
        names = tuple(f"{player}/{name}" for name in scalars)
        values = torch.stack([value.detach().to(torch.float32) for value in scalars.values()])
        observed = torch.isfinite(values)
        bad = ~(torch.isfinite(scalars["loss"]) & torch.isfinite(scalars["grad_norm"]))
        self.first_bad_step = torch.where(bad, self.first_bad_step.clamp(max=step + 1), self.first_bad_step)
        sums = torch.stack([torch.where(observed, values, 0.0), observed.to(torch.float32)])
        self.totals[names] = self.totals[names] + sums if names in self.totals else sums

    def take(self) -> dict[str, float]:
        """Means since the last call. Raises NonFiniteError if a loss or gradient was not finite."""
        self.check()
        totals = list(self.totals.values())
        self.workers.average(totals)
        means = {}
        for names, total in zip(self.totals, totals, strict=True):
            for name, value, count in zip(names, *total.tolist(), strict=True):
                means[name] = value / count if count else math.nan
        self.totals = {}
        return means

    def check(self) -> None:
        """Raise NonFiniteError, on every process, naming the first step whose loss or gradient was not finite."""
        first = -self.workers.largest([-float(self.first_bad_step.item())])[0]
        if first < NEVER:
            raise NonFiniteError(
                f"loss or gradient was not finite at step {int(first)}; the last saved state is before it",
                "resume with a lower learning rate or another --seed",
            )


def keep_lines_until(path: Path, step: int) -> None:
    """Drop the metrics after `step` (and a line that was cut off), so that a resumed run writes each step once."""
    if not path.is_file():
        return
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= step]
    write_bytes(path, "".join(line + "\n" for line in kept).encode())


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return math.inf
