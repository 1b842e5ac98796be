"""Checkpoints: safetensors with one header key, `hsmad`, that holds canonical JSON.

The header names the kind (`vae`, `style`, `denoiser`, `training`) and carries `sha256` over all the rest of the header
and every tensor's name, type, shape and bytes, so that one flipped bit is found at load.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from hsmad_cli.config import canonical_json, from_dict
from hsmad_cli.errors import ConfigError, WeightsError
from hsmad_cli.files.publish import write_bytes

T = TypeVar("T")

HEADER_KEY = "hsmad"
LATENT_TENSORS = ("encoder.", "latent_mean", "latent_variance")


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    """Write the tensors under a header that has at least `kind`, atomically; returns the content's sha256."""
    if "kind" not in header:
        raise ValueError(f"a checkpoint header needs 'kind', got {sorted(header)}")
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    digest = content_sha256(stored, header)
    metadata = {HEADER_KEY: canonical_json({**header, "sha256": digest})}
    write_bytes(Path(path), save(stored, metadata))
    return digest


def load_checkpoint(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and header of a checkpoint of this kind, verified.

    Raises WeightsError if the file is absent, damaged, or of another kind.
    """
    header = read_header(path, kind)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _damaged(path, str(error)) from error
    declared = {key: value for key, value in header.items() if key != "sha256"}
    if content_sha256(tensors, declared) != header.get("sha256"):
        raise _damaged(path, "its content does not match its sha256")
    return tensors, header


def read_header(path: Path, kind: str | None = None) -> dict[str, Any]:
    """The header alone, without reading or verifying the tensors."""
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such checkpoint", "`hsmad weights list` shows what is installed")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[HEADER_KEY])
        found = header["kind"]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"no readable hsmad header ({error})") from error
    if kind is not None and found != kind:
        raise WeightsError(f"{path}: a checkpoint of kind {found!r}, expected {kind!r}")
    return header


def content_sha256(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    """sha256 of a header (without its own sha256) and of every tensor in order of name."""
    digest = hashlib.sha256(canonical_json(dict(header)).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal. Raises WeightsError if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}") from error


def latent_sha256(path: Path) -> str:
    """sha256 of all that decides the latents of a codec's file. Raises WeightsError."""
    return sha256_of_latents(*load_checkpoint(path, "vae"))


def sha256_of_latents(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    """sha256 of all that decides a codec's latents: encoder, statistics and configuration, but for the decoder.

    Codecs that differ in their decoders only serve the same denoisers, and decode the same latents.
    """
    kept = {name: tensor for name, tensor in tensors.items() if name.startswith(LATENT_TENSORS)}
    config = {key: value for key, value in header["config"].items() if key != "decoder_channels"}
    return content_sha256(kept, {"config": config})


def style_space(path: Path) -> str:
    """sha256 of the style checkpoint whose vectors those of this one are: itself, or the one it learnt phrasing from.

    Style encoders of one space serve the same denoisers. Raises WeightsError.
    """
    return str(read_header(path, "style").get("space_sha256") or file_sha256(path))


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices and kernels in float16, as they ship; scalars, vectors and integers as they are."""
    return {
        name: tensor.half() if tensor.is_floating_point() and tensor.ndim >= 2 else tensor
        for name, tensor in tensors.items()
    }


def fill(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy tensors into the parameters and buffers of `module`, all of them and no others.

    Raises WeightsError naming the first tensor that is missing, left over or of another shape.
    """
    own = module.state_dict()
    for problem, names in (("missing", own.keys() - tensors.keys()), ("unknown", tensors.keys() - own.keys())):
        if names:
            raise WeightsError(f"{where}: {len(names)} tensors {problem}, first {min(names)!r}")
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            raise WeightsError(f"{where}: {name} is {tuple(tensor.shape)}, the model needs {tuple(own[name].shape)}")
        own[name].copy_(tensor)


def config_of(kind: type[T], header: Mapping[str, Any], path: Path) -> T:
    """The configuration in the header of a checkpoint. Raises WeightsError if it is none of this version."""
    try:
        return from_dict(kind, header["config"], str(path))
    except (KeyError, ConfigError) as error:
        raise WeightsError(f"{path}: its configuration is not one of this version: {error}") from error


@contextmanager
def of_this_version(path: Path, what: str) -> Iterator[None]:
    """Raises WeightsError where a model, called `what`, cannot be made of a checkpoint's content."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (KeyError, IndexError, ValueError, RuntimeError, ConfigError) as error:
        raise WeightsError(f"{path}: not a {what} of this version: {error}") from error


def _damaged(path: Path, why: str) -> WeightsError:
    return WeightsError(f"{path}: damaged checkpoint: {why}", "copy or download it again; `hsmad weights verify`")
