"""A long song in blocks that see enough of their surroundings to agree with the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from hsmad_cli.errors import NonFiniteError

# Told (part, done, total): which part of the work, such as denoise, and how many of its steps or frames are done.
Progress = Callable[[str, int, int], None]


def silent(part: str, done: int, total: int) -> None:
    """A progress callback that tells nobody."""


class Block(NamedTuple):
    """Frames [start, stop) that are wanted of a block, and [first, last) that it has to see."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def inner(self) -> slice:
        """The wanted frames, within those seen."""
        return slice(self.start - self.first, self.stop - self.first)


def blocks(start: int, stop: int, size: int, halo: int | None) -> Iterator[Block]:
    """Blocks that cover [start, stop), each with up to `halo` frames on both sides; halo None: one block."""
    step = stop - start if halo is None else size
    for first in range(start, stop, step):
        last = min(first + step, stop)
        reach = halo or 0
        yield Block(first, last, max(start, first - reach), min(stop, last + reach))


def finite(values: np.ndarray, what: str, hint: str | None = None) -> np.ndarray:
    """The same values. Raises NonFiniteError with the hint if there is NaN or infinity among them."""
    require_finite(int(np.count_nonzero(~np.isfinite(values))), values.size, what, hint)
    return values


def require_finite(bad: int, size: int, what: str, hint: str | None = None) -> None:
    """Raises NonFiniteError unless `bad`, the count of the non-finite ones among `size` numbers, is 0."""
    if bad:
        raise NonFiniteError(f"{bad} of {size} numbers of {what} are not finite", hint)
