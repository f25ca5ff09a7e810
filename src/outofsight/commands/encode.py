"""``outofsight encode``: clips to latents, once, so that no training step waits for data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import _console, note, quiet_libraries, reports_errors, say

if TYPE_CHECKING:
    from ..training.encode import ShardDone


def _option(text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, **more)


@reports_errors
def encode(
    folders: Annotated[list[Path], typer.Argument(help="Folders of clips (HM-World's layouts; 'outofsight worlds').")],
    model: Annotated[str, _option("Folder, shipped name or hub id; its VAE, text encoder and tokenizer are used.")],
    out: Annotated[Path, _option("Folder of latents; a run that was stopped resumes there.")],
    workers: Annotated[int | None, _option("Processes; as many as CPU cores, one for a GPU.", min=1)] = None,
    height: Annotated[int | None, _option("Fit frames to this height ...", min=1)] = None,
    width: Annotated[int | None, _option("... and width: scaled to cover, cropped at the centre.", min=1)] = None,
    text_tokens: Annotated[int | None, _option("What captions are padded to; the model's own by default.")] = None,
    dtype: Annotated[str, _option("Compute in float32 or bfloat16; auto: bfloat16 on CUDA.")] = "auto",
    store: Annotated[str, _option("Store latents and text as float16, bfloat16 or float32.")] = "float16",
    device: Annotated[str, _option("auto, cpu, cuda, mps ...")] = "auto",
    render: Annotated[
        bool, _option("Also render targets, where the model has a finder.", "--render/--no-render")
    ] = True,
    true_places: Annotated[
        bool, _option("Render subjects where they truly are (to train on), not where they are thought to be.")
    ] = False,
    batch: Annotated[int | None, _option("Videos through the VAE at once; what is fast by default.", min=1)] = None,
) -> None:
    """Encode clips to latents, text embeddings, pose vectors and phases, once, for training.

    Every shard is written whole and the index last. After Ctrl-C or a crash, the same command resumes where it
    stopped; with more clips in the folders it adds them.
    """
    from ..errors import DatasetError
    from ..generation.load import choose_device, choose_dtype
    from ..processes import cpu_cores
    from ..training.encode import EncodeOptions, encode_clips

    if (height is None) != (width is None):
        raise DatasetError("give both --height and --width, or neither")
    quiet_libraries()
    where = choose_device(device)
    options = EncodeOptions(
        model=model,
        size=None if height is None or width is None else (height, width),
        text_tokens=text_tokens,
        stored=store,
        precision=choose_dtype(dtype, where, "accurate"),
        device=where,
        videos_at_once=batch,
        render=render,
        true_places=true_places,
    )
    cores = cpu_cores()
    count = workers or (cores if where == "cpu" else 1)
    if count > cores:
        note(f"{count} workers share {cores} CPU cores")
    with _progress() as report:
        outcome = encode_clips(folders, out, options, workers=count, report=report)
    if outcome.framing:
        note(f"pictures and cameras were changed together; of the first clip: {outcome.framing}")
    made = outcome.clips - outcome.kept
    kept = f", {outcome.kept} were there already" if outcome.kept else ""
    note(f"{made} clips encoded{kept}" if made else f"nothing to do: {outcome.clips} clips there")
    if outcome.unannotated:
        note(
            f"{outcome.unannotated} clips have no masks or no visibility: their subject shares and phases are zero, so "
            "a loss cannot be weighted by them"
        )
    say(str(out))
    note(f"next: outofsight train tiny --data {out} --out RUN")


@contextmanager
def _progress() -> Iterator[Callable[[ShardDone, int], None]]:
    """A bar over clips on a terminal; about twenty lines a run elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = _console()
    if not console.is_terminal:
        done = said = 0

        def line(shard: ShardDone, total: int) -> None:
            nonlocal done, said
            done += shard.clips
            if done == total or done - said >= total / 20:
                said = done
                console.print(f"{done} of {total} clips")

        yield line
        return
    columns = (TextColumn("clips"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=None)

        def advance(shard: ShardDone, total: int) -> None:
            bar.update(task, total=total, advance=shard.clips)

        yield advance
