from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from hsmad_cli.config import canonical_json
from hsmad_cli.errors import WeightsError
from hsmad_cli.files.checkpoint import file_sha256, fill, halved, load_checkpoint, read_header, save_checkpoint

TENSORS = {
    "weight": torch.arange(12, dtype=torch.float32).view(3, 4),
    "half": torch.tensor([[1.5, -2.0]], dtype=torch.float16),
    "step": torch.tensor(7, dtype=torch.int64),
    "empty": torch.zeros(0, 3),
}
HEADER = {"kind": "vae", "config": {"b": 1, "a": [1, 2]}, "step": 7}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "model.safetensors", TENSORS, HEADER)
    return tmp_path / "model.safetensors"


def test_what_is_saved_is_loaded(path: Path) -> None:
    tensors, header = load_checkpoint(path, "vae")
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)
    assert {key: value for key, value in header.items() if key != "sha256"} == HEADER


def test_the_header_is_one_key_of_canonical_json_and_equal_content_is_equal_bytes(path: Path, tmp_path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert list(metadata) == ["hsmad"]
    assert metadata["hsmad"] == canonical_json(json.loads(metadata["hsmad"]))
    again = tmp_path / "again.safetensors"
    save_checkpoint(again, dict(reversed(TENSORS.items())), dict(reversed(HEADER.items())))
    assert again.read_bytes() == path.read_bytes()
    assert file_sha256(again) == file_sha256(path)


def test_any_flipped_bit_is_found(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    damaged = tmp_path / "damaged.safetensors"
    padding = content[8:].split(b"}}}")[0]
    for position in range(0, len(content), 7):
        if content[position : position + 1] == b" " and position > len(padding):
            continue
        damaged.write_bytes(content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :])
        with pytest.raises(WeightsError) as caught:
            load_checkpoint(damaged, "vae")
        assert caught.value.exit_code == 5


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64, b"MThd" + bytes(100)])
def test_files_that_are_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged checkpoint"):
        load_checkpoint(path, "vae")


def test_truncated_absent_and_of_another_kind(path: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="kind 'vae', expected 'style'"):
        load_checkpoint(path, "style")
    with pytest.raises(WeightsError, match="no such checkpoint"):
        read_header(tmp_path / "absent.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="damaged"):
        load_checkpoint(path, "vae")


def test_a_header_without_kind_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="kind"):
        save_checkpoint(tmp_path / "x.safetensors", {}, {})


def test_halving_keeps_vectors_and_integers() -> None:
    halves = halved({"kernel": torch.ones(2, 2, 3), "bias": torch.ones(3), "count": torch.ones(2, 2).long()})
    assert [tensor.dtype for tensor in halves.values()] == [torch.float16, torch.float32, torch.int64]


def test_fill_is_strict() -> None:
    module = nn.Linear(2, 3)
    good = {"weight": torch.ones(3, 2, dtype=torch.float16), "bias": torch.zeros(3)}
    fill(module, good, "here")
    assert module.weight.dtype == torch.float32
    assert module.weight.sum() == 6
    with pytest.raises(WeightsError, match="here: 1 tensors missing, first 'bias'"):
        fill(module, {"weight": good["weight"]}, "here")
    with pytest.raises(WeightsError, match="1 tensors unknown, first 'extra'"):
        fill(module, {**good, "extra": torch.zeros(1)}, "here")
    with pytest.raises(WeightsError, match=r"weight is \(2, 3\), the model needs \(3, 2\)"):
        fill(module, {**good, "weight": torch.ones(2, 3)}, "here")
