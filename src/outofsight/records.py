"""Records read back from disk: strict JSON, held against the types and ranges of a dataclass.

One reader and one check for whatever this package or another program wrote down: camera and annotation files, run
records, indices of latents and checkpoints, manifests, configurations. A fault is named by file and field.
"""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import Any, Literal

from .errors import OutOfSightError

WeightDtype = Literal["float32", "bfloat16", "float16"]
MOST_STEPS = 100_000  # denoising steps that anyone may ask for
_SHOWN = 3  # faults that a message lists


def parse_json(text: str | bytes, where: object, error: type[OutOfSightError], remedy: str = "") -> Any:
    """Strict JSON: NaN, Infinity, numbers beyond float64, repeated keys and deep nesting are refused.

    Args:
        where: file (and line) that the text is from; messages begin with it.
        error: what is raised.
        remedy: what to do about it; messages end with it.
    """
    end = f"; {remedy}" if remedy else ""

    def constant(word: str) -> None:
        raise error(f"{where}: it holds {word}, which is no number; expected finite numbers only{end}")

    def finite(word: str) -> float:
        number = float(word)
        if math.isinf(number):
            raise error(f"{where}: it holds {word[:40]}, which is too large a number{end}")
        return number

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key, value in items:
            if key in content:
                raise error(f'{where}: the key "{key[:80]}" occurs twice in one object{end}')
            content[key] = value
        return content

    try:
        return json.loads(text, parse_constant=constant, parse_float=finite, object_pairs_hook=pairs)
    except json.JSONDecodeError as cause:
        raise error(f"{where}: not a JSON file (line {cause.lineno}: {cause.msg}){end}") from cause
    except RecursionError as cause:
        raise error(f"{where}: not a JSON file of ours (nested too deeply){end}") from cause
    except UnicodeDecodeError as cause:
        raise error(f"{where}: not a JSON file (not UTF-8 text: {cause.reason}){end}") from cause
    except ValueError as cause:
        if isinstance(cause, OutOfSightError):
            raise
        raise error(f"{where}: not a JSON file of ours ({cause}){end}") from cause  # e.g. a number of 5000 digits


def read_json(path: Path, error: type[OutOfSightError], remedy: str = "") -> Any:
    """A JSON file as :func:`parse_json` reads it; one that is missing or unreadable raises ``error`` too."""
    end = f"; {remedy}" if remedy else ""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as cause:
        raise error(f"{path}: cannot be read ({cause.strerror or cause}){end}") from cause
    except UnicodeDecodeError as cause:
        raise error(f"{path}: not a JSON file (not UTF-8 text: {cause.reason}){end}") from cause
    return parse_json(text, path, error, remedy)


def read_object(path: Path, error: type[OutOfSightError], remedy: str = "") -> dict[str, Any]:
    """:func:`read_json` of a file that holds an object."""
    return fitted(dict[str, Any], read_json(path, error, remedy), path, error, remedy)


def fitted(kind: Any, value: Any, where: object, error: type[OutOfSightError], remedy: str = "") -> Any:
    """``value``, as JSON has it, made into a ``kind``: a dataclass, a TypedDict or a plain annotation.

    No value is converted to another kind (only whole numbers to floats, lists to tuples). Ranges are those of the
    annotations (``Annotated[int, Ge(1)]``).

    Raises:
        error: fields missing, of another kind or outside their range; the first few are named, with their values.
    """
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_json(json.dumps(value), strict=True)
    except ValidationError as cause:
        raise error(_told(cause, where, remedy)) from None


def fitted_values(kind: Any, value: Any, where: object, error: type[OutOfSightError], remedy: str = "") -> Any:
    """:func:`fitted` of Python values (tensors among them), as a pickle has them."""
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_python(value, strict=True)
    except ValidationError as cause:
        raise error(_told(cause, where, remedy)) from None


@functools.cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _told(cause: Any, where: object, remedy: str) -> str:
    faults = cause.errors(include_url=False, include_context=False)
    told = "; ".join(_fault(fault) for fault in faults[:_SHOWN])
    more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return f"{where}: {told}{more}" + (f"; {remedy}" if remedy else "")


def _fault(fault: dict[str, Any]) -> str:
    place = ".".join(map(str, fault["loc"]))
    if fault["type"] == "missing":
        return f"{place} is missing"
    if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{place} is unknown"
    expected = fault["msg"].removeprefix("Input should be ").removeprefix("Input ")
    if fault["type"] == "json_invalid" or not place:
        return f"it holds {_shown(fault['input'])}, expected {expected}"
    return f"{place} is {_shown(fault['input'])}, expected {expected}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
