"""How far a training is, on stderr: a bar on a terminal, a line per logged step elsewhere, with the time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .logs import Line
from .trainer import Report


@contextmanager
def shown_steps(steps: int) -> Iterator[Report]:
    """What to call after each of so many steps."""
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    if not console.is_terminal:

        def print_line(_: int, __: float, line: Line | None) -> None:
            if line is not None:
                left = (steps - line["step"]) * line["seconds"]
                console.print(f"step {line['step']:.0f} of {steps}: {_in_words(line)}, {_duration(left)} left")

        yield print_line
        return
    columns = (
        TextColumn("steps"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=steps)
        said = [""]

        def show(step: int, loss: float, line: Line | None) -> None:
            if line is not None:
                said[0] = _in_words(line)
            bar.update(task, completed=step, description=said[0] or f"loss {loss:.4f}")

        yield show


def _in_words(line: Line) -> str:
    said = f"loss {line['loss']:.4f}, {line['seconds']:.3g} s a step"
    return f"{said}, {line['clips_per_second']:.3g} clips/s" if "clips_per_second" in line else said


def _duration(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours} h {rest // 60:02d} min" if hours else f"{rest // 60} min {rest % 60:02d} s"
