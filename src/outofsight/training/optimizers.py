"""Optimisers: AdamW (fused where torch has it), 8-bit AdamW (bitsandbytes), Muon with AdamW for the rest.

Which parameter goes where is decided here: :func:`transformer_optimizer` and :func:`part_optimizer`. State is read and
written by parameter name, so that it does not depend on the order of parameters, on how they are sharded or on how many
processes there were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, TrainingError
from .config import TrainConfig
from .muon import KernelMuon
from .sharding import like_parameter, whole

Named = Mapping[str, nn.Parameter]


class Optimizer:
    """Several torch optimisers over named parameters, driven as one.

    Args:
        named: the trained parameters.
        parts: optimisers that together hold them; a group with "times" takes so many times the learning rate.
    """

    def __init__(self, named: Named, parts: list[torch.optim.Optimizer]) -> None:
        self.named, self.parts = dict(named), parts

    def step(self, lr: float) -> None:
        """One step at learning rate ``lr``; gradients are freed."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = lr * group.get("times", 1.0)
            part.step()
            part.zero_grad(set_to_none=True)

    def state(self) -> dict[str, dict[str, Any]]:
        """State by parameter name, whole tensors on the CPU (on every process of a sharded run together)."""
        states = {id(p): part.state[p] for part in self.parts for p in part.state}
        return {
            name: {key: whole(value) for key, value in states[id(p)].items()}
            for name, p in self.named.items()
            if id(p) in states
        }

    def load_state(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """The inverse of :meth:`state`. Raises CheckpointError where names do not fit."""
        if strays := sorted(state.keys() - self.named.keys()):
            raise CheckpointError(
                f"the optimiser's state is of other parameters than are trained ({len(strays)}, such as {strays[0]}); "
                "resume with the settings that the run was begun with"
            )
        names = {id(p): name for name, p in self.named.items()}
        for part in self.parts:
            for group in part.param_groups:
                for p in group["params"]:
                    name = names[id(p)]
                    if name in state:
                        part.state[p] = {key: like_parameter(key, v, p) for key, v in state[name].items()}


def transformer_optimizer(config: TrainConfig, named: Named, model: nn.Module) -> Optimizer:
    """The optimiser that ``config`` names.

    Weights of linear and convolution layers decay; norms, biases and tables do not. Muon (K. Jordan 2024) takes the
    blocks' weights, its steps scaled to AdamW's usual size (Liu et al. 2025); AdamW takes embeddings, cameras, head
    and vectors at ``config.adamw_lr`` of the rate.

    Raises:
        TrainingError: the optimiser is not there, or cannot work with parameters sharded like these.
    """
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    weights = {
        f"{name}.weight" if name else "weight" for name, module in model.named_modules() if isinstance(module, kinds)
    }
    muon = config.optimizer == "muon"
    if muon and not hasattr(torch.optim, "Muon"):
        raise TrainingError(
            f"optimizer 'muon' is torch.optim.Muon, which torch {torch.__version__} has not: torch 2.9 or later, or "
            "optimizer 'adamw'"
        )
    hidden, groups = _partition(
        named,
        lambda name, _: muon and name in weights and "blocks." in name and ".conditioners." not in name,
        lambda name: (config.weight_decay if name in weights else 0.0, config.adamw_lr if muon else 1.0),
    )
    parts: list[torch.optim.Optimizer] = []
    if matrices := [p for p in hidden if p.ndim == 2]:
        parts.append(
            torch.optim.Muon(matrices, lr=config.lr, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw")
        )
    if kernels := [p for p in hidden if p.ndim > 2]:
        # torch's takes matrices alone; AdamW at Muon's rate would scramble a memory's tokenizer
        parts.append(KernelMuon(kernels, lr=config.lr))
    if groups and config.optimizer == "adamw8bit":
        parts.append(_adamw_8bit(config, groups))
    elif groups:
        parts.append(_adamw(groups, config.lr, config.betas))
    return Optimizer(named, parts)


def part_optimizer(named: Named, lr: float, tables: tuple[str, ...] = (), tables_lr: float = 1.0) -> Optimizer:
    """The small parts' optimiser: Muon for all weights of two or more dimensions, AdamW for the rest, without decay.

    Args:
        lr: of both, before the schedule.
        tables: parts of names of what AdamW takes although it has two dimensions: tables, whose rows are looked up and
            not multiplied, and last layers, whose rows are classes.
        tables_lr: learning rate of these, of ``lr``.
    """

    def is_table(name: str) -> bool:
        return any(part in name for part in tables)

    hidden, groups = _partition(
        named,
        lambda name, p: not is_table(name) and p.ndim > 1 and min(len(p), p[0].numel()) > 1,
        lambda name: (0.0, tables_lr if is_table(name) else 1.0),
    )
    parts: list[torch.optim.Optimizer] = [KernelMuon(hidden, lr)] if hidden else []
    return Optimizer(named, [*parts, _adamw(groups, lr, (0.9, 0.99))] if groups else parts)


def _partition(
    named: Named, is_hidden: Callable[[str, nn.Parameter], bool], facts: Callable[[str], tuple[float, float]]
) -> tuple[list[nn.Parameter], list[dict[str, Any]]]:
    """What Muon takes, and the rest in AdamW's groups by ``facts`` of their names: decay, and times the rate."""
    hidden = [p for name, p in named.items() if is_hidden(name, p)]
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, p in named.items():
        if not is_hidden(name, p):
            groups.setdefault(facts(name), []).append(p)
    return hidden, [{"params": ps, "weight_decay": decay, "times": times} for (decay, times), ps in groups.items()]


def _parameters(groups: list[dict[str, Any]]) -> list[Tensor]:
    return [p for group in groups for p in group["params"]]


def _adamw(groups: list[dict[str, Any]], lr: float, betas: tuple[float, float]) -> torch.optim.Optimizer:
    fused = {p.device.type for p in _parameters(groups)} <= {"cpu", "cuda", "xpu", "mps"}
    return torch.optim.AdamW(groups, lr=lr, betas=betas, fused=fused)


def _adamw_8bit(config: TrainConfig, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as missing:
        raise TrainingError(
            "optimizer 'adamw8bit' needs bitsandbytes, which is not installed: pip install 'outofsight[train]', or "
            "choose optimizer 'adamw'"
        ) from missing
    if config.sharding == "fsdp2":
        raise TrainingError("optimizer 'adamw8bit' cannot hold sharded parameters: sharding 'ddp', or 'adamw'")
    if any(p.device.type == "cpu" for p in _parameters(groups)):
        raise TrainingError("optimizer 'adamw8bit' works on a GPU alone; choose 'adamw' or 'muon' on a CPU")
    made: torch.optim.Optimizer = AdamW8bit(groups, lr=config.lr, betas=config.betas)
    return made
