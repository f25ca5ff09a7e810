"""The demo's pictures say what the trace holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from outofsight.commands.demo_picture import overview, recall_counts, side_by_side
from outofsight.memory import Recall, RetrievalTrace


def saved_trace(path: Path) -> Path:
    """Two context and two target frames, two memory tokens of two frames; frame 2 recalls token 0, frame 3 both."""
    trace = RetrievalTrace(context_frames=2, target_frames=2)
    for picks in ([[-1, -1], [-1, -1], [0, -1], [0, 1]], [[1, -1], [-1, -1], [0, -1], [1, -1]]):
        trace.begin_step(1.0)
        trace.add(
            Recall(
                scores=torch.zeros(1, 4, 2),
                picks=torch.tensor([picks]),
                sources=torch.tensor([[0, 1], [2, 3]]),
                selectable=torch.ones(4, 2, dtype=torch.bool),
                windows=torch.tensor([[0, 1], [0, 1], [2, 2], [3, 3]]),
            )
        )
    trace.save(path)
    return path


def test_recall_counts_are_of_target_frames_and_source_frames(tmp_path: Path) -> None:
    counts = recall_counts(saved_trace(tmp_path / "trace.npz"))
    assert counts.tolist() == [[2, 2, 0, 0], [1, 1, 2, 2]]


def test_videos_lie_side_by_side_and_are_cut_to_the_shortest() -> None:
    left, right = np.full((3, 4, 6, 3), 1, np.uint8), np.full((2, 4, 8, 3), 2, np.uint8)
    both = side_by_side(left, right)
    assert both.shape[:2] == (2, 4)
    assert (both[:, :, :6] == 1).all()
    assert (both[:, :, -8:] == 2).all()


def test_the_overview_shows_every_row_and_the_recall_map(tmp_path: Path) -> None:
    context, made, truth = (np.full((5, 16, 24, 3), level, np.uint8) for level in (50, 100, 150))
    page = np.asarray(overview(context, made, truth, saved_trace(tmp_path / "trace.npz")))
    for level in (50, 100, 150):
        assert (page == level).all(-1).sum() >= 5 * 2 * 16 * 2 * 24
    assert (page == (180, 83, 9)).all(-1).sum() > 100
