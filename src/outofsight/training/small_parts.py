"""What the small parts (VAE, text encoder, subject finder, follower) share around their training: an objective on one
process with Muon and mean weights, what it leaves, and the command line."""

from __future__ import annotations

import argparse
import json
import sys
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ..errors import OutOfSightError
from ..io import replacing
from .checkpointing import writing_folder
from .learner import Learner
from .optimizers import part_optimizer
from .run_folder import BegunRun
from .settings import differences, plain, with_settings
from .shown import shown_steps
from .trainer import Objective, run_training

_FREE = frozenset({"loop.checkpoint_every", "loop.judge_every", "loop.log_every"})


class PartObjective(Objective):
    """The objective of a small part; a subclass has ``batches`` and ``loss``, and :meth:`finish` what is trained.

    Args:
        config: the part's; its ``loop`` is the pace, and the run's folder lies in its ``out``.
    """

    name: str

    def __init__(self, config: Any) -> None:
        self.began = time.perf_counter()
        self.config, self.out, self.pace = config, config.out / f"training-{self.name}", config.loop
        elsewhere = {"held_out_limit", *(place.name for place in _places(type(config)))}
        given = plain(asdict(config))
        self.settings: dict[str, Any] = {name: value for name, value in given.items() if name not in elsewhere}

    def record(self) -> BegunRun:
        return BegunRun(self.settings)

    def changes(self, begun: BegunRun) -> list[str]:
        return differences(self.settings, begun.settings, _FREE)

    def learner(self, model: nn.Module, tables: tuple[str, ...] = (), tables_lr: float = 1.0) -> Learner:
        """``model`` with its optimiser; see :func:`part_optimizer`."""
        loop = self.config.loop
        optimizer = part_optimizer(dict(model.named_parameters()), loop.lr, tables, tables_lr)
        return Learner(model, optimizer, loop.ema)

    def drawn(self, step: int) -> np.random.Generator:
        """The random numbers of a step."""
        return np.random.default_rng([self.config.loop.seed, step])

    @abstractmethod
    def finish(self) -> Mapping[str, float]:
        """Save the part, which has its mean weights; returns what belongs into report.json beside the validation."""

    def export(self, model: nn.Module, results: Mapping[str, float]) -> Mapping[str, float]:
        """The part, and report.json."""
        if self.validates and not results:  # the run was stopped between its last step and this
            results = self.validate(model, self.pace.steps)
        results = {**results, **self.finish(), "seconds": time.perf_counter() - self.began}
        with replacing(self.out / "report.json") as beside:
            beside.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        return results


def save_part(part: Any, folder: Path) -> None:
    """``part.save_pretrained`` into ``folder``, which is replaced whole or not at all. Raises OutputError."""
    with writing_folder(folder) as unfinished:
        part.save_pretrained(unfinished)


def command(config_type: type[Any], objective: Callable[[Any], Objective]) -> None:
    """Train as the module's docstring describes: options for paths, ``--set name=value`` for the rest."""
    parser = argparse.ArgumentParser(description=(sys.modules["__main__"].__doc__ or "").split("\n")[0])
    paths = _places(config_type)
    for field in paths:
        required = field.default is MISSING and field.default_factory is MISSING
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=Path, required=required)
    parser.add_argument("--resume", action="store_true", help="resume from the newest checkpoint")
    parser.add_argument("--accept-changes", action="store_true", help="resume although settings are others")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="loop.steps=2000, ...")
    options = vars(parser.parse_args())
    given = {field.name: options[field.name] for field in paths if options[field.name] is not None}
    how = {name: options[name] for name in ("resume", "accept_changes")}
    try:
        config = with_settings(config_type(**given), options["set"])
        with shown_steps(config.loop.steps) as report:
            results = run_training(objective(config), report=report, **how).results
    except OutOfSightError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt as stop:
        print(f"interrupted: {stop}", file=sys.stderr)
        sys.exit(130)
    print(", ".join(f"{name} {value:.4g}" for name, value in results.items()))


def _places(config_type: type[Any]) -> list[Field[Any]]:
    """The fields that are paths."""
    return [field for field in fields(config_type) if "Path" in str(field.type)]
