"""Fisher's discriminant, where its boundary can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hsmad_cli.errors import NonFiniteError
from hsmad_cli.evaluation.linear_classifier import LinearClassifier, linear_discriminant


def test_labels_are_ranked_by_weights_and_bias() -> None:
    classifier = LinearClassifier(("a", "b", "c"), np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), np.array([0, 0, 2]))
    x = np.array([0.5, 1.0])
    assert classifier.scores(x).tolist() == [0.5, 1.0, 1.5]
    assert classifier.name(x) == "c"
    assert [classifier.rank(x, label) for label in "abc"] == [3, 2, 1]


def test_a_label_fits_as_well_as_the_best_of_its_rows() -> None:
    """Rows 0 and 1 are of a, 2 and 3 of b: (5, 0) fits a by row 1, (0, 5) fits b by row 2."""
    rows = np.array([[0, 0], [1, 0], [0, 1], [-1, -1]], float)
    classifier = LinearClassifier(("a", "b"), rows, np.zeros(4))
    assert classifier.scores(np.array([5.0, 1.0])).tolist() == [5, 1]
    assert [classifier.name(np.array(x, float)) for x in ([5, 0], [0, 5], [-3, -3])] == ["a", "b", "b"]
    assert [classifier.rank(np.array([5.0, 0.0]), label) for label in "ab"] == [1, 2]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_ties_count_against_a_label_and_what_is_not_finite_has_no_rank() -> None:
    classifier = LinearClassifier(("a", "b", "c"), np.eye(3), np.zeros(3))
    assert [classifier.rank(np.zeros(3), label) for label in "abc"] == [3, 3, 3]
    assert [classifier.rank(np.array([1, 2, 2]), label) for label in "abc"] == [3, 2, 2]
    for value in (np.nan, np.inf):
        with pytest.raises(NonFiniteError):
            classifier.rank(np.array([value, 0, 0]), "a")
        with pytest.raises(NonFiniteError):
            classifier.name(np.array([value, 0, 0]))


def test_two_round_classes_are_parted_half_way() -> None:
    """Means (0, 0) and (4, 0), equal spread: the boundary is x = 2, and the weights are S^-1 mu."""
    corners = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], float)
    embeddings = np.concatenate([corners, corners + np.array([4, 0])])
    fitted = linear_discriminant(["left", "right"], embeddings, np.repeat([0, 1], 4), shrinkage=0)
    assert fitted.weights == pytest.approx(np.array([[0, 0], [4, 0]]))
    assert fitted.bias == pytest.approx([0, -8])
    assert (fitted.name(np.array([1.9, 9.0])), fitted.name(np.array([2.1, -9.0]))) == ("left", "right")


def test_a_direction_that_varies_within_classes_counts_less() -> None:
    """Both directions part the means equally; the second is ten times as noisy."""
    generator = np.random.default_rng(0)
    classes = np.repeat([0, 1], 500)
    embeddings = generator.normal(0, [1, 10], (1000, 2)) + classes[:, None]
    weights = linear_discriminant(["a", "b"], embeddings, classes, shrinkage=0).weights
    direction = weights[1] - weights[0]
    assert abs(direction[1] / direction[0]) < 0.1


def test_fewer_examples_than_dimensions_are_no_obstacle() -> None:
    generator = np.random.default_rng(1)
    means = generator.normal(0, 3, (4, 64))
    classes = np.repeat(np.arange(4), 3)
    fitted = linear_discriminant("abcd", means[classes] + generator.normal(0, 1, (12, 64)), classes)
    heard = means[classes] + generator.normal(0, 1, (12, 64))
    assert [fitted.name(each) for each in heard] == ["abcd"[k] for k in classes]


def test_what_cannot_be_fitted_says_why() -> None:
    with pytest.raises(ValueError, match="no example of b"):
        linear_discriminant("ab", np.eye(2), np.zeros(2, int))
    with pytest.raises(ValueError, match="2 examples of 2 classes"):
        linear_discriminant("ab", np.eye(2), np.arange(2))
