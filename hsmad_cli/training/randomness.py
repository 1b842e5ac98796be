"""Where training takes its chances from: (seed, purpose, step, rank), never the global state.

The same four values give the same draws, so a resumed run goes on as if it had never stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


def derived_seed(*parts: int | str) -> int:
    """A 63-bit seed that depends on every part."""
    digest = hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


@contextmanager
def seeded(seed: int, purpose: str) -> Iterator[None]:
    """Inside, PyTorch's CPU generator starts from (seed, purpose); afterwards it is as before. For initial weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, purpose))
        yield


@dataclass(frozen=True)
class Draw:
    """The randomness of one training step on one process."""

    seed: int
    step: int
    rank: int = 0
    world: int = 1

    def generator(self, purpose: str, device: torch.device | str = "cpu", shared: bool = False) -> torch.Generator:
        """A fresh generator for one purpose; `shared` ones agree on all processes."""
        rank = "all" if shared else self.rank
        return torch.Generator(device=device).manual_seed(derived_seed(self.seed, purpose, self.step, rank))
