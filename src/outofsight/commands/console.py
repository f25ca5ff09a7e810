"""What commands say and how they fail: notes to stderr, results to stdout, errors without traceback."""

from __future__ import annotations

import errno
import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec

import typer
from rich.console import Console

from ..errors import OutOfSightError
from ..generation.reporter import Reporter

if TYPE_CHECKING:
    from ..sampling import DenoiseStep

P = ParamSpec("P")
BAD_INPUT, INTERRUPTED = 2, 130


def _console() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True, markup=False)


def say(text: str) -> None:
    """A result, to stdout."""
    print(text)


def note(text: str) -> None:
    """Something the user should know, to stderr."""
    _console().print(text)


def fail(text: str) -> None:
    _console().print(f"error: {text}", style="red")


def reports_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Turn what a user can cause into a message and an exit code: 2 for bad input, 130 for Ctrl-C."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        with _spoken_warnings():
            try:
                command(*args, **kwargs)
            except KeyboardInterrupt as stop:
                note(f"interrupted{f': {stop}' if str(stop) else ''}")
                raise typer.Exit(INTERRUPTED) from None
            except OutOfSightError as error:
                fail(str(error))
                raise typer.Exit(BAD_INPUT) from None
            except OSError as error:
                if not isinstance(error, FileNotFoundError | PermissionError) and error.errno not in _USER_CAUSED:
                    raise
                fail(f"{error.filename or 'a file'}: {error.strerror or error}")
                raise typer.Exit(BAD_INPUT) from None
            except RuntimeError as error:
                if type(error).__name__ != "OutOfMemoryError":
                    raise
                fail(f"{error}\nthe device is out of memory: try --offload model or group, --vae-tiling, "
                     "--sequential, fewer --frames or a smaller --height and --width")  # fmt: skip
                raise typer.Exit(BAD_INPUT) from None

    return wrapped


_USER_CAUSED = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.ENOTDIR, errno.EISDIR}


@contextmanager
def _spoken_warnings() -> Iterator[None]:
    """Print warnings as one-line notes; the libraries' deprecations only if Python was told to."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)

        def show(message: Warning | str, *_: Any, **__: Any) -> None:
            note(f"note: {message}")

        warnings.showwarning = show
        yield


def quiet_libraries() -> None:
    """Silence the loading bars and advice of diffusers and transformers: what matters is said by us."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for logging in (diffusers_logging, transformers_logging):
        logging.set_verbosity_error()
        logging.disable_progress_bar()


@contextmanager
def byte_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar over bytes; shown on a terminal, and only for a gigabyte or more."""
    from ..progress import progress

    with progress(what, total, shown=total >= 1 << 30, in_bytes=True, console=_console()) as advance:
        yield advance


class ConsoleReporter(Reporter):
    """Prints what a run tells: in about ten lines a video how far denoising is, or, on a terminal, bars instead."""

    def __init__(self) -> None:
        self._console = _console()

    @property
    def bars(self) -> bool:  # type: ignore[override]
        """Whether the pipeline is to show its progress bars."""
        return self._console.is_terminal

    def note(self, text: str) -> None:
        note(text)

    def result(self, text: str) -> None:
        say(text)

    def failed(self, text: str) -> None:
        fail(text)

    def step(self, label: str, step: DenoiseStep) -> None:
        done = step.step + 1
        if not self.bars and (done == step.steps or done % max(1, step.steps // 10) == 0):
            self._console.print(f"{label}: step {done} of {step.steps}")
