"""Work on many processes and on none."""

from __future__ import annotations

import os

import pytest

from hsmad_cli.errors import InputError
from hsmad_cli.evaluation.workers import Workers


def fail(reason: str) -> None:
    raise InputError(reason, "a hint")


def test_other_processes_have_one_thread_and_their_errors_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    with Workers(2) as workers:
        process, threads = workers.submit(os.getpid), workers.submit(os.getenv, "OMP_NUM_THREADS")
        failed = workers.submit(int, "x")
        assert process.result() != os.getpid()
        assert threads.result() == "1"
        with pytest.raises(ValueError, match="invalid literal"):
            failed.result()
    assert os.environ["OMP_NUM_THREADS"] == "5"


def test_one_worker_is_this_process() -> None:
    with Workers(1) as workers:
        assert workers.submit(os.getpid).result() == os.getpid()
        failed = workers.submit(fail, "too quiet")
        with pytest.raises(InputError, match="too quiet"):
            failed.result()
