"""Frechet distances against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from hsmad_cli.errors import InputError
from hsmad_cli.evaluation.fad import Gaussian, LogMelStatistics, frechet_distance


def gaussian(mean, covariance) -> Gaussian:
    return Gaussian(np.array(mean, float), np.array(covariance, float), 100)


def test_in_one_dimension_it_is_the_difference_of_means_and_of_deviations():
    distance = frechet_distance(gaussian([1], [[4]]), gaussian([4], [[25]]))
    assert distance == pytest.approx((4 - 1) ** 2 + (5 - 2) ** 2)


def test_with_a_common_axis_it_adds_up_over_dimensions():
    rotation = np.array([[0.8, -0.6], [0.6, 0.8]])
    first = gaussian([0, 0], rotation @ np.diag([1, 9]) @ rotation.T)
    second = gaussian([3, 4], rotation @ np.diag([16, 4]) @ rotation.T)
    assert frechet_distance(first, second) == pytest.approx(25 + (4 - 1) ** 2 + (2 - 3) ** 2)


def test_of_covariances_that_do_not_commute():
    """By hand: tr((A B)^(1/2)) of 2 x 2 matrices is (tr(A B) + 2 det(A B)^(1/2))^(1/2)."""
    first, second = np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([[5.0, 0.0], [0.0, 1.0]])
    root = np.sqrt(np.trace(first @ second) + 2 * np.sqrt(np.linalg.det(first @ second)))
    assert frechet_distance(gaussian([0, 0], first), gaussian([0, 0], second)) == pytest.approx(4 + 6 - 2 * root)


def test_it_is_zero_for_equals_and_symmetric():
    generator = np.random.default_rng(0)
    first, second = (Gaussian.of(generator.standard_normal((50, 8)) * scale) for scale in (1, 2))
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(first, second) == pytest.approx(frechet_distance(second, first))


def test_fewer_vectors_than_dimensions_give_a_finite_distance():
    generator = np.random.default_rng(1)
    first, second = (Gaussian.of(generator.standard_normal((5, 30))) for _ in range(2))
    assert np.isfinite(frechet_distance(first, second))


def test_one_window_is_not_enough():
    with pytest.raises(InputError, match="1 windows"):
        Gaussian.of(np.zeros((1, 3)))


def test_different_dimensions_are_a_callers_bug():
    with pytest.raises(ValueError, match="2 and 3 dimensions"):
        frechet_distance(gaussian([0, 0], np.eye(2)), gaussian([0, 0, 0], np.eye(3)))


def test_log_mel_statistics_have_a_vector_a_second_and_see_loudness():
    generator = np.random.default_rng(2)
    audio = generator.standard_normal((2, 3 * 44100)).astype(np.float32)
    vectors = LogMelStatistics().embed_audio(audio)
    louder = LogMelStatistics().embed_audio(10 * audio)
    assert vectors.shape == (3, 128)
    assert louder[:, :64] - vectors[:, :64] == pytest.approx(np.full((3, 64), 2), abs=1e-4)
    assert LogMelStatistics().embed_audio(audio[:, :500]).shape == (1, 128)
