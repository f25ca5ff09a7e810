"""``outofsight evaluate``: predictions against clips, to one result and its tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import OutOfSightError
from .console import _console, note, quiet_libraries, reports_errors, say

NETWORKS, ROWS, MACHINE = "Networks (local folders; without one, its metrics are skipped)", "Rows", "Machine"


def _option(text: str, *names: str, group: str | None = None, least: int | None = None) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=group, min=least)


@reports_errors
def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder of videos, one a clip: what generate --clips leaves.")],
    against: Annotated[Path, _option("Folder of the clips (HM-World's layouts; 'outofsight worlds').")],
    out: Annotated[Path, _option("The result.json to write; result.md and result.tex come beside it.")],
    name: Annotated[str | None, _option("What the predictions are called; as their folder.", group=ROWS)] = None,
    row: Annotated[
        list[str] | None, _option("NAME=FOLDER: further predictions of the same clips; repeat it.", group=ROWS)
    ] = None,
    partial: Annotated[
        bool, _option("Evaluate the clips whose predictions are right; tables say PARTIAL.", "--partial", group=ROWS)
    ] = False,
    protocol: Annotated[str, _option("all, or hm-world: HyDRA's table as in the paper.", group=ROWS)] = "all",
    horizontal_fov: Annotated[
        float | None, _option("Degrees, where the cameras do not say (for the best view).", group=ROWS)
    ] = None,
    metrics: Annotated[
        list[str] | None, _option("MODULE whose import registers metrics of your own; repeat it.", group=ROWS)
    ] = None,
    lpips: Annotated[Path | None, _option("alexnet-owt-7be5be79.pth and alex.pth, for LPIPS.", group=NETWORKS)] = None,
    dino: Annotated[Path | None, _option("DINO ViT-B/16, for subject consistency.", group=NETWORKS)] = None,
    clip_b32: Annotated[Path | None, _option("CLIP ViT-B/32, for background consistency.", group=NETWORKS)] = None,
    clip_b16: Annotated[Path | None, _option("CLIP ViT-B/16, for DSC.", group=NETWORKS)] = None,
    detector: Annotated[Path | None, _option("RT-DETRv2 or YOLOS: boxes in predictions.", group=NETWORKS)] = None,
    vae: Annotated[str | None, _option("Model whose VAE's reconstruction is a ceiling.", group=NETWORKS)] = None,
    workers: Annotated[
        int | None, _option("Processes; as many as CPU cores, one for a GPU.", group=MACHINE, least=1)
    ] = None,
    device: Annotated[str, _option("Of the networks: auto, cpu, cuda ...", group=MACHINE)] = "auto",
) -> None:
    """Measure predictions against clips, beside floors and ceilings, with 95 % intervals over clips.

    After Ctrl-C or a crash, the same command resumes where it stopped; with another --row it measures that row alone.
    What cannot be measured is left out, and the result says why. Nothing is downloaded.
    """
    from ..evaluation import NetworkFolders
    from ..evaluation import evaluate as run
    from ..evaluation.tables import partial_words, text
    from ..generation.load import choose_device
    from ..processes import cpu_cores

    quiet_libraries()
    for module in metrics or []:
        _import(module)
    where = choose_device(device)
    with _progress() as report:
        found = run(
            predictions,
            against,
            out,
            name=name,
            rows=_rows(row or []),
            networks=NetworkFolders(lpips, dino, clip_b32, clip_b16, detector, vae),
            protocol=protocol,
            partial=partial,
            horizontal_fov=horizontal_fov,
            device=where,
            workers=workers or (cpu_cores() if where == "cpu" else 1),
            report=report,
        )
    say(text(found))
    say("\n".join(str(file) for file in (out, out.with_suffix(".md"), out.with_suffix(".tex"))))
    if found.partial is not None:
        note(f"{partial_words(found)}; the tables say so")


def _import(module: str) -> None:
    """Run a module of the user's, which calls ``register_metric``. Raises OutOfSightError where it is not there."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # and stays, as other processes look for the metric's code there
    try:
        import_module(module)
    except ModuleNotFoundError as cause:
        raise OutOfSightError(f"--metrics {module}: {cause}; expected a module that can be imported here") from cause


def _rows(given: list[str]) -> dict[str, Path]:
    """NAME=FOLDER each. Raises OutOfSightError for another form, or a name given twice."""
    found: dict[str, Path] = {}
    for one in given:
        name, equals, folder = one.partition("=")
        if not (name.strip() and equals and folder):
            raise OutOfSightError(f"--row {one}: expected NAME=FOLDER")
        if name in found:
            raise OutOfSightError(f"--row {one}: two rows are called {name!r}")
        found[name] = Path(folder)
    return found


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar over clips on a terminal; about twenty lines a run elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = _console()
    if not console.is_terminal:

        def line(done: int, total: int) -> None:
            if done == total or done % max(1, total // 20) == 0:
                console.print(f"{done} of {total} clips")

        yield line
        return
    with Progress(
        TextColumn("clips"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    ) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, total=total, completed=done)
