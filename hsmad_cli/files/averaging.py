"""The mean of checkpoints of one ancestor: weights that went different ways from there are better together.

Runs that begin with the same weights and hear different clips end in one valley, and its middle lies lower than its
sides, as for the running mean over steps (EMA). Of weights with no common ancestor a mean is noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hsmad_cli.errors import WeightsError
from hsmad_cli.files.checkpoint import load_checkpoint, read_header

OF_A_RUN = {"sha256", "codec_sha256", "step", "gpu_seconds", "averaged"}


def averaged(paths: Sequence[Path]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (each in its own type, the mean taken in float32) and header of the mean of two or more checkpoints.

    The header is the last one's, with `averaged`, the sha256 of each content, in place of `step`; `gpu_seconds` is
    their sum. Raises WeightsError unless all are of one kind and, but for what tells runs apart, one header.
    """
    if len(paths) < 2:
        raise ValueError(f"a mean is of two checkpoints or more, got {len(paths)}")
    kind = str(read_header(paths[-1])["kind"])
    if kind == "training":
        raise WeightsError(f"{paths[-1]}: the state of a run", "average the weights beside it")
    loaded = [load_checkpoint(path, kind) for path in paths]
    tensors, header = loaded[-1]
    for path, (others, about) in zip(paths, loaded, strict=True):
        _check_alike(path, others, about, tensors, header)
    mean = {name: _mean([others[name] for others, _ in loaded]) for name in tensors}
    kept = {key: value for key, value in header.items() if key not in ("sha256", "step")}
    seconds = sum(about.get("gpu_seconds", 0.0) for _, about in loaded)
    return mean, kept | {"averaged": [about["sha256"] for _, about in loaded], "gpu_seconds": seconds}


def _check_alike(
    path: Path,
    tensors: Mapping[str, Tensor],
    header: Mapping[str, Any],
    last: Mapping[str, Tensor],
    last_header: Mapping[str, Any],
) -> None:
    """Raises WeightsError, naming the first difference, unless two checkpoints have the same shapes and conditions."""
    for key in sorted((header.keys() | last_header.keys()) - OF_A_RUN):
        if header.get(key) != last_header.get(key):
            raise WeightsError(f"{path}: its {key} is not that of the last", "a mean is of weights of one ancestor")
    for name in sorted(tensors.keys() | last.keys()):
        if name not in tensors or name not in last or tensors[name].shape != last[name].shape:
            raise WeightsError(f"{path}: its tensor {name} is not that of the last", "a mean is of one architecture")


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    if not tensors[-1].is_floating_point():
        return tensors[-1]
    return torch.stack([tensor.float() for tensor in tensors]).mean(0).to(tensors[-1].dtype)
