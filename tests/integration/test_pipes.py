"""Real processes, real pipes, real signals."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

HSMAD = f"{shlex.quote(sys.executable)} -m hsmad_cli"
QUICK = "--steps 1"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def environment(tiny_weights: Path) -> dict[str, str]:
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "HSMAD_WEIGHTS": str(tiny_weights), "PYTHONPATH": python_path, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def shell(environment: dict[str, str], tmp_path: Path, song: Path):
    """Runs a line of bash in an empty folder that holds song.mid; `hsmad` is the command line."""
    (tmp_path / "song.mid").write_bytes(song.read_bytes())

    def run(line: str) -> subprocess.CompletedProcess[bytes]:
        script = f'set -o pipefail; hsmad() {{ {HSMAD} "$@"; }}; {line}'
        return subprocess.run(["bash", "-c", script], capture_output=True, cwd=tmp_path, env=environment)

    return run


def test_a_chain_of_pipes_makes_the_bytes_of_one_command(shell, tmp_path: Path) -> None:
    done = shell(f"hsmad render-srm song.mid -o - | hsmad sample - --style 'warm strings' {QUICK} -o - > piped.wav")
    assert done.returncode == 0, done.stderr
    shell(f"hsmad sample song.mid --style 'warm strings' {QUICK} > direct.wav")
    assert (tmp_path / "piped.wav").read_bytes() == (tmp_path / "direct.wav").read_bytes()


def test_features_and_latents_through_pipes(shell, tmp_path: Path) -> None:
    line = (
        f"hsmad encode song.mid | hsmad sample - {QUICK} | hsmad encode - | hsmad decode - --format flac > again.flac"
    )
    done = shell(line)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again.flac").read_bytes().startswith(b"fLaC")


@pytest.mark.judge
def test_the_chain_ends_in_a_judgement(shell) -> None:
    done = shell(
        f"hsmad render-srm song.mid -o - | hsmad sample - {QUICK} -o - "
        "| hsmad transcribe-eval - song.mid --json --judge basic-pitch"
    )
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout.splitlines()[0]), dict)


@pytest.mark.parametrize("reader", ["true", "head -c 100 > /dev/null"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves(shell, reader: str, unbuffered: str) -> None:
    done = shell(
        f"export PYTHONUNBUFFERED={unbuffered}; hsmad sample song.mid {QUICK} -o - | {reader}; echo ${{PIPESTATUS[0]}}"
    )
    assert done.stdout == b"141\n"
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_stdout(shell) -> None:
    done = shell(f"hsmad sample song.mid {QUICK} > /dev/full")
    assert done.returncode == 6
    assert done.stderr.startswith(b"hsmad sample: stdout: cannot write: No space left on device")


def test_a_disk_that_fills_up_leaves_nothing(shell, tmp_path: Path) -> None:
    done = shell(f"ulimit -f 100; hsmad sample song.mid {QUICK} -o song.wav")
    assert done.returncode == 6
    assert done.stderr.startswith(b"hsmad sample: song.wav: cannot write: File too large")
    assert [path.name for path in tmp_path.iterdir()] == ["song.mid"]


def test_an_error_upstream_is_reported_once_by_each(shell) -> None:
    done = shell("hsmad render-srm absent.mid -o - | hsmad sample - -o - > out.wav; echo ${PIPESTATUS[@]}")
    assert done.stdout == b"3 3\n"
    assert done.stderr.decode().splitlines()[0] == "hsmad render-srm: absent.mid: no such file"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_good_order(environment, tmp_path: Path, song: Path, number: int, code: int) -> None:
    command = [sys.executable, "-m", "hsmad_cli", "sample", str(song), "-v", "--steps", "1000", "-o", "song.wav"]
    heard = partial(signal.signal, number, signal.SIG_DFL)  # a shell's background jobs are born deaf to SIGINT
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=heard
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("weights")
    process.send_signal(number)
    assert process.wait(timeout=280) == code
    lines = process.stderr.read().splitlines()
    assert lines == [f"hsmad sample: {'interrupted' if code == 130 else 'terminated'}"]
    assert list(tmp_path.iterdir()) == []
