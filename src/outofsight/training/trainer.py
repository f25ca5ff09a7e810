"""The training loop, of the transformer and of the small parts alike: steps, checkpoints, resuming, logs, Ctrl-C.

What is trained, on what and by which loss is an :class:`Objective`'s. Every random number is a function of the step's
number, so a step depends on nothing but that, the weights and the optimiser's state: a resumed run equals one that was
never stopped.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import TrainingError
from ..io import locked
from .checkpointing import Checkpoint, latest_checkpoint
from .config import LoopSettings, TrainConfig
from .learner import Learner
from .logs import Line, MetricsLog
from .run_folder import BegunRun, find_start, resume_command, write_config
from .sharding import no_sync

Report = Callable[[int, float, Line | None], None]  # steps done, the step's loss, the line of metrics if one was logged


class Objective(ABC):
    """What a run trains: hooks that the loop calls.

    Attributes:
        out: the run's folder. pace: how long the run is and what is kept of it.
        columns: names of what :meth:`loss` returns beside "loss", for metrics.csv.
        clips_per_step: over all processes, for the log; None leaves that column out.
        validates: whether :meth:`validate` is to be called, at the end at least.
    """

    out: Path
    pace: TrainConfig | LoopSettings
    columns: tuple[str, ...] = ()
    clips_per_step: int | None = None
    validates: bool = False

    @abstractmethod
    def record(self) -> BegunRun:
        """What config.json holds, which a resumed run is held against."""

    @abstractmethod
    def changes(self, begun: BegunRun) -> list[str]:
        """What differs from the run that was begun and changes what is computed, in words."""

    @abstractmethod
    def build(self, start: Checkpoint | None) -> Learner:
        """The model on its processes, with its optimiser. What ``start`` holds in its state is restored afterwards."""

    @abstractmethod
    def batches(self, step: int) -> Sequence[Any]:
        """This process's parts of a step (from 0), a function of its number; their gradients are averaged."""

    @abstractmethod
    def loss(self, called: nn.Module, batch: Any) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Scalar loss of one part, and "loss" and each of ``columns``, scalars or ``[b]`` (NaN where there is none)."""

    def validate(self, model: nn.Module, step: int) -> Mapping[str, float]:
        """Results of ``model``, which has the mean weights, is in evaluation mode and needs no gradients."""
        return {}

    def export(self, model: nn.Module, results: Mapping[str, float]) -> Mapping[str, float]:
        """Write what the run is for, at its end: ``model`` is as in :meth:`validate`, whose last results are given
        (none where no step was left to do). Returns the run's results."""
        return results

    def advice(self, step: int, rows: Sequence[int] | None) -> str:
        """What to do where the loss of these rows of step ``step`` (None: of any) is not finite."""
        return "Begin again with a lower lr"


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C (or SIGTERM): the step was finished and a checkpoint written."""


@dataclass(frozen=True)
class TrainResult:
    """A run that has come to its end: steps done, the last line of metrics, the last checkpoint, what it measured."""

    step: int
    metrics: Line | None
    checkpoint: Checkpoint | None
    results: Mapping[str, float] = field(default_factory=dict)


def run_training(
    objective: Objective, *, resume: bool = False, accept_changes: bool = False, report: Report | None = None
) -> TrainResult:
    """Train ``objective``'s model, or resume the run in its folder.

    Args:
        resume: from the newest checkpoint.
        accept_changes: resume with settings or data other than those the run was begun with.
        report: called after every step, on the first process.

    Raises:
        TrainingError: the folder holds a run that is not to be resumed, or one of other settings; or a loss that is
            not finite.
        CheckpointError: a damaged checkpoint.
        OutputError: nothing can be written, or another run is writing there; the last checkpoint stays.
        TrainingInterrupted: Ctrl-C or SIGTERM; a checkpoint was written.
    """
    start = find_start(objective.out, objective.changes, resume=resume, accept_changes=accept_changes)
    learner = objective.build(start)
    with locked(objective.out) if learner.main else nullcontext():
        return Trainer(objective, learner, start, report).run()


class Trainer:
    """The steps of one run, from ``start`` on."""

    def __init__(
        self, objective: Objective, learner: Learner, start: Checkpoint | None, report: Report | None = None
    ) -> None:
        self.objective, self.learner, self.pace, self.report = objective, learner, objective.pace, report
        if learner.main:
            write_config(objective.out, objective.record())
        learner.processes.wait_for_everyone()
        self.step, self._window = (0, []) if start is None else learner.restore(start)
        self.checkpoint = start
        columns = ["loss", *objective.columns, "gradient_norm", "lr", "seconds"]
        columns += ["clips_per_second"] if objective.clips_per_step is not None else []
        self.log = MetricsLog(objective.out, columns, self.step) if learner.main else None
        self._stop: signal.Signals | None = None

    # --- steps ------------------------------------------------------------------------------------------------

    def run(self) -> TrainResult:
        """All remaining steps."""
        last: Line | None = None
        results: Mapping[str, float] = {}
        began, logged = time.perf_counter(), self.step
        with self._signals():
            while self.step < self.pace.steps:
                loss, stop = self._train_step()
                self.step += 1
                done, line = self.step == self.pace.steps, None
                if self.step % self.pace.log_every == 0 or done:
                    line = last = self._log((time.perf_counter() - began) / (self.step - logged))
                    began, logged = time.perf_counter(), self.step
                saved = self.step % self.pace.checkpoint_every == 0 or done
                if saved:
                    self._save()
                if self.report is not None and self.learner.main:
                    self.report(self.step, loss, line)
                # several processes stop together, after the step in which one of them was asked to
                stop = stop or (self.learner.processes.num_processes == 1 and self._stop is not None)
                if stop and not done:
                    if not saved:
                        self._save()
                    raise TrainingInterrupted(
                        f"{self.step} of {self.pace.steps} steps are done and kept; to resume, "
                        f"{resume_command(self.objective.out)}"
                    )
                if self.objective.validates and (done or self._due(self.pace.validate_every)):
                    results = self._validate()
                    began, logged = time.perf_counter(), self.step
        if self.log is not None:
            self.log.close()
            with self.learner.judged() as model:
                results = self.objective.export(model, results)
        return TrainResult(self.step, last, self.checkpoint, results)

    def _due(self, every: int) -> bool:
        return bool(every) and self.step % every == 0

    def _train_step(self) -> tuple[float, bool]:
        """One optimiser step: its loss, and whether any process was asked to stop."""
        learner, made = self.learner, []
        batches = self.objective.batches(self.step)
        for number, batch in enumerate(batches):
            last = number == len(batches) - 1
            with no_sync(learner.called, learner.model, learner.processes, skip=not last):
                made.append(self._part(batch, len(batches)))
        rows = torch.cat([learner.processes.gather(part) for part in made]).double().cpu()  # [b, columns + 2]
        if wrong := (~rows[:, 0].isfinite()).nonzero().flatten().tolist():
            self._fail("the loss is not finite", wrong)
        norm = learner.clip(self.pace.max_grad_norm)
        if not math.isfinite(norm):
            self._fail(f"the gradient's norm is {norm}", None)
        learner.update(self.pace.learning_rate(self.step))
        means = [float(rows[:, column].nanmean()) for column in range(rows.shape[1] - 1)]
        self._window.append([*means, norm])
        return means[0], bool(rows[:, -1].any())

    def _part(self, batch: Any, parts: int) -> Tensor:
        """Forward and backward of one part: its values by clip, and the wish to stop, ``[b, columns + 2]``."""
        loss, values = self.objective.loss(self.learner.called, batch)
        (loss / parts).backward()
        rows = torch.stack([values[name].detach().reshape(-1) for name in ("loss", *self.objective.columns)], dim=1)
        return torch.cat([rows, torch.full_like(rows[:, :1], float(self._stop is not None))], dim=1)

    def _fail(self, what: str, rows: Sequence[int] | None) -> None:
        last = latest_checkpoint(self.objective.out)
        kept = f"the checkpoint of step {last.step} stays" if last is not None else "there was no checkpoint yet"
        raise TrainingError(
            f"step {self.step + 1}: {what}; no weight was changed by it, {kept}. "
            f"{self.objective.advice(self.step, rows)}"
        )

    # --- what is kept -----------------------------------------------------------------------------------------

    def _save(self) -> None:
        self.checkpoint = self.learner.save(self.objective.out, self.step, self._window, self.pace.keep)

    def _log(self, seconds: float) -> Line:
        means = torch.tensor(self._window, dtype=torch.float64).nanmean(dim=0).tolist()
        self._window = []
        line: Line = {"step": self.step}
        line |= dict(zip(("loss", *self.objective.columns, "gradient_norm"), means, strict=True))
        line |= {"lr": self.pace.learning_rate(self.step - 1), "seconds": seconds}
        if self.objective.clips_per_step is not None:
            line["clips_per_second"] = self.objective.clips_per_step / seconds
        if self.log is not None:
            self.log.add(line)
        return line

    def _validate(self) -> Mapping[str, float]:
        """Judge the weights that would be used (EMA); sharded models need every process, others the first alone."""
        results: Mapping[str, float] = {}
        if self.learner.main or self.learner.sharded:
            with self.learner.judged() as model:
                results = self.objective.validate(model, self.step)
            if self.log is not None:
                self.log.add_validation(self.step, results)
        self.learner.processes.wait_for_everyone()
        return results

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the run after the step; a second Ctrl-C ends it at once. What is ignored stays so."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number: int, _: Any) -> None:
            if self._stop is not None:
                raise KeyboardInterrupt("at once; the last checkpoint stays")
            self._stop = signal.Signals(number)

        heard = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
        before = {number: signal.signal(number, ask) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
