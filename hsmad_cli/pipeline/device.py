"""Where to compute, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import nn

from hsmad_cli.errors import UsageError


def choose_device(name: str | torch.device) -> torch.device:
    """`auto` is cuda, else mps, else cpu. Raises UsageError for a device that is not there."""
    if isinstance(name, torch.device):
        return name
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, there in present.items() if there))
    if not present.get(name, False):
        raise UsageError(f"no device {name!r} here", "use --device auto")
    return torch.device(name)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the chip computes in bfloat16: CUDA, or a CPU with AMX or AVX512-BF16."""
    if device.type != "cpu":
        return device.type == "cuda"
    chip = torch.cpu.get_capabilities()
    return torch.backends.mkldnn.is_available() and bool(chip.get("amx_bf16") or chip.get("avx512_bf16"))


def round_weights(model: nn.Module, device: torch.device) -> None:
    """Keep the weights of matrix products as autocast uses them: it would round them again at every call."""
    if has_bfloat16(device):
        for module in model.modules():
            if isinstance(module, nn.Linear):
                module.to(torch.bfloat16)


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 where the chip computes in it, else float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device))
