"""The world transformer: any geometry, every mechanism, caching, noise levels, diffusers' machinery."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import CACHEABLE, MECHANISMS, narrow_inputs, narrow_model
from outofsight.errors import GeometryError, MemoryOptionError
from outofsight.memory import RetrievalTrace
from outofsight.models import WorldTransformer3DModel

INPUTS = ("pose", "rays", "anchors", "reprojection", "clock", "prope")
MODELS = {
    (name, kind): narrow_model(**options, **extra, conditioners=INPUTS)
    for name, options in MECHANISMS.items()
    for kind, extra in (("joint", {}), ("cacheable", CACHEABLE))
}


@given(
    context=st.integers(1, 9),
    target=st.integers(1, 9),
    grid=st.sampled_from([(1, 1), (1, 4), (2, 3), (5, 7), (4, 6)]),
    batch=st.integers(1, 3),
    which=st.sampled_from(sorted(MODELS)),
)
@settings(deadline=None, max_examples=80)
@torch.no_grad()
def test_any_geometry_with_every_mechanism(context, target, grid, batch, which) -> None:
    model = MODELS[which]
    inputs = narrow_inputs(context, target, grid, batch)
    trace = RetrievalTrace()
    fast = model(**inputs, trace=trace).sample
    assert fast.shape == inputs["hidden_states"].shape
    assert fast.isfinite().all()
    plain = model(**inputs, plain=True).sample
    torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-5)
    check_trace(trace, context, target, which)
    alone = model(**inputs, target_only=True).sample
    torch.testing.assert_close(alone, fast[:, :, context:], rtol=1e-4, atol=1e-5)
    if model.cacheable:
        cached = run_cached(model, inputs, context)
        torch.testing.assert_close(cached, fast[:, :, context:], rtol=0, atol=1e-6 * float(fast.abs().max()))
    # samples of a batch do not see each other (top-k ties aside, which random inputs do not have)
    if batch > 1:
        second = {name: value[1:2] for name, value in inputs.items() if name != "conditions"}
        alone = model(**second, conditions=inputs["conditions"].map(lambda x: x[1:2])).sample
        torch.testing.assert_close(fast[1:2], alone, rtol=1e-4, atol=1e-5)


def run_cached(model: WorldTransformer3DModel, inputs, context: int, **extra) -> torch.Tensor:
    cache = model.encode_context(
        inputs["hidden_states"][:, :, :context],
        inputs["context_poses"],
        inputs["target_poses"],
        conditions=inputs["conditions"],
    )
    target = inputs["hidden_states"][:, :, context:]
    return model(**{**inputs, "hidden_states": target}, context_cache=cache, **extra).sample


def check_trace(trace: RetrievalTrace, context: int, target: int, which) -> None:
    """What was recalled exists, is allowed, is the best by score, and covers frames of the clip."""
    for recall in trace.steps[0]:
        picks, sources = recall.picks.long(), recall.sources
        if not len(sources):
            assert picks.numel() == 0
            continue
        assert sources.min() >= 0
        assert sources.max() < context + target
        if which[1] == "cacheable":
            assert sources.max() < context
        if which[0] == "fov":
            continue
        for b in range(picks.shape[0]):
            for f in range(picks.shape[1]):
                chosen = picks[b, f][picks[b, f] >= 0]
                assert recall.selectable[f][chosen].all()
                assert len(chosen) == len(chosen.unique())
                left = recall.selectable[f].clone()
                left[chosen] = False
                if len(chosen) and left.any():
                    assert recall.scores[b, f][chosen].min() >= recall.scores[b, f][left].max()


# --- roles, noise levels, cameras ---------------------------------------------------------------------------


@torch.no_grad()
def test_a_context_that_never_sees_the_target_does_not_change_with_it() -> None:
    model = MODELS["hydra release", "cacheable"]
    inputs = narrow_inputs(5, 4, (3, 4))
    before = model(**inputs).sample
    inputs["hidden_states"][:, :, 5:] += 1
    inputs["timestep"] += 100
    inputs["encoder_hidden_states"] += 1
    after = model(**inputs).sample
    assert torch.equal(before[:, :, :5], after[:, :, :5])
    assert not torch.allclose(before[:, :, 5:], after[:, :, 5:])


@torch.no_grad()
def test_joint_context_does_see_the_target() -> None:
    model = MODELS["hydra release", "joint"]
    inputs = narrow_inputs(5, 4, (3, 4))
    before = model(**inputs).sample
    inputs["hidden_states"][:, :, 5:] += 1
    assert not torch.allclose(before[:, :, :5], model(**inputs).sample[:, :, :5])


@torch.no_grad()
def test_one_noise_level_equals_the_same_level_for_every_frame() -> None:
    model = MODELS["hydra release", "joint"]
    inputs = narrow_inputs(3, 4, (2, 3), batch=2)
    shared = model(**inputs).sample
    levels = inputs["timestep"][:, None].repeat(1, 7)
    per_frame = model(**{**inputs, "timestep": levels}).sample
    torch.testing.assert_close(shared, per_frame, rtol=1e-5, atol=1e-6)
    levels[:, 0] = 0
    assert not torch.allclose(shared, model(**{**inputs, "timestep": levels}).sample)


@torch.no_grad()
def test_clean_context_is_timestep_zero_for_context_frames() -> None:
    options = MECHANISMS["hydra release"]
    clean = narrow_model(**options, context_timestep="clean")
    shared = narrow_model(**options)
    shared.load_state_dict(clean.state_dict())
    inputs = narrow_inputs(3, 4, (2, 3))
    levels = torch.cat([torch.zeros(1, 3), inputs["timestep"].expand(1, 4)], dim=1)
    torch.testing.assert_close(
        clean(**inputs).sample, shared(**{**inputs, "timestep": levels}).sample, rtol=1e-5, atol=1e-6
    )


@torch.no_grad()
def test_poses_enter_by_role() -> None:
    model = MODELS["full", "joint"]
    inputs = narrow_inputs(2, 2, (2, 2))
    before = model(**inputs).sample
    for name in ("context_poses", "target_poses"):
        moved = {**inputs, name: inputs[name] + 0.1}
        assert not torch.allclose(before, model(**moved).sample)


@torch.no_grad()
def test_rays_of_the_centre_and_the_edges() -> None:
    from outofsight.memory import make_layout
    from outofsight.models.conditioners import square_intrinsics
    from outofsight.models.conditioners.rays import ray_directions

    poses = torch.eye(4)[:3].flatten().expand(1, 2, 12)
    lenses = square_intrinsics(90.0, 1, 2, (1, 3))
    layout = make_layout((1, 3), poses[:, :1], poses[:, 1:], torch.zeros(1, 2), lenses)
    rays = ray_directions(layout, range(2))
    torch.testing.assert_close(rays[0, 0, 1], torch.tensor([0.0, 0.0, 1.0]))
    # the right token's centre lies at 2/3 of tan(45 degrees)
    torch.testing.assert_close(rays[0, 0, 2, 0] / rays[0, 0, 2, 2], torch.tensor(2 / 3))
    with pytest.raises(GeometryError, match="horizontal field of view"):
        ray_directions(make_layout((1, 3), poses[:, :1], poses[:, 1:], torch.zeros(1, 2)), range(2))


@torch.no_grad()
def test_rays_turn_with_the_camera() -> None:
    from outofsight.memory import make_layout
    from outofsight.models.conditioners import square_intrinsics
    from outofsight.models.conditioners.rays import ray_directions

    # the second camera is turned by 90 degrees about y: its forward axis is the first one's x
    turned = torch.tensor([[0.0, 0, 1, 0], [0, 1, 0, 0], [-1, 0, 0, 0]]).flatten()
    poses = torch.stack([torch.eye(4)[:3].flatten(), turned])[None]
    lenses = square_intrinsics(90.0, 1, 2, (3, 3))
    layout = make_layout((3, 3), poses[:, :1], poses[:, 1:], torch.zeros(1, 2), lenses)
    rays = ray_directions(layout, range(2)).unflatten(2, (3, 3))
    torch.testing.assert_close(rays[0, 1, 1, 1], torch.tensor([1.0, 0.0, 0.0]))
    assert rays[0, 0, 2, 1, 1] > 0.4  # the lowest row looks down, and y points down
    assert rays[0, 1, 2, 1, 1] > 0.4
    assert rays[0, 1, 1, 2, 2] < -0.4  # right of the turned camera lies behind the first


@torch.no_grad()
def test_a_fresh_model_starts_as_wan_with_zero_cameras() -> None:
    model = WorldTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, text_dim=8, freq_dim=16, ffn_dim=32, num_layers=1
    )
    block = model.blocks[0]
    assert not block.conditioners.pose.context.weight.any()
    assert not block.conditioners.pose.target.bias.any()
    assert torch.equal(block.projector.weight, torch.eye(24))


@torch.no_grad()
def test_full_memory_equals_diffusers_wan() -> None:
    """With full attention and fresh additions the model is Wan itself."""
    from diffusers import WanTransformer3DModel

    sizes = {
        "num_attention_heads": 2, "attention_head_dim": 12, "in_channels": 4, "out_channels": 4,
        "text_dim": 8, "freq_dim": 16, "ffn_dim": 32, "num_layers": 2,
    }  # fmt: skip
    wan = WanTransformer3DModel(**sizes).eval()
    ours = WorldTransformer3DModel(**sizes, memory="full").eval()
    missing = ours.load_state_dict(wan.state_dict(), strict=False).missing_keys
    assert all(".conditioners.pose." in name or "projector" in name for name in missing)
    inputs = narrow_inputs(3, 2, (2, 3))
    expected = wan(inputs["hidden_states"], inputs["timestep"], inputs["encoder_hidden_states"]).sample
    torch.testing.assert_close(ours(**inputs).sample, expected, rtol=1e-4, atol=1e-5)


# --- training -----------------------------------------------------------------------------------------------


def test_gradient_checkpointing_changes_nothing() -> None:
    model = narrow_model(**MECHANISMS["hydra release"])
    inputs = narrow_inputs(3, 4, (3, 4), batch=2)
    gradients = []
    for checkpointing in (False, True):
        model.zero_grad()
        if checkpointing:
            model.enable_gradient_checkpointing()
        model(**inputs).sample.square().mean().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) > 40
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed, rtol=1e-5, atol=1e-7)


def test_target_only_keeps_gradients_and_traces_whole() -> None:
    model = narrow_model(**MECHANISMS["hydra release"])
    inputs = narrow_inputs(3, 4, (3, 4))
    trace = RetrievalTrace()
    out = model(**inputs, target_only=True, trace=trace).sample
    assert trace.arrays()["picks"].shape[3] == 7
    torch.testing.assert_close(out, model(**inputs).sample[:, :, 3:])
    out.square().mean().backward()
    assert model.blocks[1].conditioners.pose.context.weight.grad is not None


@pytest.mark.parametrize("which", sorted(MODELS))
def test_inference_without_gradients_equals_the_training_pass(which) -> None:
    model = MODELS[which]
    inputs = narrow_inputs(4, 3, (3, 5), batch=2)
    with torch.no_grad():
        quiet = model(**inputs).sample
    torch.testing.assert_close(quiet, model(**inputs).sample.detach(), rtol=1e-4, atol=1e-5)


# --- diffusers' machinery -----------------------------------------------------------------------------------


@torch.no_grad()
def test_saved_and_loaded_models_agree_in_config_and_output(tmp_path: Path) -> None:
    model = MODELS["hydra paper", "cacheable"]
    model.save_pretrained(tmp_path)
    loaded = WorldTransformer3DModel.from_pretrained(tmp_path)
    assert loaded.memory.options == model.memory.options
    assert loaded.config.context_attention == "context_only"
    inputs = narrow_inputs(4, 3, (3, 4))
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    # where weights lie in memory decides which kernel adds them up
    torch.testing.assert_close(loaded(**inputs).sample, model(**inputs).sample, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_attention_backends_of_diffusers_serve_it() -> None:
    model = narrow_model(**MECHANISMS["hydra release"])
    inputs = narrow_inputs(4, 4, (3, 4))
    before = model(**inputs).sample
    model.set_attention_backend("_native_math")
    assert model.blocks[0].attn1.processor._attention_backend is not None
    torch.testing.assert_close(model(**inputs).sample, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("which", [("hydra release", "joint"), ("hydra paper", "cacheable"), ("fov", "joint")])
@torch.no_grad()
def test_blocks_compile_whole(which) -> None:
    options = {**MECHANISMS[which[0]], **(CACHEABLE if which[1] == "cacheable" else {})}
    model = narrow_model(**options)
    inputs = narrow_inputs(4, 4, (3, 4))
    before = model(**inputs).sample
    torch.compiler.reset()
    model.compile_repeated_blocks(backend="eager", fullgraph=True)
    torch.testing.assert_close(model(**inputs).sample, before, rtol=1e-4, atol=1e-5)


def test_compiled_blocks_serve_clips_of_several_lengths() -> None:
    """The compiler then takes the numbers of frames for symbols."""
    model, clips = narrow_model(num_layers=1), [narrow_inputs(*halves, (2, 2)) for halves in ((3, 2), (4, 3))]
    before = [model(**inputs).sample for inputs in clips]
    torch.compiler.reset()
    model.compile_repeated_blocks(backend="eager")
    for inputs, expected in zip(clips, before, strict=True):
        torch.testing.assert_close(model(**inputs).sample, expected, rtol=1e-4, atol=1e-5)
    torch.compiler.reset()


def test_hooked_modules_see_every_call_and_keep_what_they_took() -> None:
    model = narrow_model(**MECHANISMS["full"])
    inputs = narrow_inputs(4, 4, (3, 4))
    taken: list[torch.Tensor] = []
    calls: list[str] = []
    block = model.blocks[0]
    block.ffn.register_forward_hook(lambda *_: calls.append("ffn"))
    block.ffn.net[2].register_forward_hook(lambda *_: calls.append("linear"))
    with torch.no_grad():
        before = model(**inputs).sample
        assert set(calls) == {"ffn", "linear"}
        block.attn1.register_forward_hook(lambda _m, _a, out: taken.append(out[0]))
        block.attn1.register_forward_hook(lambda _m, _a, out: taken.append(out[0].clone()))
        torch.testing.assert_close(model(**inputs).sample, before)
    assert torch.equal(*taken)


def test_sampling_under_inference_mode_leaves_training_possible() -> None:
    model = narrow_model(**MECHANISMS["hydra release"])
    inputs = narrow_inputs(4, 4, (3, 4))
    with torch.inference_mode():
        model(**inputs)
    model(**inputs).sample.square().mean().backward()
    assert model.blocks[0].attn1.to_q.weight.grad is not None


@torch.no_grad()
def test_fused_projections_change_nothing() -> None:
    model = narrow_model(**MECHANISMS["hydra release"])
    inputs = narrow_inputs(4, 4, (3, 4))
    before = model(**inputs).sample
    model.fuse_qkv_projections()
    torch.testing.assert_close(model(**inputs).sample, before, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_group_offload_works() -> None:
    model = narrow_model(**MECHANISMS["hydra release"])
    inputs = narrow_inputs(4, 4, (3, 4))
    before = model(**inputs).sample
    model.enable_group_offload(torch.device("cpu"), torch.device("cpu"), "block_level", num_blocks_per_group=1)
    torch.testing.assert_close(model(**inputs).sample, before)


@torch.no_grad()
def test_first_block_cache_knows_our_block() -> None:
    from diffusers import FirstBlockCacheConfig

    model = narrow_model(**MECHANISMS["hydra release"], num_layers=3)
    inputs = narrow_inputs(4, 4, (3, 4))
    before = model(**inputs).sample
    model.enable_cache(FirstBlockCacheConfig(threshold=0.0))
    with model.cache_context("denoise"):
        torch.testing.assert_close(model(**inputs).sample, before)
    model.disable_cache()


def test_lora_trains_through_the_memory() -> None:
    peft = pytest.importorskip("peft", reason="LoRA needs peft")
    model = narrow_model(**MECHANISMS["hydra release"])
    model.add_adapter(peft.LoraConfig(r=2, target_modules=["to_q", "to_v", "projector"]))
    model(**narrow_inputs(3, 3, (2, 2))).sample.square().mean().backward()
    trained = [name for name, p in model.named_parameters() if p.grad is not None]
    assert trained
    assert all("lora" in name for name in trained)


@torch.no_grad()
def test_reference_numerics_run_all_in_bf16() -> None:
    # full memory: a rounded affinity may rightly pick other tokens
    model = narrow_model(**MECHANISMS["full"])
    inputs = narrow_inputs(4, 4, (3, 4))
    inputs["timestep"] = torch.tensor([512.0])
    exact = model(**inputs).sample
    half = {n: v.bfloat16() for n, v in inputs.items() if n != "conditions"}
    out = model.bfloat16()(**half, numerics="reference").sample
    assert out.dtype == torch.bfloat16
    assert ((out.float() - exact).norm() / exact.norm()) < 0.1


@torch.no_grad()
def test_accurate_numerics_of_a_bf16_model_sum_in_float32() -> None:
    half = narrow_model(**MECHANISMS["full"], num_layers=6).bfloat16()
    exact = narrow_model(**MECHANISMS["full"], num_layers=6).double()
    exact.load_state_dict(half.state_dict())
    inputs = {n: v.bfloat16() for n, v in narrow_inputs(4, 4, (3, 4)).items() if n != "conditions"}
    inputs["timestep"] = torch.tensor([512.0])
    truth = exact(**{n: v.double() for n, v in inputs.items()}).sample

    def error(numerics: str) -> float:
        return float((half(**inputs, numerics=numerics).sample.double() - truth).norm() / truth.norm())

    seen = {}
    half.blocks[0].norm1.register_forward_pre_hook(lambda _m, args: seen.update(dtype=args[0].dtype))
    assert error("accurate") < 0.1
    assert seen["dtype"] == torch.float32
    assert error("reference") < 0.1
    assert seen["dtype"] == torch.bfloat16


@pytest.mark.parametrize("name", sorted(MECHANISMS))
@torch.no_grad()
def test_a_cached_context_works_in_bf16(name: str) -> None:
    model = narrow_model(**MECHANISMS[name], **CACHEABLE).bfloat16()
    inputs = narrow_inputs(5, 4, (3, 4))
    whole = model(**inputs).sample[:, :, 5:]
    assert (run_cached(model, inputs, 5) - whole).norm() <= 2e-2 * whole.norm()


def test_a_trace_of_chosen_frames_knows_its_clip() -> None:
    trace = RetrievalTrace()
    MODELS["fov", "joint"](**narrow_inputs(5, 4, (3, 4)), trace=trace)
    assert (trace.context_frames, trace.target_frames) == (5, 4)
    assert trace.arrays()["picks"].shape == (1, 1, 1, 4, 3)


# --- wrong input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"hidden_states": torch.zeros(1, 4, 6, 4, 6)}, "3 context and 4 target"),
        ({"hidden_states": torch.zeros(1, 4, 7, 5, 6)}, "do not divide into patches"),
        ({"encoder_hidden_states": torch.zeros(1, 5, 9)}, r"expected \[1, tokens, 8\]"),
        ({"target_poses": torch.zeros(1, 4, 16)}, "expected 12"),
        ({"timestep": torch.zeros(1, 3)}, r"expected \[1, 7\]"),
        ({"numerics": "exact"}, "expected 'accurate'"),
    ],
)
def test_sizes_that_do_not_fit_are_named(change, complaint) -> None:
    inputs = narrow_inputs(3, 4, (2, 3))
    with pytest.raises(GeometryError, match=complaint):
        MODELS["hydra release", "joint"](**{**inputs, **change})


def test_a_context_that_sees_the_target_cannot_be_cached() -> None:
    inputs = narrow_inputs(3, 4, (2, 3))
    with pytest.raises(GeometryError, match="'clean' and 'context_only'"):
        run_cached(MODELS["hydra release", "joint"], inputs, 3)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"target_poses": torch.zeros(1, 4, 12)}, "other target poses"),
        ({"target_poses": torch.zeros(1, 3, 12)}, "expected"),
        ({"context_poses": torch.zeros(1, 3, 12)}, "other context poses"),
        ({"hidden_states": torch.zeros(1, 4, 4, 6, 6)}, "cached context is a batch of 1"),
    ],
)
@torch.no_grad()
def test_a_cached_context_serves_only_the_clip_it_was_made_for(change, complaint) -> None:
    model = MODELS["hydra release", "cacheable"]
    inputs = narrow_inputs(3, 4, (2, 3))
    cache = model.encode_context(inputs["hidden_states"][:, :, :3], inputs["context_poses"], inputs["target_poses"],
                                 conditions=inputs["conditions"])  # fmt: skip
    inputs["hidden_states"] = inputs["hidden_states"][:, :, 3:]
    with pytest.raises(GeometryError, match=complaint):
        model(**{**inputs, **change}, context_cache=cache)


@pytest.mark.parametrize(
    "option",
    [{"context_timestep": "noisy"}, {"context_attention": "sideways"}, {"anchor": "last"}, {"page_frames": 0}],
)
def test_unknown_model_options_are_refused(option) -> None:
    with pytest.raises(MemoryOptionError, match="expected"):
        narrow_model(**option)


@pytest.mark.parametrize("sizes", [{"num_layers": 0}, {"ffn_dim": -1}, {"num_attention_heads": 0}, {"page_frames": 0}])
def test_sizes_that_make_no_model_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(MemoryOptionError, match=f"{next(iter(sizes))} is .*, expected a whole number of at least 1"):
        narrow_model(**sizes)


def test_a_patch_of_several_latent_frames_is_refused() -> None:
    with pytest.raises(MemoryOptionError, match=r"patch_size is \(2, 2, 2\).*a camera, a noise level"):
        narrow_model(patch_size=(2, 2, 2))
