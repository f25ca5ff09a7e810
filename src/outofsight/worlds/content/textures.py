"""Textures made of noise: 256 x 256, tileable, sRGB. Mostly light and grey, for vertex colours to tint.

Every public function without arguments makes the texture of its name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from ...errors import WorldsError
from ..engine.noise import SIZE, noise
from .drawn import public_functions

_BAYS = ((0.0, 0.0), (0.0, 0.5), (0.5, 0.0), (0.5, 0.5))  # lower left corners of a picture's quarters
Y, X = np.mgrid[0:SIZE, 0:SIZE] / SIZE  # row 0 is the top of the picture


def _cells(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Periodic cells round ``count`` points: the gap between nearest and second nearest, and the cell's number."""
    rng = np.random.default_rng(seed)
    side = round(count**0.5)
    grid = (np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2) + 0.5) / side
    points = (grid + rng.uniform(-0.36, 0.36, grid.shape) / side) % 1.0
    shifts = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    tiled = np.concatenate([points + shift for shift in shifts])
    distance, index = cKDTree(tiled).query(np.stack([X, Y], axis=-1).reshape(-1, 2), k=2)
    gap = (distance[:, 1] - distance[:, 0]).reshape(SIZE, SIZE) * side
    return gap, (index[:, 0] % len(points)).reshape(SIZE, SIZE)


def _tone(value: np.ndarray, colour: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> np.ndarray:
    return np.clip(value, 0.0, 1.0)[..., None] * np.array(colour)


def _flat(value: float, colour: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> np.ndarray:
    return _tone(np.full_like(X, value), colour)


def _mix(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    share = np.clip(share, 0.0, 1.0)[..., None]
    return a * (1.0 - share) + b * share


def _courses(rows: int, per_row: int, joint: float, seed: int, shift: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Masonry: how much joint [0..1] and a random number per stone; joints as shares of a course's height."""
    row = np.floor(Y * rows)
    across = (X * per_row + shift * (row % 2)) % per_row
    stone = np.floor(across)
    v, u = Y * rows - row, across - stone
    ratio = rows / per_row
    edge = np.minimum(np.minimum(v, 1 - v), np.minimum(u, 1 - u) * ratio)
    table = np.random.default_rng(seed).uniform(size=(rows, per_row))
    return np.clip(1.0 - edge / joint, 0.0, 1.0), table[row.astype(int), stone.astype(int)]


def brick() -> np.ndarray:
    joint, tone = _courses(16, 8, 0.13, 1)
    body = 0.70 + 0.24 * (tone - 0.5) + 0.045 * noise(2, 0.8)
    warm = np.stack([body, body * (0.93 + 0.08 * tone), body * (0.9 + 0.12 * tone)], axis=-1)
    return _mix(warm, _tone(0.88 + 0.03 * noise(3), (1.0, 0.97, 0.92)), joint * 0.9)


def ashlar() -> np.ndarray:
    joint, tone = _courses(6, 3, 0.05, 4)
    body = _tone(0.80 + 0.16 * (tone - 0.5) + 0.05 * noise(5, 1.0), (1.0, 0.97, 0.92))
    return _mix(body, _flat(0.5), joint * 0.8)


def planks() -> np.ndarray:
    board = np.floor(X * 8)
    u = X * 8 - board
    tone = np.random.default_rng(6).uniform(size=8)[board.astype(int)]
    grain = noise(7, 1.1, (0.12, 2.2))
    body = 0.74 + 0.2 * (tone - 0.5) + 0.06 * grain
    gap = np.clip(1.0 - np.minimum(u, 1 - u) / 0.05, 0, 1)
    return _tone(body * (1 - 0.65 * gap), (1.0, 0.95, 0.88))


def asphalt() -> np.ndarray:
    cracks = 0.22 * np.exp(-((noise(10) / 0.05) ** 2)) * (noise(11) > 0.5)
    return _tone(0.62 + 0.05 * noise(8, 0.35, low=4) + 0.04 * noise(9, 1.7, low=2) - cracks)


def grass() -> np.ndarray:
    blades = noise(12, 0.7, (1.2, 0.6), low=3)
    patch = noise(13, 1.8, low=2)
    body = 0.72 + 0.10 * blades + 0.03 * patch
    return np.clip(np.stack([body * (0.97 + 0.02 * patch), body, body * (0.86 - 0.01 * patch)], axis=-1), 0, 1)


def meadow() -> np.ndarray:
    body = grass()
    flowers = (noise(14, 0.6, low=20) > 2.3).astype(float)
    yellow = np.array([1.0, 0.95, 0.55])
    return _mix(body, np.broadcast_to(yellow, body.shape), gaussian_filter(flowers, 0.7, mode="wrap") * 1.6)


def sand() -> np.ndarray:
    ripple = np.sin(2 * np.pi * (Y * 14 + 0.35 * noise(15, 2.2, low=0)))
    return _tone(0.82 + 0.055 * ripple + 0.025 * noise(16, 0.5), (1.0, 0.97, 0.93))


def snow() -> np.ndarray:
    body = 0.93 + 0.03 * noise(17, 1.5, low=2) + 0.012 * noise(18, 0.3)
    return np.clip(np.stack([body * 0.985, body * 0.995, body + 0.02], axis=-1), 0, 1)


def cobbles() -> np.ndarray:
    gap, stone = _cells(19, 196)
    tone = np.random.default_rng(20).uniform(size=196)[stone]
    warm = np.random.default_rng(21).uniform(-0.04, 0.04, size=196)[stone]
    dome = np.clip(gap / 0.5, 0, 1) ** 0.5
    body = (0.66 + 0.26 * (tone - 0.5) + 0.04 * noise(22, 0.8)) * (0.45 + 0.55 * dome)
    return np.clip(np.stack([body * (1 + warm), body, body * (1 - warm)], axis=-1), 0, 1)


def flagstones() -> np.ndarray:
    joint, tone = _courses(4, 4, 0.035, 23, shift=0.4)
    body = _tone(0.78 + 0.14 * (tone - 0.5) + 0.04 * noise(24, 1.1))
    return _mix(body, _flat(0.42), joint)


def plaster() -> np.ndarray:
    stain = np.clip(noise(25, 1.9, (0.7, 1.6), low=1), 0, 3)
    return _tone(0.93 - 0.05 * stain + 0.015 * noise(26, 0.6))


def concrete() -> np.ndarray:
    joint, tone = _courses(2, 1, 0.012, 27, shift=0.0)
    streak = noise(28, 1.5, (0.5, 2.6), low=1)
    return _tone((0.78 + 0.05 * streak + 0.02 * noise(29, 0.5) + 0.05 * (tone - 0.5)) * (1 - 0.35 * joint))


def bark() -> np.ndarray:
    ridges = noise(30, 1.1, (0.28, 1.6), low=2)
    return _tone(0.62 + 0.16 * ridges, (1.0, 0.94, 0.88))


def leaves() -> np.ndarray:
    gap, leaf = _cells(31, 324)
    tone = np.random.default_rng(32).uniform(size=324)[leaf]
    body = (0.45 + 0.55 * tone) * (0.62 + 0.38 * np.clip(gap / 0.4, 0, 1))
    return np.clip(np.stack([body * (0.9 + 0.2 * tone), body, body * 0.8], axis=-1), 0, 1)


def needles() -> np.ndarray:
    return _tone(0.6 + 0.19 * noise(33, 0.75, (0.55, 1.8), low=4), (0.93, 1.0, 0.92))


def roof() -> np.ndarray:
    row = np.floor(Y * 10)
    across = X * 12 + 0.5 * (row % 2)
    v, u = Y * 10 - row, across % 1.0
    tone = np.random.default_rng(34).uniform(size=(10, 12))[row.astype(int), np.floor(across % 12).astype(int)]
    body = 0.66 + 0.2 * (tone - 0.5) + 0.16 * np.sin(np.pi * u)
    return _tone(body * (0.62 + 0.38 * np.clip((1 - v) / 0.25, 0, 1)) + 0.02 * noise(35))


def dirt() -> np.ndarray:
    stones = np.clip(noise(36, 0.5, low=12) - 1.4, 0, 1)
    return _tone(0.68 + 0.09 * noise(37, 1.3, low=2) + 0.05 * noise(38, 0.5) + 0.16 * stones, (1.0, 0.95, 0.88))


def gravel() -> np.ndarray:
    gap, stone = _cells(39, 900)
    tone = np.random.default_rng(40).uniform(size=900)[stone]
    return _tone((0.5 + 0.45 * tone) * (0.55 + 0.45 * np.clip(gap / 0.35, 0, 1)))


def water() -> np.ndarray:
    swell = noise(41, 2.0, (1.4, 0.6), low=2)
    crest = np.exp(-((noise(42, 1.9, (1.3, 0.7), low=3) / 0.14) ** 2))
    body = 0.55 + 0.07 * swell + 0.22 * crest
    return np.clip(np.stack([body * 0.92, body, body * 1.04], axis=-1), 0, 1)


def furrows() -> np.ndarray:
    ridge = 0.5 + 0.5 * np.sin(2 * np.pi * (X * 6 + 0.04 * noise(43, 2)))
    return _tone(0.45 + 0.35 * ridge + 0.07 * noise(44, 0.9), (1.0, 0.96, 0.9))


def corrugated() -> np.ndarray:
    rib = np.sin(2 * np.pi * X * 16)
    rust = np.clip(noise(45, 1.8, (0.7, 1.8), low=1) - 1.0, 0, 1)
    body = _tone(0.78 + 0.15 * rib)
    return _mix(body, body * np.array([0.85, 0.6, 0.42]), rust)


def awning() -> np.ndarray:
    """Broad stripes, light and dark."""
    share = np.clip((np.abs((X * 4) % 1.0 - 0.5) - 0.25) * 30 + 0.5, 0, 1)
    return _tone(0.35 + 0.65 * share)


def checker() -> np.ndarray:
    square = ((np.floor(X * 4) + np.floor(Y * 4)) % 2) * 0.42 + 0.5
    vein = np.exp(-((noise(47, 1.7) / 0.06) ** 2))
    edge = np.minimum(np.abs((X * 4 + 0.5) % 1 - 0.5), np.abs((Y * 4 + 0.5) % 1 - 0.5)) < 0.02
    return _tone(square + 0.03 * noise(48, 1.4) + 0.06 * vein - 0.2 * edge, (1.0, 0.97, 0.93))


def parquet() -> np.ndarray:
    block = (np.floor(X * 4) + np.floor(Y * 4)) % 2
    u = np.where(block > 0, (X * 16) % 1.0, (Y * 16) % 1.0)
    strip = np.where(block > 0, np.floor(X * 16) * 5 + np.floor(Y * 4), np.floor(Y * 16) * 7 + np.floor(X * 4))
    tone = np.random.default_rng(49).uniform(size=200)[strip.astype(int) % 200]
    grain = np.where(block > 0, noise(50, 1.0, (2.0, 0.3)), noise(51, 1.0, (0.3, 2.0)))
    gap = np.minimum(u, 1 - u) < 0.05
    return _tone((0.74 + 0.24 * (tone - 0.5) + 0.04 * grain) * (1 - 0.4 * gap), (1, 0.94, 0.86))


def rubber() -> np.ndarray:
    return _tone(0.82 + 0.07 * noise(52, 0.25, low=6))


def _frame(u0: float, u1: float, v0: float, v1: float) -> np.ndarray:
    """1 inside a rectangle given as shares of the picture, v upwards from its lower edge."""
    return ((u0 <= X) & (u1 > X) & (v0 <= 1 - Y) & (v1 > 1 - Y)).astype(float)


def _pane(seed: int) -> np.ndarray:
    sky = 0.28 + 0.3 * (1 - Y) + 0.06 * noise(seed, 2.2)
    return np.stack([sky * 0.75, sky * 0.9, sky * 1.05], axis=-1)


def windows() -> np.ndarray:
    """Two bays by two storeys of a plastered house: frames, glazing bars, sills, a curtain here and there."""
    picture = plaster()
    glass = _pane(53)
    for u, v in _BAYS:
        picture = _mix(picture, _flat(0.98), _frame(u + 0.12, u + 0.38, v + 0.11, v + 0.42))
        picture = _mix(picture, _flat(0.6), _frame(u + 0.09, u + 0.41, v + 0.085, v + 0.11))
        for a, b in ((0.14, 0.245), (0.255, 0.36)):
            for c, d in ((0.13, 0.27), (0.285, 0.40)):
                picture = _mix(picture, glass, _frame(u + a, u + b, v + c, v + d))
        if u != v:
            curtain = _tone(0.8 + 0.08 * np.sin(X * 260), (1.0, 0.95, 0.85))
            picture = _mix(picture, curtain, 0.8 * _frame(u + 0.14, u + 0.19, v + 0.13, v + 0.40))
    return picture


def shutters() -> np.ndarray:
    """As `windows`, with coloured shutters beside each window and brick between."""
    picture = brick()
    glass = _pane(54)
    slats = 0.62 + 0.1 * np.sin(Y * 2 * np.pi * 60)
    for u, v in _BAYS:
        for a, b in ((0.05, 0.14), (0.36, 0.45)):
            picture = _mix(picture, _tone(slats, (0.55, 0.75, 0.65)), _frame(u + a, u + b, v + 0.12, v + 0.42))
        picture = _mix(picture, _flat(1.0), _frame(u + 0.14, u + 0.36, v + 0.1, v + 0.44))
        for a, b in ((0.16, 0.245), (0.255, 0.34)):
            picture = _mix(picture, glass, _frame(u + a, u + b, v + 0.13, v + 0.41))
    return picture


def curtain_wall() -> np.ndarray:
    """Four by four panes of a glass tower."""
    pane = np.random.default_rng(55).uniform(size=(4, 4))[np.floor(Y * 4).astype(int), np.floor(X * 4).astype(int)]
    tone = 0.45 + 0.22 * pane + 0.12 * (1 - (Y * 4) % 1) + 0.04 * noise(56, 2.0)
    body = np.stack([tone * 0.8, tone * 0.95, tone * 1.1], axis=-1)
    u, v = (X * 4) % 1, (Y * 4) % 1
    bars = ((np.minimum(u, 1 - u) < 0.04) | (np.minimum(v, 1 - v) < 0.06)).astype(float)
    spandrel = (v > 0.8).astype(float)
    return _mix(_mix(body, _flat(0.55), spandrel * 0.7), _flat(0.85), bars)


def shopfront() -> np.ndarray:
    """One bay of a shop: fascia, big window with goods, a door."""
    picture = _tone(0.75 + 0.02 * noise(57))
    picture = _mix(picture, _flat(0.9), _frame(0.03, 0.97, 0.78, 0.96))
    lettering = ((X * 24) % 1 > 0.35) & (noise(58, 0.2, (1, 0.1)) > -0.2)
    picture = _mix(picture, _flat(0.25), _frame(0.15, 0.85, 0.83, 0.91) * lettering)
    picture = _mix(picture, _pane(59) * 0.85, _frame(0.05, 0.62, 0.14, 0.74))
    rng = np.random.default_rng(60)
    for _ in range(14):
        a, c = rng.uniform(0.06, 0.54), rng.uniform(0.15, 0.4)
        goods = np.broadcast_to(rng.uniform(0.35, 1.0, 3), picture.shape)
        picture = _mix(picture, goods, _frame(a, a + 0.06, c, c + rng.uniform(0.05, 0.16)))
    picture = _mix(picture, _flat(0.42, (1, 0.85, 0.7)), _frame(0.68, 0.95, 0.0, 0.74))
    return _mix(picture, _pane(61), _frame(0.73, 0.90, 0.3, 0.68))


def art() -> np.ndarray:
    """An abstract painting in a frame; the vertex colour shifts its palette."""
    gap, patch = _cells(62, 25)
    palette = np.random.default_rng(63).uniform(0.25, 1.0, size=(25, 3))
    picture = palette[patch] * (0.85 + 0.05 * noise(64, 1.0)[..., None])
    picture = _mix(picture, _flat(0.12), 1.0 - gap / 0.12)
    inside = _frame(0.06, 0.94, 0.06, 0.94)
    return _mix(_flat(0.5, (1.0, 0.85, 0.5)), np.clip(picture, 0, 1), inside)


def portrait() -> np.ndarray:
    """A landscape painting: sky, hills and a sun."""
    skyline = 0.45 + 0.08 * np.sin(X * 9) + 0.03 * np.sin(X * 23 + 1)
    sky = np.stack([0.95 - 0.3 * (1 - Y), 0.75 - 0.1 * (1 - Y), 0.55 + 0.35 * (1 - Y)], axis=-1)
    land = np.stack([0.25 + 0.3 * Y, 0.42 + 0.05 * noise(65), 0.22 + 0.1 * X], axis=-1)
    picture = _mix(sky, land, (skyline > 1 - Y) * 1.0)
    disc = np.hypot(X - 0.68, 1 - Y - 0.68) < 0.09
    picture = _mix(picture, np.broadcast_to(np.array([1.0, 0.93, 0.7]), picture.shape), disc * 1.0)
    return _mix(_flat(0.35, (1.0, 0.7, 0.45)), np.clip(picture, 0, 1), _frame(0.07, 0.93, 0.07, 0.93))


TEXTURES: dict[str, Callable[[], np.ndarray]] = public_functions(__name__, globals())


@lru_cache(maxsize=len(TEXTURES))
def texture(name: str) -> np.ndarray:
    """One texture, [256,256,3] uint8 sRGB, row 0 at the top; read-only.

    Raises:
        WorldsError: no texture of that name.
    """
    if name not in TEXTURES:
        raise WorldsError(f"no texture {name!r}: expected one of {', '.join(TEXTURES)}")
    pixels = np.rint(np.clip(TEXTURES[name](), 0.0, 1.0) * 255).astype(np.uint8)
    pixels.flags.writeable = False
    return pixels
