"""LPIPS with AlexNet: distance of features of a trained network, weighed by learned linear heads.

Frames on [-1, 1], no resize; taps after the five ReLUs, each of unit length over its channels; squared differences,
weighed by the head of the tap, meaned over places and summed over taps. Source: Zhang et al. 2018, "The Unreasonable
Effectiveness of Deep Features"; the unit length x / sqrt(1e-8 + |x|^2) is torchmetrics'.

Weights are read from a local folder and never fetched: ``alexnet-owt-7be5be79.pth`` (torchvision's AlexNet) and
``alex.pth`` (the published heads, version 0.1).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import CheckpointError
from ..metric import Metric, Value, register_metric
from ..regions import mean_where
from .preprocess import check_pair, to_tensor

if TYPE_CHECKING:
    from ..measure import Sample

TRUNK_FILE, HEADS_FILE = "alexnet-owt-7be5be79.pth", "alex.pth"
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
# AlexNet's convolutions: name in the state dict, stride, padding, and whether a 3x3 maximum of stride 2 comes before
_LAYERS = (
    ("features.0", 4, 2, False),
    ("features.3", 1, 2, True),
    ("features.6", 1, 1, True),
    ("features.8", 1, 1, False),
    ("features.10", 1, 1, False),
)


class Lpips(nn.Module):
    """The network, of the sizes of the tensors given.

    Args:
        trunk: "features.N.weight" ``[c', c, k, k]`` and "features.N.bias" for N in 0, 3, 6, 8, 10; more is let be.
        heads: "linN.model.1.weight" ``[1, c, 1, 1]`` for N in 0 to 4.

    Raises:
        CheckpointError: a tensor is missing, or a head does not fit its tap.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, trunk: Mapping[str, Tensor], heads: Mapping[str, Tensor]) -> None:
        super().__init__()
        head_names = [f"lin{n}.model.1.weight" for n in range(len(_LAYERS))]
        trunk_names = [f"{name}.{part}" for name, *_ in _LAYERS for part in ("weight", "bias")]
        missing = [name for name in trunk_names if name not in trunk] + [
            name for name in head_names if name not in heads
        ]
        if missing:
            raise CheckpointError(f"LPIPS lacks {', '.join(missing[:4])}: expected {TRUNK_FILE} and {HEADS_FILE}")
        self.register_buffer("shift", torch.tensor(SHIFT).view(3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).view(3, 1, 1))
        for n, (name, *_) in enumerate(_LAYERS):
            weight, head = trunk[f"{name}.weight"].float(), heads[head_names[n]].float()
            if head.shape != (1, len(weight), 1, 1):
                raise CheckpointError(f"{head_names[n]} is {list(head.shape)}, expected [1, {len(weight)}, 1, 1]")
            self.register_buffer(f"weight_{n}", weight)
            self.register_buffer(f"bias_{n}", trunk[f"{name}.bias"].float())
            self.register_buffer(f"head_{n}", head.view(-1, 1, 1))

    def taps(self, pictures: Tensor) -> list[Tensor]:
        """``[n, 3, h, w]`` on [-1, 1] to the five taps ``[n, c, h', w']``, of unit length over c."""
        found = []
        hidden = (pictures - self.shift) / self.scale
        for n, (_, stride, padding, pooled) in enumerate(_LAYERS):
            if pooled:
                hidden = F.max_pool2d(hidden, 3, 2)
            weight, bias = self.get_buffer(f"weight_{n}"), self.get_buffer(f"bias_{n}")
            hidden = F.conv2d(hidden, weight, bias, stride, padding).relu()
            found.append(hidden / (hidden.square().sum(dim=1, keepdim=True) + 1e-8).sqrt())
        return found

    def forward(self, prediction: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """``[n, 3, h, w]`` on [-1, 1] twice, to the distances ``[n]`` and a map of them ``[n, h, w]``.

        The map is the taps' own maps, drawn to the frame's size bilinearly; its mean is near the distance, not equal.
        """
        weighed = [
            ((a - b).square() * self.get_buffer(f"head_{n}")).sum(dim=1, keepdim=True)
            for n, (a, b) in enumerate(zip(self.taps(prediction), self.taps(truth), strict=True))
        ]
        values = torch.stack([one.mean(dim=(1, 2, 3)) for one in weighed])
        drawn = [F.interpolate(one, truth.shape[-2:], mode="bilinear", align_corners=False) for one in weighed]
        return values.sum(dim=0), torch.cat(drawn, dim=1).sum(dim=1)


@torch.no_grad()
def frame_lpips(
    prediction: np.ndarray, truth: np.ndarray, network: Lpips, batch: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """LPIPS of every frame, float64 ``[f]``, and its map, float32 ``[f, h, w]``, of uint8 ``[f, h, w, 3]`` twice.

    Raises GeometryError where they are not two videos of one shape.
    """
    check_pair(prediction, truth)
    values, maps = [], []
    for i in range(0, len(truth), batch):
        pair = (to_tensor(video[i : i + batch]).to(network.shift.device) / 127.5 - 1 for video in (prediction, truth))
        value, drawn = network(*pair)
        values.append(value.double().cpu().numpy())
        maps.append(drawn.cpu().numpy())
    return np.concatenate(values), np.concatenate(maps)


def load_lpips(folder: str | os.PathLike[str], device: str = "cpu") -> Lpips:
    """The published network from a local folder.

    Raises CheckpointError where a file is missing or another than it should be, with where to get it.
    """
    from ...models.weight_files import read_tensors  # which imports diffusers

    folder = Path(folder)
    missing = [name for name in (TRUNK_FILE, HEADS_FILE) if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{folder}: {' and '.join(missing)} not there; LPIPS needs {TRUNK_FILE} (torchvision's AlexNet) and "
            f"{HEADS_FILE} (the heads, version 0.1; they lie in torchmetrics' folder functional/image/lpips_models). "
            "Put them there; they are never fetched"
        )
    return Lpips(read_tensors(folder / TRUNK_FILE), read_tensors(folder / HEADS_FILE)).to(device).eval()


def _lpips(sample: Sample) -> Value:
    assert sample.networks.lpips is not None
    values, maps = frame_lpips(sample.frames, sample.clip.truth, sample.networks.lpips)
    return sample.by_region(values, lambda where: mean_where(maps, where))


register_metric(Metric(
    "lpips", frozenset({"truth", "lpips"}), "", "lower", _lpips,
    "AlexNet, heads v0.1, frames on [-1, 1] at their own size", "pixel",
))  # fmt: skip
