"""The stream: the same clip for the same number, exact resume, batches."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from torch.utils.data import DataLoader

from outofsight.errors import WorldsError
from outofsight.worlds.small import SmallBatches, batches, draw_batch, draw_clip, judged, small_world, stream


@pytest.mark.parametrize("name", ["small-easy", "small-film", "small-hard"])
def test_a_clip_is_a_function_of_world_seed_and_number(name: str) -> None:
    world = small_world(name)
    one, again = draw_clip(world, 4, 9), draw_clip(world, 4, 9)
    for field in ("frames", "ids", "c2w", "centres", "vanished", "frozen", "frozen_ids"):
        np.testing.assert_array_equal(getattr(one, field), getattr(again, field))
    others = [
        draw_clip(world, 4, 10), draw_clip(world, 5, 9), draw_clip(small_world(name, split="test"), 4, 9)
    ]  # fmt: skip
    assert all((other.frames != one.frames).any() for other in others)


def test_no_clip_comes_twice_and_a_stream_resumes_exactly() -> None:
    world = small_world("small-easy")
    first = list(islice(stream(world, 7), 12))
    assert [clip.number for clip in first] == list(range(12))
    assert len({clip.frames.tobytes() for clip in first}) == 12
    resumed = list(islice(stream(world, 7, start=8), 4))
    for clip, again in zip(first[8:], resumed, strict=True):
        np.testing.assert_array_equal(clip.frames, again.frames)
    found = list(islice(judged(world, 7), 5))
    assert all(clip.is_judged for clip in found)
    assert [clip.number for clip in found] == [clip.number for clip in first if clip.is_judged][:5]


def test_batches_hold_the_clips_of_the_stream() -> None:
    world = small_world("small-distractors")
    one, two = islice(batches(world, 3, 4), 2)
    assert one.numbers.tolist() == [0, 1, 2, 3] and two.numbers.tolist() == [4, 5, 6, 7]
    resumed = next(batches(world, 3, 4, start=4))
    by_number = SmallBatches(world, 3, 4, count=2)
    loaded = list(DataLoader(by_number, batch_size=None))
    assert len(by_number) == len(loaded) == 2
    for other in (resumed, draw_batch(world, 3, 4, 4), by_number[1], type(two)(*(np.asarray(x) for x in loaded[1]))):
        for mine, theirs in zip(two, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert one.frames.shape == (4, 30, 24, 36, 3) and one.frames.dtype == np.uint8
    assert one.poses.shape == (4, 30, 4, 4) and one.intrinsics.shape == (4, 30, 4)
    for row, number in enumerate(one.numbers.tolist()):
        clip = draw_clip(world, 3, number)
        np.testing.assert_array_equal(one.frames[row], clip.frames)
        np.testing.assert_array_equal(one.poses[row, :15], clip.cameras[0].c2w)
        np.testing.assert_array_equal(one.intrinsics[row, 15:], clip.cameras[1].intrinsics_for(24, 36))
    with pytest.raises(IndexError):
        by_number[2]
    with pytest.raises(WorldsError, match="at least 1"):
        draw_batch(world, 3, 0, 0)


def test_share_is_of_the_subjects_in_each_cell_and_latent_frame() -> None:
    world = small_world("small-distractors")
    clip = draw_clip(world, 3, 1)
    share = clip.share()
    assert share.shape == (16, 4, 6) and share.dtype == np.float32
    for latent in range(16):
        half, within = divmod(latent, 8)  # context and target begin with one frame each
        frames = [15 * half] if within == 0 else [15 * half + 2 * within - 1, 15 * half + 2 * within]
        for row in range(4):
            for column in range(6):
                cell = clip.ids[frames, 6 * row : 6 * row + 6, 6 * column : 6 * column + 6]
                assert share[latent, row, column] == pytest.approx((cell == 1).mean())
    assert (clip.ids > 1).any() and share.max() > 0.5
