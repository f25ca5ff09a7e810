"""SHA-256 of values: what tells settings, clips and weights apart, wherever they lie."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any


def value_hash(parts: Iterable[Any]) -> str:
    """SHA-256 of some values, one after another, as 64 hexadecimal digits.

    Args:
        parts: text and bytes count as they are, arrays with their type and shape, all else as JSON with sorted keys.
            They are taken one at a time, so that a generator need not hold all of them. Text and bytes are not set
            apart: let them end in something that does.
    """
    import numpy as np

    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode())
        elif isinstance(part, bytes | memoryview):
            digest.update(part)
        elif isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str} {part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(json.dumps(part, sort_keys=True).encode())
    return digest.hexdigest()


def value_seed(text: str) -> int:
    """A seed of 63 bits that depends on the text alone."""
    return int(value_hash([text])[:16], 16) >> 1
