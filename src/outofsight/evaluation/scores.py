"""Scores of many clips, summed up with intervals; and tables of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .bootstrap import Interval, interval
from .metrics.fate import FATES

# one clip's values by name ("psnr", "psnr hidden" ...: result.ClipScores.flat); None where it has no such frames
Scores = dict[str, float | str | None]
PSNR_NAMES = (
    "psnr", "psnr re-entered", "psnr hidden", "psnr inside", "psnr outside", "psnr re-entered inside",
)  # fmt: skip


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
    return {row: {name: asdict(found) for name, found in values.items()} for row, values in intervals.items()}


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
