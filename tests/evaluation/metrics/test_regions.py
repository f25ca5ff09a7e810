"""Phases, inside and outside, and the list of metrics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import outofsight.evaluation.metrics as metrics
from outofsight.errors import GeometryError, OutOfSightError
from outofsight.evaluation.metrics import (
    METRICS,
    NEEDS,
    Metric,
    Regions,
    frame_phases,
    frame_psnr,
    in_boxes,
    mean_where,
    register_metric,
)
from outofsight.evaluation.regions import phase_words


def seen(*rows: str) -> np.ndarray:
    return np.array([[letter == "x" for letter in row] for row in rows])


def words(phases: dict[str, np.ndarray]) -> dict[str, str]:
    return {name: "".join("x" if frame else "." for frame in frames) for name, frames in phases.items()}


def test_phases() -> None:
    one = frame_phases(seen("xxxx" + "x..xx."), 4)
    assert words(one) == {"visible": "x.....", "hidden": ".xx..x", "re-entered": "...xx."}
    # somebody is back: re-entered, though another is still out of view; before anyone appeared there is no phase
    two = frame_phases(seen("x...." + "..xx", "....." + "...x", "xx..." + "...."), 5)
    assert words(two) == {"visible": "....", "hidden": "xx..", "re-entered": "..xx"}
    assert words(frame_phases(seen("...."), 2)) == {"visible": "..", "hidden": "..", "re-entered": ".."}
    assert words(frame_phases(np.zeros((0, 4), bool), 2))["hidden"] == ".."


def test_a_subject_that_came_back_before_the_cut_has_not_re_entered() -> None:
    expected = ["unseen", "visible", "hidden", "visible", "visible", "hidden", "re-entered", "re-entered"]
    assert phase_words(seen(".x.xx.xx"), 4).tolist() == expected
    assert phase_words(seen("xx..", "xxxx"), 2).tolist() == ["visible", "visible", "hidden", "hidden"]  # one is away


def test_means() -> None:
    truth = np.zeros((3, 4, 4, 3), np.uint8)
    prediction = truth.copy()
    prediction[0, :2] = 51  # error .2 in the upper half of the first frame
    prediction[1] = 51
    inside = np.zeros((3, 4, 4), bool)
    inside[:2, :2] = True
    phases = {"visible": np.array([1, 0, 0], bool), "hidden": np.array([0, 0, 1], bool)}
    phases["re-entered"] = np.array([0, 1, 0], bool)
    regions = Regions(phases, inside)
    found = regions.means(frame_psnr(prediction, truth), lambda where: frame_psnr(prediction, truth, where))
    half = -20 * np.log10(0.2)
    assert found == pytest.approx({
        "target": (half + 10 * np.log10(2) + half + 100) / 3, "visible": half + 10 * np.log10(2), "hidden": 100,
        "re-entered": half, "inside": half, "outside": (100 + half + 100) / 3, "re-entered inside": half,
    })  # fmt: skip
    whole = regions.means(np.array([np.nan, 2, np.nan]))
    assert whole == {"target": 2, "visible": None, "hidden": None, "re-entered": 2}
    with pytest.raises(GeometryError, match="phase 'visible' covers"):
        regions.means(np.zeros(4))


def test_means_and_boxes() -> None:
    maps = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    where = np.array([[[True, False], [False, True]], [[False] * 2] * 2])
    assert mean_where(maps, where).tolist() == pytest.approx([1.5, np.nan], nan_ok=True)
    boxes = np.array([[[0, 0, 1, 1], [np.nan] * 4], [[1, 1, 2, 2], [0, 0, 2, 1]]], dtype=float)
    assert in_boxes(boxes, 2, 2).tolist() == [[[True, False], [False, True]], [[True, True], [False, False]]]


def test_what_is_skipped_and_why() -> None:
    assert METRICS["psnr"].why_not({"truth"}) is None
    assert METRICS["lpips"].why_not({"truth"}) == f"needs {NEEDS['lpips']}"
    assert METRICS["dsc_mended_truth"].why_not({"truth", "masks"}) == (
        f"needs {NEEDS['visibility']}; {NEEDS['boxes']}; {NEEDS['clip-b16']}"
    )
    assert all(metric.why_not(NEEDS) is None for metric in METRICS.values())
    bare = {name for name, metric in METRICS.items() if metric.why_not({"truth"}) is None}
    assert bare == {"psnr", "ssim", "flow", "change"}


def test_definitions_hold_together() -> None:
    for name, definition in METRICS.items():
        assert definition.name == name and definition.needs <= set(NEEDS) and "\n" not in definition.words
    assert all(hasattr(metrics, name) for name in metrics.__all__)


def test_a_name_is_one_metrics_own() -> None:
    one = Metric("test_own", frozenset(), "", "higher", lambda sample: 1.0)
    try:
        assert register_metric(one) is one and register_metric(one) is METRICS["test_own"]
        with pytest.raises(OutOfSightError, match="another metric 'test_own'"):
            register_metric(Metric("test_own", frozenset(), "", "lower", lambda sample: 2.0))
    finally:
        del METRICS["test_own"]
    with pytest.raises(OutOfSightError, match="needs gpu, expected of truth"):
        register_metric(Metric("test_own", frozenset({"gpu"}), "", "higher", lambda sample: 1.0))
    with pytest.raises(OutOfSightError, match="has no name"):
        register_metric(Metric(" ", frozenset(), "", "higher", lambda sample: 1.0))


def test_the_documentation_lists_them_as_they_are() -> None:
    text = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` | {definition.words} |" in text for name, definition in METRICS.items())
    assert all(f"| {need} | {words} |" in text for need, words in NEEDS.items())
