"""Metrics, one file a family: pure functions of videos, boxes and injected networks, and what registers them.

Importing this fills METRICS, in the order of docs/metrics.md, which shows what each metric sees.
"""

# isort: skip_file
from __future__ import annotations

from ..metric import METRICS, NEEDS, Metric, Value, register_metric
from ..regions import (
    PHASES, Regions, fate_region, frame_phases, hidden_frames, in_boxes, mean_of_frames, mean_where, returned_frames,
)  # fmt: skip

# these register, in the order of the tables of definitions
from .psnr import frame_psnr
from .ssim import frame_ssim, ssim_maps
from .lpips import Lpips, frame_lpips, load_lpips
from .vbench import background_consistency, consistency, corpus_consistency, subject_consistency
from .dsc import PatchFeatures, dsc_mended, dsc_mended_context, dsc_released, patch_features, subject_features
from .subject import BoxSource, Reappearance, Sought, boxes_from_masks, reappearance
from .fate import FATES, FateScore, nearest_fate
from .motion import frame_change, frame_flow
from .fvd import Frechet, frechet_distance
from .retrieval import HitRate, retrieval_hits, run_hits

from .detector import DetectorBoxes, load_detector
from .extractors import dino_extractor, load_clip_images, load_clip_patches, load_dino, patch_extractor
from .roi import roi_mean

BUILT_IN = frozenset(METRICS)  # those of this package

__all__ = [
    "BUILT_IN", "FATES", "METRICS", "NEEDS", "PHASES", "BoxSource", "DetectorBoxes", "FateScore",
    "Frechet", "HitRate", "Lpips", "Metric", "PatchFeatures", "Reappearance", "Regions", "Sought", "Value",
    "background_consistency", "boxes_from_masks", "consistency", "corpus_consistency",
    "dino_extractor", "dsc_mended", "dsc_mended_context", "dsc_released", "fate_region", "frame_change",
    "frame_flow", "frame_lpips", "frame_phases", "frame_psnr", "frame_ssim", "frechet_distance", "hidden_frames",
    "in_boxes", "load_clip_images", "load_clip_patches", "load_detector", "load_dino", "load_lpips",
    "mean_of_frames", "mean_where", "nearest_fate", "patch_extractor", "patch_features", "reappearance",
    "register_metric", "retrieval_hits", "returned_frames", "roi_mean", "run_hits", "ssim_maps",
    "subject_consistency", "subject_features",
]  # fmt: skip
