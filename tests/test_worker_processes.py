"""Work in several processes, and the lock of a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from outofsight.errors import OutOfSightError, OutputError
from outofsight.io import locked
from outofsight.processes import in_processes

_started: list[int] = []


def _start(number: int) -> None:
    _started.append(number)


def _double(number: int) -> int:
    if number < 0:
        os._exit(1)
    if number > 90:
        raise OutOfSightError(f"{number} is too large")
    return _started[0] + 2 * number


def test_results_come_from_processes_that_were_prepared() -> None:
    assert sorted(in_processes(_double, range(5), 2, _start, (100,))) == [100, 102, 104, 106, 108]
    assert not _started


def test_errors_and_deaths_reach_the_caller() -> None:
    with pytest.raises(OutOfSightError, match="91 is too large"):
        list(in_processes(_double, [91], 1, _start, (0,)))
    with pytest.raises(OutOfSightError, match="ended unexpectedly"):
        list(in_processes(_double, [-1], 1, _start, (0,)))


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path / "a"):
        with pytest.raises(OutputError, match="another run"), locked(tmp_path / "a"):
            pass
        with locked(tmp_path / "b"):
            pass
    with locked(tmp_path / "a"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written to"), locked(tmp_path / "file"):
        pass
