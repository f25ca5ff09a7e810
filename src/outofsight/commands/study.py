"""``outofsight study``: memories compared at small scale, and the page that tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from .console import _console, note, quiet_libraries, reports_errors, say

DATA, MACHINE = "Clips (made in OUT by default)", "Machine"


def _option(text: str, *names: str, group: str | None = None, least: int | None = None) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=group, min=least)


@reports_errors
def study(
    out: Annotated[Path, _option("Folder of clips, latents and runs.")] = Path("study"),
    page: Annotated[Path | None, _option("The page to write; OUT/results.md by default.")] = None,
    values: Annotated[
        Path | None, _option("Folder of the finished runs' values; results/ beside the page by default.")
    ] = None,
    rows: Annotated[str, _option("main, ablations, all, or names: hydra,full,hydra-k2 ...")] = "main",
    seeds: Annotated[str, _option("A run for each.")] = "0,1,2",
    page_only: Annotated[bool, _option("Train nothing; make the page from the values.", "--page-only")] = False,
    latents: Annotated[Path | None, _option("Encoded training clips.", group=DATA)] = None,
    test_latents: Annotated[Path | None, _option("Encoded held-out clips ...", group=DATA)] = None,
    test_clips: Annotated[Path | None, _option("... and the same clips as video.", group=DATA)] = None,
    model: Annotated[str, _option("Whose VAE and text encoder: shipped name or folder.", group=DATA)] = "tiny",
    train_count: Annotated[int, _option("Training clips to make.", group=DATA, least=1)] = 1310,
    test_count: Annotated[int, _option("Held-out clips to make.", group=DATA, least=1)] = 64,
    jobs: Annotated[
        int | None, _option("Runs at once; as many as CPU cores, one on a GPU.", group=MACHINE, least=1)
    ] = None,
    setting: Annotated[
        list[str] | None, _option("A setting of every run (see outofsight train); repeatable.", "--set", group=MACHINE)
    ] = None,
) -> None:
    """Train and judge every memory alike, several times, and write what that says to the paper's claims.

    Clips and latents are made first where they are not there. After Ctrl-C or a crash, the same command resumes where
    it stopped; other --rows and --seeds add to the same page.
    """
    quiet_libraries()
    from ..components.hub import resolve_model
    from ..errors import StudyError
    from ..processes import cpu_cores
    from ..study import Study, choose_rows, choose_seeds, run_study, runs_of
    from ..study.clips import TEST, TRAIN, prepare
    from ..study.page import place_of, write_page
    from ..study.runner import unfinished
    from ..study.values import finished, save_unfinished

    target = page or out / "results.md"
    stored = values or target.parent / "results"
    place_of(stored, target)
    chosen = runs_of(choose_rows(rows), choose_seeds(seeds))
    failed: dict[str, str] = {}
    if not page_only:
        if (test_latents is None) != (test_clips is None):
            raise StudyError("give both --test-latents and --test-clips, or neither: they are the same clips")
        components = resolve_model(model)
        places = out / "latents"
        study_of = Study(
            latents=latents or places / TRAIN,
            test_latents=test_latents or places / TEST,
            test_clips=test_clips or out / TEST,
            components=components,
            runs=out / "runs",
            values=stored,
            settings=tuple(setting or ()),
        )
        for run in chosen:
            study_of.config(run)  # what is wrong with settings is told before clips are made
        with _progress() as report:
            clips = partial(report, "clips")
            for split, given, count in ((TRAIN, latents, train_count), (TEST, test_latents, test_count)):
                if given is None:
                    prepare(out, str(components), split, count, workers=cpu_cores(), report=clips)
            try:
                outcome = run_study(study_of, chosen, jobs=jobs or _jobs(), report=report)
            finally:
                if stored.is_dir():
                    save_unfinished(stored, unfinished(out / "runs", finished(stored)))
        failed = outcome.failed
        note(f"{len(outcome.made)} runs made, {len(chosen) - len(outcome.made) - len(failed)} were there")
    if failed and not finished(stored):
        raise StudyError("\n".join(failed.values()))
    say(str(write_page(stored, target)))
    if failed:
        raise StudyError("\n".join(("the page is written, and these runs failed:", *failed.values())))


def _jobs() -> int:
    import torch

    from ..processes import cpu_cores

    return 1 if torch.cuda.is_available() else cpu_cores()


@contextmanager
def _progress() -> Iterator[Callable[[str, str, int, int], None]]:
    """A bar for each run on a terminal; about ten lines a run elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = _console()
    if not console.is_terminal:
        told: dict[tuple[str, str], int] = {}

        def line(run: str, what: str, done: int, of: int) -> None:
            tenth = 10 * done // of
            if told.get((run, what), 0) != tenth:
                told[run, what] = tenth
                console.print(f"{run}: {what} {done} of {of}")

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, Any] = {}

        def show(run: str, what: str, done: int, of: int) -> None:
            if run not in tasks:
                tasks[run] = bars.add_task(run)
            bars.update(tasks[run], description=f"{run}: {what}", completed=done, total=of)

        yield show
