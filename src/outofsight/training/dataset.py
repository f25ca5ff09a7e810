"""Encoded clips for training: memory-mapped, one clip at a time, put together into batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import DatasetError
from ..io import sha256_file
from ..models.conditioners import conditioner_names
from .shards import EMPTY_TEXT, ClipEntry, EncodedClip, LatentSettings, read_index

_verified: set[tuple[Path, int, int, str]] = set()  # shards, by size and time, that this process has read whole


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


class LatentDataset:
    """A folder of encoded clips (``outofsight encode``).

    Args:
        folder: holds index.json and its shards.

    Raises:
        DatasetError: the folder is empty, half-written, or not as its index records.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        index = read_index(self.folder)
        self.settings: LatentSettings = index.settings
        self.clips: tuple[ClipEntry, ...] = index.clips
        self.model = index.model
        self._digests = {self.folder / shard.file: shard.sha256 for shard in index.shards}
        for file in self._digests:
            if not file.is_file():
                raise DatasetError(f"{file} is missing, and the index lists it; encode again, it makes what is missing")
        if strays := {entry.shard for entry in index.clips} - {shard.file for shard in index.shards}:
            raise DatasetError(f"{self.folder}: the index has clips in shards it does not list: {sorted(strays)}")
        self._open: dict[str, Any] = {}

    @property
    def stored_bytes(self) -> int:
        """Size of all shards."""
        return sum(file.stat().st_size for file in self._digests)

    def verify(self, on_bytes: Callable[[int], None] | None = None) -> LatentDataset:
        """Hold every shard's bytes against the index's SHA-256, once for each process; returns the data set.

        Args:
            on_bytes: called with the number of bytes read, piece by piece.

        Raises:
            DatasetError: a shard holds other bytes than when it was written.
        """
        for file, digest in self._digests.items():
            facts = file.stat()
            known = (file.resolve(), facts.st_size, facts.st_mtime_ns, digest)
            if known in _verified:
                continue
            if sha256_file(file, on_bytes) != digest:
                raise DatasetError(
                    f"{file} is damaged: its bytes are not those that the index lists (SHA-256 differs); delete it and "
                    "encode again, which makes it anew"
                )
            _verified.add(known)
        return self

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def empty_text(self) -> Tensor:
        """The embedding of no text ``[l, d]``, padded as a batch's: what a dropped caption is replaced by."""
        entry = self.clips[0]
        with self._reading(entry):
            return self._padded([self._shard(entry).get_tensor(EMPTY_TEXT).float()])[0]

    def __getitem__(self, number: int) -> EncodedClip:
        entry = self.clips[number]
        parts = self._tensors(entry)
        frames = parts["latents"].shape[1]
        if (frames, len(parts["context_poses"])) != (entry.frames, entry.context_frames):
            raise DatasetError(f"{self.folder / entry.shard}: {entry.name} has not the frames that the index records")
        return EncodedClip(
            name=entry.name,
            latents=parts["latents"].float(),
            context_frames=entry.context_frames,
            text=parts["text"].float(),
            context_poses=parts["context_poses"],
            target_poses=parts["target_poses"],
            horizontal_fov=entry.horizontal_fov,
            subject=parts["subject"].float() / 255,
            phase=parts["phase"],
            rendered=parts["rendered"].float() if "rendered" in parts else None,
        )

    def _tensors(self, entry: ClipEntry) -> dict[str, Tensor]:
        names = ["latents", "text", "context_poses", "target_poses", "subject", "phase"]
        names += ["rendered"] if self.settings.finder else []
        with self._reading(entry):
            return {name: self._shard(entry).get_tensor(f"{entry.name}/{name}") for name in names}

    def _shard(self, entry: ClipEntry) -> Any:
        from safetensors import safe_open

        if entry.shard not in self._open:
            self._open[entry.shard] = safe_open(self.folder / entry.shard, framework="pt")
        return self._open[entry.shard]

    @contextmanager
    def _reading(self, entry: ClipEntry) -> Iterator[None]:
        from safetensors import SafetensorError

        try:
            yield
        except (SafetensorError, OSError) as cause:
            raise DatasetError(
                f"{self.folder / entry.shard}: {entry.name} cannot be read ({cause}); encode again"
            ) from cause

    def _padded(self, texts: Sequence[Tensor]) -> Tensor:
        """``[l, d]`` each -> ``[b, text_tokens, d]``, zeros after each one's last token."""
        out = torch.zeros(len(texts), self.settings.text_tokens, self.settings.text_dim)
        for row, text in zip(out, texts, strict=True):
            if len(text) > len(row):
                raise DatasetError(
                    f"{self.folder}: a text of {len(text)} tokens, and the index lists {len(row)}: it is not the index "
                    "of these shards; encode again"
                )
            row[: len(text)] = text
        return out

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}  # open files do not travel to other processes

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
                f"{self.folder} was encoded with {' and '.join(others)}: encode the clips again with this model, or "
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
            raise DatasetError(f"the model does not fit the clips in {self.folder}: it takes {'; '.join(wrong)}")


__all__ = ["Batch", "ClipEntry", "EncodedClip", "LatentDataset", "LatentSettings"]
