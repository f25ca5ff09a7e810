"""Memory for video world models: who leaves the frame is not forgotten.

Names are loaded when first used, so that ``import outofsight`` stays under a second.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cameras import CameraPath as CameraPath
    from .clips import Clip as Clip
    from .pipeline import WorldModelPipeline as WorldModelPipeline

__version__ = "0.1.0"
__all__ = ["CameraPath", "Clip", "WorldModelPipeline", "__version__"]

_HOMES = {"CameraPath": ".cameras", "Clip": ".clips", "WorldModelPipeline": ".pipeline"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'outofsight' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
