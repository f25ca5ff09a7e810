"""Encoded clips on disk: shards of safetensors, written whole, and the index that lists them.

A folder holds ``shard-00000.safetensors`` ... and ``index.json``. Every shard lists in its header which clips it
holds, what they were made with, and the digest of its own contents, so that a run that was killed can be resumed; the
index is written last and removed before anything changes, so a folder without one is half-written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Gt, Interval
from torch import Tensor

from ..errors import DatasetError
from ..io import replacing, sha256_file
from ..records import WeightDtype, fitted, parse_json, read_object
from .hashes import tensors_hash

INDEX, VERSION = "index.json", 1
EMPTY_TEXT = "empty_text"
STORED_DTYPES: dict[str, torch.dtype] = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
_PARTS = {"vae": "VAE", "text_encoder": "text encoder", "tokenizer": "tokenizer", "finder": "finder or renderer"}
_Count = Annotated[int, Interval(ge=1, le=1 << 20)]
_Side = Annotated[int, Interval(ge=1, le=1024)]
_HEADER = "outofsight"  # one key: safetensors keeps several in no fixed order, and equal clips should be equal files


@dataclass(frozen=True, eq=False)
class EncodedClip:
    """One clip as the transformer reads it.

    latents: ``[c, f, h, w]`` float32, normalised; ``context_frames`` of the context, then the target, coded apart.
    text: ``[l, d]`` float32, its true tokens alone. context_poses ``[fc, 12]``, target_poses ``[ft, 12]`` from
    ``relative_pose_vectors``. horizontal_fov: degrees, or None where the data does not hold it. subject:
    ``[f, h, w]`` share (0..1) of the pixels of each latent, over its video frames, that belong to a subject.
    phase: ``[f]`` uint8, the highest of its video frames and of all subjects: 0 nobody seen yet, 1 someone is
    visible, 2 someone seen before is out of view, 3 someone who left is visible again. rendered: ``[c + 4, ft, h, w]``
    of ``rendered.condition``, or None where the model that encoded has no finder.
    """

    name: str
    latents: Tensor
    context_frames: int
    text: Tensor
    context_poses: Tensor
    target_poses: Tensor
    horizontal_fov: float | None
    subject: Tensor
    phase: Tensor
    rendered: Tensor | None = None


@dataclass(frozen=True)
class LatentSettings:
    """What decides the bytes of every clip of a folder.

    vae, text_encoder, tokenizer: hashes (``training.hashes``). frame_stride: video frames per latent frame;
    pixel_stride: pixels per latent position, or their rows and columns where these differ. channels, size (rows,
    columns): of the latents. text_tokens: what prompts are padded to; text_dim: their width. dtype: as stored.
    precision: what the VAE and the text encoder computed in. finder: hash of the finder and renderer that rendered
    targets were made with, "" where there was none. true_places: whether they show subjects at their ground-truth
    places, not at extrapolated ones.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    vae: str
    text_encoder: str
    tokenizer: str
    frame_stride: Annotated[int, Interval(ge=1, le=64)]
    pixel_stride: _Side | tuple[_Side, _Side]
    channels: _Count
    size: tuple[_Count, _Count]
    text_tokens: _Count
    text_dim: _Count
    dtype: WeightDtype = "float16"
    precision: WeightDtype = "float32"
    finder: str = ""
    true_places: bool = False

    @property
    def pixels(self) -> tuple[int, int]:
        """Height and width of the frames that were encoded."""
        rows, columns = (self.pixel_stride,) * 2 if isinstance(self.pixel_stride, int) else self.pixel_stride
        return self.size[0] * rows, self.size[1] * columns

    def to_json(self) -> dict[str, Any]:
        stride = self.pixel_stride if isinstance(self.pixel_stride, int) else list(self.pixel_stride)
        return {**asdict(self), "size": list(self.size), "pixel_stride": stride}

    @classmethod
    def from_json(cls, content: Any, where: Path) -> LatentSettings:
        return fitted(cls, content, f"{where}: settings", DatasetError, "encode the clips again")

    def other_parts(self, hashes: Mapping[str, str]) -> list[str]:
        """Of parts by name (``Parts.hashes``), in words those that are not the ones that made the latents."""
        return [
            f"another {_PARTS[name]} (hash {_short(getattr(self, name)) or 'none'}, here {_short(found) or 'none'})"
            for name, found in hashes.items()
            if found != getattr(self, name)
        ]

    def differences(self, other: LatentSettings) -> list[str]:
        """Names and both values of what differs, in words."""
        ours, theirs = self.to_json(), other.to_json()
        return [
            f"{name} {_short(ours[name])}, not {_short(theirs[name])}" for name in ours if ours[name] != theirs[name]
        ]


@dataclass(frozen=True)
class ClipEntry:
    """A clip in the index: its shard, its latent frames, and what may be known without opening the shard.

    kind: of the worlds' clips ("re-entry" ...), else None. horizontal_fov: degrees, or None where the data does not
    hold it. annotated: whether the clip's masks and visible counts were there to make subject and phase from; without
    them both are zero. digest: of what it was made from.
    """

    name: str
    shard: str
    context_frames: _Count
    frames: _Count
    kind: str | None
    caption: str
    fps: Annotated[float, Gt(0)]
    horizontal_fov: Annotated[float, Interval(gt=0, lt=180)] | None
    annotated: bool
    digest: str


def stored_strides(strides: tuple[int, int]) -> int | tuple[int, int]:
    """Pixels per latent position (rows, columns) as ``LatentSettings`` has them: one number where both are equal."""
    return strides[0] if strides[0] == strides[1] else strides


def shard_name(number: int) -> str:
    return f"shard-{number:05d}.safetensors"


def write_shard(
    folder: Path,
    name: str,
    clips: Sequence[EncodedClip],
    entries: Sequence[ClipEntry],
    settings: LatentSettings,
    empty_text: Tensor,
) -> None:
    """Write one shard, whole or not at all; ``empty_text [l, d]`` is the embedding of no text.

    Raises OutputError (disk full, no permission). The folder counts as half-written from then on.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    (folder / INDEX).unlink(missing_ok=True)
    tensors: dict[str, Tensor] = {EMPTY_TEXT: empty_text.to(STORED_DTYPES[settings.dtype]).contiguous()}
    for clip in clips:
        tensors |= {f"{clip.name}/{part}": tensor for part, tensor in _stored(clip, settings.dtype).items()}
    header = {
        "version": VERSION,
        "settings": settings.to_json(),
        "clips": [asdict(entry) for entry in entries],
        "content": tensors_hash(tensors),
    }
    with replacing(folder / name, SafetensorError) as beside:
        save_file(tensors, beside, metadata={_HEADER: json.dumps(header, sort_keys=True)})


def _stored(clip: EncodedClip, dtype: str) -> dict[str, Tensor]:
    """A clip's tensors as they are on disk."""
    kind = STORED_DTYPES[dtype]
    stored = {
        "latents": clip.latents.to(kind),
        "text": clip.text.to(kind),
        "context_poses": clip.context_poses.float(),
        "target_poses": clip.target_poses.float(),
        "subject": (clip.subject * 255).round().to(torch.uint8),
        "phase": clip.phase.to(torch.uint8),
    }
    if clip.rendered is not None:
        stored["rendered"] = clip.rendered.to(kind)
    # clones: no tensor may be a view into another clip's, safetensors refuses shared memory
    return {name: tensor.contiguous().clone() for name, tensor in stored.items()}


def read_shard(file: Path, *, verify: bool) -> tuple[LatentSettings, tuple[ClipEntry, ...]]:
    """What a shard's header holds. Raises DatasetError where it is broken, or (verify) its contents are others'."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as shard:
            header = parse_json((shard.metadata() or {})[_HEADER], file, DatasetError)
            tensors = {name: shard.get_tensor(name) for name in shard.keys()} if verify else {}  # noqa: SIM118
        if header["version"] != VERSION:
            raise DatasetError(f"{file}: format {header['version']}, expected {VERSION}; encode the clips again")
        entries = fitted(tuple[ClipEntry, ...], header["clips"], f"{file}: clips", DatasetError)
        settings = LatentSettings.from_json(header["settings"], file)
        content = header["content"]
    except DatasetError:
        raise
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as cause:
        raise DatasetError(f"{file}: no whole shard of encoded clips ({cause})") from cause
    if verify and tensors_hash(tensors) != content:
        raise DatasetError(f"{file}: its contents have changed since it was written; delete it and encode again")
    return settings, entries


def write_index(
    folder: Path,
    settings: LatentSettings,
    shards: Iterable[str],
    sources: Iterable[str] = (),
    model: str | None = None,
) -> None:
    """Write index.json over these shards: from then on the folder is whole.

    sources: where the clips came from. model: folder or name of the one whose parts encoded them.
    """
    listed, clips = [], []
    for name in shards:
        _, entries = read_shard(folder / name, verify=False)
        listed.append({"file": name, "sha256": sha256_file(folder / name), "clips": [e.name for e in entries]})
        clips += [asdict(entry) for entry in entries]
    content = {
        "version": VERSION,
        "settings": settings.to_json(),
        "sources": list(sources),
        "model": model,
        "shards": listed,
        "clips": clips,
    }
    with replacing(folder / INDEX) as beside:
        beside.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class ListedShard:
    """A shard in the index: its file's name and SHA-256."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Index:
    """index.json, read: settings, shards with their SHA-256, clips in order, and what encoded them, where recorded."""

    settings: LatentSettings
    shards: tuple[ListedShard, ...]
    clips: tuple[ClipEntry, ...]
    model: str | None = None


def read_index(folder: Path) -> Index:
    """Raises DatasetError where the folder is missing, empty, half-written or its index broken."""
    file = folder / INDEX
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; 'outofsight encode' makes one")
    if not file.is_file():
        started = len(list(folder.glob("shard-*.safetensors")))
        if started:
            raise DatasetError(
                f"{folder}: half-written: {started} shards and no {INDEX}. Run the same 'outofsight encode' again: it "
                "resumes where it stopped"
            )
        raise DatasetError(f"{folder}: no encoded clips (no {INDEX}); make them with 'outofsight encode'")
    remedy = "delete it and encode again"
    content = read_object(file, DatasetError, remedy)
    if content.get("version") != VERSION:
        raise DatasetError(f"{file}: format {content.get('version')}, expected {VERSION}; encode the clips again")
    index = fitted(Index, content, file, DatasetError, remedy)
    if not index.clips:
        raise DatasetError(f"{folder}: the index lists no clip; encode a folder that holds some")
    for entry in index.clips:
        if entry.context_frames >= entry.frames:
            raise DatasetError(
                f"{file}: {entry.name} has {entry.frames} latent frames, {entry.context_frames} of them of context, "
                f"expected fewer; {remedy}"
            )
    return index


def _short(value: Any) -> str:
    return f"{value[:12]}" if isinstance(value, str) else str(value)
