"""Pixels and cameras changed together: pictures turned, scaled and cut out, and the lens and pose that follow.

Nothing else may crop, resize or turn frames that have cameras. Scaling leaves intrinsics as they are, for they are
shares of the picture's size; a crop changes the field of view: 2 atan(tan(f / 2) * cropped width / scaled width).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .cameras import CameraPath
from .errors import GeometryError

# The camera's axes after the picture is turned a quarter anticlockwise, as columns in the axes before: what was down
# points right, and what was left points down.
MOST_PIXELS = 16384  # of a side that is asked for
_QUARTER = np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=np.float64)


@dataclass(frozen=True)
class Framing:
    """How pictures of one size become pictures of another: turned, then scaled, then a window cut out.

    source: (height, width) as stored. turns: quarter turns anticlockwise, 0 to 3. pixel_aspect: width over height of a
    stored pixel. scaled: (height, width) after turning and scaling. corner: (top, left) of the window. size: (height,
    width) of the window, that of the result.
    """

    source: tuple[int, int]
    turns: int
    pixel_aspect: float
    scaled: tuple[int, int]
    corner: tuple[int, int]
    size: tuple[int, int]

    @classmethod
    def cover(
        cls, source: tuple[int, int], size: tuple[int, int] | None = None, *, turns: int = 0, pixel_aspect: float = 1.0
    ) -> Framing:
        """Turn, make the pixels square, scale so that the picture covers ``size`` (height, width), cut out its centre.

        The scale is the larger of the two ratios, sizes and offsets are rounded: what the released loader does
        (infer_hydra.py). size None: as large as it is. Raises GeometryError for sizes and aspects that cannot be.
        """
        if min(source) < 1 or (size is not None and min(size) < 1) or not 0 < pixel_aspect < float("inf"):
            raise GeometryError(f"source {source}, size {size}, pixel_aspect {pixel_aspect}: expected positive numbers")
        if size is not None and max(size) > MOST_PIXELS:
            raise GeometryError(f"size {size}: a picture of more than {MOST_PIXELS} pixels a side is not made")
        turns %= 4
        shown = (float(source[0]), source[1] * pixel_aspect)  # in square pixels
        height, width = shown[::-1] if turns % 2 else shown
        scale = 1.0 if size is None else max(size[1] / width, size[0] / height)
        scaled = (max(1, round(height * scale)), max(1, round(width * scale)))
        size = scaled if size is None else size
        corner = (round((scaled[0] - size[0]) / 2), round((scaled[1] - size[1]) / 2))
        return cls(source, turns, pixel_aspect, scaled, corner, size)

    @property
    def turned(self) -> tuple[int, int]:
        """(height, width) after turning."""
        return self.source[::-1] if self.turns % 2 else self.source

    @property
    def crops(self) -> bool:
        """Whether something of the picture is cut off."""
        return self.scaled != self.size

    @property
    def note(self) -> str | None:
        """What is done, in words; None: nothing."""
        (height, width), (scaled_h, scaled_w) = self.turned, self.scaled
        done = []
        if self.turns:
            done.append(f"turned {90 * self.turns} degrees anticlockwise")
        if (height, width) != (scaled_h, scaled_w):
            done.append(f"resized {width}x{height} -> {scaled_w}x{scaled_h}")
        if self.crops:
            done.append(f"cropped to {self.size[1]}x{self.size[0]}")
        return ", ".join(done) or None

    def picture(self, frame: np.ndarray) -> np.ndarray:
        """uint8 ``[h, w, 3] -> [H, W, 3]``, bilinear; the same array where nothing is done."""
        frame = np.rot90(frame, self.turns) if self.turns else frame
        if self.turned != self.scaled:
            from PIL import Image

            image = Image.fromarray(np.ascontiguousarray(frame))
            frame = np.asarray(image.resize(self.scaled[::-1], Image.Resampling.BILINEAR))
        return self._window(frame) if self.crops else frame

    def labels(self, ids: np.ndarray) -> np.ndarray:
        """Ids ``[..., h, w] -> [..., H, W]``, each pixel that of the nearest one."""
        if self.turns:
            ids = np.rot90(ids, self.turns, axes=(-2, -1))
        if self.turned != self.scaled:
            rows, columns = (
                ((np.arange(new) + 0.5) * old / new).astype(int)
                for old, new in zip(self.turned, self.scaled, strict=True)
            )
            ids = ids[..., rows[:, None], columns]
        top, left = self.corner
        return ids[..., top : top + self.size[0], left : left + self.size[1]]

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes ``[..., 4]`` x0, y0, x1, y1 in pixels -> in the result's, cut at its edges; NaN where none is left."""
        height, width = self.source
        corners = boxes.reshape(*boxes.shape[:-1], 2, 2) / [width, height]
        for _ in range(self.turns):
            corners = np.stack([corners[..., 1], 1 - corners[..., 0]], axis=-1)
        corners = np.sort(corners, axis=-2) * self.scaled[::-1] - self.corner[::-1]
        corners = np.clip(corners, 0, self.size[::-1])
        gone = ~(corners[..., 1, :] > corners[..., 0, :]).all(axis=-1)
        return np.where(gone[..., None], np.nan, corners.reshape(boxes.shape))

    def cameras(self, path: CameraPath) -> CameraPath:
        """The cameras of the pictures that result. Scaling alone changes none; a path without a lens stays without."""
        if not self.turns and not self.crops:
            return path
        c2w = path.c2w @ np.linalg.matrix_power(_QUARTER, self.turns)
        if not path.has_lens:
            return replace(path, c2w=c2w)
        fx, fy, cx, cy = path.intrinsics_for(self.source[0], self.source[1] * self.pixel_aspect).T
        for _ in range(self.turns):
            fx, fy, cx, cy = fy, fx, cy, 1 - cx
        (height, width), (scaled_h, scaled_w), (top, left) = self.size, self.scaled, self.corner
        lens = (
            fx * scaled_w / width,
            fy * scaled_h / height,
            (cx * scaled_w - left) / width,
            (cy * scaled_h - top) / height,
        )
        return replace(path, c2w=c2w, horizontal_fov=None, intrinsics=np.stack(lens, axis=1))

    def _window(self, frame: np.ndarray) -> np.ndarray:
        top, left = self.corner
        return frame[top : top + self.size[0], left : left + self.size[1]]


@dataclass(frozen=True, eq=False)
class Fitted:
    """Frames uint8 ``[f, H, W, 3]``, the cameras that go with them, and what was done (None: nothing)."""

    frames: np.ndarray
    cameras: tuple[CameraPath, ...]
    framing: Framing
    note: str | None


def fit(
    frames: np.ndarray,
    cameras: Sequence[CameraPath],
    size: tuple[int, int] | None,
    *,
    turns: int = 0,
    pixel_aspect: float = 1.0,
) -> Fitted:
    """Bring frames uint8 ``[f, h, w, 3]`` and the cameras of these pictures to ``size`` (height, width), together.

    See :meth:`Framing.cover` for what is done. Cameras that see the frames' continuation (the target's) belong among
    ``cameras``, for it is generated at this size. The note says so where a crop changes the field of view.
    """
    framing = Framing.cover((frames.shape[1], frames.shape[2]), size, turns=turns, pixel_aspect=pixel_aspect)
    followed = tuple(framing.cameras(path) for path in cameras)
    note = framing_note(framing, cameras, followed)
    if framing.note is None:
        return Fitted(frames, followed, framing, note)
    return Fitted(np.stack([framing.picture(frame) for frame in frames]), followed, framing, note)


def framing_note(framing: Framing, before: Sequence[CameraPath], after: Sequence[CameraPath]) -> str | None:
    """What a framing does to pictures and to the field of view of their cameras, in words."""
    pairs = dict.fromkeys((old.lens, new.lens) for old, new in zip(before, after, strict=True) if old.lens != new.lens)
    lenses = (f"field of view {old} -> {new}" for old, new in pairs)
    return ", ".join(text for text in (framing.note, *lenses) if text) or None
