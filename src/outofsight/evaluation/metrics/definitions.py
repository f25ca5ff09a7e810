"""Every metric by name: what it is, what it needs, and which way is better. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from ...errors import OutOfSightError

# what a metric may need beyond the prediction, in the words of the reason why it was skipped
NEEDS: Mapping[str, str] = {
    "truth": "the ground truth's video",
    "fates": "the target rendered three ways (clips made with outofsight worlds --fates or --split test)",
    "visibility": "visible-pixel counts of the subjects",
    "masks": "masks of the subjects, for their true boxes",
    "boxes": "boxes of the subjects in the prediction, from a detector or tracker",
    "lpips": "a local folder with alexnet-owt-7be5be79.pth and alex.pth",
    "dino": "a local folder of DINO ViT-B/16 (facebook/dino-vitb16)",
    "clip-b32": "a local folder of CLIP ViT-B/32 (openai/clip-vit-base-patch32)",
    "clip-b16": "a local folder of CLIP ViT-B/16 (openai/clip-vit-base-patch16)",
    "video-features": "an extractor of features of whole clips",
    "trace": "the model's retrieval trace (generate --trace)",
}
EXTRACTORS = frozenset({"lpips", "dino", "clip-b32", "clip-b16", "video-features"})
Better = Literal["higher", "lower", "like the truth", "neither"]


@dataclass(frozen=True)
class Definition:
    """One metric.

    words: the definition in one line, every choice that changes the number in it. needs: keys of NEEDS. per: what one
    value belongs to: a "pixel" (so it is told inside and outside of the subjects), a "frame", a "clip" or a "set" of
    clips; all but the last two are told by phase.
    """

    name: str
    words: str
    unit: str
    better: Better
    needs: frozenset[str]
    per: Literal["pixel", "frame", "clip", "set"]

    @property
    def network(self) -> bool:
        """Whether it runs a network whose weights have to be given (a detector, for boxes, not counted)."""
        return bool(self.needs & EXTRACTORS)


def _all(*definitions: Definition) -> dict[str, Definition]:
    return {definition.name: definition for definition in definitions}


def _needs(words: str) -> frozenset[str]:
    return frozenset(words.split())


_S_T = "mean over t of (max(0, cos to the frame before) + max(0, cos to the first)) / 2"
_DSC = "CLIP ViT-B/16 patch tokens before the final norm, RoIAlign 7x7 in the subject's box, mean, cosine"

METRICS: Mapping[str, Definition] = _all(
    Definition(
        "psnr", "uint8 frames on [0, 1], per frame, then the mean; equal frames count 100 dB",
        "dB", "higher", _needs("truth"), "pixel",
    ),
    Definition(
        "ssim", "Gaussian window 11, deviation 1.5, K .01/.03, reflected edges, per colour (as torchmetrics)",
        "", "higher", _needs("truth"), "pixel",
    ),
    Definition(
        "lpips", "AlexNet, heads v0.1, frames on [-1, 1] at their own size",
        "", "lower", _needs("truth lpips"), "pixel",
    ),
    Definition(
        "subject_consistency", f"VBench: short side 224 bilinear, DINO ViT-B/16 class token; {_S_T}",
        "", "like the truth", _needs("dino"), "frame",
    ),
    Definition(
        "background_consistency", f"VBench: 224 bicubic, centre crop, CLIP ViT-B/32 image embedding; {_S_T}",
        "", "like the truth", _needs("clip-b32"), "frame",
    ),
    Definition(
        "dsc_released_context", f"{_DSC}, all pairs with context frames; boxes not moved to the crop, none = dropped",
        "", "higher", _needs("masks boxes clip-b16"), "frame",
    ),
    Definition(
        "dsc_released_truth", f"{_DSC}, all pairs with true target frames; faults as in dsc_released_context",
        "", "higher", _needs("truth masks boxes clip-b16"), "frame",
    ),
    Definition(
        "dsc_mended_context", f"{_DSC}, re-entered frames with all context frames; boxes moved to the crop, none = 0",
        "", "higher", _needs("masks visibility boxes clip-b16"), "frame",
    ),
    Definition(
        "dsc_mended_truth", f"{_DSC}, re-entered frames with the same true frame; boxes moved to the crop, none = 0",
        "", "higher", _needs("truth masks visibility boxes clip-b16"), "frame",
    ),
    Definition(
        "reappearance_rate", "share of truly re-entered frames in which the prediction has a box of the subject",
        "share", "higher", _needs("visibility masks boxes"), "frame",
    ),
    Definition(
        "phantom_rate", "share of frames in which the subject is truly hidden and the prediction has a box of it",
        "share", "lower", _needs("visibility masks boxes"), "frame",
    ),
    Definition(
        "reentry_error_pixels", "distance of box centres in re-entered frames that have both boxes",
        "pixels", "lower", _needs("visibility masks boxes"), "frame",
    ),
    Definition(
        "reentry_error_share", "the same by the frame's diagonal",
        "share", "lower", _needs("visibility masks boxes"), "frame",
    ),
    Definition(
        "fate", "nearest by squared error in the pixels of the true and frozen subjects, re-entered frames",
        "shares", "higher", _needs("truth fates visibility masks"), "clip",
    ),
    Definition(
        "fate_margin", "10 log10 of the squared error to the nearer of vanished and frozen, by that to the true fate",
        "dB", "higher", _needs("truth fates visibility masks"), "clip",
    ),
    Definition(
        "flow", "phase correlation of half-overlapping tiles of successive frames, mean length weighed by peak height",
        "pixels/frame", "like the truth", frozenset(), "frame",
    ),
    Definition(
        "change", "mean absolute difference of successive frames, of 255",
        "%", "like the truth", frozenset(), "pixel",
    ),
    Definition(
        "fvd", "Frechet distance of injected clip features: means and covariances (n - 1), float64",
        "", "lower", _needs("truth video-features"), "set",
    ),
    Definition(
        "retrieval_hit_rate", "share of recalled memory tokens that cover a context frame with the returned subject",
        "share", "higher", _needs("trace visibility"), "clip",
    ),
)  # fmt: skip


def why_not(name: str, available: Collection[str]) -> str | None:
    """Why a metric cannot be computed with what is available (keys of NEEDS); None where it can.

    Raises OutOfSightError for a metric or a thing that is not known.
    """
    if name not in METRICS:
        raise OutOfSightError(f"no metric {name!r}, expected one of {', '.join(METRICS)}")
    unknown = sorted(set(available) - set(NEEDS))
    if unknown:
        raise OutOfSightError(f"nothing needs {', '.join(unknown)}, expected of {', '.join(NEEDS)}")
    lacking = [words for need, words in NEEDS.items() if need in METRICS[name].needs and need not in available]
    return f"needs {'; '.join(lacking)}" if lacking else None


def skipped(available: Collection[str]) -> dict[str, str]:
    """Every metric that cannot be computed, with the reason."""
    reasons = {name: why_not(name, available) for name in METRICS}
    return {name: reason for name, reason in reasons.items() if reason is not None}
