"""A player's loss and gradients, and the move that follows, as CUDA graphs: thousands of kernels, one launch each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

WARM_UP = 3

Outcome = tuple[Tensor, dict[str, Tensor]]


class CapturedLoss:
    """`loss(batch)` and its backward pass, captured at the first call and replayed on every later batch.

    `loss` takes a tree of tensors whose shapes never change, draws nothing at random and waits for nothing. Whatever in
    the tree is no tensor must never change either: ValueError. After a call the gradients of `parameters` are set; loss
    and scalars are copies that the next call leaves alone.
    """

    def __init__(self, loss: Callable[[Any], Outcome | None], parameters: list[nn.Parameter]) -> None:
        self.loss, self.parameters = loss, parameters
        self.graph = torch.cuda.CUDAGraph()
        self.leaves: list[Any] = []

    def __call__(self, batch: Any) -> Outcome:
        leaves, form = pytree.tree_flatten(batch)
        if not self.leaves:
            self._capture(leaves, form)
        for kept, leaf in zip(self.leaves, leaves, strict=True):
            if isinstance(leaf, Tensor):
                kept.copy_(leaf)
            elif kept != leaf:
                raise ValueError(f"a captured step cannot change {kept!r} to {leaf!r}")
        self.graph.replay()
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        loss, scalars = self.outcome
        return loss.clone(), {name: value.clone() for name, value in scalars.items()}

    def _capture(self, leaves: list[Any], form: pytree.TreeSpec) -> None:
        self.leaves = [leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        batch = pytree.tree_unflatten(self.leaves, form)
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                self._forward_and_backward(batch)
        torch.cuda.current_stream().wait_stream(aside)
        with torch.cuda.graph(self.graph):
            self.outcome = self._forward_and_backward(batch)
        self.gradients = [
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in self.parameters
        ]

    def _forward_and_backward(self, batch: Any) -> Outcome:
        for parameter in self.parameters:
            parameter.grad = None
        outcome = self.loss(batch)
        if outcome is None:
            raise ValueError("a captured player moves in every step")
        loss, scalars = outcome
        loss.backward()
        return loss.detach(), scalars


class CapturedMove:
    """`move()`, run plainly at the first call, which makes its state; captured at the second; replayed from then on.

    Gradients, parameters, optimiser states and the rate must be the same tensors at every call, filled in place. `move`
    waits for nothing. Returns its outcome, a tensor.
    """

    def __init__(self, move: Callable[[], Tensor]) -> None:
        self.move = move
        self.calls = 0
        self.graph = torch.cuda.CUDAGraph()

    def __call__(self) -> Tensor:
        self.calls += 1
        if self.calls == 1:
            return self.move()
        if self.calls == 2:
            with torch.cuda.graph(self.graph):
                self.outcome = self.move()
        self.graph.replay()
        return self.outcome.clone()
