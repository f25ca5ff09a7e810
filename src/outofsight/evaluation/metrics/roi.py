"""The mean of a feature map within a box, as RoIAlign (aligned, 7x7) and a mean over its bins give it."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import GeometryError

BINS = 7


def roi_mean(features: Tensor, boxes: Tensor, sampling: int | None = None) -> Tensor:
    """Mean features within boxes: ``[n, d, h, w]`` and ``[n, 4]`` to ``[n, d]``.

    A box is cut into 7x7 bins, and a bin is the mean of r x r bilinear samples at the middles of its parts; as all
    bins weigh the same, the mean of the samples of one grid of 7r x 7r is the mean of the bins. Samples beyond the
    middles of the outermost positions take those positions' values, as RoIAlign's do. (RoIAlign counts samples that lie
    more than one position outside of the map as zero; boxes are expected not to reach there.)

    Args:
        boxes: x0, y0, x1, y1 in positions of the map: 0 is the map's left or top edge, w or h its right or bottom one.
        sampling: r; None: RoIAlign's own choice, the bin's size in positions, rounded up, for each axis.

    Raises:
        GeometryError: shapes that do not fit, or a box that is empty or not finite.
    """
    if features.ndim != 4 or boxes.shape != (len(features), 4):
        raise GeometryError(
            f"features are {list(features.shape)}, boxes {list(boxes.shape)}: expected [n,d,h,w], [n,4]"
        )
    if not bool(((boxes[:, 2:] > boxes[:, :2]) & boxes[:, 2:].isfinite() & boxes[:, :2].isfinite()).all()):
        raise GeometryError("a box is empty, turned round or not finite: leave such frames out")
    return torch.stack([_mean(one, box, sampling) for one, box in zip(features, boxes.double(), strict=True)])


def _mean(features: Tensor, box: Tensor, sampling: int | None) -> Tensor:
    height, width = features.shape[-2:]
    across = _places(float(box[0]), float(box[2]), width, sampling)
    down = _places(float(box[1]), float(box[3]), height, sampling)
    grid = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1)[None].to(features)
    sampled = F.grid_sample(features[None], grid, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled[0].mean(dim=(1, 2))


def _places(start: float, end: float, cells: int, sampling: int | None) -> Tensor:
    """Where samples lie along one axis, on grid_sample's scale of -1 to 1."""
    count = BINS * (sampling or max(1, math.ceil((end - start) / BINS)))
    middles = start + (torch.arange(count, dtype=torch.float64) + 0.5) * (end - start) / count
    return 2 * middles / cells - 1
