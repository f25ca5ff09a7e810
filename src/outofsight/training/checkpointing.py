"""Checkpoints: whole or not at all, the newest few kept, resumed from exactly.

``OUT/checkpoints/step-0000100/`` holds ``transformer/`` (diffusers' folder: config.json and safetensors), ``ema/``
(the same, of the mean weights), ``state.pt`` (optimiser, counters; tensors and plain values only) and
``checkpoint.json``, which lists every file's size and is written last. The folder is written under another name
beside and renamed, so that whatever bears its name is complete.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import CheckpointError, OutputError
from ..io import reason

FOLDER, INDEX, STATE, VERSION = "checkpoints", "checkpoint.json", "state.pt", 1
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
        try:
            tensors: dict[str, Tensor] = load_file(file)
        except (OSError, SafetensorError) as cause:
            raise CheckpointError(f"{file} cannot be read ({cause}); {_GO_BACK}") from cause
        return tensors

    def state(self) -> dict[str, Any]:
        """What :func:`write_checkpoint` was given as state."""
        file = self.folder / STATE
        try:
            # unpickles tensors and plain values, nothing that could run code
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as cause:
            raise CheckpointError(f"{file} cannot be read ({cause}); {_GO_BACK}") from cause
        return state


_GO_BACK = "delete this checkpoint's folder to go back to the one before"


def list_checkpoints(out: Path) -> list[Checkpoint]:
    """Complete checkpoints of a run, oldest first.

    Raises:
        CheckpointError: one was changed since it was written (files missing or of another size).
    """
    found = []
    for folder in sorted((out / FOLDER).glob("step-*")):
        match = _NAME.fullmatch(folder.name)
        if match and folder.is_dir():
            _check(folder)
            found.append(Checkpoint(folder, int(match[1])))
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def latest_checkpoint(out: Path) -> Checkpoint | None:
    """The newest complete checkpoint of a run, or None."""
    return max(list_checkpoints(out), key=lambda checkpoint: checkpoint.step, default=None)


def _check(folder: Path) -> None:
    try:
        content = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        version, files = content["version"], dict(content["files"])
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise CheckpointError(f"{folder / INDEX} cannot be read ({cause}); {_GO_BACK}") from cause
    if version != VERSION:
        raise CheckpointError(f"{folder} has format {version}, expected {VERSION}: made by another version")
    for name, size in files.items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != size:
            there = file.stat().st_size if file.is_file() else "no"
            raise CheckpointError(f"{file} has {there} bytes, and {size} when it was written; {_GO_BACK}")


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
        state: tensors and plain values.
        facts: further plain values for checkpoint.json.

    Raises:
        OutputError: it cannot be written (disk full, no permission); earlier checkpoints stay.
    """
    place = out / FOLDER / f"step-{step:07d}"
    unfinished: Path | None = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=place.parent))
        for name, write in models.items():
            write(unfinished / name)
        torch.save(dict(state), unfinished / STATE)
        _write_index(unfinished, step, facts or {})
        unfinished.chmod(0o777 & ~_umask())
        if place.exists():  # of a run that is done anew from an earlier checkpoint
            shutil.rmtree(place)
        os.replace(unfinished, place)
        _sync(place.parent)
    except (OSError, SafetensorError, RuntimeError) as error:
        earlier = [found.name for found in sorted((out / FOLDER).glob("step-*"))]
        kept = f"the checkpoint {earlier[-1]} stays" if earlier else "there is no earlier one"
        raise OutputError(f"cannot write {place}: {reason(error)}; nothing of it was kept, {kept}") from error
    finally:
        if unfinished is not None:
            shutil.rmtree(unfinished, ignore_errors=True)
    return Checkpoint(place, step)


def _write_index(folder: Path, step: int, facts: Mapping[str, Any]) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        _sync(path)
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in files}
    content = {"version": VERSION, "step": step, "torch": torch.__version__, **facts, "files": sizes}
    (folder / INDEX).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    _sync(folder / INDEX)


def _sync(path: Path) -> None:
    """Have the disk hold it before the rename says that it does."""
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
