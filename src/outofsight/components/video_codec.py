"""What turns video into latents and back, as the rest of the house sees it: one interface, whatever stands behind it.

A pipeline's component ``vae`` is either such a codec itself (``PatchCodec``) or diffusers' AutoencoderKLWan, for which
:func:`codec_of` makes one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from .wan_codec import WanCodec


class EncoderStream(Protocol):
    """Encodes video frames as they come, equal to one call over all of them."""

    begun: bool

    def encode(self, pixels: Tensor) -> Tensor:
        """Latents ``[b, c, f, h, w]`` (not normalised) of ``pixels [b, 3, F, H, W]`` in -1..1."""
        ...


class DecoderStream(Protocol):
    """Decodes latent frames as they come, equal to one call over all of them; many can share one codec."""

    begun: bool

    def decode(self, latents: Tensor) -> Tensor:
        """Pixels ``[b, 3, F, H, W]`` in -1..1 of latents ``[b, c, f, h, w]`` (not normalised)."""
        ...

    def fork(self) -> DecoderStream:
        """Another stream that goes on from here."""
        ...

    def saved(self) -> Mapping[int, Any]:
        """What it keeps, tensors and words, by number; empty before the first frame."""
        ...

    def restore(self, kept: Mapping[int, Any]) -> None:
        """Go on from what :meth:`saved` gave."""
        ...


@runtime_checkable
class VideoCodec(Protocol):
    """The first latent frame is one video frame, each later one ``frame_stride``.

    frame_stride: video frames per latent frame. pixel_strides: rows and columns of pixels per latent. channels: of
    latents. dtype: what it computes in. statistics: mean and standard deviation of each channel, for the
    normalisation. tiled: whether it works in tiles now, and so cannot be streamed. whole: whether one call computes
    what a stream does (no tiles, no slices). exact: whether a video comes back as it was.
    """

    @property
    def frame_stride(self) -> int: ...
    @property
    def pixel_strides(self) -> tuple[int, int]: ...
    @property
    def channels(self) -> int: ...
    @property
    def dtype(self) -> torch.dtype: ...
    @property
    def statistics(self) -> tuple[Sequence[float], Sequence[float]]: ...
    @property
    def tiled(self) -> bool: ...
    @property
    def whole(self) -> bool: ...
    @property
    def exact(self) -> bool: ...

    def facts(self) -> Mapping[str, Any]:
        """What its latents depend on beside its weights, as JSON holds it: part of its identity on disk."""
        ...

    def pixels_to_latents(self, pixels: Tensor, *, progress: bool = False) -> Tensor:
        """Latents ``[b, c, f, h, w]`` (not normalised) of a whole video's ``pixels [b, 3, F, H, W]`` in -1..1."""
        ...

    def latents_to_pixels(self, latents: Tensor, *, progress: bool = False) -> Tensor:
        """Pixels ``[b, 3, F, H, W]`` in -1..1 of a whole video's latents ``[b, c, f, h, w]`` (not normalised)."""
        ...

    def encoder_stream(self) -> EncoderStream:
        """A new stream. Raises GeometryError while the codec works in tiles."""
        ...

    def decoder_stream(self) -> DecoderStream:
        """A new stream. Raises GeometryError while the codec works in tiles."""
        ...

    def enable_tiling(self, **options: Any) -> None:
        """Work in overlapping tiles from now on. Raises OutOfSightError where the codec has none."""
        ...

    def decode_bytes(self, frames: int, height: int, width: int, bytes_per_value: int) -> int:
        """Most memory of decoding a video of these sizes in pixels, by rule."""
        ...


def codec_of(vae: Any) -> VideoCodec:
    """The codec that a pipeline's component is or has.

    Raises:
        TypeError: it is none.
    """
    if isinstance(vae, AutoencoderKLWan):
        return WanCodec(vae)
    if isinstance(vae, VideoCodec):
        return vae
    raise TypeError(
        f"{type(vae).__name__} is no codec: expected an AutoencoderKLWan, or what components.video_codec.VideoCodec "
        "asks (a PatchCodec)"
    )
