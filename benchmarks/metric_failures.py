"""python benchmarks/metric_failures.py DIR --clips 6     which metric sees which failure, and what each metric costs

DIR: clips with fates (``outofsight worlds --split test``). Of each clip's true target, predictions are made that are
wrong in one known way (evaluation/metrics/failures.py), and every metric is computed on each. A metric sees a
failure in a clip where it finds it worse than a harmless change of the truth, JPEG at quality 85. Prints two Markdown
tables: metric by failure (mean over clips; in how many of them it was seen; after an arrow, in how many it was found
better than the truth itself), and milliseconds of one core.

Networks have random weights and small widths here unless local folders are given (--lpips, --dino, --clip-b32,
--clip-b16), so their rows show what their formulas do, not what the trained networks see. --large adds the time of
frames of 832x480, through networks of full size with random weights.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from outofsight.clips import SubjectTrack
from outofsight.errors import OutOfSightError
from outofsight.evaluation import metrics as m
from outofsight.evaluation.baselines import Continuation, last_frame_held
from outofsight.evaluation.clip import EvalClip, eval_clips
from outofsight.evaluation.measure import Measurer
from outofsight.evaluation.metrics import METRICS
from outofsight.evaluation.metrics import failures as f
from outofsight.evaluation.metrics.extractors import patch_extractor
from outofsight.evaluation.metrics.lpips import Lpips
from outofsight.evaluation.metrics.preprocess import Extractor, extract, vbench_clip_pixels
from outofsight.evaluation.networks import Networks

# row of the table -> value (evaluation.result.ClipScores.flat)
VALUES = {
    "PSNR": "psnr", "PSNR inside, re-entered": "psnr re-entered inside", "SSIM": "ssim",
    "SSIM inside, re-entered": "ssim re-entered inside", "LPIPS *": "lpips",
    "LPIPS inside, re-entered *": "lpips re-entered inside", "subject consistency *": "subject_consistency",
    "background consistency *": "background_consistency", "DSC released, context *": "dsc_released_context",
    "DSC released, truth *": "dsc_released_truth", "DSC mended, context *": "dsc_mended_context",
    "DSC mended, truth *": "dsc_mended_truth", "reappearance rate": "reappearance_rate",
    "phantom rate": "phantom_rate", "re-entry error, pixels": "reentry_error_pixels", "fate margin, dB": "fate_margin",
    "flow, pixels/frame": "flow", "change, %": "change",
}  # fmt: skip
HARMLESS = "compressed"
LATE, SHIFT, BLUR = 4, 0.1, 2.0  # frames, of the width, pixels
# rows of the table: name, the direction that is worse (0: away from the truth's own value), decimals
ROWS = {
    "PSNR": (-1, 1), "PSNR inside, re-entered": (-1, 1), "SSIM": (-1, 3), "SSIM inside, re-entered": (-1, 3),
    "LPIPS *": (1, 3), "LPIPS inside, re-entered *": (1, 3), "subject consistency *": (-1, 3),
    "background consistency *": (-1, 3), "DSC released, context *": (-1, 3), "DSC released, truth *": (-1, 3),
    "DSC mended, context *": (-1, 3), "DSC mended, truth *": (-1, 3), "reappearance rate": (-1, 2),
    "phantom rate": (1, 2), "re-entry error, pixels": (1, 1), "nearest fate is true": (-1, 2),
    "fate margin, dB": (-1, 1), "flow, pixels/frame": (0, 2), "change, %": (0, 2),
}  # fmt: skip


@dataclass(eq=False)
class Truth:
    """A clip, its staged videos, and what measures predictions of it."""

    clip: EvalClip
    context: f.Staged
    target: f.Staged
    frozen: f.Staged
    measurer: Measurer | None = None


class Costs:
    """Seconds of processor time, and frames, by what was computed."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.frames: dict[str, int] = defaultdict(int)

    def add(self, seconds: Mapping[str, float], frames: int) -> None:
        for name, spent in seconds.items():
            self.seconds[name] += spent
            self.frames[name] += frames


# --- clips and failures -----------------------------------------------------------------------------------------


def load(root: Path, count: int) -> list[Truth]:
    found = []
    for known in eval_clips(root):
        if known.fate_files is None or not known.re_entered.any():
            continue
        clip = known.read()
        assert clip.ids is not None
        cut = clip.context_frames
        frozen = f.Staged(clip.fates["frozen"], known.fate_files.frozen_ids())
        found.append(Truth(clip, f.Staged(clip.context, clip.ids[:cut]), f.Staged(clip.truth, clip.ids[cut:]), frozen))
        if len(found) == count:
            return found
    if len(found) < 2:
        raise OutOfSightError(f"{root}: {len(found)} clips with fates and a re-entry, expected 2 or more")
    return found


def staged_failures(truth: Truth, other: Truth) -> dict[str, f.Staged]:
    target, context, vanished = truth.target, truth.context, truth.clip.fates["vanished"]
    last = np.repeat(context.ids[-1:], len(target.ids), axis=0)
    stranger = f.portrait(other.context, other.clip.numbers[0])
    without = np.where(np.isin(target.ids, truth.clip.numbers), 0, target.ids).astype(np.uint8)
    pixels = round(SHIFT * target.ids.shape[2])
    return {
        "truth": target,
        HARMLESS: f.compressed(target),
        "vanished": f.Staged(vanished, without),
        "frozen": truth.frozen,
        "wrong identity": f.wrong_identity(target, truth.clip.numbers, stranger),
        "shifted": f.shifted(target, vanished, truth.clip.numbers, pixels),
        "blurred": f.blurred(target, BLUR),
        "late": f.late(context, target, LATE),
        "video held": f.Staged(last_frame_held(truth.clip).frames, last),
    }


# --- one prediction ---------------------------------------------------------------------------------------------


def measure(case: f.Staged, truth: Truth, networks: Networks, costs: Costs) -> dict[str, Any]:
    truth.measurer = truth.measurer or Measurer(truth.clip, networks, list(METRICS.values()))
    scores = truth.measurer(Continuation(case.frames, case.ids))
    costs.add(scores.seconds, len(case.frames))
    flat = scores.flat()
    found: dict[str, Any] = {row: flat.get(name) for row, name in VALUES.items()}
    fate = flat.get("fate")
    found["nearest fate is true"] = None if fate is None else float(fate == "true")
    found["clip feature"] = np.array(scores.values["fvd"].features)
    return found


class MeanImage:
    """CLIP's embedding of a frame, meaned: features of a clip for the Frechet distance."""

    name = "mean image embedding"

    def __init__(self, images: Extractor) -> None:
        self.images = images

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        return extract(frames, vbench_clip_pixels, self.images).mean(dim=0).numpy()


# --- networks ---------------------------------------------------------------------------------------------------


def networks(options: argparse.Namespace, large: bool = False) -> Networks:
    """Those of the folders given; else random ones, small, or of the published size."""
    from transformers import CLIPVisionConfig, CLIPVisionModel, CLIPVisionModelWithProjection, ViTConfig, ViTModel

    sizes: dict[str, Any] = {"image_size": 224} | ({} if large else {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    })  # fmt: skip
    torch.manual_seed(0)
    if options.lpips:
        lpips = m.load_lpips(options.lpips)
    else:
        widths = (64, 192, 384, 256, 256) if large else (16, 24, 32, 24, 24)
        trunk, before = {}, 3
        for layer, kernel, width in zip((0, 3, 6, 8, 10), (11, 5, 3, 3, 3), widths, strict=True):
            trunk[f"features.{layer}.weight"] = torch.randn(width, before, kernel, kernel) / (kernel * before**0.5)
            trunk[f"features.{layer}.bias"], before = torch.zeros(width), width
        heads = {f"lin{n}.model.1.weight": torch.rand(1, width, 1, 1) for n, width in enumerate(widths)}
        lpips = Lpips(trunk, heads)
    dino = m.load_dino(options.dino) if options.dino else m.dino_extractor(
        scattered(ViTModel(ViTConfig(patch_size=16, **sizes), add_pooling_layer=False))
    )  # fmt: skip
    patches = m.load_clip_patches(options.clip_b16) if options.clip_b16 else patch_extractor(
        scattered(CLIPVisionModel(CLIPVisionConfig(patch_size=16, **sizes)))
    )  # fmt: skip
    if options.clip_b32:
        images = m.load_clip_images(options.clip_b32)
        return Networks(lpips, dino, images, patches, video_features=MeanImage(images))
    clip = scattered(CLIPVisionModelWithProjection(CLIPVisionConfig(patch_size=32, projection_dim=4, **sizes)))
    images = torch.no_grad()(lambda pixels: clip(pixels).image_embeds)
    return Networks(lpips, dino, images, patches, video_features=MeanImage(images))


def scattered(model: Any) -> Any:
    """Weights large enough that features differ from picture to picture; as they come, the class token rules."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "position" not in name:
                parameter.normal_(0, 1.5 / parameter[0].numel() ** 0.5)
    return model.eval()


# --- tables -----------------------------------------------------------------------------------------------------


def table(results: dict[str, list[dict[str, Any]]]) -> str:
    """results: failure -> values of each clip."""
    columns = list(results)
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for name, (worse, places) in ROWS.items():
        cells = []
        for column in columns:
            values = [clip.get(name) for clip in results[column]]
            known = [value for value in values if value is not None]
            cell = f"{np.mean(known):.{places}f}" if known else "none"
            if column not in ("truth", HARMLESS) and known:
                pairs = zip(values, results["truth"], results[HARMLESS], strict=True)
                cell += " " + seen([(v, t.get(name), h.get(name)) for v, t, h in pairs], worse)
            cells.append(cell)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines.append("| Frechet distance * | " + " | ".join(frechet(results, column) for column in columns) + " |")
    return "\n".join(lines)


def seen(values: list[tuple[float | None, float | None, float | None]], worse: int) -> str:
    """In how many clips a value is worse than the harmless one, of those that have both, bold where in all; and after
    an arrow in how many it is better than the truth's own.
    """
    asked = [(v, t, h) for v, t, h in values if v is not None and t is not None and h is not None]
    hits = sum(abs(v - t) > abs(h - t) + 1e-9 if worse == 0 else worse * (v - h) > 1e-9 for v, t, h in asked)
    praised = sum(worse * (v - t) < -1e-9 for v, t, _ in asked)
    words = f"({hits}/{len(asked)}{f' ↑{praised}' if praised else ''})"
    return f"**{words}**" if asked and hits == len(asked) else words


def frechet(results: dict[str, list[dict[str, Any]]], column: str) -> str:
    features, truth = (np.stack([clip["clip feature"] for clip in results[name]]) for name in (column, "truth"))
    return f"{m.frechet_distance(features, truth).distance:.2g}"


def cost_table(columns: dict[str, Costs]) -> str:
    lines = ["| milliseconds of one core for a frame | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for name in next(iter(columns.values())).seconds:
        cells = [
            f"{1000 * costs.seconds[name] / costs.frames[name]:.1f}" if costs.frames[name] else "-"
            for costs in columns.values()
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def enlarged(truth: Truth, frames: int = 4) -> Truth:
    """The last frames of a clip at 832 x 480, by repeating pixels: only their time is of interest."""

    def large(video: np.ndarray) -> np.ndarray:
        rows, columns = (np.arange(new) * old // new for new, old in ((480, video.shape[1]), (832, video.shape[2])))
        return video[-frames:][:, rows][:, :, columns]

    halves = (truth.context, truth.target, truth.frozen)
    parts = [f.Staged(large(half.frames), large(half.ids)) for half in halves]
    known, cut = truth.clip, truth.clip.context_frames
    assert known.seen is not None
    short = replace(
        known.clip, context=parts[0].frames, target=parts[1].frames,
        masks=np.concatenate([parts[0].ids, parts[1].ids]),
        context_cameras=known.context_cameras[cut - frames :], target_cameras=known.target_cameras[-frames:],
        subjects=tuple(SubjectTrack(subject.id) for subject in known.clip.subjects),
    )  # fmt: skip
    seen = np.concatenate([known.seen[:, :frames], known.seen[:, -frames:]], axis=1)
    return Truth(EvalClip(short, None, known.numbers, seen, True, ()), *parts)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a data folder of clips with fates")
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--large", action="store_true", help="also time four frames of 832x480, networks of full size")
    for name in ("--lpips", "--dino", "--clip-b32", "--clip-b16"):
        parser.add_argument(name, type=Path, help="local folder of the trained weights")
    return parser.parse_args()


def main() -> None:
    options = parse()
    truths = load(options.folder, options.clips)
    small, costs = networks(options), Costs()
    results: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for number, truth in enumerate(truths):
        other = truths[(number + 1) % len(truths)]
        for name, case in staged_failures(truth, other).items():
            results[name].append(measure(case, truth, small, costs))
        print(f"{truth.clip.name}: {number + 1} of {len(truths)}, {time.process_time():.0f} s", file=sys.stderr)
    columns = {f"{truths[0].target.ids.shape[2]}x{truths[0].target.ids.shape[1]}, networks as here": costs}
    if options.large:
        truth = enlarged(truths[0])
        columns["832x480, networks of full size"] = full = Costs()
        measure(truth.target, truth, networks(options, large=True), full)
    print(table(results), "\n", cost_table(columns), sep="\n")


if __name__ == "__main__":
    try:
        main()
    except OutOfSightError as error:
        sys.exit(f"error: {error}")
