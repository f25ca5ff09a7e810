"""HM-World's camera files, read into plain arrays: three forms, each checked to the last number.

Source: spec/hm_world.md, "Camera files" and "Raw layout". The released loader puts an identity, or the frame
before, in the place of a camera that it cannot read; here that is an error.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CameraError
from ..records import read_json
from .poses import pose_fault

LATENT_STRIDE = 4  # video frames per latent frame of Wan's VAE: the rate of [n,12] files
_PAIRS = (("cond_cam", "tgt_cam"), ("context_camera", "video_camera"))
# Written by outofsight beside the released keys, which the released loader ignores.
_OPTIONAL = ("horizontal_fov", "fps", "intrinsics")
_HEMI8 = re.compile(r"C_[0-9]+\w*")  # C_01_20mm ... C_08_20mm
_SHOWN = 60  # letters of a key that a message shows
_COLUMN = re.compile(r"\[([^\[\]]*)\]")
_FORMS = (
    '{"cond_cam": {"0": 4x4, ...}, "tgt_cam": {...}}, {"context_camera": [n,12] or [N,4,4], '
    '"video_camera": ...}, or the raw form {"0": "[c0] [c1] [c2] [c3]", ...}'
)


@dataclass(frozen=True, eq=False)
class CameraArrays:
    """What a camera file holds: context and target [F,4,4], Unreal's or (relative vectors) OpenCV's.

    intrinsics: [F,4] or [4] of the context and of the target, as `CameraPath` takes them, or None.
    """

    context: np.ndarray
    target: np.ndarray
    unreal: bool = True
    frame_stride: int = 1
    horizontal_fov: float | None = None
    fps: float | None = None
    intrinsics: tuple[np.ndarray, np.ndarray] | None = None


def raw_split(frames: int, what: str = "a raw clip") -> tuple[np.ndarray, np.ndarray]:
    """Which raw frames make up the context and the target: two index arrays of (frames + 1) / 2 + 2 each.

    Frame 0 is replaced by frame 1 and the last one repeated; the result is cut in half, and each half padded
    by one copy at both ends (149 raw frames give 77 and 77).
    """
    if frames < 3 or frames % 2 == 0:
        raise CameraError(
            f"{what} has {frames} frames; expected an odd number of at least 3 (149 in the release), "
            "since one frame is added before it is cut in half"
        )
    order = np.arange(frames + 1)
    order[0], order[-1] = 1, frames - 1
    halves = np.split(order, 2)
    context, target = (np.concatenate([half[:1], half, half[-1:]]) for half in halves)
    return context, target


def read_camera_arrays(path: Path, camera: str | None = None) -> CameraArrays:
    """Read any of the three forms; `camera` chooses among the cameras of a Hemi8 file."""
    data = read_json(path, CameraError)
    if not isinstance(data, dict) or not data:
        raise CameraError(f"{path}: expected a JSON object, found {_describe(data)}. Known forms: {_FORMS}")
    for pair in _PAIRS:
        if any(name in data for name in pair):
            _refuse_choice(path, camera)
            return _read_pair(path, data, pair)
    if all(name.isdecimal() for name in data) or all(_HEMI8.fullmatch(name) for name in data):
        return _read_raw(path, _one_camera(path, data, camera))
    raise CameraError(f"{path}: unknown keys {_first(data)}. Known forms: {_FORMS}")


def _refuse_choice(path: Path, camera: str | None) -> None:
    if camera is not None:
        raise CameraError(f'{path}: it holds one camera, so camera="{camera}" cannot be chosen; leave it out')


def _read_pair(path: Path, data: dict[str, Any], pair: tuple[str, str]) -> CameraArrays:
    for name in pair:
        if name not in data:
            raise CameraError(f'{path}: "{name}" is missing; found {_first(data)}')
    unknown = [name for name in data if name not in (*pair, *_OPTIONAL)]
    if unknown:
        raise CameraError(f"{path}: unknown keys {_first(unknown)}; expected {pair[0]} and {pair[1]} only")
    frames = [_numbered(f"{path}: {name}", data[name]) for name in pair]
    vectors = [_is_vector(half[0][1]) for half in frames]
    if vectors[0] != vectors[1]:
        raise CameraError(f"{path}: one of {pair[0]} and {pair[1]} holds [n,12] vectors, the other 4x4 matrices")
    context, target = (_matrices(half, vectors[0]) for half in frames)
    options: dict[str, Any] = {name: _optional(path, name, data[name]) for name in _OPTIONAL[:2] if name in data}
    if data.get("intrinsics") is not None:
        options["intrinsics"] = _intrinsics(path, data["intrinsics"], pair)
    stride = LATENT_STRIDE if vectors[0] else 1
    return CameraArrays(context, target, unreal=not vectors[0], frame_stride=stride, **options)


def _read_raw(path: Path, data: dict[str, Any]) -> CameraArrays:
    frames = _numbered(str(path), data)
    matrices = _checked([(where, _parse_columns(where, value)) for where, value in frames])
    context, target = raw_split(len(matrices), f"{path}: the raw camera")
    return CameraArrays(matrices[context], matrices[target])


def _one_camera(path: Path, data: dict[str, Any], camera: str | None) -> dict[str, Any]:
    """Take one of the cameras of a Hemi8 file: an object by camera inside each frame, or the reverse."""
    inner = [value for value in data.values() if isinstance(value, dict)]
    if not inner:
        _refuse_choice(path, camera)
        return data
    by_frame = all(name.isdecimal() for name in data)
    names = list(dict.fromkeys(name for value in inner for name in value)) if by_frame else list(data)
    if camera is None:
        raise CameraError(
            f'{path}: it holds several cameras ({", ".join(names)}); choose one, e.g. camera="{names[0]}"'
            if names
            else f"{path}: its frames are empty objects. Known forms: {_FORMS}"
        )
    if camera not in names:
        raise CameraError(f'{path}: no camera "{camera}"; it holds {_first(names)}')
    if not by_frame:
        return data[camera] if isinstance(data[camera], dict) else {}
    for frame, value in data.items():
        if not isinstance(value, dict) or camera not in value:
            raise CameraError(f'{path}: frame "{frame}" has no camera "{camera}"; found {_describe(value)}')
    return {frame: value[camera] for frame, value in data.items()}


def _numbered(where: str, section: Any) -> list[tuple[str, Any]]:
    """The frames of a dict "0".."N-1" or of a list, in order, each with words that say where it stands."""
    if isinstance(section, list):
        section = {str(frame): value for frame, value in enumerate(section)}
    if not isinstance(section, dict) or not section:
        raise CameraError(f"{where}: expected poses by frame, found {_describe(section)}")
    unknown = [key for key in section if not (key.isascii() and key.isdecimal() and str(int(key[:9])) == key)]
    if unknown:
        raise CameraError(f'{where}: unknown keys {_first(unknown)}; expected frame numbers "0", "1", ...')
    for frame in range(len(section)):
        if str(frame) not in section:
            last = max(int(key) for key in section)
            raise CameraError(f"{where}: frame {frame} is missing ({len(section)} frames found, up to {last})")
    return [(f"{where}, frame {frame}", section[str(frame)]) for frame in range(len(section))]


def _is_vector(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 12


def _matrices(frames: list[tuple[str, Any]], vectors: bool) -> np.ndarray:
    rows = 3 if vectors else 4
    matrices = []
    for where, value in frames:
        values = [value[row : row + 4] for row in (0, 4, 8)] if vectors and _is_vector(value) else value
        if not isinstance(values, list) or len(values) != rows or not all(_is_row(row) for row in values):
            shape = "12 numbers" if vectors else "a 4x4 matrix of numbers"
            raise CameraError(f"{where}: expected {shape}, found {_describe(value)}")
        matrices.append((where, np.array([*values, [0, 0, 0, 1]][:4], dtype=np.float64)))
    return _checked(matrices)


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, list)
        and len(row) == 4
        # an integer of hundreds of digits is valid JSON and no float
        and all(isinstance(x, float) or (type(x) is int and abs(x) < 2**63) for x in row)
    )


def _parse_columns(where: str, value: Any) -> np.ndarray:
    """ "[c0] [c1] [c2] [c3]": four columns of four numbers -> [4,4]."""
    expected = 'expected "[c0] [c1] [c2] [c3]", four columns of four numbers'
    if not isinstance(value, str):
        raise CameraError(f"{where}: {expected}, found {_describe(value)}")
    columns = [column.split() for column in _COLUMN.findall(value)]
    if len(columns) != 4 or any(len(column) != 4 for column in columns) or _COLUMN.sub("", value).strip():
        raise CameraError(f"{where}: {expected}, found {_describe(value)}")
    if "_" in value:  # Python reads 1_000 as a number, and nobody else does
        raise CameraError(f"{where}: {expected}, found {_describe(value)}")
    try:
        return np.array([[float(number) for number in column] for column in columns]).T
    except ValueError as cause:
        raise CameraError(f"{where}: {expected}, found {_describe(value)} ({cause})") from cause


def _checked(matrices: list[tuple[str, np.ndarray]]) -> np.ndarray:
    stacked = np.stack([matrix for _, matrix in matrices])
    fault = pose_fault(stacked)
    if fault is not None:
        raise CameraError(f"{matrices[fault[0]][0]}: not a camera pose: {fault[1]}")
    return stacked


def _optional(path: Path, name: str, value: Any) -> float | None:
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    raise CameraError(f'{path}: "{name}" is {_describe(value)}, expected a number or null')


def _intrinsics(path: Path, value: Any, pair: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Of context and target: {"cond_cam": [fx, fy, cx, cy] or one such row per pose, "tgt_cam": ...}."""
    if not isinstance(value, dict) or set(value) != set(pair):
        raise CameraError(
            f'{path}: "intrinsics" is {_describe(value)}, expected an object with {pair[0]} and {pair[1]}'
        )
    halves = []
    for name in pair:
        rows = value[name] if isinstance(value[name], list) else [None]
        if not _is_row(rows) and not all(_is_row(row) for row in rows):
            raise CameraError(
                f"{path}: intrinsics, {name}: expected four numbers fx, fy, cx, cy (shares of width and height), or a "
                f"row of them for each pose; found {_describe(value[name])}"
            )
        halves.append(np.array(rows, dtype=np.float64))
    return halves[0], halves[1]


def _first(keys: Any, count: int = 5) -> str:
    names = [
        f'"{key}"' if len(key) <= _SHOWN else f'"{key[:_SHOWN]}..." ({len(key)} letters)' for key in list(keys)[:count]
    ]
    return ", ".join(names) + (f", ... ({len(keys)} in all)" if len(keys) > count else "")


def _describe(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with keys {_first(value)}" if value else "an empty object"
    text = json.dumps(value)
    kind = f"a list of {len(value)}: " if isinstance(value, list) else ""
    return kind + (text if len(text) <= 80 else text[:77] + "...")
