"""A linear classifier of embeddings, and the discriminant analysis that fits one in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hsmad_cli.errors import NonFiniteError

SHRINKAGE = 0.1


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """Label k of K fits an embedding x [D] by the best of its M rows: the largest weights[i] . x + bias[i], i // M = k.

    weights: [K M, D], bias: [K M].
    """

    labels: tuple[str, ...]
    weights: np.ndarray
    bias: np.ndarray

    def scores(self, embedding: np.ndarray) -> np.ndarray:
        """How well each label fits an embedding [D]: [K]. Raises NonFiniteError."""
        scores: np.ndarray = (self.weights @ embedding + self.bias).reshape(len(self.labels), -1).max(axis=1)
        if not np.isfinite(scores).all():
            raise NonFiniteError("the classifier's scores are NaN or infinite")
        return scores

    def rank(self, embedding: np.ndarray, label: str) -> int:
        """The place of a label among all: 1 where no other fits as well. Raises NonFiniteError."""
        scores = self.scores(embedding)
        return int((scores >= scores[self.labels.index(label)]).sum())

    def name(self, embedding: np.ndarray) -> str:
        """The label that fits best."""
        return self.labels[int(self.scores(embedding).argmax())]


def linear_discriminant(
    labels: Sequence[str], embeddings: np.ndarray, classes: np.ndarray, shrinkage: float = SHRINKAGE
) -> LinearClassifier:
    """Fisher's discriminant of embeddings [N, D] of classes [N] (indices of labels), all equally likely beforehand.

    The covariance S within classes is drawn towards a multiple of the identity by `shrinkage`, 0 to 1:
    w_k = S^-1 mu_k, b_k = -mu_k . w_k / 2. Raises ValueError if a class has no examples, or none has two that differ.
    """
    missing = sorted(set(range(len(labels))) - set(classes.tolist()))
    if missing:
        raise ValueError(f"no example of {labels[missing[0]]}")
    means = np.stack([embeddings[classes == k].mean(axis=0) for k in range(len(labels))])
    within = embeddings - means[classes]
    if not within.any():
        raise ValueError(f"{len(embeddings)} examples of {len(labels)} classes, no two of a class differ")
    covariance = within.T @ within / len(embeddings)
    n_dimensions = len(covariance)
    spherical = np.trace(covariance) / n_dimensions * np.eye(n_dimensions)
    weights = np.linalg.solve((1 - shrinkage) * covariance + shrinkage * spherical, means.T).T
    return LinearClassifier(tuple(labels), weights, -0.5 * (means * weights).sum(axis=1))
