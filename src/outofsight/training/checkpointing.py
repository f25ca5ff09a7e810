"""Checkpoints: whole or not at all, the newest few kept, resumed from exactly.

``OUT/checkpoints/step-0000100/`` holds ``transformer/`` (diffusers' folder: config.json and safetensors), ``ema/``
(the same, of the mean weights), ``state.pt`` (optimiser, counters; tensors, numbers and text only) and
``checkpoint.json``, which lists every file's size and SHA-256 and is written last. The folder is written under another
name beside and renamed, so that whatever bears its name is complete.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import CheckpointError, OutputError
from ..io import reason, sha256_file
from ..models.weight_files import UNREADABLE
from ..records import fitted, read_object

FOLDER, INDEX, STATE, VERSION = "checkpoints", "checkpoint.json", "state.pt", 2
WEIGHTS = "diffusion_pytorch_model.safetensors"
_NAME = re.compile(r"step-(\d{7,})")
_UNFINISHED = ".unfinished-"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint: its folder and how many steps were done."""

    folder: Path
    step: int

    def weights(self, part: str) -> dict[str, Tensor]:
        """Tensors of ``transformer`` or ``ema``. Raises CheckpointError where the file is damaged or absent."""
        file = self.folder / part / WEIGHTS
        _verify(self.folder, f"{part}/{WEIGHTS}")
        try:
            tensors: dict[str, Tensor] = load_file(file)
        except (OSError, SafetensorError) as cause:
            raise CheckpointError(f"{file} cannot be read ({cause}); {GO_BACK}") from cause
        return tensors

    def state(self) -> dict[str, Any]:
        """What :func:`write_checkpoint` was given as state. Raises CheckpointError where the file is damaged."""
        file = self.folder / STATE
        _verify(self.folder, STATE)
        try:
            # unpickles tensors, numbers and text, nothing that could run code
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, *UNREADABLE) as cause:
            told = (str(cause) or type(cause).__name__).splitlines()[0][:200]
            raise CheckpointError(f"{file} cannot be read ({told}); {GO_BACK}") from cause
        if not isinstance(state, dict):
            raise CheckpointError(f"{file} holds a {type(state).__name__}, expected a training state; {GO_BACK}")
        return state


GO_BACK = "delete this checkpoint's folder to go back to the one before"
_OLD = 1  # the format of sizes alone


@dataclass(frozen=True)
class StoredFile:
    """A checkpoint's file as it was written."""

    bytes: Annotated[int, Ge(0)]
    sha256: str


@dataclass(frozen=True)
class _Index:
    version: int
    files: Mapping[str, StoredFile | int]


def latest_checkpoint(out: Path) -> Checkpoint | None:
    """The newest complete checkpoint of a run, or None.

    Raises:
        CheckpointError: one was changed since it was written (files missing or of another size).
    """
    found = []
    for folder in (out / FOLDER).glob("step-*"):
        match = _NAME.fullmatch(folder.name)
        if match and folder.is_dir():
            _check(folder)
            found.append(Checkpoint(folder, int(match[1])))
    return max(found, key=lambda checkpoint: checkpoint.step, default=None)


def verify_part(folder: Path) -> None:
    """Hold a checkpoint's ``transformer`` or ``ema`` against its SHA-256; any other folder is left alone.

    Raises CheckpointError where a file is not as it was written.
    """
    if (folder.parent / INDEX).is_file():
        for name in _read_index(folder.parent).files:
            if name.startswith(f"{folder.name}/"):
                _verify(folder.parent, name)


def _verify(folder: Path, name: str) -> None:
    known = _read_index(folder).files.get(name)
    if isinstance(known, int):
        warnings.warn(
            f"{folder} was written by an earlier version of outofsight, which kept no checksums: of {name} the size "
            "alone is checked",
            stacklevel=3,
        )
        return
    if known is None or not (folder / name).is_file():
        raise CheckpointError(f"{folder / name} is not there, or {INDEX} does not list it; {GO_BACK}")
    if sha256_file(folder / name) != known.sha256:
        raise CheckpointError(
            f"{folder / name} is damaged: its bytes are not those that were written (SHA-256 differs); {GO_BACK}"
        )


def _read_index(folder: Path) -> _Index:
    index = fitted(
        _Index, read_object(folder / INDEX, CheckpointError, GO_BACK), folder / INDEX, CheckpointError, GO_BACK
    )
    if index.version not in (VERSION, _OLD):
        raise CheckpointError(f"{folder} has format {index.version}, expected {VERSION}: made by another version")
    return index


def _check(folder: Path) -> None:
    for name, known in _read_index(folder).files.items():
        file, size = folder / name, known if isinstance(known, int) else known.bytes
        if not file.is_file() or file.stat().st_size != size:
            there = file.stat().st_size if file.is_file() else "no"
            raise CheckpointError(f"{file} has {there} bytes, and {size} when it was written; {GO_BACK}")


def write_checkpoint(
    out: Path,
    step: int,
    models: Mapping[str, Callable[[Path], None]],
    state: Mapping[str, Any],
    facts: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Write ``step``'s checkpoint, whole or not at all.

    Args:
        out: the run's folder.
        step: steps done.
        models: sub-folder -> what writes it there (:func:`model_writer`).
        state: tensors, numbers and text.
        facts: further numbers and text for checkpoint.json.

    Raises:
        OutputError: it cannot be written (disk full, no permission); earlier checkpoints stay.
    """
    place = out / FOLDER / f"step-{step:07d}"
    try:
        with writing_folder(place, SafetensorError, RuntimeError) as unfinished:
            for name, write in models.items():
                write(unfinished / name)
            torch.save(dict(state), unfinished / STATE)
            _write_index(unfinished, step, facts or {})
    except OutputError as error:
        earlier = [found.name for found in sorted((out / FOLDER).glob("step-*"))]
        kept = f"the checkpoint {earlier[-1]} stays" if earlier else "there is no earlier one"
        raise OutputError(f"{error}, {kept}") from error
    return Checkpoint(place, step)


@contextmanager
def writing_folder(place: Path, *also: type[Exception]) -> Iterator[Path]:
    """A folder beside ``place`` to write to; it takes its place when the block ends well, else it is removed.

    ``also``: errors of the writing library that mean the same as OSError.

    Raises OutputError where it cannot be written (disk full, no permission).
    """
    made: Path | None = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=place.parent))
        yield made
        made.chmod(0o777 & ~_umask())
        if place.exists():
            # a folder cannot be renamed over another that is not empty: the old one makes way first
            os.replace(place, made.with_name(f"{made.name}-old"))
        os.replace(made, place)
        _sync(place.parent)
    except (OSError, *also) as error:  # type: ignore[misc]
        raise OutputError(f"cannot write {place}: {reason(error)}; nothing of it was kept") from error
    finally:
        if made is not None:
            for left in place.parent.glob(f"{made.name}*"):
                shutil.rmtree(left, ignore_errors=True)


def _write_index(folder: Path, step: int, facts: Mapping[str, Any]) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        _sync(path)
    listed = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in files
    }
    content = {"version": VERSION, "step": step, "torch": torch.__version__, **facts, "files": listed}
    (folder / INDEX).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    _sync(folder / INDEX)


def _sync(path: Path) -> None:
    """Have the disk hold it before the rename makes it the checkpoint."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def model_writer(model: Any, tensors: Mapping[str, Tensor]) -> Callable[[Path], None]:
    """What writes ``model``'s config and these tensors as diffusers' ``from_pretrained`` reads them."""

    def write(folder: Path) -> None:
        folder.mkdir()
        model.save_config(folder)
        save_file({k: v.contiguous() for k, v in tensors.items()}, folder / WEIGHTS, metadata={"format": "pt"})

    return write


def drop_old(out: Path, keep: int) -> None:
    """Remove all but the newest ``keep`` checkpoints, and what killed runs left unfinished."""
    folder = out / FOLDER
    complete = sorted(p for p in folder.glob("step-*") if _NAME.fullmatch(p.name))
    for old in complete[:-keep]:
        # under another name first: a run killed here must not leave half of one that looks whole
        doomed = old.with_name(f"{_UNFINISHED}{old.name}")
        os.replace(old, doomed)
        shutil.rmtree(doomed)
    for left in folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)
