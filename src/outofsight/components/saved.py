"""A folder that holds one record and its tensors, and is replaced whole: a kill leaves the old one or the new one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Interval
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from typing_extensions import TypedDict

from ..errors import OutOfSightError, OutputError
from ..fingerprints import value_hash
from ..framing import Framing
from ..io import replacing
from ..records import MOST_STEPS, read_object

RECORD, TENSORS = "session.json", "session.safetensors"


class _Options(TypedDict):
    steps: Annotated[int, Interval(ge=1, le=MOST_STEPS)]
    shift: float
    guidance: float
    guidance_interval: tuple[float, float]
    guidance_kind: str
    batched_guidance: bool
    numerics: str
    cache_context: bool | None
    plain: bool


_Angle = Annotated[float, Interval(gt=0, lt=180)]


class SavedSession(TypedDict):
    """What session.json says."""

    options: _Options
    seed: Annotated[int, Interval(ge=0, lt=1 << 63)]
    trace: bool
    prompt: str
    negative_prompt: str | None
    chunks: Annotated[int, Interval(ge=0, lt=1 << 31)]
    undecoded: bool
    context_frames: Annotated[int, Interval(ge=1, lt=1 << 31)]
    horizontal_fov: _Angle | None
    given_fov: _Angle | None
    framing: Framing
    fps: float
    frame_stride: Annotated[int, Ge(1)]
    decoder: dict[str, Any]


def write_saved(folder: Path, name: str, record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a record that JSON can hold, and tensors under ``name``; what was there before goes last.

    Raises:
        OutputError: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise OutputError(f"{folder} cannot be made: {cause}") from cause
    content = save({key: x.contiguous() for key, x in tensors.items()})
    file = folder / f"{name}-{TENSORS}"
    with replacing(file) as beside:
        beside.write_bytes(content)
    # the record says by its hash which tensors it belongs to, so a kill between the two files is noticed
    digest = value_hash([content])
    with replacing(folder / RECORD) as beside:
        beside.write_text(json.dumps({**record, "file": file.name, "tensors": digest}, indent=1), encoding="utf-8")
    for old in folder.glob(f"*-{TENSORS}"):
        if old != file:
            old.unlink(missing_ok=True)


def read_saved(folder: Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The record of format ``kind`` and its tensors.

    Raises:
        OutOfSightError: nothing is there, or it is damaged or of another version.
    """
    record = read_object(folder / RECORD, OutOfSightError, "save the session again")
    fault = f"{folder} holds no whole session of this version ({kind}): save it again"
    try:
        if record["format"] != kind or "/" in record["file"]:
            raise OutOfSightError(fault)
        content = (folder / record["file"]).read_bytes()
        if value_hash([content]) != record["tensors"]:
            raise OutOfSightError(fault)
        return record, load(content)
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as cause:
        raise OutOfSightError(f"{fault} ({cause})") from cause
