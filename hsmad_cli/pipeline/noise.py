"""The noise of a song: a function of the seed and the absolute latent frame, whatever the blocks or the device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

NOISE_CHUNK = 64


def song_noise(seed: int, start: int, stop: int, channels: int) -> Tensor:
    """Unit Gaussian noise [stop - start, C], float32, of latent frames [start, stop), from seed and frame alone."""
    first, last = start // NOISE_CHUNK, -(-stop // NOISE_CHUNK)
    chunks = [_noise_chunk(seed, k, channels) for k in range(first, last)]
    offset = first * NOISE_CHUNK
    return torch.from_numpy(np.concatenate(chunks)[start - offset : stop - offset])


def _noise_chunk(seed: int, k: int, channels: int) -> np.ndarray:
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, k], np.uint64)))
    return generator.standard_normal((NOISE_CHUNK, channels), dtype=np.float32)
