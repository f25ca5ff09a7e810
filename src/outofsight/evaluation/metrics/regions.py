"""Values per frame, reduced by phase, and inside and outside of the subjects.

Phases of a target frame, from visible-pixel counts (spec/metrics.md, "Phases"), each frame in one of them at most:
re-entered, some subject is back in view, having come back in the target; hidden, nobody is back and someone who was
seen before is out of view; visible, neither, and someone is in view. Frames before anyone appeared are in none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ...errors import GeometryError
from ..fates import returned_frames
from ..psnr import box_mask
from ..psnr import mean_psnr as mean_of_frames

PHASES = ("visible", "hidden", "re-entered")
Within = Callable[[np.ndarray], np.ndarray]  # pixels that count, bool [f, h, w], to a value per frame, [f]


@dataclass(frozen=True, eq=False)
class Measured:
    """One metric of one clip.

    frames: float64 ``[f]``, NaN where the metric says nothing. parts: means over frames by name: "target" (all frames),
    the PHASES, and, of metrics that know pixels, "inside", "outside" and "re-entered inside"; None where there is no
    such frame or pixel. notes: what a reader of the number must know.
    """

    name: str
    frames: np.ndarray
    parts: Mapping[str, float | None]
    notes: tuple[str, ...] = field(default=())

    @property
    def value(self) -> float | None:
        """The mean over all target frames that have a value."""
        return self.parts["target"]


@dataclass(frozen=True, eq=False)
class Regions:
    """Which frames and pixels of a target are reported apart.

    phases: by name, bool ``[f]``. inside: bool ``[f, h, w]``, the pixels of the subjects or of their boxes; None where
    they are not known.
    """

    phases: Mapping[str, np.ndarray]
    inside: np.ndarray | None = None

    def measured(
        self, name: str, frames: np.ndarray, within: Within | None = None, notes: tuple[str, ...] = ()
    ) -> Measured:
        """Reduce a metric. within: how it is computed on chosen pixels alone, for metrics that can be."""
        for phase, chosen in self.phases.items():
            if chosen.shape != frames.shape:
                raise GeometryError(f"{name} has {frames.shape} values, but phase {phase!r} covers {chosen.shape}")
        parts = {"target": mean_of_frames(frames)}
        parts |= {phase: mean_of_frames(frames, chosen) for phase, chosen in self.phases.items()}
        if within is not None and self.inside is not None:
            inside = within(self.inside)
            parts["inside"] = mean_of_frames(inside)
            parts["outside"] = mean_of_frames(within(~self.inside))
            if "re-entered" in self.phases:
                parts["re-entered inside"] = mean_of_frames(inside, self.phases["re-entered"])
        return Measured(name, frames, parts, notes)


def frame_phases(visible: np.ndarray, context_frames: int) -> dict[str, np.ndarray]:
    """Visibility of the subjects, bool ``[s, Fc + Ft]``, to the PHASES of the target, bool ``[Ft]`` each."""
    appeared = np.logical_or.accumulate(visible, axis=1)
    target = slice(context_frames, None)
    returned = np.zeros(visible.shape[1] - context_frames, bool)
    for track in visible:
        returned |= returned_frames(track, context_frames)
    hidden = (appeared & ~visible)[:, target].any(axis=0) & ~returned
    seen = visible[:, target].any(axis=0) & ~returned & ~hidden
    return {"visible": seen, "hidden": hidden, "re-entered": returned}


def mean_where(maps: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Mean of maps ``[f, h, w]`` over the pixels that count, bool ``[f, h, w]``: float64 ``[f]``, NaN without any."""
    counts = where.sum(axis=(1, 2))
    summed = np.where(where, maps, 0).sum(axis=(1, 2), dtype=np.float64)
    return np.divide(summed, counts, out=np.full(len(maps), np.nan), where=counts > 0)


def in_boxes(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """bool ``[f, h, w]``: pixels whose centre lies in the box of any subject; boxes ``[s, f, 4]``, NaN: no box."""
    inside = np.zeros((boxes.shape[1], height, width), bool)
    for track in boxes:
        inside |= box_mask(track, height, width)
    return inside
