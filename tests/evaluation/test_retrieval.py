"""Retrieval hits by hand, and on a trace that a model made."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models import CACHEABLE, narrow_inputs, narrow_model
from outofsight.errors import GeometryError
from outofsight.evaluation.metrics.retrieval import retrieval_hits
from outofsight.memory import RetrievalTrace
from outofsight.sampling import denoise

# 4 context and 3 target frames; tokens cover frames 0-1, 2-3, and 4-5 of the target
TRACE = {
    "context_frames": np.array(4), "target_frames": np.array(3), "first_query": np.array(4),
    "sources": np.array([[0, 1], [2, 3], [4, 5]]),
    "selectable": np.array([[True, True, False], [True, True, True], [True, True, True]]),
    # [steps 1, blocks 2, b 1, f 3, k 2]
    "picks": np.array([[[[[0, -1], [0, 1], [2, 1]]], [[[1, -1], [0, 2], [1, 2]]]]]),
}  # fmt: skip


def seen(*rows: str) -> np.ndarray:
    return np.array([[letter == "x" for letter in row] for row in rows])


def test_one_subject() -> None:
    # seen in frame 1, so token 0 is right; wanted in the first and second target frame
    hits = retrieval_hits(TRACE, seen("_x_____"), seen("xx_"))
    assert hits is not None and hits.queries == 2
    # first: 0 and 1 recalled, one right, of two to choose from; second: 0, 1, 0, 2, of three
    assert hits.rate == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert hits.chance == pytest.approx((1 / 2 + 1 / 3) / 2)


def test_each_frame_asks_for_those_who_are_back_in_it() -> None:
    hits = retrieval_hits(TRACE, seen("x______", "___x___"), seen("x__", "__x"))
    assert hits is not None
    # first frame: token 0 is right, recalled once of two; third: token 1, twice of four
    assert hits.rate == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert hits.chance == pytest.approx((1 / 2 + 1 / 3) / 2)


def test_frames_that_are_being_made_are_no_memory_of_anyone() -> None:
    hits = retrieval_hits(TRACE, seen("____xxx"), seen("_xx"))
    assert hits is not None and hits.rate == hits.chance == 0


def test_nothing_asked_or_nothing_recalled() -> None:
    assert retrieval_hits(TRACE, seen("x______"), seen("___")) is None
    empty = {**TRACE, "picks": np.full_like(TRACE["picks"], -1)}
    assert retrieval_hits(empty, seen("x______"), seen("xxx")) is None
    with pytest.raises(GeometryError, match=r"4 \+ 3 latent frames"):
        retrieval_hits(TRACE, seen("x_____"), seen("xxx"))


def test_a_model_that_recalls_everything_hits_as_often_as_chance() -> None:
    model = narrow_model(memory_options={"top_k": None, "window": 1}, **CACHEABLE)
    inputs = narrow_inputs(5, 3, (2, 3))
    trace = RetrievalTrace()
    denoise(
        model, inputs["hidden_states"][:, :, :5], torch.randn(1, 4, 3, 4, 6), inputs["encoder_hidden_states"], None,
        inputs["context_poses"], inputs["target_poses"], steps=2, guidance=1.0,
        conditions=inputs["conditions"], trace=trace,
    )  # fmt: skip
    hits = retrieval_hits(trace.arrays(), seen("xx______"), seen("xxx"))
    assert hits is not None and hits.queries == 3 and hits.rate == hits.chance == pytest.approx(1 / 3)
