"""What a metric is, and the registry of all of them: one metric is one file and one call of :func:`register_metric`.

The metrics of this package lie in :mod:`.metrics`. One from outside is registered by whoever imports it, and from then
on ``evaluate`` computes it, keeps it and shows it in its tables. Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import OutOfSightError

if TYPE_CHECKING:
    from .measure import Sample

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
Better = Literal["higher", "lower", "like the truth", "neither"]
Frames = tuple[float | None, ...]


@dataclass(frozen=True)
class Value:
    """One metric of one video.

    means: over frames by name: "target" (all frames), the phases, "inside", "outside", "re-entered inside" (see
    :mod:`.regions`); None where there is no such frame or pixel. frames: of each target frame, or of each by subject;
    None where a metric has none. facts: what else it found, by name. features: of the whole clip, for metrics of sets.
    """

    means: Mapping[str, float | None]
    frames: Frames | Mapping[str, Frames] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    features: tuple[float, ...] | None = None

    def to_json(self, decimals: int | None = None) -> dict[str, Any]:
        """decimals: to which values per frame are rounded, features left out; None: not rounded, with features."""
        frames: Any = self.frames
        if isinstance(frames, Mapping):
            frames = {name: _rounded(track, decimals) for name, track in frames.items()}
        elif frames is not None:
            frames = _rounded(frames, decimals)
        content = {
            "means": dict(self.means), "frames": frames, "facts": dict(self.facts), "notes": list(self.notes),
            "features": list(self.features) if self.features is not None and decimals is None else None,
        }  # fmt: skip
        return {name: found for name, found in content.items() if found not in (None, {}, [])}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Value:
        frames, features = content.get("frames"), content.get("features")
        if isinstance(frames, dict):
            frames = {name: tuple(track) for name, track in frames.items()}
        elif frames is not None:
            frames = tuple(frames)
        notes = tuple(content.get("notes", ()))
        return cls(
            content.get("means", {}),
            frames,
            content.get("facts", {}),
            notes,
            None if features is None else tuple(features),
        )


@dataclass(frozen=True)
class Metric:
    """One metric.

    Args:
        name: of its values. needs: keys of NEEDS; where one is not met, the metric is skipped with the reason.
        unit: of the number, "" where it has none. better: which way is better.
        compute: the metric of one video. It returns a number or None, a value per target frame (float ``[f]``, NaN
            where it has no value; its means by phase are taken), or a :class:`Value`.
        words: the definition in one line, with every choice that changes the number.
        per: what one value belongs to: a "pixel" (so it is reported inside and outside of the subjects), a "frame",
            a "clip" or a "set" of clips; all but the last two are reported by phase.
        family: metrics that share a computation share this name, under which their time is reported.
        over_clips: from the values of a row and of the truth, by clip, to numbers of all clips together, by name.
    """

    name: str
    needs: frozenset[str]
    unit: str
    better: Better
    compute: Callable[[Sample], Value | np.ndarray | float | None]
    words: str = ""
    per: Literal["pixel", "frame", "clip", "set"] = "frame"
    family: str = ""
    over_clips: Callable[[Mapping[str, Value], Mapping[str, Value]], dict[str, Any]] | None = None

    def why_not(self, available: Collection[str]) -> str | None:
        """Why it cannot be computed with what is available (keys of NEEDS); None where it can."""
        lacking = [words for need, words in NEEDS.items() if need in self.needs and need not in available]
        return f"needs {'; '.join(lacking)}" if lacking else None

    def definition(self) -> dict[str, Any]:
        """What a result records of it."""
        return {
            "name": self.name, "words": self.words, "unit": self.unit, "better": self.better,
            "needs": sorted(self.needs), "per": self.per,
        }  # fmt: skip


METRICS: dict[str, Metric] = {}


def register_metric(metric: Metric) -> Metric:
    """Add a metric to METRICS, and return it. ``evaluate`` computes it from then on.

    Registering the same metric again changes nothing. In other processes (``--workers``) it is found by the module of
    its ``compute``, so that has to be a function of a module.

    Raises:
        OutOfSightError: a name that is empty or taken by another metric, or needs that are not in NEEDS.
    """
    unknown = sorted(metric.needs - set(NEEDS))
    if unknown:
        raise OutOfSightError(f"metric {metric.name!r} needs {', '.join(unknown)}, expected of {', '.join(NEEDS)}")
    if not metric.name.strip():
        raise OutOfSightError("a metric has no name: give it one that no other has")
    known = METRICS.setdefault(metric.name, metric)
    if known != metric:
        raise OutOfSightError(f"there is another metric {metric.name!r} already: give it a name of its own")
    return metric


def _rounded(values: Frames, decimals: int | None) -> list[float | None]:
    return [value if value is None or decimals is None else round(value, decimals) for value in values]
