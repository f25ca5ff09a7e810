"""Encoded clips for training: memory-mapped, one clip at a time, put together into batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import DatasetError
from ..io import sha256_file
from .clip_source import Batch, ClipSource
from .shards import EMPTY_TEXT, ClipEntry, EncodedClip, LatentSettings, read_index

_verified: set[tuple[Path, int, int, str]] = set()  # shards, by size and time, that this process has read whole


class LatentDataset(ClipSource):
    """A folder of encoded clips (``outofsight encode``).

    Args:
        folder: holds index.json and its shards.

    Raises:
        DatasetError: the folder is empty, half-written, or not as its index records.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.where = str(folder)
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

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}  # open files do not travel to other processes


__all__ = ["Batch", "ClipEntry", "EncodedClip", "LatentDataset", "LatentSettings"]
