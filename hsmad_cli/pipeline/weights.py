"""From verified files to frozen models that belong together. Whatever does not fit raises WeightsError."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hsmad_cli.config import CodecConfig, DenoiserConfig
from hsmad_cli.errors import WeightsError
from hsmad_cli.files.checkpoint import (
    config_of,
    file_sha256,
    fill,
    load_checkpoint,
    of_this_version,
    sha256_of_latents,
)
from hsmad_cli.files.hub import find_style, pulled_folder
from hsmad_cli.files.text_models import load_text_model
from hsmad_cli.model.denoiser import Denoiser
from hsmad_cli.model.pretrained_codecs import PRETRAINED_CODECS, PretrainedCodec
from hsmad_cli.model.style_encoder import PRETRAINED_STYLES, BuiltinStyleEncoder, StyleEncoder
from hsmad_cli.model.vae import VAE

Header = Mapping[str, Any]
PRETRAINED_FILE = "model.safetensors"


def load_vae(path: Path, device: torch.device) -> tuple[VAE, str]:
    """The codec of a checkpoint, and the sha256 of its latents."""
    tensors, header = load_checkpoint(path, "vae")
    with of_this_version(path, "codec"):
        vae = VAE(config_of(CodecConfig, header, path))
    fill(vae, tensors, str(path))
    return vae.to(device).eval().requires_grad_(False), sha256_of_latents(tensors, header)


def load_pretrained_codec(name: str, device: torch.device) -> tuple[PretrainedCodec, str]:
    """EnCodec or DAC from the local cache, and the sha256 of its file."""
    folder = pulled_folder(name)
    try:
        codec = PRETRAINED_CODECS[name].load(folder)
    except (ImportError, OSError, ValueError) as error:
        raise WeightsError(f"codec {name}: {error}", f"hsmad weights pull {name}") from error
    return codec.to(device).eval().requires_grad_(False), file_sha256(folder / PRETRAINED_FILE)


def load_denoiser(path: Path, device: torch.device) -> tuple[Denoiser, Header]:
    """The denoiser of a checkpoint, and the header that says what belongs to it."""
    tensors, header = load_checkpoint(path, "denoiser")
    sizes = {key: int(said(header, key, path)) for key in ("latent_channels", "style_width", "d_in")}
    denoiser = Denoiser(config_of(DenoiserConfig, header, path), **sizes)
    fill(denoiser, tensors, str(path))
    return denoiser.to(device).eval().requires_grad_(False), header


def load_style(header: Header, path: Path, device: torch.device, named: Path | None = None) -> StyleEncoder:
    """The style encoder that a denoiser's header names [2.4], from the file `named` if one is."""
    kind, sha256 = said(header, "style_encoder", path), said(header, "style_sha256", path)
    if kind == "builtin":
        return _load_builtin_style(find_style(sha256, path, named)).to(device)
    if kind not in PRETRAINED_STYLES:
        known = ", ".join(("builtin", *PRETRAINED_STYLES))
        raise WeightsError(f"{path}: unknown style encoder {kind!r}", f"this version knows {known}")
    folder = pulled_folder(kind)
    if file_sha256(folder / PRETRAINED_FILE) != sha256:
        raise WeightsError(f"{path}: made with other {kind} weights than those in {folder}")
    model, tokenizer, width = load_text_model(kind, str(folder))
    return PRETRAINED_STYLES[kind](model.to(device), tokenizer, width)


def said(header: Header, key: str, path: Path) -> str:
    """What a header says of `key`."""
    if key not in header:
        raise WeightsError(f"{path}: its header does not say {key}")
    return str(header[key])


def check_sizes(header: Header, path: Path, here: Mapping[str, int]) -> None:
    """Compare the sizes that a denoiser was trained with to those of the models around it."""
    for key, size in here.items():
        if header.get(key) != size:
            raise WeightsError(f"{path}: trained with {key} {header.get(key)}, here it is {size}")


def _load_builtin_style(path: Path) -> BuiltinStyleEncoder:
    tensors, header = load_checkpoint(path, "style")
    with of_this_version(path, "style encoder"):
        return BuiltinStyleEncoder.from_checkpoint(tensors, header)
