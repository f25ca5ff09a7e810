"""A session of cropped frames: its cameras' lens is that of the crop, for the context and for every chunk."""

from __future__ import annotations

from pathlib import Path

import pytest

from outofsight.errors import CameraError
from outofsight.session import Session
from pipelines import cameras, frames, small_pipeline


def test_the_lens_follows_a_crop_through_the_session(tmp_path: Path) -> None:
    pipe = small_pipeline(memory="fov", memory_options={})
    video = frames(9, 32, 48)
    context, target = (path.with_fov(60.0) for path in cameras(9))
    session = pipe.session(video, context, "a dog walks", negative_prompt="", height=32, width=32)
    session.check(target)
    assert session.context.horizontal_fov == pytest.approx(42.10345, abs=1e-4)
    by_hand = pipe.session(video[:, :, 8:40], context.with_fov(42.10344887), "a dog walks", negative_prompt="")
    by_hand.check(target.with_fov(42.10344887))
    assert by_hand.context.horizontal_fov == pytest.approx(session.context.horizontal_fov, abs=1e-6)
    # given, it is the lens before the crop
    blind = context.with_fov(None)
    given = pipe.session(video, blind, "a", negative_prompt="", height=32, width=32, horizontal_fov=60.0)
    given.check(target.with_fov(None))
    assert given.context.horizontal_fov == pytest.approx(42.10345, abs=1e-4)
    kept = Session.load(pipe, session.save(tmp_path / "s"))
    kept.check(target)
    assert kept.context.horizontal_fov == pytest.approx(42.10345, abs=1e-4)
    with pytest.raises(CameraError, match="different fields of view"):
        kept.check(target.with_fov(50.0))
