"""``outofsight worlds``: make clips in which someone leaves the frame and comes back, with the truth attached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import _console, note, reports_errors, say

if TYPE_CHECKING:
    from ..worlds.generate import Seconds
    from ..worlds.manifest import Row


def _option(text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, **more)


def _list_presets(asked: bool) -> None:
    if asked:
        from ..worlds.makers import preset_lines

        for line in preset_lines():
            say(line)
        raise typer.Exit


@reports_errors
def worlds(
    clips: Annotated[int, _option("How many clips the folder is to hold.")],
    out: Annotated[Path, _option("The folder; a run that was stopped resumes there.")],
    seed: Annotated[int, _option("Of everything; the same seed makes the same clips.", min=0)] = 0,
    preset: Annotated[
        str,
        _option(
            "tiny (160x96, 6 fps, 25+25), tiny-30fps, small (256x144, 15 fps, 77+77), hm-world (832x480), or a small "
            "world: small-easy (36x24, 15+16), small-scenes ...; --list-presets names all."
        ),
    ] = "tiny",
    workers: Annotated[int | None, _option("Processes; as many as there are CPU cores.", min=1)] = None,
    split: Annotated[str, _option("train, or test: scenes and subjects that train has not.")] = "train",
    mix: Annotated[
        str, _option("re-entry, always-visible, never-visible, occluded, or shares: re-entry=8,occluded=2.")
    ] = "re-entry",
    subjects: Annotated[int | None, _option("In each clip, 1 to 3; mixed by default.")] = None,
    fates: Annotated[
        bool | None,
        _option("Also render each target vanished and frozen; by default for test.", "--fates/--no-fates"),
    ] = None,
    list_presets: Annotated[
        bool,
        typer.Option("--list-presets", callback=_list_presets, is_eager=True, help="List the presets and end."),
    ] = False,
    preview: Annotated[bool, _option("Also write a contact sheet, preview.png.", "--preview")] = False,
) -> None:
    """Make clips in which someone leaves the frame and comes back, with the truth attached.

    The folder has HM-World's released layout, a manifest beside it, and in each clip world.json. After Ctrl-C or a
    crash, the same command resumes where it stopped.
    """
    from ..processes import cpu_cores
    from ..worlds.manifest import Settings
    from ..worlds.runner import make_clips

    settings = Settings(seed, preset, split, mix, subjects, split == "test" if fates is None else fates)
    count = workers or cpu_cores()
    with _progress(clips) as report:
        outcome = make_clips(settings, clips, out, workers=count, report=report)
    made = len(outcome.rows) - outcome.kept
    kept = f", {outcome.kept} were there already" if outcome.kept else ""
    note(
        f"{made} clips made{kept}. {_times(outcome.seconds)}" if made else f"nothing to do: {outcome.kept} clips there"
    )
    if outcome.foreign:
        shown = ", ".join(outcome.foreign[:5]) + (", ..." if len(outcome.foreign) > 5 else "")
        note(f"kept as they are, being no clips of this run: {len(outcome.foreign)} folders ({shown})")
    if preview:
        from ..worlds.preview import contact_sheet

        sheet = out / "preview.png"
        contact_sheet(out, outcome.rows, sheet)
        note(f"contact sheet: {sheet}")
    say(str(out / "HM-World"))


def _times(seconds: Seconds) -> str:
    parts = {name: getattr(seconds, name) for name in ("plan", "scene", "render", "annotate", "write")}
    total = max(sum(parts.values()), 1e-9)
    shares = ", ".join(f"{name} {100 * value / total:.0f} %" for name, value in parts.items())
    return f"{seconds.frames} frames rendered, {seconds.frames / total:.1f} per second and process ({shares})"


@contextmanager
def _progress(clips: int) -> Iterator[Any]:
    """A bar on a terminal; lines, about twenty a run, elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = _console()
    if not console.is_terminal:
        done = 0

        def line(row: Row, _: Seconds) -> None:
            nonlocal done
            done += 1
            if done % max(1, clips // 20) == 0:
                console.print(f"{done} clips made (last: {row['name']}, {row['family']}, {row['shot']})")

        yield line
        return
    columns = (
        TextColumn("clips"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=clips)

        def show(row: Row, _: Seconds) -> None:
            bar.update(task, completed=int(bar.tasks[0].completed) + 1, description=f"{row['family']}, {row['shot']}")

        yield show
