"""One prediction of one clip, measured; and many clips, summed up with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .bootstrap import Interval, interval
from .fates import FATES, nearest_fate
from .held_out import HeldOutClip
from .psnr import frame_psnr, mean_psnr

# one clip's values by name; None where the clip has no such frames or pixels
Scores = dict[str, float | str | None]
PSNR_NAMES = ("target", "re-entered", "hidden", "inside", "outside", "re-entered inside")


def score(prediction: np.ndarray, clip: HeldOutClip) -> Scores:
    """PSNR (dB) of a prediction uint8 ``[Ft, h, w, 3]``, and the fate it is nearest to.

    "target": all frames; "re-entered" and "hidden": frames of that phase; "inside" and "outside": of all subjects.
    "re-entered inside": within the region in which fates are compared. "fate": true, vanished or frozen;
    "fate margin": dB by which the true one is nearer than the better of the others; "fate error ...": the mean squared
    errors. See ``evaluation.fates``.
    """
    whole = frame_psnr(prediction, clip.truth)
    scores: Scores = {
        "target": mean_psnr(whole),
        "re-entered": mean_psnr(whole, clip.re_entered),
        "hidden": mean_psnr(whole, clip.hidden),
        "inside": mean_psnr(frame_psnr(prediction, clip.truth, clip.inside)),
        "outside": mean_psnr(frame_psnr(prediction, clip.truth, ~clip.inside)),
        "re-entered inside": mean_psnr(frame_psnr(prediction, clip.truth, clip.region)),
    }
    if set(FATES) <= clip.fates.keys():
        fate = nearest_fate(prediction, clip.fates, clip.region, clip.re_entered)
        scores["fate"] = None if fate is None else fate.nearest
        scores["fate margin"] = None if fate is None else fate.margin_db
        scores["fates apart"] = None if fate is None else fate.apart_db
        scores["frozen seen"] = None if fate is None else float(fate.frozen_seen)
        for name in FATES:
            scores[f"fate error {name}"] = None if fate is None else fate.errors[name]
    return scores


def summary(rows: Mapping[str, Mapping[str, Scores]]) -> dict[str, dict[str, Interval]]:
    """Row -> clip -> scores, to row -> value -> mean over clips with its interval. Clips without a value are left out.

    A row's "true", "vanished" and "frozen" are shares of the clips that are nearest to that fate.
    """
    found: dict[str, dict[str, Interval]] = {}
    for row, clips in rows.items():
        values: dict[str, list[float]] = {}
        for scores in clips.values():
            for name, value in _numbers(scores).items():
                values.setdefault(name, []).append(value)
        found[row] = {name: interval(numbers) for name, numbers in values.items()}
    return found


def difference(one: Mapping[str, Scores], other: Mapping[str, Scores], name: str) -> Interval | None:
    """Interval of the clip-by-clip difference of a value between two rows; None where no clip has it in both."""
    pairs = [(_numbers(one[clip]).get(name), _numbers(other[clip]).get(name)) for clip in one if clip in other]
    differences = [a - b for a, b in pairs if a is not None and b is not None]
    return interval(differences) if differences else None


def _numbers(scores: Scores) -> dict[str, float]:
    numbers = {name: float(value) for name, value in scores.items() if isinstance(value, int | float)}
    if isinstance(scores.get("fate"), str):
        numbers |= {name: float(scores["fate"] == name) for name in FATES}
    return numbers


def to_json(intervals: Mapping[str, Mapping[str, Interval]]) -> dict[str, Any]:
    """Plain values of a summary."""
    return {
        row: {name: {"mean": i.mean, "low": i.low, "high": i.high, "clips": i.clips} for name, i in values.items()}
        for row, values in intervals.items()
    }


def table(
    intervals: Mapping[str, Mapping[str, Interval]], columns: Sequence[str], shares: Sequence[str] = FATES
) -> str:
    """A Markdown table: a row for each row of the summary, mean and interval; shares in percent."""
    rows = []
    for row, values in intervals.items():
        cells = []
        for column in columns:
            known = values.get(column)
            percent = column in shares
            cells.append("" if known is None else known.words(0, 100) if percent else known.words(2))
        rows.append((row, cells))
    return markdown_table(columns, rows)


def markdown_table(columns: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]], rule: str = "---|") -> str:
    """A Markdown table of rows, each a label and its cells; nothing is escaped. rule: "---:|" aligns to the right."""
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + rule * len(columns)]
    return "\n".join([*lines, *(f"| {row} | " + " | ".join(cells) + " |" for row, cells in rows)])
