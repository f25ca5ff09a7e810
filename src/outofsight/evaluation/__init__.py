"""What a generated video is worth: the benchmark, its metrics, baselines to beat, and intervals over clips.

``evaluate`` measures folders of predictions; ``measure`` one video of one :class:`EvalClip`. The demo, the validation,
the study and the viewer print what ``measure`` finds, so one name is one number everywhere.
"""

from __future__ import annotations

from .baselines import best_view_copied, best_views, last_frame_held
from .benchmark import evaluate
from .bootstrap import Interval, interval
from .clip import EvalClip, eval_clip, eval_clips
from .measure import Sample, measure
from .metrics import (
    METRICS,
    FateScore,
    HitRate,
    Metric,
    Value,
    frame_psnr,
    nearest_fate,
    register_metric,
    retrieval_hits,
)
from .networks import NetworkFolders
from .predictions import PredictionError
from .result import Evaluation, read_evaluation

__all__ = [
    "METRICS", "EvalClip", "Evaluation", "FateScore", "HitRate", "Interval", "Metric", "NetworkFolders",
    "PredictionError", "Sample", "Value", "best_view_copied", "best_views", "eval_clip", "eval_clips", "evaluate",
    "frame_psnr", "interval", "last_frame_held", "measure", "nearest_fate", "read_evaluation", "register_metric",
    "retrieval_hits",
]  # fmt: skip
