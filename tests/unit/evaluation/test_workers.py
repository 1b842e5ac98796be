"""Work on many processes and on none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hsmad_cli.errors import HsmadError, InputError
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


def test_the_death_of_a_process_is_told_with_its_cure() -> None:
    with pytest.raises(HsmadError, match="a worker died") as told, Workers(2) as workers:
        workers.submit(os._exit, 1).result()
    assert told.value.hint is not None
    assert "fewer workers" in told.value.hint


KILLED = """
import os, signal, time
from hsmad_cli.evaluation.workers import Workers
if __name__ == "__main__":
    with Workers(2) as workers:
        workers.submit(os.getpid).result()
        workers.submit(time.sleep, 600)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_processes_leave_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """Their stderr closes."""
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    outcome = subprocess.run([sys.executable, str(script)], capture_output=True, timeout=280)
    assert outcome.returncode == -signal.SIGKILL, outcome.stderr


def test_one_worker_is_this_process() -> None:
    with Workers(1) as workers:
        assert workers.submit(os.getpid).result() == os.getpid()
        failed = workers.submit(fail, "too quiet")
        with pytest.raises(InputError, match="too quiet"):
            failed.result()
