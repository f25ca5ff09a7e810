"""Retrieval hits by hand, and on a trace that a model made."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models import CACHEABLE, narrow_inputs, narrow_model
from outofsight.errors import GeometryError, LayoutError
from outofsight.evaluation.metrics.retrieval import retrieval_hits, run_hits
from outofsight.evaluation.traces import RunTrace
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


def chunk_arrays(cut: int, made: int, picks: list[list[int]]) -> dict[str, np.ndarray]:
    """A trace of one step and block, whose tokens cover one context frame each and can all be recalled."""
    chosen = np.array(picks)[None, None, None]
    return {
        "context_frames": np.array(cut), "target_frames": np.array(made), "first_query": np.array(cut),
        "sources": np.stack([np.arange(cut)] * 2, axis=1), "selectable": np.ones((made, cut), bool),
        "windows": np.zeros((made, 2), int), "picks": chosen, "sigmas": np.ones(1),
    }  # fmt: skip


def test_all_chunks_count_each_in_the_time_of_the_run() -> None:
    """Chunks of 9, 9 and 7 frames: the last one begins two frames earlier. The subject is seen in context frames 0-3
    of 9, and is back from target frame 12 on: in the second chunk's last two latent frames."""
    visible = np.zeros((1, 9 + 25), bool)
    visible[0, :4] = visible[0, 9 + 12 :] = True
    returned = visible[:, 9:].copy()
    traces = {
        0: chunk_arrays(3, 3, [[0], [0], [0]]),  # no frame asks
        # context: the first chunk's frames 0, 1-4 and 5-8, in which nobody is seen
        1: chunk_arrays(3, 3, [[0], [1], [2]]),
        # begins at frame 16: context is frames 7, 8-11 and 12-15, and only the last shows the subject
        2: chunk_arrays(3, 3, [[2], [2], [0]]),
    }
    trace = RunTrace.of_chunks(traces, 9, [9, 9, 7])
    assert [chunk.spans.tolist() for chunk in trace.chunks] == [
        [[-9, -9], [-8, -5], [-4, -1], [0, 0], [1, 4], [5, 8]],
        [[0, 0], [1, 4], [5, 8], [9, 9], [10, 13], [14, 17]],
        [[7, 7], [8, 11], [12, 15], [16, 16], [17, 20], [21, 24]],
    ]
    hits = run_hits(trace, visible, returned)
    # second chunk: two frames, no hit, and none possible; third: the latent frame of frame 16 alone was there already,
    # the other two hit once, of one chance in three
    assert hits is not None and hits.queries == 4
    assert hits.rate == pytest.approx(1 / 4) and hits.chance == pytest.approx((0 + 0 + 1 / 3 + 1 / 3) / 4)
    lacking = RunTrace.of_chunks({2: traces[2]}, 9, [9, 9, 7])
    assert lacking.notes == ("no trace of chunk 1, 2 of 3",) and not trace.notes
    alone = run_hits(lacking, visible, returned)
    assert alone is not None and alone.rate == pytest.approx(1 / 2)
    with pytest.raises(LayoutError, match="chunk 2 is of 4 \\+ 3 latent frames"):
        RunTrace.of_chunks({1: chunk_arrays(4, 3, [[0]] * 3)}, 9, [9, 9, 7])
    with pytest.raises(LayoutError, match="chunk 1 is of 3 \\+ 2 latent frames"):
        RunTrace.of_chunks({0: chunk_arrays(3, 2, [[0]] * 2)}, 9, [9, 9, 7])


def test_a_chunk_of_a_model_that_streams_looks_back_on_everything() -> None:
    trace = RunTrace.of_chunks({1: chunk_arrays(6, 2, [[0], [3]]), 2: chunk_arrays(8, 1, [[7]])}, 9, [9, 8, 4])
    first = [[-9, -9], [-8, -5], [-4, -1], [0, 0], [1, 4], [5, 8]]
    assert trace.chunks[0].spans.tolist() == [*first, [9, 12], [13, 16]]
    assert trace.chunks[1].spans.tolist() == [*first, [9, 12], [13, 16], [17, 20]]
    assert [chunk.made for chunk in trace.chunks] == [range(9, 17), range(17, 21)]


def test_a_context_of_one_frame_takes_its_stride_from_the_first_chunk() -> None:
    traces = {0: chunk_arrays(1, 2, [[0], [0]]), 1: chunk_arrays(1, 2, [[0], [0]])}
    trace = RunTrace.of_chunks(traces, 1, [5, 4])
    assert trace.chunks[1].spans.tolist() == [[3, 3], [4, 4], [5, 8]] and trace.chunks[1].made == range(5, 9)
