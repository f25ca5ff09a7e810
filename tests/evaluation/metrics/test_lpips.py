"""LPIPS against a plain loop, and against torchmetrics around the same trunk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchmetrics.functional.image.lpips as reference
from metric_clips import noisy, texture
from numpy.testing import assert_allclose
from torch import Tensor, nn

from outofsight.errors import CheckpointError
from outofsight.evaluation.metrics import Lpips, frame_lpips, load_lpips
from outofsight.evaluation.metrics.lpips import HEADS_FILE, TRUNK_FILE

TRUTH = texture(2, 70, 83)
PREDICTION = noisy(TRUTH, 30)
PLACES, STRIDES, PADDINGS, KERNELS = (0, 3, 6, 8, 10), (4, 1, 1, 1, 1), (2, 2, 1, 1, 1), (11, 5, 3, 3, 3)


def trunk(*channels: int) -> dict[str, Tensor]:
    tensors, before = {}, 3
    for place, kernel, count in zip(PLACES, KERNELS, channels, strict=True):
        tensors[f"features.{place}.weight"] = torch.randn(count, before, kernel, kernel) / (kernel * before**0.5)
        tensors[f"features.{place}.bias"] = torch.randn(count) * 0.1
        before = count
    return tensors


def heads(*channels: int) -> dict[str, Tensor]:
    return {f"lin{n}.model.1.weight": torch.rand(1, count, 1, 1) for n, count in enumerate(channels)}


def plain_taps(tensors: dict[str, Tensor], picture: np.ndarray) -> list[np.ndarray]:
    """AlexNet's features as torchvision lays them out, ``[c, h, w]`` each, on a picture that is already shifted."""
    layers: list[nn.Module] = []
    for place, stride, padding in zip(PLACES, STRIDES, PADDINGS, strict=True):
        weight = tensors[f"features.{place}.weight"]
        layer = nn.Conv2d(weight.shape[1], len(weight), weight.shape[2], stride, padding)
        layer.load_state_dict({part: tensors[f"features.{place}.{part}"] for part in ("weight", "bias")})
        layers += [layer, nn.ReLU()] + ([nn.MaxPool2d(3, 2)] if place in (0, 3) else [])
    hidden, taps = torch.from_numpy(picture).float()[None], []
    with torch.no_grad():
        for layer in layers:
            hidden = layer(hidden)
            if isinstance(layer, nn.ReLU):
                taps.append(hidden[0].double().numpy())
    return taps


def plain_lpips(tensors: dict[str, Tensor], weights: dict[str, Tensor], one: np.ndarray, other: np.ndarray) -> float:
    """Number by number."""
    pictures = []
    for frame in (one, other):
        picture = np.zeros((3, *frame.shape[:2]))
        for c, (shift, scale) in enumerate(zip((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450), strict=True)):
            picture[c] = (frame[..., c] / 255 * 2 - 1 - shift) / scale
        pictures.append(picture)
    total = 0.0
    for n, (a, b) in enumerate(zip(*(plain_taps(tensors, picture) for picture in pictures), strict=True)):
        head = weights[f"lin{n}.model.1.weight"].flatten().tolist()
        places = 0.0
        for y in range(a.shape[1]):
            for x in range(a.shape[2]):
                lengths = [(sum(v * v for v in tap[:, y, x]) + 1e-8) ** 0.5 for tap in (a, b)]
                for c, weight in enumerate(head):
                    places += weight * (a[c, y, x] / lengths[0] - b[c, y, x] / lengths[1]) ** 2
        total += places / (a.shape[1] * a.shape[2])
    return total


def test_a_plain_loop() -> None:
    sizes = (5, 6, 7, 4, 3)
    tensors, weights = trunk(*sizes), heads(*sizes)
    found, maps = frame_lpips(PREDICTION, TRUTH, Lpips(tensors, weights), batch=1)
    expected = [plain_lpips(tensors, weights, *pair) for pair in zip(PREDICTION, TRUTH, strict=True)]
    assert_allclose(found, expected, rtol=2e-4)
    assert found.min() > 0 and maps.shape == TRUTH.shape[:3]
    assert maps.mean(axis=(1, 2)) == pytest.approx(found, rel=0.3)


def test_torchmetrics_and_the_published_heads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """torchmetrics' LPIPS, given our random trunk (its own needs torchvision), with the heads that it ships."""
    tensors = trunk(64, 192, 384, 256, 256)

    class Taps(nn.Module):
        def __init__(self, **_: object) -> None:
            super().__init__()

        def forward(self, pictures: Tensor) -> list[Tensor]:
            taps = zip(*(plain_taps(tensors, picture.numpy()) for picture in pictures), strict=True)
            return [torch.from_numpy(np.stack(tap)).float() for tap in taps]

    monkeypatch.setattr(reference, "Alexnet", Taps)
    torch.save(tensors, tmp_path / TRUNK_FILE)
    published = Path(str(reference.__file__)).parent / "lpips_models" / "alex.pth"
    (tmp_path / HEADS_FILE).write_bytes(published.read_bytes())
    pair = [torch.from_numpy(video).permute(0, 3, 1, 2) / 127.5 - 1 for video in (PREDICTION, TRUTH)]
    with torch.no_grad():
        expected = reference._LPIPS(net="alex", pnet_rand=True)(*pair).flatten()
        expected_maps = reference._LPIPS(net="alex", pnet_rand=True, spatial=True)(*pair)[:, 0]
    found, maps = frame_lpips(PREDICTION, TRUTH, load_lpips(tmp_path))
    assert_allclose(found, expected.numpy(), rtol=1e-5)
    assert_allclose(maps, expected_maps.numpy(), rtol=1e-4, atol=1e-6)
    assert frame_lpips(TRUTH, TRUTH, load_lpips(tmp_path))[0].tolist() == [0, 0]


def test_missing_weights_are_a_reason(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"{TRUNK_FILE} and {HEADS_FILE} not there.*never fetched"):
        load_lpips(tmp_path)
    with pytest.raises(CheckpointError, match=r"lacks lin0\.model\.1\.weight"):
        Lpips(trunk(2, 2, 2, 2, 2), {})
    with pytest.raises(CheckpointError, match=r"lin1\.model\.1\.weight is \[1, 2, 1, 1\], expected \[1, 3, 1, 1\]"):
        Lpips(trunk(2, 3, 2, 2, 2), heads(2, 2, 2, 2, 2))
