"""What a small world is: one object of named knobs, and the presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ...cameras.geometry import square_intrinsics
from ...errors import WorldsError

MOTIONS = ("constant", "bouncing", "turning", "stop-and-go", "behind")
WALLS, FIGURES, SPLITS = ("noise", "scenes"), ("shapes", "walks"), ("train", "test")
MOST_SUBJECTS = 3
_PAIRS = ("speed", "away", "leave", "linger")


@dataclass(frozen=True)
class SmallWorld:
    """A camera in a painted drum, in which subjects leave the view and come back.

    Lengths on the wall are in cells: what one column of the grid covers, ``fov / columns`` degrees seen from the
    drum's axis. Times are in latent frames of ``stride`` video frames. Ranges are (least, most).

    Picture:
        rows, columns: of the grid of cells; cell: pixels along one. fov: degrees across the picture.
        context, target: latent frames of each half; the very first one holds one video frame.
        fps: of the written videos. radius_m: of the drum, metres.
    Wall:
        wall: "noise" (new in every clip) or "scenes" (panoramas of the scene families). wave: pixels between the
        noise's knots; contrast: its strength. period: cells after which the noise repeats, 0: never; repeats look alike
        from several directions.
    Subjects:
        figures: "shapes" (disc, square, diamond) or "walks" (the library's subjects, walking). subjects: that leave and
        come back, 1 to 3. distractors: further ones that leave and never come back. radius: of a shape, cells.
        speed: across the wall, cells a latent frame; drift: most speed up or down it (shapes). motions: kinds to choose
        from, of MOTIONS; "behind" passes behind an occluder while the camera waits. elsewhere: subjects follow the
        camera and come into view again where it looks next, not where they were last seen.
    Camera:
        away: cells that it turns away. turn: cells a latent frame. leave: latent frames before the last one of the
        context at which it leaves. linger: latent frames that it stays longer than the cut asks. scan: cells that it
        looks to one side first. wander: cells beyond ``away`` that it looks around in while away. travel: how far it
        moves through the drum, as a share of the radius, 0: it only turns.
    Occluders:
        occluders: standing walls in the home view or beside it, in front of the subjects.

    split: "train" or "test", of hues, panoramas and subjects that training has not. Raises WorldsError for knobs that
    contradict one another.
    """

    rows: int = 4
    columns: int = 6
    cell: int = 6
    fov: float = 30.0
    context: int = 8
    target: int = 8
    stride: int = 2
    fps: float = 8.0
    radius_m: float = 4.0
    wall: str = "noise"
    wave: float = 5.0
    contrast: float = 0.16
    period: int = 0
    figures: str = "shapes"
    subjects: int = 1
    distractors: int = 0
    radius: float = 0.9
    speed: tuple[float, float] = (0.15, 0.55)
    drift: float = 0.12
    motions: tuple[str, ...] = ("constant",)
    elsewhere: bool = False
    away: tuple[int, int] = (6, 8)
    turn: int = 2
    leave: tuple[int, int] = (1, 4)
    linger: tuple[int, int] = (0, 1)
    scan: int = 0
    wander: int = 0
    travel: float = 0.0
    occluders: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        faults = [] if 0 < self.fov < 120 else [f"fov={self.fov!r}: expected degrees between 0 and 120"]
        if not faults:
            faults = [
                *(
                    f"{name}={getattr(self, name)!r}: expected {words}"
                    for name, good, words in self._rules()
                    if not good
                ),
                *(
                    f"{name}={getattr(self, name)}: least above most"
                    for name in _PAIRS
                    if np.diff(getattr(self, name)) < 0
                ),
            ]
        if faults:
            raise WorldsError("a small world cannot be made with " + "; ".join(faults))

    def _rules(self) -> list[tuple[str, bool, str]]:
        rows = [
            (name, getattr(self, name) >= 1, "at least 1") for name in ("rows", "columns", "cell", "stride", "turn")
        ]
        behind = "behind" in self.motions
        return [
            *rows,
            ("context", self.context >= 5, "at least 5 latent frames, to see who is there and to turn away"),
            ("target", self.target >= 4, "at least 4 latent frames, to come back in"),
            ("wall", self.wall in WALLS, f"one of {', '.join(WALLS)}"),
            ("figures", self.figures in FIGURES, f"one of {', '.join(FIGURES)}"),
            ("split", self.split in SPLITS, f"one of {', '.join(SPLITS)}"),
            ("subjects", 1 <= self.subjects <= MOST_SUBJECTS, f"1 to {MOST_SUBJECTS}"),
            ("distractors", 0 <= self.distractors <= MOST_SUBJECTS, f"0 to {MOST_SUBJECTS}"),
            ("motions", bool(self.motions) and set(self.motions) <= set(MOTIONS), f"some of {', '.join(MOTIONS)}"),
            ("occluders", 0 <= self.occluders <= 3 and (self.occluders > 0 or not behind),
             'at least 1 for the motion "behind"' if behind else "0 to 3"),
            ("travel", 0 <= self.travel <= 0.4, "a share of the radius from 0 to 0.4"),
            ("wave", self.wave >= 1, "at least 1 pixel"),
            ("period", self.period == 0 or self.around % self.period == 0, f"0 or a divisor of {self.around:g} cells"),
            ("wall", self.wall == "noise" or not self.period, '"noise" where it repeats (period)'),
            ("wall", self.wall == "noise" or not self.travel, '"noise" where the camera travels: panoramas are flat'),
            ("elsewhere", not (self.elsewhere and behind), 'False with the motion "behind", whose camera waits'),
        ]  # fmt: skip

    @property
    def height(self) -> int:
        """Pixels."""
        return self.rows * self.cell

    @property
    def width(self) -> int:
        return self.columns * self.cell

    @property
    def latents(self) -> int:
        """Latent frames of both halves."""
        return self.context + self.target

    @property
    def context_frames(self) -> int:
        """Video frames of the context, ``stride (context - 1) + 1``."""
        return self.stride * (self.context - 1) + 1

    @property
    def frames(self) -> int:
        """Video frames of both halves, which are coded apart: ``stride (n - 1) + 1`` of n latent frames each."""
        return self.context_frames + self.stride * (self.target - 1) + 1

    @property
    def target_frames(self) -> int:
        return self.frames - self.context_frames

    @property
    def angle(self) -> float:
        """Radians of one cell."""
        return float(np.radians(self.fov / self.columns))

    @property
    def around(self) -> float:
        """Cells all round the drum."""
        return 360.0 / (self.fov / self.columns)

    @property
    def half(self) -> float:
        """Cells from the view's middle within which a subject is well in it."""
        return self.columns / 2 - self.radius / 2

    def times(self) -> np.ndarray:
        """[F]: when each video frame is, in latent frames; latent frame k ends, and has its pose, at time k."""
        return np.arange(self.frames) / self.stride

    def intrinsics(self) -> np.ndarray:
        """[4]: fx, fy, cx, cy as shares of the picture's size."""
        return square_intrinsics(self.fov, self.height, self.width)


def small_world(name: str, **changes: Any) -> SmallWorld:
    """The preset of this name, with knobs changed: ``small_world("small-easy", split="test", subjects=2)``.

    Raises WorldsError for a name or a knob that is not there, or knobs that contradict one another.
    """
    if name not in PRESETS:
        raise WorldsError(f'no small world "{name}"; expected one of {", ".join(PRESETS)}')
    unknown = sorted(set(changes) - set(SmallWorld.__dataclass_fields__))
    if unknown:
        raise WorldsError(
            f"a small world has no knob {', '.join(unknown)}; it has {', '.join(SmallWorld.__dataclass_fields__)}"
        )
    return replace(PRESETS[name], **changes)


_EASY = SmallWorld()
_PAST = replace(_EASY, context=20, scan=8, wander=4, leave=(4, 9))
_SCENES = replace(
    _EASY, rows=8, columns=12, fov=60.0, wall="scenes", figures="walks", speed=(0.25, 0.8), drift=0.0,
    away=(12, 16), turn=4, motions=("constant", "turning", "stop-and-go"), leave=(1, 4),
)  # fmt: skip
PRESETS: Mapping[str, SmallWorld] = MappingProxyType(
    {
        "small-easy": _EASY,
        "small-two": replace(_EASY, subjects=2),
        "small-three": replace(_EASY, subjects=3),
        "small-distractors": replace(_EASY, distractors=2),
        "small-motions": replace(_EASY, motions=("constant", "bouncing", "turning", "stop-and-go")),
        "small-elsewhere": replace(
            _EASY, context=12, elsewhere=True, away=(12, 14), leave=(6, 8), linger=(0, 2), speed=(0.45, 0.8)
        ),
        "small-aliases": replace(_EASY, period=8),
        "small-parallax": replace(_EASY, travel=0.3),
        "small-occluders": replace(_EASY, occluders=2, motions=("constant", "behind")),
        "small-long": _PAST,
        "small-hard": replace(
            _PAST, subjects=2, distractors=2, occluders=1, period=24, motions=("constant", "turning", "stop-and-go")
        ),
        "small-scenes": _SCENES,
        "small-film": replace(_SCENES, context=12, subjects=2, distractors=1, scan=8, leave=(3, 5)),
    }
)
DESCRIPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "small-easy": "one shape, a wall of noise, a camera that turns away and back: what learns in minutes",
        "small-two": "two subjects leave and come back",
        "small-three": "three",
        "small-distractors": "two more that leave and never come back",
        "small-motions": "subjects also bounce, turn, stop and go",
        "small-elsewhere": "the subject comes back elsewhere than where it was seen",
        "small-aliases": "the wall repeats every 8 cells, so that other directions look alike",
        "small-parallax": "the camera also moves, and subjects are nearer than the wall",
        "small-occluders": "standing walls, behind which subjects pass",
        "small-long": "a past of 20 latent frames that looks elsewhere first and around for long",
        "small-hard": "long, two subjects, two distractors, a wall that repeats, an occluder",
        "small-scenes": "panoramas of the scene families, subjects that walk, 72x48 pixels",
        "small-film": "the same with two subjects and a passer-by, and a longer past",
    }
)
