"""Models, presets and weights."""

from __future__ import annotations

from diffusers.models.modeling_utils import ModelMixin

from .cache import ContextCache
from .checkpoints import load_hydra_checkpoint
from .presets import PRESETS, ModelPreset
from .transformer import WorldTransformer3DModel

__all__ = [
    "PRESETS",
    "ContextCache",
    "ModelMixin",  # diffusers looks for it beside a class that it is to load
    "ModelPreset",
    "WorldTransformer3DModel",
    "load_hydra_checkpoint",
]
