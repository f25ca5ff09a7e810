"""The pipeline: what it computes, what it refuses before computing, how it is saved, loaded, stopped and resumed."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from outofsight.cameras import CameraPath, relative_pose_vectors
from outofsight.components.codec import VideoGeometry, decode_latents, encode_video
from outofsight.components.prompts import WAN_NEGATIVE_PROMPT, clean_text
from outofsight.errors import CameraError, CheckpointError, GeometryError, OutOfSightError, PromptError, VideoError
from outofsight.pipeline import GenerationInterrupted, WorldModelPipeline
from outofsight.sampling import DenoiseStep, denoise
from pipelines import FRAMES, HEIGHT, NEGATIVE, WIDTH, cameras, run_inputs, shared_pipeline, small_pipeline

GEOMETRY = VideoGeometry(4, (8, 8), (1, 2, 2))


# --- what it computes -----------------------------------------------------------------------------------------


def test_a_run_is_its_parts_put_together() -> None:
    """Encode, draw, embed, denoise, decode: done here by hand with diffusers' and torch's own pieces."""
    pipe, given = shared_pipeline(), run_inputs()
    out = pipe(**given, seed=3)

    vae = pipe.vae
    mean, std = (torch.tensor(x).view(1, 16, 1, 1, 1) for x in (vae.config.latents_mean, vae.config.latents_std))
    pixels = torch.from_numpy(given["context_video"]).float().permute(3, 0, 1, 2)[None] / 127.5 - 1
    with torch.no_grad():
        source = (vae.encode(pixels).latent_dist.mean - mean) / std
        text = []
        for prompt in (given["prompt"], NEGATIVE):
            ids = torch.tensor([[*(byte + 3 for byte in prompt.encode()), 1]])  # ByT5: bytes after 3 specials, </s>
            embedded = pipe.text_encoder(ids).last_hidden_state
            text.append(torch.nn.functional.pad(embedded, (0, 0, 0, 64 - ids.shape[1])))
        poses = relative_pose_vectors(given["context_cameras"], given["target_cameras"])
        noise = torch.randn((1, 16, 3, HEIGHT // 8, WIDTH // 8), generator=torch.Generator().manual_seed(3))
        latents = denoise(
            pipe.transformer,
            source,
            noise,
            *text,
            poses[0][None],
            poses[1][None],
            steps=3,
            guidance=5.0,
            shift=5.0,
        )
        video = vae.decode(latents * std + mean).sample[0].permute(1, 2, 3, 0)
    torch.testing.assert_close(out.latents, latents, rtol=1e-4, atol=1e-4)
    levels = ((video + 1) * 127.5).clamp(0, 255)
    assert out.frames is not None
    assert out.frames.dtype == np.uint8
    assert out.frames.shape == (FRAMES, HEIGHT, WIDTH, 3)
    assert np.abs(out.frames - levels.numpy()).max() <= 0.51
    assert out.seed == 3
    assert set(out.seconds) == {"encode_video", "encode_text", "denoise", "decode_video"}


def test_seed_decides_the_noise_and_is_told() -> None:
    pipe, given = shared_pipeline(), {**run_inputs(), "num_inference_steps": 1, "output_type": "latent"}
    drawn = pipe(**given)
    assert drawn.frames is None
    assert torch.equal(pipe(**given, seed=drawn.seed).latents, drawn.latents)
    assert not torch.equal(pipe(**given, seed=drawn.seed + 1).latents, drawn.latents)
    own = pipe(**given, generator=torch.Generator().manual_seed(drawn.seed))
    assert own.seed is None
    assert torch.equal(own.latents, drawn.latents)
    with pytest.raises(ValueError, match="both seed"):
        pipe(**given, seed=1, generator=torch.Generator())


def test_every_input_matters() -> None:
    pipe, given = (
        shared_pipeline(),
        {**run_inputs(), "seed": 1, "num_inference_steps": 1, "output_type": "latent"},
    )
    before = pipe(**given).latents
    changes = {
        "prompt": "a cat sits",
        "negative_prompt": "sharp",
        "guidance_scale": 2.0,
        "context_video": given["context_video"][::-1],
        "target_cameras": CameraPath.from_string("left-3@9", start=given["context_cameras"]),
        "context_cameras": CameraPath.from_string("left-3@9"),
    }
    for name, value in changes.items():
        assert not torch.equal(pipe(**{**given, name: value}).latents, before), name


def test_target_may_be_shorter_or_longer_than_the_context() -> None:
    pipe, given = shared_pipeline(), {**run_inputs(), "num_inference_steps": 1}
    longer = CameraPath.from_string("right-5", start=given["context_cameras"])
    assert pipe(**{**given, "target_cameras": longer}).frames.shape[0] == 17
    assert pipe(**{**given, "target_cameras": longer}, target_frames=5).frames.shape[0] == 5
    one = pipe(**{**given, "context_video": given["context_video"][-1:], "context_cameras": longer[-1:]})
    assert one.frames.shape[0] == FRAMES


def test_frames_are_fitted_to_an_asked_size() -> None:
    out = shared_pipeline()(**{**run_inputs(), "num_inference_steps": 1}, height=16, width=32)
    assert out.frames.shape[1:3] == (16, 32)


def test_cameras_at_latent_rate_are_the_same_run() -> None:
    pipe, given = shared_pipeline(), {**run_inputs(), "num_inference_steps": 1, "seed": 0}
    thinned = {name: given[name][::4] for name in ("context_cameras", "target_cameras")}
    assert np.array_equal(pipe(**given).frames, pipe(**{**given, **thinned}).frames)


def test_trace_is_returned_when_asked_for() -> None:
    given = {**run_inputs(), "output_type": "latent"}
    trace = shared_pipeline()(**given, trace=True).trace
    assert trace is not None
    assert trace.arrays()["picks"].shape[:2] == (3, 2)  # steps, blocks
    assert shared_pipeline()(**given).trace is None


def test_prompts_are_encoded_once() -> None:
    pipe = small_pipeline()
    calls: list[int] = []
    pipe.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    given = {**run_inputs(), "num_inference_steps": 1, "output_type": "latent"}
    for prompt in ("a", "b", "a"):
        pipe(**{**given, "prompt": prompt})
    assert len(calls) == 3  # two prompts and the negative one
    for number in range(9):
        pipe(**{**given, "prompt": str(number)})
    assert len(pipe._prompts) <= 4


def test_no_guidance_leaves_the_negative_prompt_alone() -> None:
    given = {**run_inputs(), "seed": 0, "guidance_scale": 1.0, "output_type": "latent"}
    one, other = (shared_pipeline()(**{**given, "negative_prompt": text}).latents for text in ("x", "y"))
    assert torch.equal(one, other)


def test_reference_numerics_are_bfloat16_throughout() -> None:
    pipe, given = small_pipeline(), {**run_inputs(), "num_inference_steps": 1}
    with pytest.raises(ValueError, match=r"pipe\.to\(torch\.bfloat16\)"):
        pipe(**given, numerics="reference")
    out = pipe.to(torch.bfloat16)(**given, numerics="reference", seed=0)
    assert out.latents.dtype == torch.bfloat16
    assert pipe(**given, numerics="accurate", seed=0).latents.dtype == torch.float32


def test_decoding_rounds_or_cuts() -> None:
    vae, latents = shared_pipeline().vae, torch.randn(1, 16, 2, 4, 6)
    with torch.no_grad():
        rounded, cut = decode_latents(vae, latents), decode_latents(vae, latents, truncate=True)
    difference = rounded.astype(int) - cut
    assert set(np.unique(difference)) == {0, 1}


def test_bars_count_latent_frames_and_change_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # to rich, a terminal
    monkeypatch.setenv("COLUMNS", "100")
    vae, video = shared_pipeline().vae, run_inputs()["context_video"]
    with torch.no_grad():
        quiet = encode_video(vae, video, "cpu")
        assert capsys.readouterr().err == ""
        latents = encode_video(vae, video, "cpu", progress=True)
        said = capsys.readouterr().err
        assert torch.equal(quiet, latents)
        assert "encoding" in said
        assert f"/{latents.shape[2]}" in said
        decode_latents(vae, latents, progress=True)
    assert "decoding" in capsys.readouterr().err
    assert not vae.decoder._forward_hooks


def test_encoding_restarts_with_every_video() -> None:
    """The causal VAE's first latent frame depends on the first video frame alone, and nothing is carried over."""
    vae, video = shared_pipeline().vae, run_inputs()["context_video"]
    with torch.no_grad():
        whole, first, again = (encode_video(vae, part, "cpu") for part in (video, video[:1], video))
    torch.testing.assert_close(whole[:, :, :1], first)
    assert torch.equal(whole, again)


# --- what it refuses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"context_video": np.zeros((10, 32, 48, 3), np.uint8)}, GeometryError, "9 and 13"),
        ({"context_video": np.zeros((9, 40, 48, 3), np.uint8)}, GeometryError, "32 x 48 and 48 x 48"),
        ({"context_video": np.zeros((9, 32, 48, 3), np.float32)}, VideoError, "uint8"),
        ({"context_video": np.zeros((9, 32, 48), np.uint8)}, VideoError, "height, width, 3"),
        ({"context_video": np.zeros((5, 32, 48, 3), np.uint8)}, CameraError, "5 frames and the context cameras"),
        ({"target_frames": 13}, CameraError, "13 target frames"),
        ({"target_frames": 8}, GeometryError, "5 and 9"),
        ({"prompt": "x" * 64}, PromptError, "65 tokens and the text encoder takes 64"),
        ({"horizontal_fov": 200.0}, CameraError, "between 0 and 180"),
        ({"output_type": "pil"}, ValueError, "uint8"),
        ({"numerics": "exact"}, ValueError, "reference"),
    ],
)  # fmt: skip
def test_refusals_come_before_any_network(change: dict, error: type[Exception], words: str) -> None:
    pipe = shared_pipeline()

    def ran(*_: object) -> None:
        raise AssertionError("a network ran")

    hooks = [part.register_forward_pre_hook(ran) for part in (pipe.text_encoder, pipe.transformer, pipe.vae.encoder)]
    try:
        with pytest.raises(error, match=words):
            pipe(**{**run_inputs(), **change})
    finally:
        for hook in hooks:
            hook.remove()


def test_field_of_view_is_asked_for_and_never_guessed() -> None:
    pipe = small_pipeline(memory="fov", memory_options={"top_k": 1})
    given = {**run_inputs(), "num_inference_steps": 1, "output_type": "latent"}
    with pytest.raises(CameraError, match="view overlap"):
        pipe(**given)
    assert pipe(**given, horizontal_fov=60.0).latents.isfinite().all()
    lens = {name: replace(given[name], horizontal_fov=f) for name, f in zip(
        ("context_cameras", "target_cameras"), (50.0, 60.0), strict=True)}  # fmt: skip
    with pytest.raises(CameraError, match=r"50\.0 and 60\.0"):
        pipe(**{**given, **lens})
    session = pipe.session(
        given["context_video"], lens["context_cameras"], "a", negative_prompt="", horizontal_fov=70.0
    )
    session.check(lens["target_cameras"])
    assert session.context.horizontal_fov == 70.0


@settings(max_examples=60, deadline=None)
@given(frames=st.integers(-3, 400), patch=st.integers(1, 3))
def test_nearest_frame_counts_are_valid_and_nearest(frames: int, patch: int) -> None:
    geometry = VideoGeometry(4, (8, 8), (patch, 2, 2))
    valid = [geometry.video_frames(n) for n in range(patch, 150, patch)]
    try:
        latents = geometry.latent_frames(frames)
    except GeometryError as error:
        assert frames not in valid
        named = [int(word) for word in str(error).split("nearest are")[1].split() if word.isdigit()]
        below = max((n for n in valid if n < frames), default=None)
        assert named == [n for n in (below, min(n for n in valid if n > frames)) if n is not None]
    else:
        assert frames in valid
        assert geometry.video_frames(latents) == frames


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 500), width=st.integers(1, 500))
def test_nearest_sizes_are_valid(height: int, width: int) -> None:
    try:
        assert GEOMETRY.latent_size(height, width) == (height // 8, width // 8)
    except GeometryError as error:
        named = [word for word in str(error).split("nearest are")[1].split() if word.isdigit()]
        for h, w in zip(named[::2], named[1::2], strict=True):
            GEOMETRY.latent_size(int(h), int(w))


def test_text_is_cleaned_as_wan_cleans_it() -> None:
    assert clean_text("  a &amp;amp; b\n\tc  ") == "a & b c"
    assert clean_text("donâ€™t") == "don't"
    assert WAN_NEGATIVE_PROMPT.startswith("色调艳丽，过曝，静态")
    assert WAN_NEGATIVE_PROMPT.endswith("背景人很多，倒着走")


# --- Ctrl-C ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["denoise", "decode"])
def test_an_interrupted_run_resumes_to_the_same_pixels(part: str) -> None:
    pipe, given = small_pipeline(), {**run_inputs(), "seed": 5}
    whole = pipe(**given)

    def stop(step: DenoiseStep) -> None:
        if step.step == 1:
            signal.raise_signal(signal.SIGINT)

    hook = pipe.vae.decoder.register_forward_pre_hook(lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with pytest.raises(GenerationInterrupted) as caught:
            pipe(**given, callback=stop if part == "denoise" else None)
    finally:
        hook.remove()
    partial = caught.value.partial
    assert (partial.step, partial.steps, partial.seed) == (2 if part == "denoise" else 3, 3, 5)
    resumed = pipe(**{**given, "seed": None}, resume=partial)
    assert torch.equal(resumed.latents, whole.latents)
    assert np.array_equal(resumed.frames, whole.frames)
    assert resumed.seed == 5
    with pytest.raises(GeometryError, match="resume"):
        pipe(**{**given, "num_inference_steps": 4}, resume=partial)
    with pytest.raises(OutOfSightError, match="begun with 5"):
        pipe(**{**given, "seed": 99}, resume=partial)


def test_kept_prompts_are_forgotten_when_the_text_encoder_changes() -> None:
    pipe, given = small_pipeline(), {**run_inputs(), "seed": 5, "num_inference_steps": 1, "output_type": "latent"}
    before = pipe(**given).latents
    assert torch.equal(pipe(**given).latents, before)
    with torch.no_grad():
        for parameter in pipe.text_encoder.parameters():
            parameter.mul_(1.5)
    after = pipe(**given).latents
    assert not torch.equal(after, before)
    pipe._prompts.clear()
    assert torch.equal(pipe(**given).latents, after)


# --- saved and loaded -----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small_pipeline().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_save_and_load_round_trip(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    assert index["transformer"] == ["outofsight.models.transformer", "WorldTransformer3DModel"]
    assert index["max_text_tokens"] == 64
    given = {**run_inputs(), "seed": 2}
    loaded = WorldModelPipeline.from_pretrained(folder)
    # not bit by bit: where tensors lie in memory decides which kernels multiply them
    expected = small_pipeline()(**given).latents
    torch.testing.assert_close(loaded(**given).latents, expected, rtol=1e-4, atol=1e-4)
    half = WorldModelPipeline.from_pretrained(str(folder), torch_dtype=torch.bfloat16)
    assert half.transformer.dtype == torch.bfloat16
    assert half.transformer.scale_shift_table.dtype == torch.float32  # diffusers keeps it so
    assert half(**given).frames.shape == (FRAMES, HEIGHT, WIDTH, 3)


def test_outline_checks_inputs_without_weights(folder: Path) -> None:
    outline = WorldModelPipeline.outline(folder)
    assert {p.device.type for p in outline.transformer.parameters()} == {"meta"}
    context, target = cameras()
    checked = outline.session(run_inputs()["context_video"], context, "a dog", negative_prompt="b")
    assert checked.check(target).latents == 3 and checked.context.grid == (HEIGHT // 8, WIDTH // 8)
    with pytest.raises(PromptError):
        outline.session(run_inputs()["context_video"], context, "x" * 99, negative_prompt="b")


def _edit(file: Path, change: str) -> None:
    tensors = load_file(file)
    name = next(name for name in sorted(tensors) if tensors[name].ndim >= 2)
    if change == "missing":
        del tensors[name]
    elif change == "unexpected":
        tensors["another.weight"] = torch.zeros(1)
    elif change == "shape":
        tensors[name] = tensors[name][:-1].clone()
    save_file(tensors, file)


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder"])
@pytest.mark.parametrize("change", ["missing", "unexpected", "shape"])
def test_weights_that_do_not_fit_are_refused(folder: Path, part: str, change: str) -> None:
    """diffusers would fill what is missing with random numbers and go on."""
    file = next((folder / part).glob("*.safetensors"))
    _edit(file, change)
    with pytest.raises(CheckpointError, match=change) as caught:
        WorldModelPipeline.from_pretrained(folder)
    assert str(folder / part) in str(caught.value)


def _truncate(folder: Path) -> None:
    file = next((folder / "transformer").glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-100])


def _garble(folder: Path) -> None:
    next((folder / "vae").glob("*.safetensors")).write_bytes(b"\x08\0\0\0\0\0\0\0notjson!")


def _pickle(folder: Path) -> None:
    file = next((folder / "transformer").glob("*.safetensors"))
    torch.save(load_file(file), folder / "transformer" / "diffusion_pytorch_model.bin")
    file.unlink()


def _drop_part(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder / "tokenizer")


def _drop_index(folder: Path) -> None:
    (folder / "model_index.json").unlink()


def _spoil_config(folder: Path) -> None:
    (folder / "transformer" / "config.json").write_text('{"memory": "elephant"}')


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_truncate, "truncated"),
        (_garble, "not safetensors"),
        (_pickle, r"no \.safetensors"),
        (_drop_part, "no folder 'tokenizer'"),
        (_drop_index, "outofsight convert"),
        (_spoil_config, "elephant"),
    ],
)
def test_damaged_folders_are_refused(folder: Path, damage: object, words: str) -> None:
    damage(folder)  # type: ignore[operator]
    with pytest.raises(CheckpointError, match=words):
        WorldModelPipeline.from_pretrained(folder)


def test_a_model_brings_its_own_sampling_settings(tmp_path: Path) -> None:
    own = {"num_inference_steps": 2, "guidance_scale": 1.0, "shift": 2.0}
    before = shared_pipeline()
    WorldModelPipeline(**before.components, max_text_tokens=64, **own).save_pretrained(tmp_path)
    inputs = {**run_inputs(), "seed": 3, "output_type": "latent"}
    del inputs["num_inference_steps"]
    for pipe in (WorldModelPipeline.from_pretrained(tmp_path), WorldModelPipeline.outline(tmp_path)):
        assert {name: pipe.config[name] for name in own} == own
    pipe = WorldModelPipeline.from_pretrained(tmp_path)
    torch.testing.assert_close(pipe(**inputs).latents, before(**inputs, **own).latents, rtol=1e-5, atol=1e-5)
    other = pipe(**inputs, shift=6.0).latents
    torch.testing.assert_close(other, before(**inputs, **{**own, "shift": 6.0}).latents, rtol=1e-5, atol=1e-5)
    assert (other - pipe(**inputs).latents).abs().max() > 1e-3


def test_names_that_mean_no_model(tmp_path: Path) -> None:
    for name, words in (
        ("tall", "ships no model of that name"),
        ("no/such/folder", "no such model folder"),
        (str(tmp_path / "x"), "no such model folder"),
    ):
        with pytest.raises(CheckpointError, match=words):
            WorldModelPipeline.from_pretrained(name)
    (tmp_path / "hydra.ckpt").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="outofsight convert"):
        WorldModelPipeline.from_pretrained(tmp_path / "hydra.ckpt")
    with pytest.raises(CheckpointError, match="no preset"):
        WorldModelPipeline.from_preset("huge")


def test_a_hub_id_says_that_it_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline, so that nothing is fetched: the warning comes first, then an error that names the id."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with (
        pytest.warns(UserWarning, match="downloaded now"),
        pytest.raises(CheckpointError, match="nobody/no-such-model"),
    ):
        WorldModelPipeline.from_pretrained("nobody/no-such-model")
    with pytest.raises(CheckpointError, match="local cache"):
        WorldModelPipeline.from_pretrained("nobody/no-such-model", local_files_only=True)


def test_a_hub_model_in_the_cache_is_found_there(folder: Path, tmp_path: Path) -> None:
    import shutil

    cached = tmp_path / "hub" / "models--somebody--small"
    shutil.copytree(folder, cached / "snapshots" / ("0" * 40))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0" * 40)
    where = {"local_files_only": True, "cache_dir": tmp_path / "hub"}
    pipe = WorldModelPipeline.from_pretrained("somebody/small", **where)
    assert pipe(**{**run_inputs(), "num_inference_steps": 1}).frames.shape[0] == FRAMES


# --- switches -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transformer", [{}, {"context_timestep": "clean", "context_attention": "context_only"}])
def test_group_offload_gives_the_same_latents(tmp_path: Path, transformer: dict) -> None:
    """Offloaded to disk, so that a layer used behind its hook's back would compute with nothing.

    Without the text encoder, whose embedding has two names: diffusers' disk offload saves it after it is gone.
    """
    plain, offloaded = small_pipeline(**transformer), small_pipeline(**transformer)
    offloaded.enable_group_offload(
        torch.device("cpu"),
        offload_type="leaf_level",
        offload_to_disk_path=str(tmp_path),
        exclude_modules=["text_encoder"],
    )
    given = {**run_inputs(), "seed": 0}
    expected = plain(**given)
    for _ in range(2):
        again = offloaded(**given)
        torch.testing.assert_close(again.latents, expected.latents, rtol=1e-4, atol=1e-4)
        assert np.abs(again.frames.astype(int) - expected.frames).max() <= 1


def test_model_offload_moves_one_part_at_a_time() -> None:
    """On the CPU nothing moves; what is held is the order in which the hooks are told."""
    pipe = small_pipeline(context_timestep="clean", context_attention="context_only")
    given = {**run_inputs(), "seed": 0}
    before = pipe(**given).frames
    pipe.enable_model_cpu_offload(device="cpu")
    told: list[str] = []

    def listen(hook: object, name: str) -> None:
        fetch, offload = hook.hook.pre_forward, hook.offload  # type: ignore[attr-defined]

        def fetched(*given: object, **named: object) -> object:
            told.append(f"{name} in")
            return fetch(*given, **named)

        def put_away() -> None:
            told.append(f"{name} out")
            offload()

        hook.hook.pre_forward, hook.offload = fetched, put_away  # type: ignore[attr-defined]

    names = {id(part): name for name, part in pipe.components.items()}
    for hook in pipe._all_hooks:
        listen(hook, names[id(hook.model)])
    assert np.array_equal(pipe(**given).frames, before)
    order = [word for i, word in enumerate(told) if i == 0 or told[i - 1] != word]
    assert order[:2] == ["vae in", "vae out"]  # before the text is encoded
    assert order.index("text_encoder in") < order.index("transformer in") < order.index("vae in", 1)


def test_backend_tiling_and_compile_reach_the_models() -> None:
    pipe = small_pipeline()
    pipe.enable_vae_tiling()
    assert pipe.vae.use_tiling
    pipe.set_attention_backend("_native_math")
    given = {**run_inputs(), "seed": 0}
    one, other = pipe(**given).latents, shared_pipeline()(**given).latents
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
    pipe.compile(backend="eager")
    torch.testing.assert_close(pipe(**given).latents, one, rtol=1e-3, atol=1e-3)
