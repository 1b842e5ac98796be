"""Work of one thread each, on many processes, or on none but this one."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from hsmad_cli.errors import HsmadError
from hsmad_cli.processes import deaths_reported, follow_parent, single_threaded

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """A pool of `n` processes of one thread each; with n = 1 there is none, and work is done as it is handed in.

    Leaving it raises HsmadError if it is left because a process died.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self._pool: ProcessPoolExecutor | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Workers:
        if self.n > 1:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.n, context, follow_parent)
            self._stack.enter_context(deaths_reported())
            self._stack.enter_context(single_threaded())
            self._stack.callback(self._pool.shutdown, cancel_futures=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

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
