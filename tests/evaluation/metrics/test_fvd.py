"""Frechet distance against formulas, and against scipy's root of the product."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from outofsight.errors import GeometryError
from outofsight.evaluation.metrics import frechet_distance

RNG = np.random.default_rng(0)


def test_the_definition() -> None:
    features = RNG.normal(size=(60, 7)) @ RNG.normal(size=(7, 7))
    reference = RNG.normal(size=(45, 7)) @ RNG.normal(size=(7, 7)) + 2
    s, t = np.cov(features, rowvar=False), np.cov(reference, rowvar=False)
    gap = features.mean(axis=0) - reference.mean(axis=0)
    expected = gap @ gap + np.trace(s + t - 2 * sqrtm(s @ t).real)
    found = frechet_distance(features, reference)
    assert found.distance == pytest.approx(expected, rel=1e-9)
    assert (found.clips, found.reference_clips, found.features, found.note) == (60, 45, 7, None)
    assert frechet_distance(features, features).distance == pytest.approx(0, abs=1e-9)


def test_one_feature_by_hand() -> None:
    """Two normal distributions on a line: (m - m')^2 + (s - s')^2."""
    found = frechet_distance(np.array([[0.0], [2.0]]), np.array([[5.0], [11.0]]))
    assert found.distance == pytest.approx(7**2 + (2**0.5 - 18**0.5) ** 2)


def test_fewer_clips_than_features_warns_and_stays_exact() -> None:
    """Singular covariances: moving all clips by a step costs its square, and nothing else."""
    features = RNG.normal(size=(4, 30))
    with pytest.warns(UserWarning, match=r"4 against 4 clips for 30 features.*singular"):
        found = frechet_distance(features + 3, features)
    assert found.distance == pytest.approx(9 * 30, rel=1e-12) and found.note is not None


def test_what_has_no_distance() -> None:
    for pair in ((np.zeros((1, 3)), np.zeros((5, 3))), (np.zeros((5, 3)), np.zeros((5, 4)))):
        with pytest.raises(GeometryError, match="n and m 2 or more"):
            frechet_distance(*pair)
    with pytest.raises(GeometryError, match="NaN or infinite"):
        frechet_distance(np.full((3, 1), np.nan), np.zeros((3, 1)))
