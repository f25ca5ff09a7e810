"""``outofsight view``: the report of a run, or of two side by side, as a page that opens from disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import note, reports_errors, say

if TYPE_CHECKING:
    from ..viewer import Given
    from ..viewer.runs import RunFiles


@reports_errors
def view(
    run: Annotated[Path, typer.Argument(help="A video that generate made, or a folder with such videos.")],
    other: Annotated[Path | None, typer.Argument(help="Another run of the same clip, shown beside it.")] = None,
    out: Annotated[Path | None, typer.Option(help="Page (.html) or folder to write; beside the run.")] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write the report of a run: its frames beside the truth, what was recalled, the scene from above, scores by frame.

    One HTML file without dependencies. A folder with several runs gets a page for each, and an index.
    """
    from ..viewer import write_reports

    page = write_reports(run, other, out, read_given, note)
    say(str(page))
    if open_page:
        show(page)


def read_given(run: RunFiles, stride: int) -> Given:
    """What a run was given, read again from where its record says; raises OutOfSightError or OSError."""
    from ..generation.request import Job, load_inputs
    from ..viewer import Given

    inputs = load_inputs(Job(run.paths, run.record.sources), run.record.settings, stride).fitted(run.record.settings)
    return Given(inputs.frames, inputs.context_cameras, inputs.target_cameras, inputs.prompt, inputs.sha256)


def show(page: Path) -> None:
    """Open a page in the browser, or say that there is none."""
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        note(f"no browser could be started here: open {page} yourself")
