"""What is learned: the model, its optimiser and its mean weights, placed on the processes, kept and restored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NotRequired

import torch
from annotated_types import Ge
from typing_extensions import TypedDict

from ..errors import CheckpointError
from ..records import fitted_values
from .auxiliary import heads_alone, without_heads
from .checkpointing import GO_BACK, STATE, Checkpoint, drop_old, model_writer, write_checkpoint
from .config import TrainConfig
from .ema import Ema
from .optimizers import Optimizer
from .parameters import merged_tensors
from .sharding import distribute, gradient_norm, like_parameter, whole_state


class Learner:
    """A model being trained.

    Args:
        config: the run's settings.
        model: a ``WorldTransformer3DModel`` whose trained parameters require gradients; it is placed (moved, wrapped
            or sharded) here. ``called`` is what the step calls.
        accelerator: the processes.
    """

    def __init__(self, config: TrainConfig, model: Any, accelerator: Any) -> None:
        self.config, self.model, self.accelerator = config, model, accelerator
        if config.gradient_checkpointing:
            model.enable_gradient_checkpointing()
        model.train()
        if config.compile == "blocks":
            model.compile_repeated_blocks()
        elif config.compile == "model":
            model.compile()
        self.called = distribute(model, accelerator, config)
        # sharding puts other objects in the parameters' places, so they are listed now
        self.named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.optimizer = Optimizer(config, self.named, model)
        self.ema = Ema(self.named, config.ema) if config.ema is not None else None

    def clip(self) -> float:
        """Clip the gradients; returns their norm before."""
        return gradient_norm(list(self.named.values()), self.config.max_grad_norm)

    def update(self, step: int) -> None:
        """Apply the gradients of step ``step`` (from 0)."""
        self.optimizer.step(self.config.learning_rate(step))
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

    def save(self, step: int, window: list[list[float]]) -> Checkpoint | None:
        """A checkpoint of ``step`` steps, written by the first process; the others give their shards.

        ``window``: steps that no line of metrics has covered yet.
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
        if self.config.lora is not None:  # the folders hold the adapters merged into what they adapt
            state["trained"] = {name: tensors[name] for name in without_heads(self.named)}
            state["means"] = means
        checkpoint = None
        if self.accelerator.is_main_process:
            models = {"transformer": model_writer(self.model, merged_tensors(tensors))}
            if means is not None:
                models["ema"] = model_writer(self.model, merged_tensors({**tensors, **means}))
            facts = {"processes": self.accelerator.num_processes, "sharding": self.config.sharding}
            checkpoint = write_checkpoint(self.config.out, step, models, state, facts)
            drop_old(self.config.out, self.config.keep)
        self.accelerator.wait_for_everyone()
        return checkpoint

    @torch.no_grad()
    def restore(self, checkpoint: Checkpoint) -> tuple[int, list[list[float]]]:
        """Everything but the weights, which were loaded before the model was placed; returns step and window."""
        file = checkpoint.folder / STATE
        state = fitted_values(_State, checkpoint.state(), file, CheckpointError, GO_BACK)
        try:
            self.optimizer.load_state(state["optimizer"])
            kept = {**state.get("heads", {}), **(state["trained"] if self.config.lora is not None else {})}
            for name in self.named.keys() & kept.keys():
                self.named[name].copy_(like_parameter(name, kept[name], self.named[name]))
            if self.ema is not None:
                means = state["means"] if self.config.lora is not None else checkpoint.weights("ema")
                self.ema.load_state({**(means or {}), **state.get("head_means", {})}, state["ema_updates"])
        except (LookupError, TypeError, AttributeError, RuntimeError) as cause:
            raise CheckpointError(f"{file} does not hold what this run trains ({cause}); {GO_BACK}") from cause
        return state["step"], state["window"]


class _State(TypedDict):
    """What state.pt holds; "heads" of auxiliary losses; "trained" and "means" in runs with LoRA."""

    step: Annotated[int, Ge(0)]
    window: list[list[float]]
    heads: NotRequired[dict[str, Any]]
    head_means: NotRequired[dict[str, Any]]
    optimizer: dict[str, dict[str, Any]]
    ema_updates: Annotated[int, Ge(0)]
    trained: NotRequired[dict[str, Any]]
    means: NotRequired[dict[str, Any] | None]
