"""The objective's options, each against the released loss or against sums written out here."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from latents import CLEAN, NARROW, encoded_clip
from models import narrow_model
from outofsight.errors import TrainingError
from outofsight.training import ObjectiveOptions, batch_loss, training_loss, training_schedule
from outofsight.training.auxiliary import attach_presence
from outofsight.training.dataset import Batch
from outofsight.training.draws import Draws
from outofsight.training.objective import batch_conditions, cell_weights, presence_loss
from outofsight.training.shared_context import SharedContext


def batch_of(*numbers: int) -> Batch:
    clips = [encoded_clip(number) for number in numbers]
    return Batch(
        names=tuple(clip.name for clip in clips),
        latents=torch.stack([clip.latents for clip in clips]),
        context_frames=clips[0].context_frames,
        text=torch.stack([clip.text for clip in clips]),
        context_poses=torch.stack([clip.context_poses for clip in clips]),
        target_poses=torch.stack([clip.target_poses for clip in clips]),
        horizontal_fov=torch.tensor([60.0] * len(clips)),
        subject=torch.stack([clip.subject for clip in clips]),
        phase=torch.stack([clip.phase for clip in clips]),
    )


def model(**kind: Any) -> Any:
    return narrow_model(**{**NARROW, **kind})


def level_index(draws: Draws, place: int, kind: str, frame: int = 0) -> int:
    return int(draws.levels(kind, frame + 1)[place, frame] * 1000)


def full_noise(draws: Draws, batch: Batch) -> Tensor:
    clean = batch.latents
    noise = draws.noise(clean[0, :, batch.context_frames :].shape)
    return torch.cat([torch.zeros_like(clean[:, :, : batch.context_frames]), noise], dim=2)


def test_the_default_is_the_released_loss() -> None:
    batch, draws, net = batch_of(0, 1, 2), Draws(4, 2, range(3)), model()
    loss, parts = batch_loss(net, batch, draws, ObjectiveOptions())
    released = training_loss(
        net, batch.latents, full_noise(draws, batch), level_index(draws, 0, "shared"), batch.text,
        batch.context_poses, batch.target_poses, conditions=batch_conditions(batch),
    )  # fmt: skip
    torch.testing.assert_close(loss, released, rtol=1e-6, atol=0)
    torch.testing.assert_close(parts["loss"].mean(), loss.detach())


def test_a_level_for_each_clip_is_the_mean_of_released_losses() -> None:
    batch, draws, net = batch_of(0, 1, 2), Draws(4, 2, range(3)), model()
    loss, parts = batch_loss(net, batch, draws, ObjectiveOptions(noise="clip", shift=3.0))
    noise = full_noise(draws, batch)
    each = [
        training_loss(
            net, batch.latents[i : i + 1], noise[i : i + 1], level_index(draws, i, "clip"), batch.text[i : i + 1],
            batch.context_poses[i : i + 1], batch.target_poses[i : i + 1], shift=3.0,
            conditions=batch_conditions(batch).map(lambda x, i=i: x[i : i + 1]),
        )
        for i in range(3)
    ]  # fmt: skip
    torch.testing.assert_close(parts["loss"], torch.stack(each).detach(), rtol=1e-5, atol=0)
    torch.testing.assert_close(loss, torch.stack(each).mean(), rtol=1e-5, atol=0)


class _Seen(torch.nn.Module):
    """A model that predicts zero and remembers what it was given."""

    def forward(self, hidden_states: Tensor, timestep: Tensor, *more: Tensor, **_: Any) -> Any:
        self.given = (hidden_states, timestep, *more)
        return type("Output", (), {"sample": torch.zeros_like(hidden_states, requires_grad=True)})


def test_every_frame_its_own_noise() -> None:
    batch, draws, seen = batch_of(0, 1), Draws(0, 9, range(2)), _Seen()
    options = ObjectiveOptions(noise="frame", weighting="none")
    loss, parts = batch_loss(seen, batch, draws, options)
    cut = batch.context_frames
    given, timestep = seen.given[:2]
    noise, clean = full_noise(draws, batch)[:, :, cut:], batch.latents[:, :, cut:]
    sigmas, timesteps, _ = training_schedule(5.0)
    index = (draws.levels("frame", clean.shape[2]) * 1000).long()
    sigma = sigmas[index][:, None, :, None, None]
    assert len(index.unique()) == index.numel()
    assert torch.equal(given[:, :, :cut], batch.latents[:, :, :cut])
    torch.testing.assert_close(given[:, :, cut:], (1 - sigma) * clean + sigma * noise)
    assert torch.equal(timestep[:, :cut], torch.zeros(2, cut))
    assert torch.equal(timestep[:, cut:], timesteps[index])
    torch.testing.assert_close(loss, (noise - clean).square().mean())
    torch.testing.assert_close(parts["error"].mean(), loss.detach())


def test_frame_levels_go_through_the_model() -> None:
    net = model(**CLEAN)
    for kind in ("clip", "frame"):
        loss, _ = batch_loss(net, batch_of(0, 1), Draws(0, 0, range(2)), ObjectiveOptions(noise=kind))  # type: ignore[arg-type]
        loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_subjects_and_re_entry_weigh_more_and_weights_have_mean_one() -> None:
    batch, seen, draws = batch_of(0, 3), _Seen(), Draws(1, 1, range(2))
    options = ObjectiveOptions(noise="clip", weighting="none", subject_weight=3.0, reentry_weight=2.0)
    loss, parts = batch_loss(seen, batch, draws, options)
    cut = batch.context_frames
    squared = (full_noise(draws, batch) - batch.latents)[:, :, cut:].square().mean(dim=1)
    weights = torch.ones_like(squared)
    weights *= 1 + 3.0 * batch.subject[:, cut:]
    weights[:, -2:] *= 1 + 2.0  # the clips' last two frames are of re-entry
    weights /= weights.mean(dim=(1, 2, 3), keepdim=True)
    torch.testing.assert_close(loss.detach(), (weights * squared).mean())
    made = cell_weights(batch.subject[:, cut:], batch.phase[:, cut:], options)
    torch.testing.assert_close(made.mean(dim=(1, 2, 3)), torch.ones(2))
    covered = batch.subject[:, cut:] > 0
    torch.testing.assert_close(parts["subject_error"][0], squared[0][covered[0]].mean())
    torch.testing.assert_close(parts["reentry_error"], squared[:, -2:].mean(dim=(1, 2, 3)))


def test_errors_of_clips_without_subjects_are_not_numbers() -> None:
    batch = batch_of(0)
    batch.subject.zero_()
    batch.phase.fill_(1)
    _, parts = batch_loss(_Seen(), batch, Draws(0, 0, [0]), ObjectiveOptions())
    assert parts["subject_error"].isnan() and parts["reentry_error"].isnan() and parts["error"].isfinite()


def test_dropout_replaces_text_and_cameras_of_whole_clips() -> None:
    batch, seen, draws = batch_of(*range(8)), _Seen(), Draws(5, 0, range(8))
    empty = torch.full(batch.text.shape[1:], 0.25)
    options = ObjectiveOptions(text_dropout=0.5, camera_dropout=0.5)
    batch_loss(seen, batch, draws, options, empty_text=empty)
    _, _, text, context, target = seen.given
    no_text, no_camera = draws.dropped_texts(0.5), draws.dropped_cameras(0.5)
    assert 0 < no_text.sum() < 8 and 0 < no_camera.sum() < 8 and not torch.equal(no_text, no_camera)
    assert torch.equal(text[no_text], empty.expand_as(text[no_text])) and torch.equal(
        text[~no_text], batch.text[~no_text]
    )
    for given, whole in ((context, batch.context_poses), (target, batch.target_poses)):
        assert not given[no_camera].any() and torch.equal(given[~no_camera], whole[~no_camera])
    with pytest.raises(TrainingError, match="empty_text"):
        batch_loss(seen, batch, draws, options)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.3), (0.6, 0.7), (0.9, 1.0)])
def test_levels_stay_in_their_range(low: float, high: float) -> None:
    seen = _Seen()
    options = ObjectiveOptions(noise="clip", sigma_range=(low, high))
    batch_loss(seen, batch_of(*range(20)), Draws(0, 0, range(20)), options)
    sigma = seen.given[1] / 1000
    assert sigma.min() >= low and sigma.max() <= high and len(sigma.unique()) > 10


def test_presence_is_a_cross_entropy_over_context_and_target() -> None:
    batch, draws = batch_of(0, 1), Draws(6, 0, range(2))
    net = model(**CLEAN)
    attach_presence(net)
    with torch.no_grad():
        bare, _ = batch_loss(net, batch, draws, ObjectiveOptions(subject_weight=3.0))
        both, parts = batch_loss(net, batch, draws, ObjectiveOptions(subject_weight=3.0, presence_weight=0.5))
    logits = []
    net.register_forward_hook(lambda *call: logits.append(call[2].auxiliary["presence"]))
    with torch.no_grad():
        batch_loss(net, batch, draws, ObjectiveOptions())
    weights = 1 + 3.0 * batch.subject
    chance = logits[0].sigmoid()
    entropy = -(batch.subject * chance.log() + (1 - batch.subject) * (1 - chance).log())
    expected = (entropy * weights).sum(dim=(1, 2, 3)) / weights.sum(dim=(1, 2, 3))
    torch.testing.assert_close(both - bare, 0.5 * expected.mean(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(parts["loss"].mean(), both)
    assert logits[0].shape == batch.subject.shape
    unknown = logits[0].clone()
    unknown[:, :2] = float("nan")  # frames that the memory left out
    rest = (entropy * weights)[:, 2:].sum(dim=(1, 2, 3)) / weights.mean(dim=(1, 2, 3)) / entropy[:, 2:][0].numel()
    torch.testing.assert_close(presence_loss(unknown, batch, ObjectiveOptions(subject_weight=3.0)), rest)
    with pytest.raises(TrainingError, match="no presence head"):
        batch_loss(model(**CLEAN), batch, draws, ObjectiveOptions(presence_weight=1.0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"shift": 0.0}, {"sigma_range": (0.5, 0.5)}, {"sigma_range": (0.0, 1.5)}, {"sigma_range": (0.99999, 0.999999)},
        {"subject_weight": -1.0}, {"text_dropout": 1.5}, {"noise": "each"}, {"shift": "five"}, {"sigma_range": (0.1,)},
    ],
)  # fmt: skip
def test_options_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match=r"expected|no noise level"):
        ObjectiveOptions(**wrong)


@pytest.mark.parametrize("memory", ["hydra", "full", "fov"])
def test_draws_that_share_a_context_have_the_gradient_of_draws_that_do_not(memory: str) -> None:
    kind = {**CLEAN, "memory": memory, "memory_options": {} if memory == "full" else {"top_k": 2}}
    batch, options = batch_of(0, 1, 2), ObjectiveOptions(noise="clip", text_dropout=0.3, presence_weight=0.5)
    empty, draws = torch.zeros(batch.text.shape[1:]), Draws(2, 2, range(3), copies=2)
    nets = [model(**kind) for _ in range(2)]
    for net in nets:
        attach_presence(net)
    shared = batch_loss(SharedContext(nets[0], 2), batch, draws, options, empty_text=empty)
    apart = batch_loss(nets[1], batch, draws, options, empty_text=empty)
    torch.testing.assert_close(shared[1]["loss"], apart[1]["loss"])
    assert len(shared[1]["loss"]) == 6
    for loss, _ in (shared, apart):
        loss.backward()
    for (name, ours), theirs in zip(nets[0].named_parameters(), nets[1].parameters(), strict=True):
        if theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


def test_a_context_that_sees_its_target_is_not_shared() -> None:
    with pytest.raises(TrainingError, match="draws=1"):
        SharedContext(model(), 2)


def test_reprojections_are_dropped_for_whole_targets() -> None:
    """A target that is not told them moves as one of a model whose reprojections say nothing; shared contexts too."""
    batch, draws = batch_of(0, 1, 2), Draws(3, 0, range(3), copies=2)
    inputs = ("pose", "rays", "reprojection")
    told, untold = (model(**CLEAN | {"conditioners": inputs}) for _ in range(2))
    for parameter in untold.conditioning["reprojection"].parameters():
        parameter.data.zero_()
    options = ObjectiveOptions(condition_dropout={"reprojection": 0.5})
    dropped = draws.dropped_conditions("reprojection", 0.5)
    assert 0 < dropped.sum() < 6
    with torch.no_grad():
        mixed = batch_loss(told, batch, draws, options)[1]["error"]
        shared = batch_loss(SharedContext(told, 2), batch, draws, options)[1]["error"]
        always = batch_loss(told, batch, draws, ObjectiveOptions())[1]["error"]
        never = batch_loss(untold, batch, draws, ObjectiveOptions())[1]["error"]
    assert (always - never).abs().min() > 1e-4
    torch.testing.assert_close(mixed, torch.where(dropped, never, always))
    torch.testing.assert_close(shared, mixed, atol=1e-5, rtol=1e-5)
