"""A clip of the small world: pixels, the ground truth of every figure, and the fates of its target."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...cameras import CameraPath
from ...clips import Clip, Event, SubjectTrack
from ...errors import WorldsError
from . import assets
from .camera import poses
from .draw import Drawing
from .options import SmallWorld
from .plan import Figure, Plan, plan_clip

_ATTEMPTS = 40
_CLEAR, _SHOWN = 6, 0.3  # pixels, and share of the most that is ever seen of it, that count as clearly seen
_JUDGED = 1.5  # radii between true and last seen, on average, from which on a clip tells the fates apart


@dataclass(frozen=True, eq=False)
class SmallClip:
    """One clip.

    frames: uint8 [F,H,W,3]. ids: uint8 [F,H,W], 0 background, i + 1 for figure i (subjects, then distractors).
    c2w: [F,4,4] camera to world, OpenCV axes, metres, right-handed with y down.
    """

    plan: Plan
    drawing: Drawing
    frames: np.ndarray
    ids: np.ndarray
    c2w: np.ndarray

    @property
    def world(self) -> SmallWorld:
        return self.plan.world

    @property
    def number(self) -> int:
        return self.plan.number

    @property
    def name(self) -> str:
        """As the runs of `outofsight worlds` name their clips."""
        return clip_name(self.world, self.plan.seed, self.number)

    @cached_property
    def centres(self) -> np.ndarray:
        """[n,F,2] float64: true middles in cells, across (azimuth on its cylinder) and down (height over radius)."""
        return np.stack([np.stack([figure.u, figure.v], axis=-1) for figure in self.plan.figures])

    @cached_property
    def positions(self) -> np.ndarray:
        """[n,F,3] float64: the middles in the world of the cameras, metres."""
        azimuth = self.centres[..., 0] * self.world.angle
        radius = np.array([figure.radius for figure in self.plan.figures])[:, None] * self.world.radius_m
        down = self.centres[..., 1] * self.world.angle * radius
        return np.stack([radius * np.sin(azimuth), down, radius * np.cos(azimuth)], axis=-1)

    @cached_property
    def visible_pixels(self) -> np.ndarray:
        """[n,F] int64."""
        return np.stack([(self.ids == number + 1).sum(axis=(1, 2)) for number in range(len(self.plan.figures))])

    @property
    def visible(self) -> np.ndarray:
        """[n,F] bool: at least one pixel."""
        return self.visible_pixels > 0

    @cached_property
    def returned(self) -> np.ndarray:
        """[s,F] bool: frames of the target in which each subject is in view again after it was hidden."""
        cut, count = self.world.context_frames, self.world.subjects
        seen = self.visible[:count]
        appeared = np.logical_or.accumulate(seen, axis=1)
        before = np.concatenate([np.zeros((count, 1), bool), seen[:, :-1]], axis=1)
        entry = seen & ~before & np.concatenate([np.zeros((count, 1), bool), appeared[:, :-1]], axis=1)
        entry[:, :cut] = False
        return np.asarray(seen & np.logical_or.accumulate(entry, axis=1))

    @property
    def is_confirmed(self) -> bool:
        """Whether the pixels show what geometry promised, scenery and other figures before it or not: each subject is
        clearly seen in the context, and again where it comes back."""
        count, cut = self.world.subjects, self.world.context_frames
        pixels = self.visible_pixels[:count]
        clear = np.maximum(_CLEAR, _SHOWN * pixels.max(axis=1))
        back = np.where(self.returned, pixels, 0).max(axis=1)
        return bool(((pixels[:, :cut].max(axis=1) >= clear) & (back >= clear)).all())

    @cached_property
    def held(self) -> tuple[int, ...]:
        """For each subject the frame in which "frozen" holds it: the last of the context in which it is seen."""
        cut = self.world.context_frames
        seen = self.visible[: self.world.subjects, :cut]
        return tuple(int(np.flatnonzero(row)[-1]) if row.any() else cut - 1 for row in seen)

    @property
    def away(self) -> tuple[tuple[int, int], ...]:
        """For each subject the frames at which it left the view and at which it came back for the first time in the
        target."""
        found = []
        for seen, back in zip(self.visible, self.returned, strict=False):
            returned = int(back.argmax())
            found.append((int(np.flatnonzero(seen[:returned])[-1]) + 1, returned))
        return tuple(found)

    @cached_property
    def displaced(self) -> np.ndarray:
        """[s]: cells between where each subject is and where it was last seen, mean over the frames of its return; NaN
        without any."""
        found = np.full(self.world.subjects, np.nan)
        for index, (frame, back) in enumerate(zip(self.held, self.returned, strict=True)):
            if back.any():
                gaps = self.centres[index, back] - self.centres[index, frame]
                found[index] = np.hypot(*gaps.T).mean()
        return found

    @property
    def judged(self) -> np.ndarray:
        """[s] bool: it was seen for two latent frames, is back for two frames, and is then on average more than 1.5
        of its radii from where it was last seen, so that the fates are told apart."""
        size = np.array([figure.size for figure in self.plan.figures[: self.world.subjects]])
        known = self.visible[: self.world.subjects, : self.world.context_frames].sum(axis=1) >= 2 * self.world.stride
        far = np.nan_to_num(self.displaced) > _JUDGED * size
        return np.asarray(known & (self.returned.sum(axis=1) >= 2) & far)

    @property
    def is_judged(self) -> bool:
        """All of its subjects are."""
        return bool(self.judged.all())

    @cached_property
    def vanished(self) -> np.ndarray:
        """The target without its subjects, uint8 [Ft,H,W,3]; distractors stay."""
        return self.drawing.paint(first=self.world.context_frames, gone=range(self.world.subjects))[0]

    @cached_property
    def _frozen(self) -> tuple[np.ndarray, np.ndarray]:
        return self.drawing.paint(first=self.world.context_frames, held=dict(enumerate(self.held)))

    @property
    def frozen(self) -> np.ndarray:
        """The target with its subjects where they were last seen, uint8 [Ft,H,W,3]."""
        return self._frozen[0]

    @property
    def frozen_ids(self) -> np.ndarray:
        """Instance ids of that, uint8 [Ft,H,W]."""
        return self._frozen[1]

    @cached_property
    def region(self) -> np.ndarray:
        """bool [Ft,H,W]: pixels of a subject in the true or the frozen target, in frames of its return: where fates are
        compared."""
        cut = self.world.context_frames
        found = np.zeros(self.ids[cut:].shape, dtype=bool)
        for index, back in enumerate(self.returned[:, cut:]):
            found |= ((self.ids[cut:] == index + 1) | (self.frozen_ids == index + 1)) & back[:, None, None]
        return found

    @cached_property
    def cameras(self) -> tuple[CameraPath, CameraPath]:
        """Of the context and of the target, one pose a video frame."""
        cut = self.world.context_frames
        context, target = (
            CameraPath(half, self.world.fov, self.world.fps) for half in (self.c2w[:cut], self.c2w[cut:])
        )
        return context, target

    @property
    def events(self) -> tuple[Event, ...]:
        """Exits and entries of all figures."""
        return self.clip.events

    @cached_property
    def pixels(self) -> np.ndarray:
        """[n,F,2]: where the middles lie in the picture, pixels x and y; NaN behind the camera."""
        local = (self.positions - self.c2w[None, :, :3, 3])[..., None, :] @ self.c2w[None, :, :3, :3]
        place = local[..., 0, :]
        fx, fy, cx, cy = self.world.intrinsics()
        depth = np.where(place[..., 2] > 0, place[..., 2], np.nan)
        x, y = fx * place[..., 0] / depth + cx, fy * place[..., 1] / depth + cy
        return np.stack([x * self.world.width, y * self.world.height], axis=-1)

    def share(self) -> np.ndarray:
        """float32 [latents,rows,columns]: how much of each cell a subject (no distractor) covers, over its frames."""
        world = self.world
        covered = ((self.ids > 0) & (self.ids <= world.subjects)).astype(np.float32)
        cells = covered.reshape(world.frames, world.rows, world.cell, world.columns, world.cell).mean(axis=(2, 4))
        halves = []
        for first, latents in ((0, world.context), (world.context_frames, world.target)):
            later = cells[first + 1 : first + 1 + world.stride * (latents - 1)]
            grouped = later.reshape(latents - 1, world.stride, world.rows, world.columns).mean(axis=1)
            halves += [cells[first : first + 1], grouped]
        return np.concatenate(halves)

    @cached_property
    def clip(self) -> Clip:
        """As `Clip`, with tracks of all figures."""
        cut, world = self.world.context_frames, self.world
        return Clip(
            self.name, self.caption, *self.cameras, self.frames[:cut], self.frames[cut:], subjects=self._tracks(),
            masks=self.ids, fps=world.fps, extras={"judged": self.judged.tolist()},
        )  # fmt: skip

    @property
    def caption(self) -> str:
        """Words for who is there and what happens."""
        who = [self._words(index) for index in range(self.world.subjects)]
        place = (
            "a wall of soft colours" if self.plan.panorama is None else assets.load_panorama(self.plan.panorama).place
        )
        gone = "waits" if self.plan.waits else "turns away and back"
        verb = "moves" if len(who) == 1 else "move"
        return f"{' and '.join(who).capitalize()} {verb} before {place}; the camera {gone}."

    def _words(self, index: int) -> str:
        figure = self.plan.figures[index]
        if self.world.figures == "walks":
            return assets.load_walk(figure.look).who
        return f"a {colour_word(figure.colour)} {figure.look}"

    def _id(self, index: int) -> str:
        return f"{'subject' if index < self.world.subjects else 'distractor'}_{index + 1}"

    def _tracks(self) -> tuple[SubjectTrack, ...]:
        made = []
        walks = self.world.figures == "walks"
        for index, figure in enumerate(self.plan.figures):
            place = self.positions[index].copy()
            if walks:
                place[:, 1] = assets.EYE  # on the ground
            attributes: dict[str, Any] = {
                "kind": "subject" if index < self.world.subjects else "distractor", "look": figure.look,
                "path": figure.kind, "radius_cells": round(float(figure.size), 4),
            }  # fmt: skip
            if not walks:
                attributes["colour"] = [round(float(part), 4) for part in figure.colour]
            made.append(SubjectTrack(
                self._id(index), attributes, positions=place, heading=self._heading(figure),
                boxes=_boxes(self.ids == index + 1), visible_pixels=self.visible_pixels[index],
            ))  # fmt: skip
        return tuple(made)

    def _heading(self, figure: Figure) -> np.ndarray:
        """Degrees along the wall, to the side that it moves to."""
        right = np.where(np.gradient(figure.u) < 0, -1, 1)
        return np.degrees(figure.u * self.world.angle) + 90.0 * right

    def to_json(self) -> dict[str, Any]:
        """What decided the clip, as numbers and words."""
        plan = self.plan
        return {
            "kind": "re-entry", "seed": plan.seed, "number": plan.number, "panorama": plan.panorama,
            "leave": plan.camera.leave, "back": plan.camera.back, "there": plan.camera.there,
            "yaw_cells": plan.yaw.tolist(), "judged": self.judged.tolist(),
            "centres_cells": self.centres.tolist(),
            "figures": [
                {"look": one.look, "kind": one.kind, "radius": one.radius, "size": float(one.size)}
                for one in plan.figures
            ],
        }  # fmt: skip


def clip_name(world: SmallWorld, seed: int, number: int) -> str:
    """What clip ``number`` of the stream (world, seed) is called, before it is drawn."""
    return f"{world.split}-{seed}-{number:06d}"


def draw_clip(world: SmallWorld, seed: int, number: int) -> SmallClip:
    """Clip ``number`` of the stream (world, seed): the same arguments give the same bytes.

    Raises WorldsError where the knobs leave no clip in which the subjects leave and come back.
    """
    for attempt in range(_ATTEMPTS):
        plan = plan_clip(world, seed, number, attempt)
        drawing = Drawing(plan)
        frames, ids = drawing.paint()
        clip = SmallClip(plan, drawing, frames, ids, poses(world, plan.yaw, plan.places))
        if clip.is_confirmed:
            return clip
    raise WorldsError(
        f"small clip {number} of seed {seed}: {_ATTEMPTS} plans were drawn, and in none of them all subjects come back "
        f"by the pixels; the knobs leave too little room: {world}"
    )


def colour_word(colour: tuple[float, float, float]) -> str:
    """The nearest of a few names."""
    return min(_NAMES, key=lambda name: sum((a - b) ** 2 for a, b in zip(colour, _NAMES[name], strict=True)))


_NAMES = {
    "red": (0.9, 0.1, 0.1), "orange": (0.95, 0.5, 0.1), "yellow": (0.95, 0.9, 0.1), "green": (0.1, 0.85, 0.1),
    "turquoise": (0.1, 0.9, 0.7), "blue": (0.1, 0.2, 0.9), "sky blue": (0.1, 0.6, 0.95), "violet": (0.5, 0.1, 0.9),
    "pink": (0.95, 0.1, 0.7),
}  # fmt: skip


def _boxes(mask: np.ndarray) -> np.ndarray:
    """bool [F,H,W] to [F,4] x0, y0, x1, y1 pixels (x1, y1 exclusive), NaN where it is empty."""
    found = np.full((len(mask), 4), np.nan)
    for frame in np.flatnonzero(mask.any(axis=(1, 2))).tolist():
        rows, columns = np.flatnonzero(mask[frame].any(axis=1)), np.flatnonzero(mask[frame].any(axis=0))
        found[frame] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return found
