"""How far work is: one bar with the time left on a terminal, nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")


@contextmanager
def progress(
    what: str,
    total: int | None,
    *,
    initial: int = 0,
    shown: bool = True,
    in_bytes: bool = False,
    console: Console | None = None,
) -> Iterator[Callable[..., None]]:
    """A bar over ``total`` things, gone when the block ends; yields ``advance(count=1, what=None)``.

    Args:
        what: what is counted, as "clips"; ``advance`` may rename it.
        total: how many there are; None where that is not known.
        initial: how many were done before.
        shown: False for no bar. There is none either where stderr is no terminal.
        in_bytes: the things are bytes, told in kB, MB and GB.
        console: where to draw; stderr by default.
    """
    console = console or Console(stderr=True)
    if not (shown and console.is_terminal):
        yield lambda count=1, what=None: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn() if in_bytes else MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(what, total=total, completed=initial)
        yield lambda count=1, what=None: bars.update(task, advance=count, description=what)


def counted(
    items: Iterable[Item],
    what: str,
    total: int | None,
    *,
    initial: int = 0,
    shown: bool = True,
    console: Console | None = None,
) -> Iterator[Item]:
    """The items, with a bar that advances by one as each is done with; arguments as :func:`progress`."""
    with progress(what, total, initial=initial, shown=shown, console=console) as advance:
        for item in items:
            yield item
            advance()
