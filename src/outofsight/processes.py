"""Work in several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from .errors import OutOfSightError

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    start: Callable[..., None],
    arguments: tuple[Any, ...],
) -> Iterator[Result]:
    """``work(item)`` for all items, results as they come; ``start(*arguments)`` runs first in each new process.

    The processes are spawned and end with this one, however that ends. Nothing is left running when the iterator is
    closed or fails.

    Raises:
        OutOfSightError: a process was killed, or ran out of memory.
    """
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(start, arguments)
    )
    waiting = iter(items)
    pending: set[Future[Result]] = set()
    finished = False
    try:
        while True:
            for item in waiting:
                pending.add(pool.submit(work, item))
                if len(pending) >= 2 * workers:
                    break
            if not pending:
                finished = True
                return
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as cause:
        raise OutOfSightError(
            "a worker process ended unexpectedly (killed, or out of memory); what is finished is kept: run the same "
            "command again, perhaps with fewer --workers (--jobs)"
        ) from cause
    finally:
        processes = list((getattr(pool, "_processes", None) or {}).values())
        pool.shutdown(wait=finished, cancel_futures=True)
        if not finished:
            for process in processes:
                process.terminate()
            for process in processes:
                process.join()


def _begin(start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    start(*arguments)


def _end_with(parent: Any) -> None:
    """A killed parent cannot say goodbye: without it there is nobody to work for."""
    parent.join()
    os._exit(1)


def cpu_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))
