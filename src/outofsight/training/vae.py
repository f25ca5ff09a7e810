"""Train the small video VAE, of diffusers' class AutoencoderKLWan:

    python -m outofsight.training.vae --clips worlds/train --held-out worlds/test --out parts

leaves ``parts/vae`` (a diffusers folder, its latents' statistics in config.json) and what was measured in
``parts/training-vae/report.json``. Expected on one CPU core: see docs/tiny.md.

Loss: L1 on the pixels and on the differences between neighbours (edges), squared error, and a small KL term. No other
network judges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor, nn

from ..components.codec import VideoGeometry, channels_last
from ..errors import TrainingError
from ..models import PRESETS
from .checkpointing import Checkpoint
from .config import Count, LoopSettings, Share
from .frames import FrameCache, cache_frames
from .learner import Learner
from .settings import check_settings
from .small_parts import PartObjective, command, save_part
from .vae_forward import decode_whole, encode_whole

TINY_VAE: Mapping[str, Any] = PRESETS["tiny"].vae
_CHUNK = 4  # video frames that AutoencoderKLWan takes at a time after the first


@dataclass(frozen=True)
class VaeConfig:
    """A VAE's training.

    Args:
        clips: data folder (HM-World's layout), all clips of one size.
        out: where ``vae/`` and ``training-vae/`` come to lie.
        held_out: data folder of clips to judge by, or None.
        model: arguments of AutoencoderKLWan; latents_mean and latents_std are measured.
        limit, held_out_limit: take the first so many clips alone.
        batch_size, frames, crop: pieces per step, their frames (4n + 1), height and width in pixels (0: all).
        finish, finish_frames: in that share of the steps, at the end, pieces are whole pictures of so many frames, as
            the VAE is used. Its convolutions reach back further than short pieces do: trained on those alone it gains
            contrast after the first few frames (26.8 dB on whole clips, 29.3 dB after the finish).
        edges: weight of the L1 loss of differences between neighbouring pixels.
        squares: weight of the mean squared error.
        kl: weight of the KL term (per latent number).
        precision: of the convolutions: "bf16" (autocast) or "no" (float32). Weights are float32.
    """

    clips: Path
    out: Path
    held_out: Path | None = None
    model: Mapping[str, Any] = field(default_factory=lambda: dict(TINY_VAE))
    limit: Annotated[int | None, Ge(1)] = None
    held_out_limit: Count = 32
    batch_size: Count = 4
    frames: int = 5
    crop: tuple[int, int] = (64, 64)
    finish: Share = 0.3
    finish_frames: int = 13
    edges: Annotated[float, Ge(0)] = 0.25
    squares: Annotated[float, Ge(0)] = 4.0
    kl: Annotated[float, Ge(0)] = 1e-6
    precision: Literal["no", "bf16"] = "bf16"
    loop: LoopSettings = field(default_factory=LoopSettings)

    def __post_init__(self) -> None:
        check_settings(self)
        for name in ("frames", "finish_frames"):
            count = getattr(self, name)
            if count < 1 or (count - 1) % _CHUNK:
                raise TrainingError(f"{name} is {count}, expected {_CHUNK} n + 1: 5, 9 ...")


def build_vae(model: Mapping[str, Any], seed: int) -> Any:
    """An AutoencoderKLWan whose residual blocks begin as nothing: it learns its linear part first, and faster.

    Raises TrainingError for arguments that diffusers cannot build it from.
    """
    from diffusers import AutoencoderKLWan

    channels = int(model.get("z_dim", 16))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            vae = AutoencoderKLWan(**{"latents_mean": [0.0] * channels, "latents_std": [1.0] * channels, **model})
        except (TypeError, ValueError) as error:
            raise TrainingError(f"no AutoencoderKLWan can be made of {dict(model)}: {error}") from error
    channels_last(vae)
    for module in vae.modules():
        last = {"WanResidualBlock": "conv2", "WanAttentionBlock": "proj"}.get(type(module).__name__)
        if last is not None:
            nn.init.zeros_(getattr(module, last).weight)
            nn.init.zeros_(getattr(module, last).bias)
    return vae


_WEIGHTED = ("edges", "squares", "kl")


class VaeObjective(PartObjective):
    """Reconstruction of pieces of videos.

    Raises:
        LayoutError, VideoError, DatasetError: no clips, or such as cannot be read or are too small.
        GeometryError: pieces that the VAE's strides do not divide.
    """

    name = "vae"
    columns = ("pixels", *_WEIGHTED)

    def __init__(self, config: VaeConfig) -> None:
        super().__init__(config)
        self.vae = build_vae(config.model, config.loop.seed)
        self.data = cache_frames(config.clips, self.out / "frames", limit=config.limit)
        self.held_out = None
        if config.held_out is not None:
            self.held_out = cache_frames(config.held_out, self.out / "held-out", limit=config.held_out_limit)
        self.validates = self.held_out is not None
        clips = self.data.clips
        self.settings["data"] = [len(clips), len(self.data.frames), clips[0], clips[-1]]
        stride = VideoGeometry.of(self.vae, SimpleNamespace(config=SimpleNamespace(patch_size=(1, 1, 1))))
        self.whole = self.data.size
        self.crop = (config.crop[0] or self.whole[0], config.crop[1] or self.whole[1])
        for size, what in ((self.whole, "a whole picture"), (self.crop, "a piece")):
            stride.latent_size(size[0], size[1], what)
        self.data.check(max(config.frames, config.finish_frames if config.finish else 0), self.crop)

    def build(self, start: Checkpoint | None) -> Learner:
        return self.learner(self.vae)

    def batches(self, step: int) -> list[tuple[Tensor, np.random.Generator]]:
        rng = self.drawn(step)
        return [(self._pieces(rng, last=step >= (1 - self.config.finish) * self.pace.steps), rng)]

    def loss(self, called: nn.Module, batch: tuple[Tensor, np.random.Generator]) -> tuple[Tensor, Mapping[str, Tensor]]:
        pixels, rng = batch
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.precision == "bf16"):
            moments = encode_whole(called, pixels)
            mean, log_variance = moments.float().chunk(2, dim=1)
            log_variance = log_variance.clamp(-30, 20)  # as diffusers' DiagonalGaussianDistribution does
            noise = torch.from_numpy(rng.standard_normal(mean.shape, np.float32))
            error = decode_whole(called, mean + noise * (0.5 * log_variance).exp()).float() - pixels
        parts = {
            "pixels": error.abs().mean(),
            "edges": error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean(),
            "squares": error.square().mean(),
            "kl": 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(),
        }
        loss = parts["pixels"] + sum(getattr(self.config, name) * parts[name] for name in _WEIGHTED)
        return loss, {"loss": loss, **parts}

    def validate(self, model: nn.Module, step: int) -> Mapping[str, float]:
        assert self.held_out is not None
        return judge(model, self.held_out)

    def finish(self) -> Mapping[str, float]:
        mean, std = latent_statistics(self.vae, self.data)
        self.vae.register_to_config(latents_mean=mean, latents_std=std)
        save_part(self.vae.to(memory_format=torch.contiguous_format), self.config.out / "vae")
        return {"steps": self.pace.steps, "clips": len(self.data.clips)}

    def _pieces(self, rng: np.random.Generator, *, last: bool) -> Tensor:
        """``[b, 3, f, h, w]`` in [-1, 1]: about as many frames' pixels in whole pictures as in pieces."""
        height, width = self.whole if last else self.crop
        frames = self.config.finish_frames if last else self.config.frames
        area = self.crop[0] * self.crop[1]
        count = max(1, round(self.config.batch_size * area / (height * width)))
        pieces = [self.data.piece(rng, frames, (height, width)) for _ in range(count)]
        return to_pixels(np.stack(pieces))


def to_pixels(videos: np.ndarray) -> Tensor:
    """uint8 ``[b, f, h, w, 3]`` -> ``[b, 3, f, h, w]`` in [-1, 1]."""
    return torch.from_numpy(np.array(videos)).permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def _start(video: np.ndarray) -> Tensor:
    """The longest beginning of 4n + 1 frames of ``[F, H, W, 3]``, as one video of pixels."""
    return to_pixels(np.asarray(video[: (len(video) - 1) // _CHUNK * _CHUNK + 1])[None])


@torch.no_grad()
def judge(vae: Any, data: FrameCache) -> dict[str, float]:
    """Reconstruction of whole videos from the posterior's mean: PSNR in dB, a mean over frames (and of the worst)."""
    psnr = []
    for index in range(len(data)):
        pixels = _start(data.video(index))
        mean = encode_whole(vae, pixels).chunk(2, dim=1)[0]
        error = (decode_whole(vae, mean).clamp(-1, 1) - pixels) / 2
        psnr.append(-10 * error.square().mean(dim=(0, 1, 3, 4)).log10())
    frames = torch.cat(psnr)
    return {
        "psnr": frames.mean().item(),
        "psnr_first_frames": torch.stack([video[0] for video in psnr]).mean().item(),
        "psnr_worst_video": min(video.mean().item() for video in psnr),
    }


@torch.no_grad()
def latent_statistics(vae: Any, data: FrameCache, most: int = 128) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each latent channel, over at most ``most`` videos spread over the data."""
    chosen = np.unique(np.linspace(0, len(data) - 1, min(most, len(data))).round().astype(int))
    first = second = torch.zeros(vae.config.z_dim, dtype=torch.float64)  # sums of the numbers and of their squares
    count = 0
    for index in chosen:
        mean = encode_whole(vae, _start(data.video(int(index)))).chunk(2, dim=1)[0].double()
        first = first + mean.sum(dim=(0, 2, 3, 4))
        second = second + mean.square().sum(dim=(0, 2, 3, 4))
        count += mean[:, 0].numel()
    average = first / count
    spread = (second / count - average.square()).clamp_min(1e-12).sqrt()
    return [round(float(x), 6) for x in average], [round(float(x), 6) for x in spread]


if __name__ == "__main__":
    command(VaeConfig, VaeObjective)
