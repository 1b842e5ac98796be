"""In which precision a chip computes."""

from __future__ import annotations

import torch
from torch import nn


def has_bfloat16(device: torch.device) -> bool:
    """Whether the chip computes in bfloat16: CUDA, or a CPU with AMX or AVX512-BF16."""
    if device.type != "cpu":
        return device.type == "cuda"
    chip = torch.cpu.get_capabilities()
    return torch.backends.mkldnn.is_available() and bool(chip.get("amx_bf16") or chip.get("avx512_bf16"))


def precision_of(device: torch.device, wanted: str = "bf16") -> torch.dtype:
    """bfloat16 if it is wanted and the chip computes in it, else float32: emulated, it is many times slower."""
    return torch.bfloat16 if wanted == "bf16" and has_bfloat16(device) else torch.float32


def autocast(device: torch.device, wanted: str = "bf16") -> torch.autocast:
    """Matrix products and convolutions in `precision_of(device, wanted)`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision_of(device, wanted) == torch.bfloat16)


def round_weights(model: nn.Module, device: torch.device) -> None:
    """Keep the weights of matrix products as autocast uses them: it would round them again at every call."""
    if has_bfloat16(device):
        for module in model.modules():
            if isinstance(module, nn.Linear):
                module.to(torch.bfloat16)
