"""Plots as SVG text: no library, the same bytes for the same values, readable on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from ..evaluation.bootstrap import Interval

# Okabe and Ito's, distinct with any colour vision; shapes of lines differ too
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
DASHES = ("", "7 4", "2 3", "10 3 2 3", "4 2", "1 4")
WIDTH, LABELS, RIGHT = 860, 300, 24
_ROW, _TOP, _BOTTOM = 30, 44, 40
_TEXT, _FAINT = "#1f2328", "#d0d7de"


def dots_svg(
    title: str,
    intervals: Mapping[str, Interval],
    dots: Mapping[str, Sequence[float]],
    lines: Mapping[str, float],
) -> str:
    """A row for each name: its interval as a bar, its mean as a square, dots of its runs; named vertical lines."""
    if not intervals:
        return _empty(title)
    values = [v for i in intervals.values() for v in (i.low, i.high)] + [v for row in dots.values() for v in row]
    axis = _Axis.over([*values, *lines.values()], LABELS, WIDTH - RIGHT)
    bottom = _TOP + _ROW * len(intervals)
    body = [*_grid(axis, bottom)]
    for number, (name, value) in enumerate(lines.items()):
        x = axis.at(value)
        body.append(
            f'<line x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{bottom}" stroke="{_TEXT}" '
            f'stroke-dasharray="{DASHES[1 + number % 5]}"/>'
        )
        body.append(_text(x, bottom + 32, name, "middle", 11))
    for number, (name, interval) in enumerate(intervals.items()):
        y = _TOP + _ROW * number + _ROW / 2
        body.append(_text(LABELS - 12, y + 4, name, "end"))
        body.append(
            f'<line x1="{axis.at(interval.low):.1f}" y1="{y}" x2="{axis.at(interval.high):.1f}" y2="{y}" '
            f'stroke="{COLOURS[0]}" stroke-width="3"/>'
        )
        x = axis.at(interval.mean)
        body.append(f'<rect x="{x - 5:.1f}" y="{y - 5}" width="10" height="10" fill="{COLOURS[0]}"/>')
        for run, value in enumerate(dots.get(name, ())):
            body.append(
                f'<circle cx="{axis.at(value):.1f}" cy="{y + 9 - 3 * (run % 2):.1f}" r="3" fill="{COLOURS[1]}" '
                'stroke="white" stroke-width="0.7"/>'
            )
    return _page(title, body, bottom + _BOTTOM)


def curves_svg(title: str, curves: Mapping[str, Sequence[Sequence[tuple[float, float]]]], height: int = 340) -> str:
    """A line for each name: the mean over its runs of (x, y) points at the x that all of them have."""
    means = {name: points for name, runs in curves.items() if (points := _mean_curve(runs))}
    every = [point for points in means.values() for point in points]
    if not every:
        return _empty(title)
    left, bottom = 70, height - 50
    across = _Axis.over([x for x, _ in every], left, WIDTH - 190)
    up = _Axis.over([y for _, y in every], bottom, _TOP)
    body = []
    for tick in up.ticks():
        y = up.at(tick)
        body.append(f'<line x1="{left}" y1="{y:.1f}" x2="{WIDTH - 190}" y2="{y:.1f}" stroke="{_FAINT}"/>')
        body.append(_text(left - 8, y + 4, f"{tick:g}", "end"))
    body += [_text(across.at(tick), bottom + 20, f"{tick:g}", "middle") for tick in across.ticks()]
    body.append(_text((left + WIDTH - 190) / 2, bottom + 40, "steps", "middle"))
    for number, (name, points) in enumerate(means.items()):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        path = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in points)
        style = f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
        body.append(f'<polyline points="{path}" {style}/>')
        y = _TOP + 14 + 22 * number
        body.append(f'<polyline points="{WIDTH - 178},{y} {WIDTH - 146},{y}" {style}/>')
        body.append(_text(WIDTH - 138, y + 4, name))
    return _page(title, body, height)


def _mean_curve(runs: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    known = [dict(run) for run in runs if run]
    if not known:
        return []
    return [(x, sum(run[x] for run in known) / len(known)) for x in known[0] if all(x in run for run in known)]


class _Axis:
    """Values from ``low`` to ``high`` on pixels from ``start`` to ``end``."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high, self.start, self.end = low, high, start, end

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float) -> _Axis:
        low, high = min(values), max(values)
        room = 0.06 * (high - low) or 0.5
        return cls(low - room, high + room, start, end)

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, count: int = 6) -> list[float]:
        """About so many round numbers."""
        rough = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
        first = math.ceil(self.low / step)
        return [round(step * n, 10) for n in range(first, math.floor(self.high / step) + 1)]


def _grid(axis: _Axis, bottom: float) -> list[str]:
    body = []
    for tick in axis.ticks():
        x = axis.at(tick)
        body.append(f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}" stroke="{_FAINT}"/>')
        body.append(_text(x, bottom + 16, f"{tick:g}", "middle"))
    return body


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 13) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{_TEXT}">{escape(text)}</text>'
    )


def _empty(title: str) -> str:
    return _page(title, [_text(WIDTH / 2, _TOP + 20, "no values", "middle")], _TOP + 40)


def _page(title: str, body: Sequence[str], height: float) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
            f'height="{height:.0f}" font-family="system-ui, sans-serif" role="img" aria-label="{escape(title)}">',
            f'<rect width="{WIDTH}" height="{height:.0f}" fill="white"/>',
            _text(16, 24, title, size=15),
            *body,
            "</svg>\n",
        ]
    )
