"""What runs say to a claim: only what every seed and the interval agree on."""

from __future__ import annotations

from pathlib import Path

import pytest
from study_values import run_values

from outofsight.study.claims import CLAIMS, QUESTIONS, Claim, answer, matrix
from outofsight.study.rows import ROWS
from outofsight.study.values import Stored, read_stored

CLAIM = Claim("a beats b", "hydra", "full", "20 against 19")
NO_GAIN = Claim("more gains nothing", "hydra", "full", "20 and 20", no_gain=True)


def stored(hydra: list[float], full: list[float], folder: Path) -> Stored:
    """Seeds 0, 1, ... of both rows, with these gains in dB."""
    for row, gains in (("hydra", hydra), ("full", full)):
        for seed, gain in enumerate(gains):
            run_values(row, seed, gain).save(folder)
    return read_stored(folder)


@pytest.mark.parametrize(
    ("hydra", "claim", "verdict"),
    [
        ([0.5, 0.6, 0.4], CLAIM, "held"),
        ([-0.5, -0.6, -0.4], CLAIM, "did not hold"),
        ([0.5, 0.6, -0.1], CLAIM, "undecided"),  # a seed does not agree
        ([0.5, 0.6], CLAIM, "undecided"),  # a seed is missing
        ([0.0, 0.0, 0.0], CLAIM, "undecided"),
        ([0.0, 0.0, 0.0], NO_GAIN, "held"),
        ([-0.05, -0.05, -0.05], NO_GAIN, "held"),
        ([-0.5, -0.5, -0.5], NO_GAIN, "did not hold"),
        ([-0.15, -0.05, 0.05], NO_GAIN, "undecided"),
        ([-0.08, -0.09, -0.10], NO_GAIN, "undecided"),  # below zero, and no more than nothing gained
        ([1.0, 0.1, 0.1], CLAIM, "undecided"),  # three seeds so far apart say little of a fourth
    ],
)
def test_verdicts(hydra: list[float], claim: Claim, verdict: str, tmp_path: Path) -> None:
    found = answer(claim, stored(hydra, [0.0, 0.0, 0.0], tmp_path))
    assert found.verdict == verdict
    assert found.difference is not None and found.difference.clips == 40
    assert found.difference.mean == pytest.approx(sum(hydra) / len(hydra), abs=0.01)
    assert [gap for _, gap in found.by_seed] == pytest.approx(hydra, abs=0.01)


def test_another_part_of_the_target(tmp_path: Path) -> None:
    found = answer(CLAIM, stored([0.5, 0.6, 0.4], [0.0, 0.0, 0.0], tmp_path), "psnr")
    assert found.difference is not None and found.difference.mean == pytest.approx(0.25, abs=0.01)
    assert answer(CLAIM, read_stored(tmp_path), "psnr hidden").difference.clips == 20  # type: ignore[union-attr]
    assert answer(CLAIM, read_stored(tmp_path), "psnr inside").verdict == "undecided"  # nobody has a value


def test_rows_that_were_not_run(tmp_path: Path) -> None:
    found = answer(CLAIMS[1], stored([0.5], [0.0], tmp_path))
    assert found.verdict == "not run" and found.difference is None and found.by_seed == ()


def test_claims_are_about_rows() -> None:
    named = {name for claim in (*CLAIMS, *QUESTIONS) for name in (claim.better, claim.worse)}
    assert named == set(ROWS)


def test_values_as_a_matrix(tmp_path: Path) -> None:
    runs = stored([1.0, 2.0], [0.0], tmp_path).of("hydra")
    values = matrix(runs, "psnr re-entered")
    assert values.shape == (2, 40) and values[1].mean() - values[0].mean() == pytest.approx(1.0, abs=0.01)
    assert matrix(runs, "psnr hidden").shape == (2, 20)
