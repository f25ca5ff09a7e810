"""What a model is conditioned on beside its text: one file a conditioner, one interface for all.

A conditioner may act at five places, each optional: it adds to tokens before the first block (:meth:`tokens`), gives
each block features that a module of the block maps to an addition (:meth:`features`, :meth:`block`), changes rotary
positions (:meth:`rotary`), adds an attention of its own beside the rotary one (:meth:`matrices`, :meth:`attention`),
and says where velocities begin (:meth:`start`). What it must be given stands in :attr:`needs`:
checks and error texts follow from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ...cameras import CameraPath
from ...errors import GeometryError
from ...memory import FrameLayout
from ...memory.rotary import Rotary


@dataclass(frozen=True)
class ModelShape:
    """Sizes that conditioners build their modules for; ``channels`` of a latent, ``patch`` (frames, rows, columns)."""

    dim: int
    heads: int
    channels: int
    patch: tuple[int, int, int]

    @property
    def head_dim(self) -> int:
        return self.dim // self.heads


@dataclass(frozen=True, eq=False)
class Conditions:
    """What a clip is conditioned on beside text and poses.

    Args:
        intrinsics: ``[b, fc + ft, 4]`` of context and target frames: fx, cx as shares of the picture's width, fy, cy of
            its height; or None where nothing needs them. See :func:`square_intrinsics`.
        extra: further inputs by conditioner name, such as ``[b, channels, ft, h, w]``.
        dropped: bool ``[b]`` by conditioner name: clips that are not conditioned on it (training).
    """

    intrinsics: Tensor | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    dropped: Mapping[str, Tensor] = field(default_factory=dict)

    def map(self, change: Callable[[Tensor], Tensor]) -> Conditions:
        """The same with every tensor changed."""
        return Conditions(
            None if self.intrinsics is None else change(self.intrinsics),
            {name: change(value) for name, value in self.extra.items()},
            {name: change(value) for name, value in self.dropped.items()},
        )

    def repeat(self, times: int) -> Conditions:
        """For a batch of ``times`` copies (guidance branches side by side)."""
        return self.map(lambda x: x.repeat(times, *(1,) * (x.ndim - 1)))

    def first(self, clips: int) -> Conditions:
        """Of the first so many clips of the batch."""
        return self.map(lambda x: x[:clips])


NO_CONDITIONS = Conditions()


def square_intrinsics(
    horizontal_fov: float | Tensor, batch: int, frames: int, size: tuple[int, int], device: torch.device | str = "cpu"
) -> Tensor:
    """``[b, f, 4]`` of a camera with square pixels and the principal point in the centre.

    Args:
        horizontal_fov: degrees, a number or ``[b]``.
        size: rows and columns of the picture, in any unit.

    Raises:
        GeometryError: not one angle for the batch, or one that is not between 0 and 180.
    """
    fov = torch.as_tensor(horizontal_fov, dtype=torch.float32, device=device)
    if fov.ndim > 1 or fov.numel() not in (1, batch):
        raise GeometryError(f"horizontal_fov has shape {list(fov.shape)}, expected one number or [{batch}]")
    if not bool(((fov > 0) & (fov < 180)).all()):
        raise GeometryError(f"horizontal_fov is {fov.tolist()}, expected degrees between 0 and 180")
    fx = 0.5 / torch.tan(torch.deg2rad(fov.expand(batch)) / 2)
    centre = torch.full_like(fx, 0.5)
    numbers = torch.stack([fx, fx * (size[1] / size[0]), centre, centre], dim=-1)
    return numbers[:, None].expand(-1, frames, -1)


@dataclass(frozen=True, eq=False)
class Seen:
    """Video and cameras, for conditioners that look at pixels.

    Args:
        frames: uint8 ``[f, h, w, 3]`` of the context.
        context, target: cameras, a pose for every video frame; the target's are those of the frames to be made.
        horizontal_fov: degrees of both, or None where nobody knows it.
        starts: the target's video frame with which each of its latent frames begins.
    """

    frames: np.ndarray
    context: CameraPath
    target: CameraPath
    horizontal_fov: float | None
    starts: tuple[int, ...]


class Conditioner(nn.Module):
    """Base of all conditioners; subclasses override what they do differently.

    Args:
        shape: of the model.
        options: keywords of the subclass; they are saved with the model.
    """

    name: ClassVar[str]
    zero_head: ClassVar[bool] = False  # a fresh model's own velocity is zero: the answer is :meth:`start`'s
    path: str  # the name that a model's config says it by
    needs: ClassVar[frozenset[str]] = frozenset()  # of "intrinsics", "context_latents", "pixels", "extra"

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.shape = shape

    def config(self) -> dict[str, Any]:
        """The options as plain values for config.json."""
        return {}

    @classmethod
    def check_cameras(cls, context: CameraPath, target: CameraPath, horizontal_fov: float | None) -> None:
        """For those that need "pixels": raises CameraError where these cameras do not serve."""

    @classmethod
    def make_finder(cls) -> nn.Module:
        """For those that need "pixels": the component that looks at them, with fresh weights."""
        raise NotImplementedError(f"conditioner {cls.name!r} does not look at pixels")

    def look(self, seen: Seen, finder: Any, encode: Callable[[Tensor], Tensor]) -> Tensor:
        """For those that need "pixels": their extra input ``[channels, ft, h, w]``.

        ``finder``: the pipeline's component that finds subjects; ``encode``: uint8 video ``[t, h, w, 3]`` to latents
        ``[c, f, h, w]``.
        """
        raise NotImplementedError(f"conditioner {self.name!r} does not look at pixels")

    def nothing(self, extra: Tensor) -> Tensor:
        """The extra input as it is where the context showed nothing (an ablation); as it was, where it has no part."""
        return extra

    def prepare(self, latents: Tensor | None, layout: FrameLayout, conditions: Conditions) -> Tensor | None:
        """What the clip's target needs, once for all steps.

        ``latents [b, c, fc, h, w]`` of the layout's context frames, for conditioners that need them, else None.
        """
        return None

    def tokens(self, prepared: Tensor) -> Tensor | None:
        """``[b, ft, n, dim]``, added to the target's tokens before the first block."""
        return None

    def block(self) -> nn.Module | None:
        """A module for each block, called as ``module(features, context_frames)``, which maps to ``dim`` channels."""
        return None

    def features(self, layout: FrameLayout, frames: range) -> Tensor | None:
        """``[1|b, f, k]`` of frames, or ``[1|b, f, n, k]`` of their tokens, for the blocks' modules."""
        return None

    def rotary(
        self, table: Rotary, layout: FrameLayout, frames: range, pool: Callable[[Tensor], Tensor] | None
    ) -> Rotary:
        """The rotary table of some frames' tokens, changed; ``pool`` where they are averaged into memory tokens."""
        return table

    def attention(self) -> nn.Module | None:
        """A module for each block, through which the conditioner's own attention is added to the block's."""
        return None

    def matrices(self, layout: FrameLayout) -> Tensor | None:
        """``[b, f, 4, 4]`` by which the own attention turns queries, keys and values of each frame."""
        return None

    def start(self, velocity: Tensor, noisy: Tensor, prepared: Tensor, timesteps: Tensor) -> Tensor:
        """The target's velocity ``[b, c, ft, h, w]`` from what the network says; ``timesteps [b, ft]``."""
        return velocity


class FeatureLinear(nn.Linear):
    """A linear map of features to the width of tokens, zero at the start and without a bias."""

    def __init__(self, features: int, dim: int) -> None:
        super().__init__(features, dim, bias=False)
        nn.init.zeros_(self.weight)

    def forward(self, features: Tensor, context_frames: int = 0) -> Tensor:
        return super().forward(features)
