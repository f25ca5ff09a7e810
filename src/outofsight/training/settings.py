"""Settings held against the annotations of their dataclass, set by name, and compared."""

from __future__ import annotations

import json
import math
import operator
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from ..errors import TrainingError

T = TypeVar("T")
_NONE = "none"  # the name of an empty set in `trainable`, and None wherever None is allowed


def with_settings(config: T, settings: Iterable[str]) -> T:
    """A config with ``name=value`` settings applied, all at once; ``objective.shift=3`` and
    ``model_options.num_layers=4`` reach inside. Values are JSON (``none``, ``true`` and bare words are understood).

    Raises:
        TrainingError: no such name, or a value that does not fit it.
    """
    changes: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name:
            raise TrainingError(f"a setting is {setting!r}, expected name=value, such as lr=0.001")
        *outer, last = name.strip().split(".")
        inner = changes
        for part in outer:
            inner = inner.setdefault(part, _Inside())
            if not isinstance(inner, _Inside):
                raise TrainingError(f"setting {name} reaches into what another setting replaces")
        inner[last] = _value(text.strip())
    changed: T = _changed(config, changes, "")
    return changed


class _Inside(dict[str, Any]):
    """Changes inside a setting, where a dict is its new value."""


def _changed(target: Any, changes: Mapping[str, Any], prefix: str) -> Any:
    values: dict[str, Any] = {}
    names = [field.name for field in fields(target)] if is_dataclass(target) else list(changes)
    for name, value in changes.items():
        if name not in names:
            raise TrainingError(f"no setting {prefix + name!r}; there are {', '.join(names)}")
        if isinstance(value, _Inside):
            inner = getattr(target, name) if is_dataclass(target) else target.get(name, {})
            if not isinstance(inner, Mapping) and not is_dataclass(inner):
                raise TrainingError(f"setting {prefix + name!r} is {inner!r} and holds no others")
            value = _changed(inner, value, f"{prefix}{name}.")
        values[name] = value
    return {**target, **values} if isinstance(target, Mapping) else replace(target, **values)


def _value(text: str) -> Any:
    if text.lower() in ("none", "null"):
        return None if text.lower() == "null" else _NONE
    try:
        return json.loads(text, parse_constant=str)  # NaN and Infinity stay words, which no setting takes
    except ValueError:
        return text


def check_settings(instance: Any) -> None:
    """Hold a dataclass's fields against their annotations (``Annotated[int, Ge(1)]``; None is within any limit); lists
    become tuples, text paths, whole numbers floats.

    Raises:
        TrainingError: a value of another kind, or beyond its limits.
    """
    for name, annotated in typing.get_type_hints(type(instance), include_extras=True).items():
        hint, *limits = (annotated.__origin__, *annotated.__metadata__) if _is_annotated(annotated) else (annotated,)
        try:
            value = _fitted(getattr(instance, name), hint)
        except TypeError:
            expected = getattr(hint, "__name__", None) if isinstance(hint, type) else None
            choices = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
            told = ", ".join(map(repr, choices)) or expected or str(hint).replace("typing.", "")
            raise TrainingError(f"{name} is {getattr(instance, name)!r}, expected {told}") from None
        object.__setattr__(instance, name, value)
        known = [(_LIMITS[kind], getattr(one, kind, None)) for one in limits for kind in _LIMITS]
        bounds = [(word, holds, bound) for (word, holds), bound in known if bound is not None]
        if value is not None and not all(holds(value, bound) for _, holds, bound in bounds):
            told = " and ".join(f"{word} {bound}" for word, _, bound in bounds)
            raise TrainingError(f"{name} is {value}, expected {told}{', or none' if _takes_none(hint) else ''}")


_LIMITS = {
    "gt": ("above", operator.gt),
    "ge": ("at least", operator.ge),
    "lt": ("below", operator.lt),
    "le": ("at most", operator.le),
}


def _is_annotated(hint: Any) -> bool:
    return typing.get_origin(hint) is Annotated


def _takes_none(hint: Any) -> bool:
    return types.NoneType in typing.get_args(hint)


def _fitted(value: Any, hint: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value in args and not isinstance(value, bool):
            return value
    elif origin in (typing.Union, types.UnionType):
        return _fitted_to_one(value, args)
    elif origin is tuple and isinstance(value, list | tuple):
        inner = args[:1] * len(value) if args[-1] is Ellipsis else args
        if len(inner) == len(value):
            return tuple(_fitted(v, h) for v, h in zip(value, inner, strict=True))
    elif hint is Path and isinstance(value, str | Path):
        return Path(value)
    elif hint is float:
        if type(value) in (int, float) and math.isfinite(value):
            return float(value)
    elif isinstance(value, origin or hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise TypeError


def _fitted_to_one(value: Any, choices: tuple[Any, ...]) -> Any:
    if value == _NONE and str not in choices and types.NoneType in choices:
        return None
    for hint in choices:
        try:
            return _fitted(value, hint)
        except TypeError:
            continue
    raise TypeError


def plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, Mapping) and value:
            out |= flat(value, f"{prefix}{name}.")
        else:
            out[prefix + name] = value
    return out


def differences(now: Mapping[str, Any], then: Mapping[str, Any], free: Iterable[str]) -> list[str]:
    """Where two (nested) settings differ, in words; names and prefixes in ``free`` may."""
    ours, theirs, may = flat(now), flat(then), set(free)
    return [
        f"{name}: {theirs.get(name, 'not set')!r} then, {ours.get(name, 'not set')!r} now"
        for name in sorted(ours.keys() | theirs.keys())
        if not {name, name.split(".")[0]} & may and ours.get(name) != theirs.get(name)
    ]
