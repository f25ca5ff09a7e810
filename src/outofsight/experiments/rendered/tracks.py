"""From pixels that the finder marked to subjects, and from subjects in frames to tracks over the ground."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from .sighting import Sighting

LEAST_PIXELS = 0.0013  # of a picture, below which a group of pixels is no subject
_MARKED = 0.5
_BIN = 0.04  # of a picture's width: bins in which votes are counted first
_REACH = 0.6  # of the root of its pixels, from a subject's foot: votes that belong to it
_LEAST_REACH = 0.05  # of a picture's width
_LEAST_SIGHTINGS = 3
_GATE = 0.5  # of the root of its pixels, that a subject may lie from its track; grows with each frame missed
_LEAST_GATE = 0.04  # of a picture's width
_DEPTH_GATE = 0.6  # natural logarithm of the ratio of depths
_SPEED_FRAMES = 6
# what is seen, as standard deviations in shares of the distance: across the line of sight, and along it
ACROSS, ALONG = 0.011, 0.1
_CUT = 7.0  # times worse across, where the picture's border cuts a subject
_MOST_LEVELLED = 1.4  # times, that a depth may be changed so that a foot stands on level ground


@dataclass(frozen=True, eq=False)
class Body:
    """A subject in one frame.

    pixels ``[h, w]`` in 0..1: how surely each shows it. foot: (x, y) pixels, where it stands. depth: metres. position
    ``[3]``: where it stands in the world, metres. area: pixels. whole: no border at its side cuts it. doubt: how far
    its position may be off across the line of sight and along it, standard deviations in shares of the distance.
    """

    frame: int
    pixels: np.ndarray
    foot: np.ndarray
    depth: float
    position: np.ndarray
    area: int
    whole: bool
    doubt: tuple[float, float] = (ACROSS, ALONG)


@dataclass(eq=False)
class SubjectPath:
    """One subject over the context frames that show it, in their order."""

    bodies: list[Body] = field(default_factory=list)

    @property
    def frames(self) -> np.ndarray:
        return np.array([body.frame for body in self.bodies])

    @property
    def positions(self) -> np.ndarray:
        """``[n, 3]`` metres."""
        return np.array([body.position for body in self.bodies])

    @property
    def doubts(self) -> np.ndarray:
        """``[n, 2]``."""
        return np.array([body.doubt for body in self.bodies])

    def expected(self, frame: int) -> np.ndarray:
        """Where it is by then if it goes straight on."""
        recent = self.bodies[-_SPEED_FRAMES:]
        last = recent[-1]
        if len(recent) < 2:
            return last.position
        velocity = (last.position - recent[0].position) / (last.frame - recent[0].frame)
        return np.asarray(last.position + velocity * (frame - last.frame))


def project(c2w: np.ndarray, point: np.ndarray, size: tuple[int, int], half_width: float) -> tuple[np.ndarray, float]:
    """(x, y) pixels in a picture of (height, width), and depth, of a point; half_width: tangent of half the field of
    view. The pixels mean nothing where the depth is not above 0."""
    height, width = size
    x, y, depth = c2w[:3, :3].T @ (point - c2w[:3, 3])
    safe = max(depth, 1e-3)
    return np.array([x, y]) / safe / half_width * width / 2 + np.array([width, height]) / 2, float(depth)


def bodies_in(
    frame: int, subject: np.ndarray, foot: np.ndarray, depth: np.ndarray, c2w: np.ndarray, half_width: float
) -> list[Body]:
    """Group marked pixels by where they say that their subject stands.

    subject ``[h, w]`` in 0..1, foot ``[2, h, w]`` pixels, depth ``[h, w]`` metres: of one frame (``finder.Sighting``).
    """
    height, width = subject.shape
    least = max(4, round(LEAST_PIXELS * height * width))
    rows, columns = np.nonzero(subject > _MARKED)
    votes, depths = foot[:, rows, columns].T, depth[rows, columns]
    left = np.ones(len(rows), bool)
    found = []
    while left.sum() >= least:
        near = _group(votes, left, width)
        left &= ~near
        if near.sum() < least:
            continue
        pixels = np.zeros_like(subject)
        pixels[rows[near], columns[near]] = subject[rows[near], columns[near]]
        at, away = np.median(votes[near], axis=0), float(np.median(depths[near]))
        ray = (at - np.array([width, height]) / 2) / (width / 2) * half_width
        position = c2w[:3, 3] + c2w[:3, :3] @ (np.append(ray, 1.0) * away)
        whole = not (near & ((columns <= 1) | (columns >= width - 2))).any()
        doubt = (ACROSS if whole else _CUT * ACROSS, ALONG)
        found.append(Body(frame, pixels, at, away, position, int(near.sum()), whole, doubt))
    return found


def _group(votes: np.ndarray, left: np.ndarray, width: int) -> np.ndarray:
    """Which pixels vote for the place that most of those left vote for; at least one of them."""
    bins = np.round(votes / (_BIN * width)).astype(np.int64)
    _, index, counts = np.unique(bins[left], axis=0, return_inverse=True, return_counts=True)
    chosen = np.flatnonzero(left)[index.ravel() == counts.argmax()]
    near = np.zeros_like(left)
    near[chosen] = True
    for _ in range(3):
        reach = max(_LEAST_REACH * width, _REACH * np.sqrt(near.sum()))
        wider = left & (np.hypot(*(votes - np.median(votes[near], axis=0)).T) < reach)
        if not wider.any():
            break
        near = wider
    near[chosen] = True
    return near & left


def link(frames: list[list[Body]], cameras: np.ndarray, half_width: float) -> list[SubjectPath]:
    """Join the bodies of successive frames to paths: each body goes to the path whose expected place is nearest, if it
    is near enough in the picture and in depth. ``cameras [n, 4, 4]`` c2w of the frames."""
    paths: list[SubjectPath] = []
    for number, bodies in enumerate(frames):
        pairs = []
        for p, path in enumerate(paths):
            for b, body in enumerate(bodies):
                apart = _apart(path, body, cameras[number], half_width)
                if apart < 1:
                    pairs.append((apart, p, b))
        taken_paths: set[int] = set()
        taken: set[int] = set()
        for _, p, b in sorted(pairs):
            if p not in taken_paths and b not in taken:
                paths[p].bodies.append(bodies[b])
                taken_paths.add(p)
                taken.add(b)
        paths += [SubjectPath([body]) for b, body in enumerate(bodies) if b not in taken]
    return [path for path in paths if len(path.bodies) >= _LEAST_SIGHTINGS]


def _apart(path: SubjectPath, body: Body, c2w: np.ndarray, half_width: float) -> float:
    """How far a body lies from where the path continues, in gates."""
    height, width = body.pixels.shape
    place, depth = project(c2w, path.expected(body.frame), (height, width), half_width)
    if depth <= 0:
        return float("inf")
    missed = body.frame - path.bodies[-1].frame
    gate = max(_LEAST_GATE * width, _GATE * np.sqrt(max(body.area, path.bodies[-1].area)))
    aside = float(np.hypot(*(place - body.foot))) / (gate * (1 + 0.1 * (missed - 1)))
    return max(aside, abs(np.log(body.depth / depth)) / _DEPTH_GATE)


def paths_in(
    sighting: Sighting, cameras: np.ndarray, half_width: float, up: np.ndarray, *, levelled: bool = True
) -> list[SubjectPath]:
    """Who moves through frames, by what a finder says of each; ``cameras [n, 4, 4]`` c2w. levelled: see
    :func:`level`."""
    subject, foot, depth = (x.numpy() for x in (sighting.subject.sigmoid(), sighting.foot, sighting.depth))
    frames = [bodies_in(i, subject[i], foot[i], depth[i], cameras[i], half_width) for i in range(len(cameras))]
    paths = link(frames, cameras, half_width)
    return [level(path, cameras, up) for path in paths] if levelled else paths


def level(path: SubjectPath, cameras: np.ndarray, up: np.ndarray) -> SubjectPath:
    """The same path over level ground: each place moves along its line of sight to the height that most sightings say.

    A sighting's depth is a guess, and the row of its foot is not: on level ground one height explains all of them.
    ``cameras [n, 4, 4]`` c2w of the frames, up ``[3]``.
    """
    eyes = cameras[path.frames, :3, 3] @ up
    heights = path.positions @ up
    ground = np.median(heights)
    below = np.maximum(eyes - heights, 1e-3)
    stretch = np.clip((eyes - ground) / below, 1 / _MOST_LEVELLED, _MOST_LEVELLED)
    bodies = []
    for body, factor in zip(path.bodies, stretch, strict=True):
        eye = cameras[body.frame, :3, 3]
        bodies.append(replace(body, depth=body.depth * factor, position=eye + (body.position - eye) * factor))
    return SubjectPath(bodies)
