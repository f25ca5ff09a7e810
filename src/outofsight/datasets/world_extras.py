"""What generated clips hold beyond HM-World's layout: world.json, and the fates of a target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..clips import InstanceMasks, VideoFile
from ..errors import LayoutError
from ..records import read_object

WORLD, FATES = "world.json", "fates"


@dataclass(frozen=True, eq=False)
class Fates:
    """A target as it would have been.

    subjects: ids of those whom the fates befall. vanished: the target without them. frozen: with them held where they
    were last seen; frozen_masks: instance ids of that render (0 background, i + 1 for the clip's subjects[i]). Each a
    file, or uint8 in memory.
    """

    subjects: tuple[str, ...]
    vanished: VideoFile | np.ndarray
    frozen: VideoFile | np.ndarray
    frozen_masks: InstanceMasks | np.ndarray

    def videos(self) -> tuple[np.ndarray, np.ndarray]:
        """Vanished and frozen, uint8 ``[F, H, W, 3]``. Raises VideoError for a file that is missing or broken."""
        vanished, frozen = (
            video if isinstance(video, np.ndarray) else video.load().frames for video in (self.vanished, self.frozen)
        )
        return vanished, frozen

    def frozen_ids(self) -> np.ndarray:
        """uint8 ``[F, H, W]``. Raises LayoutError for a file that is missing or broken."""
        return self.frozen_masks if isinstance(self.frozen_masks, np.ndarray) else self.frozen_masks.load()


def read_world(folder: Path) -> dict[str, Any] | None:
    """A generated clip's world.json; None where there is none. Raises LayoutError where it cannot be read."""
    file = folder / WORLD
    if not file.is_file():
        return None
    content = read_object(file, LayoutError, "make the clip again")
    try:
        content["plan"]["kind"]
    except (KeyError, TypeError) as cause:
        raise LayoutError(f"{file}: its plan names no kind ({cause}); make the clip again") from cause
    return content


def read_fates(folder: Path) -> Fates | None:
    """The fates of a generated clip's target; None where they were not rendered.

    Raises LayoutError where world.json tells of fates that are not there.
    """
    world = read_world(folder)
    if world is None or "fates" not in world:
        return None
    place = folder / FATES
    files = [place / "vanished.mp4", place / "frozen.mp4", place / "frozen_masks.npz"]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise LayoutError(f"{place}: {', '.join(missing)} missing, and {WORLD} tells of fates; make the clip again")
    try:
        subjects = tuple(str(name) for name in world["fates"]["subjects"])
    except (KeyError, TypeError) as cause:
        raise LayoutError(f"{folder / WORLD}: its fates name no subjects ({cause}); make the clip again") from cause
    return Fates(subjects, VideoFile(files[0]), VideoFile(files[1]), InstanceMasks(files[2]))
