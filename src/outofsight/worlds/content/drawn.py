"""What is drawn is found by the name of the function that draws it."""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
from typing import Any


def public_functions(module: str, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The public functions that a module of this name defines itself, by their names, in their order."""
    return {
        name: value
        for name, value in namespace.items()
        if isinstance(value, FunctionType) and value.__module__ == module and not name.startswith("_")
    }
