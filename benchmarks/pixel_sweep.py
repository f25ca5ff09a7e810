r"""python benchmarks/pixel_sweep.py CLIPS

What geometry alone makes of the context's pixels, with nothing learned: the rendered memory's plane sweep
(rendered/sweep.py) over all of them, with nobody found or moved. Scored as predictions are: PSNR, and which fate it is
nearest to. Who moves cannot be in it, except smeared or where last seen.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from outofsight.clips import Clip
from outofsight.datasets import detect_layout, iterate_clips
from outofsight.errors import OutOfSightError
from outofsight.evaluation.baselines import BEST_VIEW, LAST_FRAME, make
from outofsight.evaluation.clip import eval_clip
from outofsight.evaluation.measure import measure
from outofsight.evaluation.metrics import FATES
from outofsight.evaluation.scores import Scores, summary, table
from outofsight.experiments.rendered.sweep import SweepOptions, sweep
from outofsight.generation.rendering import check_cameras

COLUMNS = ("psnr", "psnr re-entered", "psnr hidden")


def swept(clip: Clip, context: np.ndarray, step: int, options: SweepOptions) -> np.ndarray:
    """The target uint8 ``[f, h, w, 3]`` from every so many context frames. Raises CameraError where it cannot be."""
    fov = clip.target_cameras.horizontal_fov
    check_cameras(clip.context_cameras, clip.target_cameras, fov)
    assert fov is not None
    pictures = torch.from_numpy(context[::step].copy()).permute(0, 3, 1, 2).float() / 255
    first = np.linalg.inv(clip.target_cameras.c2w[0])  # in float32 only differences of positions may be large
    cameras, wanted = (
        torch.from_numpy(first @ path.c2w).float() for path in (clip.context_cameras, clip.target_cameras)
    )
    picture = sweep(pictures, cameras[::step], wanted, fov, options).picture
    return (picture * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder of clips with fates")
    plain = SweepOptions()
    parser.add_argument("--planes", type=int, default=plain.planes, help="distances, evenly spaced in 1/m")
    parser.add_argument("--nearest", type=float, default=plain.nearest, help="1/m, of the nearest")
    parser.add_argument("--step", type=int, default=3, help="take every so many context frames")
    parser.add_argument("--around", type=int, default=plain.around, help="pixels, odd")
    options = parser.parse_args()
    how = SweepOptions(planes=options.planes, nearest=options.nearest, around=options.around)
    rows: dict[str, dict[str, Scores]] = {
        "sweep of the context's pixels": {}, LAST_FRAME: {}, BEST_VIEW: {},
    }  # fmt: skip
    root = detect_layout(options.clips).root
    for clip in iterate_clips(options.clips):
        known = eval_clip(clip, root / clip.name)
        videos = (swept(clip, known.context, options.step, how), make(LAST_FRAME, known), make(BEST_VIEW, known))
        for scores, video in zip(rows.values(), videos, strict=True):
            scores[clip.name] = measure(video, known).flat()
        print(f"\r{len(scores)} clips", end="", file=sys.stderr)
    print("\n" + table(summary(rows), (*COLUMNS, *FATES)))


if __name__ == "__main__":
    try:
        main()
    except OutOfSightError as error:
        sys.exit(f"error: {error}")
