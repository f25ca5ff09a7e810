"""Primitives: closed where their ends show, and wound outward."""

from __future__ import annotations

import numpy as np
import pytest

from outofsight.worlds.engine.geometry import MeshBuilder


@pytest.mark.parametrize("end", [(0.3, 0.0, 0.0), (0.0, -0.2, 0.0), (0.1, 0.1, 0.2)])
def test_wheels_are_closed(end: tuple[float, float, float]) -> None:
    builder = MeshBuilder()
    builder.beam((0.0, 0.0, 0.0), end, 1.0, (0.1, 0.1, 0.1), None, 12)
    surface = builder.finish()
    corner = surface.positions[surface.faces].astype(float)
    area = 0.5 * np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    np.testing.assert_allclose(area.sum(axis=0), 0.0, atol=1e-6)  # of a closed surface
    volume = np.einsum("ti,ti->", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])) / 6
    exact = np.linalg.norm(end) * 12 * 0.25 * np.tan(np.pi / 12)
    assert volume == pytest.approx(exact, rel=1e-5)
    assert (np.einsum("ti,ti->t", area, surface.normals[surface.faces[:, 0]]) > 0).all()
