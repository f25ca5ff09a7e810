"""Ctrl-C while files are written: they are finished first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from ..errors import OutOfSightError


@dataclass
class Held:
    """Whether Ctrl-C was pressed within the block."""

    interrupted: bool = False


@contextmanager
def held_interrupt(tell: Callable[[], None] = lambda: None) -> Iterator[Held]:
    """Hold Ctrl-C back while the block runs; a second one raises KeyboardInterrupt at once, as without the block.

    What follows the block has to look at what this yields, and stop where it says so. Where Ctrl-C does not raise
    KeyboardInterrupt (it is ignored, another handler is set, or this is not the main thread), nothing changes.

    Args:
        tell: called when Ctrl-C is held back.

    Raises:
        KeyboardInterrupt: a second Ctrl-C; or writing failed after the first one (OutOfSightError, OSError), with the
            error's words.
    """
    held = Held()
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield held
        return

    def hold(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        held.interrupted = True
        tell()

    signal.signal(signal.SIGINT, hold)
    try:
        yield held
    except (OutOfSightError, OSError) as error:
        if not held.interrupted:
            raise
        raise KeyboardInterrupt(f"while files were written, which failed: {error}") from error
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
