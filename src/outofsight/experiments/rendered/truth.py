"""Where a clip's subjects truly are: what a finder is taught, and what a transformer is trained on, so that it trusts
whom it is told of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...clips import Clip, RedMasks
from ...errors import DatasetError
from .sighting import Sighting
from .tracks import SubjectPath, project

_SAME = 1.0  # metres on average, within which a path is a subject's
NEAREST = 0.3  # metres, of a subject that a camera can see


@dataclass(frozen=True, eq=False)
class Truth:
    """A clip's subjects. ids uint8 ``[f, h, w]``: of the frames' pixels, 0 nobody, n subject n - 1. positions
    ``[s, f or more, 3]``: metres, where they stand in those frames and after, in the cameras' world."""

    ids: np.ndarray
    positions: np.ndarray

    @classmethod
    def of(cls, clip: Clip, size: tuple[int, int]) -> Truth:
        """Of all of a clip's frames, which are (height, width).

        Raises:
            LayoutError: no masks.
            DatasetError: masks of another size or number than the frames, or that do not tell subjects apart; or the
                clip does not say where each subject stands.
        """
        if isinstance(clip.masks, RedMasks) and len(clip.subjects) > 1:
            raise DatasetError(
                f"its masks do not tell its {len(clip.subjects)} subjects apart (HM-World's red masks): nobody can say "
                "whose pixels stand where; use clips with instance ids, or with one subject"
            )
        places = [track.positions for track in clip.subjects]
        known = [place for place in places if place is not None]
        if len(known) < len(places):
            missing = sum(place is None for place in places)
            raise DatasetError(
                f"{missing} of its {len(places)} subjects have no positions, and where they stand is needed"
            )
        ids, frames = clip.load_masks(), clip.context_frames + clip.target_frames
        if ids.shape != (frames, *size):
            raise DatasetError(
                f"its masks are {list(ids.shape)} (frames, height, width), its frames {[frames, *size]}: take it at "
                "its own size, and with masks of all"
            )
        if int(ids.max(initial=0)) > len(known):
            raise DatasetError(f"its masks show subject {int(ids.max())}, and it tells of {len(known)}")
        return cls(ids, np.stack(known) if known else np.zeros((0, len(ids), 3)))

    def part(self, frames: slice) -> Truth:
        """Of some of its frames."""
        return Truth(self.ids[frames], self.positions[:, frames])

    def seen_from(self, world: np.ndarray) -> Truth:
        """The same in the axes that ``world [4, 4]`` leads to."""
        return Truth(self.ids, self.positions @ world[:3, :3].T + world[:3, 3])

    def corrected(self, sighting: Sighting, cameras: np.ndarray, half_width: float) -> Sighting:
        """What a finder says, with true feet and distances where there truly is a subject; ``cameras [c, 4, 4]``."""
        foot, depth = sighting.foot.clone(), sighting.depth.clone()
        size = self.ids.shape[1], self.ids.shape[2]
        for number, places in enumerate(self.positions, start=1):
            for frame, c2w in enumerate(cameras):
                at, away = project(c2w, places[frame], size, half_width)
                where = torch.from_numpy(self.ids[frame] == number)
                if away > NEAREST:
                    foot[frame][:, where] = torch.from_numpy(at).to(foot)[:, None]
                    depth[frame][where] = away
        return Sighting(sighting.subject, foot, depth)

    def places(self, path: SubjectPath, frames: np.ndarray) -> np.ndarray | None:
        """Where the subject whose path this is stands in ``frames [m]``: ``[m, 3]``; None where it is nobody's."""
        if not len(self.positions):
            return None
        apart = np.linalg.norm(self.positions[:, path.frames] - path.positions, axis=2).mean(axis=1)
        nearest = int(apart.argmin())
        return self.positions[nearest, frames] if apart[nearest] < _SAME else None
