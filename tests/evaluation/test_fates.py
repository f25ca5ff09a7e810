"""Counterfactual re-entry by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from outofsight.evaluation.metrics.fate import nearest_fate
from outofsight.evaluation.regions import fate_region, returned_frames


def video(*columns: int) -> np.ndarray:
    """A frame of 1 x 4 black pixels for each column; the column is white (none where it is negative)."""
    frames = np.zeros((len(columns), 1, 4, 3), np.uint8)
    for frame, column in enumerate(columns):
        if column >= 0:
            frames[frame, 0, column] = 255
    return frames


TRUE, VANISHED, FROZEN = video(-1, 1, 2), video(-1, -1, -1), video(0, 0, 0)
FATES = {"true": TRUE, "vanished": VANISHED, "frozen": FROZEN}
IDS = {name: (fate[..., 0] > 0).astype(np.uint8) for name, fate in FATES.items()}
RETURNED = {1: np.array([False, True, True])}
REGION, FRAMES = fate_region(IDS["true"], IDS["frozen"], RETURNED), RETURNED[1]


def test_the_region_is_the_union_in_re_entered_frames() -> None:
    assert REGION[:, 0].tolist() == [[False] * 4, [True, True, False, False], [True, False, True, False]]
    # another subject does not belong to it, nor does one that is not back yet
    other = fate_region(IDS["true"] * 2, IDS["frozen"], {1: np.array([False, False, True])})
    assert other[:, 0].tolist() == [[False] * 4, [False] * 4, [True, False, False, False]]


@pytest.mark.parametrize("name", ["true", "vanished", "frozen"])
def test_each_fate_is_nearest_to_itself(name: str) -> None:
    score = nearest_fate(FATES[name], FATES, REGION, FRAMES)
    assert score is not None and score.nearest == name and score.errors[name] == 0 and score.pixels == 4
    assert (score.margin_db > 0) == (name == "true")


def test_errors_and_margin() -> None:
    # half as bright as the truth, in 2 of the 4 pixels of the region
    prediction = (TRUE // 255 * 128).astype(np.uint8)
    score = nearest_fate(prediction, FATES, REGION, FRAMES)
    assert score is not None
    half, rest = (127 / 255) ** 2 / 2, (128 / 255) ** 2 / 2
    assert score.errors == pytest.approx({"true": half, "vanished": rest, "frozen": 1 / 2 + rest})
    assert score.nearest == "true" and score.margin_db == pytest.approx(10 * math.log10(rest / half), rel=1e-4)
    assert score.apart_db == pytest.approx(-10 * math.log10(1 / 2))  # vanished differs from true in 2 pixels of 4


def test_a_frozen_subject_out_of_view_leaves_the_vanished_picture() -> None:
    one = {**FATES, "frozen": VANISHED}
    score = nearest_fate(VANISHED, one, REGION, FRAMES)
    assert score is not None and score.nearest == "vanished" and not score.frozen_seen
    seen = nearest_fate(VANISHED, FATES, REGION, FRAMES)
    assert seen is not None and seen.frozen_seen


def test_what_lies_outside_does_not_count() -> None:
    noisy = TRUE.copy()
    noisy[0] = 200  # before re-entry
    noisy[1, 0, 3] = 200  # beside the region
    score = nearest_fate(noisy, FATES, REGION, FRAMES)
    assert score is not None and score.errors["true"] == 0
    assert nearest_fate(TRUE, FATES, np.zeros_like(REGION), FRAMES) is None
    assert nearest_fate(TRUE, FATES, REGION, np.zeros_like(FRAMES)) is None


def test_when_a_subject_has_re_entered() -> None:
    def returned(text: str) -> str:
        context, target = text.split("|")
        seen = np.array([letter == "x" for letter in context + target])
        return "".join("r" if frame else "." for frame in returned_frames(seen, len(context)))

    assert returned("xx..|..xx") == "..rr"
    assert returned("xxxx|.xx.x") == ".rr.r"
    assert returned("xx..|xx") == "rr"
    assert returned("....|.xx.x") == "....r"  # first seen in the target, it has not come back until it leaves
    assert returned("x.xx|xx.x") == "...r"  # it came back within the context
    assert returned("xxxx|xxxx") == "...."
