"""A memory that is taken away, and given back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from models import CACHEABLE, narrow_inputs, narrow_model
from outofsight.errors import OutOfSightError
from outofsight.evaluation.ablation import ABLATIONS, ablated, hide_context
from outofsight.memory import RetrievalTrace

CONTEXT, TARGET = 9, 3
MODELS: dict[str, dict[str, Any]] = {
    "cacheable": {"memory_options": {"top_k": 2, "window": 1}, **CACHEABLE},
    "anchored": {
        "memory_options": {"top_k": 2, "window": 1}, "conditioners": ("pose", "rays", "anchors"), **CACHEABLE,
    },
    "release": {"memory_options": {"top_k": 2, "window": 3}},
    "by view": {"memory_options": {"top_k": 2, "window": 1, "affinity": "fov"}},
}  # fmt: skip


def run(model: Any, cached: bool = False) -> tuple[torch.Tensor, dict[str, Any]]:
    """Velocity of the target frames, and the trace."""
    inputs, trace = narrow_inputs(CONTEXT, TARGET, (2, 3), batch=2), RetrievalTrace()
    with torch.no_grad():
        if cached:
            latents = inputs.pop("hidden_states")
            cache = model.encode_context(
                latents[:, :, :CONTEXT], inputs["context_poses"], inputs["target_poses"],
                conditions=inputs["conditions"],
            )  # fmt: skip
            inputs |= {"hidden_states": latents[:, :, CONTEXT:], "context_cache": cache}
        sample = model(**inputs, trace=trace, target_only=True).sample
    return sample, trace.arrays()


@pytest.mark.parametrize("name", MODELS)
def test_random_recall_draws_anew_from_what_may_be_recalled(name: str) -> None:
    model = narrow_model(**MODELS[name])
    before, trace = run(model)
    with ablated(model, "random recall", seed=3) as other:
        changed, drawn = run(other)
        again, _ = run(other)
    with ablated(model, "random recall", seed=3) as other:
        assert torch.equal(run(other)[0], changed)
    assert torch.equal(run(model)[0], before)  # given back
    assert not torch.allclose(changed, before) and not torch.equal(again, changed)
    assert drawn["picks"].shape == trace["picks"].shape and (drawn["selectable"] == trace["selectable"]).all()
    blocks = drawn["picks"][0]
    assert (blocks[0] != blocks[1]).any() and (blocks[:, 0] != blocks[:, 1]).any()  # of blocks and clips
    for query, row in enumerate(drawn["selectable"]):
        for picks in blocks[:, :, query].reshape(-1, blocks.shape[-1]):
            chosen = picks[picks >= 0]
            assert row[chosen].all() and len(set(chosen.tolist())) == len(chosen)


def test_every_token_is_drawn_equally_often() -> None:
    model = narrow_model(**MODELS["cacheable"])
    counts = torch.zeros(5)
    with ablated(model, "random recall") as other:
        for _ in range(40):
            picks = torch.from_numpy(run(other)[1]["picks"][0, :, :, CONTEXT + 1 :].copy()).long()
            counts += picks.flatten().bincount(minlength=5)
    share = counts / counts.sum()
    assert share.sub(0.2).abs().max() < 0.04


@pytest.mark.parametrize("what", ["random recall", "no recall"])
def test_a_cached_context_gives_the_same(what: str) -> None:
    model = narrow_model(**MODELS["cacheable"])
    with ablated(model, what, seed=1) as other:
        whole, _ = run(other)
    if what == "random recall":
        # the context recalls too and draws from the same generator, so only a model in which it does not compares
        options = {**MODELS["cacheable"]["memory_options"], "queries": "target"}
        model = narrow_model(**{**MODELS["cacheable"], "memory_options": options})
        with ablated(model, what, seed=1) as other:
            assert run(other, cached=True)[0].shape == whole.shape
        return
    with ablated(model, what, seed=1) as other:
        torch.testing.assert_close(run(other, cached=True)[0], whole, rtol=1e-4, atol=1e-5)


def test_no_recall_sees_the_windows_alone() -> None:
    model = narrow_model(**MODELS["cacheable"])
    none = narrow_model(memory_options={"top_k": 0, "window": 1}, **CACHEABLE)
    none.load_state_dict(model.state_dict())
    with ablated(model, "no recall") as other:
        sample, trace = run(other)
    assert trace["picks"].shape[-1] == 0
    torch.testing.assert_close(sample, run(none)[0])
    assert not torch.allclose(run(model)[0], sample)


def test_frames_by_pose_are_drawn_too() -> None:
    model = narrow_model(memory="fov", memory_options={"top_k": 3})
    before = run(model)[1]["picks"][0, 0, :, 0]
    with ablated(model, "random recall", seed=2) as other:
        drawn = run(other)[1]["picks"][0, 0, :, 0]
    assert drawn.shape == before.shape and (drawn[:, -1] == CONTEXT - 1).all()
    assert (drawn != before).any() and (drawn[:, :-1] < drawn[:, 1:]).all()


def test_the_context_can_be_hidden() -> None:
    inputs = narrow_inputs(CONTEXT, TARGET, (2, 3))
    latents, poses = hide_context(inputs["hidden_states"][:, :, :CONTEXT], inputs["context_poses"])
    assert torch.equal(latents[:, :, 0], inputs["hidden_states"][:, :, CONTEXT - 1])
    assert torch.equal(poses[:, 0], inputs["context_poses"][:, -1])
    model = narrow_model(**MODELS["cacheable"])
    with ablated(model, "context hidden") as same:
        assert same.memory is model.memory


def test_what_cannot_be_taken_away() -> None:
    full = narrow_model(memory="full")
    for what in ("random recall", "worst recall", "no recall"):
        with pytest.raises(OutOfSightError, match="would change nothing"), ablated(full, what):
            pass
    with pytest.raises(OutOfSightError, match="expected one of"), ablated(full, "amnesia"):
        pass
    assert ABLATIONS == ("random recall", "worst recall", "no recall", "context hidden")


def test_the_worst_are_those_of_least_affinity() -> None:
    """As many as the model's own choice, from the other end of the same scores."""
    model, inputs = (
        narrow_model(memory_options={"top_k": 1, "window": 1, "kernel": (1, 1, 1)}),
        narrow_inputs(5, 2, (2, 2)),
    )
    own, worst = RetrievalTrace(), RetrievalTrace()
    with torch.no_grad():
        model(**inputs, trace=own)
        with ablated(model, "worst recall"):
            model(**inputs, trace=worst)
    scores, allowed = own.arrays()["scores"][0, 0, 0], own.arrays()["selectable"]
    for frame in range(len(scores)):
        open_to = np.flatnonzero(allowed[frame])
        assert own.arrays()["picks"][0, 0, 0, frame, 0] == open_to[scores[frame, open_to].argmax()]
        assert worst.arrays()["picks"][0, 0, 0, frame, 0] == open_to[scores[frame, open_to].argmin()]
