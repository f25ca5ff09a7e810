"""Processes: Accelerate for one or many, DDP, and FSDP2 by torch's fully_shard (on a CPU too, which Accelerate's
own FSDP does not offer)."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import (
    FSDPModule,
    MixedPrecisionPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.distributed.tensor import DTensor, distribute_tensor

from ..errors import TrainingError
from .config import TrainConfig
from .shared_context import SharedContext

_PATIENCE = timedelta(hours=2)  # others wait while the first process validates or writes


class OneProcess:
    """What a run on one CPU uses of an Accelerator."""

    device = torch.device("cpu")
    is_main_process, process_index, num_processes = True, 0, 1

    def gather(self, value: Tensor) -> Tensor:
        return value

    def wait_for_everyone(self) -> None:
        """There is nobody to wait for."""


def make_accelerator(config: TrainConfig, *, idle_parameters: bool) -> Any:
    """The processes of this run, as the launcher set them up (``torchrun``, ``accelerate launch``, or one).

    Args:
        config: asks for DDP or FSDP2.
        idle_parameters: whether some trained parameters get no gradient, which DDP must know.

    Raises:
        TrainingError: launched with FSDP or DeepSpeed by Accelerate's own configuration, or a batch that does not
            divide into the parts of the processes.
    """
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs, DistributedType, InitProcessGroupKwargs

    handlers = [
        DistributedDataParallelKwargs(find_unused_parameters=idle_parameters, gradient_as_bucket_view=True),
        InitProcessGroupKwargs(timeout=_PATIENCE),
    ]
    # without a GPU Accelerate needs the setting, or it takes processes that torchrun started for single ones
    on_cpu = config.device == "cpu" or not torch.accelerator.is_available()
    # precision is autocast's, in the step: Accelerate's own would be fixed for the life of the Python process
    accelerator = Accelerator(mixed_precision="no", cpu=on_cpu, kwargs_handlers=handlers)
    if accelerator.distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED):
        raise TrainingError(
            f"launched with Accelerate's own {accelerator.distributed_type.value}; here sharding is a setting of the "
            "run: launch separate processes (torchrun, or accelerate launch --multi_gpu) with --set sharding=fsdp2"
        )
    parts = accelerator.num_processes * config.accumulation
    if config.batch_size % parts:
        raise TrainingError(
            f"batch_size {config.batch_size} does not divide into {accelerator.num_processes} processes x "
            f"{config.accumulation} accumulated parts; choose a multiple of {parts}"
        )
    return accelerator


def distribute(model: Any, accelerator: Any, config: TrainConfig) -> nn.Module:
    """The model as the step calls it: wrapped by DDP, sharded in place by FSDP2, or moved to the device alone."""
    called: nn.Module = model
    if config.draws > 1:
        called = SharedContext(model, config.draws)
    if config.sharding == "fsdp2" and accelerator.num_processes > 1:
        shard(model, accelerator.device, config.precision)
        if config.draws > 1:
            register_fsdp_forward_method(model, "encode_checked")
        return called
    called = accelerator.prepare_model(called)
    return called


def shard(model: Any, device: torch.device, precision: str) -> None:
    """FSDP2: each block, then the rest, over all processes; gathered in bf16 where that is the precision."""
    from torch.distributed.device_mesh import init_device_mesh

    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    policy = MixedPrecisionPolicy()
    if precision == "bf16":
        # inputs stay as they are: timesteps and poses would lose their meaning in bf16
        policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    for block in model.blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)


def no_sync(called: nn.Module, model: nn.Module, accelerator: Any, skip: bool) -> Any:
    """A context in which gradients are kept apart (all accumulated parts but the last).

    ``called``: what :func:`distribute` returned for ``model``.
    """
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(not skip)
        return nullcontext()
    return accelerator.no_sync(called) if skip else nullcontext()


def whole(value: Any) -> Any:
    """A tensor gathered from its shards to the CPU; anything else as it is."""
    if isinstance(value, Tensor):
        return (value.full_tensor() if isinstance(value, DTensor) else value).detach().cpu()
    return value


def whole_state(model: nn.Module) -> dict[str, Tensor]:
    """The model's tensors, gathered to the CPU one at a time."""
    return {name: whole(value) for name, value in model.state_dict().items()}


def like_parameter(key: str, value: Any, parameter: Tensor) -> Any:
    """A piece of optimiser state placed as its parameter is: on its device, and sharded as it is."""
    if not isinstance(value, Tensor):
        return value
    if value.shape == parameter.shape and isinstance(parameter, DTensor):
        return distribute_tensor(value.to(parameter.device), parameter.device_mesh, parameter.placements)
    # torch keeps the counter of fused optimisers beside the parameter, and moves it there when it is not
    return value.to(parameter.device).clone() if value.device != parameter.device else value.clone()


def gradient_norm(parameters: list[nn.Parameter], limit: float | None) -> float:
    """Norm of all gradients, which are clipped to ``limit``."""
    norm = torch.nn.utils.clip_grad_norm_(parameters, float("inf") if limit is None else limit)
    return float(whole(norm))
