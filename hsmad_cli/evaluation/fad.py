"""Frechet distance between two sets of audio: how far apart are the Gaussians fitted to their embeddings?

With the embeddings of a pretrained audio model (CLAP) this is the Frechet audio distance (FAD). With the log-mel
statistics below, which need no download, it is only a Frechet distance of log-mel statistics, and is named so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.errors import InputError

MEL_SIZE = 2048
MEL_BANDS = 64


class Embedder(Protocol):
    """Audio to vectors."""

    name: str

    def embed_audio(self, audio: np.ndarray) -> np.ndarray:
        """Vectors [windows, D] of audio [2, samples] at 44.1 kHz."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """Mean [D] and covariance [D, D] of n vectors."""

    mean: np.ndarray
    covariance: np.ndarray
    n: int

    @classmethod
    def of(cls, vectors: np.ndarray) -> Gaussian:
        """Fitted to vectors [n, D]; raises InputError for fewer than two."""
        if len(vectors) < 2:
            raise InputError(f"{len(vectors)} windows of audio, a Frechet distance needs at least 2", "add more audio")
        return cls(vectors.mean(axis=0), np.atleast_2d(np.cov(vectors, rowvar=False)), len(vectors))


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """|mu_1 - mu_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)), in squared units of the embedding.

    The trace of the root is the sum of the roots of the eigenvalues of S_1^(1/2) S_2 S_1^(1/2), which are real.
    """
    if first.mean.shape != second.mean.shape:
        raise ValueError(f"embeddings of {len(first.mean)} and {len(second.mean)} dimensions")
    values, vectors = np.linalg.eigh(first.covariance)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ second.covariance @ root)
    traces = np.trace(first.covariance) + np.trace(second.covariance) - 2 * np.sqrt(product.clip(min=0)).sum()
    return float(max(0.0, np.sum((first.mean - second.mean) ** 2) + traces))


class LogMelStatistics:
    """Mean and standard deviation of 64 log-mel bands over each second: 128 numbers."""

    name = "log-mel statistics"

    @cached_property
    def filters(self) -> np.ndarray:
        from hsmad_cli.files.audio import import_torchaudio

        mel = import_torchaudio().functional.melscale_fbanks(MEL_SIZE // 2 + 1, 30.0, 16000.0, MEL_BANDS, SAMPLE_RATE)
        return mel.numpy()

    def embed_audio(self, audio: np.ndarray) -> np.ndarray:
        n_windows = max(1, audio.shape[1] // SAMPLE_RATE)
        return np.stack([self._embed(window) for window in np.array_split(audio.mean(axis=0), n_windows)])

    def _embed(self, mono: np.ndarray) -> np.ndarray:
        padded = np.pad(mono, (0, max(0, MEL_SIZE - len(mono))))
        frames = np.lib.stride_tricks.sliding_window_view(padded, MEL_SIZE)[:: MEL_SIZE // 4]
        power = np.abs(np.fft.rfft(frames * np.hanning(MEL_SIZE))) ** 2
        log_mel = np.log10(np.maximum(power @ self.filters, 1e-6))
        return np.concatenate([log_mel.mean(axis=0), log_mel.std(axis=0)])
