"""From a run's files to what the report shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import CameraError, GeometryError, LayoutError
from ..evaluation.baselines import BEST_VIEW, LAST_FRAME, best_views, hold_last
from ..evaluation.measure import measure
from ..evaluation.metrics import frame_psnr, mean_of_frames
from ..evaluation.scores import Scores
from .data import Report, RunView, Scene, Sheets
from .given import Given, Material, ReadInputs, read_inputs, read_material, read_truths
from .ground import ground_view
from .retrieval import build_recalls, recall_hits
from .runs import RunFiles, check_same_clip
from .sheets import difference, sprite_sheets, thumbnail
from .truth import Truth

# title -> name of the value (evaluation.result.ClipScores.flat)
_COLUMNS = {
    "whole target": "psnr",
    "re-entered": "psnr re-entered",
    "hidden": "psnr hidden",
    "subject, re-entered": "psnr re-entered inside",
}


def collect(run: RunFiles, other: RunFiles | None, read: ReadInputs) -> Report:
    """Everything the report shows of a run, or of two that continue the same clip.

    What cannot be read any more is left out, and `Report.notes` lists it.

    Raises:
        LayoutError: a trace of another shape, or two runs of different clips.
        VideoError: a video that cannot be read.
    """
    if other is not None:
        check_same_clip(run, other)
    materials = [read_material(part) for part in (run, other) if part is not None]
    first = materials[0]
    for second in materials[1:]:
        if second.frames != first.frames:
            raise LayoutError(
                f"{second.run.paths.video} has {len(second.made)} frames and {first.run.paths.video} "
                f"{len(first.made)}: they cannot share one time cursor"
            )
    given, notes = read_inputs(first, read)
    truths, told = read_truths(materials, given)
    scene, more = _scene(first, given, truths[0])
    names = _names([material.run for material in materials])
    views = [_run_view(*parts) for parts in zip(materials, names, truths, strict=True)]
    runs = tuple(view for view, _ in views)
    notes = (*notes, *told, *more, *(line for _, lines in views for line in lines))
    return Report(scene, runs, _score_table(materials, names, given, truths), tuple(dict.fromkeys(notes)))


def _names(runs: list[RunFiles]) -> list[str]:
    """File names, with the folder where two are alike."""
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [f"{run.paths.video.resolve().parent.name}/{run.name}" for run in runs]
    return names if len(set(names)) == len(names) else [f"{name} ({n + 1})" for n, name in enumerate(names)]


# --- what is shown ----------------------------------------------------------------------------------------


def _scene(material: Material, given: Given | None, truth: Truth) -> tuple[Scene, tuple[str, ...]]:
    record, frames = material.run.record, material.frames
    clip = record.sources.clip_name or (record.sources.clip or record.sources.context or "").rstrip("/").split("/")[-1]
    scene = Scene(clip or material.run.name, record.sources.prompt or "", material.fps, *frames)
    if given is None:
        return scene, ()
    baselines, notes = _baselines(given, truth, len(material.made))
    scene = replace(
        scene,
        caption=given.prompt,
        context=sprite_sheets(given.frames),
        truth=None if truth.frames is None else sprite_sheets(truth.frames),
        fates={name: sprite_sheets(video) for name, video in truth.fates.items()},
        phases=truth.phases,
        subjects=truth.subjects,
        ground=ground_view(given.context_cameras, given.target_cameras, frames),
        trivial={
            name: frame_psnr(video, truth.frames) for name, video in baselines.items() if truth.frames is not None
        },
    )
    return scene, (*notes, *_shrunk("frames", scene.context))


def _baselines(given: Given, truth: Truth, frames: int) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The videos that need no model; none without a truth to measure them by."""
    if truth.frames is None:
        return {}, ()
    if given.frames.shape[1:] != truth.frames.shape[1:]:
        return {}, ("No baselines: context and video differ in size.",)
    found = {LAST_FRAME: hold_last(given.frames, frames)}
    try:
        found[BEST_VIEW] = given.frames[best_views(given.context_cameras, given.target_cameras)]
    except CameraError as cause:
        return found, (f"No {BEST_VIEW}: {cause}.",)
    return found, ()


def _run_view(material: Material, name: str, truth: Truth) -> tuple[RunView, tuple[str, ...]]:
    run, made = material.run, material.made
    known = truth.frames is not None and truth.frames.shape == made.shape
    trace, notes = material.trace, material.notes
    recalls = () if trace is None else build_recalls(trace, material.frames[0])
    if trace is not None and not recalls:
        notes += (f"No retrieval map of {name}: its memory had nothing to recall from.",)
    random = str(run.record.model["name"]).startswith("random:")
    warnings = ("RANDOM weights: the pictures are noise, and what was recalled is arbitrary.",) if random else ()
    view = RunView(
        name=name,
        facts=_facts(material),
        warnings=(*warnings, *run.changes()),
        made=sprite_sheets(made),
        difference=sprite_sheets(difference(made, truth.frames)) if known and truth.frames is not None else None,
        psnr=frame_psnr(made, truth.frames) if known and truth.frames is not None else None,
        recalls=recalls,
        hits=recall_hits(trace, truth.clip) if trace is not None and recalls else None,
        thumbnail=thumbnail(made),
    )
    return view, (*notes, *_shrunk(f"frames of {name}", view.made))


def _shrunk(what: str, sheets: Sheets | None) -> tuple[str, ...]:
    if sheets is None or sheets.shrunk is None:
        return ()
    size = f"{sheets.shrunk[1]}x{sheets.shrunk[0]}"
    return (f"The {what} are shown at {sheets.width}x{sheets.height}, scaled down from {size}; scores are of {size}.",)


def _facts(material: Material) -> tuple[tuple[str, str], ...]:
    record, (height, width) = material.run.record, material.made.shape[1:3]
    settings = record.settings
    return (
        ("file", str(material.run.paths.video)),
        ("model", str(record.model["name"])),
        (
            "sampling",
            f"{settings.num_inference_steps} steps, guidance {settings.guidance_scale}, shift {settings.shift}",
        ),
        ("seed", str(record.seed)),
        ("video", f"{len(material.made)} frames of {width}x{height}, {material.fps:g} a second"),
        ("context", f"{material.frames[0]} frames"),
        ("made", str(record.created)),
    )


def _score_table(
    materials: list[Material], names: list[str], given: Given | None, truths: list[Truth]
) -> tuple[tuple[str, ...], ...]:
    """PSNR by phase and the nearest fate, of the runs and the baselines; empty without a truth."""
    rows: dict[str, Scores] = {}
    for material, name, truth in zip(materials, names, truths, strict=True):
        if truth.frames is not None:
            rows[name] = _scores(material.made, truth)
    if given is not None:
        videos, _ = _baselines(given, truths[0], len(materials[0].made))
        rows |= {name: _scores(video, truths[0]) for name, video in videos.items()}
    columns = {
        title: name for title, name in _COLUMNS.items() if any(row.get(name) is not None for row in rows.values())
    }
    if not columns:
        return ()
    table = [("PSNR in dB", *columns)]
    table += [(name, *(_decimal(row.get(column)) for column in columns.values())) for name, row in rows.items()]
    if any(row.get("fate") is not None for row in rows.values()):
        fates = [str(row.get("fate") or "–") for row in rows.values()]
        table = [(*line, cell) for line, cell in zip(table, ["nearest fate", *fates], strict=True)]
    return tuple(table)


def _scores(video: np.ndarray, truth: Truth) -> Scores:
    if truth.frames is None or truth.frames.shape != video.shape:
        raise GeometryError(f"a video {list(video.shape)} has no truth of its size to be measured by")
    if truth.clip is not None and truth.scored:
        return measure(video, truth.clip).flat()
    return {"psnr": mean_of_frames(frame_psnr(video, truth.frames))}


def _decimal(value: float | str | None) -> str:
    return f"{value:.1f}" if isinstance(value, float) else "–"
