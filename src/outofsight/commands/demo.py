"""``outofsight demo``: a shipped model continues a clip it has never seen, in under a minute on a laptop."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .console import note, quiet_libraries, reports_errors, say

MODELS = {"small": "small-hydra", "people": "tiny"}


@reports_errors
def demo(
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("out/demo"),
    seed: Annotated[int, typer.Option(help="Of the noise, and of a fresh clip.", min=0)] = 0,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Make another clip instead of taking the packaged one.")
    ] = False,
    world: Annotated[
        str,
        typer.Option(
            help="small: a small world, and a model that has learned to remember. people: rendered people, and an "
            "experiment in which a hand-built tracker does the remembering."
        ),
    ] = "small",
    model: Annotated[str | None, typer.Option(help="Another model of the same frame size: folder or hub id.")] = None,
    open_page: Annotated[
        bool | None, typer.Option("--open/--no-open", help="Open the report; by default on a terminal with a screen.")
    ] = None,
) -> None:
    """Continue a clip in which a subject leaves the view and comes back, and hold the result against the truth.

    In the small world the same model is also run with random recall and with none: what it recalls is what it remembers
    by. Writes these side by side, what the memory recalled, and a report to click through.
    """
    from ..errors import OutOfSightError
    from ..generation.outputs import check_folder_writable
    from ..generation.record import Settings
    from .demo_run import SMALL_WORLD, WORLDS, fresh_clip, packaged_clip, run_demo, small_clip
    from .view import show

    quiet_libraries()
    check_folder_writable(out)
    if world not in MODELS:
        raise OutOfSightError(f"--world {world}: expected {' or '.join(MODELS)}")
    model, small = model or MODELS[world], world == "small"
    if small:
        clip = small_clip(out, seed if fresh else 0)
        note(f"clip: {clip} (of the small world's test split: hues that no training clip has)")
    else:
        clip = fresh_clip(out, seed) if fresh else packaged_clip(MODELS[world])
        note(f"clip: {clip} (scene and subject of the worlds' test split)")
    _, page = run_demo(model, Settings(), clip, out, seed, recalls=small)
    say(
        "\nnext:\n"
        f"  outofsight demo --world {world} --fresh --seed {seed + 1}    (another clip, made now)\n"
        f"  outofsight generate --replay {out / 'generated.run.json'} --out {out / 'again.mp4'}    (the same pixels)\n"
        f"  outofsight generate --model {model} --clip {clip} --seed 5 --out {out / 'mine.mp4'}\n"
        f"  outofsight worlds --clips 20 --out worlds --preset {SMALL_WORLD if small else WORLDS}    "
        "(more clips whose truth is known)\n"
        "  outofsight doctor    (what the full-size model would need here)"
    )
    if open_page or (open_page is None and _has_screen()):
        show(page)


def _has_screen() -> bool:
    here = sys.platform != "linux" or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()
    return sys.stdout.isatty() and bool(here)
