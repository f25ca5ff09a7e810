"""What makes the clips of a run: the renderer's worlds or the small world, by the name of the preset."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from .. import __version__
from ..clips import Clip
from ..errors import WorldsError
from .catalogue import CATALOGUE
from .engine.plan import VERSION, parse_mix, plan_clip, split_families
from .engine.presets import PRESETS
from .generate import ClipMaker, Seconds, preset_of
from .manifest import Row, Settings
from .small import DESCRIPTIONS as SMALL_DESCRIPTIONS
from .small import PRESETS as SMALL_PRESETS
from .small import SmallClip, SmallWorld, draw_clip, small_world
from .small.plan import VERSION as SMALL_VERSION


@dataclass(eq=False)
class DrawnClip:
    """A clip of the small world, ready to be written (`generate.Made`)."""

    drawn: SmallClip
    preset: str
    clip: Clip
    fates: dict[str, np.ndarray] = field(default_factory=dict)
    frozen_ids: np.ndarray | None = None
    exact: ClassVar[bool] = True  # videos keep every pixel: halved colours would be seen in pictures so small

    def world_json(self) -> dict[str, Any]:
        """What world.json holds beyond the released files."""
        drawn, clip = self.drawn, self.clip
        names = [subject.id for subject in clip.subjects[: drawn.world.subjects]]
        world: dict[str, Any] = {
            "plan": drawn.to_json(),
            "versions": {"outofsight": __version__, "plan": SMALL_VERSION},
            "preset": {"name": self.preset, **asdict(drawn.world)},
            "cameras": {
                "convention": "camera to world, OpenCV axes (x right, y down, z forward), m, right-handed world; "
                "camera.json holds the same poses in Unreal's axes and centimetres",
                "context": clip.context_cameras.c2w.tolist(),
                "target": clip.target_cameras.c2w.tolist(),
            },
            "events": [asdict(event) for event in clip.events],
            "phases": {subject.id: clip.phases(subject).tolist() for subject in clip.subjects},
            "re-entries": [
                {"subject": name, "left": left, "returned": returned}
                for name, (left, returned) in zip(names, drawn.away, strict=True)
            ],
        }
        if self.fates:
            world["fates"] = {
                "subjects": names,
                "held_at_raw_frame": dict(zip(names, drawn.held, strict=True)),
            }
        return world

    def row(self) -> Row:
        """The manifest's row, without the files."""
        drawn, plan = self.drawn, self.drawn.plan
        ids = [subject.id for subject in self.clip.subjects]
        hidden = {
            name: {"left": left, "returned": returned, "hidden_s": (returned - left) / drawn.world.fps}
            for name, (left, returned) in zip(ids[: drawn.world.subjects], drawn.away, strict=True)
        }
        return {
            "name": self.clip.name,
            "index": plan.number,
            "seed": plan.seed,
            "kind": "re-entry",
            "family": plan.panorama or "noise",
            "subjects": [figure.look for figure in plan.figures],
            "paths": [figure.kind for figure in plan.figures],
            "shot": "wait" if plan.waits else f"away {plan.camera.sign * int(abs(plan.yaw).max())}",
            "horizontal_fov": drawn.world.fov,
            "re-entries": hidden,
            "judged": drawn.is_judged,
            "caption": self.clip.caption,
        }


class SmallMaker(AbstractContextManager["SmallMaker"]):
    """Makes clips of one small world."""

    def __init__(self, preset: str, world: SmallWorld) -> None:
        self.preset, self.world = preset, world
        self.seconds = Seconds()

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def make(self, settings: Settings, index: int) -> DrawnClip:
        """Clip ``index``, with its fates where they are asked for."""
        started = time.perf_counter()
        drawn = draw_clip(self.world, settings.seed, index)
        made = DrawnClip(drawn, self.preset, drawn.clip)
        if settings.fates:
            made.fates, made.frozen_ids = {"vanished": drawn.vanished, "frozen": drawn.frozen}, drawn.frozen_ids
        self.seconds.render += time.perf_counter() - started
        self.seconds.frames += self.world.frames + (2 * self.world.target_frames if settings.fates else 0)
        return made


Maker = ClipMaker | SmallMaker


def maker_of(settings: Settings) -> Maker:
    """What makes the clips of these settings: a context manager. Raises WorldsError for settings that cannot be."""
    if settings.preset in SMALL_PRESETS:
        return SmallMaker(settings.preset, _small_of(settings))
    return ClipMaker(preset_of(settings))


def version_of(settings: Settings) -> int:
    """The version of what a clip's number means."""
    return SMALL_VERSION if settings.preset in SMALL_PRESETS else VERSION


def check_settings(settings: Settings) -> None:
    """Raises WorldsError for what cannot be made."""
    if settings.preset in SMALL_PRESETS:
        _small_of(settings)
        return
    if settings.preset not in PRESETS:
        raise WorldsError(f'no preset "{settings.preset}"; expected one of {", ".join((*PRESETS, *SMALL_PRESETS))}')
    parse_mix(settings.mix)
    split_families(CATALOGUE, settings.split)
    plan_clip(CATALOGUE, settings.seed, 0, settings.preset, settings.split, settings.mix, settings.subjects)


def _small_of(settings: Settings) -> SmallWorld:
    if settings.mix != "re-entry":
        raise WorldsError(
            f"--mix {settings.mix}: in {settings.preset} every clip is one of re-entry; leave --mix out, or choose one "
            f"of {', '.join(PRESETS)}"
        )
    subjects = {} if settings.subjects is None else {"subjects": settings.subjects}
    return small_world(settings.preset, split=settings.split, **subjects)


def preset_lines() -> list[str]:
    """One line for each preset: its name, size, rate, frames, and what it is."""
    lines = []
    for name, preset in PRESETS.items():
        context, target = (len(half) for half in preset.halves())
        size = f"{preset.width}x{preset.height}"
        lines.append(f"{name:18} {size:8} {preset.fps:3g} fps  {context:2} + {target:2} frames  rendered scenes")
    for name, world in SMALL_PRESETS.items():
        size, frames = f"{world.width}x{world.height}", f"{world.context_frames:2} + {world.target_frames:2} frames"
        lines.append(f"{name:18} {size:8} {world.fps:3g} fps  {frames}  {SMALL_DESCRIPTIONS[name]}")
    return lines
