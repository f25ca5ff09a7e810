"""Contexts that are appended to: cached equals uncached over chunks, and one encoding of the whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models import narrow_inputs, narrow_model
from outofsight.errors import GeometryError
from outofsight.models.cache import Room
from outofsight.models.conditioners import Conditions

STREAMING = {
    "context_timestep": "clean", "context_attention": "causal", "anchor": "session", "page_frames": 2,
    "conditioners": ("pose", "rays", "anchors", "clock", "prope"),
}  # fmt: skip
MEMORIES: dict[str, dict[str, Any]] = {
    "full": {"memory": "full"},
    "hydra": {"memory": "hydra", "memory_options": {"kernel": (2, 2, 2), "top_k": 2, "window": 3}},
    "hydra, one frame a token": {
        "memory": "hydra",
        "memory_options": {"kernel": (1, 2, 2), "top_k": 3, "window": 2, "affinity": "pooled", "queries": "target"},
    },
}
CHUNK, CHUNKS, START = 3, 3, 4


def part(inputs: dict[str, Any], frames: slice) -> tuple[torch.Tensor, torch.Tensor, Conditions]:
    """Latents, poses and conditions of some frames of a clip whose frames are all called context."""
    conditions = inputs["conditions"]
    assert conditions.intrinsics is not None
    lens = Conditions(conditions.intrinsics[:, frames])
    return inputs["hidden_states"][:, :, frames], inputs["context_poses"][:, frames], lens


def by_pages(model: Any, inputs: dict[str, Any], until: int, past: Any = None) -> tuple[Any, Any]:
    """The context up to a frame, page by page from what is there already: closed pages, and with the open one."""
    page = model.config.page_frames
    done = 0 if past is None else past.context_poses.shape[1]
    while done + page <= until:
        latents, poses, lens = part(inputs, slice(done, done + page))
        past, done = model.append_context(past, latents, poses, conditions=lens), done + page
    if done == until:
        return past, past
    latents, poses, lens = part(inputs, slice(done, until))
    return past, model.append_context(past, latents, poses, conditions=lens)


@pytest.mark.parametrize("memory", MEMORIES)
def test_three_chunks_by_pages_equal_one_encoding_and_no_cache_at_all(memory: str) -> None:
    model = narrow_model(**STREAMING, **MEMORIES[memory])
    whole = narrow_inputs(START + CHUNKS * CHUNK, 0, (2, 3), 2)
    closed = None
    for chunk in range(CHUNKS):
        cut = START + chunk * CHUNK
        latents, poses, conditions = part(whole, slice(0, cut + CHUNK))
        text, level = whole["encoder_hidden_states"], whole["timestep"]
        target = poses[:, :cut], poses[:, cut:]
        with torch.no_grad():
            bare = model(latents, level, text, *target, conditions=conditions, target_only=True).sample
            at_once = model.encode_context(latents[:, :, :cut], *target, conditions=conditions)
            closed, opened = by_pages(model, whole, cut, closed)
            for cache in (at_once, opened):
                cached = model(latents[:, :, cut:], level, text, *target, conditions=conditions, context_cache=cache)
                assert float((cached.sample - bare).norm() / bare.norm()) <= 1e-5
        if opened is not closed:
            for block in opened.blocks:
                block.withdrawn()


def test_what_was_encoded_does_not_change_as_the_context_grows() -> None:
    model = narrow_model(**STREAMING, **MEMORIES["hydra"])
    inputs = narrow_inputs(8, 0, (2, 3))
    first, _ = by_pages(model, inputs, 4)
    before = [block.memory_key.clone() for block in first.blocks]
    grown, _ = by_pages(model, inputs, 8, first)
    for old, block, new in zip(before, first.blocks, grown.blocks, strict=True):
        assert torch.equal(block.memory_key, old)
        assert torch.equal(new.memory_key[:, : old.shape[1]], old)
        assert new.memory_key.shape[1] == 2 * old.shape[1]
        assert new.key.shape[1] == model.memory.reach  # keys out of reach of every later window are let go


def test_branches_of_a_session_do_not_write_over_each_other() -> None:
    start = Room(torch.zeros(1, 2, 3))
    ahead = start.grown(torch.ones(1, 1, 3))
    one, other = ahead.grown(torch.full((1, 1, 3), 2.0)), ahead.grown(torch.full((1, 1, 3), 3.0))
    assert one.rows[0, -1].tolist() == [2.0] * 3 and other.rows[0, -1].tolist() == [3.0] * 3
    assert ahead.rows.shape == (1, 3, 3) and start.rows.shape == (1, 2, 3)
    again = one.grown(torch.full((1, 2, 3), 4.0))
    assert again.rows[0, :, 0].tolist() == [0, 0, 1, 2, 4, 4]


def test_only_models_whose_context_is_causal_stream() -> None:
    inputs = narrow_inputs(4, 0, (2, 3))
    latents, poses, lens = part(inputs, slice(0, 4))
    for change in ({"context_attention": "context_only"}, {"anchor": "first_target"}, {"memory": "fov"}):
        model = narrow_model(**{**STREAMING, **MEMORIES["full"], **change})
        assert not model.streams
        with pytest.raises(GeometryError, match="cannot be appended to"):
            model.append_context(None, latents, poses, conditions=lens)
    model = narrow_model(**STREAMING, **MEMORIES["full"])
    opened = model.append_context(None, latents[:, :, :3], poses[:, :3], conditions=Conditions(lens.intrinsics[:, :3]))
    with pytest.raises(GeometryError, match="whole pages of 2"):
        model.append_context(opened, latents[:, :, 3:], poses[:, 3:], conditions=Conditions(lens.intrinsics[:, 3:]))
