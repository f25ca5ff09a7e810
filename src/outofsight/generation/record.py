"""The run record: everything that decided a video, written beside it and enough to make it again.

``out.mp4`` has ``out.run.json`` with every setting as resolved, the seed, the inputs and weights by SHA-256,
the versions and device, the time each part took, and the SHA-256 of what was written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NotRequired

from annotated_types import Ge, Gt, Interval
from typing_extensions import TypedDict

from ..errors import LayoutError, OutOfSightError
from ..fingerprints import value_hash
from ..io import sha256_file
from ..records import MOST_STEPS, WeightDtype, fitted, read_json

if TYPE_CHECKING:
    pass

FORMAT = "outofsight run 1"

_WHOLE, _PIECE, _PIECES = 1 << 20, 16 << 10, 64  # bytes, bytes and a count


@dataclass(frozen=True)
class Settings:
    """What decides a video besides inputs, weights and seed. In a record all is resolved: None means "as the input".

    Steps, guidance, shift and negative prompt left at None are put in before a run (:meth:`resolved`): the model's own.
    Field names and meanings are those of ``WorldModelPipeline.__call__``; ``context_frames`` takes the last so many
    frames of the context, ``chunk`` is how many latent frames are generated at a time (None: as many as the context
    has), ``pad`` repeats the last frame of one that is too short, ``dtype`` is the weights'.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    num_inference_steps: Annotated[int, Interval(ge=1, le=MOST_STEPS)] | None = None
    guidance_scale: float | None = None
    shift: Annotated[float, Gt(0)] | None = None
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    batched_guidance: bool = False
    numerics: Literal["accurate", "reference"] = "accurate"
    height: Annotated[int, Ge(1)] | None = None
    width: Annotated[int, Ge(1)] | None = None
    context_frames: Annotated[int, Ge(1)] | None = None
    pad: bool = False
    target_frames: Annotated[int, Ge(1)] | None = None
    chunk: Annotated[int, Ge(1)] | None = None
    horizontal_fov: Annotated[float, Interval(gt=0, lt=180)] | None = None
    negative_prompt: str | None = None
    cache_context: bool | None = None
    dtype: WeightDtype = "float32"
    vae_tiling: bool = False

    def resolved(self, model: Mapping[str, Any]) -> Settings:
        """With what is left open taken from a pipeline's configuration."""
        names = ("num_inference_steps", "guidance_scale", "shift", "negative_prompt")
        return replace(self, **{name: model[name] for name in names if getattr(self, name) is None})


@dataclass(frozen=True)
class Sources:
    """Where the inputs of one video come from, as the user said it (paths absolute)."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    context: str | None = None
    cameras: str | None = None
    context_cameras: str | None = None
    context_pose: str | None = None
    pose: str | None = None
    clip: str | None = None
    clip_name: str | None = None
    prompt: str | None = None


@dataclass(frozen=True)
class Machine:
    """What decides how a video is computed: not part of what it is, but a replay starts from it."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    device: str = "cpu"
    offload: str = "none"
    compile: bool = False
    attention_backend: str | None = None


@dataclass(frozen=True)
class RunRecord:
    """The content of ``run.json``."""

    settings: Settings
    sources: Sources
    machine: Machine
    seed: Annotated[int, Interval(ge=0, lt=1 << 64)]
    trace: bool
    inputs: Mapping[str, Any]
    model: Mapping[str, Any]
    fingerprint: str
    created: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    resumed_at_step: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}


def fingerprint(settings: Settings, inputs: Mapping[str, str], model: Mapping[str, Any]) -> str:
    """SHA-256 of all that a video depends on except the seed: equal for runs that would make the same.

    ``inputs`` are SHA-256s by name, ``model`` is a :func:`model_identity`.
    """
    content = {"settings": asdict(settings), "inputs": dict(inputs), "model": _identity(model)}
    return value_hash([content])


def _identity(model: Mapping[str, Any]) -> Any:
    return model["files"] or model["name"]


def model_identity(name: str, folder: Path | None) -> dict[str, Any]:
    """Which model it is: every weight, config and tokenizer file of its folder by its :func:`file_mark`.

    ``folder`` is None for random weights, which their name (preset and seed) decides.
    """
    files = {} if folder is None else {
        path.relative_to(folder).as_posix(): file_mark(path) for path in model_files(folder)
    }  # fmt: skip
    return {"name": name, "folder": None if folder is None else str(folder), "files": files}


def model_files(folder: Path) -> list[Path]:
    """The files of a model folder that decide what it computes, sorted (cards and git files do not)."""
    skipped = {".md", ".gitattributes", ".gitignore"}
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in skipped)
    return sorted(path for path in files if not any(p.startswith(".") for p in path.relative_to(folder).parts))


def file_mark(path: Path) -> str:
    """SHA-256 of a small file; of a large one its size and 64 pieces spread over it, which takes no time.

    Any training changes every piece of a weight file; who wants certainty compares whole files.
    """
    size = path.stat().st_size
    if size <= _WHOLE:
        return sha256_file(path)
    digest = hashlib.sha256(f"{size}".encode())
    with path.open("rb") as file:
        for piece in range(_PIECES):
            file.seek((size - _PIECE) * piece // (_PIECES - 1))
            digest.update(file.read(_PIECE))
    return f"sampled {digest.hexdigest()}"


# --- reading ----------------------------------------------------------------------------------------------


def read_record(path: Path) -> RunRecord:
    """Read a run record.

    Raises:
        LayoutError: no such file, no run record, or one of another format.
    """
    content = read_json(path, LayoutError)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise LayoutError(f"{path}: not a run record of this version (format {found!r}, expected {FORMAT!r})")
    record = fitted(RunRecord, content, path, LayoutError)
    fitted(_Inputs, record.inputs, f"{path}: inputs", LayoutError)
    fitted(_Model, record.model, f"{path}: model", LayoutError)
    if record.outputs:
        fitted(_Video, record.outputs.get("video", {}), f"{path}: outputs.video", LayoutError)
    return record


class _Inputs(TypedDict):
    sha256: dict[str, str]


class _Model(TypedDict):
    name: str
    folder: NotRequired[str | None]
    files: dict[str, str]


class _Video(TypedDict):
    sha256: str
    frames_sha256: NotRequired[str]


class ReplayError(OutOfSightError):
    """A run that cannot be made again as recorded."""


def replay_differences(record: RunRecord, inputs: Mapping[str, str], model: Mapping[str, Any]) -> list[str]:
    """What is no longer as the record says: inputs and weights, in words."""
    told = []
    for name, digest in record.inputs["sha256"].items():
        if inputs.get(name) != digest:
            told.append(f"the {name} is another one ({_short(inputs.get(name))}, was {_short(digest)})")
    before, after = _identity(record.model), _identity(model)
    if isinstance(before, dict) and isinstance(after, dict):
        changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        if changed:
            told.append(f"{len(changed)} of the model's files differ: {', '.join(changed[:4])}")
    elif before != after:
        told.append(f"the model is {model['name']}, was {record.model['name']}")
    return told


def _short(digest: str | None) -> str:
    return "absent" if digest is None else digest[:12]
