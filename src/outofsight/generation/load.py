"""Which model, on which device, loaded how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from ..errors import CheckpointError, OutOfSightError
from ..records import WeightDtype
from .record import Machine, Settings, model_identity
from .reporter import Reporter

if TYPE_CHECKING:
    import torch

    from ..pipeline import WorldModelPipeline

RANDOM = "random:"
DTYPES = get_args(WeightDtype)
OFFLOADS = ("none", "model", "group")


def choose_device(wanted: str) -> str:
    """The device to compute on; "auto" takes CUDA, then Apple's, then the CPU.

    Raises:
        OutOfSightError: a device that is not there.
    """
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, available in there.items() if available)
    try:
        kind = torch.device(wanted).type
    except RuntimeError as error:
        raise OutOfSightError(f"--device {wanted} is no device: expected auto, {', '.join(there)}") from error
    if not there.get(kind, False):
        present = ", ".join(name for name, available in there.items() if available)
        raise OutOfSightError(f"--device {wanted}: this machine (or this torch) has none; it has {present}")
    return wanted


def choose_dtype(wanted: str, device: str, numerics: str) -> WeightDtype:
    """The dtype of the weights; "auto" takes bfloat16 on CUDA and for reference numerics, else float32.

    Raises:
        OutOfSightError: an unknown dtype, or one that contradicts the numerics.
    """
    if wanted == "auto":
        return "bfloat16" if numerics == "reference" or device.startswith("cuda") else "float32"
    if wanted not in DTYPES:
        raise OutOfSightError(f"--dtype {wanted}: expected auto, {', '.join(DTYPES)}")
    if numerics == "reference" and wanted != "bfloat16":
        raise OutOfSightError(f"--numerics reference computes in bfloat16, and --dtype {wanted} was given")
    return cast(WeightDtype, wanted)


def check_machine(machine: Machine) -> None:
    """Hold the switches against one another before anything is loaded; raises OutOfSightError."""
    from diffusers.models.attention_dispatch import AttentionBackendName

    backends = [backend.value for backend in AttentionBackendName]
    if machine.attention_backend is not None and machine.attention_backend not in backends:
        raise OutOfSightError(
            f"--attention-backend {machine.attention_backend}: diffusers has {', '.join(backends)}; "
            "outofsight doctor says which of them can be asked for here"
        )
    if machine.offload not in OFFLOADS:
        raise OutOfSightError(f"offload is {machine.offload!r}, expected one of {', '.join(OFFLOADS)}")
    if machine.offload != "none" and machine.device == "cpu":
        raise OutOfSightError(f"--offload {machine.offload} frees an accelerator's memory, and the device is the CPU")


@dataclass(frozen=True, eq=False)
class Model:
    """A model that was named: its folder (None for random weights) and its pipeline without weights."""

    name: str
    folder: Path | None
    outline: WorldModelPipeline

    def identity(self) -> dict[str, Any]:
        """Its files; see :func:`outofsight.generation.record.model_identity`."""
        return model_identity(self.name, self.folder)


def find_model(name: str, local_files_only: bool, reporter: Reporter) -> Model:
    """Resolve a model name: ``random:PRESET``, a folder, a shipped name or a hub id.

    Raises:
        CheckpointError: see :func:`outofsight.components.hub.resolve_model`.
    """
    from ..components.hub import resolve_model
    from ..pipeline import WorldModelPipeline

    if name.startswith(RANDOM):
        reporter.note(
            f"WARNING: {name} has RANDOM weights. The path from video to video is the real one; the picture is noise."
        )
        return Model(name, None, WorldModelPipeline.from_preset(name.removeprefix(RANDOM)))
    folder = resolve_model(name, local_files_only=local_files_only)
    return Model(name, folder, WorldModelPipeline.outline(folder))


def load_pipeline(model: Model, settings: Settings, machine: Machine) -> WorldModelPipeline:
    """Load the weights and set every switch.

    Raises:
        CheckpointError: weights that do not fit.
        OutOfSightError: a switch that this device or model does not have.
    """
    import torch

    from ..components.hub import is_quantised
    from ..pipeline import WorldModelPipeline

    dtype, pipe = getattr(torch, settings.dtype), model.outline
    if model.folder is None:
        pipe.to(dtype)
    else:
        try:
            if is_quantised(model.folder):
                pipe = WorldModelPipeline.from_pretrained(model.folder, torch_dtype=dtype)
            else:
                pipe.load_weights(model.folder, dtype)
        except (OSError, ValueError, KeyError) as error:
            if isinstance(error, OutOfSightError):
                raise
            raise CheckpointError(f"{model.folder} cannot be loaded: {error}") from error
    if settings.numerics == "reference":
        pipe.to(torch.bfloat16)
    pipe.set_progress_bar_config(disable=True)
    if settings.vae_tiling:
        pipe.enable_vae_tiling()
    if machine.attention_backend is not None:
        _set_backend(pipe, machine.attention_backend)
    _place(pipe, machine)
    if machine.compile:
        pipe.compile()
    return pipe


def _set_backend(pipe: WorldModelPipeline, backend: str) -> None:
    try:
        pipe.set_attention_backend(backend)
    except (ValueError, RuntimeError, ImportError) as error:
        raise OutOfSightError(f"--attention-backend {backend}: {error}") from error


def _place(pipe: WorldModelPipeline, machine: Machine) -> None:
    import torch

    device = torch.device(machine.device)
    if machine.offload == "none":
        pipe.to(device)
    elif machine.offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    else:
        group_offload(pipe, device)


def group_offload(pipe: WorldModelPipeline, device: torch.device, **options: Any) -> None:
    """Keep the weights in main memory and bring each layer to ``device`` only while it computes.

    By leaves and not by blocks: the context is encoded by a method of its own, and hooks of blocks hang on
    ``forward``.
    """
    streams = device.type == "cuda"
    if pipe.finder is not None:  # it works on the CPU
        options["exclude_modules"] = ["finder"]
    pipe.enable_group_offload(onload_device=device, offload_type="leaf_level", use_stream=streams, **options)
