"""Triangles: the mesh under construction that scenes and bodies share, faces of grids and fans, normals."""

from __future__ import annotations

from functools import lru_cache
from math import hypot

import numpy as np


class Mesh:
    """Collects parts, each some arrays over its vertices and its faces, and merges them."""

    def __init__(self) -> None:
        self._parts: list[tuple[np.ndarray, ...]] = []
        self._count = 0

    def append(self, faces: np.ndarray, *columns: np.ndarray) -> None:
        """A part of V vertices: faces [T,3] of its own vertices, and columns [V,...], the same ones in each part."""
        self._parts.append((np.asarray(faces, dtype=np.int32) + self._count, *columns))
        self._count += len(columns[0])

    def merged(self) -> list[np.ndarray]:
        """The faces and each column of all parts so far."""
        return [np.concatenate(column) for column in zip(*self._parts, strict=True)]


def fan_faces(corners: int) -> np.ndarray:
    """Faces [T,3] of a convex polygon."""
    return np.array([[0, i, i + 1] for i in range(1, corners - 1)])


def grid_faces(rows: int, columns: int, *, closed: bool = False) -> np.ndarray:
    """Faces [T,3] of a grid of vertices, row by row; closed: the last column is joined to the first."""
    row = (np.arange(rows - 1) * columns)[:, None]
    column = np.arange(columns if closed else columns - 1)
    a, b = (row + column).ravel(), (row + (column + 1) % columns).ravel()
    c, d = b + columns, a + columns
    return np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])


def vertex_normals(positions: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area-weighted normals [V,3], not normalised."""
    a, b, c = (positions[faces[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    normals = np.zeros_like(positions)
    for k in range(3):
        np.add.at(normals, faces[:, k], face)
    return normals


@lru_cache(maxsize=4)
def icosphere(detail: int) -> tuple[np.ndarray, np.ndarray]:
    """A unit sphere of 20 * 4**detail triangles: vertices [V,3], faces [T,3]."""
    t = (1 + 5**0.5) / 2
    points: list[tuple[float, float, float]] = [(-1, t, 0), (1, t, 0), (-1, -t, 0), (1, -t, 0), (0, -1, t), (0, 1, t)]
    points += [(0, -1, -t), (0, 1, -t), (t, 0, -1), (t, 0, 1), (-t, 0, -1), (-t, 0, 1)]
    faces = [(0, 11, 5), (0, 5, 1), (0, 1, 7), (0, 7, 10), (0, 10, 11), (1, 5, 9), (5, 11, 4), (11, 10, 2)]
    faces += [(10, 7, 6), (7, 1, 8), (3, 9, 4), (3, 4, 2), (3, 2, 6), (3, 6, 8), (3, 8, 9), (4, 9, 5)]
    faces += [(2, 4, 11), (6, 2, 10), (8, 6, 7), (9, 8, 1)]
    vertices = [np.array(point) / hypot(1, t) for point in points]
    for _ in range(detail):
        middle: dict[tuple[int, int], int] = {}
        finer = []
        for a, b, c in faces:
            between = []
            for i, j in ((a, b), (b, c), (c, a)):
                key = (min(i, j), max(i, j))
                if key not in middle:
                    point = vertices[i] + vertices[j]
                    middle[key] = len(vertices)
                    vertices.append(point / np.linalg.norm(point))
                between.append(middle[key])
            ab, bc, ca = between
            finer += [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
        faces = finer
    return np.array(vertices), np.array(faces, dtype=np.int32)
