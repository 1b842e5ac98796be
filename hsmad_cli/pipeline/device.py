"""Where to compute."""

from __future__ import annotations

import torch

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
