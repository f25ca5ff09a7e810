"""The demo on a trained model: continue a held-out clip, score it, show it, and show what was recalled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError
from .console import ConsoleReporter, note, say

if TYPE_CHECKING:
    from ..evaluation.clip import EvalClip
    from ..evaluation.scores import Scores
    from ..generation.outputs import OutputPaths
    from ..generation.record import Settings

CLIP_FOLDER = "demo"
WORLDS = "tiny-30fps"  # the preset of fresh clips: what the shipped model was trained on
_COLUMNS = (
    ("psnr", "whole"),
    ("psnr re-entered", "back in view"),
    ("psnr re-entered inside", "subject"),
    ("fate", "nearest to"),
)
MODEL = "this model"


def packaged_clip(model: str) -> Path:
    """The held-out clip that lies beside a shipped model. Raises CheckpointError where this version has none."""
    from ..components.hub import SHIPPED
    from ..datasets import detect_layout

    folder = SHIPPED / model / CLIP_FOLDER
    if not folder.is_dir():
        raise CheckpointError(
            f"this version of outofsight ships no clip with the model {model!r}: {folder} is not there"
        )
    report = detect_layout(folder)
    return report.root / report.samples[0]


def fresh_clip(out: Path, seed: int) -> Path:
    """Make a clip of scenes and subjects that the model has not seen. Raises WorldsError (no EGL ...)."""
    from ..worlds.manifest import Settings
    from ..worlds.runner import make_clips

    settings = Settings(seed=seed, preset=WORLDS, split="test", mix="re-entry", subjects=1, fates=True)
    row = make_clips(settings, 1, out / f"clip-{seed}").rows[0]
    return out / f"clip-{seed}" / "HM-World" / str(row["name"])


def run_demo(model: str, settings: Settings, clip: Path, out: Path, seed: int) -> tuple[dict[str, Scores], Path]:
    """Continue a clip with a model and write everything there is to see to ``out``.

    Returns the scores by row, and the page of the report.

    Raises:
        OutOfSightError: the model, the clip or the place cannot be used.
    """
    from ..datasets import read_clip
    from ..evaluation import baselines
    from ..evaluation.clip import eval_clip
    from ..evaluation.measure import measure
    from ..evaluation.traces import read_run_trace
    from ..generation.load import choose_device
    from ..generation.outputs import OutputPaths, check_folder_writable
    from ..generation.record import Machine, Sources
    from ..generation.run import Request, run
    from ..video import read_video
    from ..viewer import write_reports
    from .view import read_given

    check_folder_writable(out)
    request = Request(
        model=model,
        sources=Sources(clip=str(clip.resolve())),
        out=out / "generated.mp4",
        clips=None,
        settings=settings,
        machine=Machine(device=choose_device("auto")),
        seed=seed,
        trace=True,
        overwrite=True,
    )
    truth = eval_clip(read_clip(clip), clip).read()
    run(request, ConsoleReporter())
    paths = OutputPaths(request.out)
    made = read_video(paths.video).frames
    frames = truth.context_frames, len(made)
    videos = {MODEL: baselines.Continuation(made, trace=read_run_trace(paths.traces(), paths.record, frames))}
    videos |= {row: baselines.make(row, truth) for row in (baselines.LAST_FRAME, baselines.BEST_VIEW)}
    rows = {row: measure(video, truth).flat() for row, video in videos.items()}
    pictures = _write_pictures(truth, made, paths, out)
    say(scores_table(rows))
    note(verdict(rows, truth))
    page = write_reports(paths.video, None, None, read_given, note)
    say("\n".join(str(file) for file in (*pictures, page)))
    return rows, page


def _write_pictures(clip: EvalClip, made: Any, paths: OutputPaths, out: Path) -> list[Path]:
    """The video side by side and the picture of what was recalled."""
    from ..evaluation.baselines import BEST_VIEW, best_view_copied
    from ..evaluation.pictures import named_side_by_side
    from ..io import replacing
    from ..video import write_video
    from .demo_recall import recalled_picture

    beside, picture = out / "context_generated_truth.mp4", out / "recalled.png"
    videos = {"context": clip.context, "generated": made, "truth": clip.truth}
    videos |= {BEST_VIEW: best_view_copied(clip).frames}
    write_video(beside, named_side_by_side(videos, 2), clip.fps)
    with replacing(picture) as target:
        recalled_picture(clip, made, paths.trace).save(target)
    return [beside, picture]


def scores_table(rows: Mapping[str, Scores]) -> str:
    """Rows of the scores in plain columns, dB to one place."""
    lines = [["PSNR (dB)", *(title for _, title in _COLUMNS)]]
    for name, scores in rows.items():
        cells = [scores.get(column) for column, _ in _COLUMNS]
        words = [f"{cell:.1f}" if isinstance(cell, float) else str(cell or "-") for cell in cells]
        lines.append([name, *words])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def verdict(rows: Mapping[str, Scores], clip: EvalClip) -> str:
    """What the scores say, in two sentences that claim no more than they show."""
    best = max(float(scores["psnr re-entered"] or 0) for name, scores in rows.items() if name != MODEL)
    gain = float(rows[MODEL]["psnr re-entered"] or 0) - best
    back = clip.re_entered.argmax() / clip.fps if clip.re_entered.any() else None
    when = "" if back is None else f", from {back:.1f} s on"
    side = "above" if gain >= 0 else "BELOW"
    told = f"While the subject is back in view{when}: {abs(gain):.1f} dB {side} the better baseline."
    fate = rows[MODEL].get("fate")
    meaning = {
        "true": "where it really is by then",
        "vanished": "a world without it: it is not remembered",
        "frozen": "where it was last seen, as if time had stopped",
    }
    return told + (f" The subject is drawn nearest to {meaning[fate]}." if isinstance(fate, str) else "")
