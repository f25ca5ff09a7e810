"""The plots of the page: the rows, their differences, and how they learned."""

from __future__ import annotations

from .claims import CLAIMS, QUESTIONS, RE_ENTERED, answer, matrix, mean_over_runs
from .plots import curves_svg, dots_svg
from .rows import ROWS
from .values import RunValues, Stored

_CEILING = "VAE reconstruction"  # far above all rows: it would leave them no room


def pictures(stored: Stored) -> dict[str, str]:
    """SVG by name: "rows", "differences" and "curves"."""
    rows = {row.label: runs for row in ROWS.values() if (runs := stored.of(row.name))}
    return {"rows": _rows(stored, rows), "differences": _differences(stored), "curves": _curves(rows)}


def _rows(stored: Stored, rows: dict[str, tuple[RunValues, ...]]) -> str:
    dots = {
        label: [float(matrix([run], RE_ENTERED).mean()) for run in runs]
        for label, runs in rows.items()
        if matrix(runs, RE_ENTERED).size
    }
    means = {label: mean_over_runs([run.clips for run in runs], _back) for label, runs in rows.items()}
    floors = {name: mean_over_runs(clips, _back) for name, clips in stored.baselines.items() if name != _CEILING}
    return dots_svg(
        "PSNR in the re-entered phase, dB (squares: means with 95 % intervals; dots: seeds)",
        {label: found for label, found in means.items() if found is not None},
        dots,
        {name: found.mean for name, found in floors.items() if found is not None},
    )


def _differences(stored: Stored) -> str:
    gaps, seeds = {}, {}
    for claim in (*CLAIMS, *QUESTIONS):
        found = answer(claim, stored)
        if found.difference is not None:
            name = f"{ROWS[claim.better].label} - {ROWS[claim.worse].label}"
            gaps[name], seeds[name] = found.difference, [gap for _, gap in found.by_seed]
    return dots_svg(
        "Difference in the re-entered phase, dB (dots: pairs of seeds)", gaps, seeds, {"no difference": 0.0}
    )


def _curves(rows: dict[str, tuple[RunValues, ...]]) -> str:
    """Without the first sixth, whose fall would leave the rest no room."""
    main = {label: runs for label, runs in rows.items() if ROWS[runs[0].row].main}
    points = {label: [_points(run) for run in runs] for label, runs in main.items()}
    return curves_svg("Velocity error in frames of re-entry, while training (means of seeds)", points)


def _points(run: RunValues) -> list[tuple[float, float]]:
    points = [(line[0], line[2]) for line in run.curve]
    last = max((step for step, _ in points if step is not None), default=0)
    return [(step, error) for step, error in points if step is not None and error is not None and step >= last / 6]


def _back(scores: dict[str, float | None]) -> float | None:
    return scores.get(RE_ENTERED)
