"""Clips, predictions and networks that several tests of the benchmark measure."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmark_data import NAMES, write_networks, write_predictions

from held_out import write_data
from outofsight.evaluation import Evaluation, evaluate


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"), fates=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    return write_predictions(tmp_path_factory.mktemp("made"), data, NAMES)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="module")
def plain(data: Path, made: Path) -> Evaluation:
    return evaluate(made, data)
