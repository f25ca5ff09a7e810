"""From a plan to pixels: rays of pinhole cameras meet upright cylinders, the far ones first."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from . import assets
from .camera import hit
from .plan import Figure, Occluder, Plan
from .walls import Wall, noise, wall_of

_SHADOW = 0.38  # of the light under a walking subject
_STILL = 0.03  # cells a latent frame below which a walk stands


@dataclass(frozen=True, eq=False)
class Rays:
    """Where the pixels of V views look on a cylinder: u [V,W] and v [V,H,W] (V 1 where all are alike), cells."""

    u: np.ndarray
    v: np.ndarray


class Drawing:
    """A clip's pictures, in any fate. The wall is drawn once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        world = plan.world
        fx, fy, cx, cy = world.intrinsics()
        across = ((np.arange(world.width) + 0.5) / world.width - cx) / fx
        down = ((np.arange(world.height) + 0.5) / world.height - cy) / fy
        self._bend = np.arctan(across)
        self._slope = down[:, None] / np.sqrt(1 + across**2)  # height over level distance
        keys = list(zip(plan.yaw.tolist(), *plan.places.T.tolist(), strict=True))
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        self._view = np.array([numbers[key] for key in keys])  # the view of each frame
        views = np.array(list(numbers))
        self._angle = views[:, :1] * world.angle + self._bend
        self._from = views[:, 1:]
        self._rays: dict[float, Rays] = {}
        rays = self.rays(1.0)
        self.wall: Wall = wall_of(plan, rays.u)
        self._base = _bytes(self.wall.at(rays.u[:, None], rays.v))
        self._far = self.wall.distances(rays.u[:, None], rays.v)
        # the far ones first; of equally far ones, the first subject comes last and so on top
        things: list[tuple[float, int, Figure | Occluder]] = [
            (figure.radius, -number, figure) for number, figure in enumerate(plan.figures)
        ]
        things += [(occluder.radius, -100, occluder) for occluder in plan.occluders]
        self._things = sorted(things, key=lambda thing: (-thing[0], thing[1]))

    def rays(self, radius: float) -> Rays:
        """The views' rays on a cylinder of this share of the drum's radius."""
        if not self._from.any():
            radius = 1.0  # from the axis, all cylinders look alike
        if radius not in self._rays:
            azimuth, length = hit(self._angle, self._from, radius)
            cell = self.plan.world.angle
            v = (length[:, None] * self._slope / radius if self._from.any() else self._slope[None]) / cell
            self._rays[radius] = Rays((azimuth / cell).astype(np.float32), v.astype(np.float32))
        return self._rays[radius]

    def paint(
        self, *, first: int = 0, gone: Collection[int] = (), held: Mapping[int, int] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Frames uint8 [F,H,W,3] from ``first`` on and instance ids uint8 [F,H,W].

        gone: figures that are not there. held: figure -> the frame in which it is kept.
        """
        views = self._view[first:]
        picture = _Picture(np.take(self._base, views, axis=1), np.zeros((len(views), *self._base.shape[2:]), np.uint8))
        for _, place, thing in self._things:
            if isinstance(thing, Occluder):
                self._occlude(picture, thing, views)
            elif -place not in gone:
                frames = np.arange(first, self.plan.world.frames)
                if held is not None and -place in held:
                    frames = np.full(len(views), held[-place])
                self._add(picture, 1 - place, thing, frames, views)
        return np.ascontiguousarray(picture.colours.transpose(1, 2, 3, 0)), picture.ids

    def _occlude(self, picture: _Picture, occluder: Occluder, views: np.ndarray) -> None:
        rays = self.rays(occluder.radius)
        world = self.plan.world
        aside = self._wrapped(rays.u - np.float32(occluder.u))
        cover = np.clip(0.5 + (occluder.width / 2 - np.abs(aside)) * world.cell, 0, 1)
        shown = np.flatnonzero((cover > 0).any(axis=1))
        pattern = self._pattern(occluder) if len(shown) else np.zeros(0)
        for view in shown.tolist():
            columns = np.flatnonzero(cover[view] > 0)
            v = rays.v[min(view, len(rays.v) - 1)][:, columns]
            row = np.rint((v + world.rows / 2 + 1) * world.cell).astype(int).clip(0, pattern.shape[1] - 1)
            column = np.rint((aside[view, columns] + occluder.width / 2) * world.cell).astype(int)
            colours = pattern[:, row, column.clip(0, pattern.shape[2] - 1)]
            frames = np.flatnonzero(views == view)[:, None, None]
            at = (frames * world.height + np.arange(world.height)[:, None]) * world.width + columns
            every = np.broadcast_to(colours[:, None], (3, *at.shape)).reshape(3, -1)
            picture.blend(at.ravel(), np.broadcast_to(cover[view, columns], at.shape).ravel(), every, 0)

    def _pattern(self, occluder: Occluder) -> np.ndarray:
        """A wall of courses: pale, with dark joints, one texel a pixel."""
        world = self.plan.world
        rng = np.random.default_rng(occluder.seed)
        wide = max(4, int(np.ceil(occluder.width * world.cell)) + 1)
        tone = rng.uniform([0.45, 0.36, 0.3], [0.75, 0.6, 0.52])[:, None, None]
        pattern = tone * (0.8 + 0.4 * noise(world, wide, rng).mean(axis=0))
        pattern[:, :: world.cell // 2 or 1] *= 0.72
        pattern[:, :, [0, -1]] *= 0.6
        return np.clip(pattern, 0, 1).astype(np.float32)

    def _add(self, picture: _Picture, id: int, figure: Figure, frames: np.ndarray, views: np.ndarray) -> None:
        rays = self.rays(figure.radius)
        u, v = figure.u[frames].astype(np.float32), figure.v[frames].astype(np.float32)
        aside = self._wrapped(rays.u[views] - u[:, None])
        if figure.look in ("disc", "square", "diamond"):
            self._add_shape(picture, id, figure, aside, v, views)
            return
        walk = _Walker(self, figure, assets.load_walk(figure.look))
        for row, (frame, view) in enumerate(zip(frames.tolist(), views.tolist(), strict=True)):
            walk.draw(picture, id, row, frame, aside[row], rays.v[min(view, len(rays.v) - 1)], self._far_of(view))

    def _add_shape(
        self, picture: _Picture, id: int, figure: Figure, aside: np.ndarray, v: np.ndarray, views: np.ndarray
    ) -> None:
        """In a window of columns of each frame, as wide as it is in any."""
        rays = self.rays(figure.radius)
        cell = self.plan.world.cell
        near = np.abs(aside) < 1.2 * figure.size + 0.5 / cell
        shown = np.flatnonzero(near.any(axis=1))
        if not len(shown):
            return
        near = near[shown]
        wide = int(near.sum(axis=1).max())
        columns = np.minimum(near.argmax(axis=1), near.shape[1] - wide)[:, None] + np.arange(wide)
        rows = np.arange(rays.v.shape[1])[:, None]
        at = rows * aside.shape[1] + columns[:, None]  # in its view [n,h,k]
        seen_by = views[shown][:, None, None] * self._base[0, 0].size if len(rays.v) > 1 else 0
        down = np.take(rays.v, at + seen_by) - v[shown][:, None, None]
        across = aside[shown[:, None], columns][:, None]
        cover = shape_cover(figure.look, figure.size, across, down, cell)
        at += shown[:, None, None] * self._base[0, 0].size
        colour = np.array(figure.colour, dtype=np.float32)[:, None]
        touched = np.flatnonzero(cover)
        picture.blend(np.take(at, touched), np.take(cover, touched), colour, id)

    def _far_of(self, view: int) -> np.ndarray | None:
        return None if self._far is None else self._far[view]

    def _wrapped(self, cells: np.ndarray) -> np.ndarray:
        around = np.float32(self.plan.world.around)
        return cells - around * np.rint(cells / around)


@dataclass(eq=False)
class _Picture:
    """colours uint8 [3,F,H,W] and ids uint8 [F,H,W] while they are painted."""

    colours: np.ndarray
    ids: np.ndarray

    def blend(self, at: np.ndarray, cover: np.ndarray, colours: np.ndarray, id: int) -> None:
        """Lay colours [3,n], 0..1, over pixels by their cover [n]; more than half of it takes the id.

        at: the pixels' places in ids, flattened, each once.
        """
        for channel, colour in zip(self.colours.reshape(3, -1), colours, strict=True):
            part = np.take(channel, at).astype(np.float32)
            part += cover * (255 * colour - part)
            part += 0.5
            channel[at] = part
        self.ids.reshape(-1)[at[cover > 0.5]] = id


def shape_cover(look: str, radius: float, across: np.ndarray, down: np.ndarray, cell: int) -> np.ndarray:
    """Share of each pixel that a shape covers, from the cells between them; the edge is one pixel soft."""
    if look == "disc":
        inside = radius - np.sqrt(across * across + down * down)
    elif look == "square":
        inside = 0.88 * radius - np.maximum(np.abs(across), np.abs(down))
    else:
        inside = 1.2 * radius - (np.abs(across) + np.abs(down))
    return np.asarray(np.clip(0.5 + inside * np.float32(cell), 0, 1))


class _Walker:
    """Draws one walking subject."""

    def __init__(self, drawing: Drawing, figure: Figure, walk: assets.Walk) -> None:
        plan = drawing.plan
        self.walk, self.metres = walk, figure.radius * plan.world.radius_m
        self.cell = float(plan.world.angle * self.metres)  # metres of a cell at its distance
        step = np.gradient(figure.u, plan.world.times())
        gone = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(figure.u)))]) * self.cell
        self.phase = np.floor(gone / walk.stride * assets.GAIT).astype(int) % assets.GAIT
        self.phase[np.abs(step) < _STILL] = assets.GAIT
        # who stands still goes on looking to where they went
        moving = np.where(np.abs(step) < _STILL, 0, np.sign(step))
        last = np.maximum.accumulate(np.where(moving != 0, np.arange(len(moving)), 0))
        self.facing = np.where(moving[last] == 0, 1, moving[last]).tolist()
        light = 1.0 if plan.panorama is None else assets.load_panorama(plan.panorama).light
        self.light = np.float32(np.clip(light / 0.42, 0.55, 1.08))
        fine = walk.texels * self.cell / plan.world.cell  # texels to a pixel
        self.level = max(0, int(np.log2(max(fine, 1.0)) + 0.35))

    def draw(
        self, picture: _Picture, id: int, row: int, frame: int, aside: np.ndarray, v: np.ndarray, far: np.ndarray | None
    ) -> None:
        """Into frame `row`, as it is in `frame`; aside [W] and v [H,W] cells, far [H,W] metres of what is painted."""
        sprite = _finer(self.walk, int(self.phase[frame]), self.level)
        texels = self.walk.texels / 2**self.level
        _, high, wide = sprite.shape
        across = self.facing[frame] * aside * (self.cell * texels) + (wide / 2 - 0.5)
        columns = np.flatnonzero((across > -1) & (across < wide))
        if not len(columns):
            return
        span = slice(int(columns[0]), int(columns[-1]) + 1)
        up = assets.EYE - v[:, span] * self.cell  # metres above the ground
        down = (high - self.walk.below / 2**self.level - 0.5) - up * texels
        rows = np.flatnonzero(((down > -1) & (down < high)).any(axis=1))
        if not len(rows):
            return
        box = (row, slice(int(rows[0]), int(rows[-1]) + 1), span)
        down, up = down[rows[0] : rows[-1] + 1], up[rows[0] : rows[-1] + 1]
        seen = np.ones_like(down) if far is None else (far[box[1:]] > self.metres).astype(np.float32)
        colours = _bilinear(sprite, down, across[span]) * seen
        cover = colours[3]
        every = (slice(None), *box)
        part = picture.colours[every] * (self._shadow(aside[span] * self.cell, up, seen) * (1 - cover))
        part += 255 * np.minimum(colours[:3] * self.light, cover)
        picture.colours[every] = part + 0.5
        picture.ids[box][cover > 0.5] = id

    def _shadow(self, aside: np.ndarray, up: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """The light that is left on the ground [h,w]: less in a soft ellipse at the feet, in metres."""
        width = 1.1 * max(self.walk.radius, 0.3)
        away = np.hypot(aside / width, (up + 0.02) / (0.22 * width))
        return np.asarray(1 - _SHADOW * np.clip(1.2 - away, 0, 1) * seen)


def _bytes(colours: np.ndarray) -> np.ndarray:
    """0..1 to uint8, in place where it can be."""
    colours *= 255
    colours += 0.5
    return colours.astype(np.uint8)


_PYRAMIDS: dict[tuple[str, int], list[np.ndarray]] = {}


def _finer(walk: assets.Walk, phase: int, level: int) -> np.ndarray:
    """A picture of a walk [4,h,w], halved ``level`` times."""
    made = _PYRAMIDS.setdefault((walk.name, phase), [])
    while len(made) <= level:
        made.append(_halved(made[-1]) if made else np.ascontiguousarray(walk.frames[phase].transpose(2, 0, 1)))
    return made[level]


def _halved(picture: np.ndarray) -> np.ndarray:
    """Means of 2x2 texels; rows are counted from the feet, columns from the middle."""
    _, high, wide = picture.shape
    padded = np.pad(picture, ((0, 0), (high % 2, 0), (wide % 4 // 2, wide % 4 // 2)))
    _, high, wide = padded.shape
    return padded.reshape(4, high // 2, 2, wide // 2, 2).mean(axis=(2, 4), dtype=np.float32)


def _bilinear(picture: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """[4,h,w] of a picture at fractional rows [h,w] and columns [w], empty outside."""
    _, high, wide = picture.shape
    outside = (row < -0.5) | (row > high - 0.5) | (column < -0.5) | (column > wide - 0.5)
    row, column = row.clip(0, high - 1.001), column.clip(0, wide - 1.001)
    top, left = row.astype(np.int32), column.astype(np.int32)
    down, right = (row - top).astype(np.float32), (column - left).astype(np.float32)
    table = picture.reshape(4, -1)
    at = top * wide + left
    upper, lower = np.take(table, at, axis=1), np.take(table, at + wide, axis=1)
    upper += right * (np.take(table, at + 1, axis=1) - upper)
    lower += right * (np.take(table, at + wide + 1, axis=1) - lower)
    lower -= upper
    lower *= down
    upper += lower
    upper[:, outside] = 0
    return upper
