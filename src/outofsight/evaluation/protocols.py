"""Which metrics a benchmark reports and how its tables are laid out: everything, or a paper's own protocol."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import OutOfSightError
from .metrics import BUILT_IN, METRICS
from .predictions import Wanted

UP, DOWN, LIKE = "↑", "↓", "≈"  # higher is better, lower is better, like the ground truth's is better


@dataclass(frozen=True)
class Column:
    """A value of the summary (``result.ClipScores.flat``) as a table shows it. of_set: of all clips together."""

    value: str
    heading: str
    mark: str = UP
    places: int = 2
    scale: float = 1.0
    of_set: bool = False


@dataclass(frozen=True)
class Sheet:
    title: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Paper:
    """What a paper measured on (clips, size as height and width, target frames, rate), and what it reports.

    reported: method -> value -> number. remarks: what cannot be as in the paper, whatever the data.
    """

    clips: int
    size: tuple[int, int]
    frames: tuple[int, ...]
    fps: float
    reported: Mapping[str, Mapping[str, float]]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Protocol:
    """metrics: those computed. sheets: the tables. paper: whose protocol it is; None for our own."""

    name: str
    words: str
    metrics: tuple[str, ...]
    sheets: tuple[Sheet, ...]
    paper: Paper | None = None

    def departures(self, clips: Sequence[Wanted], given: Collection[str]) -> list[str]:
        """In what an evaluation of these targets is not the paper's.

        given: the needs that networks meet (keys of ``metrics.NEEDS``; "boxes" for a detector).
        """
        if self.paper is None:
            return []
        paper, told = self.paper, []
        if len(clips) != paper.clips:
            told.append(f"{len(clips)} clips, the paper's test set has {paper.clips}")
        faults = {
            f"{paper.size[1]}x{paper.size[0]} pixels": [c for c in clips if (c.height, c.width) != paper.size],
            f"{' or '.join(map(str, paper.frames))} target frames": [c for c in clips if c.frames not in paper.frames],
            f"{paper.fps:g} frames a second": [c for c in clips if abs(c.fps - paper.fps) > 0.01],
        }
        told += [f"{len(wrong)} of {len(clips)} clips are not of {what}" for what, wrong in faults.items() if wrong]
        for name in self.metrics:
            lacking = sorted(METRICS[name].needs & _BY_OPTION.keys() - set(given))
            if lacking:
                options = " and ".join(_BY_OPTION[need] for need in lacking)
                told.append(f"{name} is not measured in the predictions: it needs {options}")
        return told


# needs that an option of the command line meets
_BY_OPTION = {
    "lpips": "--lpips", "dino": "--dino", "clip-b32": "--clip-b32", "clip-b16": "--clip-b16", "boxes": "--detector",
}  # fmt: skip


def _by_region(metric: str, heading: str, mark: str, places: int) -> Sheet:
    parts = ("visible", "hidden", "re-entered", "inside", "outside", "re-entered inside")
    columns = tuple(Column(f"{metric} {part}", part, mark, places) for part in parts)
    return Sheet(f"{heading} by phase, inside and outside of the subjects' boxes", columns)


_PICTURES = (
    Column("psnr", "PSNR, dB"), Column("psnr re-entered", "PSNR re-entered"),
    Column("psnr re-entered inside", "PSNR re-entered, inside"), Column("ssim", "SSIM", places=3),
    Column("ssim re-entered inside", "SSIM re-entered, inside", places=3), Column("lpips", "LPIPS", DOWN, 3),
    Column("lpips re-entered inside", "LPIPS re-entered, inside", DOWN, 3),
)  # fmt: skip
_RETURN = (
    Column("true", "nearest true, %", UP, 0, 100), Column("vanished", "vanished, %", DOWN, 0, 100),
    Column("frozen", "frozen, %", DOWN, 0, 100), Column("fate_margin", "margin, dB"),
    Column("reappearance_rate", "reappears, %", UP, 0, 100), Column("phantom_rate", "phantoms, %", DOWN, 0, 100),
    Column("reentry_error_share", "error, % of diagonal", DOWN, 1, 100),
    Column("retrieval_hit_rate", "recall hits, %", UP, 0, 100), Column("retrieval_chance", "by chance, %", "", 0, 100),
)  # fmt: skip
_DSC = (
    Column("dsc_mended_truth", "DSC mended, truth", places=3),
    Column("dsc_mended_context", "mended, context", places=3),
    Column("dsc_released_truth", "released, truth", places=3),
    Column("dsc_released_context", "released, context", places=3),
)  # fmt: skip
_MOTION = (
    Column("subject_consistency", "subject consistency", LIKE, 3),
    Column("background_consistency", "background consistency", LIKE, 3), Column("flow", "flow, pixels/frame", LIKE),
    Column("change", "change, %", LIKE), Column("fvd", "Frechet distance", DOWN, 2, of_set=True),
)  # fmt: skip

_SHEETS = (
    Sheet("Pictures", _PICTURES), Sheet("The subject that comes back", _RETURN),
    Sheet("Does it look as it did", _DSC), Sheet("Consistency, and the motion that it costs", _MOTION),
    _by_region("psnr", "PSNR, dB,", UP, 2), _by_region("ssim", "SSIM", UP, 3), _by_region("lpips", "LPIPS", DOWN, 3),
)  # fmt: skip


def _everything() -> Protocol:
    """With the metrics that are registered by now."""
    return Protocol("all", "every metric that can be computed", tuple(METRICS), _SHEETS)


_MARKS = {"higher": UP, "lower": DOWN, "like the truth": LIKE}


def further_sheets(definitions: Mapping[str, Mapping[str, Any]]) -> tuple[Sheet, ...]:
    """Of metrics from outside of the package, by their definitions: the target, and what is re-entered."""
    columns = []
    for name, known in definitions.items():
        if name in BUILT_IN:
            continue
        mark, heading = _MARKS.get(known["better"], ""), f"{name}, {known['unit']}" if known["unit"] else name
        columns.append(Column(name, heading, mark, 3, of_set=known["per"] == "set"))
        columns += [Column(f"{name} {part}", f"{name} {part}", mark, 3) for part in ("re-entered", "re-entered inside")]
    return (Sheet("Further metrics", tuple(columns)),) if columns else ()


_PAPER = ("psnr", "ssim", "lpips", "dsc_released_context", "dsc_released_truth", "subject_consistency",
          "background_consistency")  # fmt: skip


def _paper_row(*numbers: float) -> dict[str, float]:
    return dict(zip(_PAPER, numbers, strict=True))


# HyDRA (arXiv 2603.25716), results on HM-World's test split
HM_WORLD = Protocol(
    "hm-world",
    "the metrics of HyDRA's table on HM-World, DSC as released; the flow beside them",
    (*_PAPER, "flow"),
    (
        Sheet(
            "HM-World, the protocol of HyDRA",
            (
                Column("psnr", "PSNR"), Column("ssim", "SSIM", places=3), Column("lpips", "LPIPS", DOWN, 3),
                Column("dsc_released_context", "DSC ctx", places=3), Column("dsc_released_truth", "DSC GT", places=3),
                Column("subject_consistency", "Subj.", LIKE, 3), Column("background_consistency", "Bg.", LIKE, 3),
                Column("flow", "flow", LIKE),
            ),
        ),
    ),
    Paper(
        clips=1000,
        size=(480, 832),
        frames=(77, 75),
        fps=15.0,
        reported={
            "full context": _paper_row(18.696, 0.517, 0.356, 0.812, 0.837, 0.903, 0.925),
            "DFoT": _paper_row(17.693, 0.482, 0.410, 0.803, 0.826, 0.893, 0.913),
            "Context-as-Memory": _paper_row(18.921, 0.530, 0.342, 0.816, 0.839, 0.911, 0.922),
            "WorldPlay, zero-shot": _paper_row(14.855, 0.355, 0.500, 0.822, 0.832, 0.910, 0.925),
            "HyDRA": _paper_row(20.357, 0.606, 0.289, 0.827, 0.849, 0.926, 0.932),
        },
        remarks=(
            "boxes in predictions come from the detector that is given, not from the paper's tracker",
            "where the paper's choice is not known (how PSNR is pooled over frames, say), docs/metrics.md's holds",
        ),
    ),
)  # fmt: skip

PROTOCOLS: Mapping[str, Callable[[], Protocol]] = {"all": _everything, HM_WORLD.name: lambda: HM_WORLD}


def protocol_named(name: str) -> Protocol:
    """Raises OutOfSightError for a name that is none."""
    if name not in PROTOCOLS:
        raise OutOfSightError(f"no protocol {name!r}, expected one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]()
