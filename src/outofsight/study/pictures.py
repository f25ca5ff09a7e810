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
    floors = {name: mean_over_runs(clips, _back) for name, clips in stored.answers.items() if name != _CEILING}
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
    main = {ROWS[runs[0].row].label: runs for runs in rows.values() if ROWS[runs[0].row].main}
    points = {
        label: [[(float(line[0] or 0), line[2]) for line in run.curve if line[2] is not None] for run in runs]
        for label, runs in main.items()
    }
    return curves_svg("Velocity error in frames of re-entry, while training (means of seeds)", points)


def _back(scores: dict[str, float | None]) -> float | None:
    return scores.get(RE_ENTERED)
