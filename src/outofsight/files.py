"""Files written whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError


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


def reason(error: Exception) -> str:
    """What went wrong, in a few words."""
    if getattr(error, "errno", None) == errno.ENOSPC:
        return "the disk is full"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
