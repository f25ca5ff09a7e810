"""Memories compared at small scale: each trained alike, several times, judged on the same held-out clips."""

from .rows import ROWS, SEEDS, Row, Run, choose_rows, choose_seeds, runs_of
from .run import Study, finish
from .runner import run_study
from .values import RunValues, Stored, read_stored

__all__ = [
    "ROWS",
    "SEEDS",
    "Row",
    "Run",
    "RunValues",
    "Stored",
    "Study",
    "choose_rows",
    "choose_seeds",
    "finish",
    "read_stored",
    "run_study",
    "runs_of",
]
