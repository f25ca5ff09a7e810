"""What the small parts (VAE, text encoder, subject finder, follower) share around their training: an objective on one
process with Muon and mean weights, what it leaves, and the command line."""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import tempfile
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ..errors import OutOfSightError, OutputError, TrainingError
from ..files import reason, replacing
from .learner import Learner
from .optimizers import part_optimizer
from .run_folder import BegunRun
from .settings import check_types, differences, plain, with_settings
from .shown import shown_steps
from .trainer import Objective, Report, run_training

_FREE = frozenset({"loop.checkpoint_every", "loop.judge_every", "loop.log_every"})


@dataclass(frozen=True)
class LoopSettings:
    """How long, how fast, and what is kept.

    Args:
        steps: of the whole run.
        lr: highest learning rate; it rises over ``warmup`` steps and falls along a cosine to ``final`` times it.
        ema: decay of the running mean of the weights, which are the result.
        max_grad_norm: clipping of the gradient's norm.
        checkpoint_every, judge_every, log_every: in steps; 0 judges at the end alone.
        seed: of the first weights and of every draw.
    """

    steps: int = 1000
    lr: float = 4e-3
    warmup: int = 50
    final: float = 0.01
    ema: float = 0.998
    max_grad_norm: float = 1.0
    checkpoint_every: int = 500
    judge_every: int = 0
    log_every: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("steps", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if self.lr <= 0 or not 0 <= self.final <= 1 or not 0 < self.ema < 1 or self.max_grad_norm <= 0:
            raise TrainingError(
                f"lr {self.lr}, final {self.final}, ema {self.ema}, max_grad_norm {self.max_grad_norm}: expected "
                "above 0, 0 to 1, between 0 and 1, above 0"
            )
        if min(self.warmup, self.judge_every, self.seed) < 0 or self.warmup >= self.steps:
            raise TrainingError(f"warmup {self.warmup}, judge_every {self.judge_every}, seed {self.seed}: expected 0 "
                                f"or more, and a warmup below the {self.steps} steps")  # fmt: skip

    @property
    def keep(self) -> int:
        return 2

    @property
    def validate_every(self) -> int:
        return self.judge_every

    def learning_rate(self, step: int) -> float:
        """Rate of step ``step``, from 0."""
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        done = max(0, step - self.warmup) / (self.steps - self.warmup)
        return self.lr * rise * (self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * done)))


class PartObjective(Objective):
    """The objective of a small part; a subclass has ``batches`` and ``loss``, and :meth:`finish` what is trained.

    Args:
        config: the part's; its ``loop`` is the pace, its ``folder`` the run's.
    """

    def __init__(self, config: Any) -> None:
        self.began = time.perf_counter()
        self.config, self.out, self.pace = config, config.folder, config.loop
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


def train_part(
    objective: PartObjective, *, resume: bool, accept_changes: bool, report: Report | None
) -> dict[str, float]:
    """Train and save a small part. Returns what report.json holds; raises what :func:`run_training` does."""
    how = {"resume": resume, "accept_changes": accept_changes}
    return dict(run_training(objective, report=report, **how).results)


def save_part(part: Any, folder: Path) -> None:
    """``part.save_pretrained`` into ``folder``, which is replaced whole or not at all. Raises OutputError."""
    made: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        made.chmod(0o755)
        part.save_pretrained(made)
        if folder.exists():
            # a folder cannot be renamed over another that is not empty: the old one makes way first
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            os.replace(folder, old)
            os.replace(made, folder)
            shutil.rmtree(old)
        else:
            os.replace(made, folder)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {reason(error)}") from error
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def command(config_type: type[Any], train: Callable[..., Mapping[str, float]]) -> None:
    """Run ``train`` as its module's docstring says: options for paths, ``--set name=value`` for the rest."""
    parser = argparse.ArgumentParser(description=(sys.modules["__main__"].__doc__ or "").split("\n")[0])
    paths = _places(config_type)
    for field in paths:
        required = field.default is MISSING and field.default_factory is MISSING
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=Path, required=required)
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    parser.add_argument("--accept-changes", action="store_true", help="go on although settings are others")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="loop.steps=2000, ...")
    options = vars(parser.parse_args())
    given = {field.name: options[field.name] for field in paths if options[field.name] is not None}
    how = {name: options[name] for name in ("resume", "accept_changes")}
    try:
        config = with_settings(config_type(**given), options["set"])
        with shown_steps(config.loop.steps) as report:
            results = train(config, report=report, **how)
    except OutOfSightError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt as stop:
        print(f"interrupted: {stop}", file=sys.stderr)
        sys.exit(130)
    print(", ".join(f"{name} {value:.4g}" for name, value in results.items()))


def _places(config_type: type[Any]) -> list[Field[Any]]:
    """The fields that are paths."""
    return [field for field in fields(config_type) if "Path" in str(field.type)]
