r"""python benchmarks/pixel_sweep.py CLIPS

What geometry alone makes of the context's pixels, with nothing learned: each pixel of a target frame is looked for in
the context frames at a few distances (models/reprojection.py, on pixels in the place of latents), and takes the mean
over them at the distance where they agree best around it. Scored as predictions are: PSNR, and which fate it is nearest
to. Who moves cannot be in it, except smeared or where last seen.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from outofsight.cameras import CameraPath, relative_pose_vectors
from outofsight.datasets import detect_layout, iterate_clips
from outofsight.errors import OutOfSightError
from outofsight.evaluation.fates import FATES
from outofsight.evaluation.held_out import held_out
from outofsight.evaluation.scores import Scores, score, summary, table
from outofsight.memory import make_layout
from outofsight.models.reprojection import reproject_context

COLUMNS = ("target", "re-entered", "hidden")


def sweep(
    context: np.ndarray, cameras: CameraPath, target: CameraPath, disparities: tuple[float, ...], around: int
) -> np.ndarray:
    """The target uint8 ``[f, h, w, 3]`` from context frames of that size and their cameras; how well they agree at a
    distance (1 / disparity, metres) is a mean over ``around`` pixels each way."""
    pixels = torch.from_numpy(context).permute(3, 0, 1, 2)[None] / 255
    seen, wanted = relative_pose_vectors(cameras, target, stride=1)
    levels = torch.zeros(1, len(seen) + len(wanted))
    layout = make_layout((1, 1), seen[None], wanted[None], levels, target.horizontal_fov)
    pictures, costs = [], []
    for disparity in disparities:
        read = reproject_context(pixels, layout, (disparity,))[0]
        mean, differ, share = read[:3], read[6], read[7]
        cost = differ + (share == 0)  # at least as bad as any difference where nothing is seen
        pictures.append(mean)
        costs.append(torch.nn.functional.avg_pool2d(cost[:, None], around, 1, around // 2)[:, 0])
    best = torch.stack(costs).argmin(dim=0)
    chosen = torch.stack(pictures).gather(0, best[None, None].expand(1, 3, -1, -1, -1))[0]
    return (chosen * 255).round().byte().permute(1, 2, 3, 0).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder of clips with fates")
    parser.add_argument("--planes", type=int, default=12, help="distances, evenly spaced in 1/m")
    parser.add_argument("--nearest", type=float, default=0.45, help="1/m, of the nearest")
    parser.add_argument("--step", type=int, default=3, help="take every so many context frames")
    parser.add_argument("--around", type=int, default=9, help="pixels, odd")
    options = parser.parse_args()
    disparities = tuple(float(d) for d in np.linspace(0, options.nearest, options.planes))
    rows: dict[str, dict[str, Scores]] = {
        "sweep of the context's pixels": {}, "hold last frame": {}, "copy best view": {},
    }  # fmt: skip
    root = detect_layout(options.clips).root
    for clip in iterate_clips(options.clips):
        known = held_out(clip, root / clip.name)
        cameras = replace(clip.context_cameras, c2w=clip.context_cameras.c2w[:: options.step])
        swept = sweep(known.context[:: options.step], cameras, clip.target_cameras, disparities, options.around)
        answers = (swept, known.hold(), known.best_view())
        for scores, answer in zip(rows.values(), answers, strict=True):
            scores[clip.name] = score(answer, known)
        print(f"\r{len(scores)} clips", end="", file=sys.stderr)
    print("\n" + table(summary(rows), (*COLUMNS, *FATES)))


if __name__ == "__main__":
    try:
        main()
    except OutOfSightError as error:
        sys.exit(f"error: {error}")
