"""``outofsight demo``: the shipped model continues a clip it has never seen, in under a minute on a laptop."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .console import note, quiet_libraries, reports_errors, say

MODEL = "tiny"


@reports_errors
def demo(
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("out/demo"),
    seed: Annotated[int, typer.Option(help="Of the noise, and of a fresh clip.", min=0)] = 0,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Make another clip instead of taking the packaged one.")
    ] = False,
    model: Annotated[str, typer.Option(help="Another model of the same frame size: folder or hub id.")] = MODEL,
    open_page: Annotated[
        bool | None, typer.Option("--open/--no-open", help="Open the report; by default on a terminal with a screen.")
    ] = None,
) -> None:
    """Continue a clip in which a subject leaves the view and comes back, and hold the result against the truth.

    Writes context, continuation and truth side by side, what the memory recalled, and a report to click through.
    """
    from ..generation.outputs import check_folder_writable
    from ..generation.record import Settings
    from .demo_run import WORLDS, fresh_clip, packaged_clip, run_demo
    from .view import show

    quiet_libraries()
    check_folder_writable(out)
    clip = fresh_clip(out, seed) if fresh else packaged_clip(MODEL)
    note(f"clip: {clip} (scene and subject of the worlds' test split)")
    _, page = run_demo(model, Settings(), clip, out, seed)
    say(
        "\nnext:\n"
        f"  outofsight demo --fresh --seed {seed + 1}    (another clip, made now)\n"
        f"  outofsight generate --replay {out / 'generated.run.json'} --out {out / 'again.mp4'}    (the same pixels)\n"
        f"  outofsight generate --model {model} --clip {clip} --seed 5 --out {out / 'mine.mp4'}\n"
        f"  outofsight worlds --clips 20 --out worlds --preset {WORLDS}    (more clips whose truth is known)\n"
        "  outofsight doctor    (what the full-size model would need here)"
    )
    if open_page or (open_page is None and _has_screen()):
        show(page)


def _has_screen() -> bool:
    here = sys.platform != "linux" or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()
    return sys.stdout.isatty() and bool(here)
