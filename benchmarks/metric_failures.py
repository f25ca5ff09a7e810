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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from outofsight.datasets import iterate_clips
from outofsight.datasets.world_extras import read_fates
from outofsight.errors import OutOfSightError
from outofsight.evaluation import metrics as m
from outofsight.evaluation.clip import EvalClip, eval_clip
from outofsight.evaluation.metrics import failures as f
from outofsight.evaluation.metrics.extractors import patch_extractor
from outofsight.evaluation.metrics.lpips import Lpips
from outofsight.evaluation.metrics.preprocess import Extractor, extract, vbench_clip_pixels
from outofsight.evaluation.metrics.psnr import mean_psnr as mean_of_frames

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


@dataclass(frozen=True, eq=False)
class Networks:
    lpips: Lpips
    dino: Extractor
    images: Extractor
    patches: Extractor


@dataclass(eq=False)
class Truth:
    """A clip, its staged videos, and what is asked of a prediction. numbers: subjects that the fates befall."""

    held: EvalClip
    context: f.Staged
    target: f.Staged
    frozen: f.Staged
    numbers: list[int]
    features: dict[str, list[np.ndarray]] = field(default_factory=dict)


class Costs:
    """Seconds of processor time, and frames, by what was computed."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.frames: dict[str, int] = defaultdict(int)

    @contextmanager
    def of(self, what: str, frames: int) -> Iterator[None]:
        start = time.process_time()
        yield
        self.seconds[what] += time.process_time() - start
        self.frames[what] += frames


# --- clips and failures -----------------------------------------------------------------------------------------


def load(root: Path, count: int) -> list[Truth]:
    found = []
    for clip in iterate_clips(root):
        fates = read_fates(root / clip.name)
        if fates is None:
            continue
        held, ids = eval_clip(clip, root / clip.name), clip.load_masks()
        cut = len(held.context)
        numbers = [1 + [subject.id for subject in clip.subjects].index(name) for name in fates.subjects]
        frozen = f.Staged(held.fates["frozen"], fates.frozen_ids())
        truth = Truth(held, f.Staged(held.context, ids[:cut]), f.Staged(held.truth, ids[cut:]), frozen, numbers)
        if held.re_entered.any():
            found.append(truth)
        if len(found) == count:
            return found
    if len(found) < 2:
        raise OutOfSightError(f"{root}: {len(found)} clips with fates and a re-entry, expected 2 or more")
    return found


def staged_failures(truth: Truth, other: Truth) -> dict[str, f.Staged]:
    target, context, vanished = truth.target, truth.context, truth.held.fates["vanished"]
    last = np.repeat(context.ids[-1:], len(target.ids), axis=0)
    stranger = f.portrait(other.context, other.numbers[0])
    without = np.where(np.isin(target.ids, truth.numbers), 0, target.ids).astype(np.uint8)
    pixels = round(SHIFT * target.ids.shape[2])
    return {
        "truth": target,
        HARMLESS: f.compressed(target),
        "vanished": f.Staged(vanished, without),
        "frozen": truth.frozen,
        "wrong identity": f.wrong_identity(target, truth.numbers, stranger),
        "shifted": f.shifted(target, vanished, truth.numbers, pixels),
        "blurred": f.blurred(target, BLUR),
        "late": f.late(context, target, LATE),
        "video held": f.Staged(truth.held.hold(), last),
    }


# --- one prediction ---------------------------------------------------------------------------------------------


def measure(case: f.Staged, truth: Truth, networks: Networks, costs: Costs) -> dict[str, float | None]:
    held, target = truth.held, truth.target
    count, height, width = target.ids.shape
    true_boxes, boxes = (m.boxes_from_masks(video.ids, truth.numbers) for video in (target, case))
    regions = m.Regions(m.frame_phases(held.visible, len(held.context)), m.in_boxes(true_boxes, height, width))
    found: dict[str, float | None] = {}

    def keep(name: str, measured: m.Measured) -> None:
        split, mark = name.partition(" *")[:2]
        found[name], found[f"{split} inside, re-entered{mark}"] = measured.value, measured.means["re-entered inside"]

    with costs.of("PSNR", count):
        psnr = m.frame_psnr(case.frames, target.frames)
        keep("PSNR", regions.measured("psnr", psnr, lambda where: m.frame_psnr(case.frames, target.frames, where)))
    with costs.of("SSIM", count):
        maps = m.ssim_maps(case.frames, target.frames)
        everywhere = np.ones_like(maps, bool)
        keep("SSIM", regions.measured("ssim", m.mean_where(maps, everywhere), lambda where: m.mean_where(maps, where)))
    with costs.of("LPIPS *", count):
        values, drawn = m.frame_lpips(case.frames, target.frames, networks.lpips)
        keep("LPIPS *", regions.measured("lpips", values, lambda where: m.mean_where(drawn, where)))
    with costs.of("subject consistency *", count):
        found["subject consistency *"] = mean_of_frames(m.subject_consistency(case.frames, networks.dino))
    with costs.of("background consistency *", count):
        images = extract(case.frames, vbench_clip_pixels, networks.images)
        found["background consistency *"] = mean_of_frames(m.consistency(images))
        found["clip feature"] = images.mean(dim=0).numpy()
    with costs.of("DSC, all four *", count):
        found |= dsc(case, truth, networks, boxes)
    with costs.of("re-entry (boxes known)", count):
        hidden = m.hidden_frames(held.visible, len(held.context))
        entry = m.reappearance(boxes, true_boxes, held.returned, hidden, (height, width))
    found |= {"reappearance rate": entry.rate, "phantom rate": entry.phantom_rate}
    found["re-entry error, pixels"] = entry.error_pixels
    with costs.of("fates", count):
        fate = m.nearest_fate(case.frames, held.fates, held.region, held.re_entered)
    if fate is not None:
        found |= {"nearest fate is true": float(fate.nearest == "true"), "fate margin, dB": fate.margin_db}
    with costs.of("flow, pixels/frame", count):
        found["flow, pixels/frame"] = mean_of_frames(m.frame_flow(case.frames))
    with costs.of("change, %", count):
        found["change, %"] = mean_of_frames(m.frame_change(case.frames))
    return found


def dsc(case: f.Staged, truth: Truth, networks: Networks, boxes: np.ndarray) -> dict[str, float | None]:
    """The four DSCs, each the mean over the subjects that have a value."""
    encoded = m.patch_features(case.frames, networks.patches)
    values: dict[str, list[np.ndarray]] = defaultdict(list)
    for row in range(len(truth.numbers)):
        for remap, kind in ((False, "released"), (True, "mended")):
            features = m.subject_features(encoded, boxes[row], remap=remap)
            context, target = (true_features(truth, networks, row, remap, half) for half in ("context", "target"))
            if remap:
                back = truth.held.returned[row]
                pair = m.dsc_mended_context(features, context, target, back), m.dsc_mended(features, target, back)
            else:
                pair = m.dsc_released(features, context), m.dsc_released(features, target)
            for reference, frames in zip(("context", "truth"), pair, strict=True):
                values[f"DSC {kind}, {reference} *"].append(frames)
    return {name: mean_of_frames(np.concatenate(frames)) for name, frames in values.items()}


def true_features(truth: Truth, networks: Networks, row: int, remap: bool, half: str) -> np.ndarray:
    """Of the context or the target as they were; kept for the clip's other predictions."""
    if f"{half} {remap}" not in truth.features:
        video: f.Staged = getattr(truth, half)
        encoded = m.patch_features(video.frames, networks.patches)
        tracks = m.boxes_from_masks(video.ids, truth.numbers)
        truth.features[f"{half} {remap}"] = [m.subject_features(encoded, track, remap=remap) for track in tracks]
    return truth.features[f"{half} {remap}"][row]


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
        return Networks(lpips, dino, m.load_clip_images(options.clip_b32), patches)
    clip = scattered(CLIPVisionModelWithProjection(CLIPVisionConfig(patch_size=32, projection_dim=4, **sizes)))
    return Networks(lpips, dino, torch.no_grad()(lambda pixels: clip(pixels).image_embeds), patches)


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
        cells = [f"{1000 * costs.seconds[name] / costs.frames[name]:.1f}" for costs in columns.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def enlarged(truth: Truth, frames: int = 4) -> Truth:
    """The last frames of a clip at 832 x 480, by repeating pixels: only their time is of interest."""

    def large(video: np.ndarray) -> np.ndarray:
        rows, columns = (np.arange(new) * old // new for new, old in ((480, video.shape[1]), (832, video.shape[2])))
        return video[-frames:][:, rows][:, :, columns]

    held, halves = truth.held, (truth.context, truth.target, truth.frozen)
    parts = [f.Staged(large(half.frames), large(half.ids)) for half in halves]
    seen_in = np.concatenate([held.visible[:, :frames], held.visible[:, -frames:]], axis=1)
    short = EvalClip(
        held.name, held.fps, parts[0].frames, {name: large(video) for name, video in held.fates.items()},
        held.views[-frames:], seen_in, held.returned[:, -frames:], held.hidden[-frames:], large(held.inside),
        large(held.region),
    )  # fmt: skip
    return Truth(short, *parts, truth.numbers)


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
        print(f"{truth.held.name}: {number + 1} of {len(truths)}, {time.process_time():.0f} s", file=sys.stderr)
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
