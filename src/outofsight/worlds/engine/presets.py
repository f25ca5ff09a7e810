"""Sizes, rates and lengths of generated clips, by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...cameras import raw_split
from ...errors import WorldsError


@dataclass(frozen=True)
class WorldsPreset:
    """What a clip measures.

    raw_frames: frames that are rendered. padded: whether the halves are made as HM-World's release makes them
    from raw clips (cameras.raw_split), which repeats frames at both ends of each half; else the raw frames are
    cut in the middle.
    """

    name: str
    width: int
    height: int
    fps: float
    raw_frames: int
    padded: bool = False

    def halves(self) -> tuple[np.ndarray, np.ndarray]:
        """Raw frame indices of the context and of the target."""
        if self.padded:
            return raw_split(self.raw_frames)
        half = self.raw_frames // 2
        return np.arange(half), np.arange(half, self.raw_frames)

    @property
    def cut(self) -> int:
        """The first raw frame of the target."""
        return int(self.halves()[1][0])

    @property
    def aspect(self) -> float:
        return self.width / self.height


PRESETS = {
    preset.name: preset
    for preset in (
        # HM-World's own: 149 raw frames give 77 and 77
        WorldsPreset("hm-world", 832, 480, 15.0, 149, padded=True),
        # HM-World's timing at a size for quick studies
        WorldsPreset("small", 256, 144, 15.0, 149, padded=True),
        # 25 and 25 frames, as small as pays: 8.3 s of which every sixth of a second is shown
        WorldsPreset("tiny", 160, 96, 6.0, 50),
        # the same at the rate of video, 1.7 s: what the shipped model is trained on
        WorldsPreset("tiny-30fps", 160, 96, 30.0, 50),
    )
}


def preset_named(name: str) -> WorldsPreset:
    """The preset of this name. Raises WorldsError with the names there are."""
    if name not in PRESETS:
        raise WorldsError(f'no preset "{name}"; expected one of {", ".join(PRESETS)}')
    return PRESETS[name]
