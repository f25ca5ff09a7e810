"""Files written whole or not at all, their SHA-256, and one run at a time in a folder."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import OutputError

if TYPE_CHECKING:
    import numpy as np

_CHUNK = 8 << 20


@contextmanager
def replacing(path: Path, *also: type[Exception]) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes its place when the block ends well, else it is removed.

    Args:
        path: where the file is to be; its folder is made if need be.
        also: errors of the writing library that mean the same as OSError.

    Raises:
        OutputError: the file cannot be written (no permission, disk full ...).
    """
    beside: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:80]}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        beside = Path(name)
        yield beside
        # temporary files, and what some libraries write, are readable by their owner alone
        os.chmod(beside, 0o666 & ~_umask())
        os.replace(beside, path)
    except OutputError:
        raise
    except (OSError, *also) as error:  # type: ignore[misc]
        raise OutputError(f"cannot write {path}: {reason(error)}; nothing of it was kept") from error
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write strict JSON (NaN is refused), whole or not at all; raises OutputError."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def reason(error: Exception) -> str:
    """What went wrong, in a few words."""
    if getattr(error, "errno", None) == errno.ENOSPC:
        return "the disk is full"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


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


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One run at a time in a folder, which is made if need be; the lock goes with the process, however that ends.

    Raises OutputError where another run has it, or the place cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as cause:
        raise OutputError(f"{folder}: cannot be written to ({reason(cause)}); give another --out") from cause
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as cause:
            raise OutputError(
                f"{folder}: another run is writing to it; wait for its end, or give another --out"
            ) from cause
        yield
    finally:
        os.close(handle)
