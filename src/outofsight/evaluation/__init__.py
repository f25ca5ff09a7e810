"""What a generated video is worth: the benchmark, its measures, trivial answers to beat, and intervals over clips."""

from __future__ import annotations

from .benchmark import evaluate
from .bootstrap import Interval, interval
from .fates import FateScore, nearest_fate
from .networks import NetworkFolders
from .predictions import PredictionError
from .psnr import frame_psnr, mean_psnr
from .result import Evaluation, read_evaluation
from .retrieval import HitRate, retrieval_hits
from .trivial import best_views, hold_last

__all__ = [
    "Evaluation",
    "FateScore",
    "HitRate",
    "Interval",
    "NetworkFolders",
    "PredictionError",
    "best_views",
    "evaluate",
    "frame_psnr",
    "hold_last",
    "interval",
    "mean_psnr",
    "nearest_fate",
    "read_evaluation",
    "retrieval_hits",
]
