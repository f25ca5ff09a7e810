"""The training objective beyond its goldens: where noise goes, and the weights."""

from __future__ import annotations

import pytest
import torch

from models import MECHANISMS, narrow_inputs, narrow_model
from outofsight.errors import GeometryError
from outofsight.training import training_loss, training_schedule


def test_weights_have_mean_one_and_vanish_at_the_ends() -> None:
    sigmas, timesteps, weights = training_schedule(5.0)
    assert len(sigmas) == len(timesteps) == len(weights) == 1000
    assert weights.mean() == pytest.approx(1.0, rel=1e-5)
    assert weights.min() == 0
    assert (timesteps[weights.argmax()] - 500).abs() < 2


def test_only_the_target_half_is_noised_and_scored() -> None:
    model = narrow_model(**MECHANISMS["full"])
    inputs = narrow_inputs(3, 2, (2, 2))
    clean = inputs["hidden_states"]
    noise = torch.randn_like(clean)
    poses = inputs["context_poses"], inputs["target_poses"]
    given: list[torch.Tensor] = []
    model.register_forward_pre_hook(lambda _m, args: given.append(args[0].clone()))
    loss = training_loss(model, clean, noise, 300, inputs["encoder_hidden_states"], *poses)
    assert torch.equal(given[0][:, :, :3], clean[:, :, :3])
    sigma = float(training_schedule()[0][300])
    torch.testing.assert_close(given[0][:, :, 3:], (1 - sigma) * clean[:, :, 3:] + sigma * noise[:, :, 3:])
    noise[:, :, :3] += 1  # the context half of the noise is not used
    assert training_loss(model, clean, noise, 300, inputs["encoder_hidden_states"], *poses) == loss


@pytest.mark.parametrize(("index", "frames"), [(1000, 5), (-1, 5), (3, 4)])
def test_wrong_input_is_named(index: int, frames: int) -> None:
    inputs = narrow_inputs(3, 2, (2, 2))
    clean = inputs["hidden_states"]
    with pytest.raises(GeometryError, match=r"expected|one shape"):
        training_loss(
            narrow_model(**MECHANISMS["full"]), clean, torch.randn_like(clean)[:, :, :frames], index,
            inputs["encoder_hidden_states"], inputs["context_poses"], inputs["target_poses"],
        )  # fmt: skip
