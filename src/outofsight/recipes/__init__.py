"""Complete training runs, each a function of the data's folder and the run's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from ..training.config import TrainConfig
from .debug import debug
from .hydra_1_3b import hydra_1_3b
from .micro import micro
from .small import small
from .tiny import tiny

RECIPES: Mapping[str, Callable[[Path, Path], TrainConfig]] = MappingProxyType(
    {recipe.__name__: recipe for recipe in (debug, micro, small, tiny, hydra_1_3b)}
)

__all__ = ["RECIPES", "debug", "hydra_1_3b", "micro", "small", "tiny"]
