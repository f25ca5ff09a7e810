"""Optimisers: AdamW (fused where torch has it), 8-bit AdamW (bitsandbytes), Muon with AdamW for the rest.

Their state is read and written by parameter name, so that it does not depend on the order of parameters, on how
they are sharded or on how many processes there were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, TrainingError
from .config import TrainConfig
from .muon import KernelMuon
from .sharding import like_parameter, whole


class Optimizer:
    """One or two torch optimisers over named parameters, driven as one.

    Args:
        config: names the optimiser and its settings.
        named: the trained parameters.

    Raises:
        TrainingError: the optimiser is not there, or cannot work with parameters sharded like these.
    """

    def __init__(self, config: TrainConfig, named: Mapping[str, nn.Parameter], modules: nn.Module) -> None:
        self.named = dict(named)
        self.parts = _make(config, self.named, _matrix_names(modules))

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
        for part in self.parts:
            for group in part.param_groups:
                for p in group["params"]:
                    name = self._names[id(p)]
                    if name in state:
                        part.state[p] = {key: like_parameter(key, v, p) for key, v in state[name].items()}

    @property
    def _names(self) -> dict[int, str]:
        return {id(p): name for name, p in self.named.items()}


def _matrix_names(model: nn.Module) -> frozenset[str]:
    """Weights of linear and convolution layers: what decays; norms, biases and tables do not."""
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    return frozenset(
        f"{name}.weight" if name else "weight" for name, module in model.named_modules() if isinstance(module, kinds)
    )


def _make(
    config: TrainConfig, named: Mapping[str, nn.Parameter], decaying: frozenset[str]
) -> list[torch.optim.Optimizer]:
    if config.optimizer == "adamw8bit":
        return [_adamw_8bit(config, _groups(config, named, decaying), named.values())]
    if config.optimizer == "muon":
        return _muon(config, named, decaying)
    return [_adamw(config, _groups(config, named, decaying), named.values())]


def _groups(config: TrainConfig, named: Mapping[str, nn.Parameter], decaying: frozenset[str]) -> list[dict[str, Any]]:
    with_decay = [p for name, p in named.items() if name in decaying]
    without = [p for name, p in named.items() if name not in decaying]
    groups = [{"params": with_decay, "weight_decay": config.weight_decay}, {"params": without, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def _adamw(config: TrainConfig, groups: list[dict[str, Any]], parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    fused = {p.device.type for p in parameters} <= {"cpu", "cuda", "xpu", "mps"}
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, fused=fused)


def _adamw_8bit(
    config: TrainConfig, groups: list[dict[str, Any]], parameters: Iterable[Tensor]
) -> torch.optim.Optimizer:
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as missing:
        raise TrainingError(
            "optimizer 'adamw8bit' needs bitsandbytes, which is not installed: pip install 'outofsight[train]', or "
            "choose optimizer 'adamw'"
        ) from missing
    if config.sharding == "fsdp2":
        raise TrainingError("optimizer 'adamw8bit' cannot hold sharded parameters: sharding 'ddp', or 'adamw'")
    if any(p.device.type == "cpu" for p in parameters):
        raise TrainingError("optimizer 'adamw8bit' works on a GPU alone; choose 'adamw' or 'muon' on a CPU")
    made: torch.optim.Optimizer = AdamW8bit(groups, lr=config.lr, betas=config.betas)
    return made


def _muon(
    config: TrainConfig, named: Mapping[str, nn.Parameter], decaying: frozenset[str]
) -> list[torch.optim.Optimizer]:
    """Muon (K. Jordan 2024) for the blocks' matrices and convolutions, AdamW for embeddings, cameras, head and vectors.

    Steps are scaled to AdamW's usual size (Liu et al. 2025); AdamW takes ``config.adamw_lr`` of the rate.
    """
    if not hasattr(torch.optim, "Muon"):
        raise TrainingError(
            f"optimizer 'muon' is torch.optim.Muon, which torch {torch.__version__} has not: torch 2.9 or later, or "
            "optimizer 'adamw'"
        )
    hidden = {name: p for name, p in named.items() if name in decaying and _is_hidden(name) and p.ndim == 2}
    kernels = {name: p for name, p in named.items() if name in decaying and _is_hidden(name) and p.ndim > 2}
    rest = {name: p for name, p in named.items() if name not in hidden and name not in kernels}
    parts: list[torch.optim.Optimizer] = []
    if hidden:
        parts.append(
            torch.optim.Muon(
                hidden.values(), lr=config.lr, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw"
            )
        )
    if kernels:  # torch's takes matrices alone; AdamW at Muon's rate would scramble a memory's tokenizer
        parts.append(KernelMuon(kernels.values(), lr=config.lr))
    if rest:
        groups = [group | {"times": config.adamw_lr} for group in _groups(config, rest, decaying)]
        parts.append(_adamw(config, groups, rest.values()))
    return parts


def _is_hidden(name: str) -> bool:
    return "blocks." in name and ".conditioners." not in name
