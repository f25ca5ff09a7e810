"""Where subjects are: which tokens the logits are read from, and that every way to call the model tells the same."""

from __future__ import annotations

import torch

from models import CACHEABLE, MECHANISMS, narrow_inputs, narrow_model
from outofsight.memory import make_layout
from outofsight.models.conditioners import ModelShape
from outofsight.models.conditioners.clock import CLOCK_NUMBERS, ClockConditioner
from outofsight.training.auxiliary import PresenceHead, attach_presence, heads_alone, without_heads


def test_each_half_after_its_own_block_and_cells_in_their_places() -> None:
    poses = torch.zeros(1, 3, 12)
    layout = make_layout((2, 3), poses[:, :2], poses[:, 2:], torch.zeros(1, 3))
    head = PresenceHead(4, (1, 2, 2), layers=4)
    assert (head.context_block, head.target_block) == (1, 2)
    x = torch.zeros(1, 3 * 6, 4)
    x[0, 6 + 1 * 3 + 2, 0] = 1.0  # context frame 1, row 1, column 2
    x[0, 12 + 0 * 3 + 1, 0] = 1.0  # target frame, row 0, column 1
    for half in (head.context, head.target):
        half.weight.data.zero_()
        half.bias.data.zero_()
        half.weight.data[3, 0] = 5.0  # the token's lower right cell
    said = head({0: x * 0, 1: x, 2: x * 0}, {1: x * 0, 2: x}, layout, None)
    assert said.shape == (1, 3, 4, 6)
    assert said.nonzero().tolist() == [[0, 1, 3, 5], [0, 2, 1, 3]]
    kept = layout.keep_context(torch.tensor([[1]]))
    some = head({1: x[:, 6:]}, {2: x[:, 6:]}, kept, (torch.tensor([[1]]), 2))
    assert some[:, 0].isnan().all() and torch.equal(some[:, 1:], said[:, 1:])


def test_cached_and_uncached_models_tell_the_same() -> None:
    for mechanism in ("hydra paper", "fov", "full"):
        model = narrow_model(**MECHANISMS[mechanism], **CACHEABLE)
        attach_presence(model)
        inputs = narrow_inputs(5, 3, (2, 4), batch=2)
        whole = model(**inputs)  # gradients are kept: all is computed
        latents = inputs.pop("hidden_states")
        poses = {name: inputs[name] for name in ("context_poses", "target_poses")}
        cache = model.encode_context(latents[:, :, :5], **poses, conditions=inputs["conditions"])
        cached = model(latents[:, :, 5:], context_cache=cache, **inputs)
        assert whole.auxiliary["presence"].shape == (2, 8, *latents.shape[3:])
        assert whole.auxiliary["presence"].isnan().any() == (mechanism == "fov")
        torch.testing.assert_close(
            cached.auxiliary["presence"], whole.auxiliary["presence"], rtol=1e-4, atol=1e-5, equal_nan=True
        )
    assert not narrow_model()(latents, **inputs).auxiliary
    tensors = model.state_dict()
    assert set(without_heads(tensors)) == set(narrow_model(**MECHANISMS["full"], **CACHEABLE).state_dict())
    assert set(heads_alone(tensors)) | set(without_heads(tensors)) == set(tensors)


def test_the_clock_counts_from_the_cut() -> None:
    poses = torch.zeros(1, 7, 12)
    layout = make_layout((1, 1), poses[:, :4], poses[:, 4:], torch.zeros(1, 7))
    clock = ClockConditioner(ModelShape(24, 2, 4, (1, 2, 2)))
    numbers = clock.features(layout, range(2, 7))
    assert numbers.shape == (1, 5, CLOCK_NUMBERS)
    assert (numbers[0, :, 0] * 16).tolist() == [-2.0, -1.0, 0.0, 1.0, 2.0]
    torch.testing.assert_close(numbers[0, 3, 1:3], torch.tensor([1.0, 2**-0.5]))  # sines of a quarter, an eighth turn
    kept = layout.keep_context(torch.tensor([[0, 3]]))
    assert (clock.features(kept, range(5))[0, :, 0] * 16).tolist() == [-4.0, -1.0, 0.0, 1.0, 2.0]
