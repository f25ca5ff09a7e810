"""What is learned: the model, its optimiser and its mean weights, placed on the processes, kept and restored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NotRequired

import torch
from annotated_types import Ge
from torch import nn
from torch.distributed.fsdp import FSDPModule
from typing_extensions import TypedDict

from ..errors import CheckpointError
from ..records import fitted_values
from .auxiliary import heads_alone, without_heads
from .checkpointing import GO_BACK, STATE, Checkpoint, drop_old, model_writer, write_checkpoint
from .ema import Ema
from .optimizers import Optimizer
from .parameters import merged_tensors
from .sharding import OneProcess, gradient_norm, like_parameter, whole_state


class Learner:
    """A model being trained.

    Args:
        model: where it is computed (wrapped in place where it is sharded).
        optimizer: over the trained parameters.
        ema: decay of their running mean, or None.
        called: what the step calls, where that is a wrapper of the model.
        processes: an Accelerator, or one process.
        folders: checkpoints hold the model (and its means) as folders to be loaded by others, from which ``model``
            was loaded when a run is resumed.
        adapted: and the folders hold it with LoRA adapters merged in, so that the state has the parameters too, as it
            has without folders.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Optimizer,
        ema: float | None,
        *,
        called: nn.Module | None = None,
        processes: Any = None,
        folders: bool = False,
        adapted: bool = False,
    ) -> None:
        self.model, self.optimizer, self.named = model, optimizer, optimizer.named
        self.called: nn.Module = called or model
        self.processes = processes or OneProcess()
        self.folders, self._in_state = folders, adapted or not folders
        self.ema = Ema(self.named, ema) if ema is not None else None
        self.main: bool = self.processes.is_main_process
        self.sharded = isinstance(model, FSDPModule)
        model.train()

    def clip(self, limit: float | None) -> float:
        """Clip the gradients; returns their norm before."""
        return gradient_norm(list(self.named.values()), limit)

    def update(self, rate: float) -> None:
        """Apply the gradients at this learning rate."""
        self.optimizer.step(rate)
        if self.ema is not None:
            self.ema.update()

    @contextmanager
    def judged(self) -> Iterator[Any]:
        """The model as it would be used: mean weights where there are any, evaluation mode, no gradients."""
        self.model.eval()
        try:
            with torch.no_grad():
                if self.ema is None:
                    yield self.model
                else:
                    with self.ema.applied():
                        yield self.model
        finally:
            self.model.train()

    def save(self, out: Path, step: int, window: list[list[float]], keep: int) -> Checkpoint | None:
        """A checkpoint of ``step`` steps, written by the first process; the others give their shards.

        ``window``: steps that no line of metrics has covered yet. keep: how many of the newest stay.
        """
        tensors = whole_state(self.model)
        means = self.ema.state() if self.ema is not None else None
        state: dict[str, Any] = {
            "step": step,
            "window": window,
            "optimizer": self.optimizer.state(),
            "ema_updates": self.ema.updates if self.ema is not None else 0,
            "heads": heads_alone(tensors),
            "head_means": heads_alone(means or {}),
        }
        tensors = without_heads(tensors)
        means = None if means is None else without_heads(means)
        if self._in_state:
            state |= {"trained": {name: tensors[name] for name in without_heads(self.named)}, "means": means}
        checkpoint = None
        if self.main:
            models = {}
            if self.folders:
                models["transformer"] = model_writer(self.model, merged_tensors(tensors))
                if means is not None:
                    models["ema"] = model_writer(self.model, merged_tensors({**tensors, **means}))
            facts = {"processes": self.processes.num_processes, "sharding": "fsdp2" if self.sharded else "ddp"}
            checkpoint = write_checkpoint(out, step, models, state, facts)
            drop_old(out, keep)
        self.processes.wait_for_everyone()
        return checkpoint

    @torch.no_grad()
    def restore(self, checkpoint: Checkpoint) -> tuple[int, list[list[float]]]:
        """Everything but weights from folders, which were loaded before the model was placed; returns step and window.

        Raises CheckpointError where the state is of another model.
        """
        file = checkpoint.folder / STATE
        state = fitted_values(_State, checkpoint.state(), file, CheckpointError, GO_BACK)
        try:
            self.optimizer.load_state(state["optimizer"])
            kept = {**state.get("heads", {}), **(state["trained"] if self._in_state else {})}
            for name in self.named.keys() & kept.keys():
                self.named[name].copy_(like_parameter(name, kept[name], self.named[name]))
            if self.ema is not None:
                means = state["means"] if self._in_state else checkpoint.weights("ema")
                self.ema.load_state({**(means or {}), **state.get("head_means", {})}, state["ema_updates"])
        except (LookupError, TypeError, AttributeError, RuntimeError) as cause:
            raise CheckpointError(f"{file} does not hold what this run trains ({cause}); {GO_BACK}") from cause
        return state["step"], state["window"]


class _State(TypedDict):
    """What state.pt holds; "heads" of auxiliary losses; "trained" and "means" where folders do not hold them."""

    step: Annotated[int, Ge(0)]
    window: list[list[float]]
    heads: NotRequired[dict[str, Any]]
    head_means: NotRequired[dict[str, Any]]
    optimizer: dict[str, dict[str, Any]]
    ema_updates: Annotated[int, Ge(0)]
    trained: NotRequired[dict[str, Any]]
    means: NotRequired[dict[str, Any] | None]
