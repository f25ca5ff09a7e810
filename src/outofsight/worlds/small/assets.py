"""Panoramas of the scene families and walks of the subjects: pictures in the package (recipes/small_assets.py)."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from PIL import Image

from ...errors import WorldsError
from ...records import parse_json

COLUMNS, ROWS = 576, 72  # texels of a panorama: square ones, all round and 45 degrees high
EYE = 1.5  # metres, of the camera above the ground
GAIT = 8  # pictures of one gait cycle; a standing one follows
_NEAREST, _FARTHEST = 0.5, 200.0  # metres that a distance's code spans


@dataclass(frozen=True, eq=False)
class Panorama:
    """A scene all round, on a cylinder: texel = 2 pi / COLUMNS of angle, and of height over distance.

    colours: float32 [ROWS,COLUMNS,3], 0..1. distance: float32 [ROWS,COLUMNS] metres on the level, inf in the sky.
    light: mean of its lower half. place: words.
    """

    name: str
    family: str
    place: str
    light: float
    colours: np.ndarray
    distance: np.ndarray


@dataclass(frozen=True, eq=False)
class Walk:
    """A subject from the side, going right.

    frames: float32 [GAIT + 1,h,w,4], colours multiplied by their alpha, 0..1; the last one stands. texels: to a metre.
    below: rows under its feet. stride: metres of a gait cycle. height, radius: metres. speed: metres a second.
    """

    name: str
    kind: str
    species: str
    who: str
    height: float
    radius: float
    speed: float
    stride: float
    texels: float
    below: int
    frames: np.ndarray

    @functools.cached_property
    def reach(self) -> float:
        """Metres from its middle to its farthest side, over all pictures."""
        columns = np.flatnonzero((self.frames[..., 3] > 0.5).any(axis=(0, 1)))
        middle = self.frames.shape[2] / 2
        return float(max(middle - columns[0], columns[-1] + 1 - middle)) / self.texels


def encode_distance(distance: np.ndarray) -> np.ndarray:
    """Metres to uint8, finer where near; 255 is infinite."""
    with np.errstate(divide="ignore"):
        share = np.log(distance / _NEAREST) / np.log(_FARTHEST / _NEAREST)
    return np.where(np.isfinite(distance), np.rint(254 * np.clip(share, 0, 1)), 255).astype(np.uint8)


def decode_distance(code: np.ndarray) -> np.ndarray:
    """The inverse of `encode_distance`, float32, to within 1.2 %."""
    metres = _NEAREST * (_FARTHEST / _NEAREST) ** (code.astype(np.float32) / 254)
    return np.where(code == 255, np.float32(np.inf), metres).astype(np.float32)


def panorama_names(split: str) -> tuple[str, ...]:
    """Panoramas of a split; the scene families of "test" are in no other."""
    return tuple(row["name"] for row in _listed()["panoramas"] if row["split"] == split)


def walk_names(split: str) -> tuple[str, ...]:
    """Subjects of a split; those of "test" are in no other."""
    return tuple(row["name"] for row in _listed()["walks"] if row["split"] == split)


@functools.cache
def load_panorama(name: str) -> Panorama:
    """Read once and kept. Raises WorldsError for a name that is not there."""
    facts = _facts("panoramas", name)
    picture = _picture(name)
    colours = picture[..., :3].astype(np.float32) / 255
    distance = decode_distance(picture[..., 3])
    return Panorama(name, facts["family"], facts["place"], facts["light"], _fixed(colours), _fixed(distance))


@functools.cache
def load_walk(name: str) -> Walk:
    """Likewise."""
    facts = _facts("walks", name)
    strip = _picture(name).astype(np.float32) / 255
    frames = np.stack(np.split(strip, GAIT + 1, axis=1))
    frames[..., :3] *= frames[..., 3:]
    words = {key: facts[key] for key in ("kind", "species", "who", "height", "radius", "speed", "stride", "texels")}
    return Walk(name, **words, below=facts["below"], frames=_fixed(frames))


def _fixed(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _facts(kind: str, name: str) -> dict[str, Any]:
    rows = {row["name"]: row for row in _listed()[kind]}
    if name not in rows:
        raise WorldsError(f"the small world has no {kind} called {name!r}; it has {', '.join(rows)}")
    return dict(rows[name])


@functools.cache
def _listed() -> dict[str, Any]:
    place = resources.files(__package__) / "pictures" / "assets.json"
    remedy = "install the package again"
    try:
        text = place.read_text(encoding="utf-8")
    except OSError as cause:
        raise WorldsError(f"{place} cannot be read ({cause}): {remedy}") from cause
    found = parse_json(text, str(place), WorldsError, remedy)
    assert isinstance(found, dict)
    return found


def _picture(name: str) -> np.ndarray:
    place = resources.files(__package__) / "pictures" / f"{name}.png"
    try:
        with place.open("rb") as file, Image.open(file) as picture:
            return np.array(picture)
    except OSError as cause:
        raise WorldsError(f"{place} cannot be read ({cause}): install the package again") from cause
