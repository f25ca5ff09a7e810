"""What a generated video is worth: measures, trivial answers to beat, and intervals over clips."""

from __future__ import annotations

from .bootstrap import Interval, interval
from .fates import FateScore, nearest_fate
from .psnr import frame_psnr, mean_psnr
from .retrieval import HitRate, retrieval_hits
from .trivial import best_views, hold_last

__all__ = [
    "FateScore",
    "HitRate",
    "Interval",
    "best_views",
    "frame_psnr",
    "hold_last",
    "interval",
    "mean_psnr",
    "nearest_fate",
    "retrieval_hits",
]
