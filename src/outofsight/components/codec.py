"""Video to latents and back: the strides of a codec, the sizes it admits, and the normalisation of its latents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import GeometryError, NumericsError
from .video_codec import codec_of


@dataclass(frozen=True)
class VideoGeometry:
    """How pixels become tokens.

    Args:
        frame_stride: video frames per latent frame; the first video frame has a latent frame of its own.
        pixel_strides: rows and columns of pixels per latent.
        patch: latent frames, rows and columns per token.
    """

    frame_stride: int
    pixel_strides: tuple[int, int]
    patch: tuple[int, int, int]

    @classmethod
    def of(cls, vae: Any, transformer: Any) -> VideoGeometry:
        """Of a pipeline's codec and transformer."""
        codec = codec_of(vae)
        time, rows, columns = transformer.config.patch_size
        return cls(codec.frame_stride, codec.pixel_strides, (time, rows, columns))

    def video_frames(self, latent_frames: int) -> int:
        return (latent_frames - 1) * self.frame_stride + 1

    def first_frames(self, latent_frames: int) -> list[int]:
        """The first video frame of each latent frame: 0, 1, 1 + stride, 1 + 2 stride ..."""
        return [0, *(1 + self.frame_stride * n for n in range(latent_frames - 1))]

    def admits(self, frames: int) -> bool:
        """Whether a video of so many frames can be encoded."""
        latent = (frames - 1) // self.frame_stride + 1
        return self._encodable(latent) and self.video_frames(latent) == frames

    def latent_frames(self, frames: int, what: str = "the video") -> int:
        """Latent frames of a video of ``frames`` frames.

        Raises:
            GeometryError: the count is not one that the VAE and the patches divide; the nearest ones are named.
        """
        latent = (frames - 1) // self.frame_stride + 1
        if self.admits(frames):
            return latent
        group = self.patch[0]
        below = next((n for n in range(latent, 0, -1) if self._encodable(n)), None)
        above = next(n for n in range(max(latent, 0) + 1, latent + 4 * group + 2) if self._encodable(n))
        valid = [n for n in (below, above) if n is not None]
        raise GeometryError(
            f"{what} has {frames} frames, {latent} latent frames; this model takes {self.frame_stride} n + 1 of them"
            + (f" with a latent count divisible by {group}" if group > 1 else "")
            + f", such as {' or '.join(map(str, valid))} latent frames"
            + f": nearest are {' and '.join(str(self.video_frames(n)) for n in valid)}"
        )

    def _encodable(self, latent: int) -> bool:
        return latent >= 1 and latent % self.patch[0] == 0

    def latent_size(self, height: int, width: int, what: str = "the video") -> tuple[int, int]:
        """Latent rows and columns of a picture of ``height`` x ``width`` pixels.

        Raises:
            GeometryError: a side is not divisible by stride times patch; the nearest sizes are named.
        """
        units = (self.pixel_strides[0] * self.patch[1], self.pixel_strides[1] * self.patch[2])
        if min(height, width) < 1 or height % units[0] or width % units[1]:
            lower = [max(n // unit, 1) * unit for n, unit in zip((height, width), units, strict=True)]
            upper = [-(-max(n, 1) // unit) * unit for n, unit in zip((height, width), units, strict=True)]
            nearest = dict.fromkeys([tuple(lower), tuple(upper)])
            raise GeometryError(
                f"{what} is {height} x {width} (height x width); this model takes heights divisible by "
                f"{units[0]} "
                f"and widths divisible by {units[1]}: nearest are " + " and ".join(f"{h} x {w}" for h, w in nearest)
            )
        return height // self.pixel_strides[0], width // self.pixel_strides[1]


def _statistics(vae: Any, like: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the codec's latents, ``[1, c, 1, 1, 1]``."""
    mean, deviation = codec_of(vae).statistics
    shape = (1, -1, 1, 1, 1)
    return like.new_tensor(mean).view(shape), like.new_tensor(deviation).view(shape)


def encode_video(
    vae: Any,
    frames: np.ndarray | Tensor,
    device: torch.device | str,
    dtype: torch.dtype = torch.float32,
    *,
    progress: bool = False,
) -> Tensor:
    """Latents ``[1, c, f, h, w]`` of uint8 ``frames [f, h, w, 3]``: normalised, in ``dtype``.

    Of a VAE the posterior's mean and not a sample, as the release encodes context and training video.

    Raises:
        GeometryError: the VAE returned another number of latent frames than its configuration says.
    """
    whole = frames if isinstance(frames, Tensor) else torch.from_numpy(np.ascontiguousarray(frames))
    return encode_videos(vae, whole[None], device, dtype, progress=progress)


def encode_videos(
    vae: Any, frames: Tensor, device: torch.device | str, dtype: torch.dtype = torch.float32, *, progress: bool = False
) -> Tensor:
    """:func:`encode_video` for several at once: ``[b, c, f, h, w]`` of uint8 ``frames [b, f, h, w, 3]``."""
    codec = codec_of(vae)
    pixels = frames.to(device).permute(0, 4, 1, 2, 3)
    pixels = (pixels.float() / 127.5 - 1).to(codec.dtype)
    expected = (pixels.shape[2] - 1) // codec.frame_stride + 1
    mean = codec.pixels_to_latents(pixels, progress=progress)
    if mean.shape[2] != expected:
        raise GeometryError(
            f"the VAE made {mean.shape[2]} latent frames of {pixels.shape[2]}, expected {expected}: give 4 n + 1 "
            "frames, or switch its tiling and slicing off"
        )
    return normalised(vae, mean.to(dtype))


def normalised(vae: Any, mean: Tensor) -> Tensor:
    """Latents ``[b, c, f, h, w]`` as the transformer takes them, of the codec's own."""
    offset, scale = _statistics(vae, mean)
    return (mean - offset) / scale


def denormalised(vae: Any, latents: Tensor) -> Tensor:
    """The inverse of :func:`normalised`."""
    offset, scale = _statistics(vae, latents)
    return latents * scale + offset


def decode_latents(vae: Any, latents: Tensor, *, truncate: bool = False, progress: bool = False) -> np.ndarray:
    """uint8 frames ``[f, h, w, 3]`` of normalised latents ``[1, c, f, h, w]``.

    Args:
        truncate: cut the fraction instead of rounding, as the release does (half a grey level darker).
    """
    return decode_videos(vae, latents[:1], truncate=truncate, progress=progress)[0]


_NOT_FINITE = (
    "hold NaN or infinity, which would be a black picture: try --dtype float32 (or bfloat16; float16 overflows most), "
    "and another --attention-backend; weights that were trained or merged anew may be at fault too"
)


def decode_videos(vae: Any, latents: Tensor, *, truncate: bool = False, progress: bool = False) -> np.ndarray:
    """:func:`decode_latents` for several at once: ``[b, f, h, w, 3]`` of ``[b, c, f, h, w]``."""
    if not latents.isfinite().all():
        raise NumericsError(f"the latents that were sampled {_NOT_FINITE}")
    codec = codec_of(vae)
    pixels = codec.latents_to_pixels(denormalised(vae, latents).to(codec.dtype), progress=progress)
    return as_frames(pixels, truncate=truncate)


def as_frames(pixels: Tensor, *, truncate: bool = False) -> np.ndarray:
    """uint8 ``[b, f, h, w, 3]`` of ``pixels [b, 3, f, h, w]`` in -1..1.

    Raises:
        NumericsError: numbers that are not finite, which would be black pixels.
    """
    if not pixels.isfinite().all():
        raise NumericsError(f"the decoded pixels in {str(pixels.dtype).removeprefix('torch.')} {_NOT_FINITE}")
    levels = (pixels.float() + 1).mul_(127.5).clamp_(0, 255)
    levels = levels if truncate else levels.round_()
    return levels.to(torch.uint8).permute(0, 2, 3, 4, 1).cpu().numpy()


def channels_last(vae: Any) -> Any:
    """The same VAE with its convolutions' weights laid out channels-last: on a CPU a quarter faster, equal to 1e-6."""
    layouts = ((nn.Conv3d, torch.channels_last_3d), (nn.Conv2d, torch.channels_last))
    for module in vae.modules():
        for kind, layout in layouts:
            if isinstance(module, kind):
                module.weight.data = module.weight.data.contiguous(memory_format=layout)
    return vae
