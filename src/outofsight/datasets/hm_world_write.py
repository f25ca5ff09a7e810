"""Write a clip in HM-World's released layout: the sample's folder is built beside its place and renamed."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from ..cameras import CameraPath
from ..clips import Clip, RedMasks, VideoFile
from ..errors import LayoutError, OutputError
from ..video import write_video
from .hm_world import EXTRAS, INSTANCE_MASKS
from .hm_world_annotations import characters_to_json, checks_to_json
from .hm_world_layouts import CAPTION_FILES, DATA_FOLDER

_RED = np.array([255, 0, 0], dtype=np.uint8)


def write_clip(clip: Clip, root: str | os.PathLike[str], layout: str = "released", *, exact: bool = False) -> Path:
    """Write `clip` to <root>/HM-World/<clip.name>/, its caption to <root>/HM-World/caption.txt; returns the
    folder.

    Cameras are kept in their own world (Unreal axes and centimetres; a right-handed world makes matrices of
    determinant -1, of which the released loader computes the same relative vectors). Beside the released
    files go instance_masks.npz (ids, which a red mask cannot hold) and extras.json. Videos on disk are copied
    as they are, arrays encoded, with ``exact`` pixel by pixel. Several processes may write to one root.
    Raises LayoutError for a clip that
    the layout cannot hold, OutputError where the place cannot be written to or is taken; no half-written
    sample stays.
    """
    if layout != "released":
        raise LayoutError(f'layout="{layout}": clips are written in the layout "released" only')
    files = _json_files(clip)  # checks the clip before anything is written
    folder = Path(root) / DATA_FOLDER
    place = folder / clip.name
    if place.exists():
        raise OutputError(f"{place}: it exists already; remove it, or give the clip another name")
    beside = folder / f".{clip.name[:80]}-{uuid.uuid4().hex[:8]}"
    try:
        beside.mkdir(parents=True)
        for name, content in files.items():
            (beside / name).write_text(content, encoding="utf-8")
        _write_half(beside / "cond.mp4", clip.context, clip, exact)
        _write_half(beside / "tgt.mp4", clip.target, clip, exact)
        _write_masks(beside, clip)
        # First the caption: a line without its sample harms nothing, and the last line of a path counts.
        _append_line(folder / CAPTION_FILES[0], f"{clip.name}/tgt.mp4\t{clip.caption}")
        beside.rename(place)
    except OSError as cause:
        raise OutputError(f"{place}: cannot be written ({cause})") from cause
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return place


def _json_files(clip: Clip) -> dict[str, str]:
    """Name -> content of the sample's JSON files. Raises LayoutError for what the layout cannot hold."""
    _check(clip)
    cameras: dict[str, Any] = {}
    for name, path in (("cond_cam", clip.context_cameras), ("tgt_cam", clip.target_cameras)):
        cameras[name] = {str(frame): matrix for frame, matrix in enumerate(path.to_unreal().tolist())}
    cameras |= lens_to_json(clip.context_cameras, clip.target_cameras)
    contents = {"camera.json": cameras}
    if clip.subjects:
        contents["character.json"] = characters_to_json(clip.subjects)
    checks = checks_to_json(clip.subjects, clip.context_frames)
    if checks is not None:
        contents["check.json"] = checks
    if clip.extras:
        contents[EXTRAS] = dict(clip.extras)
    texts = {}
    for name, content in contents.items():
        try:
            texts[name] = json.dumps(content, allow_nan=False, ensure_ascii=False)
        except (TypeError, ValueError) as cause:
            raise LayoutError(
                f'clip "{clip.name}": {name} cannot be written ({cause}); attributes and extras must be '
                "JSON: strings, finite numbers, lists and objects"
            ) from cause
    return texts


def lens_to_json(context: CameraPath, target: CameraPath) -> dict[str, Any]:
    """What a camera file says of the lens, beside the released keys: "horizontal_fov" and, where the paths have them,
    "intrinsics" of each half, a row for each pose or one for all."""
    same = context.horizontal_fov == target.horizontal_fov
    content: dict[str, Any] = {"horizontal_fov": target.horizontal_fov if same else None}
    if context.intrinsics is not None and target.intrinsics is not None:
        content["intrinsics"] = {
            name: (rows[0] if (rows == rows[0]).all() else rows).tolist()
            for name, rows in (("cond_cam", context.intrinsics), ("tgt_cam", target.intrinsics))
        }
    return content


def _check(clip: Clip) -> None:
    what = f'clip "{clip.name}"'
    if not clip.name or clip.name.startswith(".") or set(clip.name) & set("/\\\t\n\r\0"):
        raise LayoutError(f"{what}: its name must be that of a folder: no /, no leading dot, no line break")
    if not clip.caption.strip() or clip.caption != clip.caption.strip() or len(clip.caption.splitlines()) > 1:
        raise LayoutError(f"{what}: its caption must be one line of text without spaces around: {clip.caption!r}")
    if clip.context is None or clip.target is None:
        missing = "context" if clip.context is None else "target"
        raise LayoutError(f"{what}: it has no {missing} video, and the released layout holds both")
    for path in (clip.context_cameras, clip.target_cameras):
        if path.frame_stride != 1:
            raise LayoutError(
                f"{what}: its cameras have one pose per {path.frame_stride} frames; the released layout "
                "holds one per frame"
            )
    context, target = clip.context_cameras, clip.target_cameras
    if (context.intrinsics is None) != (target.intrinsics is None) or (
        context.intrinsics is None and context.horizontal_fov != target.horizontal_fov
    ):
        raise LayoutError(
            f"{what}: context and target cameras differ in horizontal_fov ({context.lens} and {target.lens}); give "
            "both intrinsics (path.with_intrinsics)"
        )


def _write_half(file: Path, source: np.ndarray | VideoFile | None, clip: Clip, exact: bool) -> None:
    if isinstance(source, VideoFile) and source.indices is None:
        shutil.copyfile(source.path, file)
    elif source is not None:
        frames = source if isinstance(source, np.ndarray) else source.load().frames
        write_video(file, frames, clip.fps, exact=exact)


def _write_masks(folder: Path, clip: Clip) -> None:
    if clip.masks is None:
        return
    ids = clip.load_masks()
    if not isinstance(clip.masks, RedMasks):
        np.savez_compressed(folder / INSTANCE_MASKS, ids=ids)
    red = (ids[..., None] > 0) * _RED
    write_video(folder / "cond_mask.mp4", red[: clip.context_frames], clip.fps)
    write_video(folder / "tgt_mask.mp4", red[clip.context_frames :], clip.fps)


def _append_line(file: Path, line: str) -> None:
    """One write in append mode, so that lines of several processes do not mix."""
    handle = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        size = os.fstat(handle).st_size
        if size:
            os.lseek(handle, size - 1, os.SEEK_SET)
            line = line if os.read(handle, 1) == b"\n" else "\n" + line
        data = f"{line}\n".encode()
        if os.write(handle, data) != len(data):
            raise OSError(f"the disk is full: {file} holds half a line")
    finally:
        os.close(handle)
