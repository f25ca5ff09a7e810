"""A causal VAE used chunk by chunk, exactly: equal to one call over the whole video.

Wan's VAE sees a video frame by frame and keeps, per causal convolution, the last frames that it needs. diffusers keeps
them on the VAE and forgets them at each call; a stream here owns its copies, so that streams can share one VAE.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import patchify, unpatchify
from torch import Tensor

from ..errors import GeometryError

_AT_ONCE = 4  # video frames a call of the encoder, as diffusers has it


def temporal_stride(vae: Any) -> int:
    """Video frames per latent frame."""
    return int(2 ** sum(map(bool, vae.config.temperal_downsample)))  # diffusers' spelling


class _Stream:
    part: ClassVar[str]

    def __init__(self, vae: Any) -> None:
        if vae.use_tiling:
            raise GeometryError(
                "a VAE that works in tiles cannot be streamed: call vae.disable_tiling(), or generate in one chunk"
            )
        self.vae = vae
        self._kept: list[Any] = [None] * int(vae._cached_conv_counts[self.part])
        self.begun = False

    def _fetch(self) -> None:
        """Under diffusers' offloading, bring the VAE to the device: its hooks hang on calls that are not made here."""
        hook = getattr(self.vae, "_hf_hook", None)
        if hook is not None:
            hook.pre_forward(self.vae)

    def fork(self) -> Any:
        """Another stream that goes on from here."""
        other = type(self)(self.vae)
        other._kept, other.begun = list(self._kept), self.begun
        return other

    def restore(self, kept: Mapping[int, Any]) -> None:
        """What :meth:`saved` gave."""
        self._kept = [kept.get(i) for i in range(len(self._kept))]
        self.begun = bool(kept)

    def saved(self) -> dict[int, Any]:
        """The kept frames by convolution (a word where diffusers keeps one)."""
        return {i: x for i, x in enumerate(self._kept) if x is not None}


class VideoDecoderStream(_Stream):
    """Decodes latents as they come."""

    part: ClassVar[str] = "decoder"

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """``[b, 3, t, h, w]`` in -1..1 of latents ``[b, c, f, h, w]`` (not normalised): one video frame for the first
        latent frame of all, ``temporal_stride`` for each later one."""
        self._fetch()
        x = self.vae.post_quant_conv(latents)
        parts = []
        for i in range(x.shape[2]):
            first = {} if self.begun else {"first_chunk": True}
            parts.append(self.vae.decoder(x[:, :, i : i + 1], feat_cache=self._kept, feat_idx=[0], **first))
            self.begun = True
        out = torch.cat(parts, dim=2)
        if self.vae.config.patch_size is not None:
            out = unpatchify(out, patch_size=self.vae.config.patch_size)
        return out.clamp(-1.0, 1.0)


class VideoEncoderStream(_Stream):
    """Encodes video frames as they come; any count of ``temporal_stride`` frames after the very first one."""

    part: ClassVar[str] = "encoder"

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Tensor:
        """Posterior means ``[b, c, f, h, w]`` (not normalised) of ``pixels [b, 3, t, h, w]`` in -1..1.

        Raises:
            GeometryError: a number of frames that leaves a latent frame unfinished.
        """
        stride, frames = temporal_stride(self.vae), pixels.shape[2]
        if (frames - (not self.begun)) % stride or frames == 0:
            whole = f"{stride} n" if self.begun else f"{stride} n + 1"
            raise GeometryError(f"{frames} video frames cannot be encoded here: this VAE takes {whole} of them")
        if self.vae.config.patch_size is not None:
            pixels = patchify(pixels, patch_size=self.vae.config.patch_size)
        self._fetch()
        at_once = stride * max(1, _AT_ONCE // stride)
        parts, start = [], 0
        while start < frames:
            count = at_once if self.begun else 1
            chunk = pixels[:, :, start : start + count]
            parts.append(self.vae.encoder(chunk, feat_cache=self._kept, feat_idx=[0]))
            self.begun, start = True, start + count
        return self.vae.quant_conv(torch.cat(parts, dim=2)).chunk(2, dim=1)[0]
