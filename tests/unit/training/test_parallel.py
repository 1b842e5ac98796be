from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from toy import CONFIG, ToyStage

from hsmad_cli.errors import InputError
from hsmad_cli.files.checkpoint import load_checkpoint
from hsmad_cli.training.loop import train
from hsmad_cli.training.parallel import Workers

TOY = Path(__file__).with_name("toy.py")


def test_two_processes_are_one_with_twice_the_batch(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    two = tmp_path / "two"
    processes = [
        subprocess.Popen([sys.executable, str(TOY), str(two)], env={**common, "RANK": str(rank)}) for rank in range(2)
    ]
    assert [process.wait(timeout=280) for process in processes] == [0, 0]
    one = tmp_path / "one"
    train(ToyStage(batch=8), replace(CONFIG, batch=8), one, workers=Workers(torch.device("cpu")))
    left = load_checkpoint(two / "state.safetensors", "training")[0]
    right = load_checkpoint(one / "state.safetensors", "training")[0]
    for name in right:
        torch.testing.assert_close(left[name], right[name], rtol=1e-4, atol=1e-6)
    lines = [len((run / "metrics.jsonl").read_text().splitlines()) for run in (one, two)]
    assert lines == [12, 12]


def test_the_group_is_closed_when_what_was_to_be_trained_fails(tmp_path: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    with pytest.raises(InputError), Workers(torch.device("cpu"), rank=0, world=2):
        raise InputError("no bank")
    assert not dist.is_initialized()


def test_alone_nothing_is_exchanged() -> None:
    workers = Workers(torch.device("cpu"))
    tensor = torch.tensor([1.0, 2.0])
    workers.average([tensor])
    assert tensor.tolist() == [1.0, 2.0]
    assert workers.largest([3.0]) == [3.0]
    assert workers.chief
