"""What happens when stdout is a terminal: sounds name themselves, other data is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pty = pytest.importorskip("pty")
termios = pytest.importorskip("termios")


@pytest.fixture
def at_terminal(tiny_weights: Path, tmp_path: Path, song: Path):
    """Runs hsmad in a folder with song.mid, stdout and stderr being a terminal; returns exit code and what it shows."""
    (tmp_path / "song.mid").write_bytes(song.read_bytes())
    root = Path(__file__).resolve().parents[2]
    python_path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "HSMAD_WEIGHTS": str(tiny_weights), "PYTHONPATH": python_path, "OMP_NUM_THREADS": "1"}

    def run(*argv: str) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(ours, (24, 80))
        command = [sys.executable, "-m", "hsmad_cli", *argv]
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            shown = b""
            while chunk := _read(ours):
                shown += chunk
        os.close(ours)
        return process.returncode, shown.decode()

    return run


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux says so when the other end is closed
        return b""


def test_a_sound_is_named_after_its_input_and_not_replaced(at_terminal, tmp_path: Path) -> None:
    code, shown = at_terminal("sample", "song.mid", "--steps", "2")
    assert code == 0
    assert shown.splitlines()[-1].endswith("song.wav")
    assert (tmp_path / "song.wav").read_bytes()[:4] == b"RIFF"
    before = (tmp_path / "song.wav").stat().st_mtime_ns
    code, shown = at_terminal("sample", "song.mid", "--steps", "2")
    assert (code, "song.wav: exists already" in shown) == (6, True)
    assert (tmp_path / "song.wav").stat().st_mtime_ns == before
    assert at_terminal("sample", "song.mid", "--steps", "2", "--force")[0] == 0
    assert (tmp_path / "song.wav").stat().st_mtime_ns != before


def test_progress_is_shown_and_quiet_hides_it(at_terminal) -> None:
    assert "%|" in at_terminal("sample", "song.mid", "--steps", "2", "-o", "a.wav")[1]
    assert at_terminal("sample", "song.mid", "--style", "", "--steps", "2", "-o", "a.wav", "-q") == (0, "")


def test_other_data_is_refused(at_terminal) -> None:
    for argv in (("render-srm", "song.mid"), ("sample", "song.mid", "-o", "-"), ("encode", "song.mid")):
        code, shown = at_terminal(*argv)
        assert (code, "binary data would go to the terminal" in shown) == (2, True)
