"""One video of one clip, through every metric that can be computed: the one way in which anything is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from ..errors import GeometryError, OutOfSightError
from .baselines import Continuation
from .clip import EvalClip
from .metric import METRICS, Frames, Metric, Value
from .metrics.subject import Sought, boxes_from_masks
from .networks import Networks
from .regions import Within, mean_of_frames
from .result import ClipScores
from .traces import RunTrace

MASKS = "masks of these very frames"
# what the demo, the validation, the study and the viewer measure: no network, and a few milliseconds a frame
CORE = ("psnr", "fate", "fate_margin", "retrieval_hit_rate")
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Sample:
    """What a metric is computed from: a video, the clip that it continues, and what is known of both.

    frames: uint8 ``[Ft, h, w, 3]``, as ``clip.truth``. boxes: of the subjects in these frames, float64 ``[s, Ft, 4]``.
    trace: what the model recalled (row ``trace_row`` of its batch). What a metric does not list in its ``needs`` may be
    None.
    """

    frames: np.ndarray
    clip: EvalClip
    networks: Networks
    boxes: np.ndarray | None = None
    trace: RunTrace | None = None
    trace_row: int = 0
    _once: dict[str, Any] = field(default_factory=dict)
    _once_a_clip: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[Sample], T]) -> T:
        """What several metrics of the video share, made for the first of them."""
        if name not in self._once:
            self._once[name] = make(self)
        found: T = self._once[name]
        return found

    def once_a_clip(self, name: str, make: Callable[[], T]) -> T:
        """What the metrics of all videos of the clip share."""
        if name not in self._once_a_clip:
            self._once_a_clip[name] = make()
        found: T = self._once_a_clip[name]
        return found

    def by_region(self, frames: np.ndarray, within: Within | None = None) -> Value:
        """Values per frame, float ``[Ft]``, with their means by phase and region (``Regions.means``)."""
        return Value(self.clip.regions.means(frames, within), _numbers(frames))

    def by_subject(self, values: np.ndarray) -> Value:
        """Of values ``[s, Ft]``: means over all frames of all subjects that have one, and by phase."""
        means = {"target": mean_of_frames(values.ravel())}
        for phase, chosen in self.clip.phases.items():
            means[phase] = mean_of_frames(values[:, chosen].ravel())
        return Value(means, dict(zip(self.clip.subjects, map(_numbers, values), strict=True)))


def measure(
    made: Continuation | np.ndarray, clip: EvalClip, metrics: Sequence[str] = CORE, networks: Networks | None = None
) -> ClipScores:
    """Measure one video of a clip by metrics of METRICS; those that cannot be computed are skipped, with the reason.

    made: the video, or its frames uint8 ``[Ft, h, w, 3]`` alone.

    Raises GeometryError for a video of another shape than the clip's, LayoutError for a trace of another.
    """
    continuation = made if isinstance(made, Continuation) else Continuation(made)
    return Measurer(clip, networks or Networks(), [METRICS[name] for name in metrics])(continuation)


class Measurer:
    """Measures videos of one clip; what they share is computed once.

    A detector among the networks is asked for the boxes of every video, so that all rows have theirs from one source;
    without one, boxes are known where a video's own masks are.
    """

    def __init__(self, clip: EvalClip, networks: Networks, metrics: Sequence[Metric]) -> None:
        self.clip, self.networks, self.metrics = clip, networks, metrics
        self._shared: dict[str, Any] = {}

    def __call__(self, made: Continuation) -> ClipScores:
        """Raises GeometryError for a video of another shape than the clip's, LayoutError for a trace of another."""
        expected = (self.clip.target_frames, *self.clip.context.shape[1:])
        if made.frames.shape != expected:
            raise GeometryError(f"the video is {list(made.frames.shape)}, the clip's target {list(expected)}")
        seconds: dict[str, float] = {}
        with _timed(seconds, "boxes"):
            boxes, source, no_boxes = self._boxes(made)
        there = set(self.clip.available | self.networks.available)
        there |= {"boxes"} if boxes is not None else set()
        there |= {"trace"} if made.trace is not None else set()
        sample = Sample(
            made.frames, self.clip, self.networks, boxes, made.trace, made.trace_row, _once_a_clip=self._shared
        )
        values, skipped = {}, {}
        for metric in self.metrics:
            reason = metric.why_not(there)
            if reason is None:
                with _timed(seconds, metric.family or metric.name):
                    values[metric.name] = _value(sample, metric)
            else:
                told = no_boxes is not None and "boxes" in metric.needs
                skipped[metric.name] = f"{reason} ({no_boxes})" if told else reason
        return ClipScores(values, skipped, source, seconds)

    def _boxes(self, made: Continuation) -> tuple[np.ndarray | None, str | None, str | None]:
        """Boxes ``[s, Ft, 4]`` and where they come from; or why there are none, where a note is needed."""
        tracker, clip = self.networks.detector, self.clip
        if not any("boxes" in metric.needs for metric in self.metrics):
            return None, None, None
        if tracker is None:
            if made.ids is None:
                return None, None, None
            return boxes_from_masks(made.ids, clip.numbers), MASKS, None
        tracks = [clip.clip.subjects[number - 1] for number in clip.numbers]
        context = clip.boxes[0]
        sought = [Sought(t.id, str(t.attributes.get("kind", t.id)), context[n]) for n, t in enumerate(tracks)]
        try:
            boxes = tracker(clip.context, made.frames, sought)
        except OutOfSightError as cause:
            return None, tracker.name, str(cause)
        if boxes.shape != clip.boxes[1].shape:
            expected = list(clip.boxes[1].shape)
            raise GeometryError(f"{tracker.name} gave boxes {list(boxes.shape)}, expected {expected}")
        return boxes, tracker.name, None


def _value(sample: Sample, metric: Metric) -> Value:
    """Compute a metric. Raises GeometryError for values of other frames than the target's."""
    found = metric.compute(sample)
    if isinstance(found, Value):
        return found
    if isinstance(found, np.ndarray) and found.ndim > 0:
        if found.shape != (sample.clip.target_frames,):
            shape = [sample.clip.target_frames]
            raise GeometryError(f"metric {metric.name!r} gave values {list(found.shape)}, expected {shape}")
        return sample.by_region(found)
    return Value({"target": None if found is None or np.isnan(found) else float(found)})


@contextmanager
def _timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    """Seconds of processor time."""
    start = time.process_time()
    yield
    seconds[what] = seconds.get(what, 0.0) + time.process_time() - start


def _numbers(frames: np.ndarray) -> Frames:
    return tuple(None if np.isnan(value) else float(value) for value in frames)
