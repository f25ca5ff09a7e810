"""The run record: everything that decided a video, written beside it and enough to make it again.

``out.mp4`` has ``out.run.json`` with every setting as resolved, the seed, the inputs and weights by SHA-256,
the versions and device, the time each part took, and the SHA-256 of what was written.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Interval
from typing_extensions import TypedDict

from ..errors import LayoutError, OutOfSightError
from ..fingerprints import value_hash
from ..records import fitted, read_json

if TYPE_CHECKING:
    import numpy as np

FORMAT = "outofsight run 1"
MAX_STEPS = 10_000  # denoising steps that a file may ask for
WeightDtype = Literal["float32", "bfloat16", "float16"]
_CHUNK = 8 << 20


@dataclass(frozen=True)
class Settings:
    """What decides a video besides inputs, weights and seed. In a record all is resolved: None means "as the input".

    Steps, guidance, shift and negative prompt left at None are put in before a run (:meth:`resolved`): the model's own.
    Field names and meanings are those of ``WorldModelPipeline.__call__``; ``context_frames`` takes the last so many
    frames of the context, ``pad`` repeats the last frame of one that is too short, ``dtype`` is the weights'.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    num_inference_steps: Annotated[int, Interval(ge=1, le=MAX_STEPS)] | None = None
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


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


# --- hashes -----------------------------------------------------------------------------------------------


def sha256_file(path: Path, on_bytes: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file, read in pieces; ``on_bytes`` is told the size of each."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
            if on_bytes is not None:
                on_bytes(len(piece))
    return digest.hexdigest()


def sha256_array(array: np.ndarray) -> str:
    """SHA-256 of an array's type, shape and values."""
    import numpy as np

    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def model_identity(name: str, folder: Path | None, on_bytes: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Which model it is: every weight, config and tokenizer file of its folder by SHA-256.

    ``folder`` is None for random weights, which their name (preset and seed) decides.
    """
    files = {} if folder is None else {
        path.relative_to(folder).as_posix(): sha256_file(path, on_bytes) for path in model_files(folder)
    }  # fmt: skip
    return {"name": name, "folder": None if folder is None else str(folder), "files": files}


def model_files(folder: Path) -> list[Path]:
    """The files of a model folder that decide what it computes, sorted (cards and git files do not)."""
    skipped = {".md", ".gitattributes", ".gitignore"}
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in skipped)
    return sorted(path for path in files if not any(p.startswith(".") for p in path.relative_to(folder).parts))


def versions(device: str) -> dict[str, str]:
    """Versions of what computes."""
    import torch

    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in ("outofsight", "torch", "diffusers", "transformers", "numpy", "av"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    if torch.device(device).type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
        found["cuda"] = str(torch.version.cuda)
    return found


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
    return record


class _Inputs(TypedDict):
    sha256: dict[str, str]


class _Model(TypedDict):
    name: str
    files: dict[str, str]


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
