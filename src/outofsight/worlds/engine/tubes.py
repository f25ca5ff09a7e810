"""Building blocks of bodies: generalised cylinders and ellipsoids, closed and wound counter-clockwise outward.

Every part is a grid of rings. A vertex of it knows its station (how far along the part it lies, in units of the
control rows), its angle around the part and its place; colours and bone weights are functions of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from .catalogue import Colour
from .mesh import Mesh, grid_faces
from .noise import smoothstep

CUT = 1e-3  # half the gap, in stations, between the two rings that make an edge of colour crisp


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the N vertices of a part lie: station [N], angle [N] (radians), place [N,3]."""

    station: np.ndarray
    angle: np.ndarray
    place: np.ndarray

    @property
    def turn(self) -> np.ndarray:
        """[N] radians around the part from angle 0, to either side."""
        return np.abs(np.angle(np.exp(1j * self.angle)))


Vector = Sequence[float] | np.ndarray
"""x, y, z."""

Weights = Callable[[Grid], np.ndarray]
"""Grid of N vertices -> weights [N,J], rows summing to one."""
Paint = Callable[[Grid], np.ndarray]
"""Grid of N vertices -> colours [N,3]."""


def vec(x: float, y: float, z: float) -> np.ndarray:
    return np.array([x, y, z], dtype=float)


def plain(colour: Colour) -> Paint:
    return lambda grid: np.broadcast_to(np.asarray(colour, float), (len(grid.station), 3)).copy()


def bands(*steps: tuple[float, Colour]) -> Paint:
    """Colour by station: each (from, colour) holds up to the next; use the same stations as `cuts` of the tube."""

    def paint(grid: Grid) -> np.ndarray:
        out = np.broadcast_to(np.asarray(steps[0][1], float), (len(grid.station), 3)).copy()
        for start, colour in steps[1:]:
            out[grid.station >= start] = colour
        return out

    return paint


class BodyBuilder(Mesh):
    """Collects the parts of a body with bones of these names; `finish` merges them into one mesh.

    Parts take their weights as a function, or as the name of the one bone that they follow; their colours as a
    function, or as one colour.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)

    def chain(self, bones: Sequence[str], breaks: Sequence[float], width: float | Sequence[float] = 0.3) -> Weights:
        """Weights that pass from bones[i] to bones[i + 1] around the station breaks[i], over 2 * width stations."""
        widths = [width] * len(breaks) if isinstance(width, float) else list(width)
        numbers = [self.names.index(name) for name in bones]

        def weigh(grid: Grid) -> np.ndarray:
            out = np.zeros((len(grid.station), len(self.names)))
            rest = np.ones(len(grid.station))
            for bone, at, half in zip(numbers[:-1], breaks, widths, strict=True):
                passed = smoothstep((grid.station - at + half) / (2 * half))
                out[:, bone] += rest * (1 - passed)
                rest = rest * passed
            out[:, numbers[-1]] += rest
            return out

        return weigh

    def _functions(self, weights: Weights | str, paint: Paint | Colour) -> tuple[Weights, Paint]:
        return (
            self.chain([weights], []) if isinstance(weights, str) else weights,
            paint if callable(paint) else plain(paint),
        )

    def tube(
        self,
        rows: Sequence[Sequence[float]] | np.ndarray,
        weights: Weights | str,
        paint: Paint | Colour,
        *,
        rings: int = 10,
        segments: int = 12,
        side: Vector = (0.0, 1.0, 0.0),
        cuts: Sequence[float] = (),
        square: float = 2.0,
        warp: Callable[[Grid], np.ndarray] | None = None,
        tangent: Vector | None = None,
    ) -> None:
        """A closed generalised cylinder through control rows (x, y, z, half width along `side`, half depth).

        Angle 0 points along side x tangent: the front of an upright part, the underside of one that points along
        +x. `square` is the exponent of the superellipse. `tangent`: the same plane for every ring.
        `warp` moves the finished vertices.
        """
        weigh, colour = self._functions(weights, paint)
        table = np.asarray(rows, dtype=float)
        curve = PchipInterpolator(np.arange(len(table)), table, axis=0)
        station = _stations(curve, len(table) - 1, rings, cuts)
        values = curve(station)
        along = np.gradient(values[:, :3], station, axis=0) if tangent is None else np.tile(tangent, (len(station), 1))
        along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
        lateral = np.asarray(side, float) - (along @ np.asarray(side, float))[:, None] * along
        lateral /= np.linalg.norm(lateral, axis=1, keepdims=True)
        front = np.cross(lateral, along)
        angle = np.arange(segments) * (2 * np.pi / segments)
        cosine, sine = (np.sign(f) * np.abs(f) ** (2.0 / square) for f in (np.cos(angle), np.sin(angle)))
        ring = (
            values[:, None, :3]
            + (values[:, 4, None] * cosine)[..., None] * front[:, None]
            + (values[:, 3, None] * sine)[..., None] * lateral[:, None]
        )
        count = len(station)
        place = np.concatenate([ring.reshape(-1, 3), values[[0, -1], :3]])
        stations = np.concatenate([np.repeat(station, segments), station[[0, -1]]])
        grid = Grid(stations, np.concatenate([np.tile(angle, count), [0.0, 0.0]]), place)
        if warp is not None:
            place = warp(grid)
            grid = Grid(grid.station, grid.angle, place)
        self.append(_tube_faces(count, segments), place, np.clip(colour(grid), 0.0, 1.0), weigh(grid))

    def ellipsoid(
        self,
        centre: Vector,
        radii: Vector,
        weights: Weights | str,
        paint: Paint | Colour,
        *,
        rings: int = 8,
        segments: int = 10,
        warp: Callable[[Grid], np.ndarray] | None = None,
        axis: int = 2,
    ) -> None:
        """An ellipsoid with its poles along `axis` (2: z, 0: x); stations run from 0 at the lower pole to 1."""
        weigh, colour = self._functions(weights, paint)
        turn = np.linspace(0.03, np.pi - 0.03, 2 * rings + 1)[::2]
        height = -np.cos(turn)
        girth = np.sin(turn)
        order = (0, 1, 2) if axis == 2 else (2, 1, 0)  # depth, width, along
        depth, width, length = (radii[i] for i in order)
        rows = np.zeros((len(turn), 5))
        rows[:, :3] = centre
        rows[:, axis] += height * length
        rows[:, 3] = girth * width
        rows[:, 4] = girth * depth
        scale = len(turn) - 1

        def scaled(function: Callable[[Grid], np.ndarray]) -> Callable[[Grid], np.ndarray]:
            return lambda grid: function(Grid(grid.station / scale, grid.angle, grid.place))

        moved, tangent = None if warp is None else scaled(warp), np.eye(3)[axis]
        self.tube(rows, scaled(weigh), scaled(colour), rings=rings + 1, segments=segments, warp=moved, tangent=tangent)

    def finish(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """places [V,3], colours [V,3], faces [T,3], the four strongest bones of each vertex [V,4], weights [V,4]."""
        faces, places, colours, weights = self.merged()
        bones = np.argsort(-weights, axis=1, kind="stable")[:, :4]
        kept = np.take_along_axis(weights, bones, axis=1)
        kept /= kept.sum(axis=1, keepdims=True)
        return places, colours, faces, bones, kept


def _stations(curve: PchipInterpolator, end: int, rings: int, cuts: Sequence[float]) -> np.ndarray:
    """Stations at equal steps of the way along the surface, with a pair of rings at each cut."""
    fine = np.linspace(0.0, end, 40 * end + 1)
    step = np.diff(curve(fine), axis=0)
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(step, axis=1) + 1e-9)])
    even = np.interp(np.linspace(0, way[-1], rings), way, fine)
    edges = [at + shift for at in cuts for shift in (-CUT, CUT)]
    apart = [s for s in even if all(abs(s - at) > 4 * CUT for at in cuts)]
    return np.array(sorted([*apart, *edges]))


def _tube_faces(count: int, segments: int) -> np.ndarray:
    """Faces [T,3] of count rings of `segments` vertices and the two poles after them."""
    here = np.arange(segments)
    ahead = (here + 1) % segments
    first, last, top = count * segments, count * segments + 1, (count - 1) * segments
    start = np.stack([np.full(segments, first), ahead, here], -1)
    finish = np.stack([np.full(segments, last), top + here, top + ahead], -1)
    return np.concatenate([grid_faces(count, segments, closed=True), start, finish])
