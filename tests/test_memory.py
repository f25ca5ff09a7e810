"""Memory mechanisms: options, banks, who is recalled, and traces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from outofsight.cameras import CameraPath, pose_view_overlap, relative_pose_vectors
from outofsight.errors import GeometryError, MemoryOptionError, OutputError
from outofsight.memory import FovMemory, FullMemory, HydraMemory, RetrievalTrace, make_layout, make_memory
from outofsight.memory.fov import _thinned_order
from outofsight.memory.layout import horizontal_degrees
from outofsight.memory.rotary import apply_rotary, rotary_table
from outofsight.models.conditioners import square_intrinsics

CPU = torch.device("cpu")


def seen(frames: int, grid=(2, 2)) -> torch.Tensor:
    """Intrinsics of square pixels and 60 degrees."""
    return square_intrinsics(60.0, 1, frames, grid)


def layout(context: int, target: int, grid=(4, 6), batch: int = 1, fov: float | None = 60.0):
    poses = torch.eye(4)[:3].flatten().expand(batch, context + target, 12)
    lenses = None if fov is None else square_intrinsics(fov, batch, context + target, grid)
    return make_layout(
        grid, poses[:, :context], poses[:, context:], torch.full((batch, context + target), 500.0), lenses
    )


# --- options ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "attention", "complaint"),
    [
        ("hydra", {"kernal": (2, 2, 2)}, "joint", "no option 'kernal'"),
        ("hydra", {"affinity": "cosine"}, "joint", "expected one of"),
        ("hydra", {"kernel": (2, 2)}, "joint", "3 positive numbers"),
        ("hydra", {"window": 0}, "joint", "at least 1"),
        ("hydra", {"top_k": -1}, "joint", "at least 0"),
        ("hydra", {"bank": "all"}, "context_only", "must never see"),
        ("fov", {"near": 5.0, "far": 2.0}, "joint", "0 < near < far"),
        ("full", {"top_k": 3}, "joint", "it has none"),
        ("surfels", {}, "joint", "expected one of"),
    ],
)
def test_wrong_options_are_named(name, options, attention, complaint) -> None:
    with pytest.raises(MemoryOptionError, match=complaint):
        make_memory(name, options, attention)


def test_defaults_are_the_releases_and_follow_the_kind_of_context() -> None:
    release = HydraMemory().config()
    assert release == {
        "kernel": [2, 2, 2], "top_k": 10, "window": 5, "affinity": "global",
        "bank": "all", "queries": "all", "remainder": "drop",
    }  # fmt: skip
    cacheable = HydraMemory(context_attention="context_only").config()
    assert (cacheable["bank"], cacheable["remainder"]) == ("context", "repeat")


# --- the bank -----------------------------------------------------------------------------------------------


def test_release_positions_and_sources() -> None:
    plan = HydraMemory().plan(layout(4, 4), 24, CPU)
    assert plan.memory is not None
    assert plan.memory.sources.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert plan.memory.grid == (2, 3)
    expected = rotary_table(
        torch.tensor([[0.5, 2.5, 4.5, 6.5]]), torch.tensor([0, 2]), torch.tensor([0, 2, 4]), 24, CPU
    )
    assert torch.equal(plan.memory.rotary(0, 24, CPU).cos, expected.cos)


def test_remainders_are_dropped_or_repeated_as_asked() -> None:
    drop = HydraMemory({"remainder": "drop"}).plan(layout(3, 2, grid=(5, 7)), 24, CPU).memory
    assert drop is not None
    assert drop.sources.tolist() == [[0, 1], [2, 3]]
    assert drop.grid == (2, 3)
    repeat = HydraMemory({"remainder": "repeat"}).plan(layout(3, 2, grid=(5, 7)), 24, CPU).memory
    assert repeat is not None
    assert repeat.sources.tolist() == [[0, 1], [2, 3], [4, 4]]  # as they really are
    assert repeat.grid == (3, 4)


@pytest.mark.parametrize("remainder", ["drop", "repeat"])
def test_compression_is_the_convolution_of_the_padded_or_cut_frames(remainder: str) -> None:
    memory = HydraMemory({"remainder": remainder, "kernel": (2, 2, 3)})
    conv = memory.compressor(4)
    x = torch.randn(2, 5, 5, 7, 4)
    frames, rows, columns = ([*range(5), 4], [*range(5), 4], [*range(7), 6, 6])
    if remainder == "drop":
        frames, rows, columns = ([*range(4)], [*range(4)], [*range(6)])
    cut = x[:, frames][:, :, rows][:, :, :, columns]
    out = memory.compress(conv, x)
    weight, bias = conv.conv.weight, conv.conv.bias
    cell = cut[1, 2:4, 2:4, 3:6]  # token (1, 1, 1) of sample 1, written out
    expected = torch.einsum("ocijk,ijkc->o", weight, cell) + bias
    torch.testing.assert_close(out[1, 1, 1, 1], expected)
    assert out.shape[1:4] == ((2, 2, 2) if remainder == "drop" else (3, 3, 3))


def test_a_clip_too_small_for_the_kernel_has_no_memory_tokens() -> None:
    plan = HydraMemory({"kernel": (2, 8, 8)}).plan(layout(2, 2), 24, CPU)
    assert plan.memory is None
    assert plan.recall == 0


def test_the_papers_bank_holds_context_only() -> None:
    plan = HydraMemory({"bank": "context"}).plan(layout(4, 4), 24, CPU)
    assert plan.memory is not None
    assert plan.memory.sources.max() == 3


# --- who is recalled ----------------------------------------------------------------------------------------


def test_top_k_larger_than_what_can_be_recalled_recalls_all_of_it() -> None:
    plan = HydraMemory({"top_k": 10}).plan(layout(4, 4), 24, CPU)
    # 4 tokens, of which the frame's own window always covers 2: never attended twice
    assert plan.counts.tolist() == plan.selectable.sum(1).tolist()
    assert plan.counts.max() <= 3


def test_retrieve_all() -> None:
    plan = HydraMemory({"top_k": None}).plan(layout(10, 10), 24, CPU)
    assert plan.counts.tolist() == plan.selectable.sum(1).tolist()
    assert plan.counts.min() == 8


def test_queries_target_leaves_context_frames_to_their_window() -> None:
    plan = HydraMemory({"queries": "target", "top_k": 1}).plan(layout(6, 6), 24, CPU)
    assert plan.counts.tolist() == [0] * 6 + [1] * 6


def test_context_only_windows_never_reach_the_target() -> None:
    plan = HydraMemory(context_attention="context_only").plan(layout(6, 5), 24, CPU)
    assert plan.windows[:6, 1].max() == 5
    assert plan.windows[6:].tolist() == [[4, 8], [5, 9], [6, 10], [6, 10], [6, 10]]
    full = FullMemory(context_attention="context_only").plan(layout(6, 5), 24, CPU)
    assert full.windows.tolist() == [[0, 5]] * 6 + [[0, 10]] * 5


def test_pooled_affinity_is_the_inner_product_summed_over_the_memory_grid() -> None:
    memory = HydraMemory({"affinity": "pooled", "kernel": (2, 2, 3)})
    plan = memory.plan(layout(2, 2, grid=(4, 6)), 24, CPU)
    query, key = torch.randn(1, 4, 4, 6, 5), torch.randn(1, 2, 2, 2, 5)
    scores = memory.query_signature(query, plan) @ memory.key_signature(key).transpose(1, 2)
    expected = sum(
        query[0, 3, 2 * r : 2 * r + 2, 3 * c : 3 * c + 3].mean((0, 1)) @ key[0, 1, r, c]
        for r in range(2)
        for c in range(2)
    )
    torch.testing.assert_close(scores[0, 3, 1], expected)


def yaw_path(degrees: list[float]) -> CameraPath:
    c2w = np.tile(np.eye(4), (len(degrees), 1, 1))
    for i, angle in enumerate(np.radians(degrees)):
        c2w[i, 0, 0] = c2w[i, 2, 2] = np.cos(angle)
        c2w[i, 0, 2], c2w[i, 2, 0] = np.sin(angle), -np.sin(angle)
    return CameraPath(c2w, horizontal_fov=60.0, frame_stride=4)


def camera_layout(context: list[float], target: list[float], grid=(2, 2)):
    poses = relative_pose_vectors(yaw_path(context), yaw_path(target))
    both = [pose[None].float() for pose in poses]
    return make_layout(grid, *both, torch.zeros(1, len(context) + len(target)), seen(len(context) + len(target), grid))


def test_fov_memory_keeps_the_views_that_overlap_and_the_last_frame() -> None:
    memory = FovMemory({"top_k": 3, "run": 1})
    selection = memory.select_frames(camera_layout([0, 90, 180, 180, 180, -120], [85, 95]))
    assert selection is not None
    assert selection.indices.tolist()[0][-1] == 5  # the last frame, though it looks elsewhere
    assert 1 in selection.indices.tolist()[0]
    assert selection.scores.argmax(-1).tolist() == [[1, 1]]


def test_fov_thinning_takes_one_frame_of_each_run_first() -> None:
    score = torch.tensor([[0.9, 0.8, 0.1, 0.2, 0.5, 0.0]])
    assert _thinned_order(score, 2).tolist() == [[5, 0, 4, 3, 1, 2]]
    assert _thinned_order(score, 1).tolist() == [[5, 0, 1, 4, 3, 2]]
    assert sorted(_thinned_order(score[:, :5], 3).tolist()[0]) == list(range(5))


def test_fov_affinity_prefers_tokens_that_saw_the_place() -> None:
    memory = HydraMemory({"affinity": "fov", "window": 1})
    clip = camera_layout([0, 0, 90, 90, 180, 180], [90, 90])
    scores = memory.pose_scores(clip, memory.plan(clip, 24, CPU))
    assert scores is not None
    assert scores[0, 6, :3].argmax() == 1


def test_views_cannot_be_compared_without_a_field_of_view() -> None:
    blind = layout(4, 2, fov=None)
    with pytest.raises(GeometryError, match="horizontal field of view"):
        FovMemory().select_frames(blind)
    hydra = HydraMemory({"affinity": "fov"})
    plan = hydra.plan(blind, 24, CPU)
    with pytest.raises(GeometryError, match="horizontal field of view"):
        hydra.pose_scores(blind, plan)


# --- rotary -------------------------------------------------------------------------------------------------


def test_rotary_equals_complex_multiplication_and_keeps_relative_positions() -> None:
    times = torch.tensor([[0.5, 3.0]])
    table = rotary_table(times, torch.arange(2), torch.arange(3), 24, CPU)
    x = torch.randn(1, 12, 2, 24)
    turned = apply_rotary(x, table._replace(turn=None))
    with torch.no_grad():
        assert table.turn is not None
        torch.testing.assert_close(apply_rotary(x, table), apply_rotary(x, table._replace(turn=None)))
    # token (frame 1, row 1, column 2): channels 8 of time, 8 of height, 8 of width
    for offset, position in ((0, 3.0), (8, 1.0), (16, 2.0)):
        angle = position / 10000 ** (torch.arange(0, 8, 2).double() / 8)
        z = torch.view_as_complex(x[0, 11, 0, offset : offset + 8].double().view(4, 2))
        expected = torch.view_as_real(z * torch.polar(torch.ones_like(angle), angle)).flatten()
        torch.testing.assert_close(turned[0, 11, 0, offset : offset + 8].double(), expected, rtol=1e-5, atol=1e-5)


def table_at(times, rows, columns):
    return rotary_table(torch.tensor([times]), torch.tensor(rows), torch.tensor(columns), 24, CPU)


@pytest.mark.parametrize(
    ("options", "clip", "expected"),
    [
        # four frames a token: mean time, first row, first column
        (
            {"kernel": (4, 2, 3)},
            layout(4, 4, grid=(4, 6)),
            table_at([1.5, 5.5], [0, 2], [0, 3]),
        ),
        # the repeated last context frame counts at its own time, and the target frames behind it not at all
        (
            {"bank": "context", "remainder": "repeat"},
            layout(3, 4, grid=(3, 2)),
            table_at([0.5, 2.0], [0, 2], [0]),
        ),
    ],
)
def test_positions_of_memory_tokens(options, clip, expected) -> None:
    memory = HydraMemory(options).plan(clip, 24, CPU).memory
    assert memory is not None
    made = memory.rotary(0, 24, CPU)
    torch.testing.assert_close(made.cos, expected.cos)
    torch.testing.assert_close(made.sin, expected.sin)
    torch.testing.assert_close(memory.rotary(1, 24, CPU).cos, expected.cos[:, len(memory.rows) * len(memory.columns) :])


def test_kept_frames_keep_their_times_noise_levels_and_poses() -> None:
    whole = camera_layout([0, 10, 20, 30], [40, 50])
    whole = make_layout((2, 2), whole.poses[:, :4], whole.poses[:, 4:], torch.tensor([[1.0, 2, 3, 4, 5, 6]]), seen(6))
    kept = whole.keep_context(torch.tensor([[1, 3]]))
    assert kept.times.tolist() == [[1, 3, 4, 5]]
    assert kept.timesteps.tolist() == [[2, 4, 5, 6]]
    assert torch.equal(kept.poses[0], whole.poses[0, [1, 3, 4, 5]])
    assert kept.roles == ("context", "context", "target", "target")


def moved_path(xs: list[float], zs: list[float]) -> CameraPath:
    c2w = np.tile(np.eye(4), (len(xs), 1, 1))
    c2w[:, 0, 3], c2w[:, 2, 3] = xs, zs
    return CameraPath(c2w, horizontal_fov=60.0, frame_stride=4)


def test_fov_memory_compares_between_near_and_far() -> None:
    # the second context camera stands 30 m back: it sees the target's far view, not what is near it
    vectors = relative_pose_vectors(moved_path([0.0, 8.0, 0.0], [-30.0, 0.0, -90.0]), moved_path([0.0], [0.0]))
    clip = make_layout((2, 2), *[v[None] for v in vectors], torch.zeros(1, 4), seen(4))
    far = FovMemory({"near": 0.5, "far": 100.0, "run": 1}).select_frames(clip)
    close = FovMemory({"near": 0.5, "far": 4.0, "run": 1}).select_frames(clip)
    assert far is not None
    assert close is not None
    assert not torch.allclose(far.scores, close.scores)
    assert close.scores[0, 0, 1] < far.scores[0, 0, 1]  # 8 m to the side: nothing in common close by
    beyond = FovMemory({"near": 50.0, "far": 100.0, "run": 1}).select_frames(clip)
    assert beyond is not None
    assert beyond.scores[0, 0, 1] > far.scores[0, 0, 1]


def test_fov_memory_takes_what_any_target_frame_needs() -> None:
    # frame 0 saw all of one target frame and a third of the others, frame 1 two thirds of each
    selection = FovMemory({"top_k": 2, "run": 1}).select_frames(camera_layout([0, 20, 180], [0, 40, 40]))
    assert selection is not None
    assert selection.indices.tolist() == [[0, 2]]


def test_fov_affinity_scores_the_best_frame_of_a_token_from_the_querys_side() -> None:
    memory = HydraMemory({"affinity": "fov", "window": 1, "kernel": (3, 2, 2), "bank": "context"})
    clip = camera_layout([180, 0, 180, 180, 180, 180], [0])
    scores = memory.pose_scores(clip, memory.plan(clip, 24, CPU))
    assert scores is not None
    assert scores.shape == (1, 7, 2)
    assert scores[0, 6].tolist() == pytest.approx([1.0, 0.0])  # its middle frame saw it all
    assert scores[0, 0].tolist() == pytest.approx([1.0, 1.0])


def test_fov_affinity_is_the_share_of_the_querys_view() -> None:
    # the first camera stands 12 m behind the target's: it sees most of what the target sees, but not the reverse
    vectors = relative_pose_vectors(moved_path([0.0, 50.0], [-12.0, 0.0]), moved_path([0.0], [0.0]))
    clip = make_layout((2, 2), *[v[None] for v in vectors], torch.zeros(1, 3), seen(3))
    memory = HydraMemory({"affinity": "fov", "window": 1, "kernel": (1, 2, 2), "bank": "context"})
    scores = memory.pose_scores(clip, memory.plan(clip, 24, CPU))
    assert scores is not None
    fov = torch.tensor([60.0])
    share = pose_view_overlap(clip.poses[:, 2:], clip.poses[:, :1], fov)
    reverse = pose_view_overlap(clip.poses[:, :1], clip.poses[:, 2:], fov)
    assert abs(float(share - reverse)) > 0.01
    torch.testing.assert_close(scores[:, 2:, :1], share)


@pytest.mark.parametrize("options", [{"kernel": 2}, {"kernel": (2.9, 2, 2)}, {"top_k": "4"}, {"window": 2.5}])
def test_options_of_the_wrong_type_are_named(options) -> None:
    with pytest.raises(MemoryOptionError, match="whole"):
        HydraMemory(options)


def test_field_of_view_is_one_number_or_one_a_sample() -> None:
    with pytest.raises(GeometryError, match="horizontal_fov"):
        layout(2, 2, batch=3, fov=torch.tensor([60.0, 50.0]))
    with_each = layout(2, 2, batch=2, fov=torch.tensor([60.0, 50.0]))
    torch.testing.assert_close(horizontal_degrees(with_each.lens("a test")), torch.tensor([60.0, 50.0]))


def test_fov_memory_without_context_lets_everything_be() -> None:
    assert FovMemory().select_frames(layout(0, 3)) is None


# --- traces -------------------------------------------------------------------------------------------------


def test_trace_survives_a_round_trip(tmp_path: Path) -> None:
    from outofsight.memory import Recall

    trace = RetrievalTrace(context_frames=2, target_frames=2)
    for sigma in (1.0, 0.5):
        trace.begin_step(sigma)
        for block in range(3):
            picks = torch.full((1, 4, 2), block)
            scores = torch.full((1, 4, 5), sigma)
            trace.add(Recall(scores, picks, torch.zeros(5, 2), torch.ones(4, 5), torch.zeros(4, 2)))
    trace.save(tmp_path / "trace.npz")
    arrays = RetrievalTrace.load(tmp_path / "trace.npz")
    assert arrays["scores"].shape == (2, 3, 1, 4, 5)
    assert arrays["picks"][1, 2, 0, 3, 1] == 2
    assert arrays["sigmas"].tolist() == [1.0, 0.5]
    assert [path.name for path in tmp_path.iterdir()] == ["trace.npz"]


def test_an_empty_trace_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="empty"):
        RetrievalTrace().save(tmp_path / "trace.npz")
    assert not list(tmp_path.iterdir())
