"""Files of tensors: read without trusting them, assigned without a copy, written whole or not at all."""

from __future__ import annotations

import os
import pickle
import struct
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..errors import CheckpointError, OutputError
from ..io import replacing

PICKLE_SUFFIXES = (".ckpt", ".pth", ".pt", ".bin")
SUFFIXES = (".safetensors", *PICKLE_SUFFIXES)

# what trainers wrap a state dict in, and what they put before its names
_WRAPPERS = ("state_dict", "model_state")
_PREFIXES = ("model.diffusion_model.", "pipe.dit.", "dit.", "model.", "module.")

# what torch.load raises on bytes that are no checkpoint, depending on where they go wrong
UNREADABLE = (
    *(RuntimeError, OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError),
    *(AssertionError, OverflowError, struct.error),
)


def read_tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The named tensors of a file, on the CPU, of the dtypes stored (mapped from the disk where that works).

    A ``{"state_dict": ...}`` around them is opened. A prefix that all names share ("model.", "dit.",
    "pipe.dit.", ...) is taken off, with a warning that says so.

    Raises:
        CheckpointError: the file is missing, truncated, of an unknown kind, carries code, or holds other
            things than floating point tensors.
    """
    path = Path(path)
    if not path.is_file():
        kind = "is a folder, expected a file" if path.is_dir() else "is not there"
        raise CheckpointError(f"checkpoint {path} {kind} ({', '.join(SUFFIXES)})")
    if path.suffix not in SUFFIXES:
        raise CheckpointError(
            f"checkpoint {path} ends in {path.suffix!r}, expected one of {', '.join(SUFFIXES)}; "
            "rename it if it is one of these"
        )
    _refuse_pointer(path)
    content = read_stored(path) if path.suffix == ".safetensors" else _read_pickle(path)
    return _without_prefix(_state_dict(content, path), path)


def _refuse_pointer(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(18) == b"version https://gi":
            raise CheckpointError(
                f"{path} is a git-lfs pointer, not the weights it points to; run `git lfs pull` in its folder"
            )


def read_stored(path: Path) -> dict[str, Tensor]:
    """All tensors of a .safetensors file, whatever their dtypes. Raises CheckpointError where it is damaged."""
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, str(error) or type(error).__name__) from error


def _read_pickle(path: Path) -> Any:
    with path.open("rb") as file:
        start = file.read(4)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            # only the zip form that torch has written since 1.6 can be mapped
            mapped = start == b"PK\x03\x04"
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        # torch wraps the reason in advice to load unsafely, which is not passed on
        reason = str(error.__context__ or "it is no checkpoint of torch's").split(". ")[0]
        if start[:1] != b"\x80" and "global" not in reason.lower():
            raise _damaged(path, reason) from None
        raise CheckpointError(
            f"{path} was refused: it is a pickle that asks for more than tensors ({reason}), and opening it "
            "could run code. If you trust its source, load it there and save its state dict alone, best as "
            ".safetensors"
        ) from None
    except UNREADABLE as error:
        raise _damaged(path, str(error) or type(error).__name__) from error


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path} ({path.stat().st_size} bytes) cannot be read: it is truncated, damaged or no checkpoint "
        f"({reason.splitlines()[0][:200]}); fetch or copy it again and compare its size or checksum with the "
        "source's"
    )


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        what = "an empty mapping" if isinstance(content, Mapping) else f"a {type(content).__name__}"
        raise CheckpointError(f"{path} holds {what}, expected a state dict: names and tensors")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"{path}: entry {name!r} is a {type(value).__name__}, expected names and tensors")
        if not value.is_floating_point() or value.element_size() < 2:
            raise CheckpointError(
                f"{path}: tensor {name} is {str(value.dtype).removeprefix('torch.')}, expected float32, "
                "float16 or bfloat16; load full weights and quantise them after"
            )
    return dict(content)


def _without_prefix(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    prefix = next((p for p in _PREFIXES if all(name.startswith(p) for name in tensors)), None)
    if prefix is None:
        return tensors
    warnings.warn(f"{path}: took the prefix {prefix!r} off all {len(tensors)} names", stacklevel=4)
    return {name.removeprefix(prefix): value for name, value in tensors.items()}


def cast_tensors(
    tensors: Mapping[str, Tensor], dtype: torch.dtype | None, keep_float32: tuple[str, ...] = ()
) -> dict[str, Tensor]:
    """As ``from_pretrained(torch_dtype=dtype)`` casts: modules named in ``keep_float32`` become float32."""
    if dtype is None:
        return dict(tensors)
    return {
        name: value.to(torch.float32 if any(part in keep_float32 for part in name.split(".")) else dtype)
        for name, value in tensors.items()
    }


def assign_tensors(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    source: str | os.PathLike[str],
    *,
    shown_as: Callable[[str], str] = str,
    hint: str = "",
) -> None:
    """Make ``tensors`` the model's own, bit by bit and without a copy; the model may be on the meta device.

    Args:
        source: the file they came from, for messages.
        shown_as: how the file names a tensor of the model, for messages.
        hint: what to do about missing or unexpected names.

    Raises:
        CheckpointError: missing or unexpected names, or other sizes than the model's.
    """
    expected = model.state_dict()
    problems = [
        f"{len(names)} {kind} ({_few(names, shown_as)})"
        for kind, names in (
            ("missing", [name for name in expected if name not in tensors]),
            ("unexpected", [name for name in tensors if name not in expected]),
        )
        if names
    ]
    if problems:
        raise CheckpointError(
            f"{source} does not fit the model of {len(expected)} tensors: {' and '.join(problems)}{hint}"
        )
    for name, value in tensors.items():
        if value.shape != expected[name].shape:
            raise CheckpointError(
                f"{source}: {shown_as(name)} is {list(value.shape)}, expected {list(expected[name].shape)}"
            )
    check_finite(tensors, source, shown_as)
    model.load_state_dict(dict(tensors), strict=True, assign=True)


def check_finite(
    tensors: Mapping[str, Tensor], source: str | os.PathLike[str], shown_as: Callable[[str], str] = str
) -> None:
    """Raises CheckpointError, naming the first, where a floating point tensor holds NaN or infinity."""
    for name, value in tensors.items():
        if not value.is_floating_point() or value.element_size() < 2 or value.isfinite().all():
            continue
        count = int((~value.isfinite()).sum())
        raise CheckpointError(
            f"{source}: tensor {shown_as(name)} holds {count} of {value.numel()} numbers that are NaN or infinite, and "
            "would make a black video; fetch the weights again, or, if they were cast, take them in float32 or bfloat16"
        )


def _few(names: Iterable[str], shown_as: Callable[[str], str]) -> str:
    names = [shown_as(name) for name in names]
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def write_tensors(tensors: Mapping[str, Tensor], path: str | os.PathLike[str]) -> Path:
    """Write a plain state dict as .safetensors, or by ``torch.save`` under any of the other suffixes.

    Raises:
        OutputError: the place cannot be written to, or the suffix is an unknown one.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise OutputError(f"cannot write {path}: expected a name in {', '.join(SUFFIXES)}")
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    if path.is_dir() or not path.parent.is_dir():
        what = "it is a folder" if path.is_dir() else f"{path.parent} is not there; make it first"
        raise OutputError(f"cannot write {path}: {what}")
    with replacing(path, SafetensorError) as part:
        if path.suffix == ".safetensors":
            save_file(plain, part, metadata={"format": "pt"})
        else:
            # a view would drag its whole storage into the file
            torch.save({name: _alone(value) for name, value in plain.items()}, part)
    return path


def _alone(value: Tensor) -> Tensor:
    whole = value.untyped_storage().nbytes() == value.numel() * value.element_size()
    return value if whole else value.clone()
