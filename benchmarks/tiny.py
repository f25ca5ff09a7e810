r"""python benchmarks/tiny.py --model M --latents LATENTS --clips DIR --out OUT
python benchmarks/tiny.py --model PARTS --transformer RUN/checkpoints/step-0001000/ema ... --clips-at-most 8

What the shipped model is worth on held-out clips (issue 4, items 2 to 4): PSNR against the trivial answers and the
VAE's ceiling, by phase; which fate it is nearest to; what it recalls; and the same with its memory taken away.
LATENTS is what ``outofsight encode DIR --model M --out LATENTS`` made of the clips in DIR, which were made with
``outofsight worlds --split test`` (fates and all). Writes validation.json (per-clip values), validation.md and videos.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from outofsight.errors import OutOfSightError
from outofsight.evaluation.ablation import ABLATIONS
from outofsight.generation.folders import resolve_model
from outofsight.models import WorldTransformer3DModel
from outofsight.training.dataset import LatentDataset
from outofsight.training.parts import load_parts
from outofsight.training.validate import Validator
from outofsight.training.validation_report import ValidationSettings


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="pipeline folder or shipped name; its VAE decodes")
    parser.add_argument("--transformer", type=Path, help="another folder for the transformer (a training checkpoint's)")
    parser.add_argument("--latents", type=Path, required=True)
    parser.add_argument("--clips", type=Path, required=True, nargs="+", help="folders of the same clips")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips-at-most", type=int)
    parser.add_argument("--steps", type=int, default=ValidationSettings.steps)
    parser.add_argument("--guidance", type=float, default=ValidationSettings.guidance)
    parser.add_argument("--shift", type=float, default=ValidationSettings.shift)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=ValidationSettings.batch)
    parser.add_argument("--videos", type=int, default=ValidationSettings.videos)
    parser.add_argument("--no-ablations", action="store_true", help="leave out the runs without memory")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def main() -> None:
    options = parse()
    parts = load_parts(options.model)
    place = options.transformer or resolve_model(options.model) / "transformer"
    transformer = WorldTransformer3DModel.from_pretrained(place, torch_dtype=torch.float32, use_safetensors=True)
    settings = ValidationSettings(
        steps=options.steps,
        guidance=options.guidance,
        shift=options.shift,
        seed=options.seed,
        clips=options.clips_at_most,
        batch=options.batch,
        ablations=() if options.no_ablations else ABLATIONS,
        videos=options.videos,
    )
    validator = Validator(parts.vae.to(options.device), LatentDataset(options.latents), options.clips, settings)
    started = time.perf_counter()

    def progress(row: str, done: int, total: int) -> None:
        if done % max(1, total // 4) == 0 or done == total:
            print(f"{time.perf_counter() - started:7.0f} s  {row}: {done} of {total} clips", file=sys.stderr)

    report = validator.run(transformer.to(options.device).eval(), options.out, progress)
    report.save(options.out)
    print(report.words())


if __name__ == "__main__":
    try:
        main()
    except OutOfSightError as error:
        sys.exit(f"error: {error}")
