"""The training loop: what a step is, what is kept of it, how it stops and goes on.

Every random number is a function of the step (``draws.py``), so a step depends on nothing but the weights, the
optimiser's state and its number: a resumed run equals one that was never stopped.
"""

from __future__ import annotations

import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from ..errors import DatasetError, TrainingError
from ..io import locked
from .auxiliary import attach_presence
from .batches import Part, PartLoader
from .checkpointing import Checkpoint, latest_checkpoint
from .config import TrainConfig
from .dataset import LatentDataset
from .draws import clips_of_step
from .learner import Learner
from .logs import MetricsLog, StepMetrics
from .objective import batch_loss
from .parameters import build_model, choose_parameters, idle_parameters, pipeline_folder
from .run_folder import check_data, find_start, resume_command, write_config
from .sharding import make_accelerator, no_sync

# model (with the weights to be judged), steps done, folder for samples -> named results
Validate = Callable[[Any, int, Path], Mapping[str, float]]
_PARTS = ("loss", "error", "subject_error", "reentry_error")


ByteBar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]  # what, bytes -> advances by so many


def verify(data: LatentDataset, byte_bar: ByteBar | None) -> None:
    """Hold a folder's shards against their SHA-256. Raises DatasetError where one is damaged."""
    with (byte_bar or _no_bar)(f"checking {data.folder}", data.stored_bytes) as on_bytes:
        data.verify(on_bytes)


@contextmanager
def _no_bar(_: str, __: int) -> Iterator[Callable[[int], None]]:
    yield lambda _: None


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C (or SIGTERM): the step was finished and a checkpoint written."""


@dataclass(frozen=True)
class TrainResult:
    """A run that has come to its end: steps done, the last line of metrics, the last checkpoint."""

    step: int
    metrics: StepMetrics | None
    checkpoint: Checkpoint | None


def train(
    config: TrainConfig,
    *,
    resume: bool = False,
    accept_changes: bool = False,
    validate: Validate | None = None,
    report: Callable[[int, float, StepMetrics | None], None] | None = None,
    byte_bar: ByteBar | None = None,
) -> TrainResult:
    """Train as ``config`` says, or go on with the run in its folder.

    Args:
        config: the whole run.
        resume: go on from the newest checkpoint.
        accept_changes: go on with settings or clips other than those the run was begun with.
        validate: called every ``validate_every`` steps with the model (EMA weights where there are any), the steps
            done and a folder; its results are logged. None continues the config's held-out clips.
        report: called after every step, on the first process, with the steps done, the step's loss and the line of
            metrics if one was logged.
        byte_bar: shows how far the encoded clips, which are read whole and checked first, are read.

    Raises:
        DatasetError, TrainingError, CheckpointError: the run cannot begin, or not be resumed so; a loss that is not
            finite, with the clips of the batch.
        OutputError: nothing can be written; the last checkpoint stays.
        TrainingInterrupted: Ctrl-C; a checkpoint was written.
    """
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        for folder in (config.data, *([config.held_out] if config.validate_every and config.held_out else [])):
            verify(LatentDataset(folder), byte_bar)
        if config.validate_every and validate is None:
            validate = make_validator(config)
        trainer = Trainer(config, resume=resume, accept_changes=accept_changes, stack=stack)
        trainer.validate, trainer.report = validate, report
        return trainer.run()


class Trainer:
    """One run: built whole before its first step."""

    validate: Validate | None = None
    report: Callable[[int, float, StepMetrics | None], None] | None = None

    def __init__(self, config: TrainConfig, *, resume: bool, accept_changes: bool, stack: ExitStack) -> None:
        self.config = config
        self.data = LatentDataset(config.data)
        self.start = find_start(config, self.data, resume=resume, accept_changes=accept_changes)
        self.model = build_model(config)
        check_data(config, self.data, self.model.config)
        if self.start is not None and config.lora is None:
            self.model.load_state_dict(self.start.weights("transformer"))
        if config.objective.presence_weight:
            attach_presence(self.model, config.seed)
        named = choose_parameters(self.model, config)
        idle = idle_parameters(self.model, self.data)
        self.accelerator = make_accelerator(config, idle_parameters=bool(idle & named.keys()))
        self.device = self.accelerator.device
        self.main = self.accelerator.is_main_process
        if self.main:
            _check_parts(config, self.data, "rendered" in self.model.conditioning)
            stack.enter_context(locked(config.out))
            write_config(config, self.data)
        self.accelerator.wait_for_everyone()
        self.empty_text = self.data.empty_text.to(self.device) if config.objective.text_dropout else None
        self.learner = Learner(config, self.model, self.accelerator)
        self.step, self._window = (0, []) if self.start is None else self.learner.restore(self.start)
        self.log = MetricsLog(config.out, self.step) if self.main else None
        self.loader = stack.enter_context(PartLoader(config, self.data, self.accelerator))
        self._stop: signal.Signals | None = None

    # --- steps ------------------------------------------------------------------------------------------------

    def run(self) -> TrainResult:
        """All remaining steps."""
        last: StepMetrics | None = None
        checkpoint = self.start
        began, logged = time.perf_counter(), self.step
        with self._signals():
            while self.step < self.config.steps:
                loss, stop = self._train_step(self.step)
                self.step += 1
                done = self.step == self.config.steps
                line = None
                if self.step % self.config.log_every == 0 or done:
                    seconds = (time.perf_counter() - began) / (self.step - logged)
                    line = last = self._log(seconds)
                    began, logged = time.perf_counter(), self.step
                saved = self.step % self.config.checkpoint_every == 0 or done
                if saved:
                    checkpoint = self.learner.save(self.step, self._window)
                if self.report is not None and self.main:
                    self.report(self.step, loss, line)
                # several processes stop together, after the step in which one of them was asked to
                stop = stop or (self.accelerator.num_processes == 1 and self._stop is not None)
                if stop and not done:
                    if not saved:
                        self.learner.save(self.step, self._window)
                    raise TrainingInterrupted(
                        f"{self.step} of {self.config.steps} steps are done and kept; to go on, "
                        f"{resume_command(self.config)}"
                    )
                if self.validate is not None and self._validation_due(done):
                    self._validate()
                    began, logged = time.perf_counter(), self.step
        if self.log is not None:
            self.log.close()
        return TrainResult(self.step, last, checkpoint)

    def _train_step(self, step: int) -> tuple[float, bool]:
        """One optimiser step: its loss, and whether any process was asked to stop."""
        values = []
        parts = self.loader.parts(step)
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            with no_sync(self.learner.called, self.model, self.accelerator, skip=not last):
                values.append(self._part(part))
        rows = torch.cat([self.accelerator.gather(value) for value in values]).double().cpu()  # [batch * draws, 5]
        losses = rows[:, 0]
        self._check_finite(losses, step)
        norm = self.learner.clip()
        if not math.isfinite(norm):
            self._fail(step, range(self.config.batch_size), f"the gradient's norm is {norm}")
        self.learner.update(step)
        means = [float(rows[:, i].nanmean()) for i in range(len(_PARTS))]
        self._window.append([*means, norm])
        return means[0], bool(rows[:, -1].any())

    def _part(self, part: Part) -> Tensor:
        """Forward and backward of some clips: their losses and errors, and the wish to stop, ``[b, 5]``."""
        batch = part.batch.to(self.device)
        with self._precision():
            loss, values = batch_loss(
                self.learner.called, batch, part.draws, self.config.objective, empty_text=self.empty_text
            )
        (loss / self.config.accumulation).backward()
        stop = torch.full_like(values["loss"], float(self._stop is not None))
        return torch.stack([*(values[name] for name in _PARTS), stop], dim=1)

    def _precision(self) -> Any:
        """The context of the forward pass. bf16 is autocast's: weights and optimiser stay in float32."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.config.precision == "bf16" else nullcontext()

    def _check_finite(self, losses: Tensor, step: int) -> None:
        wrong = (~losses.isfinite()).nonzero().flatten().tolist()
        if wrong:
            # rows are gathered part by part, each with its clips as often as is drawn for them
            size = self.config.batch_size // (self.accelerator.num_processes * self.config.accumulation)
            rows = [divmod(row, size * self.config.draws) for row in wrong]
            self._fail(step, [part * size + row % size for part, row in rows], "the loss is not finite")

    def _fail(self, step: int, places: Any, what: str) -> None:
        numbers = clips_of_step(self.config.seed, step, list(places), self.config.batch_size, self.loader.count)
        names = ", ".join(dict.fromkeys(self.data.clips[number].name for number in numbers))
        last = latest_checkpoint(self.config.out)
        kept = f"the checkpoint of step {last.step} stays" if last is not None else "there was no checkpoint yet"
        raise TrainingError(
            f"step {step + 1}: {what}, for the clips {names}; no weight was changed by it, {kept}. Look at those "
            f"clips, or go on by {resume_command(self.config)} and a lower lr, a max_grad_norm or precision=no "
            "(--accept-changes)"
        )

    # --- what is said -----------------------------------------------------------------------------------------

    def _log(self, seconds: float) -> StepMetrics:
        rows = torch.tensor(self._window, dtype=torch.float64)
        self._window = []
        loss, error, subject, reentry, norm = (float(value) for value in rows.nanmean(dim=0))
        rate = self.config.learning_rate(self.step - 1)
        line = StepMetrics(
            self.step, loss, error, subject, reentry, norm, rate, seconds, self.config.batch_size / seconds
        )
        if self.log is not None:
            self.log.add(line)
        return line

    # --- validation and stopping ------------------------------------------------------------------------------

    def _validation_due(self, done: bool) -> bool:
        every = self.config.validate_every
        return bool(every) and (done or self.step % every == 0)

    def _validate(self) -> None:
        """Judge the weights that would be used (EMA); sharded models need every process, others the first alone."""
        assert self.validate is not None
        if self.main or isinstance(self.model, FSDPModule):
            with self.learner.judged() as model:
                folder = self.config.out / "samples" / f"step-{self.step:07d}"
                results = self.validate(model, self.step, folder)
            if self.log is not None:
                self.log.add_validation(self.config.out, self.step, results)
        self.accelerator.wait_for_everyone()

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


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's advice on what is meant here: norms in float32 under autocast, blocks that return views."""
    with warnings.catch_warnings():
        for advice in ("Mismatch dtype between input and weight", "FSDP2-wrapped module .* returned a view"):
            warnings.filterwarnings("ignore", message=advice)
        yield


def make_validator(config: TrainConfig) -> Validate:
    """What continues the held-out clips and measures the result. Raises TrainingError where something is not named."""
    folder = pipeline_folder(config)
    if config.held_out is None or not config.held_out_clips or folder is None:
        raise TrainingError(
            f"validate_every is {config.validate_every}, which takes held_out (encoded clips), held_out_clips (the "
            "folders in which they lie as video) and parts (a folder with the VAE): set them, or validate_every=0"
        )
    from .parts import load_parts
    from .validate import Validator

    vae, held_out = load_parts(str(folder)).vae, LatentDataset(config.held_out)
    ours, theirs = (data.settings.finder for data in (LatentDataset(config.data), held_out))
    if ours != theirs:
        raise DatasetError(
            f"{config.held_out} was rendered with another finder or renderer than {config.data} (hashes "
            f"{theirs[:12] or 'none'} and {ours[:12] or 'none'}): encode both with the same model"
        )
    return Validator(vae, held_out, list(config.held_out_clips), config.validation)


def _check_parts(config: TrainConfig, data: LatentDataset, rendered: bool) -> None:
    """Refuse latents that another VAE, text encoder, tokenizer or finder made than the model's."""
    folder = pipeline_folder(config)
    if folder is None:
        return
    from .parts import load_parts

    parts = load_parts(str(folder))
    finder = parts.finder if data.settings.finder else None  # clips without rendered targets serve other models
    if rendered and parts.finder is None:
        raise DatasetError(
            f"the model is conditioned on rendered targets, and {folder} has no finder/ that would make them later"
        )
    data.check_parts(vae=parts.vae, text_encoder=parts.text_encoder, tokenizer=parts.tokenizer, finder=finder)
