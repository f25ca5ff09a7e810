"""A mesh under construction, and the shapes that scenes are made of.

Every shape is given in metres in the builder's current frame (see `MeshBuilder.at`), with outward normals, a
colour (sRGB 0..1), the name of a texture or None, and the metres that one repeat of the texture spans.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import cos, hypot, pi, sin

import numpy as np

from .mesh import Mesh, fan_faces, grid_faces, icosphere, vertex_normals
from .scene import Surface

Colour = Sequence[float] | np.ndarray
Point = Sequence[float] | np.ndarray
Points = Sequence[Point] | np.ndarray
Pair = tuple[float, float]
Texture = str | None

# the two triangles of a quad whose corners go counter-clockwise seen from outside
QUAD = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)
# corners of the six sides of a unit box (centre 0, half 1): -y, +x, +y, -x, top, bottom
BOX_CORNERS = np.array(
    [
        [[-1, -1, -1], [1, -1, -1], [1, -1, 1], [-1, -1, 1]],
        [[1, -1, -1], [1, 1, -1], [1, 1, 1], [1, -1, 1]],
        [[1, 1, -1], [-1, 1, -1], [-1, 1, 1], [1, 1, 1]],
        [[-1, 1, -1], [-1, -1, -1], [-1, -1, 1], [-1, 1, 1]],
        [[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]],
        [[-1, 1, -1], [1, 1, -1], [1, -1, -1], [-1, -1, -1]],
    ],
    dtype=np.float64,
)
BOX_NORMALS = np.array([[0, -1, 0], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, 0, 1], [0, 0, -1]], dtype=np.float64)


def polar(radius: float, angle: float, z: float) -> list[float]:
    """A point by its distance from the z axis and its angle from x, radians."""
    return [radius * cos(angle), radius * sin(angle), z]


class MeshBuilder(Mesh):
    """Collects shapes and merges them into one `Surface`."""

    def __init__(self) -> None:
        super().__init__()
        self._rotation = np.eye(3)
        self._offset = np.zeros(3)
        self.textures: list[str] = []

    @contextmanager
    def at(self, x: float, y: float, z: float = 0.0, angle: float = 0.0) -> Iterator[None]:
        """Shapes inside the block are moved and turned about z by ``angle`` radians."""
        rotation, offset = self._rotation, self._offset
        c, s = cos(angle), sin(angle)
        self._offset = offset + rotation @ np.array([x, y, z])
        self._rotation = rotation @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        try:
            yield
        finally:
            self._rotation, self._offset = rotation, offset

    def add(
        self,
        positions: np.ndarray,
        normals: np.ndarray,
        faces: np.ndarray,
        colour: Colour,
        texture: Texture = None,
        uvs: np.ndarray | None = None,
        glow: float = 0.0,
    ) -> None:
        """Any mesh: positions, normals [V,3]; faces [T,3]; colour [3] or [V,3]; uvs [V,2] in texture repeats."""
        count = len(positions)
        layer = -1
        if texture is not None:
            if texture not in self.textures:
                self.textures.append(texture)
            layer = self.textures.index(texture)
        turned = normals @ self._rotation.T
        length = np.linalg.norm(turned, axis=1, keepdims=True)
        self.append(
            faces,
            positions @ self._rotation.T + self._offset,
            turned / np.maximum(length, 1e-12),
            np.broadcast_to(np.asarray(colour, dtype=np.float64), (count, 3)),
            np.zeros((count, 2)) if uvs is None else uvs,
            np.full(count, layer, dtype=np.int32),
            np.full(count, glow),
        )

    def finish(self) -> Surface:
        """Everything added so far, merged."""
        faces, positions, normals, colours, uvs, layers, glow = self.merged()
        return Surface(
            positions=positions.astype(np.float32),
            normals=normals.astype(np.float32),
            colours=np.clip(colours, 0.0, 1.0).astype(np.float32),
            uvs=uvs.astype(np.float32),
            layers=layers.astype(np.int32),
            faces=faces.astype(np.int32),
            glow=glow.astype(np.float32),
        )

    # shapes

    def quad(
        self, corners: Points, colour: Colour, texture: Texture = None, repeats: Pair = (1.0, 1.0), glow: float = 0.0
    ) -> None:
        """Four corners, counter-clockwise seen from the front; the texture's lower left is at the first."""
        p = np.asarray(corners, dtype=np.float64)
        normal = np.cross(p[2] - p[0], p[3] - p[1])  # right for a quad with two corners in one place, too
        uvs = np.array([[0, 0], [repeats[0], 0], list(repeats), [0, repeats[1]]], dtype=np.float64)
        self.add(p, np.tile(normal, (4, 1)), QUAD, colour, texture, uvs, glow)

    def front(
        self,
        x0: float,
        x1: float,
        y: float,
        z0: float,
        z1: float,
        colour: Colour,
        texture: Texture = None,
        repeats: Pair = (1.0, 1.0),
        glow: float = 0.0,
    ) -> None:
        """An upright rectangle that faces -y."""
        self.quad([[x0, y, z0], [x1, y, z0], [x1, y, z1], [x0, y, z1]], colour, texture, repeats, glow)

    def flat(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        z: float,
        colour: Colour,
        texture: Texture = None,
        repeats: Pair = (1.0, 1.0),
    ) -> None:
        """A level rectangle, seen from above."""
        self.quad([[x0, y0, z], [x1, y0, z], [x1, y1, z], [x0, y1, z]], colour, texture, repeats)

    def sheet(
        self,
        corners: Points,
        colour: Colour,
        back: Colour,
        texture: Texture = None,
        repeats: Pair = (1.0, 1.0),
        *,
        lining: Texture = None,
    ) -> None:
        """A quad that is seen from both sides; ``back`` and ``lining``: colour and texture of its other side."""
        self.quad(corners, colour, texture, repeats)
        self.quad(corners[::-1], back, lining, repeats if lining else (1.0, 1.0))

    def polygon(
        self,
        points: np.ndarray,
        normal: Point,
        colour: Colour,
        texture: Texture = None,
        uvs: np.ndarray | None = None,
        glow: float = 0.0,
    ) -> None:
        """A flat convex polygon of points [V,3], counter-clockwise seen from where the normal points."""
        self.add(points, np.tile(normal, (len(points), 1)), fan_faces(len(points)), colour, texture, uvs, glow)

    def turned(self, count: int) -> Iterator[int]:
        """Numbers 0 .. count - 1; what is built in each round is turned about z by its share of a full turn."""
        for number in range(count):
            with self.at(0, 0, 0, number * 2 * pi / count):
                yield number

    def box(
        self,
        centre: Point,
        size: Point,
        colour: Colour,
        texture: Texture = None,
        repeat: float = 1.0,
        *,
        whole: bool = False,
        sides: Sequence[int] = (0, 1, 2, 3, 4),
        contact: float = 0.8,
        glow: float = 0.0,
    ) -> None:
        """A box; ``centre`` is the middle of its floor. sides: 0..3 walls (-y, +x, +y, -x), 4 top, 5 bottom.

        whole: round the repeats so that textures of windows are never cut. contact: brightness at its ground contact.
        """
        half = np.array([size[0] / 2, size[1] / 2, size[2] / 2])
        picked = list(sides)
        corners = BOX_CORNERS[picked] * half + np.array([centre[0], centre[1], centre[2] + half[2]])
        spans = []
        for side in picked:
            width = size[1] if side in (1, 3) else size[0]
            height = size[1] if side in (4, 5) else size[2]
            u, v = width / repeat, height / repeat
            spans.append((max(1, round(u)), max(1, round(v))) if whole else (u, v))
        unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float64)
        uvs = np.concatenate([unit * np.array(span) for span in spans])
        shade = np.where(corners[:, :, 2:3] < centre[2] + half[2], contact, 1.0)
        colours = (shade * np.asarray(colour, dtype=np.float64)).reshape(-1, 3)
        faces = np.concatenate([QUAD + 4 * index for index in range(len(picked))])
        normals = np.repeat(BOX_NORMALS[picked], 4, axis=0)
        self.add(corners.reshape(-1, 3), normals, faces, colours, texture, uvs, glow)

    def gable(
        self,
        centre: Point,
        size: Point,
        colour: Colour,
        texture: Texture,
        repeat: float = 1.5,
        *,
        wall: Colour | None = None,
        wall_texture: Texture = None,
        overhang: float = 0.3,
    ) -> None:
        """A roof with its ridge along x on a floor of size[0] x size[1]; ``wall`` fills the two triangles."""
        x, y, z = centre
        hx, hy, height = size[0] / 2 + overhang, size[1] / 2 + overhang, size[2]
        drop = height * overhang / (size[1] / 2)
        slope = hypot(hy, height + drop)
        for sign in (-1, 1):
            low = [[x - hx * -sign, y + sign * hy, z - drop], [x + hx * -sign, y + sign * hy, z - drop]]
            high = [[x + hx * -sign, y, z + height], [x - hx * -sign, y, z + height]]
            self.quad([*low, *high], colour, texture, (2 * hx / repeat, slope / repeat))
            # the underside, seen from below the eaves
            self.quad([high[1], high[0], low[1], low[0]], np.asarray(colour) * 0.55, None)
        if wall is None:
            return
        half = size[1] / 2
        for sign in (-1, 1):
            end = x + sign * size[0] / 2
            p = np.array([[end, y - sign * half, z], [end, y + sign * half, z], [end, y, z + height]], dtype=np.float64)
            uvs = np.array([[0, 0], [size[1], 0], [half, height]]) / repeat
            self.polygon(p, [sign, 0.0, 0.0], wall, wall_texture, uvs)

    def cylinder(
        self,
        centre: Point,
        radius: float,
        height: float,
        colour: Colour,
        texture: Texture = None,
        repeat: float = 1.0,
        *,
        top: float | None = None,
        segments: int = 10,
        contact: float = 0.85,
        glow: float = 0.0,
    ) -> None:
        """Upright, standing on ``centre``; ``top`` is the upper radius (0 makes a cone)."""
        upper = radius if top is None else top
        self.lathe(centre, [(radius, 0.0), (upper, height)], colour, texture, repeat, segments, contact, glow)
        if upper > 0:
            angles = np.linspace(0, 2 * pi, segments, endpoint=False)
            ring = np.stack([np.cos(angles), np.sin(angles), np.zeros(segments)], axis=1)
            p = ring * upper + np.array([centre[0], centre[1], centre[2] + height])
            self.polygon(p, [0.0, 0.0, 1.0], colour, texture, ring[:, :2] * upper / repeat, glow)

    def lathe(
        self,
        centre: Point,
        profile: Sequence[tuple[float, float]],
        colour: Colour,
        texture: Texture = None,
        repeat: float = 1.0,
        segments: int = 10,
        contact: float = 0.9,
        glow: float = 0.0,
    ) -> None:
        """A profile of (radius, height) pairs turned about the vertical; each band has its own normals."""
        angles = np.linspace(0, 2 * pi, segments + 1)
        c, s = np.cos(angles), np.sin(angles)
        widest = max(radius for radius, _ in profile)
        around = max(1, round(2 * pi * widest / repeat)) * np.linspace(0, 1, segments + 1)
        faces = grid_faces(2, segments + 1)
        run = 0.0
        for band, ((r0, z0), (r1, z1)) in enumerate(itertools.pairwise(profile)):
            length = max(hypot(r1 - r0, z1 - z0), 1e-6)
            outward, upward = (z1 - z0) / length, (r0 - r1) / length
            rings = [np.stack([r * c, r * s, np.full_like(c, z)], axis=1) for r, z in ((r0, z0), (r1, z1))]
            p = np.concatenate(rings) + np.asarray(centre, dtype=np.float64)
            normals = np.tile(np.stack([c * outward, s * outward, np.full_like(c, upward)], axis=1), (2, 1))
            uvs = np.concatenate([np.stack([around, np.full_like(c, v)], axis=1) for v in (run, run + length)])
            uvs[:, 1] /= repeat
            run += length
            colours = np.tile(np.asarray(colour, dtype=np.float64), (len(p), 1))
            if band == 0:
                colours[: segments + 1] *= contact
            self.add(p, normals, faces, colours, texture, uvs, glow)

    def beam(
        self, start: Point, end: Point, width: float, colour: Colour, texture: Texture = None, sides: int = 4
    ) -> None:
        """A straight bar between two points, any direction; open at its ends unless it is shorter than wide."""
        a, b = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
        along = b - a
        length = float(np.linalg.norm(along))
        along /= length
        helper = np.array([0.0, 0.0, 1.0]) if abs(along[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
        u = np.cross(helper, along)
        u /= np.linalg.norm(u)
        v = np.cross(along, u)
        for i in range(sides):
            t0, t1 = 2 * pi * (i - 0.5) / sides, 2 * pi * (i + 0.5) / sides
            r = width / 2 / cos(pi / sides)
            d0, d1 = (r * (cos(t) * u + sin(t) * v) for t in (t0, t1))
            self.quad([a + d0, a + d1, b + d1, b + d0], colour, texture, (width, length))
        if length < width:  # a wheel rather than a bar: its ends show
            t = 2 * pi * (np.arange(sides) + 0.5) / sides
            rim = width / 2 / cos(pi / sides) * (np.outer(np.cos(t), u) + np.outer(np.sin(t), v))
            self.polygon(b + rim, along, colour)
            self.polygon(a + rim[::-1], -along, colour)

    def blob(
        self,
        centre: Point,
        radii: Point,
        colour: Colour,
        texture: Texture = None,
        repeat: float = 1.0,
        *,
        rough: float = 0.0,
        detail: int = 1,
        seed: int = 0,
        dark: float = 0.6,
        floor: float | None = None,
    ) -> None:
        """An ellipsoid, made uneven by ``rough`` (share of the radius); its underside is ``dark``.

        floor: vertices below this height are put on it (for bushes, rocks and heaps).
        """
        unit, faces = icosphere(detail)
        size = np.ones(len(unit))
        if rough:
            rng = np.random.default_rng(seed)
            waves = rng.normal(size=(6, 3)) * 2.2
            phases = rng.uniform(0, 2 * pi, 6)
            size = 1.0 + rough * (np.sin(unit @ waves.T + phases).sum(axis=1) / 2.4 + rng.uniform(-0.4, 0.4, len(unit)))
        p = unit * size[:, None] * np.asarray(radii, dtype=np.float64)
        normals = vertex_normals(p, faces)
        colours = np.asarray(colour) * (dark + (1.0 - dark) * (0.5 + 0.5 * unit[:, 2:3]))
        p = p + np.asarray(centre, dtype=np.float64)
        if floor is not None:
            p[:, 2] = np.maximum(p[:, 2], floor)
        # box mapping by the largest axis would split vertices; a skewed plane is good enough for foliage and stone
        uvs = np.stack([p[:, 0] + 0.6 * p[:, 1], p[:, 2] + 0.5 * p[:, 1]], axis=1) / repeat
        self.add(p, normals, faces, colours, texture, uvs)

    def arch(
        self, width: float, height: float, depth: float, pier: float, colour: Colour, texture: Texture, top: float
    ) -> None:
        """A wall of ``height`` + ``top`` along x with a round-headed opening ``width`` wide between two piers."""
        spring = height - width / 2
        for sign in (-1, 1):
            self.box([sign * (width + pier) / 2, 0, 0], [pier, depth, height], colour, texture, 1.2)
        lintel = [width + 2 * pier, depth, top]
        self.box([0, 0, height], lintel, colour, texture, 1.2, contact=1.0, sides=range(6))
        angles = np.linspace(0, pi, 9)
        edge = [(-cos(a) * width / 2, spring + sin(a) * width / 2) for a in angles]
        for (x0, z0), (x1, z1) in itertools.pairwise(edge):
            for side in (-1, 1):
                y = side * depth / 2
                corners = [[x0, y, z0], [x1, y, z1], [x1, y, height], [x0, y, height]]
                self.quad(corners if side < 0 else corners[::-1], colour, texture, (0.3, 0.3))
            inner = [[x0, depth / 2, z0], [x1, depth / 2, z1], [x1, -depth / 2, z1], [x0, -depth / 2, z0]]
            self.quad(inner, np.asarray(colour) * 0.75, texture, (0.3, depth))

    def ground(
        self, xs: np.ndarray, ys: np.ndarray, heights: np.ndarray, colours: np.ndarray, texture: Texture, repeat: float
    ) -> None:
        """A height field on the grid xs x ys; heights [Y,X], colours [Y,X,3]."""
        gx, gy = np.meshgrid(xs, ys)
        p = np.stack([gx, gy, heights], axis=-1).reshape(-1, 3)
        faces = grid_faces(len(ys), len(xs))
        self.add(p, vertex_normals(p, faces), faces, colours.reshape(-1, 3), texture, p[:, :2] / repeat)
