"""Muon for any weight of two or more dimensions, AdamW for the rest: the optimiser of the small parts.

torch.optim.Muon takes matrices alone; almost every weight of a video VAE is a convolution's. Here a kernel
``[out, in, ...]`` is orthogonalised as the matrix ``[out, in * ...]``. At equal time it is worth 2 dB over AdamW in
the first minutes of the VAE (docs/tiny.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

# Coefficients of the five Newton-Schulz steps of Polar Express (Amsel et al. 2025), rounded.
_STEPS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)


def orthogonalised(matrix: Tensor) -> Tensor:
    """About U V^T of ``matrix [m, n]`` = U S V^T: singular values between 0.7 and 1.2."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for a, b, c in _STEPS:
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class KernelMuon(torch.optim.Optimizer):
    """Muon (K. Jordan 2024) with Nesterov momentum, its steps scaled to AdamW's usual size (Liu et al. 2025)."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                mean = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                mean.lerp_(parameter.grad, 1 - group["momentum"])
                change = orthogonalised(parameter.grad.lerp(mean, group["momentum"]).flatten(1))
                size = 0.2 * max(change.shape) ** 0.5
                parameter.sub_(change.view_as(parameter), alpha=group["lr"] * size)


def muon_and_adamw(
    model: nn.Module, lr: float, looked_up: tuple[str, ...] = (), looked_up_lr: float = 1.0
) -> list[torch.optim.Optimizer]:
    """Both optimisers over all of a model's parameters; :func:`set_rate` moves them.

    Args:
        lr: of both, before the schedule.
        looked_up: parts of names of what AdamW takes although it has two dimensions: tables, whose rows are looked up
            and not multiplied, and last layers, whose rows are classes.
        looked_up_lr: learning rate of these, of ``lr``.
    """
    weights, tables, rest = list[nn.Parameter](), list[nn.Parameter](), list[nn.Parameter]()
    for name, parameter in model.named_parameters():
        if any(part in name for part in looked_up):
            tables.append(parameter)
        elif parameter.ndim > 1 and min(len(parameter), parameter[0].numel()) > 1:
            weights.append(parameter)
        else:
            rest.append(parameter)
    made: list[Any] = [KernelMuon(weights, lr)] if weights else []
    groups: list[dict[str, Any]] = [{"params": rest}] if rest else []
    if tables:
        groups.append({"params": tables, "times": looked_up_lr})
    if groups:
        made.append(torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.99), weight_decay=0.0, fused=True))
    return made


def set_rate(optimizers: Iterable[torch.optim.Optimizer], lr: float) -> None:
    """Set the learning rate of every group, times what :func:`muon_and_adamw` gave it."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr * group.get("times", 1.0)
