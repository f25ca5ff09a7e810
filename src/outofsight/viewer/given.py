"""What a run was given and what it made, read again: its video, its trace, its inputs and the truth about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..cameras import CameraPath
from ..errors import CameraError, OutOfSightError
from ..evaluation.traces import RunTrace, read_run_trace
from ..video import read_video
from .runs import RunFiles
from .truth import Truth, read_truth


@dataclass(frozen=True, eq=False)
class Given:
    """What a run was given, read again: context uint8 ``[Fc, h, w, 3]``, cameras, prompt, and SHA-256s by name."""

    frames: np.ndarray
    context_cameras: CameraPath
    target_cameras: CameraPath
    prompt: str
    sha256: Mapping[str, str]


# (run, video frames per latent frame) -> what it was given; raises OutOfSightError or OSError
ReadInputs = Callable[[RunFiles, int], Given]


@dataclass(frozen=True, eq=False)
class Material:
    """One run's video uint8 ``[Ft, h, w, 3]`` and traces (None: there are none), and what is missing of it."""

    run: RunFiles
    made: np.ndarray
    fps: float
    trace: RunTrace | None
    notes: tuple[str, ...]

    @property
    def frames(self) -> tuple[int, int]:
        """Video frames of context and target."""
        return self.run.context_frames, len(self.made)


def read_material(run: RunFiles) -> Material:
    """Raises LayoutError for a trace of another shape, VideoError for a video that cannot be read."""
    video = read_video(run.paths.video)
    frames = run.context_frames, len(video)
    trace = read_run_trace(run.paths.traces(), run.paths.record, frames)
    if trace is None:
        lost = f"{run.paths.trace.name} is not there" if run.record.trace else "the run was made without --trace"
        return Material(run, video.frames, video.fps, None, (f"No retrieval map of {run.name}: {lost}.",))
    notes = tuple(f"No retrieval map of some chunks of {run.name}: {note}." for note in trace.notes)
    return Material(run, video.frames, video.fps, trace, notes)


def read_inputs(material: Material, read: ReadInputs) -> tuple[Given | None, tuple[str, ...]]:
    """The inputs, where they can still be read and are those that the run was made from."""
    lost = "No context, no map from above and no truth: "
    try:
        given = read(material.run, _stride(material))
    except (OutOfSightError, OSError) as cause:
        return None, (f"{lost}{cause}.",)
    recorded = material.run.record.inputs["sha256"]
    changed = [name for name, digest in recorded.items() if name != "prompt" and given.sha256.get(name) != digest]
    if changed:
        return None, (f"{lost}the {' and the '.join(changed)} changed since the run was made.",)
    if len(given.frames) != material.frames[0]:
        return None, (f"{lost}the context has {len(given.frames)} frames, recorded are {material.frames[0]}.",)
    return replace(given, target_cameras=_first(given.target_cameras, material.frames[1])), ()


def _first(cameras: CameraPath, frames: int) -> CameraPath:
    return cameras[: -(-frames // cameras.frame_stride)]


def _stride(material: Material) -> int:
    """Video frames per latent frame, the unit of cameras in words: from the trace, else from the words' length.

    Raises:
        CameraError: neither has them.
    """
    if material.trace is not None:
        return material.trace.stride
    sources, settings = material.run.record.sources, material.run.record.settings
    words = ((sources.pose, settings.target_frames, 1), (sources.context_pose, settings.context_frames, 0))
    for text, cut, half in words:
        if text is None or cut is not None:
            continue
        latents, frames = len(CameraPath.from_string(text, stride=1)), material.frames[half]
        if latents > 1 and (frames - 1) % (latents - 1) == 0:
            return max(1, (frames - 1) // (latents - 1))
    if sources.pose is None and sources.context_pose is None:
        return 1  # nothing is counted in latent frames
    raise CameraError("without a trace it is not known how many video frames one step of the cameras' words is")


def read_truths(materials: list[Material], given: Given | None) -> tuple[list[Truth], tuple[str, ...]]:
    """The truth at the size of each run's video."""
    sources = materials[0].run.record.sources
    if given is None:
        return [Truth()] * len(materials), ()
    if sources.clip is None:
        return [Truth()] * len(materials), ("No truth: the run was made from a video, not from a clip.",)
    found: list[Truth] = []
    notes: tuple[str, ...] = ()
    for material in materials:
        try:
            found.append(read_truth(sources, material.made.shape, material.frames[0], given.target_cameras))
            notes += found[-1].notes
        except (OutOfSightError, OSError) as cause:
            found.append(Truth())
            notes += (f"No truth: {cause}.",)
    return found, notes
