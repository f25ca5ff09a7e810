"""Where subjects are: which tokens the logits are read from, and that every way to call the model tells the same."""

from __future__ import annotations

import torch
from outofsight.models.clock import CLOCK_NUMBERS, clock_numbers
from outofsight.models.presence import PresenceHead, whole_presence

from models import CACHEABLE, MECHANISMS, narrow_inputs, narrow_model
from outofsight.memory import make_layout


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
    context, target = head.of_context(1, x, layout), head.of_target(2, x, layout)
    assert head.of_context(2, x, layout) is None and head.of_target(1, x, layout) is None
    assert context is not None and target is not None
    assert context.shape == (1, 2, 4, 6) and target.shape == (1, 1, 4, 6)
    assert context.nonzero().tolist() == [[0, 1, 3, 5]] and target.nonzero().tolist() == [[0, 0, 1, 3]]
    whole = whole_presence(context[:, 1:], target, torch.tensor([[1]]), context_frames=2)
    assert whole is not None and whole[:, 0].isnan().all() and torch.equal(whole[:, 1:2], context[:, 1:])
    assert whole_presence(None, target, None, 2) is None


def test_cached_and_uncached_models_tell_the_same() -> None:
    for mechanism in ("hydra paper", "fov", "full"):
        model = narrow_model(**MECHANISMS[mechanism], **CACHEABLE, presence=True)
        inputs = narrow_inputs(5, 3, (2, 4), batch=2)
        whole = model(**inputs)  # gradients are kept: all is computed
        latents = inputs.pop("hidden_states")
        poses = {name: inputs[name] for name in ("context_poses", "target_poses")}
        cache = model.encode_context(latents[:, :, :5], **poses, horizontal_fov=inputs.get("horizontal_fov"))
        cached = model(latents[:, :, 5:], context_cache=cache, **inputs)
        assert whole.presence.shape == (2, 8, *latents.shape[3:])
        assert whole.presence.isnan().any() == (mechanism == "fov")
        torch.testing.assert_close(cached.presence, whole.presence, rtol=1e-4, atol=1e-5, equal_nan=True)
    with torch.no_grad():  # the last block then computes the target alone
        assert model(latents, target_only=True, **inputs).presence is None
    assert narrow_model()(latents, **inputs).presence is None


def test_the_clock_counts_from_the_cut() -> None:
    poses = torch.zeros(1, 7, 12)
    layout = make_layout((1, 1), poses[:, :4], poses[:, 4:], torch.zeros(1, 7))
    numbers = clock_numbers(layout, range(2, 7), torch.device("cpu"))
    assert numbers.shape == (1, 5, CLOCK_NUMBERS)
    assert (numbers[0, :, 0] * 16).tolist() == [-2.0, -1.0, 0.0, 1.0, 2.0]
    torch.testing.assert_close(numbers[0, 3, 1:3], torch.tensor([1.0, 2**-0.5]))  # sines of a quarter, an eighth turn
    kept = layout.keep_context(torch.tensor([[0, 3]]))
    assert (clock_numbers(kept, range(5), torch.device("cpu"))[0, :, 0] * 16).tolist() == [-4.0, -1.0, 0.0, 1.0, 2.0]
