"""What happens in clip number n: camera, cast and occluders, drawn from (world, seed, number) before any pixel is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...errors import WorldsError
from . import assets
from .camera import CameraScript, Turns, bearing, draw_places, draw_turns, frame_yaw, hit, script, waiting
from .motion import displacement, reflected
from .options import SPLITS, SmallWorld

VERSION = 1  # of what a number means: another one where clips of the same number would differ
SHAPES = ("disc", "square", "diamond")
_TRIES, _WITH_ONE_CAST = 800, 20
_SLOPING = 1.4  # how much farther than on level ground the ground under a walk may be seen
_BANDS = 6  # of hues; each has a part for training and one that is held out


@dataclass(frozen=True, eq=False)
class Figure:
    """A subject or a distractor over all F frames.

    kind: its motion. look: a shape, or the name of a walk. u, v: [F] cells on its cylinder: across (azimuth), and down
    (height over radius) of its middle. radius: of the cylinder, as a share of the drum's (shapes), or metres from the
    camera as a share of it (walks). size: cells from its middle to its side. tall: cells from its middle up or down.
    """

    kind: str
    look: str
    colour: tuple[float, float, float]
    u: np.ndarray
    v: np.ndarray
    radius: float
    size: float
    tall: float


@dataclass(frozen=True)
class Occluder:
    """A standing wall: its middle and width in cells on a cylinder of a radius, and the seed of its pattern."""

    u: float
    width: float
    radius: float
    seed: int


@dataclass(frozen=True, eq=False)
class Plan:
    """A clip before it is drawn. yaw: [F] cells. places: [F,2] shares of the radius. figures: subjects first."""

    world: SmallWorld
    seed: int
    number: int
    attempt: int
    camera: CameraScript
    yaw: np.ndarray
    places: np.ndarray
    figures: tuple[Figure, ...]
    occluders: tuple[Occluder, ...]
    panorama: str | None = None
    turned: float = 0.0  # cells by which the wall is turned
    mirrored: bool = False

    @property
    def waits(self) -> bool:
        """Whether the camera stays at home while a subject passes behind an occluder."""
        return any(figure.kind == "behind" for figure in self.figures)

    def generator(self, what: int) -> np.random.Generator:
        """Random numbers of this clip for one purpose."""
        return generator(self.world, (self.seed, self.number, self.attempt), what)


def generator(world: SmallWorld, which: tuple[int, int, int], what: int) -> np.random.Generator:
    """Of one attempt at a clip (seed, number, attempt), for one purpose: 0 plan, 1 wall, 2 looks, 3 distractors."""
    return np.random.default_rng([which[0], SPLITS.index(world.split), *which[1:], what])


def plan_clip(world: SmallWorld, seed: int, number: int, attempt: int = 0) -> Plan:
    """The plan of a clip, or of a further attempt at it where the pixels did not confirm one.

    By geometry, its subjects are seen in the context, hidden around the cut and seen again in the target. Raises
    WorldsError where the knobs leave no such clip, or for a seed or number below 0.
    """
    if seed < 0 or number < 0:
        raise WorldsError(f"small clip {number} of seed {seed}: expected whole numbers of at least 0")
    which = seed, number, attempt
    rng, others = (generator(world, which, what) for what in (0, 2))
    for tried in range(_TRIES):
        if tried % _WITH_ONE_CAST == 0:  # scenery may stand before every way of these subjects
            looks = _Looks(world, others)
        plan = _attempt(world, which, rng, looks)
        if plan is not None:
            return _with_distractors(plan, looks)
    raise WorldsError(
        f"small clip {number} of seed {seed}: none of {_TRIES} plans has its subjects leave and come back; the knobs "
        f"leave too little room: {world}"
    )


class _Looks:
    """Who a clip's figures are, how large and how far away, and what is painted behind them."""

    def __init__(self, world: SmallWorld, rng: np.random.Generator) -> None:
        count = world.subjects + world.distractors
        self.world = world
        self.panorama: assets.Panorama | None = None
        self.turned, self.mirrored = 0.0, False
        if world.wall == "scenes":
            self.panorama = assets.load_panorama(str(rng.choice(assets.panorama_names(world.split))))
            self.turned, self.mirrored = float(rng.integers(0, assets.COLUMNS)), bool(rng.random() < 0.5)
        bands = rng.permutation(_BANDS)[:count]
        self.colours = [_colour(world.split, int(band), rng) for band in bands]
        if world.figures == "walks":
            names = rng.permutation(np.array(assets.walk_names(world.split)))[:count].tolist()
            self.walks = [assets.load_walk(name) for name in names]
            self.names = names
            # small ones come nearer; each at a distance of its own, so that they pass in front of one another
            self.radii = [
                float(np.clip(2.2 * walk.height, 4.2, 6.2) + rng.uniform(0, 1.4)) / world.radius_m
                for walk in self.walks
            ]
            return
        self.walks = []
        self.names = [SHAPES[k] for k in rng.integers(0, len(SHAPES), count)]
        near = rng.uniform(0.6, 0.85, count) if world.travel else np.ones(count)
        self.radii = [float(radius) for radius in near]

    def figure(self, index: int, kind: str, u: np.ndarray, v: np.ndarray) -> Figure:
        world, radius = self.world, self.radii[index]
        size = tall = world.radius
        if self.walks:
            walk = self.walks[index]
            cell = world.angle * radius * world.radius_m  # metres
            size, tall = walk.reach / cell, walk.height / 2 / cell
            v = np.full(len(u), (assets.EYE - walk.height / 2) / cell)
        return Figure(kind, self.names[index], self.colours[index], u, v, radius, size, tall)


def _colour(split: str, band: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """Saturated colours; of each band of hues, the last 60 % are for training and the first 30 % for tests."""
    inside = rng.random()
    inside = 0.3 * inside if split == "test" else 0.35 + 0.6 * inside
    return from_hsv((band + inside) / _BANDS, 0.75 + 0.25 * rng.random(), 0.85 + 0.15 * rng.random())


def from_hsv(hue: float, saturation: float, value: float) -> tuple[float, float, float]:
    """All 0..1 to red, green and blue, 0..1."""
    red, green, blue = (
        value * (1 - saturation * min(max(min(k, 4 - k), 0.0), 1.0))
        for k in ((5 + 6 * hue) % 6, (3 + 6 * hue) % 6, (1 + 6 * hue) % 6)
    )
    return red, green, blue


def _attempt(world: SmallWorld, which: tuple[int, int, int], rng: np.random.Generator, looks: _Looks) -> Plan | None:
    turns = draw_turns(world, rng)
    places = draw_places(world, rng)
    kinds = [str(rng.choice(world.motions)) for _ in range(world.subjects)]
    behind = "behind" in kinds
    occluders = _occluders(world, rng, in_view=behind)
    if behind:
        camera, kinds = waiting(world, turns), ["behind"] * world.subjects
    else:
        camera = script(world, turns)
    figures: list[Figure] = []
    for index, kind in enumerate(kinds):
        if behind:
            u = _behind(world, occluders[0], rng)
        elif world.elsewhere:
            u, camera = _followed(world, turns, camera, index, rng)
        else:
            u = np.zeros(0)  # placed below, where the camera is known
        v = np.zeros(world.frames)
        if not len(u):
            u, v = _placed(world, camera, places, kind, looks.radii[index], rng)
        if not looks.walks:
            v = _heights(world, camera, v, rng)
        figures.append(looks.figure(index, kind, u, v))
    name = None if looks.panorama is None else looks.panorama.name
    plan = Plan(
        world, *which, camera, frame_yaw(world, camera.yaw), places, tuple(figures), occluders, name,
        looks.turned, looks.mirrored,
    )  # fmt: skip
    return plan if all(_returns(plan, figure) for figure in figures) else None


def _placed(
    world: SmallWorld, camera: CameraScript, places: np.ndarray, kind: str, radius: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """In view when the camera leaves and in view when it is back, else turned round or slowed: u [F], and what its
    motion adds to v [F]."""
    times = world.times()
    ends = np.array([camera.leave, min(camera.arrive, world.latents - 1)])
    first, last = np.minimum(ends * world.stride, world.frames - 1)
    start = rng.uniform(-0.9, 0.9) * world.half
    speed = rng.uniform(*world.speed)
    across, down = displacement(kind, times, float(ends[0]), speed, world.figures == "walks", rng)
    if rng.random() < 0.5:
        across = -across
    if kind == "bouncing":
        return reflected(start + across, world.half), down
    # where the views' middles lie on the subject's cylinder, and how wide a cell of the view is there
    middle, length = hit(np.array([0.0, camera.there * world.angle]), places[[first, last]], radius)
    middle, wide = middle / world.angle, length / radius
    begin = middle[0] + start * wide[0]
    low, high = middle[1] - world.half * wide[1], middle[1] + world.half * wide[1]
    if not low <= begin + across[last] <= high:
        across = -across
    end = begin + across[last]
    if not low <= end <= high and across[last]:
        across = across * ((np.clip(end, low, high) - begin) / across[last])
    return begin + across, down


def _followed(
    world: SmallWorld, turns: Turns, camera: CameraScript, index: int, rng: np.random.Generator
) -> tuple[np.ndarray, CameraScript]:
    """The way of a subject that goes after the camera; the first one's end is where the camera comes back to."""
    start, speed = rng.uniform(-0.9, 0.9) * world.half, rng.uniform(*world.speed)
    u = start + turns.sign * speed * (world.times() - turns.leave)
    if index == 0:
        there = 0
        for _ in range(3):  # when it arrives depends on where
            arrive = min(script(world, turns, there).arrive, world.latents - 1)
            there = round(float(u[min(arrive * world.stride, world.frames - 1)] + rng.uniform(-1, 1)))
        camera = script(world, turns, there)
    return u, camera


def _behind(world: SmallWorld, occluder: Occluder, rng: np.random.Generator) -> np.ndarray:
    """A way past the occluder, behind whose middle it is shortly before or after the cut."""
    middle = world.context - 1 + rng.uniform(-0.5, 1.5)
    sign = 1 if rng.random() < 0.5 else -1
    fast = rng.uniform(sum(world.speed) / 2, world.speed[1])
    return np.asarray(occluder.u + sign * fast * (world.times() - middle))


def _heights(world: SmallWorld, camera: CameraScript, more: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Up or down, slowly, thrown back at the edges of the wall: v [F]."""
    middle = 0.5 * (camera.leave + camera.arrive)
    start = rng.uniform(-1, 1) * max(world.rows / 2 - 0.8 * world.radius, 0.0)
    drift = rng.uniform(-1, 1) * world.drift
    limit = max(world.rows / 2 - 0.5 * world.radius, 0.1)
    return reflected(start + drift * (world.times() - middle) + more, limit)


def _occluders(world: SmallWorld, rng: np.random.Generator, *, in_view: bool) -> tuple[Occluder, ...]:
    made: list[Occluder] = []
    reach = world.columns / 2 + 1.5
    for index in range(world.occluders):
        wide = rng.uniform(1.3, 2.0)
        u = rng.uniform(0.3, 1.0) * reach * (1 if (index + rng.integers(0, 2)) % 2 else -1)
        if in_view and index == 0:  # wide enough to hide a subject for a while
            wide, u = 2.5 * world.radius + rng.uniform(0.4, 0.8), rng.uniform(-0.5, 0.5)
        near = 0.48 if world.travel else 0.9
        occluder = Occluder(float(u), float(wide), near, int(rng.integers(1 << 31)))
        if all(abs(other.u - u) > 0.5 * (other.width + wide) + 0.5 for other in made):
            made.append(occluder)
    return tuple(made)


def seen_at(plan: Plan, figure: Figure) -> tuple[np.ndarray, np.ndarray]:
    """[F] bool each: whether the figure is well in view, and whether any of it may be."""
    world = plan.world
    angle, distance = bearing(figure.u * world.angle, plan.places, figure.radius)
    aside = np.abs(_wrapped(angle - plan.yaw * world.angle)) / world.angle
    nearer = figure.radius / distance  # how much larger it looks than from the axis
    seen = aside < world.columns / 2 - 0.1 * figure.size * nearer
    touched = (aside < world.columns / 2 + 1.25 * figure.size * nearer + 0.2) & (
        np.abs(figure.v) * nearer < world.rows / 2 + 1.25 * figure.tall * nearer
    )
    for occluder in plan.occluders:
        shade, reach = bearing(np.full(len(angle), occluder.u * world.angle), plan.places, occluder.radius)
        between = np.abs(_wrapped(angle - shade)) / world.angle
        half = 0.5 * occluder.width * occluder.radius / reach
        seen &= between > half
        touched &= between > half - 1.25 * figure.size * nearer
    if plan.panorama is not None:
        free = _unhidden(plan, figure)
        seen &= free
    return seen, touched


def _unhidden(plan: Plan, figure: Figure) -> np.ndarray:
    """[F] bool: no scenery stands before the figure's chest."""
    assert plan.panorama is not None
    panorama = assets.load_panorama(plan.panorama)
    across, down = texel(plan, figure.u, figure.v - 0.4 * figure.tall)
    row = np.rint(down).astype(int).clip(0, assets.ROWS - 1)
    distance = panorama.distance[row, np.rint(across).astype(int) % assets.COLUMNS]
    return np.asarray(distance > figure.radius * plan.world.radius_m)


def _grounded(plan: Plan, figure: Figure) -> np.ndarray:
    """[F] bool: there is ground under the feet, or something before it; nobody walks beyond the edge of a roof."""
    assert plan.panorama is not None
    across, down = texel(plan, figure.u, figure.v + figure.tall)
    row = np.rint(down).astype(int).clip(0, assets.ROWS - 1)
    distance = assets.load_panorama(plan.panorama).distance[row, np.rint(across).astype(int) % assets.COLUMNS]
    return np.asarray(distance < _SLOPING * figure.radius * plan.world.radius_m)


def texel(plan: Plan, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells to the panorama's columns and rows, of texels' middles."""
    scale = plan.world.angle * assets.COLUMNS / (2 * np.pi)
    across = -u if plan.mirrored else u
    return across * scale + plan.turned - 0.5, v * scale + assets.ROWS / 2 - 0.5


def _wrapped(angle: np.ndarray) -> np.ndarray:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _returns(plan: Plan, figure: Figure) -> bool:
    """Seen for two latent frames of the context, out of view at the cut or after, then seen again for one or more."""
    world = plan.world
    seen, touched = seen_at(plan, figure)
    cut = world.context_frames
    if plan.panorama is not None and not _grounded(plan, figure)[touched].all():
        return False
    if seen[:cut].sum() < 2 * world.stride:
        return False
    hidden = np.flatnonzero(~touched[cut - 1 :])
    if not len(hidden):
        return False
    after = cut - 1 + int(hidden[0])
    # a latent frame is hidden at least, so that it has truly gone
    gone = ~touched[max(0, after - world.stride) : after + world.stride + 1]
    if gone.sum() < world.stride or seen[after:].sum() < world.stride:
        return False
    return not world.elsewhere or _elsewhere(plan, touched)


def _elsewhere(plan: Plan, touched: np.ndarray) -> bool:
    """The camera comes back to where it looked before, without the subject in view then."""
    world = plan.world
    if abs(plan.camera.there) < 0.6 * world.columns:
        return False
    alike = np.abs(plan.yaw[: world.context_frames] - plan.camera.there) <= 1
    return bool(alike.any() and not touched[: world.context_frames][alike].any())


def _with_distractors(plan: Plan, looks: _Looks) -> Plan:
    """The plan with figures that leave and never come back."""
    world = plan.world
    rng = plan.generator(3)
    figures = list(plan.figures)
    for index in range(world.subjects, world.subjects + world.distractors):
        for _ in range(60):
            figure = _passing(plan, looks, index, rng)
            seen, touched = seen_at(plan, figure)
            if plan.panorama is not None and not _grounded(plan, figure)[touched].all():
                continue
            gone = np.flatnonzero(~touched & (np.cumsum(seen) > 0))
            if seen[: world.context_frames].sum() > world.stride and len(gone) and not touched[gone[0] :].any():
                break
        else:  # nobody sees it
            u = np.full(world.frames, world.around / 2)
            figure = looks.figure(index, "constant", u, np.zeros(world.frames))
        figures.append(figure)
    return replace(plan, figures=tuple(figures))


def _passing(plan: Plan, looks: _Looks, index: int, rng: np.random.Generator) -> Figure:
    """Off to the side that the camera does not turn to, or over the wall's edge."""
    world = plan.world
    since = world.times() - rng.uniform(1, plan.camera.leave if plan.camera.leave < world.context else 4)
    start = rng.uniform(-1, 1) * world.half
    if looks.walks or rng.random() < 0.5:
        fast = rng.uniform(0.5, 1.1) * world.columns / 6
        u, v = start - plan.camera.sign * fast * since, np.full(world.frames, rng.uniform(-0.5, 0.5) * world.rows)
    else:
        rise = rng.uniform(0.5, 1.0) * (1 if rng.random() < 0.5 else -1)
        u, v = start + rng.uniform(-0.3, 0.3) * since, rise * since
    return looks.figure(index, "constant", u, v)
