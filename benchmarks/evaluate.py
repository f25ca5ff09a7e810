"""python benchmarks/evaluate.py DIR --workers 2 [--clips 2]     what an evaluation costs, metric by metric

DIR: a folder of clips in the released layout. The true targets themselves stand for predictions, which costs the same
as a model's. Prints the cost of each metric in seconds of processor time for a video, the wall time of the whole, and,
with --clips, what all clips of the folder would take at that rate. Networks are measured where folders are given.

Targets (issue 5): 64 clips of the tiny preset under 3 minutes on 2 cores, 8 clips of 832x480x77 without networks under
5 minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from outofsight.datasets import detect_layout
from outofsight.errors import OutOfSightError
from outofsight.evaluation import NetworkFolders, evaluate
from outofsight.evaluation.tables import cost_table


def main() -> None:
    options = parse()
    layout = detect_layout(options.folder)
    if layout.kind != "released":
        raise OutOfSightError(f"{options.folder} has the {layout.kind} layout, expected the released one")
    names = layout.samples[: options.clips]
    networks = NetworkFolders(
        options.lpips, options.dino, options.clip_b32, options.clip_b16, options.detector, options.vae
    )
    with tempfile.TemporaryDirectory(prefix="outofsight-") as folder:
        clips, predictions = Path(folder, "clips"), Path(folder, "truth as prediction")
        clips.mkdir(), predictions.mkdir()
        for name in names:
            (clips / name).symlink_to(layout.root / name)
            (predictions / f"{name}.mp4").symlink_to(layout.root / name / "tgt.mp4")
        (clips / "caption.txt").symlink_to(layout.root / "caption.txt")
        start = time.perf_counter()
        found = evaluate(
            predictions, clips, Path(folder, "result.json"), networks=networks, workers=options.workers,
            report=lambda done, total: print(f"{done} of {total} clips", file=sys.stderr),
        )  # fmt: skip
        wall = time.perf_counter() - start
    print(cost_table(found), end="\n\n")
    one = next(iter(found.clips.values()))
    each = sum(found.seconds.values()) / len(names)
    size = f"{one['size'][1]}x{one['size'][0]}, {one['frames'][0]} + {one['frames'][1]} frames"
    print(
        f"{len(names)} clips of {size}: {wall:.1f} s with {options.workers} processes; {each:.2f} s of processor a clip"
    )
    if len(names) < len(layout.samples):
        total = each * len(layout.samples)
        print(
            f"all {len(layout.samples)} clips: {total:.0f} s of processor, {total / options.workers:.0f} s with "
            f"{options.workers} free cores, and some seconds to start the processes"
        )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a data folder of clips")
    parser.add_argument("--clips", type=int, help="the first so many alone")
    parser.add_argument("--workers", type=int, default=2)
    for name in ("--lpips", "--dino", "--clip-b32", "--clip-b16", "--detector"):
        parser.add_argument(name, type=Path, help="local folder of the network")
    parser.add_argument("--vae", help="model whose VAE's reconstruction is measured")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except OutOfSightError as error:
        sys.exit(f"error: {error}")
