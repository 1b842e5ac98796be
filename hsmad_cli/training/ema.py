"""The exponential moving average of a model's parameters: the weights that ship."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """A float32 average of the trained parameters of `module`, updated after every step.

    The decay warms up as min(decay, (1 + step) / (10 + step)), so that short runs do not average their beginning in.
    Buffers and frozen parameters are not averaged: they are those of the module, to the bit.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = module
        self.decay = decay
        trained = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
        self.names = list(trained)
        self.parameters: list[Tensor] = list(trained.values())
        self.averages = [parameter.detach().clone() for parameter in self.parameters]

    def reset(self) -> None:
        """Start again from the present parameters."""
        with torch.no_grad():
            torch._foreach_copy_(self.averages, self.parameters)

    def update(self, step: int) -> None:
        """Take in the parameters after `step` (1, 2, ...)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, self.parameters, 1.0 - decay)

    def named(self) -> dict[str, Tensor]:
        return dict(zip(self.names, self.averages, strict=True))

    def state_dict(self) -> dict[str, Tensor]:
        """The module's state with averaged parameters and its own buffers."""
        return {**self.module.state_dict(), **self.named()}

    @contextmanager
    def applied(self) -> Iterator[nn.Module]:
        """Inside, the module holds the averages (in place, so compiled code sees them), in evaluation mode."""
        kept = [parameter.detach().clone() for parameter in self.parameters]
        was_training = self.module.training
        with torch.no_grad():
            torch._foreach_copy_(self.parameters, self.averages)
        self.module.eval()
        try:
            yield self.module
        finally:
            self.module.train(was_training)
            with torch.no_grad():
                torch._foreach_copy_(self.parameters, kept)
