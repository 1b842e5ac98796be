"""Weights of the tiny preset with a seeded random start, for tests: every file real, nothing trained."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from hsmad_cli.config import Config, load_preset, to_dict
from hsmad_cli.files.checkpoint import file_sha256, halved, load_checkpoint, save_checkpoint
from hsmad_cli.model.denoiser import Denoiser
from hsmad_cli.model.style_encoder import TEXT_PREFIX, BuiltinStyleEncoder
from hsmad_cli.model.vae import VAE
from hsmad_cli.symbolic.srm import LAYOUT

WORDS = ("guitar", "jazz", "piano", "solo", "strings", "warm")


def write_weights(folder: Path, config: Config | None = None, seed: int = 0) -> Path:
    """A folder of weights with its index, as `hsmad` ships it."""
    config = config or load_preset("tiny")
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vae = VAE(config.codec)
        style = BuiltinStyleEncoder(config.style, WORDS)
        sizes = {
            "latent_channels": config.codec.latent_channels,
            "style_width": config.style.width,
            "d_in": LAYOUT.width,
        }
        denoiser = Denoiser(config.denoiser, **sizes)
    save_checkpoint(
        folder / "vae.safetensors", halved(vae.state_dict()), {"kind": "vae", "config": to_dict(config.codec)}
    )
    text = {TEXT_PREFIX + name: tensor for name, tensor in halved(style.state_dict()).items()}
    about = {"kind": "style", "config": to_dict(config.style), "words": list(WORDS)}
    save_checkpoint(folder / "style.safetensors", text, about)
    header = {
        "kind": "denoiser",
        "config": to_dict(config.denoiser),
        **sizes,
        "frame_rate": list(config.codec.frame_rate),
        "codec_sha256": file_sha256(folder / "vae.safetensors"),
        "style_encoder": "builtin",
        "style_sha256": file_sha256(folder / "style.safetensors"),
    }
    save_checkpoint(folder / "denoiser.safetensors", halved(denoiser.state_dict()), header)
    write_index(folder)
    return folder


def write_index(folder: Path) -> None:
    rows = [
        {
            "name": "tiny",
            "kind": kind,
            "file": f"{kind}.safetensors",
            "sha256": file_sha256(folder / f"{kind}.safetensors"),
            "bytes": (folder / f"{kind}.safetensors").stat().st_size,
            "default": True,
        }
        for kind in ("vae", "style", "denoiser")
    ]
    (folder / "index.json").write_text(json.dumps(rows))


def with_later_decoder(source: Path, target: Path) -> Path:
    """A copy of a codec whose decoder says something else."""
    tensors, header = load_checkpoint(source, "vae")
    header.pop("sha256")
    later = {name: tensor * 0.5 if name.startswith("decoder.") else tensor for name, tensor in tensors.items()}
    save_checkpoint(target, later, header)
    return target


def reheaded(source: Path, target: Path, **changes: object) -> None:
    """A copy of a denoiser whose header says something else."""
    tensors, header = load_checkpoint(source, "denoiser")
    header.pop("sha256")
    save_checkpoint(target, tensors, {**header, **changes})
