"""One clip, from its number to its folder: plan, render, confirm on pixels, annotate, write.

A folder is built beside its place and renamed, so that whatever lies under HM-World/ is whole.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import time
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from .. import __version__
from ..clips import Clip
from ..datasets import write_clip
from ..errors import OutputError, WorldsError
from ..video import write_video
from .catalogue import CATALOGUE
from .content.subjects import build_body
from .engine import annotate
from .engine.plan import VERSION, Staging, lay_out, plan_clip
from .engine.presets import WorldsPreset, preset_named
from .engine.render import Renderer
from .engine.sighting import Verdict
from .engine.skinning import Body, PosedBody, pose_body
from .manifest import Row, Settings, checksums

DATA, MAKING = "HM-World", ".making"
FATES = "fates"
WORLD_FILE = "world.json"
_MOST_ATTEMPTS = 16
_BREATHS = 0.25  # cycles per second, of a standing body
_STILL = 0.05  # shares of the walking speed, below which the gait gives way to breathing


@dataclass
class Seconds:
    """Where the time went."""

    plan: float = 0.0
    scene: float = 0.0
    render: float = 0.0
    annotate: float = 0.0
    write: float = 0.0
    frames: int = 0  # rendered, all fates and refused attempts included

    def add(self, other: Seconds) -> None:
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


class Made(Protocol):
    """A clip in memory, of any kind of world. fates: "vanished", "frozen" -> target frames; frozen_ids [F,H,W]; exact:
    its videos are to keep every pixel."""

    clip: Clip
    fates: dict[str, np.ndarray]
    frozen_ids: np.ndarray | None
    exact: ClassVar[bool]

    def world_json(self) -> dict[str, Any]:
        """What world.json holds beyond the released files."""

    def row(self) -> Row:
        """The manifest's row, without the files."""


@dataclass(eq=False)
class RenderedClip:
    """A clip in memory. fates: "vanished", "frozen" -> target frames uint8 [F,H,W,3]; frozen_ids [F,H,W].

    returning: subjects (by their number) that leave and re-enter. fated: the subjects that the fates change; held:
    for each of them the raw frame at which "frozen" holds it. verdicts: by the pixels.
    """

    staging: Staging
    clip: Clip
    returning: tuple[int, ...]
    verdicts: tuple[Verdict, ...]
    fates: dict[str, np.ndarray] = field(default_factory=dict)
    frozen_ids: np.ndarray | None = None
    fated: tuple[int, ...] = ()
    held: tuple[int, ...] = ()
    exact: ClassVar[bool] = False  # videos keep every pixel

    def world_json(self) -> dict[str, Any]:
        """As `Made`."""
        return _world(self)

    def row(self) -> Row:
        """As `Made`."""
        return _row(self)


@functools.lru_cache(maxsize=64)
def _body(name: str) -> Body:
    return build_body(CATALOGUE.subjects[name])


def posed(staging: Staging) -> tuple[PosedBody, ...]:
    """Every subject's body over the raw frames."""
    bodies = []
    for subject, track, ground_z in zip(staging.plan.subjects, staging.tracks, staging.ground_z, strict=True):
        body = _body(subject.name)
        stride = np.array([body.stride(float(speed)) for speed in track.speed])
        # a pace that changes takes longer or shorter steps: cycles add up frame by frame
        steps = np.diff(track.distance) / np.maximum(0.5 * (stride[1:] + stride[:-1]), 1e-3)
        # a standing body breathes on by the clock; its feet rest whatever the phase
        still = np.clip(1.0 - track.speed / (_STILL * body.spec.walk_speed), 0.0, 1.0)
        steps += np.minimum(still[1:], still[:-1]) * _BREATHS / staging.preset.fps
        phase = subject.path.phase + np.concatenate([[0.0], np.cumsum(steps)])
        x, y = track.positions.T
        bodies.append(pose_body(body, x, y, ground_z, track.heading, phase, track.speed))
    return tuple(bodies)


class ClipMaker(AbstractContextManager["ClipMaker"]):
    """Makes clips of one preset with one renderer (and its GL context): a context manager."""

    def __init__(self, preset: WorldsPreset) -> None:
        self.preset = preset
        self.renderer = Renderer(preset.width, preset.height)
        self.seconds = Seconds()

    def __exit__(self, *_: object) -> None:
        self.renderer.close()

    def make(self, settings: Settings, index: int) -> RenderedClip:
        """Plan, render and annotate clip `index`; the pixels must confirm the plan, else the next attempt is made.

        Raises WorldsError where no attempt is confirmed.
        """
        for attempt in range(_MOST_ATTEMPTS):
            started = time.perf_counter()
            chosen = settings.seed, index, settings.preset, settings.split, settings.mix, settings.subjects
            plan = plan_clip(CATALOGUE, *chosen, attempt=attempt)
            staging = lay_out(CATALOGUE, plan)
            self.seconds.plan += time.perf_counter() - started
            bodies = self._load(staging)
            colour, ids = self._render(staging, range(self.preset.raw_frames), bodies)
            counts = annotate.visible_pixels(ids, len(bodies))
            returning = annotate.confirmed(staging, counts)
            if returning is not None:
                return self._finish(staging, bodies, colour, ids, counts, returning, fates=settings.fates)
        raise WorldsError(
            f"clip {index} of seed {settings.seed}: {_MOST_ATTEMPTS} plans were rendered, and none of them "
            f"is a {plan.kind} clip by its pixels; please report it with these settings: {json.dumps(asdict(settings))}"
        )

    def _load(self, staging: Staging) -> tuple[PosedBody, ...]:
        started = time.perf_counter()
        meshes = [_body(spec.name) for spec in staging.specs]
        self.renderer.load(CATALOGUE.build_scene(staging.layout), [(mesh.faces, mesh.colours) for mesh in meshes])
        bodies = posed(staging)
        self.seconds.scene += time.perf_counter() - started
        return bodies

    def _render(
        self,
        staging: Staging,
        frames: Sequence[int],
        bodies: Sequence[PosedBody],
        *,
        gone: Sequence[int] = (),
        held: dict[int, int] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """colour uint8 [R,H,W,3] and ids uint8 [R,H,W] of raw frames; `gone` bodies are absent, `held` ones stay."""
        started = time.perf_counter()
        held = held or {}
        size = (len(frames), self.preset.height, self.preset.width)
        colour, ids = np.empty((*size, 3), dtype=np.uint8), np.empty(size, dtype=np.uint8)
        c2w, fov = staging.c2w, staging.plan.camera.fov
        for row, frame in enumerate(frames):
            shown = [
                None
                if index in gone
                else (body.positions[held.get(index, frame)], body.normals[held.get(index, frame)])
                for index, body in enumerate(bodies)
            ]
            picture = self.renderer.frame(c2w[frame], fov, shown)
            colour[row], ids[row] = picture.colour, picture.ids
        self.seconds.render += time.perf_counter() - started
        self.seconds.frames += len(frames)
        return colour, ids

    def _finish(
        self,
        staging: Staging,
        bodies: Sequence[PosedBody],
        colour: np.ndarray,
        ids: np.ndarray,
        counts: np.ndarray,
        returning: tuple[int, ...],
        *,
        fates: bool,
    ) -> RenderedClip:
        started = time.perf_counter()
        context, target = self.preset.halves()
        frames = np.concatenate([context, target])
        cameras = annotate.cameras(staging, (context, target))
        clip = Clip(
            staging.plan.name,
            annotate.describe(staging, counts, returning),
            *cameras,
            colour[context],
            colour[target],
            subjects=annotate.tracks(staging, ids, counts, frames),
            masks=ids[frames],
            fps=self.preset.fps,
        )
        made = RenderedClip(staging, clip, returning, annotate.verdicts(staging, counts))
        self.seconds.annotate += time.perf_counter() - started
        if fates:
            self._add_fates(made, bodies, counts, target)
        return made

    def _add_fates(
        self, made: RenderedClip, bodies: Sequence[PosedBody], counts: np.ndarray, target: np.ndarray
    ) -> None:
        """The target with its returning subjects vanished, and with them frozen where they were last visible."""
        fated = made.returning or tuple(range(len(bodies)))
        cut = self.preset.cut
        counts = counts[:, :cut]
        # the last frame of the context in which it is seen; its last frame at all where it never is
        last = {index: int(np.flatnonzero(counts[index])[-1]) if counts[index].any() else cut - 1 for index in fated}
        raw, place = np.unique(target, return_inverse=True)
        vanished, _ = self._render(made.staging, raw.tolist(), bodies, gone=fated)
        frozen, frozen_ids = self._render(made.staging, raw.tolist(), bodies, held=last)
        made.fates = {"vanished": vanished[place], "frozen": frozen[place]}
        made.frozen_ids = frozen_ids[place]
        made.fated, made.held = fated, tuple(last[index] for index in fated)


def write(made: Made, out: Path) -> Path:
    """Write a clip to out/HM-World/<name>/: the released files, world.json, and fates/ where they were rendered.

    Raises OutputError where the place cannot be written to; no half-written folder stays.
    """
    place = out / DATA / made.clip.name
    workplace = out / MAKING / f"{made.clip.name}-{uuid.uuid4().hex[:8]}"
    try:
        folder = write_clip(made.clip, workplace, exact=made.exact)
        (folder / WORLD_FILE).write_text(json.dumps(made.world_json(), allow_nan=False), encoding="utf-8")
        if made.frozen_ids is not None:
            (folder / FATES).mkdir()
            for name, video in made.fates.items():
                write_video(folder / FATES / f"{name}.mp4", video, made.clip.fps, exact=made.exact)
            np.savez_compressed(folder / FATES / "frozen_masks.npz", ids=made.frozen_ids)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.rename(folder, place)
    except OSError as cause:
        raise OutputError(f"{place}: cannot be written ({cause.strerror or cause}); nothing of it was kept") from cause
    finally:
        shutil.rmtree(workplace, ignore_errors=True)
    return place


def _world(made: RenderedClip) -> dict[str, Any]:
    """What world.json holds beyond the released files."""
    staging, clip = made.staging, made.clip
    preset = staging.preset
    focal = preset.width / 2 / np.tan(np.radians(staging.plan.camera.fov) / 2)
    ids = [spec.name for spec in staging.specs]
    world: dict[str, Any] = {
        "plan": staging.plan.to_json(),
        "versions": {"outofsight": __version__, "plan": VERSION},
        "preset": asdict(preset),
        "raw_frames": {
            half: frames.tolist() for half, frames in zip(("context", "target"), preset.halves(), strict=True)
        },
        "lens": {"fx": focal, "fy": focal, "cx": preset.width / 2, "cy": preset.height / 2},
        "cameras": {
            "convention": "camera to world, OpenCV axes (x right, y down, z forward), m, right-handed world, y down; "
            "camera.json holds the same poses in Unreal's axes and centimetres",
            "context": clip.context_cameras.c2w.tolist(),
            "target": clip.target_cameras.c2w.tolist(),
        },
        "scene": {"family": staging.layout.family, "light": staging.layout.light, "words": dict(staging.layout.words)},
        "events": [asdict(event) for event in clip.events],
        "phases": {subject.id: clip.phases(subject).tolist() for subject in clip.subjects},
        "re-entries": [
            {"subject": ids[index], "left": made.verdicts[index].left, "returned": made.verdicts[index].returned}
            for index in made.returning
        ],
    }
    if made.fates:
        world["fates"] = {
            "subjects": [ids[index] for index in made.fated],
            "held_at_raw_frame": dict(zip((ids[index] for index in made.fated), made.held, strict=True)),
        }
    return world


def row_of(made: Made, folder: Path) -> Row:
    """The manifest's row of a written clip."""
    return {**made.row(), "files": checksums(folder)}


def _row(made: RenderedClip) -> Row:
    plan = made.staging.plan
    fps = made.staging.preset.fps
    hidden = {}
    for index in made.returning:
        left, returned = made.verdicts[index].left, made.verdicts[index].returned
        assert left is not None and returned is not None
        hidden[plan.subjects[index].name] = {"left": left, "returned": returned, "hidden_s": (returned - left) / fps}
    return {
        "name": plan.name,
        "index": plan.index,
        "seed": plan.seed,
        "attempt": plan.attempt,
        "kind": plan.kind,
        "family": plan.family,
        "scene_seed": plan.scene_seed,
        "light": made.staging.layout.light,
        "subjects": [subject.name for subject in plan.subjects],
        "paths": [subject.path.name for subject in plan.subjects],
        "shot": plan.camera.shot,
        "horizontal_fov": plan.camera.fov,
        "re-entries": hidden,
        "caption": made.clip.caption,
    }


def preset_of(settings: Settings) -> WorldsPreset:
    return preset_named(settings.preset)
