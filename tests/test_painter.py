"""A first picture of the target: what it starts as, what it sees, and that every way to call the model has it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models import CACHEABLE, MECHANISMS, narrow_inputs, narrow_model
from outofsight.memory import make_layout
from outofsight.models.painter import Painter, join_readings

INPUTS = {"camera_inputs": ("pose", "reprojections", "motions"), "presence": True, "painter_width": 8}


def stirred(module: nn.Module) -> nn.Module:
    """Weights as after training: none is zero."""
    generator = torch.Generator().manual_seed(7)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2, generator=generator)
    return module


def painted(painter: nn.Module, readings: Tensor, cut: int = 3) -> Tensor:
    poses = torch.zeros(1, cut + readings.shape[2], 12)
    layout = make_layout((1, 1), poses[:, :cut], poses[:, cut:], torch.zeros(1, poses.shape[1]))
    with torch.no_grad():
        picture: Tensor = painter(readings, layout).picture
    return picture


def test_it_sees_the_cells_around_the_frames_beside_and_the_time() -> None:
    painter = stirred(Painter(5, 8, 3, 6, (1, 2, 2)))
    for layer in painter.layers:
        layer.norm = nn.Identity()  # which looks at the whole clip
    painter.norm = nn.Identity()
    readings = torch.randn(1, 5, 7, 30, 40, generator=torch.Generator().manual_seed(1))
    before = painted(painter, readings)
    assert before.shape == (1, 3, 7, 30, 40)
    readings[0, :, 3, 15, 20] += 1.0
    changed = (painted(painter, readings) - before).abs().amax(dim=1)[0] > 0
    frames, rows, columns = changed.nonzero().unbind(dim=1)
    # two layers see a frame further; rows and columns by dilations 1, 2, 1, 3, 1, 1
    assert (frames.min(), frames.max()) == (1, 5)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (6, 24, 11, 29)
    still = torch.zeros(1, 5, 7, 30, 40)
    first, corner = painted(painter, still), painted(painter, still)[0, :, :, 0, 0]
    assert (first[0, :, 0, 15, 20] - first[0, :, 6, 15, 20]).abs().max() > 1e-3  # the clock
    assert (first[0, :, 3, 15, 20] - corner[:, 3]).abs().max() > 1e-3  # the place


def test_readings_side_by_side_and_reprojections_only_for_who_is_told() -> None:
    one, two = torch.ones(2, 3, 1, 2, 2), torch.full((2, 4, 1, 2, 2), 2.0)
    joined = join_readings(one, two, torch.tensor([True, False]))
    assert joined.shape == (2, 7, 1, 2, 2) and joined[0].sum() == 3 * 4 + 4 * 8 and joined[1].sum() == 4 * 8
    assert torch.equal(join_readings(None, two, torch.tensor([True, False])), two)
    assert torch.equal(join_readings(one, None, None), one)


def model(**options: object) -> nn.Module:
    return narrow_model(**{**CACHEABLE, **MECHANISMS["hydra paper"], **INPUTS, **options})


def inputs(batch: int = 1) -> dict[str, object]:
    return narrow_inputs(5, 3, (2, 4), batch=batch) | {"horizontal_fov": 60.0}


def test_it_begins_by_painting_and_telling_nothing() -> None:
    poses = torch.zeros(1, 5, 12)
    layout = make_layout((2, 3), poses[:, :3], poses[:, 3:], torch.zeros(1, 5))
    begun = Painter(5, 8, 3, 6, (1, 2, 2))(torch.randn(1, 5, 2, 4, 6), layout)
    x, velocity = torch.randn(1, 5, 6, 6), torch.randn(1, 3, 5, 4, 6)
    assert torch.equal(begun.tell(x), x) and torch.equal(begun.onto(velocity), velocity)
    assert begun.presence.shape == (1, 2, 4, 6) and (begun.presence == 0).all()


@pytest.mark.parametrize("mechanism", ["hydra paper", "fov", "full"])
def test_cached_and_uncached_models_paint_the_same(mechanism: str) -> None:
    net = narrow_model(**MECHANISMS[mechanism], **CACHEABLE, **INPUTS)
    stirred(net.painter)
    given = inputs(batch=2)
    whole = net(**given)
    latents = given.pop("hidden_states")
    shared = {name: given[name] for name in ("context_poses", "target_poses", "horizontal_fov")}
    cache = net.encode_context(latents[:, :, :5], **shared)
    assert len(cache.repeat(2).reading.motions) == len(cache.repeat(2).reading.presence) == 4
    cached = net(latents[:, :, 5:], context_cache=cache, **given)
    torch.testing.assert_close(cached.sample, whole.sample[:, :, 5:], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(cached.presence, whole.presence, rtol=1e-4, atol=1e-5, equal_nan=True)
    nn.init.zeros_(net.painter.paint.weight)
    nn.init.zeros_(net.painter.paint.bias)
    untold = net(**(given | {"hidden_states": latents})).sample
    assert torch.equal(untold[:, :, :5], whole.sample[:, :, :5])  # the context's velocity is not painted on
    assert (untold - whole.sample)[:, :, 5:].abs().max() > 1e-3
    nn.init.zeros_(net.painter.tokens.weight)
    assert (net(**(given | {"hidden_states": latents})).sample - untold)[:, :, 5:].abs().max() > 1e-5  # tokens are told


def test_the_detector_learns_from_presence_alone_and_the_painter_from_both() -> None:
    net = model()
    stirred(net.painter)
    out = net(**inputs())
    detector = net.motion_reader.detector[0].weight
    out.sample[:, :, 5:].square().mean().backward(retain_graph=True)
    assert detector.grad is None
    assert net.painter.paint.weight.grad.abs().max() > 0 and net.painter.presence.weight.grad is None
    out.presence.sum().backward()
    assert detector.grad.abs().max() > 0 and net.painter.presence.weight.grad.abs().max() > 0
    assert net.presence_head.context is None  # latents say it, tokens are not asked
