"""Conditioners by name."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import MemoryOptionError
from .anchors import AnchorConditioner
from .base import NO_CONDITIONS, Conditioner, Conditions, FeatureLinear, ModelShape, Seen, square_intrinsics
from .clock import ClockConditioner
from .group import Conditioning
from .pose import PoseConditioner
from .prope import PropeConditioner
from .rays import RayConditioner
from .reprojection import ReprojectionConditioner

CONDITIONERS: dict[str, type[Conditioner]] = {}
_OWN = "outofsight."  # a model's config may name modules of this package, and what was registered; nothing else is run


def register_conditioner(kind: type[Conditioner]) -> type[Conditioner]:
    """Make a conditioner known by its name; usable as a decorator. Raises MemoryOptionError where it is taken."""
    if CONDITIONERS.get(kind.name, kind) is not kind:
        raise MemoryOptionError(f"a conditioner named {kind.name!r} is registered already: give yours another name")
    CONDITIONERS[kind.name] = kind
    return kind


for _kind in (
    *(PoseConditioner, RayConditioner, AnchorConditioner, ClockConditioner),
    *(ReprojectionConditioner, PropeConditioner),
):
    register_conditioner(_kind)


def conditioner_class(name: str) -> type[Conditioner]:
    """The conditioner of a registered name, or of a module path of this package ("outofsight.experiments.x:Class").

    Raises:
        MemoryOptionError: there is none, or the path lies outside the package (a config must not run foreign code).
    """
    if name in CONDITIONERS:
        return CONDITIONERS[name]
    module, colon, attribute = name.partition(":")
    if colon and module.startswith(_OWN):
        try:
            kind = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise MemoryOptionError(f"conditioner {name!r} cannot be loaded: {error}") from error
        if isinstance(kind, type) and issubclass(kind, Conditioner):
            return kind
    raise MemoryOptionError(
        f"no conditioner {name!r}: expected one of {', '.join(sorted(CONDITIONERS))}, or a conditioner's path such as "
        "outofsight.experiments.NAME.conditioner:CLASS; register_conditioner makes others known"
    )


def conditioner_names(config: Mapping[str, Any]) -> list[str]:
    """Names of the conditioners in a transformer's configuration, also of those that it gives by their path."""
    return [conditioner_class(path).name for path in config.get("conditioners", ())]


def make_conditioners(
    chosen: Mapping[str, Mapping[str, Any]] | Iterable[str], shape: ModelShape
) -> dict[str, Conditioner]:
    """Conditioners by name, with their options (or a list of names alone).

    Raises:
        MemoryOptionError: unknown names or options.
    """
    options = chosen if isinstance(chosen, Mapping) else {name: {} for name in chosen}
    made: dict[str, Conditioner] = {}
    for path, given in options.items():
        kind = conditioner_class(path)
        try:
            made[kind.name] = kind(shape, **(given or {}))
        except TypeError as error:
            raise MemoryOptionError(f"conditioner {kind.name!r} was given {dict(given)}: {error}") from error
        made[kind.name].path = path
    return made


__all__ = [
    "CONDITIONERS",
    "NO_CONDITIONS",
    "Conditioner",
    "Conditioning",
    "Conditions",
    "FeatureLinear",
    "ModelShape",
    "Seen",
    "conditioner_class",
    "conditioner_names",
    "make_conditioners",
    "register_conditioner",
    "square_intrinsics",
]
