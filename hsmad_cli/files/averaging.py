"""The mean of checkpoints of one ancestor.

Runs that begin with the same weights and soon part are often better together than alone, as the running mean over the
steps of one run (EMA) is better than each. Of weights that have no ancestor in common, or parted long ago, a mean is
noise; nothing here can tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hsmad_cli.config import DenoiserConfig, from_dict
from hsmad_cli.errors import WeightsError
from hsmad_cli.files.checkpoint import load_checkpoint, read_header

_OF_A_RUN = {"sha256", "codec_sha256", "step", "gpu_seconds", "averaged"}


def averaged(paths: Sequence[Path]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (the mean is taken in float32, and kept in their own type) and header of the mean of some checkpoints.

    What is the same in all, such as an encoder that was frozen, stays so to the bit. The header is the last one's, with
    `averaged`, the sha256 of each content, in place of `step`; `gpu_seconds` is the sum of theirs. Raises WeightsError
    unless all have one kind, tensors of the same shapes and types and, but for what tells runs apart and for the score
    encoder's dropout, one header.
    """
    if len(paths) < 2:
        raise ValueError(f"a mean is of two checkpoints or more, got {len(paths)}")
    kind = str(read_header(paths[-1])["kind"])
    if kind == "training":
        raise WeightsError(f"{paths[-1]}: the state of a run", "average the weights beside it")
    loaded = [load_checkpoint(path, kind) for path in paths]
    tensors, header = loaded[-1]
    for path, (their_tensors, their_header) in zip(paths, loaded, strict=True):
        _check_alike(path, their_tensors, their_header, tensors, header)
    mean = {name: _mean([theirs[name] for theirs, _ in loaded]) for name in tensors}
    kept = {key: value for key, value in header.items() if key not in ("sha256", "step")}
    seconds = sum(theirs.get("gpu_seconds", 0.0) for _, theirs in loaded)
    return mean, kept | {"averaged": [theirs["sha256"] for _, theirs in loaded], "gpu_seconds": seconds}


def _as_played(value: Any) -> Any:
    """A value of a header; a denoiser's config with the defaults of what older versions did not write, and without the
    score encoder's dropout, which acts in training alone."""
    if not isinstance(value, Mapping) or "hse" not in value:
        return value
    config = from_dict(DenoiserConfig, value)
    return replace(config, hse=replace(config.hse, dropout=0.0))


def _check_alike(
    path: Path,
    tensors: Mapping[str, Tensor],
    header: Mapping[str, Any],
    last_tensors: Mapping[str, Tensor],
    last_header: Mapping[str, Any],
) -> None:
    """Raises WeightsError, naming the first difference, unless two checkpoints have the same shapes and conditions."""
    for key in sorted((header.keys() | last_header.keys()) - _OF_A_RUN):
        if _as_played(header.get(key)) != _as_played(last_header.get(key)):
            raise WeightsError(f"{path}: its {key} is not that of the last", "a mean is of weights of one ancestor")
    for name in sorted(tensors.keys() | last_tensors.keys()):
        if _form(tensors.get(name)) != _form(last_tensors.get(name)):
            raise WeightsError(f"{path}: its tensor {name} is not that of the last", "a mean is of one architecture")


def _form(tensor: Tensor | None) -> tuple[torch.Size, torch.dtype] | None:
    return None if tensor is None else (tensor.shape, tensor.dtype)


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    """Their mean; the last of them if all are equal, or if they are no fractions."""
    last = tensors[-1]
    if not last.is_floating_point() or all(torch.equal(tensor, last) for tensor in tensors):
        return last
    return torch.stack([tensor.float() for tensor in tensors]).mean(0).to(last.dtype)
