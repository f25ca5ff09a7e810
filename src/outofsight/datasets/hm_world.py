"""Read HM-World clips from disk, in any of its layouts (hm_world_layouts.py)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..cameras import CameraPath, load_camera_file
from ..cameras.files import raw_split
from ..clips import Clip, InstanceMasks, RedMasks, VideoFile
from ..errors import LayoutError
from ..records import read_json
from ..video import probe_video
from .base import Reader, listing, register_reader
from .hm_world_annotations import read_characters, read_checks, with_checks
from .hm_world_layouts import MASK_SUFFIX, Captions, find_examples, find_raw, find_released, need

INSTANCE_MASKS, EXTRAS = "instance_masks.npz", "extras.json"  # ours, beside the released files


def _read_released(root: Path, name: str, captions: Captions) -> Clip:
    folder = root / name
    need(folder, ("cond.mp4", "tgt.mp4", "camera.json"))
    cameras = load_camera_file(folder / "camera.json")
    videos = VideoFile(folder / "cond.mp4"), VideoFile(folder / "tgt.mp4")
    fps = {_checked_rate(video, path) for video, path in zip(videos, cameras, strict=True)}
    if len(fps) > 1:
        raise LayoutError(f"{folder}: cond.mp4 and tgt.mp4 differ in frame rate: {sorted(fps)}")
    caption, notes = captions.find(name, (name,), root)
    clip = _timed(Clip(name, caption, *cameras, *videos, notes=notes), fps.pop())
    counted = np.arange(clip.context_frames), np.arange(clip.target_frames)
    clip = _annotated(clip, folder / "character.json", folder / "check.json", *counted)
    if (folder / EXTRAS).is_file():
        clip = replace(clip, extras={**clip.extras, **_extras(folder / EXTRAS)})
    if (folder / INSTANCE_MASKS).is_file():
        return replace(clip, masks=InstanceMasks(folder / INSTANCE_MASKS))
    masks = [folder / "cond_mask.mp4", folder / "tgt_mask.mp4"]
    there = [file for file in masks if file.is_file()]
    if len(there) == 1:
        return _noted(clip, f"{there[0].name}: the mask of the other half is missing; not used")
    return replace(clip, masks=RedMasks(*(VideoFile(file) for file in masks))) if there else clip


def _read_raw(root: Path, name: str, captions: Captions) -> Clip:
    sample, _, video_name = name.partition("/")
    folder = root / sample
    if not video_name:
        found = [file.stem for file in (folder / "videos").glob("*.mp4")]
        video_name = next(stem for stem in found if not stem.endswith(MASK_SUFFIX))
    home = next((home for home in (folder, root) if (home / f"{sample}.json").is_file()), None)
    if home is None:
        raise LayoutError(f"{folder}: no {sample}.json in it or beside it; it holds {listing(folder)}")
    file = folder / "videos" / f"{video_name}.mp4"
    info = probe_video(file)
    if info.frames is None:
        raise LayoutError(f"{file}: its header does not state its frame count; re-mux it (ffmpeg -c copy)")
    camera = re.search(r"C_[0-9]+_[0-9]+mm", video_name)
    cameras = load_camera_file(home / f"{sample}.json", camera=camera[0] if camera else None)
    indices = raw_split(info.frames, str(file))
    for half, path, chosen in zip(("context", "target"), cameras, indices, strict=True):
        if len(path) != len(chosen):
            raise LayoutError(
                f"{file}: its {info.frames} frames give a {half} of {len(chosen)}, but {sample}.json one of {len(path)}"
            )
    captions = captions if captions.file else Captions.beside(folder)
    caption, notes = captions.find(name, (video_name, sample), root)
    halves = VideoFile(file, indices[0]), VideoFile(file, indices[1])
    clip = _timed(Clip(name, caption, *cameras, *halves, notes=notes), info.fps)
    clip = _annotated(clip, home / f"{sample}_character.json", home / f"{sample}_check.json", *indices)
    mask = file.with_name(f"{video_name}{MASK_SUFFIX}.mp4")
    if mask.is_file():
        clip = replace(clip, masks=RedMasks(*(VideoFile(mask, chosen) for chosen in indices)))
    return clip


def _read_example(root: Path, name: str, captions: Captions) -> Clip:
    context, target = load_camera_file(root / f"cam{name}.json")
    video = VideoFile(root / f"{name}.mp4")
    fps = _checked_rate(video, context)
    return _timed(Clip(name, captions.numbered(name, root), context, target, video), fps)


def _opened(read: Callable[[Path, str, Captions], Clip]) -> Callable[[Path], Callable[[str], Clip]]:
    """``read`` with the captions beside the clips read once."""

    def opened(root: Path) -> Callable[[str], Clip]:
        captions = Captions.beside(root)
        return lambda name: read(root, name, captions)

    return opened


register_reader(
    Reader(
        "released",
        "<sample>/{cond,tgt}.mp4 and camera.json, caption.txt beside the samples",
        find_released,
        _opened(_read_released),
    )
)
register_reader(
    Reader("raw", "<sample>/videos/<name>.mp4 and <sample>.json, captions.txt", find_raw, _opened(_read_raw))
)
register_reader(Reader("example", "1.mp4, cam1.json and caption.txt", find_examples, _opened(_read_example)))


def _annotated(clip: Clip, characters: Path, checks: Path, context: np.ndarray, target: np.ndarray) -> Clip:
    """The clip with what its annotation files say; both may be missing."""
    extras: dict[str, Any] = dict(clip.extras)
    notes = clip.notes
    subjects = clip.subjects
    if characters.is_file():
        subjects, unknown, more = read_characters(characters)
        notes += more
        if more:
            extras["character.json"] = unknown
    if checks.is_file():
        flags, more = read_checks(checks, context, target)
        notes += more
        subjects = with_checks(subjects, flags)
    return replace(clip, subjects=subjects, extras=extras, notes=notes)


def _extras(file: Path) -> dict[str, Any]:
    content = read_json(file, LayoutError)
    if not isinstance(content, dict):
        raise LayoutError(f"{file}: expected a JSON object, found a {type(content).__name__}")
    return content


def _noted(clip: Clip, note: str) -> Clip:
    return replace(clip, notes=(*clip.notes, note))


def _timed(clip: Clip, fps: float) -> Clip:
    context, target = (replace(path, fps=fps) for path in (clip.context_cameras, clip.target_cameras))
    return replace(clip, context_cameras=context, target_cameras=target, fps=fps)


def _checked_rate(video: VideoFile, cameras: CameraPath) -> float:
    """The video's frame rate; LayoutError where its header counts other frames than the cameras."""
    info = probe_video(video.path)
    if info.frames is not None and -(-info.frames // cameras.frame_stride) != len(cameras):
        raise LayoutError(
            f"{video.path}: {info.frames} frames, but {len(cameras)} camera poses, one per "
            f"{cameras.frame_stride} frames; video and camera file do not belong together"
        )
    return info.fps
