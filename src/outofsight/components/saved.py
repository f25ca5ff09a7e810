"""A folder that holds one record and its tensors, and is replaced whole: a kill leaves the old one or the new one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge, Interval
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from typing_extensions import TypedDict

from ..cameras import CameraPath
from ..errors import OutOfSightError, OutputError
from ..fingerprints import value_hash
from ..framing import Framing
from ..io import replacing
from ..records import MOST_STEPS, read_object
from .video_codec import DecoderStream, codec_of

RECORD, TENSORS = "session.json", "session.safetensors"
_DECODER, _LENS = "decoder.", "context.intrinsics"


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


def camera_tensors(cameras: CameraPath) -> dict[str, Tensor]:
    """Poses of the context's cameras and, where it is not one field of view, their lens, as a session keeps them."""
    found = {"context.c2w": torch.from_numpy(cameras.c2w.copy())}
    return found if cameras.intrinsics is None else {**found, _LENS: torch.from_numpy(cameras.intrinsics.copy())}


def saved_cameras(record: SavedSession, tensors: Mapping[str, Tensor]) -> CameraPath:
    """The cameras that :func:`camera_tensors` took apart. Raises CameraError, KeyError."""
    lens = tensors.get(_LENS)
    return CameraPath(
        tensors["context.c2w"].numpy(),
        horizontal_fov=record["horizontal_fov"] if lens is None else None,
        fps=record["fps"],
        frame_stride=record["frame_stride"],
        intrinsics=None if lens is None else lens.numpy(),
    )


def decoder_tensors(decoder: DecoderStream | None) -> dict[str, Tensor]:
    """What a decoder keeps between chunks, as a session keeps it."""
    kept = {} if decoder is None else decoder.saved()
    return {f"{_DECODER}{i}": x for i, x in kept.items() if isinstance(x, Tensor)}


def restored_decoder(
    vae: Any,
    words: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    latents: tuple[int, int, int],
    file: Path,
    device: torch.device,
) -> DecoderStream:
    """The decoder of a session that was saved.

    Args:
        words: what it keeps that is no tensor, by convolution.
        tensors: those of the session, on the CPU.
        latents: latent frames that were decoded, and rows and columns of the latent grid.
        file: where the tensors were read from.
        device: where it is to decode.

    Raises:
        OutOfSightError: what is there is not what this VAE keeps.
    """
    found: dict[int, Any] = {int(i): x for i, x in words.items()}
    found |= {int(name.removeprefix(_DECODER)): x for name, x in tensors.items() if name.startswith(_DECODER)}
    codec = codec_of(vae)
    with torch.device("meta"):
        twin = type(vae).from_config(vae.config)
        stream = codec_of(twin.to(codec.dtype)).decoder_stream()
        # after the third latent frame nothing that is kept changes its shape
        stream.decode(torch.empty(1, codec.channels, min(latents[0], 3), *latents[1:], dtype=codec.dtype))
    expected = stream.saved()
    for i in sorted(found.keys() | expected.keys()):
        here, there = _shown(found.get(i)), _shown(expected.get(i))
        if here != there:
            raise OutOfSightError(
                f"{file}: {_DECODER}{i} is {here}, and this model's VAE keeps {there} "
                f"there after {latents[0]} latent frames of {latents[1]}x{latents[2]}: it is of another model or dtype"
            )
    decoder = codec.decoder_stream()
    decoder.restore({i: x.to(device) if isinstance(x, Tensor) else x for i, x in found.items()})
    return decoder


def _shown(kept: Any) -> str:
    if isinstance(kept, Tensor):
        return f"{str(kept.dtype).removeprefix('torch.')} {list(kept.shape)}"
    return "nothing" if kept is None else repr(kept)
