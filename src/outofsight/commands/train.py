"""``outofsight train``: a recipe, its settings changed or not, on one process or many."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import byte_bar, note, quiet_libraries, reports_errors, say

if TYPE_CHECKING:
    from ..training.config import TrainConfig
    from ..training.transformer import Validate


def _option(text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, **more)


@reports_errors
def train(
    recipe: Annotated[str, typer.Argument(help="debug, micro, tiny or hydra_1_3b.")],
    data: Annotated[Path, _option("Folder of encoded clips (outofsight encode).")] = Path("latents"),
    out: Annotated[Path | None, _option("Folder of the run; runs/RECIPE by default.")] = None,
    steps: Annotated[int | None, _option("Optimiser steps of the whole run.", min=1)] = None,
    resume: Annotated[bool, _option("Go on from the newest checkpoint in the folder.", "--resume")] = False,
    accept_changes: Annotated[
        bool, _option("Go on although settings or clips are others than at the start.", "--accept-changes")
    ] = False,
    setting: Annotated[
        list[str] | None, _option("A setting of the run: lr=0.001, objective.shift=3; repeatable.", "--set")
    ] = None,
) -> None:
    """Train a model as a recipe says. Ctrl-C keeps what was learned; --resume continues exactly there.

    With several GPUs: torchrun --nproc-per-node N -m outofsight train RECIPE ..., with --set sharding=fsdp2 where one
    GPU does not hold the model.
    """
    quiet_libraries()
    from ..training import train as run
    from ..training.shown import shown_steps

    config = _config(recipe, data, out or Path("runs") / recipe, steps, setting or [])
    main = int(os.environ.get("RANK", "0")) == 0
    validate = _telling(config, main) if config.validate_every else None
    with shown_steps(config.steps) if main else nullcontext() as report, _memory_advice():
        result = run(
            config, resume=resume, accept_changes=accept_changes, validate=validate, report=report, byte_bar=byte_bar
        )
    if main:
        last = result.metrics
        note(f"{result.step} steps done" + (f", loss {last['loss']:.4f}" if last is not None else ""))
        if result.checkpoint is not None:
            say(str(result.checkpoint.folder))
            run_folder = shlex.quote(str(config.out))
            note(f"next: outofsight generate --model {run_folder} --clips CLIPS --out predictions --trace")


def _config(recipe: str, data: Path, out: Path, steps: int | None, settings: list[str]) -> TrainConfig:
    from ..errors import TrainingError
    from ..recipes import RECIPES
    from ..training import with_settings

    name = recipe.replace("-", "_").replace(".", "_")
    if name not in RECIPES:
        raise TrainingError(f"no recipe {recipe!r}; there are {', '.join(RECIPES)}")
    config = RECIPES[name](data, out)
    return with_settings(config, [*settings, *([f"steps={steps}"] if steps else [])])


@contextmanager
def _memory_advice() -> Iterator[None]:
    import torch

    from ..errors import TrainingError

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"{error}\nthe device is out of memory: try --set precision=bf16, --set gradient_checkpointing=true, "
            "--set accumulation=N, or several GPUs and --set sharding=fsdp2"
        ) from error


def _telling(config: TrainConfig, shown: bool) -> Validate:
    """Validation that says how the model did on the target and when someone is back, and where to look."""
    from ..training.transformer import make_validator

    validator = make_validator(config)

    def validate(model: Any, step: int, folder: Path) -> Mapping[str, float]:
        results = validator(model, step, folder)
        if shown:
            told = [
                f"{name} {value:.2f} dB" for name, value in results.items() if name.endswith((" target", " re-entered"))
            ]
            note(f"validation after {step} steps: {', '.join(told)}; videos and tables in {folder}")
        return results

    return validate
