"""The loop of the small parts (VAE, text encoder): one process, one model, resumed exactly.

What a step draws is a function of (seed, step), so weights, optimiser and step number are all there is to keep. The
big model's loop (``trainer.py``) differs in all that it can do besides: several processes, sharding, LoRA.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import TrainingError
from ..io import locked, replacing
from ..records import read_object
from .checkpointing import Checkpoint, drop_old, latest_checkpoint, write_checkpoint
from .ema import Ema
from .logs import append_row, cut_after
from .muon import muon_and_adamw, set_rate
from .settings import check_types, flat, plain
from .trainer import TrainingInterrupted

CONFIG = "config.json"
StepLoss = Callable[[int], tuple[Tensor, Mapping[str, Tensor]]]  # step -> loss, named parts of it
Judge = Callable[[], Mapping[str, float]]  # results of the model with the weights that would be used
Report = Callable[[int, Mapping[str, float]], None]  # steps done, the newest line of metrics.csv (empty before it)


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

    def learning_rate(self, step: int) -> float:
        """Rate of step ``step``, from 0."""
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        done = max(0, step - self.warmup) / (self.steps - self.warmup)
        return self.lr * rise * (self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * done)))


class SmallRun:
    """One run in one folder.

    Args:
        folder: of the run: config.json, metrics.csv, judged.csv, checkpoints.
        settings: everything that the result depends on, as plain values; a resumed run is held against it.
        model: trained in place.
        parts: names of what ``StepLoss`` returns beside the loss.
        looked_up, looked_up_lr: see :func:`muon_and_adamw`.
    """

    def __init__(
        self,
        folder: Path,
        loop: LoopSettings,
        settings: Mapping[str, Any],
        model: nn.Module,
        parts: tuple[str, ...],
        looked_up: tuple[str, ...] = (),
        looked_up_lr: float = 1.0,
    ) -> None:
        self.folder, self.loop, self.model, self.parts = folder, loop, model, parts
        self.settings = plain({"loop": vars(loop), **settings})
        self.named = dict(model.named_parameters())
        self.optimizers = muon_and_adamw(model, loop.lr, looked_up, looked_up_lr)
        self.ema = Ema(self.named, loop.ema)
        self.step = 0
        self._window: list[list[float]] = []

    def run(
        self, step_loss: StepLoss, *, judge: Judge | None = None, resume: bool = False, report: Report | None = None
    ) -> dict[str, float]:
        """All remaining steps; afterwards the model has the mean weights. Returns the last judgement.

        Raises:
            TrainingError: the folder holds a run that is not to be resumed, or one of other settings; or a loss
                that is not finite (the last checkpoint stays).
            TrainingInterrupted: Ctrl-C or SIGTERM; what was done is kept.
            OutputError: the folder cannot be written to, or another run is writing to it.
        """
        with locked(self.folder):
            self._begin(resume)
            with _stop_signals() as asked:
                self._steps(step_loss, judge, report, asked)
            with torch.no_grad():
                for name, parameter in self.named.items():
                    parameter.copy_(self.ema.means[name])
            self.model.eval()
            return self._judged(judge, exchange=False) if judge is not None else {}

    def _steps(
        self, step_loss: StepLoss, judge: Judge | None, report: Report | None, asked: Callable[[], bool]
    ) -> None:
        loop, line = self.loop, dict[str, float]()
        self.model.train()
        began, logged = time.perf_counter(), self.step
        while self.step < loop.steps:
            self._one(step_loss)
            done = self.step == loop.steps
            if self.step % loop.log_every == 0 or done:
                line = self._log((time.perf_counter() - began) / (self.step - logged))
                began, logged = time.perf_counter(), self.step
            stop = asked() and not done
            if self.step % loop.checkpoint_every == 0 or done or stop:
                self._save()
            if report is not None:
                report(self.step, line)
            if stop:
                raise TrainingInterrupted(
                    f"{self.step} of {loop.steps} steps are done and kept in {self.folder}; the same command with "
                    "--resume goes on"
                )
            if judge is not None and loop.judge_every and self.step % loop.judge_every == 0 and not done:
                self._judged(judge, exchange=True)
                self.model.train()

    def _one(self, step_loss: StepLoss) -> None:
        loss, parts = step_loss(self.step)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.loop.max_grad_norm)
        if not math.isfinite(loss.item()) or not math.isfinite(float(norm)):
            raise TrainingError(
                f"step {self.step + 1}: the loss is {loss.item()}, its gradient's norm {float(norm)}; no weight was "
                f"changed by it and the last checkpoint in {self.folder} stays: begin anew with a lower lr"
            )
        set_rate(self.optimizers, self.loop.learning_rate(self.step))
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.ema.update()
        self.step += 1
        self._window.append([loss.item(), *(float(parts[name]) for name in self.parts), float(norm)])

    # --- what is kept -----------------------------------------------------------------------------------------

    def check(self, resume: bool) -> Checkpoint | None:
        """The checkpoint that the run will go on from. Raises TrainingError as :meth:`run` does: for callers who have
        long work to do before."""
        last = latest_checkpoint(self.folder)
        if last is not None and not resume:
            raise TrainingError(
                f"{self.folder} holds a run of {last.step} steps: go on with it by --resume, or choose another folder"
            )
        if last is not None:
            self._compare()
        return last

    def _begin(self, resume: bool) -> None:
        last = self.check(resume)
        if last is not None:
            state = last.state()
            self.step, self._window = int(state["step"]), [list(map(float, row)) for row in state["window"]]
            self.model.load_state_dict(state["weights"])
            for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(kept)
            self.ema.load_state(state["means"], int(state["updates"]))
        with replacing(self.folder / CONFIG) as beside:
            beside.write_text(json.dumps(self.settings, indent=1) + "\n", encoding="utf-8")
        columns = ["step", "loss", *self.parts, "gradient_norm", "lr", "seconds"]
        cut_after(self.folder / "metrics.csv", columns, self.step)
        if (self.folder / "judged.csv").exists():
            cut_after(self.folder / "judged.csv", None, self.step)

    def _compare(self) -> None:
        path = self.folder / CONFIG
        then = flat(read_object(path, TrainingError, "it holds the settings the run was begun with: put it back"))
        free = {"loop.checkpoint_every", "loop.judge_every", "loop.log_every"}
        now = flat(self.settings)
        changed = [
            f"{name}: {then.get(name, 'not set')!r} then, {now.get(name, 'not set')!r} now"
            for name in sorted((then.keys() | now.keys()) - free)
            if then.get(name) != now.get(name)
        ]
        if changed:
            listed = "\n  ".join(changed)
            raise TrainingError(f"{self.folder} was begun with other settings:\n  {listed}\nresume with those")

    def _save(self) -> None:
        state = {
            "step": self.step,
            "window": self._window,
            "weights": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "means": self.ema.state(),
            "updates": self.ema.updates,
        }
        write_checkpoint(self.folder, self.step, {}, state)
        drop_old(self.folder, keep=2)

    def _log(self, seconds: float) -> dict[str, float]:
        means = torch.tensor(self._window, dtype=torch.float64).nanmean(dim=0).tolist()
        self._window = []
        names = ("loss", *self.parts, "gradient_norm")
        line = {"step": float(self.step), **dict(zip(names, means, strict=True))}
        line |= {"lr": self.loop.learning_rate(self.step - 1), "seconds": seconds}
        append_row(self.folder / "metrics.csv", [self.step, *list(line.values())[1:]])
        return line

    def _judged(self, judge: Judge, *, exchange: bool) -> dict[str, float]:
        """Judge the mean weights; exchange: they are not in the model yet."""
        self.model.eval()
        with torch.no_grad():
            if exchange:
                with self.ema.applied():
                    results = dict(judge())
            else:
                results = dict(judge())
        path = self.folder / "judged.csv"
        if not path.exists():
            cut_after(path, ["step", *results], self.step)
        append_row(path, [self.step, *results.values()])
        return results


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM are answered after the step; a second one ends the run at once."""
    asked: list[int] = []

    def ask(number: int, _: Any) -> None:
        if asked:
            raise KeyboardInterrupt("at once; the last checkpoint stays")
        asked.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
