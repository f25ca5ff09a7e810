"""Which frames and which pixels of a target are reported apart: one definition each, for everything that measures.

Phases of a frame, from when the subjects are visible, each frame in one of them: re-entered, some subject is back in
view, having come back in the target; hidden, nobody is back and someone who was seen before is out of view; visible,
neither, and someone is in view; unseen, nobody has appeared yet. Source: spec/metrics.md, "Phases".

Pixels: inside, those whose centre lies in the true box of a subject; outside, all others; re-entered inside, those
inside in re-entered frames. The fates are compared in the pixels of the true and the frozen subject alone
(:func:`fate_region`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import GeometryError

PHASES = ("visible", "hidden", "re-entered")
Within = Callable[[np.ndarray], np.ndarray]  # pixels that count, bool [f, h, w], to a value per frame, [f]

# --- frames -----------------------------------------------------------------------------------------------------


def returned_frames(visible: np.ndarray, context_frames: int) -> np.ndarray:
    """bool ``[Ft]``: target frames in which a subject is in view again after it was hidden, having come back in the
    target.

    visible: bool ``[F]`` over context and target. A subject that had come back within the context already has
    re-entered only once it has left and come back again.
    """
    returned = np.zeros(len(visible), bool)
    appeared = here = False
    for frame, seen in enumerate(visible):
        if seen and (frame == 0 or not visible[frame - 1]):
            here = appeared and frame >= context_frames
        returned[frame] = seen and here
        appeared |= bool(seen)
    return returned[context_frames:]


def all_returned(visible: np.ndarray, context_frames: int) -> np.ndarray:
    """bool ``[s, Ft]``: :func:`returned_frames` of each subject; visible bool ``[s, F]``."""
    empty = np.zeros((0, visible.shape[1] - context_frames), bool)
    return np.stack([returned_frames(track, context_frames) for track in visible]) if len(visible) else empty


def hidden_frames(visible: np.ndarray, context_frames: int) -> np.ndarray:
    """bool ``[s, Ft]``: target frames in which a subject that was seen before is out of view.

    visible: bool ``[s, Fc + Ft]``.
    """
    return (np.logical_or.accumulate(visible, axis=1) & ~visible)[:, context_frames:]


def phase_words(visible: np.ndarray, context_frames: int) -> np.ndarray:
    """The phase of each frame of context and target, str ``[F]``: one of PHASES or "unseen"; visible ``[s, F]``."""
    back = np.zeros(visible.shape[1], bool)
    back[context_frames:] = all_returned(visible, context_frames).any(axis=0)
    absent = hidden_frames(visible, 0).any(axis=0)
    return np.select([back, absent, visible.any(axis=0)], ["re-entered", "hidden", "visible"], "unseen")


def frame_phases(visible: np.ndarray, context_frames: int) -> dict[str, np.ndarray]:
    """Visibility of the subjects, bool ``[s, Fc + Ft]``, to the PHASES of the target, bool ``[Ft]`` each."""
    words = phase_words(visible, context_frames)[context_frames:]
    return {phase: words == phase for phase in PHASES}


def mean_of_frames(values: np.ndarray, chosen: np.ndarray | None = None) -> float | None:
    """Mean over the chosen frames (bool ``[f]``; None: all), frames of NaN left out; None where there are none."""
    values = values if chosen is None else values[chosen]
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else None


# --- pixels -----------------------------------------------------------------------------------------------------


def in_boxes(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """bool ``[f, h, w]``: pixels whose centre lies in the box of any subject.

    boxes: ``[s, f, 4]``, x0, y0, x1, y1 in pixels; NaN: no box.
    """
    inside = np.zeros((boxes.shape[1], height, width), bool)
    x, y = np.arange(width) + 0.5, (np.arange(height) + 0.5)[:, None]
    for track in boxes:
        x0, y0, x1, y1 = (track[:, n, None, None] for n in range(4))
        with np.errstate(invalid="ignore"):
            inside |= (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    return inside


def fate_region(true_ids: np.ndarray, frozen_ids: np.ndarray, subjects: Mapping[int, np.ndarray]) -> np.ndarray:
    """Where the fates are compared: bool ``[f, h, w]``, pixels of a subject in either render, in the frames in which
    it has re-entered.

    Args:
        true_ids, frozen_ids: uint8 ``[f, h, w]`` instance ids of the two renders (0 background).
        subjects: id -> bool ``[f]``, the target frames in which that subject has re-entered.
    """
    region = np.zeros(true_ids.shape, bool)
    for number, returned in subjects.items():
        region |= ((true_ids == number) | (frozen_ids == number)) & returned[:, None, None]
    return region


def mean_where(maps: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Mean of maps ``[f, h, w]`` over the pixels that count, bool ``[f, h, w]``: float64 ``[f]``, NaN without any."""
    counts = where.sum(axis=(1, 2))
    summed = np.where(where, maps, 0).sum(axis=(1, 2), dtype=np.float64)
    return np.divide(summed, counts, out=np.full(len(maps), np.nan), where=counts > 0)


@dataclass(frozen=True, eq=False)
class Regions:
    """The phases of a target by name, bool ``[f]``, and the pixels inside, bool ``[f, h, w]`` (None: not known)."""

    phases: Mapping[str, np.ndarray]
    inside: np.ndarray | None = None

    def means(self, frames: np.ndarray, within: Within | None = None) -> dict[str, float | None]:
        """Means over frames of a metric's values float ``[f]``: "target" (all frames) and by phase.

        within: how the metric is computed on chosen pixels alone, where it can be: then "inside", "outside" and
        "re-entered inside" too. Raises GeometryError where phases and values are of other frames.
        """
        for phase, chosen in self.phases.items():
            if chosen.shape != frames.shape:
                raise GeometryError(f"there are {frames.shape} values, but phase {phase!r} covers {chosen.shape}")
        found = {"target": mean_of_frames(frames)}
        found |= {phase: mean_of_frames(frames, chosen) for phase, chosen in self.phases.items()}
        if within is not None and self.inside is not None:
            inside = within(self.inside)
            found["inside"] = mean_of_frames(inside)
            found["outside"] = mean_of_frames(within(~self.inside))
            if "re-entered" in self.phases:
                found["re-entered inside"] = mean_of_frames(inside, self.phases["re-entered"])
        return found
