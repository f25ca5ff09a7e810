"""Camera paths as text: "right-8, wait-4, left-8" means turn right for 8 latent frames, wait 4, turn back.

The comma-separated `action-count` form is the one world models commonly take; joined actions, `@` and the
timing are ours. One latent frame stands for `stride` video frames.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from ..errors import CameraError

# Degrees per unit about the vertical (yaw) and about the camera's x axis (pitch); positive is right and up.
_TURNS: dict[str, tuple[float, float]] = {
    "left": (-1.0, 0.0),
    "right": (1.0, 0.0),
    "up": (0.0, 1.0),
    "down": (0.0, -1.0),
}
# Metres per unit along the camera's own axes (x right, y down, z forward).
_MOVES: dict[str, tuple[float, float, float]] = {
    "forward": (0.0, 0.0, 1.0),
    "backward": (0.0, 0.0, -1.0),
    "slide_left": (-1.0, 0.0, 0.0),
    "slide_right": (1.0, 0.0, 0.0),
    "rise": (0.0, -1.0, 0.0),
    "sink": (0.0, 1.0, 0.0),
}
_WAIT = "wait"
MOST_COUNTS = 100_000  # latent frames of one path: hours of video
ACTIONS = (*_MOVES, *_TURNS, _WAIT)
_OPPOSITES = (
    {"left", "right"},
    {"up", "down"},
    {"forward", "backward"},
    {"slide_left", "slide_right"},
    {"rise", "sink"},
)

_PIECE = re.compile(r"(?P<actions>[a-z_+\s]+)-(?P<count>[0-9]{1,5})(?:@(?P<amount>[0-9]*\.?[0-9]+))?")
# Gauss-Legendre nodes per interval: a move along an arc is integrated to rounding error.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True)
class Segment:
    """One piece of a path: actions done together for `count` latent frames; `amount` is what @ gives."""

    actions: tuple[str, ...]
    count: int
    amount: float | None

    def rates(self, speed: float, angle: float) -> np.ndarray:
        """[5] per latent frame: yaw and pitch in degrees, then metres along the camera's x, y, z."""
        rates = np.zeros(5)
        for action in self.actions:
            if action in _TURNS:
                rates[:2] += np.array(_TURNS[action]) * (angle if self.amount is None else self.amount)
            elif action in _MOVES:
                rates[2:] += np.array(_MOVES[action]) * (speed if self.amount is None else self.amount)
        return rates


def parse(text: str) -> tuple[Segment, ...]:
    """Read a path's text; a CameraError points at the piece that cannot be read and lists the actions."""
    pieces = [piece.strip() for piece in text.split(",")]
    if not any(pieces):
        raise CameraError(f'the camera path is empty; expected e.g. "right-8, wait-4, left-8". {_help()}')
    segments = tuple(_segment(piece, index, text) for index, piece in enumerate(pieces, start=1))
    count = sum(segment.count for segment in segments)
    if count > MOST_COUNTS:
        raise CameraError(f"the camera path is {count} latent frames long; at most {MOST_COUNTS} can be walked at once")
    return segments


def _segment(piece: str, index: int, text: str) -> Segment:
    where = f'camera path "{text}", piece {index} ("{piece}")'
    match = _PIECE.fullmatch(piece.lower())
    if match is None:
        raise CameraError(f"{where}: expected action-count with a whole count, e.g. right-8. {_help()}")
    actions = tuple(action.strip() for action in match["actions"].split("+"))
    for action in actions:
        if action not in ACTIONS:
            raise CameraError(f'{where}: unknown action "{action}". {_help()}')
    if len(set(actions)) < len(actions):
        raise CameraError(f"{where}: an action is named twice; use @ to do it faster, e.g. right-8@7.5")
    if _WAIT in actions and len(actions) > 1:
        raise CameraError(f'{where}: "wait" cannot be joined to other actions')
    for pair in _OPPOSITES:
        if pair <= set(actions):
            raise CameraError(f"{where}: {' and '.join(sorted(pair))} cancel each other; name one of them")
    count = int(match["count"])
    if count == 0:
        raise CameraError(f"{where}: the count is 0; expected at least 1 latent frame")
    return Segment(actions, count, _amount(match["amount"], actions, where))


def _amount(text: str | None, actions: tuple[str, ...], where: str) -> float | None:
    if text is None:
        return None
    if actions == (_WAIT,):
        raise CameraError(f'{where}: "wait" has no speed; leave out @{text}')
    if any(action in _TURNS for action in actions) and any(action in _MOVES for action in actions):
        raise CameraError(
            f"{where}: @{text} would be degrees for the turn and metres for the move; set `speed` and "
            "`angle` for the whole path instead, or write turn and move as separate pieces"
        )
    amount = float(text)
    if amount == 0:
        raise CameraError(f'{where}: @0 does not move; write "wait" to stand still')
    return amount


def _help() -> str:
    return (
        f"Actions: {', '.join(ACTIONS)}; join several with + (forward+right-8); set degrees or metres per "
        "latent frame with @ (right-8@5)"
    )


def walk(
    start: np.ndarray,
    segments: tuple[Segment, ...],
    *,
    down: np.ndarray,
    speed: float,
    angle: float,
    stride: int,
) -> np.ndarray:
    """Poses [F,4,4] of the video frames of a path that continues from `start` [4,4]; F = stride (N - 1) + 1.

    N is the total count. Frame f (from 0) stands at progress (f + 1) N / F latent steps, so the first frame
    has already moved on from `start` and the last one has made every step. `down` [3] is the world's
    vertical.
    """
    counts = np.array([segment.count for segment in segments])
    rates = np.array([segment.rates(speed, angle) for segment in segments])
    steps = int(counts.sum())
    frames = stride * (steps - 1) + 1
    progress = np.arange(1, frames + 1) * steps / frames
    knots = np.concatenate([[0], np.cumsum(counts)]).astype(np.float64)
    turned = np.concatenate([np.zeros((1, 2)), np.cumsum(counts[:, None] * rates[:, :2], axis=0)])
    head = _Head(start[:3, :3], down, knots, turned)

    # Positions: the velocity is integrated between every two neighbouring knots or frames.
    times = np.unique(np.concatenate([knots, progress]))
    middle, half = (times[1:] + times[:-1]) / 2, (times[1:] - times[:-1]) / 2
    segment_of = np.searchsorted(knots, middle, side="right") - 1
    nodes = middle[:, None] + half[:, None] * _NODES
    turns = head.rotations(nodes.ravel()).reshape(*nodes.shape, 3, 3)
    moved = np.einsum("inxc,ic,n,i->ix", turns, rates[segment_of, 2:], _WEIGHTS, half)
    travelled = np.concatenate([np.zeros((1, 3)), np.cumsum(moved, axis=0)])

    c2w = np.tile(np.eye(4), (frames, 1, 1))
    c2w[:, :3, :3] = head.rotations(progress)
    c2w[:, :3, 3] = start[:3, 3] + travelled[np.searchsorted(times, progress)]
    return c2w


@dataclass(frozen=True)
class _Head:
    """Where the camera looks over a path: yaw about the world's vertical, pitch about the camera's own x
    axis.

    Yaw turns from the left of the start rotation and pitch from its right, so that the order of segments does
    not matter and turning back returns exactly.
    """

    start: np.ndarray  # [3,3]
    down: np.ndarray  # [3]
    knots: np.ndarray  # [S+1]
    turned: np.ndarray  # [S+1,2] yaw and pitch in degrees

    def rotations(self, progress: np.ndarray) -> np.ndarray:
        from scipy.spatial.transform import Rotation

        yaw = np.interp(progress, self.knots, self.turned[:, 0])
        pitch = np.interp(progress, self.knots, self.turned[:, 1])
        # In a left-handed world the same turn, seen from the camera, has the opposite sense about `down`.
        axis = self.down * np.sign(np.linalg.det(self.start))
        left = Rotation.from_rotvec(yaw[:, None] * axis, degrees=True).as_matrix()
        right = Rotation.from_rotvec(pitch[:, None] * np.array([1.0, 0.0, 0.0]), degrees=True).as_matrix()
        return left @ self.start @ right
