"""Primitives: closed where their ends show, and wound outward."""

from __future__ import annotations

import numpy as np
import pytest

from outofsight.worlds.engine.geometry import MeshBuilder
from outofsight.worlds.engine.mesh import Mesh, fan_faces, grid_faces


def area_and_volume(faces: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, float]:
    corner = points[faces]
    area = 0.5 * np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    return area, float(np.einsum("ti,ti->", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])) / 6)


@pytest.mark.parametrize("end", [(0.3, 0.0, 0.0), (0.0, -0.2, 0.0), (0.1, 0.1, 0.2)])
def test_wheels_are_closed(end: tuple[float, float, float]) -> None:
    builder = MeshBuilder()
    builder.beam((0.0, 0.0, 0.0), end, 1.0, (0.1, 0.1, 0.1), None, 12)
    surface = builder.finish()
    area, volume = area_and_volume(surface.faces, surface.positions.astype(float))
    np.testing.assert_allclose(area.sum(axis=0), 0.0, atol=1e-6)  # of a closed surface
    exact = np.linalg.norm(end) * 12 * 0.25 * np.tan(np.pi / 12)
    assert volume == pytest.approx(exact, rel=1e-5)
    assert (np.einsum("ti,ti->t", area, surface.normals[surface.faces[:, 0]]) > 0).all()


def test_grids_and_fans_cover_their_area_once() -> None:
    x, y = np.meshgrid(np.arange(4.0), np.arange(3.0))
    flat = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
    area, _ = area_and_volume(grid_faces(3, 4), flat)
    np.testing.assert_allclose(area, np.tile([0.0, 0.0, 0.5], (12, 1)))
    angle = np.arange(5) * 2 * np.pi / 5
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros(5)], axis=1)
    area, _ = area_and_volume(fan_faces(5), ring)
    assert (area[:, 2] > 0).all()
    assert area[:, 2].sum() == pytest.approx(2.5 * np.sin(2 * np.pi / 5))
    # closed, the last column is joined to the first: the walls of a prism
    up = np.array([0.0, 0.0, 1.0])
    prism = np.concatenate([ring - up, ring + up])
    walls, _ = area_and_volume(grid_faces(2, 5, closed=True), prism)
    np.testing.assert_allclose(walls.sum(axis=0), 0.0, atol=1e-12)
    assert np.linalg.norm(walls, axis=1).sum() == pytest.approx(5 * 2 * 2 * np.sin(np.pi / 5))


def test_merged_parts_keep_their_own_vertices() -> None:
    mesh = Mesh()
    for shift in (0.0, 5.0):
        mesh.append(fan_faces(3), np.eye(3) + shift, np.full(3, shift))
    faces, points, numbers = mesh.merged()
    assert faces.tolist() == [[0, 1, 2], [3, 4, 5]]
    np.testing.assert_array_equal(points[faces[1]], np.eye(3) + 5.0)
    assert numbers.tolist() == [0.0] * 3 + [5.0] * 3


def test_fronts_and_sheets_face_where_they_say() -> None:
    builder = MeshBuilder()
    builder.front(1.0, 3.0, -2.0, 0.5, 1.5, (1.0, 0.0, 0.0), glow=0.25)
    surface = builder.finish()
    np.testing.assert_array_equal(surface.normals, np.tile([0.0, -1.0, 0.0], (4, 1)))
    area, _ = area_and_volume(surface.faces, surface.positions)
    np.testing.assert_allclose(area.sum(axis=0), [0.0, -2.0, 0.0])
    assert surface.positions.min(axis=0).tolist() == [1.0, -2.0, 0.5] and (surface.glow == 0.25).all()
    builder = MeshBuilder()
    builder.sheet(
        [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), "planks", lining="sand"
    )
    surface = builder.finish()
    assert surface.normals[:, 2].tolist() == [1.0] * 4 + [-1.0] * 4
    assert surface.colours[:, 0].tolist() == [1.0] * 4 + [0.0] * 4
    assert [builder.textures[layer] for layer in surface.layers] == ["planks"] * 4 + ["sand"] * 4


def test_turned_goes_once_round() -> None:
    builder = MeshBuilder()
    for number in builder.turned(4):
        builder.polygon(np.array([[2.0, 0, 0], [3.0, 0, 0], [2.0, 1.0, 0]]), [0, 0, 1], (number / 4, 0, 0))
    builder.polygon(np.zeros((3, 3)), [0, 0, 1], (0, 0, 0))
    corners = builder.finish().positions[0::3]
    np.testing.assert_allclose(corners, [[2, 0, 0], [0, 2, 0], [-2, 0, 0], [0, -2, 0], [0, 0, 0]], atol=1e-6)
