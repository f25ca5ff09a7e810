"""Sessions: a clip is one extend, chunks go on from one another, forks and files change nothing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from outofsight.cameras import CameraPath
from outofsight.components.saved import read_saved, write_saved
from outofsight.errors import CameraError, GeometryError, OutOfSightError
from outofsight.memory.bank import Bank
from outofsight.sampling import SamplingOptions
from outofsight.session import FORMAT, Session, chunk_noise
from pipelines import cameras, frames, run_inputs, small_pipeline

CAUSAL = {"context_timestep": "clean", "context_attention": "causal", "anchor": "session", "page_frames": 2}
OPTIONS = SamplingOptions(steps=2, guidance=2.0)


def begin(pipe: Any, **settings: Any) -> Session:
    context, _ = cameras()
    return pipe.session(frames(), context, "a dog walks", OPTIONS, seed=3, negative_prompt="static", **settings)


def path_after(session: Session, latents: int, start: CameraPath, words: str = "right") -> CameraPath:
    """A path of as many poses as the session's next chunk of so many latent frames takes."""
    count = session.frames_of(latents)
    long = CameraPath.from_string(f"{words}-{latents + 1}", start=start)
    return long[:count]


def chunks(session: Session, count: int, latents: int = 2) -> list[Any]:
    start, made = session.context.cameras, []
    for _ in range(count):
        path = path_after(session, latents, start)
        made.append(session.extend(path))
        start = path
    return made


@pytest.fixture(scope="module", params=["release", "causal"])
def pipe(request: pytest.FixtureRequest) -> Any:
    return small_pipeline(**({} if request.param == "release" else CAUSAL))


def test_a_call_of_the_pipeline_is_one_extend(pipe: Any) -> None:
    inputs = run_inputs()
    out = pipe(**inputs, seed=3)
    session = pipe.session(
        inputs["context_video"], inputs["context_cameras"], inputs["prompt"],
        pipe.sampling_options(steps=inputs["num_inference_steps"]), seed=3, negative_prompt=inputs["negative_prompt"],
    )  # fmt: skip
    chunk = session.extend(inputs["target_cameras"])
    assert np.array_equal(chunk.frames, out.frames) and torch.equal(chunk.latents, out.latents)
    assert session.bank.generated.tolist() == [False] * 3 + [True] * 3


def test_chunks_have_the_frames_that_their_latents_make(pipe: Any) -> None:
    session = begin(pipe)
    made = chunks(session, 3)
    assert [len(chunk.frames) for chunk in made] == ([5, 8, 8] if session.streams else [5, 5, 5])
    assert [chunk.numbers for chunk in made] == [range(3, 5), range(5, 7), range(7, 9)]
    assert len(session.bank) == 9
    whole = torch.cat([chunk.latents for chunk in made], dim=2)
    torch.testing.assert_close(session.bank.latents(3)[None], whole)


def test_the_pixels_of_all_chunks_are_one_decode_of_their_latents(pipe: Any) -> None:
    session = begin(pipe)
    made = chunks(session, 3)
    if not session.streams:  # each chunk is a clip of its own
        for chunk in made:
            assert np.array_equal(chunk.frames, pipe.decode(chunk.latents))
        return
    whole = pipe.decode(torch.cat([chunk.latents for chunk in made], dim=2))
    assert np.array_equal(np.concatenate([chunk.frames for chunk in made]), whole)


def test_what_was_seen_longer_ago_changes_what_is_made(pipe: Any) -> None:
    """A second chunk looks back on the context, and not on the first chunk alone."""
    one, other = begin(pipe), begin(pipe)
    context, _ = cameras()
    first = path_after(one, 2, context)
    for session in (one, other):
        session.extend(first)
    if other.streams:
        pages = other.bank._latents
        pages._pages[0][2] += 5.0  # the last context frame is another
        other._pages = None
    else:
        seen = other.context.frames.copy()
        seen[-len(frames())] ^= 255  # a context frame, from before the first chunk
        other.context = replace(other.context, frames=seen)
    second = path_after(one, 2, first)
    assert (one.extend(second).latents - other.extend(second).latents).abs().max() > 1e-3


def test_a_cached_bank_gives_what_encoding_it_again_gives() -> None:
    """Over three chunks, with open pages: keys that outlive a chunk equal those made from nothing."""
    pipe = small_pipeline(**CAUSAL)
    assert pipe.transformer.streams
    session, again = begin(pipe), begin(pipe)
    start = session.context.cameras
    for latents in (1, 2, 3):
        path = path_after(session, latents, start)
        again._pages = None  # forget what was encoded
        kept, made = session.extend(path), again.extend(path)
        assert float((kept.latents - made.latents).norm() / made.latents.norm()) <= 1e-5
        start = path


def test_a_chunk_may_overlap_the_one_before_so_that_no_frame_is_missing() -> None:
    """A model that does not stream makes 4 n + 1 frames a chunk; of other counts the first ones were there already."""
    pipe = small_pipeline()
    context, _ = cameras()
    path = CameraPath.from_string("right-7", start=context)
    assert len(path) == 25
    session = begin(pipe)
    ahead = session.check_rollout(path, 2)
    assert [(a.latents, a.overlap, len(a.cameras)) for a in ahead] == [(2, 0, 5)] * 5
    ahead = session.check_rollout(path, 3)
    assert [(a.latents, a.overlap, len(a.cameras)) for a in ahead] == [(3, 0, 9), (3, 0, 9), (3, 2, 9)]
    assert np.array_equal(ahead[2].cameras.c2w, path.c2w[16:25])
    made = [session.extend(a) for a in ahead]
    assert [len(chunk.frames) for chunk in made] == [9, 9, 7]
    again = begin(pipe)
    for start, end in ((0, 9), (9, 18), (18, 25)):  # the same, chunk by chunk
        chunk = again.extend(path[start:end])
    assert np.array_equal(chunk.frames, made[-1].frames) and torch.equal(chunk.latents, made[-1].latents)
    seen, known = again.context.frames, made[1].frames
    assert np.array_equal(seen[-len(chunk.frames) - 2 : -len(chunk.frames)], known[-2:])


def test_a_rollout_of_a_model_that_streams_has_no_overlap() -> None:
    session = begin(small_pipeline(**CAUSAL))
    context, _ = cameras()
    path = CameraPath.from_string("right-7", start=context)
    ahead = session.check_rollout(path, 2)
    assert [(a.latents, a.overlap, len(a.cameras)) for a in ahead] == [(2, 0, 5), (2, 0, 8), (2, 0, 8), (1, 0, 4)]
    assert np.array_equal(np.concatenate([a.cameras.c2w for a in ahead]), path.c2w)
    assert sum(len(session.extend(a).frames) for a in ahead) == 25


def test_a_fork_goes_on_alike_and_leaves_the_other_as_it_was(pipe: Any) -> None:
    session = begin(pipe)
    first = path_after(session, 2, session.context.cameras)
    session.extend(first)
    fork = session.fork()
    left = path_after(session, 3, first, "left")
    right = path_after(session, 3, first, "right")
    elsewhere = fork.extend(left)
    here = session.extend(right)
    assert (elsewhere.latents - here.latents).abs().max() > 1e-4
    plain = begin(pipe)
    plain.extend(first)
    assert torch.equal(plain.extend(right).latents, here.latents)
    assert len(fork.bank) == len(session.bank) == 8


def test_a_saved_session_goes_on_bit_for_bit(pipe: Any, tmp_path: Path) -> None:
    session = begin(pipe)
    first = path_after(session, 2, session.context.cameras)
    session.extend(first)
    session.save(tmp_path / "s")
    second = path_after(session, 2, first)
    expected = session.extend(second)
    loaded = Session.load(pipe, tmp_path / "s")
    found = loaded.extend(second)
    assert torch.equal(found.latents, expected.latents) and np.array_equal(found.frames, expected.frames)
    session.save(tmp_path / "s")  # over the old one
    assert Session.load(pipe, tmp_path / "s").chunks == 2
    assert len(list((tmp_path / "s").iterdir())) == 2


def test_a_damaged_session_is_refused(pipe: Any, tmp_path: Path) -> None:
    session = begin(pipe)
    session.extend(path_after(session, 1, session.context.cameras))
    folder = session.save(tmp_path / "s")
    tensors = next(folder.glob("*.safetensors"))
    content = bytearray(tensors.read_bytes())
    content[-5] ^= 255
    tensors.write_bytes(content)
    with pytest.raises(OutOfSightError, match="no whole session"):
        Session.load(pipe, folder)
    with pytest.raises(OutOfSightError, match=r"session\.json"):
        Session.load(pipe, tmp_path / "nothing")


def test_cameras_that_do_not_fit_are_refused_before_anything_runs(pipe: Any) -> None:
    session = begin(pipe)
    context, target = cameras()
    with pytest.raises(GeometryError, match="4 n"):
        session.extend(target[:3])
    with pytest.raises(CameraError, match="a pose every 3 frames"):
        session.extend(CameraPath(np.repeat(np.eye(4)[None], 4, 0), fps=context.fps, frame_stride=3))
    assert len(session.bank) == 0
    session.extend(path_after(session, 1, context))
    if session.streams:
        with pytest.raises(GeometryError, match="frame before it"):
            session.extend(target[:5])


def test_noise_of_a_chunk_is_a_function_of_seed_and_number() -> None:
    shape = (1, 2, 3, 4, 5)
    first = torch.randn(shape, generator=torch.Generator().manual_seed(7))
    assert torch.equal(chunk_noise(7, 0, shape), first)
    assert torch.equal(chunk_noise(7, 2, shape), chunk_noise(7, 2, shape))
    assert not torch.equal(chunk_noise(7, 2, shape), chunk_noise(7, 1, shape))
    assert not torch.equal(chunk_noise(8, 1, shape), chunk_noise(7, 1, shape))


def test_a_bank_grows_by_pages_and_gives_back_what_was_put_in() -> None:
    bank, poses = Bank(page=4), np.repeat(np.eye(4)[None], 11, 0)
    poses[:, 0, 3] = np.arange(11)
    latents = torch.randn(2, 11, 3, 3)
    for cut in (slice(0, 3), slice(3, 4), slice(4, 11)):
        bank.append(latents[:, cut], poses[cut], None, cut.start > 0)
    assert torch.equal(bank.latents(), latents) and torch.equal(bank.latents(2, 9), latents[:, 2:9])
    assert [list(page) for page in bank.pages()] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    fork = bank.fork()
    fork.append(latents[:, :2], poses[:2], None, True)
    bank.append(latents[:, 5:6], poses[5:6], None, True)
    assert torch.equal(bank.latents(11, 12), latents[:, 5:6]) and torch.equal(fork.latents(11, 12), latents[:, :1])
    assert torch.equal(fork.latents(0, 11), latents)
    with pytest.raises(GeometryError, match="3 latent frames and 2 poses"):
        bank.append(latents[:, :3], poses[:2], None, True)


def test_a_seed_that_no_generator_takes_is_refused(pipe: Any) -> None:
    context, _ = cameras()
    for seed in (-1, 2**63):
        with pytest.raises(OutOfSightError, match="expected 0"):
            pipe.session(frames(), context, "a dog walks", OPTIONS, seed=seed)


def test_a_session_is_loaded_after_chunks_of_any_length(pipe: Any, tmp_path: Path) -> None:
    """The frames that it looks back on may be of a count that no clip has."""
    session = begin(pipe)
    first = path_after(session, 1, session.context.cameras)
    session.extend(first)
    session.save(tmp_path / "s")
    second = path_after(session, 2, first)
    expected = session.extend(second)
    found = Session.load(pipe, tmp_path / "s").extend(second)
    assert torch.equal(found.latents, expected.latents) and np.array_equal(found.frames, expected.frames)


@pytest.mark.parametrize(
    "told",
    [
        {"chunks": -1}, {"chunks": 1.5}, {"context_frames": 10**6}, {"context_frames": -3}, {"seed": 2**70},
        {"prompt": 5}, {"options": {"steps": 10**12}}, {"options": []}, {"framing": {"size": [0, 0]}}, {"framing": {}},
        {"decoder": {"x": 1}}, {"frame_stride": 0}, {"frame_stride": 4}, {"fps": "1"}, {"horizontal_fov": 1e300},
        {"file": "../s.safetensors"}, {"file": ["a"]}, {"file": ".."}, {"tensors": None},
    ],
)  # fmt: skip
def test_a_session_that_somebody_else_wrote_is_held_against_its_types(tmp_path: Path, told: dict[str, Any]) -> None:
    pipe = small_pipeline(**CAUSAL)
    session = begin(pipe)
    session.extend(path_after(session, 1, session.context.cameras))
    file = session.save(tmp_path / "s") / "session.json"
    record = json.loads(file.read_text())
    for name, value in told.items():
        merged = isinstance(value, dict) and value and name != "decoder"
        record[name] = {**record[name], **value} if merged else value
    file.write_text(json.dumps(record))
    with pytest.raises(OutOfSightError):
        Session.load(pipe, tmp_path / "s")


def test_a_chunk_whose_pixels_are_not_finite_leaves_the_session_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = small_pipeline(**CAUSAL)
    session, plain = begin(pipe), begin(pipe)
    path = path_after(session, 1, session.context.cameras)
    with monkeypatch.context() as patch:
        patch.setattr("outofsight.session.denormalised", lambda vae, latents: latents * torch.nan)
        with pytest.raises(OutOfSightError, match="NaN"):
            session.extend(path)
    assert np.array_equal(session.extend(path).frames, plain.extend(path).frames)


def test_tiles_are_refused_before_a_second_chunk_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = small_pipeline(**CAUSAL)
    pipe.enable_vae_tiling()
    session = begin(pipe)
    first = path_after(session, 1, session.context.cameras)
    session.extend(first)
    monkeypatch.setattr("outofsight.session.denoise", lambda *_, **__: pytest.fail("it was sampled"))
    with pytest.raises(OutOfSightError, match="in tiles"):
        session.extend(path_after(session, 1, first))


def test_a_chunk_that_was_not_decoded_ends_the_session(pipe: Any, tmp_path: Path) -> None:
    session = begin(pipe)
    first = path_after(session, 2, session.context.cameras)
    session.extend(first, decode=False)
    second = path_after(session, 2, first)
    for left in (session, Session.load(pipe, session.save(tmp_path / "s"))):
        with pytest.raises(OutOfSightError, match="was not decoded"):
            left.extend(second)


@pytest.mark.parametrize("change", ["shape", "missing", "more", "word", "dtype"])
def test_what_a_decoder_keeps_is_held_against_the_vae(tmp_path: Path, change: str) -> None:
    pipe = small_pipeline(**CAUSAL)
    session = begin(pipe)
    session.extend(path_after(session, 1, session.context.cameras))
    file = session.save(tmp_path / "s") / "000001-session.safetensors"
    record, tensors = read_saved(tmp_path / "s", FORMAT)
    one = tensors["decoder.3"]
    expected = f"float32 {list(one.shape)}"
    changes: dict[str, Any] = {
        "shape": {"decoder.3": one[..., :-1]}, "missing": {}, "more": {"decoder.3": one, "decoder.99": one.clone()},
        "word": {"decoder.3": one}, "dtype": {"decoder.3": one.double()},
    }  # fmt: skip
    kept = {name: x for name, x in tensors.items() if name != "decoder.3"} | changes[change]
    if change == "word":
        record["decoder"] = dict.fromkeys(record["decoder"], "Other")
    write_saved(tmp_path / "s", "000001", record, kept)
    told = {
        "shape": rf"decoder\.3 is float32 .*, and this model's VAE keeps {re.escape(expected)}",
        "missing": rf"decoder\.3 is nothing, and this model's VAE keeps {re.escape(expected)}",
        "more": r"decoder\.99 is float32 .*keeps nothing", "word": "is 'Other', .*keeps 'Rep'",
        "dtype": rf"decoder\.3 is float64 .*keeps {re.escape(expected)}",
    }  # fmt: skip
    with pytest.raises(OutOfSightError, match=f"{re.escape(file.name)}: .*{told[change]} there after 1 latent frames"):
        Session.load(pipe, tmp_path / "s")


def test_a_session_of_another_grid_of_latents_is_not_decoded_on(tmp_path: Path) -> None:
    """All that a decoder keeps fits a session of as many latents, of another size alone."""
    pipe = small_pipeline(**CAUSAL)
    session, wide = begin(pipe), begin(pipe, width=32)
    for one in (session, wide):
        one.extend(path_after(one, 2, one.context.cameras))
    _, foreign = read_saved(wide.save(tmp_path / "wide"), FORMAT)
    record, tensors = read_saved(session.save(tmp_path / "s"), FORMAT)
    foreign = {name: x for name, x in foreign.items() if name.startswith("decoder.")}
    write_saved(tmp_path / "s", "000001", record, tensors | foreign)
    with pytest.raises(OutOfSightError, match="after 2 latent frames of 4x6: it is of another model"):
        Session.load(pipe, tmp_path / "s")


def test_each_frame_keeps_its_lens_through_extend_save_and_load(tmp_path: Path) -> None:
    """A model that takes no lens may be given a zoom; what the session looks back on has it still."""
    pipe = small_pipeline()
    context, _ = cameras()
    zoom = np.tile([1.0, 1.5, 0.5, 0.5], (len(context), 1)) * np.linspace(1, 2, len(context))[:, None] ** [1, 1, 0, 0]
    session = pipe.session(
        frames(), context.with_intrinsics(zoom), "a dog walks", OPTIONS, seed=3, negative_prompt="static"
    )
    first = path_after(session, 2, context).with_fov(60.0)
    session.extend(first)
    fixed = first.intrinsics_for(*frames().shape[1:3])
    expected = np.concatenate([zoom, fixed])[-len(session.context.cameras) :]
    assert np.array_equal(session.context.cameras.intrinsics, expected)
    found = Session.load(pipe, session.save(tmp_path / "s"))
    assert np.array_equal(found.context.cameras.intrinsics, expected)
    assert found.context.horizontal_fov == session.context.horizontal_fov == 60.0
    second = path_after(session, 2, first).with_intrinsics(zoom[:5])
    one, two = session.extend(second), found.extend(second)
    assert np.array_equal(one.frames, two.frames)
    for left in (session, found):
        assert np.array_equal(left.context.cameras.intrinsics[-10:], np.concatenate([fixed, zoom[:5]]))


def test_a_model_that_takes_one_lens_refuses_a_zoom_and_keeps_a_lens_that_does_not() -> None:
    pipe = small_pipeline(memory="fov", memory_options={"top_k": 1})
    context, _ = cameras()
    context = context.with_intrinsics(np.array([1.0, 1.4, 0.5, 0.49]))  # no square pixels
    session = pipe.session(frames(), context, "a dog walks", OPTIONS, seed=3, negative_prompt="static")
    first = path_after(session, 2, context).with_fov(context.horizontal_fov)
    session.extend(first)
    assert session.context.cameras.intrinsics[-6].tolist() == [1.0, 1.4, 0.5, 0.49]
    session.check(path_after(session, 2, first))  # the same lens, but for rounding
    zoom = np.tile([1.0, 1.5, 0.5, 0.5], (5, 1)) * np.linspace(1, 2, 5)[:, None] ** [1, 1, 0, 0]
    with pytest.raises(CameraError, match=r"the target cameras zoom .* and this model takes one field of view"):
        session.extend(path_after(session, 2, first).with_intrinsics(zoom))


def test_a_lens_that_is_known_of_a_part_alone_is_not_made_up() -> None:
    pipe = small_pipeline()
    context, _ = cameras()
    session = begin(pipe)
    zoom = np.tile([1.0, 1.5, 0.5, 0.5], (5, 1)) * np.linspace(1, 2, 5)[:, None] ** [1, 1, 0, 0]
    session.extend(path_after(session, 2, context).with_intrinsics(zoom))
    assert not session.context.cameras.has_lens and len(session.context.cameras) == 13


def test_a_chunk_behind_one_that_was_not_decoded_is_refused_whatever_was_decoded_before(tmp_path: Path) -> None:
    session = begin(small_pipeline(**CAUSAL))
    first = path_after(session, 1, session.context.cameras)
    session.extend(first)
    second = path_after(session, 1, first)
    session.extend(second, decode=False)
    with pytest.raises(OutOfSightError, match="was not decoded"):
        session.extend(path_after(session, 1, second))
