"""What a session has seen and made so far: latents, cameras, and which frames are whose; in pages of fixed length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..errors import GeometryError

PAGE = 16  # latent frames


class _Pages:
    """Rows that are appended to, in pages that are never moved; a copy shares the pages that are full."""

    def __init__(self, like: Tensor, page: int) -> None:
        self.page, self.length = page, 0
        self._empty = like[:0]
        self._pages: list[Tensor] = []

    def append(self, rows: Tensor) -> None:
        done = 0
        while done < len(rows):
            offset = self.length % self.page
            if offset == 0:
                self._pages.append(self._empty.new_empty(self.page, *self._empty.shape[1:]))
            count = min(self.page - offset, len(rows) - done)
            self._pages[-1][offset : offset + count] = rows[done : done + count]
            self.length, done = self.length + count, done + count

    def read(self, first: int, last: int) -> Tensor:
        parts = []
        while first < last:
            page, offset = divmod(first, self.page)
            count = min(self.page - offset, last - first)
            parts.append(self._pages[page][offset : offset + count])
            first += count
        return torch.cat(parts) if parts else self._empty

    def fork(self) -> _Pages:
        other = _Pages(self._empty, self.page)
        other.length, other._pages = self.length, list(self._pages)
        if self.length % self.page:
            other._pages[-1] = self._pages[-1].clone()
        return other


@dataclass
class Bank:
    """Latent frames in the order of time, of one clip.

    Args:
        page: latent frames of a page.
        c2w: ``[f, 4, 4]`` float64, one pose per latent frame, in the session's world.
        intrinsics: ``[f, 4]`` float64 shares of the picture's size, or None where nobody knows them.
        generated: ``[f]`` which frames the model made itself.
    """

    page: int = PAGE
    c2w: np.ndarray = field(default_factory=lambda: np.zeros((0, 4, 4)))
    intrinsics: np.ndarray | None = None
    generated: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    _latents: _Pages | None = None

    def __len__(self) -> int:
        return len(self.c2w)

    def append(self, latents: Tensor, c2w: np.ndarray, intrinsics: np.ndarray | None, generated: bool) -> None:
        """Add ``latents [c, f, h, w]`` with their cameras.

        Raises:
            GeometryError: counts that differ, or intrinsics where there were none.
        """
        frames = latents.shape[1]
        if len(c2w) != frames or (intrinsics is not None and len(intrinsics) != frames):
            raise GeometryError(f"{frames} latent frames and {len(c2w)} poses: a bank takes one pose for each")
        if len(self) and (intrinsics is None) != (self.intrinsics is None):
            raise GeometryError("some cameras of this session have intrinsics and some have none: give them for all")
        if self._latents is None:
            self._latents = _Pages(latents.transpose(0, 1).cpu(), self.page)
        self._latents.append(latents.transpose(0, 1).cpu())
        if intrinsics is not None:
            known = np.zeros((0, 4)) if self.intrinsics is None else self.intrinsics
            self.intrinsics = np.concatenate([known, intrinsics])
        self.c2w = np.concatenate([self.c2w, c2w])
        self.generated = np.concatenate([self.generated, np.full(frames, generated)])

    def latents(self, first: int = 0, last: int | None = None) -> Tensor:
        """``[c, f, h, w]`` of some frames, on the CPU."""
        if self._latents is None:
            raise GeometryError("the bank is empty: append the context first")
        return self._latents.read(first, len(self) if last is None else last).transpose(0, 1)

    def pages(self) -> Iterator[range]:
        """Frame numbers of each page; the last one may be open."""
        for first in range(0, len(self), self.page):
            yield range(first, min(first + self.page, len(self)))

    def fork(self) -> Bank:
        """A copy that goes on by itself; full pages are shared."""
        latents = None if self._latents is None else self._latents.fork()
        return Bank(self.page, self.c2w, self.intrinsics, self.generated, latents)
