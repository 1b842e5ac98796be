"""Weights of a smaller model, as the beginning of one that does the same until it learns more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

# How often a codec's statistics were updated: with new channels they are gathered anew.
STATISTICS = {"latent_updates"}


def latent_channels(header: Mapping[str, Any]) -> int:
    """C of a codec's or a denoiser's header; 0 where there are no latents."""
    return int(header.get("latent_channels", header.get("config", {}).get("latent_channels", 0)))


def grown(tensors: Mapping[str, Tensor], model: nn.Module, narrow: int, wide: int) -> dict[str, Tensor]:
    """The tensors with every axis of `narrow` latent channels widened to the `wide` of the model's.

    What reads the new channels ignores them at first (columns of zeros), and what makes them begins untrained (the
    model's own rows): on the old channels the wider model does what the narrower one did.
    """
    own = model.state_dict()
    wider = {name: _grown(tensor, own[name], narrow, wide) for name, tensor in tensors.items() if name in own}
    fresh = {name: own[name] for name in own.keys() & tensors.keys() & STATISTICS}
    return {**tensors, **wider, **fresh}


def with_silent_parts(tensors: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The tensors, and the model's own of parts that are `silent_at_first` where they lack them."""
    own, silent = model.state_dict(), getattr(model, "silent_at_first", ())
    return {name: own[name] for name in silent if name in own} | dict(tensors)


def _grown(old: Tensor, own: Tensor, narrow: int, wide: int) -> Tensor:
    axes = tuple(zip(old.shape, own.shape, strict=False))
    grows = tuple((a, b) == (narrow, wide) for a, b in axes)
    others_fit = all(a == b or grown for (a, b), grown in zip(axes, grows, strict=True))
    if old.ndim != own.ndim or not any(grows) or not others_fit:
        return old
    result = own.to(old, copy=True)
    if any(grows[1:]):
        result.zero_()
    result[tuple(slice(size) for size in old.shape)] = old
    return result
