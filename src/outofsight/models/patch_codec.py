"""A codec without a network: the latents are the pixels themselves, cut into patches and normalised.

It stands where a pipeline has its VAE, for models that are small enough to work on pixels. Nothing is lost: an 8-bit
video that is encoded and decoded is the same, byte for byte.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange
from torch import Tensor

from ..errors import GeometryError, OutOfSightError

_WHERE = ("cache_dir", "local_dir", "force_download", "proxies", "token", "local_files_only", "revision")
_VERSION = 1  # of the order of numbers in a latent


class PatchCodec(ModelMixin, ConfigMixin):
    """Patches of ``frames`` video frames and ``patch`` pixels as latents, ``(x - mean) * scale`` of values in 0..1.

    As in the VAEs, the first latent frame has the first video frame alone (``frames`` copies of it, so that all have
    as many channels), and each later one ``frames`` video frames: f latent frames are ``frames (f - 1) + 1`` video
    frames. The numbers of a latent are ordered (frame, colour, row, column). Decoding takes the mean of the first
    frame's copies. It computes in float32, on the device of what it is given.

    Args:
        frames: video frames per latent frame, at least 1.
        patch: rows and columns of pixels per latent.
        mean, scale: of the normalisation; scale is above 0.

    Raises:
        GeometryError: a number that is out of range.
    """

    has_weights: ClassVar[bool] = False
    tiled: ClassVar[bool] = False
    whole: ClassVar[bool] = True
    exact: ClassVar[bool] = True

    @register_to_config
    def __init__(
        self, frames: int = 2, patch: tuple[int, int] = (6, 6), mean: float = 0.45, scale: float = 4.0
    ) -> None:
        super().__init__()
        sides = tuple(patch) if isinstance(patch, list | tuple) else ()
        if len(sides) != 2 or any(type(number) is not int or number < 1 for number in (frames, *sides)):
            raise GeometryError(
                f"a patch codec of frames={frames!r}, patch={patch!r}: expected whole numbers of at least 1, two of "
                "them in patch (rows, columns of pixels)"
            )
        numbers = all(type(number) in (int, float) and math.isfinite(number) for number in (mean, scale))
        if not (numbers and scale > 0):
            raise GeometryError(
                f"a patch codec of mean={mean!r}, scale={scale!r}: expected finite numbers, and a scale above 0"
            )
        # nothing to compute with: it lies where the pipeline was moved to, so that `device` has an answer
        self.register_buffer("_place", torch.zeros(0, dtype=torch.uint8, device="cpu"), persistent=False)

    # --- what components.video_codec.VideoCodec asks ----------------------------------------------------------------

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in, whatever it is cast to."""
        return torch.float32

    @property
    def frame_stride(self) -> int:
        return int(self.config.frames)

    @property
    def pixel_strides(self) -> tuple[int, int]:
        rows, columns = self.config.patch
        return rows, columns

    @property
    def channels(self) -> int:
        rows, columns = self.pixel_strides
        return rows * columns * self.frame_stride * 3

    @property
    def statistics(self) -> tuple[list[float], list[float]]:
        return [float(self.config.mean)] * self.channels, [1 / self.config.scale] * self.channels

    def facts(self) -> Mapping[str, Any]:
        rows, columns = self.pixel_strides
        numbers = {"mean": float(self.config.mean), "scale": float(self.config.scale)}
        return {"codec": "patch", "version": _VERSION, "frames": self.frame_stride, "patch": [rows, columns], **numbers}

    def pixels_to_latents(self, pixels: Tensor, *, progress: bool = False) -> Tensor:
        """Latents ``[b, c, f, h, w]`` (not normalised: 0..1) of ``pixels [b, 3, F, H, W]`` in -1..1.

        Raises:
            GeometryError: frames or sides that are not divisible.
        """
        return self.encoder_stream().encode(pixels)

    def latents_to_pixels(self, latents: Tensor, *, progress: bool = False) -> Tensor:
        """Pixels ``[b, 3, F, H, W]`` in -1..1 (clamped) of latents ``[b, c, f, h, w]`` (not normalised).

        Raises:
            GeometryError: another number of channels than the codec's.
        """
        return self.decoder_stream().decode(latents)

    def encoder_stream(self) -> PatchStream:
        return PatchStream(self)

    def decoder_stream(self) -> PatchStream:
        return PatchStream(self)

    def enable_tiling(self, **options: Any) -> None:
        """Raises OutOfSightError: each patch is coded for itself, so there is nothing that tiles would save."""
        raise OutOfSightError(
            "a PatchCodec codes each patch for itself and has nothing to save by working in tiles: leave tiling "
            "(--vae-tiling) out"
        )

    def decode_bytes(self, frames: int, height: int, width: int, bytes_per_value: int) -> int:
        """Of decoding a video: latents, pixels and clamped pixels in float32, whatever the rest computes in."""
        return 3 * 4 * 3 * frames * height * width

    # --- saving: the configuration is all there is --------------------------------------------------------------------

    def save_pretrained(self, save_directory: str | os.PathLike[str], **options: Any) -> None:
        """Write config.json to a folder; ``options`` are diffusers' (those for weights, of which there are none, change
        nothing)."""
        self.save_config(save_directory, **options)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], subfolder: str | None = None, **options: Any
    ) -> PatchCodec:
        """The codec whose config.json lies in a folder or at a hub id; of diffusers' ``options`` those that say where
        to look are heeded, and those for weights change nothing.

        Raises:
            OSError: no config.json there. GeometryError: an impossible one.
        """
        where = {name: options[name] for name in _WHERE if name in options}
        config = cls.load_config(pretrained_model_name_or_path, subfolder=subfolder, **where)
        codec: PatchCodec = cls.from_config(config)
        return codec.eval()


class PatchStream:
    """Encodes video frames, or decodes latent frames, as they come; all it keeps is whether something came before."""

    def __init__(self, codec: PatchCodec) -> None:
        self.codec, self.begun = codec, False

    def fork(self) -> PatchStream:
        """Another stream that goes on from here."""
        other = PatchStream(self.codec)
        other.begun = self.begun
        return other

    def saved(self) -> dict[int, Any]:
        """What :meth:`restore` takes; empty before the first frame."""
        return {0: "begun"} if self.begun else {}

    def restore(self, kept: Mapping[int, Any]) -> None:
        self.begun = bool(kept)

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Tensor:
        """Latents ``[b, c, f, h, w]`` in 0..1 of ``pixels [b, 3, F, H, W]`` in -1..1.

        Raises:
            GeometryError: a number of frames that leaves a latent frame unfinished, or sides that are not divisible.
        """
        stride, (rows, columns) = self.codec.frame_stride, self.codec.pixel_strides
        frames, height, width = pixels.shape[2:]
        if frames == 0 or (frames - (not self.begun)) % stride:
            whole = f"{stride} n" if self.begun else f"{stride} n + 1"
            raise GeometryError(f"{frames} video frames cannot be encoded here: this codec takes {whole} of them")
        if height % rows or width % columns:
            raise GeometryError(
                f"frames of {height} x {width} (height x width) do not divide into patches of {rows} x {columns} pixels"
            )
        if not self.begun:
            pixels = torch.cat([pixels[:, :, :1].expand(-1, -1, stride - 1, -1, -1), pixels], dim=2)
        self.begun = True
        order = "b c (f t) (h p) (w q) -> b (t c p q) f h w"
        return rearrange((pixels.float() + 1) / 2, order, t=stride, p=rows, q=columns)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Pixels ``[b, 3, F, H, W]`` in -1..1 of latents ``[b, c, f, h, w]``: one video frame for the first latent
        frame of all, ``frames`` for each later one.

        Raises:
            GeometryError: another number of channels than the codec's.
        """
        stride, (rows, columns) = self.codec.frame_stride, self.codec.pixel_strides
        if latents.shape[1] != self.codec.channels:
            raise GeometryError(
                f"latents of {latents.shape[1]} channels, expected {self.codec.channels}: {stride} frames of "
                f"{rows} x {columns} pixels and 3 colours"
            )
        order = "b (t c p q) f h w -> b c (f t) (h p) (w q)"
        pixels = rearrange(latents.float(), order, t=stride, p=rows, q=columns)
        if not self.begun and latents.shape[2]:
            first = pixels[:, :, :stride].mean(dim=2, keepdim=True)
            pixels = torch.cat([first, pixels[:, :, stride:]], dim=2)
            self.begun = True
        return (pixels * 2 - 1).clamp(-1.0, 1.0)
