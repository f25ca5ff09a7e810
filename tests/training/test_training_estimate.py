"""What each GPU holds and sends in training, as benchmarks/training.py computes it, against sums by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from outofsight.models.cost import TrainingCost

COST = TrainingCost(parameters=100, learned=40, in_a_block=20, outside=10, operations=1, activations=7)


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    file = Path(__file__).parents[2] / "benchmarks" / "training.py"
    spec = importlib.util.spec_from_file_location("training_benchmark", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("clips", "processes", "sharding", "expected"),
    [
        (32, 1, "none", [400, 160, 320, 160, 80, 7]),
        (4, 8, "ddp", [400, 160, 320, 160, 80, 7]),
        (2, 4, "fsdp2", [100, 160, 80, 40, 100, 7]),  # gradients of two clips are whole until the second
        (1, 4, "fsdp2", [100, 40, 80, 40, 100, 7]),
    ],
)
def test_bytes_on_each_gpu(
    benchmark: ModuleType, clips: int, processes: int, sharding: str, expected: list[float]
) -> None:
    assert list(benchmark.held(COST, clips, processes, sharding).values()) == expected


def test_bytes_that_are_sent(benchmark: ModuleType) -> None:
    assert benchmark.sent(COST, 32, 1, "none") == 0
    assert benchmark.sent(COST, 8, 4, "ddp") == 3 / 4 * 2 * 160
    # bf16 weights twice for each of 8 clips, float32 gradients once
    assert benchmark.sent(COST, 8, 4, "fsdp2") == 3 / 4 * (8 * 2 * 200 + 160)
