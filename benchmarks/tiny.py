r"""python benchmarks/tiny.py --model M --latents LATENTS --clips DIR --out OUT
python benchmarks/tiny.py --model PARTS --transformer RUN/checkpoints/step-0001000/ema ... --clips-at-most 8

What the shipped model is worth on held-out clips (issue 4, items 2 to 4): PSNR against the trivial answers and the
VAE's ceiling, by phase; which fate it is nearest to; what it recalls; and the same with its memory taken away.
LATENTS is what ``outofsight encode DIR --model M --out LATENTS`` made of the clips in DIR, which were made with
``outofsight worlds --split test`` (fates and all). Writes validation.json (per-clip values), validation.md and videos.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from outofsight.components.hub import INDEX, resolve_model
from outofsight.errors import OutOfSightError
from outofsight.evaluation.ablation import ABLATIONS
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
    parser.add_argument("--steps", type=int, help="of the sampler, like guidance and shift: the model's own by default")
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--shift", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=ValidationSettings.batch)
    parser.add_argument("--videos", type=int, default=ValidationSettings.videos)
    parser.add_argument("--no-ablations", action="store_true", help="leave out the runs without memory")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def sampling(options: argparse.Namespace) -> dict[str, Any]:
    """Steps, guidance and shift: as given, else the model's own, else the validation's."""
    index = Path(options.model) / INDEX
    if not Path(options.model).is_dir():
        index = resolve_model(options.model) / INDEX
    own = json.loads(index.read_text()) if index.is_file() else {}
    names = {"steps": "num_inference_steps", "guidance": "guidance_scale", "shift": "shift"}
    given = {ours: getattr(options, ours) for ours in names}
    return {
        ours: own.get(theirs, getattr(ValidationSettings, ours)) if given[ours] is None else given[ours]
        for ours, theirs in names.items()
    }


def main() -> None:
    options = parse()
    parts = load_parts(options.model)
    place = options.transformer or resolve_model(options.model) / "transformer"
    transformer = WorldTransformer3DModel.from_pretrained(place, torch_dtype=torch.float32, use_safetensors=True)
    settings = ValidationSettings(
        **sampling(options),
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
