"""The makefiles find what they use, from wherever they are called."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = {ROOT / "weights" / f"{kind}.safetensors" for kind in ("vae", "denoiser", "style")}
NOT_OURS = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "HSMAD", "TORCHRUN", "SHIPPED")

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def recipes(folder: Path, *arguments: str) -> str:
    """What make would do, also where these tests are run by a make."""
    alone = {name: value for name, value in os.environ.items() if name not in NOT_OURS}
    command = ["make", "-n", *arguments]
    return subprocess.run(command, cwd=folder, env=alone, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("folder", "file"), [(ROOT, "examples/successor.mk"), (ROOT / "examples", "successor.mk")])
def test_the_successor_begins_with_the_shipped_weights(folder: Path, file: str, tmp_path: Path) -> None:
    planned = recipes(folder, "-f", file, f"RUNS={tmp_path}/runs", "SOUNDFONT=a.sf3 b.sf3", "GPUS=4")
    named = {(folder / path).resolve() for path in re.findall(r"\S+\.safetensors", planned)}
    assert {path for path in named if tmp_path not in path.parents} == WEIGHTS
    assert all(path.is_file() for path in WEIGHTS)
    assert "--soundfont a.sf3 --soundfont b.sf3" in planned
    assert "--nproc-per-node 4" in planned
    assert "CUDA_VISIBLE_DEVICES=3 " in planned


@pytest.mark.parametrize("program", ["hsmad", "torchrun"])
def test_the_programs_of_the_environment_go_first(tmp_path: Path, program: str) -> None:
    (tmp_path / "examples").mkdir()
    shutil.copy(ROOT / "examples" / "successor.mk", tmp_path / "examples")
    asked = ("-f", "examples/successor.mk", f"RUNS={tmp_path}/runs")
    assert re.search(rf"^{program} ", recipes(tmp_path, *asked), re.MULTILINE)
    installed = tmp_path / ".venv" / "bin" / program
    installed.parent.mkdir(parents=True)
    installed.touch()
    assert re.search(rf"^examples/../.venv/bin/{program} ", recipes(tmp_path, *asked), re.MULTILINE)


def test_training_takes_as_many_processes_as_there_are_gpus(tmp_path: Path) -> None:
    for gpus, processes in ((0, 1), (3, 3)):
        planned = recipes(ROOT, "train", f"GPUS={gpus}", f"RUNS={tmp_path}", f"VENV={tmp_path}/venv")
        assert f"--nproc-per-node {processes} " in planned
