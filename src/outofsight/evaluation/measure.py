"""One answer to one clip, through every metric that can be computed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from ..errors import GeometryError, OutOfSightError
from . import metrics as m
from .answers import Answer
from .cases import Case
from .metrics.regions import Within, mean_where
from .metrics.vbench import background_consistency, subject_consistency
from .networks import Networks
from .psnr import decibels, squared_errors
from .psnr import mean_psnr as mean_of_frames
from .result import ClipScores, Value
from .traces import trace_hits

MASKS = "masks of these very frames"
_PIECE = 8  # frames at once, where whole videos in float would take memory by the gigabyte
_REENTRY = ("reappearance_rate", "phantom_rate", "reentry_error_pixels", "reentry_error_share")
_DSC = ("dsc_released_context", "dsc_released_truth", "dsc_mended_context", "dsc_mended_truth")
# computed together, so timed together
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "psnr": ("psnr",), "ssim": ("ssim",), "lpips": ("lpips",), "subject_consistency": ("subject_consistency",),
    "background_consistency": ("background_consistency",), "dsc": _DSC, "reentry": _REENTRY,
    "fate": ("fate", "fate_margin"), "flow": ("flow",), "change": ("change",), "retrieval": ("retrieval_hit_rate",),
    "fvd": ("fvd",),
}  # fmt: skip

Values = dict[str, Value]


class Judge:
    """Measures answers to one clip; what it needs of the clip's own videos is computed once.

    metrics: names in ``METRICS``. A detector among the networks is asked for the boxes of every answer, so that all
    rows have theirs from one source; without one, boxes are known where an answer's own masks are.
    """

    def __init__(self, case: Case, networks: Networks, metrics: Collection[str]) -> None:
        self.case, self.networks, self.metrics = case, networks, metrics
        self._references: dict[tuple[str, bool], list[np.ndarray]] = {}

    def __call__(self, answer: Answer) -> ClipScores:
        """Raises GeometryError for a video of another shape than the clip's, LayoutError for a trace of another."""
        expected = (self.case.frames, *self.case.context.shape[1:])
        if answer.frames.shape != expected:
            raise GeometryError(f"the answer is {list(answer.frames.shape)}, the clip's target {list(expected)}")
        seconds: dict[str, float] = {}
        with _timed(seconds, "boxes"):
            boxes, source, no_boxes = self._boxes(answer)
        there = set(self.case.available | self.networks.available)
        there |= {"boxes"} if boxes is not None else set()
        there |= {"trace"} if answer.trace is not None else set()
        reasons = {name: m.why_not(name, there) for name in self.metrics}
        skipped = {name: reason for name, reason in reasons.items() if reason is not None}
        if no_boxes is not None:
            told = {name: f"{why} ({no_boxes})" for name, why in skipped.items() if "boxes" in m.METRICS[name].needs}
            skipped |= told
        values: Values = {}
        features: tuple[float, ...] | None = None
        for family, names in FAMILIES.items():
            if not any(name in self.metrics and name not in skipped for name in names):
                continue
            with _timed(seconds, family):
                if family == "fvd":
                    features = self._features(answer)
                else:
                    values |= self._family(family)(answer, boxes)
        kept = {name: value for name, value in values.items() if name in self.metrics and name not in skipped}
        return ClipScores(kept, skipped, source, seconds, features=features)

    def _family(self, name: str) -> Callable[[Answer, np.ndarray | None], Values]:
        found: Callable[[Answer, np.ndarray | None], Values] = getattr(self, f"_{name}")
        return found

    # --- pictures -------------------------------------------------------------------------------------------

    def _psnr(self, answer: Answer, _: object) -> Values:
        maps = _by_pieces(squared_errors, answer.frames, self._truth)
        return self._measured("psnr", _whole(maps, decibels), lambda where: decibels(mean_where(maps, where)))

    def _ssim(self, answer: Answer, _: object) -> Values:
        maps = m.ssim_maps(answer.frames, self._truth)
        return self._measured("ssim", _whole(maps), lambda where: mean_where(maps, where))

    def _lpips(self, answer: Answer, _: object) -> Values:
        assert self.networks.lpips is not None
        values, maps = m.frame_lpips(answer.frames, self._truth, self.networks.lpips)
        return self._measured("lpips", values, lambda where: mean_where(maps, where))

    def _subject_consistency(self, answer: Answer, _: object) -> Values:
        assert self.networks.dino is not None
        return self._measured("subject_consistency", subject_consistency(answer.frames, self.networks.dino))

    def _background_consistency(self, answer: Answer, _: object) -> Values:
        assert self.networks.clip_b32 is not None
        return self._measured("background_consistency", background_consistency(answer.frames, self.networks.clip_b32))

    def _flow(self, answer: Answer, _: object) -> Values:
        return self._measured("flow", m.frame_flow(answer.frames))

    def _change(self, answer: Answer, _: object) -> Values:
        whole = m.frame_change(answer.frames)
        return self._measured("change", whole, lambda where: m.frame_change(answer.frames, where))

    def _features(self, answer: Answer) -> tuple[float, ...]:
        assert self.networks.video_features is not None
        return tuple(np.asarray(self.networks.video_features(answer.frames), np.float64).ravel().tolist())

    # --- subjects -------------------------------------------------------------------------------------------

    def _boxes(self, answer: Answer) -> tuple[np.ndarray | None, str | None, str | None]:
        """Boxes ``[s, Ft, 4]`` and where they come from; or why there are none, where there is more to say of it."""
        tracker, known = self.networks.detector, self.case.known
        if tracker is None:
            if answer.ids is None:
                return None, None, None
            return m.boxes_from_masks(answer.ids, known.numbers), MASKS, None
        tracks = [known.clip.subjects[number - 1] for number in known.numbers]
        context = self.case.boxes[0]
        sought = [m.Sought(t.id, str(t.attributes.get("kind", t.id)), context[n]) for n, t in enumerate(tracks)]
        try:
            boxes = tracker(self.case.context, answer.frames, sought)
        except OutOfSightError as cause:
            return None, tracker.name, str(cause)
        if boxes.shape != self.case.boxes[1].shape:
            expected = list(self.case.boxes[1].shape)
            raise GeometryError(f"{tracker.name} gave boxes {list(boxes.shape)}, expected {expected}")
        return boxes, tracker.name, None

    def _reentry(self, answer: Answer, boxes: np.ndarray | None) -> Values:
        assert boxes is not None
        case = self.case
        found = m.reappearance(boxes, case.boxes[1], case.returned, case.hidden, case.context.shape[1:3])
        arrays = (found.found, found.phantom, found.pixels, found.share)
        return {name: self._by_subject(values) for name, values in zip(_REENTRY, arrays, strict=True)}

    def _dsc(self, answer: Answer, boxes: np.ndarray | None) -> Values:
        assert boxes is not None and self.networks.clip_b16 is not None
        encoded = m.patch_features(answer.frames, self.networks.clip_b16)
        rows: dict[str, list[np.ndarray]] = {name: [] for name in _DSC}
        for row, track in enumerate(boxes):
            released, mended = (m.subject_features(encoded, track, remap=remap) for remap in (False, True))
            rows["dsc_released_context"].append(m.dsc_released(released, self._reference("context", False)[row]))
            back, context = self.case.returned[row], self._reference("context", True)[row]
            truth = self._reference("target", True)[row]
            rows["dsc_released_truth"].append(m.dsc_released(released, self._reference("target", False)[row]))
            rows["dsc_mended_truth"].append(m.dsc_mended(mended, truth, back))
            rows["dsc_mended_context"].append(m.dsc_mended_context(mended, context, truth, back))
        return {name: self._by_subject(np.stack(values)) for name, values in rows.items()}

    def _reference(self, half: str, remap: bool) -> list[np.ndarray]:
        """Features of each subject in the context or the true target."""
        if (half, remap) not in self._references:
            assert self.networks.clip_b16 is not None
            video, boxes = (self.case.context, self.case.boxes[0]) if half == "context" else (
                self._truth, self.case.boxes[1],
            )  # fmt: skip
            encoded = m.patch_features(video, self.networks.clip_b16)
            for kind in (False, True):
                tracks = [m.subject_features(encoded, track, remap=kind) for track in boxes]
                self._references[half, kind] = tracks
        return self._references[half, remap]

    def _fate(self, answer: Answer, _: object) -> Values:
        """The errors count within the region alone, so the videos are cut to it."""
        case = self.case
        assert case.region is not None
        frames = np.logical_or.reduce(case.returned, axis=0)
        axes = [np.flatnonzero(case.region.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
        if not all(map(len, axes)):
            return {"fate": Value({}, notes=("nobody re-enters",)), "fate_margin": Value({"target": None})}
        part = tuple(slice(axis[0], axis[-1] + 1) for axis in axes)
        fates = {name: video[part] for name, video in case.fates.items()}
        found = m.nearest_fate(answer.frames[part], fates, case.region[part], frames[part[0]])
        assert found is not None
        facts = {
            "nearest": found.nearest, "errors": dict(found.errors), "apart_db": found.apart_db,
            "frozen_seen": found.frozen_seen, "pixels": found.pixels,
        }  # fmt: skip
        return {"fate": Value({}, facts=facts), "fate_margin": Value({"target": found.margin_db})}

    def _retrieval(self, answer: Answer, _: object) -> Values:
        assert answer.trace is not None and self.case.known.visible is not None
        found = trace_hits(answer.trace, self.case.known.visible, self.case.returned)
        if found is None:
            return {"retrieval_hit_rate": Value({"target": None}, notes=("no frame asks for a subject",))}
        facts = {"chance": found.chance, "queries": found.queries}
        return {"retrieval_hit_rate": Value({"target": found.rate}, facts=facts)}

    # --- values ---------------------------------------------------------------------------------------------

    @property
    def _truth(self) -> np.ndarray:
        assert self.case.truth is not None
        return self.case.truth

    def _measured(self, name: str, frames: np.ndarray, within: Within | None = None) -> Values:
        found = self.case.regions.measured(name, frames, within)
        return {name: Value(found.parts, _numbers(found.frames), notes=found.notes)}

    def _by_subject(self, values: np.ndarray) -> Value:
        """Of values ``[s, f]``: means over all frames of all subjects that have one, and by phase."""
        parts = {"target": mean_of_frames(values.ravel())}
        for phase, chosen in self.case.regions.phases.items():
            parts[phase] = mean_of_frames(values[:, chosen].ravel())
        return Value(parts, dict(zip(self.case.known.subjects, map(_numbers, values), strict=True)))


@contextmanager
def _timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    """Seconds of processor time."""
    start = time.process_time()
    yield
    seconds[what] = seconds.get(what, 0.0) + time.process_time() - start


def _by_pieces(function: Callable[[np.ndarray, np.ndarray], np.ndarray], *videos: np.ndarray) -> np.ndarray:
    cuts = range(0, len(videos[0]), _PIECE)
    return np.concatenate([function(*(video[cut : cut + _PIECE] for video in videos)) for cut in cuts])


def _whole(maps: np.ndarray, to: Callable[[np.ndarray], np.ndarray] = np.asarray) -> np.ndarray:
    """Means of maps ``[f, h, w]``: float64 ``[f]``."""
    return to(maps.mean(axis=(1, 2), dtype=np.float64))


def _numbers(frames: np.ndarray) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(value) else float(value) for value in frames)
