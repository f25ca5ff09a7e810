"""Schedule, guidance, the loop over steps, and its interruption."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from models import CACHEABLE, MECHANISMS, lens, narrow_inputs, narrow_model
from outofsight.errors import GeometryError
from outofsight.memory import RetrievalTrace
from outofsight.sampling import DenoisingInterrupted, SamplingOptions, classifier_free, denoise, flow_sigmas

CONTEXT, TARGET = 4, 3
SEEN = lens(60.0, 2, CONTEXT + TARGET, (6, 8))


def arguments(batch: int = 1, grid=(3, 4)) -> tuple[torch.Tensor, ...]:
    inputs = narrow_inputs(CONTEXT, TARGET, grid, batch)
    latents = inputs["hidden_states"]
    text = inputs["encoder_hidden_states"]
    poses = inputs["context_poses"], inputs["target_poses"]
    return latents[:, :, :CONTEXT], latents[:, :, CONTEXT:], text, text.flip(1) * 0.5, *poses


def test_schedule_of_the_release() -> None:
    sigmas = flow_sigmas(50, 5.0)
    assert sigmas[0] == 1
    assert sigmas.diff().max() < 0
    torch.testing.assert_close(sigmas[25], torch.tensor(5 * 0.5 / (1 + 4 * 0.5)))
    torch.testing.assert_close(flow_sigmas(4, 1.0), torch.tensor([1.0, 0.75, 0.5, 0.25]))


@pytest.mark.parametrize(("steps", "shift"), [(0, 5.0), (3, 0.0), (3, -1.0)])
def test_impossible_schedules_are_refused(steps: int, shift: float) -> None:
    with pytest.raises(GeometryError, match=r"steps must be 1 \.\."):
        flow_sigmas(steps, shift)


def test_guidance_formula() -> None:
    branches = classifier_free(SamplingOptions(guidance=5.0), torch.tensor(2.0), torch.tensor(1.0))
    assert sum(branch.weight * float(branch.text) for branch in branches) == 6.0
    assert [branch.name for branch in classifier_free(SamplingOptions(guidance=1.0), *torch.ones(2))] == ["positive"]


class Linear:
    """A 'model' whose velocity is known: it always says the clean target is ``goal``."""

    cacheable = False
    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self, goal: torch.Tensor) -> None:
        self.goal = goal
        self.calls: list[torch.Tensor] = []

    def parameters(self):
        return iter([torch.zeros(1)])

    def __call__(self, latents, timestep, text, context, target, **_):
        self.calls.append(timestep)
        frames = latents[:, :, context.shape[1] :]
        velocity = (frames - self.goal) / (timestep.view(-1, 1, 1, 1, 1) / 1000)
        return type("Out", (), {"sample": velocity})


@pytest.mark.parametrize("steps", [1, 3, 7])
def test_a_model_that_knows_the_answer_is_followed_exactly(steps: int) -> None:
    source, noise, text, _, *poses = arguments()
    goal = torch.randn_like(noise)
    model = Linear(goal)
    out = denoise(model, source, noise, text, None, *poses, steps=steps, guidance=1.0)
    torch.testing.assert_close(out, goal, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(torch.cat(model.calls), flow_sigmas(steps) * 1000)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", sorted(MECHANISMS))
def test_cached_context_equals_uncached_over_the_whole_loop(name: str, dtype: torch.dtype) -> None:
    model = narrow_model(**MECHANISMS[name], **CACHEABLE).to(dtype)
    args = [x.to(dtype) for x in arguments(batch=2)]
    out = {
        (cached, batched): denoise(
            model, *args, steps=4, cache_context=cached, batched_guidance=batched, conditions=SEEN
        )
        for cached in (False, True)
        for batched in (False, True)
    }
    reference = out[False, False]
    for other in out.values():
        # rotary tables are float32, so float64 is not exact to its last digit, but it is the same sum
        bound = 1e-6 if dtype == torch.float32 else 1e-12
        assert (other - reference).norm() <= bound * reference.norm()
    default = denoise(model, *args, steps=4, conditions=SEEN)
    assert torch.equal(default, out[True, False])


def test_batched_and_sequential_guidance_agree() -> None:
    model = narrow_model(**MECHANISMS["hydra release"])
    outs = [denoise(model, *arguments(), steps=3, batched_guidance=batched) for batched in (False, True)]
    torch.testing.assert_close(*outs, rtol=1e-4, atol=1e-5)


def test_guidance_interval_runs_one_branch_outside_it() -> None:
    model = narrow_model(**MECHANISMS["full"])
    seen: list[int] = []
    model.register_forward_hook(lambda *_: seen.append(1))
    sigmas = flow_sigmas(4).tolist()
    denoise(model, *arguments(), steps=4, guidance_interval=(sigmas[2], sigmas[1]))
    assert len(seen) == 4 + 2
    seen.clear()
    never = denoise(model, *arguments(), steps=4, guidance_interval=(0.0, 0.0))
    assert len(seen) == 4
    torch.testing.assert_close(never, denoise(model, *arguments(), steps=4, guidance=1.0))


def test_callbacks_see_every_step_and_the_clean_estimate() -> None:
    source, noise, text, _, *poses = arguments()
    goal = torch.randn_like(noise)
    seen = []
    out = denoise(Linear(goal), source, noise, text, None, *poses, steps=3, guidance=1.0, callback=seen.append)
    assert [s.step for s in seen] == [0, 1, 2]
    assert all(a.next_sigma == b.sigma for a, b in pairwise(seen))
    assert seen[-1].next_sigma == 0
    for step in seen:
        torch.testing.assert_close(step.clean_estimate, goal, rtol=1e-4, atol=1e-4)
    assert torch.equal(seen[-1].latents, out)


def test_interrupted_sampling_can_be_resumed_exactly() -> None:
    model = narrow_model(**MECHANISMS["hydra release"])
    source, noise, *rest = arguments()
    whole = denoise(model, source, noise, *rest, steps=5)

    def stop(step) -> None:
        if step.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(DenoisingInterrupted) as caught:
        denoise(model, source, noise, *rest, steps=5, callback=stop)
    assert caught.value.step == 3
    assert caught.value.clean_estimate is not None
    resumed = denoise(model, source, caught.value.latents, *rest, steps=5, start_step=3)
    assert torch.equal(resumed, whole)


def test_trace_holds_every_step_and_block_of_the_positive_branch() -> None:
    model = narrow_model(**MECHANISMS["hydra release"])
    trace = RetrievalTrace()
    denoise(model, *arguments(), steps=3, trace=trace)
    arrays = trace.arrays()
    assert arrays["scores"].shape == (3, 2, 1, CONTEXT + TARGET, 3)
    assert arrays["sigmas"].tolist() == pytest.approx(flow_sigmas(3).tolist())
    assert (int(arrays["context_frames"]), int(arrays["target_frames"])) == (CONTEXT, TARGET)


def test_trace_of_a_cached_context_starts_at_the_target() -> None:
    trace = RetrievalTrace()
    denoise(narrow_model(**MECHANISMS["hydra paper"], **CACHEABLE), *arguments(), steps=2, trace=trace)
    assert trace.arrays()["first_query"] == CONTEXT
    assert trace.arrays()["picks"].shape[3] == TARGET


@pytest.mark.parametrize("interval", [(0.0, 1.0), (0.9, 1.0)])
def test_trace_of_batched_guidance_is_the_positive_branchs(interval) -> None:
    model = narrow_model(**MECHANISMS["hydra release"])
    traces = []
    for batched in (False, True):
        traces.append(RetrievalTrace())
        denoise(
            model, *arguments(batch=2), steps=3, guidance_interval=interval, batched_guidance=batched, trace=traces[-1]
        )
    sequential, together = (trace.arrays() for trace in traces)
    assert together["picks"].shape == sequential["picks"].shape
    assert (together["picks"] == sequential["picks"]).mean() > 0.99


@pytest.mark.parametrize("extra", [{}, CACHEABLE])
def test_step_caches_of_diffusers_keep_the_branches_apart(extra) -> None:
    from diffusers import FirstBlockCacheConfig

    model = narrow_model(**MECHANISMS["hydra release"], **extra, num_layers=3)
    one_step = denoise(model, *arguments(), steps=1, cache_context=False)
    whole = denoise(model, *arguments(), steps=4, cache_context=False)
    for threshold, steps, expected in ((1e9, 1, one_step), (0.0, 4, whole)):
        model.enable_cache(FirstBlockCacheConfig(threshold=threshold))
        torch.testing.assert_close(denoise(model, *arguments(), steps=steps), expected, rtol=1e-4, atol=1e-5)
        model.disable_cache()
    model.enable_cache(FirstBlockCacheConfig(threshold=1e9))
    assert not torch.allclose(denoise(model, *arguments(), steps=4), whole, rtol=1e-3)  # it does skip
    if model.cacheable:
        with pytest.raises(GeometryError, match="disable_cache"):
            denoise(model, *arguments(), steps=1, cache_context=True)


def test_a_field_of_view_for_each_sample_serves_both_branches() -> None:
    model = narrow_model(**MECHANISMS["full"], conditioners=("pose", "rays"))
    fov = torch.tensor([50.0, 70.0])
    outs = [
        denoise(
            model,
            *arguments(batch=2),
            steps=2,
            conditions=lens(fov, 2, CONTEXT + TARGET, (6, 8)),
            batched_guidance=batched,
        )
        for batched in (False, True)
    ]
    torch.testing.assert_close(*outs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shift", [0.2, 0.4, 3.0])
def test_the_first_sigma_is_never_above_one(shift: float) -> None:
    assert flow_sigmas(10, shift)[0] == 1


def test_frames_and_poses_must_match() -> None:
    source, noise, *rest = arguments()
    with pytest.raises(GeometryError, match="noise latents"):
        denoise(narrow_model(**MECHANISMS["full"]), source, noise[:, :, :1], *rest, steps=1)


def test_text_is_taken_in_any_dtype() -> None:
    source, noise, text, negative, *poses = arguments()
    model = narrow_model(**MECHANISMS["full"]).bfloat16()
    out = denoise(model, source, noise, text.double(), negative.double(), *poses, steps=1)
    assert out.dtype == torch.float32


def test_reference_numerics_need_one_dtype() -> None:
    model = narrow_model(**MECHANISMS["full"]).bfloat16()
    out = denoise(model, *(x.bfloat16() for x in arguments()), steps=2, numerics="reference")
    assert out.dtype == torch.bfloat16
    model.scale_shift_table.data = model.scale_shift_table.data.float()
    with pytest.raises(GeometryError, match="bfloat16"):
        denoise(model, *arguments(), steps=2, numerics="reference")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"guidance_interval": (0.5, 0.2)}, "guidance_interval"),
        ({"numerics": "fp8"}, "numerics"),
        ({"start_step": 9}, "start_step"),
        ({"steps": 0}, "steps"),
        ({"negative": None}, "negative_text"),
        ({"negative": torch.zeros(1, 2, 8)}, "one shape"),
    ],
)
def test_wrong_settings_are_named(change, complaint) -> None:
    source, noise, text, negative, *poses = arguments()
    negative = change.pop("negative", negative)
    with pytest.raises(GeometryError, match=complaint):
        denoise(
            narrow_model(**MECHANISMS["full"]),
            source,
            noise,
            text,
            negative,
            *poses,
            **{"steps": 2, **change},
        )


def test_progress_is_shown_only_when_asked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    monkeypatch.setenv("COLUMNS", "120")
    source, noise, text, _, *poses = arguments()
    model = Linear(torch.zeros_like(noise))
    denoise(model, source, noise, text, None, *poses, steps=2, guidance=1.0)
    assert capsys.readouterr().err == ""
    denoise(model, source, noise, text, None, *poses, steps=2, guidance=1.0, progress=True)
    assert "denoising" in capsys.readouterr().err
