"""From what the user named (videos, camera files, poses, clips, prompts) to what a run needs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CameraError, LayoutError, PromptError, VideoError
from ..fingerprints import value_hash
from ..io import sha256_array, sha256_file
from .outputs import OutputPaths
from .record import Settings, Sources

if TYPE_CHECKING:
    import numpy as np

    from ..cameras import CameraPath
    from ..clips import Clip


@dataclass(frozen=True, eq=False)
class LoadedInputs:
    """The inputs of one video as they were read; ``sha256`` names each part; ``notes`` say what was done on reading."""

    frames: np.ndarray
    fps: float
    context_cameras: CameraPath
    target_cameras: CameraPath
    prompt: str
    sha256: dict[str, str]
    notes: list[str] = field(default_factory=list)

    def fitted(self, settings: Settings) -> LoadedInputs:
        """At the size that was asked for, with cameras of the frames as they are then."""
        from ..components.inputs import fitted_inputs

        paths = self.context_cameras, self.target_cameras
        made = fitted_inputs(self.frames, paths, (settings.height, settings.width), settings.horizontal_fov)
        notes = [*self.notes, *([f"context: {made.note}"] if made.note else [])]
        return replace(
            self, frames=made.frames, context_cameras=made.cameras[0], target_cameras=made.cameras[1], notes=notes
        )

    def record(self, horizontal_fov: float | None, size: tuple[int, int]) -> dict[str, object]:
        """The part of ``run.json`` about inputs; lens and (height, width) of the frames that the model got."""
        return {
            "sha256": self.sha256,
            "context_frames": len(self.frames),
            "context_size": list(size),
            "horizontal_fov": horizontal_fov,
            "fps": self.fps,
            "notes": self.notes,
        }


@dataclass(frozen=True)
class Job:
    """One video to make."""

    out: OutputPaths
    sources: Sources


def list_jobs(sources: Sources, out: Path, clips: Path | None) -> list[Job]:
    """One job, or one for each clip under ``clips`` (then ``out`` is a folder).

    Clips are read when their turn comes, so that one that is broken does not stop the others.

    Raises:
        LayoutError: no known layout, or two clips that would be written to one file.
    """
    if clips is None:
        return [Job(OutputPaths(out), sources)]
    from ..datasets import detect_layout

    report = detect_layout(clips)
    jobs = {}
    for name in report.samples:
        video = out / f"{name.replace('/', '_')}.mp4"
        if video in jobs:
            raise LayoutError(f"{clips}: two clips would be written to {video}: their names must differ")
        jobs[video] = Job(OutputPaths(video), replace(sources, clip=str(report.root), clip_name=name))
    return list(jobs.values())


def load_inputs(job: Job, settings: Settings, stride: int) -> LoadedInputs:
    """Read video, cameras and prompt of a job.

    Args:
        stride: video frames per latent frame, the unit of a pose's counts.

    Raises:
        VideoError, CameraError, PromptError, LayoutError: what is missing or cannot be read.
    """
    sources = job.sources
    digests: dict[str, str] = {}
    notes: list[str] = []
    clip = None
    if sources.clip is not None:
        from ..datasets import read_clip

        clip = read_clip(sources.clip, sources.clip_name)
        notes += clip.notes
    context_cameras, target_cameras = _cameras(sources, clip, stride)
    digests["context cameras"] = sha256_array(context_cameras.c2w)
    digests["context lens"] = _sha256_lens(context_cameras)
    if sources.pose is not None:
        digests["pose"] = value_hash([sources.pose])
    elif target_cameras is not None:
        digests["target cameras"] = sha256_array(target_cameras.c2w)
        digests["target lens"] = _sha256_lens(target_cameras)
    if target_cameras is None:
        raise CameraError("no target cameras: give --cameras, --clip or --pose")
    prompt = sources.prompt if sources.prompt is not None else (clip.caption if clip else None)
    if prompt is None:
        raise PromptError("no prompt: give --prompt or --prompt-file (a --clip brings its caption)")
    digests["prompt"] = value_hash([prompt])
    frames, fps, digests["context video"], told = _video(sources, clip, context_cameras, settings.pad)
    notes += told
    if settings.context_frames is not None:
        frames, context_cameras, told = _last_frames(frames, context_cameras, settings.context_frames)
        notes += told
    return LoadedInputs(frames, fps, context_cameras, target_cameras, prompt, digests, notes)


def _cameras(sources: Sources, clip: Clip | None, stride: int) -> tuple[CameraPath, CameraPath | None]:
    from ..cameras import CameraPath, load_camera_file

    context: CameraPath | None = None
    target: CameraPath | None = None
    if clip is not None:
        context, target = clip.context_cameras, clip.target_cameras
    if sources.cameras is not None:
        context, target = load_camera_file(sources.cameras)
    if sources.context_cameras is not None:
        context, _ = load_camera_file(sources.context_cameras)
    if sources.context_pose is not None:
        context = CameraPath.from_string(sources.context_pose, stride=stride)
    if context is None:
        raise CameraError(
            "the context's cameras are not known and none are guessed: give --cameras or --context-cameras "
            "(a file) "
            'or --context-pose (such as "wait-20" for a camera that stood still)'
        )
    if sources.pose is not None:
        target = CameraPath.from_string(sources.pose, start=context, stride=stride)
    return context, target


def _video(
    sources: Sources, clip: Clip | None, cameras: CameraPath, pad: bool
) -> tuple[np.ndarray, float, str, list[str]]:
    """Frames, rate, SHA-256 of the file and notes of the context video, a frame for each camera."""
    import numpy as np

    from ..components.inputs import covered_frames
    from ..video import probe_video, read_video

    if sources.context is not None:
        wanted = covered_frames(cameras)
        info = probe_video(sources.context)
        if sources.context_pose is not None and info.frames is not None and info.frames < wanted and not pad:
            raise CameraError(_too_many_counts(sources.context_pose, cameras, info.frames))
        video = read_video(sources.context, frames=wanted, pad=pad)
        digest = sha256_file(Path(sources.context))
        notes = [f"context video: {video.note}"] if video.note else []
        if video.more:
            whole = f"more than {wanted}" if info.frames is None else str(info.frames)
            notes.append(f"context video: the first {wanted} of {whole} frames are used, one per camera pose")
        return video.frames, video.fps, digest, notes
    if clip is None:
        raise VideoError("no context video: give --context or --clip")
    video = clip.context_video()
    source = clip.context
    digest = sha256_array(source) if isinstance(source, np.ndarray) else sha256_file(source.path) if source else ""
    return video.frames, video.fps, digest, [f"context video: {video.note}"] if video.note else []


def _too_many_counts(pose: str, cameras: CameraPath, frames: int) -> str:
    """In the unit of a pose's words, of which each is some video frames and the first one."""
    counts = len(cameras.from_string(pose, stride=1))
    stride = (len(cameras) - 1) // max(1, counts - 1)
    return (
        f'the context video is too short: --context-pose "{pose}" counts {counts}, which is {len(cameras)} video '
        f"frames at {stride} a count after the first, and it has {frames}: {(frames - 1) // stride + 1} counts fit "
        "(--pad repeats its last frame)"
    )


def _last_frames(frames: np.ndarray, cameras: CameraPath, count: int) -> tuple[np.ndarray, CameraPath, list[str]]:
    """The last ``count`` frames of the context with their cameras: the target follows on from them."""
    skipped = len(frames) - count
    if skipped < 0:
        raise VideoError(f"--context-frames {count}, and the context has {len(frames)} frames")
    if skipped % cameras.frame_stride:
        raise CameraError(
            f"--context-frames {count} of {len(frames)}: the cameras hold a pose every "
            f"{cameras.frame_stride} frames, "
            f"so a multiple of {cameras.frame_stride} must be left out"
        )
    kept = cameras[skipped // cameras.frame_stride :]
    return frames[skipped:], kept, [f"context: the last {count} of {len(frames)} frames are used"]


def _sha256_lens(cameras: CameraPath) -> str:
    if cameras.intrinsics is not None:
        return sha256_array(cameras.intrinsics)
    return value_hash([f"{cameras.horizontal_fov}"])


def checked_sources(
    *,
    context: Path | None,
    cameras: Path | None,
    context_cameras: Path | None,
    context_pose: str | None,
    pose: str | None,
    clip: Path | None,
    clip_name: str | None,
    prompt: str | None,
    prompt_file: Path | None,
) -> Sources:
    """The options that name inputs, held against one another.

    Raises:
        PromptError, CameraError, VideoError: options that exclude one another.
    """
    if prompt is not None and prompt_file is not None:
        raise PromptError("--prompt and --prompt-file are both given: give one of them")
    if prompt_file is not None:
        try:
            prompt = prompt_file.read_text(encoding="utf-8-sig").strip()  # editors on Windows begin with a mark
        except (OSError, UnicodeDecodeError) as error:
            raise PromptError(f"{prompt_file}: cannot be read as text ({error})") from error
        if not prompt:
            raise PromptError(f"{prompt_file} is empty")
    if context_cameras is not None and context_pose is not None:
        raise CameraError("--context-cameras and --context-pose are both given: give one of them")
    if clip is not None and context is not None:
        raise VideoError("--clip and --context are both given: a clip brings its own context video")
    absolute = [None if path is None else os.path.realpath(path) for path in (context, cameras, context_cameras, clip)]
    return Sources(
        context=absolute[0],
        cameras=absolute[1],
        context_cameras=absolute[2],
        context_pose=context_pose,
        pose=pose,
        clip=absolute[3],
        clip_name=clip_name,
        prompt=prompt,
    )
