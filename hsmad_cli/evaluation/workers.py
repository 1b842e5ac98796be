"""Work of one thread each, on many processes, or on none but this one."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from hsmad_cli.errors import HsmadError

P = ParamSpec("P")
T = TypeVar("T")

ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


class Workers:
    """A pool of `n` processes of one thread each; with n = 1 there is none, and work is done as it is handed in."""

    def __init__(self, n: int) -> None:
        self.n = n
        self._pool: ProcessPoolExecutor | None = None
        self._environment: dict[str, str | None] = {}

    def __enter__(self) -> Workers:
        if self.n > 1:
            self._environment = {name: os.environ.get(name) for name in ONE_THREAD}
            os.environ.update(ONE_THREAD)
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.n, context, _leave_interrupts_to_parent)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is None:
            return
        self._pool.shutdown(cancel_futures=True)
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def submit(self, function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> Future[T]:
        """The future of `function(*arguments, **options)`; function and values must be picklable."""
        if self._pool is None:
            return done_here(function, *arguments, **options)
        return self._pool.submit(function, *arguments, **options)


def done_here(function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> Future[T]:
    """The call, done at once in this process, as a future."""
    future: Future[Any] = Future()
    try:
        future.set_result(function(*arguments, **options))
    except HsmadError as error:
        future.set_exception(error)
    return future


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
