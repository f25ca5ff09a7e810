"""A training that is killed at a step, as a test's ``report``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Killed(Exception):
    pass


def kill_at(step: int) -> Callable[[int, float, Any], None]:
    def report(done: int, _: float, __: Any) -> None:
        if done == step:
            raise Killed

    return report
