"""Metrics: pure functions of videos, boxes and injected feature extractors; docs/metrics.md says what each one sees.

METRICS lists them all by name, with what each needs; :func:`skipped` says which cannot be computed, and why. PSNR,
fates and retrieval hits are older than this package and live beside it, in ``outofsight.evaluation``.
"""

from __future__ import annotations

from ..fates import nearest_fate
from ..psnr import frame_psnr
from ..retrieval import retrieval_hits
from .definitions import EXTRACTORS, METRICS, NEEDS, Definition, skipped, why_not
from .detector import DetectorBoxes, load_detector
from .dsc import (
    PatchFeatures,
    dsc_mended,
    dsc_mended_context,
    dsc_released,
    patch_features,
    subject_features,
)
from .extractors import dino_extractor, load_clip_images, load_clip_patches, load_dino, patch_extractor
from .fvd import Frechet, frechet_distance
from .lpips import Lpips, frame_lpips, load_lpips
from .motion import Motion, flow_beside_truth, frame_change, frame_flow
from .regions import PHASES, Measured, Regions, frame_phases, in_boxes, mean_where
from .roi import roi_mean
from .ssim import frame_ssim, ssim_maps
from .subject import (
    BoxSource,
    MaskBoxes,
    Reappearance,
    Sought,
    boxes_from_masks,
    hidden_frames,
    reappearance,
)
from .vbench import background_consistency, consistency, corpus_consistency, subject_consistency

__all__ = [
    "EXTRACTORS",
    "METRICS",
    "NEEDS",
    "PHASES",
    "BoxSource",
    "Definition",
    "DetectorBoxes",
    "Frechet",
    "Lpips",
    "MaskBoxes",
    "Measured",
    "Motion",
    "PatchFeatures",
    "Reappearance",
    "Regions",
    "Sought",
    "background_consistency",
    "boxes_from_masks",
    "consistency",
    "corpus_consistency",
    "dino_extractor",
    "dsc_mended",
    "dsc_mended_context",
    "dsc_released",
    "flow_beside_truth",
    "frame_change",
    "frame_flow",
    "frame_lpips",
    "frame_phases",
    "frame_psnr",
    "frame_ssim",
    "frechet_distance",
    "hidden_frames",
    "in_boxes",
    "load_clip_images",
    "load_clip_patches",
    "load_detector",
    "load_dino",
    "load_lpips",
    "mean_where",
    "nearest_fate",
    "patch_extractor",
    "patch_features",
    "reappearance",
    "retrieval_hits",
    "roi_mean",
    "skipped",
    "ssim_maps",
    "subject_consistency",
    "subject_features",
    "why_not",
]
