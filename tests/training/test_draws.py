"""Random numbers as functions of seed, step and place: what resuming and many processes rest on."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from outofsight.training.draws import Draws, clips_of_step, places_of_part

DROPPED = (
    lambda draws: draws.dropped_texts(0.5),
    lambda draws: draws.dropped_cameras(0.5),
    lambda draws: draws.dropped_conditions("reprojection", 0.5),
    lambda draws: draws.dropped_conditions("rendered", 0.5),
)


@settings(deadline=None, max_examples=30)
@given(clips=st.integers(1, 40), batch=st.integers(1, 12), seed=st.integers(0, 2**32))
def test_each_epoch_shows_every_clip_once(clips: int, batch: int, seed: int) -> None:
    steps = -(-2 * clips // batch)
    order = [clip for step in range(steps) for clip in clips_of_step(seed, step, range(batch), batch, clips)]
    assert sorted(order[:clips]) == sorted(order[clips : 2 * clips]) == list(range(clips))


def test_epochs_and_seeds_differ_in_order() -> None:
    orders = {tuple(clips_of_step(seed, step, range(30), 30, 30)) for seed in (0, 1) for step in (0, 1)}
    assert len(orders) == 4


@settings(deadline=None, max_examples=30)
@given(processes=st.integers(1, 4), accumulation=st.integers(1, 3), size=st.integers(1, 3), clips=st.integers(1, 9))
def test_processes_and_parts_share_out_one_batch(processes: int, accumulation: int, size: int, clips: int) -> None:
    batch = processes * accumulation * size
    parts = [
        places_of_part(batch, processes, process, accumulation, part)
        for part in range(accumulation)
        for process in range(processes)  # the order in which losses are gathered
    ]
    assert [place for part in parts for place in part] == list(range(batch))
    whole = clips_of_step(3, 5, range(batch), batch, clips)
    assert [clip for part in parts for clip in clips_of_step(3, 5, part, batch, clips)] == whole


@pytest.mark.parametrize("kind", ["shared", "clip", "even", "frame"])
def test_what_is_drawn_does_not_depend_on_who_draws_it(kind: str) -> None:
    together, apart = Draws(7, 3, range(4)), [Draws(7, 3, places, batch=4) for places in ([0, 1], [2], [3])]
    assert torch.equal(together.noise((2, 3)), torch.cat([draws.noise((2, 3)) for draws in apart]))
    assert torch.equal(together.levels(kind, 5), torch.cat([draws.levels(kind, 5) for draws in apart]))
    for dropped in DROPPED:
        assert torch.equal(dropped(together), torch.cat([dropped(draws) for draws in apart]))


def test_levels_are_shared_as_asked() -> None:
    draws = Draws(0, 0, range(6))
    shared, clip, frame = (draws.levels(kind, 3) for kind in ("shared", "clip", "frame"))
    assert len(shared.unique()) == 1
    assert len(clip.unique()) == 6 and (clip == clip[:, :1]).all()
    assert len(frame.unique()) == 18


def test_steps_places_and_seeds_draw_apart() -> None:
    drawn = [Draws(seed, step, [place]).noise((4,)) for seed in (0, 1) for step in (0, 1) for place in (0, 1)]
    assert len({tuple(x.flatten().tolist()) for x in drawn}) == len(drawn)


def test_noise_is_standard_normal_and_dropout_has_its_rate() -> None:
    noise = Draws(1, 1, range(20)).noise((1000,))
    assert noise.dtype == torch.float32
    assert noise.mean().abs() < 0.03 and (noise.std() - 1).abs() < 0.03
    rate = Draws(1, 1, range(2000)).dropped_texts(0.3).float().mean()
    assert rate == pytest.approx(0.3, abs=0.04)
    assert not Draws(1, 1, range(50)).dropped_texts(0.0).any()
    assert Draws(1, 1, range(50)).dropped_cameras(1.0).all()
    each = [dropped(Draws(1, 1, range(50))) for dropped in DROPPED]
    assert not any(torch.equal(one, other) for one, other in zip(each, [*each[1:], each[0]], strict=True))


def test_copies_are_further_draws_for_the_same_places() -> None:
    one, three = Draws(7, 3, [1, 2], batch=4), Draws(7, 3, [1, 2], batch=4, copies=3)
    noise = three.noise((5,))
    assert len(three) == 6 and torch.equal(noise[:2], one.noise((5,)))
    assert len({tuple(row.tolist()) for row in noise}) == 6
    assert torch.equal(Draws(7, 3, range(4), batch=4, copies=3).noise((5,))[[1, 2, 5, 6, 9, 10]], noise)


@pytest.mark.parametrize("copies", [1, 2, 3])
def test_even_levels_are_one_in_each_part_and_far_apart_for_a_clip(copies: int) -> None:
    draws = Draws(5, 8, range(4), batch=4, copies=copies)
    levels = draws.levels("even", 3)
    assert levels.shape == (4 * copies, 3) and (levels == levels[:, :1]).all()
    ordered = levels[:, 0].sort().values
    torch.testing.assert_close(ordered.diff(), torch.full((4 * copies - 1,), 1 / (4 * copies), dtype=torch.float64))
    of_a_clip = levels[:, 0].view(copies, 4)[:, 1].sort().values
    torch.testing.assert_close(of_a_clip.diff(), torch.full((copies - 1,), 1 / copies, dtype=torch.float64))
    assert not torch.equal(levels, Draws(5, 9, range(4), batch=4, copies=copies).levels("even", 3))
