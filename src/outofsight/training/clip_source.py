"""Where a run's clips come from, and how they are put together into batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from ..errors import DatasetError
from ..fingerprints import value_hash
from ..models.conditioners import conditioner_names
from .draws import clips_of_step
from .shards import ClipEntry, EncodedClip, LatentSettings


@dataclass(frozen=True, eq=False)
class Batch:
    """Clips of one geometry side by side.

    latents ``[b, c, f, h, w]``, context first; text ``[b, l, d]``, zeros after each prompt's last token as the
    pipeline pads it; context_poses ``[b, fc, 12]``; target_poses ``[b, ft, 12]``; horizontal_fov ``[b]`` degrees, or
    None where the data does not hold it; subject ``[b, f, h, w]`` in 0..1; phase ``[b, f]`` uint8; extra:
    further inputs by conditioner name (see :class:`EncodedClip`).
    """

    names: tuple[str, ...]
    latents: Tensor
    context_frames: int
    text: Tensor
    context_poses: Tensor
    target_poses: Tensor
    horizontal_fov: Tensor | None
    subject: Tensor
    phase: Tensor
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: str | torch.device) -> Batch:
        """The same on another device."""
        moved: dict[str, Any] = {
            f.name: value.to(device) for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, extra={name: x.to(device) for name, x in self.extra.items()}, **moved)


class ClipSource(ABC):
    """Clips as the transformer reads them, by number.

    Attributes:
        where: what messages call it.
        settings: what decides the bytes of every clip.
        clips: an entry of each clip, or one that stands for all where they are drawn without end.
        model: what they were encoded with, or None.
        kept: whether clips are met again, so that keeping them in memory saves work.
    """

    where: str
    settings: LatentSettings
    clips: tuple[ClipEntry, ...]
    model: str | None = None
    kept: bool = True

    @abstractmethod
    def __getitem__(self, number: int) -> EncodedClip: ...

    @property
    @abstractmethod
    def empty_text(self) -> Tensor:
        """The embedding of no text ``[l, d]``, padded as a batch's: what a dropped caption is replaced by."""

    def numbers(self, seed: int, step: int, places: Sequence[int], batch: int, limit: int | None) -> list[int]:
        """Which clips are at these places of a step's global batch; ``limit``: of the first so many."""
        return clips_of_step(seed, step, places, batch, limit or len(self.clips))

    def name_of(self, number: int) -> str:
        return self.clips[number].name

    def fingerprint(self) -> str:
        """SHA-256 of what decides the clips and their order, wherever they lie."""
        settings = {name: value for name, value in self.settings.to_json().items() if name != "sources"}
        return value_hash([[settings, [(entry.name, entry.digest) for entry in self.clips]]])

    def verify(self, on_bytes: Callable[[int], None] | None = None) -> ClipSource:
        """Hold what is read against what was written; returns the source."""
        return self

    @property
    def stored_bytes(self) -> int:
        """Bytes that :meth:`verify` reads."""
        return 0

    def _padded(self, texts: Sequence[Tensor]) -> Tensor:
        """``[l, d]`` each -> ``[b, text_tokens, d]``, zeros after each one's last token."""
        out = torch.zeros(len(texts), self.settings.text_tokens, self.settings.text_dim)
        for row, text in zip(out, texts, strict=True):
            if len(text) > len(row):
                raise DatasetError(
                    f"{self.where}: a text of {len(text)} tokens, and the index lists {len(row)}: it is not the index "
                    "of these shards; encode again"
                )
            row[: len(text)] = text
        return out

    def collate(self, clips: Sequence[EncodedClip]) -> Batch:
        """Put clips side by side. Raises DatasetError where they differ in frames or size."""
        shapes = {(tuple(clip.latents.shape), clip.context_frames) for clip in clips}
        if len(shapes) != 1:
            raise DatasetError(
                f"clips of {len(shapes)} geometries cannot be one batch "
                f"({', '.join(clip.name for clip in clips)}): latents and context frames are "
                f"{sorted(shapes)}; encode them to different folders"
            )
        fovs = [clip.horizontal_fov for clip in clips]
        known = [fov for fov in fovs if fov is not None]
        if 0 < len(known) < len(fovs):
            raise DatasetError(f"of these clips only some have a field of view: {', '.join(c.name for c in clips)}")
        rendered = [clip.rendered for clip in clips if clip.rendered is not None]
        return Batch(
            names=tuple(clip.name for clip in clips),
            latents=torch.stack([clip.latents for clip in clips]),
            context_frames=clips[0].context_frames,
            text=self._padded([clip.text for clip in clips]),
            context_poses=torch.stack([clip.context_poses for clip in clips]),
            target_poses=torch.stack([clip.target_poses for clip in clips]),
            horizontal_fov=torch.tensor(known) if known else None,
            subject=torch.stack([clip.subject for clip in clips]),
            phase=torch.stack([clip.phase for clip in clips]),
            extra={"rendered": torch.stack(rendered)} if rendered else {},
        )

    def check_parts(self, hashes: Mapping[str, str]) -> None:
        """Hold a model's parts (``Parts.hashes``, or some of them) against those that made the latents.

        Raises:
            DatasetError: another VAE, text encoder, tokenizer or finder (or another version of the renderer): what was
                learned would not fit it.
        """
        if others := self.settings.other_parts(hashes):
            raise DatasetError(
                f"{self.where} was encoded with {' and '.join(others)}: encode the clips again with this model, or "
                "train with the parts they were encoded with"
            )

    def check_model(self, config: Any) -> None:
        """Hold a transformer's configuration against the latents. Raises DatasetError where sizes do not fit."""
        settings = self.settings
        patch = tuple(config["patch_size"])
        wrong = []
        if config["in_channels"] != settings.channels:
            wrong.append(f"{config['in_channels']} latent channels, the latents have {settings.channels}")
        if config["text_dim"] != settings.text_dim:
            wrong.append(f"text of width {config['text_dim']}, the clips' has {settings.text_dim}")
        if settings.size[0] % patch[1] or settings.size[1] % patch[2]:
            wrong.append(f"patches of {patch}, which do not divide latents of {settings.size[0]} x {settings.size[1]}")
        if "rendered" in conditioner_names(config) and not settings.finder:
            wrong.append("rendered targets, which the clips lack: encode them with a model that has a finder")
        if wrong:
            raise DatasetError(f"the model does not fit the clips of {self.where}: it takes {'; '.join(wrong)}")
