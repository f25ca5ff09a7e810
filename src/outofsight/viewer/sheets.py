"""Videos as pictures in the page: the frames side by side in JPEG sheets, and differences as a heat map."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
from PIL import Image

from ..evaluation.metrics.psnr import squared_errors
from .data import Sheets

PIXELS = 8_000_000  # of one video on the page; longer or larger ones are scaled down, for phones' sake
THUMBNAIL = 20_000  # pixels
SIDE = 4096  # the largest picture that every browser draws from
QUALITY = 90
BLOCK = 8  # JPEG codes blocks of 8x8: frames begin at a block, so that none shows in its neighbour
FULL_SCALE = 0.5  # difference, on [0, 1], that is drawn brightest

# Cividis, which people with any colour vision read alike: dark blue, grey, yellow. Anchors by eye from the published
# map (Nunez, Anderton and Renslow 2018), straight lines between.
_ANCHORS = np.array([(0, 32, 77), (65, 77, 107), (124, 123, 120), (188, 175, 111), (255, 234, 70)], np.float64)


def sprite_sheets(frames: np.ndarray, pixels: int = PIXELS) -> Sheets:
    """uint8 ``[F, h, w, 3]`` as data URIs, scaled down to at most so many pixels in all."""
    count, height, width = frames.shape[:3]
    scale = min(1.0, math.sqrt(pixels / (count * height * width)), SIDE / max(height, width))
    shown = (max(1, int(height * scale)), max(1, int(width * scale))) if scale < 1 else (height, width)
    cell = tuple(-(-side // BLOCK) * BLOCK for side in shown)
    columns = max(1, min(SIDE // cell[1], math.ceil(math.sqrt(count))))
    per_sheet = columns * max(1, min(SIDE // cell[0], -(-count // columns)))
    uris = []
    for start in range(0, count, per_sheet):
        part = frames[start : start + per_sheet]
        uris.append(_data_uri(_sheet([_fitted(frame, shown, cell) for frame in part], columns)))
    return Sheets(
        uris=tuple(uris),
        width=shown[1],
        height=shown[0],
        cell=(cell[1], cell[0]),
        columns=columns,
        per_sheet=per_sheet,
        count=count,
        shrunk=(height, width) if scale < 1 else None,
    )


def thumbnail(frames: np.ndarray) -> str:
    """The middle frame of uint8 ``[F, h, w, 3]``, small, as a data URI."""
    middle = len(frames) // 2
    return sprite_sheets(frames[middle : middle + 1], THUMBNAIL).uris[0]


def _fitted(frame: np.ndarray, shown: tuple[int, int], cell: tuple[int, ...]) -> np.ndarray:
    """The frame at its shown size in the corner of its cell, its last row and column repeated."""
    if frame.shape[:2] != shown:
        image = Image.fromarray(np.ascontiguousarray(frame))
        frame = np.asarray(image.resize((shown[1], shown[0]), Image.Resampling.BOX))
    return np.pad(frame, ((0, cell[0] - shown[0]), (0, cell[1] - shown[1]), (0, 0)), mode="edge")


def _sheet(cells: list[np.ndarray], columns: int) -> np.ndarray:
    height, width = cells[0].shape[:2]
    rows = -(-len(cells) // columns)
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for number, picture in enumerate(cells):
        top, left = number // columns * height, number % columns * width
        sheet[top : top + height, left : left + width] = picture
    return sheet


def _data_uri(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def difference(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Root of the mean squared difference over the colours, as colours: uint8 ``[f, h, w, 3]``.

    Dark blue where the two are equal, yellow from FULL_SCALE on. Raises GeometryError where they differ in shape.
    """
    table = np.linspace(0, len(_ANCHORS) - 1, 256)
    colours = np.stack([np.interp(table, np.arange(len(_ANCHORS)), channel) for channel in _ANCHORS.T], axis=1)
    level = np.sqrt(squared_errors(prediction, truth)) / FULL_SCALE
    return colours.round().astype(np.uint8)[(level.clip(0, 1) * 255).round().astype(np.uint8)]
