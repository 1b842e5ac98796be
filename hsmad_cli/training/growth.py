"""Weights that were trained on narrower latents, as the beginning of a model of wider ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def latent_channels(header: Mapping[str, Any]) -> int:
    """C of a codec's or a denoiser's header; 0 where there are no latents."""
    return int(header.get("latent_channels", header.get("config", {}).get("latent_channels", 0)))


def grown(tensors: Mapping[str, Tensor], model: nn.Module, narrow: int, wide: int) -> dict[str, Tensor]:
    """The tensors with every axis of `narrow` latent channels widened to the `wide` of the model's.

    What reads the new channels ignores them at first (columns of zeros), and what makes them begins untrained (the
    model's own rows): on the old channels the wider model does what the narrower one did.
    """
    own = model.state_dict()
    return {
        name: _grown(tensor, own[name], narrow, wide) if name in own else tensor for name, tensor in tensors.items()
    }


def _grown(old: Tensor, own: Tensor, narrow: int, wide: int) -> Tensor:
    grows = tuple(a == narrow and b == wide for a, b in zip(old.shape, own.shape, strict=False))
    if old.ndim != own.ndim or not any(grows):
        return old
    result = own.to(old, copy=True)
    if any(grows[1:]):
        result.zero_()
    result[tuple(slice(size) for size in old.shape)] = old
    return result
