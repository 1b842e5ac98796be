"""Muon (Jordan et al., 2024): momentum whose matrix is made orthogonal before it is a step.

Adam scales each entry alone; here all directions of a matrix are moved by the same amount, so that the rare ones are
learnt as fast as the common ones. The step is scaled to the size of Adam's (Liu et al., 2025), so that one learning
rate serves both. (torch.optim.Muon takes no kernels of convolutions, and moves one matrix at a time.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
ADAM_RMS = 0.2
TINY = 1e-7


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices [n, rows, columns] -> the same shape with all singular values near 1 (0.7 to 1.2), by Newton-Schulz."""
    a, b, c = QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + TINY)
    if x.is_cuda:
        x = x.bfloat16()
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """For parameters of two or more dimensions, each a matrix [first, all others]; equal shapes are moved together.

    `lr` may be a tensor [] on the parameters' device: a captured step then follows it.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float | Tensor,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[(len(parameter), parameter[0].numel())].append(parameter)
            for parameters in alike.values():
                self._move(parameters, [p.grad for p in parameters if p.grad is not None], group)

    def _move(self, parameters: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> None:
        rate, momentum = group["lr"], group["momentum"]
        averages = [self._average(parameter) for parameter in parameters]
        torch._foreach_lerp_(averages, gradients, 1 - momentum)
        ahead = torch._foreach_lerp(gradients, averages, momentum)
        steps = orthogonalised(torch.stack([each.flatten(1) for each in ahead]))
        steps *= -rate * ADAM_RMS * max(steps.shape[1:]) ** 0.5
        torch._foreach_mul_(parameters, 1 - rate * group["weight_decay"])
        moves = [step.view_as(parameter) for step, parameter in zip(steps, parameters, strict=True)]
        torch._foreach_add_(parameters, moves)

    def _average(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        return state["momentum"]
