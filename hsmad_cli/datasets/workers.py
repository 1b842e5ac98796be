"""The same work on many things, in many processes of one thread each: in order, or in the background."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, Generic, TypeVar

from hsmad_cli.processes import deaths_reported, follow_parent, single_threaded

Job = TypeVar("Job")
Result = TypeVar("Result")

_AHEAD = 4
_NICENESS = 19


def in_order(start: Callable[[], Callable[[Job], Result]], jobs: Iterable[Job], workers: int) -> Iterator[Result]:
    """`start()(job)` for every job, in order; `start` is called once in each process, in this one if `workers` is 1.

    start: a function of a module, or a partial of one, since it is sent to the processes; so are jobs and results.
    Jobs are drawn as results are taken, a few ahead. Raises what the work raises, and HsmadError if a process dies.
    """
    if workers == 1:
        yield from map(start(), jobs)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([getattr(start, "func", start).__module__])
    with deaths_reported(), single_threaded(), ProcessPoolExecutor(workers, context, _start_worker, (start,)) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for job in jobs:
                waiting.append(pool.submit(_work, job))
                if len(waiting) >= _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class Background(Generic[Result]):
    """`start()(job)` for one job after the other, in processes of the lowest priority.

    As `in_order` without end, but nobody waits: results are taken when they are there, a few are made ahead.
    """

    def __init__(self, start: Callable[[], Callable[[Any], Result]], jobs: Iterator[Any], workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, context, _start_humble_worker, (start,))
        self._jobs = jobs
        others = multiprocessing.active_children()
        with single_threaded():
            self._waiting = deque(self._submit() for _ in range(_AHEAD * workers))
        self.processes = [process for process in multiprocessing.active_children() if process not in others]

    def _submit(self) -> Future[Result]:
        return self._pool.submit(_work, next(self._jobs))

    def take(self) -> Result | None:
        """The next result, in order, if it is there. Raises what the work raised, and HsmadError if a process died."""
        if not self._waiting[0].done():
            return None
        with deaths_reported():
            result = self._waiting.popleft().result()
            self._waiting.append(self._submit())
        return result

    def close(self) -> None:
        """End the processes at once; what they are at is lost."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in self.processes:
            process.kill()


@functools.cache
def _current() -> list[Callable[[Any], Any]]:
    return []


def _start_worker(start: Callable[[], Callable[[Any], Any]]) -> None:
    follow_parent()
    _current().append(start())


def _start_humble_worker(start: Callable[[], Callable[[Any], Any]]) -> None:
    """A signal to the whole group is for the parent, which saves first; the worker ends with it."""
    os.nice(_NICENESS)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _start_worker(start)


def _work(job: Any) -> Any:
    return _current()[0](job)
