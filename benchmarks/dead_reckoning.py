r"""python benchmarks/dead_reckoning.py CLIPS

How far a memory can come that knows everything the context showed, and no more? For each held-out clip (made with
``outofsight worlds --split test``, fates and all), the target without its subjects is taken as it is, and every subject
that comes back is pasted into it as it truly looks, but where the past says it should be:

- held: where it was last seen.
- straight: on at its velocity over the second before it was last seen.
- turning: on at its mean speed and rate of turning over the two seconds before.

- faint: at its true place, shown to 30, 50 and 70 %, as a mean over possible places would.

World positions are the generator's own. Which fate such an answer is nearest to is what a perfect eye with this idea of
motion would score in ``benchmarks/tiny.py``; a model has to find all of it in pixels.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from outofsight.cameras import CameraPath
from outofsight.clips import Clip, SubjectTrack
from outofsight.datasets import detect_layout, iterate_clips
from outofsight.datasets.world_extras import read_fates
from outofsight.errors import OutOfSightError
from outofsight.evaluation.bootstrap import interval
from outofsight.evaluation.clip import EvalClip, eval_clip
from outofsight.evaluation.measure import measure
from outofsight.evaluation.metrics import FATES

VELOCITY_SECONDS, TURN_SECONDS = 1.0, 2.0
NEAREST_METRES = 0.05
Motion = Callable[[np.ndarray, int, float], np.ndarray]  # positions seen [n, 3], frames ahead, fps -> position [3]


def held(seen: np.ndarray, ahead: int, fps: float) -> np.ndarray:
    return seen[-1]


def straight(seen: np.ndarray, ahead: int, fps: float) -> np.ndarray:
    span = min(round(VELOCITY_SECONDS * fps), len(seen) - 1)
    return seen[-1] if span == 0 else seen[-1] + (seen[-1] - seen[-1 - span]) / span * ahead


def turning(seen: np.ndarray, ahead: int, fps: float) -> np.ndarray:
    """The world's vertical is its second axis."""
    moved = np.diff(seen[-1 - round(TURN_SECONDS * fps) :], axis=0)
    if len(moved) < 2:
        return straight(seen, ahead, fps)
    speed = np.hypot(moved[:, 0], moved[:, 2]).mean()
    heading = np.unwrap(np.arctan2(moved[:, 2], moved[:, 0]))
    rate = (heading[-1] - heading[0]) / (len(heading) - 1)
    headings = heading[-1] + rate * np.arange(1, ahead + 1)
    return seen[-1] + speed * np.array([np.cos(headings).sum(), 0.0, np.sin(headings).sum()])


MOTIONS: dict[str, Motion] = {"held": held, "straight": straight, "turning": turning}


FAINT = {f"faint, {share:.0%}": share for share in (0.3, 0.5, 0.7)}


def subjects(clip: Clip, folder: Path) -> Iterator[tuple[int, SubjectTrack]]:
    """Ids in the masks and tracks of those whom the fates befall."""
    fates = read_fates(folder)
    if fates is None:
        raise OutOfSightError(f"{folder} has no fates: make the clips with outofsight worlds --split test")
    for number, track in enumerate(clip.subjects, start=1):
        if track.id in fates.subjects:
            yield number, track


def pixel(camera: CameraPath, frame: int, point: np.ndarray, width: int) -> np.ndarray | None:
    """Where a point of the world lies in a frame, (x, y) pixels from its centre; None behind the camera."""
    pose = camera.c2w[frame]
    x, y, depth = pose[:3, :3].T @ (point - pose[:3, 3])
    if depth < NEAREST_METRES or camera.horizontal_fov is None:
        return None
    return np.array([x, y]) / depth * width / 2 / np.tan(np.deg2rad(camera.horizontal_fov) / 2)


def answer(clip: Clip, known: EvalClip, folder: Path, motion: Motion) -> np.ndarray:
    """The target as this idea of motion has it, uint8 ``[f, h, w, 3]``."""
    video = known.fates["vanished"].copy()
    cut, ids = clip.context_frames, clip.load_masks()[clip.context_frames :]
    height, width = video.shape[1:3]
    for (number, track), returned in zip(subjects(clip, folder), known.returned, strict=True):
        seen = np.flatnonzero(track.visible()[:cut])
        if track.positions is None or len(seen) == 0:
            continue
        past = track.positions[: seen[-1] + 1]
        for frame in np.flatnonzero(returned):
            guess = motion(past, cut + int(frame) - int(seen[-1]), clip.fps)
            places = [pixel(clip.target_cameras, frame, at, width) for at in (track.positions[cut + frame], guess)]
            if places[0] is None or places[1] is None:
                continue
            rows, columns = np.nonzero(ids[frame] == number)
            right, down = np.round(places[1] - places[0]).astype(int)
            inside = (rows + down >= 0) & (rows + down < height) & (columns + right >= 0) & (columns + right < width)
            rows, columns = rows[inside], columns[inside]
            video[frame, rows + down, columns + right] = known.truth[frame, rows, columns]
    return video


def faint(known: EvalClip, share: float) -> np.ndarray:
    """The truth over the vanished target, uint8 ``[f, h, w, 3]``."""
    mixed = share * known.truth.astype(np.float32) + (1 - share) * known.fates["vanished"].astype(np.float32)
    return mixed.round().astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder of clips with fates")
    root = parser.parse_args().clips
    nearest: dict[str, list[str]] = {name: [] for name in (*MOTIONS, *FAINT)}
    place = detect_layout(root).root
    for clip in iterate_clips(root):
        folder = place / clip.name
        known = eval_clip(clip, folder)
        answers = {name: answer(clip, known, folder, motion) for name, motion in MOTIONS.items()}
        answers |= {name: faint(known, share) for name, share in FAINT.items()}
        for name, video in answers.items():
            found = measure(video, known, ("fate",)).flat().get("fate")
            if found is not None:
                nearest[name].append(str(found))
        print(f"\r{len(nearest['held'])} clips", end="", file=sys.stderr)
    print("\n| nearest to | " + " | ".join(FATES) + " |\n|---|" + "---|" * len(FATES))
    for name, fates in nearest.items():
        cells = [interval([fate == wanted for fate in fates]).words(0, 100) for wanted in FATES]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    try:
        main()
    except OutOfSightError as error:
        sys.exit(f"error: {error}")
