"""The networks that a benchmark looks through, from local folders: which they are, and loaded.

None is needed and none is ever fetched: what is not given, its metrics are skipped, with the reason.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from ..components.codec import channels_last, decode_latents, encode_video
from ..components.hub import check_folder, resolve_model
from ..components.video_codec import codec_of
from ..errors import CheckpointError, GeometryError
from ..generation.record import model_files
from ..io import sha256_file
from ..models.codecs import load_codec
from .metrics.detector import load_detector
from .metrics.extractors import load_clip_images, load_clip_patches, load_dino
from .metrics.lpips import HEADS_FILE, TRUNK_FILE, Lpips, load_lpips
from .metrics.preprocess import Extractor
from .metrics.subject import BoxSource


class VideoFeatures(Protocol):
    """Features of whole clips, for the Frechet distance: injected, since no network for them is shipped.

    name: goes into the results, with the version or weights that were used.
    """

    name: str

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """uint8 ``[f, h, w, 3]`` to float ``[d]``."""
        ...


@dataclass(frozen=True)
class NetworkFolders:
    """Local folders, each by the need that it serves (``metrics.NEEDS``); vae: a model's folder or shipped name.

    lpips: alexnet-owt-7be5be79.pth and alex.pth. dino, clip_b32, clip_b16: facebook/dino-vitb16,
    openai/clip-vit-base-patch32 and -patch16 in transformers' layout. detector: an RT-DETRv2 or YOLOS.
    """

    lpips: Path | None = None
    dino: Path | None = None
    clip_b32: Path | None = None
    clip_b16: Path | None = None
    detector: Path | None = None
    vae: str | None = None

    def identities(self) -> dict[str, dict[str, Any]]:
        """Of each network that is given its folder, and SHA-256 of its files by name.

        Raises CheckpointError where one is not there.
        """
        found = {}
        for name, given in asdict(self).items():
            if given is None:
                continue
            folder = vae_folder(given) if name == "vae" else Path(given)
            files = [folder / TRUNK_FILE, folder / HEADS_FILE] if name == "lpips" else model_files(folder)
            there = {file.relative_to(folder).as_posix(): sha256_file(file) for file in files if file.is_file()}
            if not there:
                option = name.replace("_", "-")
                raise CheckpointError(f"--{option} {given}: no weights there; give a local folder, nothing is fetched")
            found[name.replace("_", "-")] = {"folder": str(folder), "files": there}
        return found

    def load(self, device: str = "cpu") -> Networks:
        """Load all that are given. Raises CheckpointError where one is broken, or another than it should be."""
        loaders: dict[str, Any] = {
            "lpips": load_lpips, "dino": load_dino, "clip_b32": load_clip_images, "clip_b16": load_clip_patches,
            "detector": load_detector, "vae": load_vae,
        }  # fmt: skip
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return Networks(**{name: loaders[name](place, device) for name, place in given.items() if place is not None})


@dataclass(frozen=True, eq=False)
class Networks:
    """Networks loaded; None where there is none. detector: or any tracker of the user's own."""

    lpips: Lpips | None = None
    dino: Extractor | None = None
    clip_b32: Extractor | None = None
    clip_b16: Extractor | None = None
    detector: BoxSource | None = None
    vae: VideoCoder | None = None
    video_features: VideoFeatures | None = None

    @property
    def available(self) -> frozenset[str]:
        """Keys of ``metrics.NEEDS`` that are met in every clip; boxes are listed by row."""
        extractors = ("lpips", "dino", "clip_b32", "clip_b16", "video_features")
        return frozenset(name.replace("_", "-") for name in extractors if getattr(self, name) is not None)


@dataclass(frozen=True, eq=False)
class VideoCoder:
    """A VAE, to see what its reconstruction alone costs: the ceiling of every model that works in its latents."""

    vae: Any
    device: str

    @torch.no_grad()
    def rebuilt(self, frames: np.ndarray) -> np.ndarray:
        """A video ``[f, h, w, 3]`` encoded and decoded. Raises GeometryError for one that the VAE does not divide."""
        codec = codec_of(self.vae)
        stride, (rows, columns) = codec.frame_stride, codec.pixel_strides
        count, height, width = frames.shape[:3]
        if (count - 1) % stride or height % rows or width % columns:
            sides = (
                f"sides divisible by {rows}" if rows == columns else f"heights, widths divisible by {rows}, {columns}"
            )
            raise GeometryError(
                f"the VAE takes {stride} n + 1 frames and {sides}, and the target is {count} frames of {width}x{height}"
            )
        return decode_latents(self.vae, encode_video(self.vae, frames, self.device))


def vae_folder(model: str) -> Path:
    """Folder of a model's VAE: a folder that holds ``vae/``, or a shipped name; nothing is fetched.

    Raises CheckpointError.
    """
    place = Path(model).expanduser()
    folder = place if (place / "vae").is_dir() else resolve_model(model, local_files_only=True)
    check_folder(folder, skip=frozenset({"tokenizer", "text_encoder", "transformer"}))
    return folder / "vae"


def load_vae(model: str, device: str = "cpu") -> VideoCoder:
    """The VAE of a model, in float32."""
    return VideoCoder(channels_last(load_codec(vae_folder(model)).to(device)), device)
