"""What is kept of a context that never sees the target, so that it is encoded once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..errors import GeometryError
from ..memory import FrameSelection


class Room:
    """Rows ``[b, n, ...]`` that grow without being copied each time: written into room that is there already.

    Copies of a session share what they have in common. Only who has written last may write on in place; the others
    get room of their own.
    """

    def __init__(self, rows: Tensor) -> None:
        self._room, self._written, self.used = rows, [rows.shape[1]], rows.shape[1]

    @property
    def rows(self) -> Tensor:
        """``[b, used, ...]``"""
        return self._room[:, : self.used]

    def grown(self, rows: Tensor) -> Room:
        """With these rows behind its own; this one stays as it is."""
        total = self.used + rows.shape[1]
        room, written = self._room, self._written
        if written[0] != self.used or total > room.shape[1]:
            # memory that is not written yet is not taken up either, on a CPU
            room = self.rows.new_empty(len(rows), 2 * total, *rows.shape[2:])
            room[:, : self.used] = self.rows
            written = [self.used]
        room[:, self.used : total] = rows
        written[0] = total
        grown = Room.__new__(Room)
        grown._room, grown._written, grown.used = room, written, total
        return grown

    def withdrawn(self) -> None:
        """Forget what lies behind these rows, so that the next ones may be written there (nobody reads them more)."""
        self._written[0] = self.used


@dataclass(frozen=True, eq=False)
class BlockCache:
    """What one block keeps of a context that never sees the target.

    ``key``, ``value [b, f, n, heads, d]`` of the context frames that target windows reach, and, where the memory
    has tokens, their ``memory_key``, ``memory_value [b, t, p, heads, d]`` and ``signature [b, t, s]``; ``own``: keys
    and values of conditioners' own attentions, by name; ``rooms``: where memory tokens have room to grow.
    """

    key: Tensor
    value: Tensor
    memory_key: Tensor | None = None
    memory_value: Tensor | None = None
    signature: Tensor | None = None
    own: Mapping[str, BlockCache] = field(default_factory=dict)
    rooms: Mapping[str, Room] = field(default_factory=dict)

    def joined(self, key: Tensor, value: Tensor, memory: tuple[Tensor, Tensor, Tensor] | None) -> BlockCache:
        """These, then the keys and values of further frames, and memory tokens (key, value, signature) if any."""
        key, value = torch.cat([self.key, key], dim=1), torch.cat([self.value, value], dim=1)
        if memory is None:
            return replace(self, key=key, value=value)
        names = ("memory_key", "memory_value", "signature")
        rooms: dict[str, Room] = {}
        for name, new in zip(names, memory, strict=True):
            old = getattr(self, name)
            room = self.rooms.get(name) or (None if old is None else Room(old))
            rooms[name] = Room(new) if room is None else room.grown(new)
        grown = [rooms[name].rows for name in names]
        return BlockCache(key, value, grown[0], grown[1], grown[2], self.own, rooms)

    def since(self, frame: int, own: Mapping[str, BlockCache]) -> BlockCache:
        """Without the keys and values before the (counted) ``frame``, which nobody asks for any more."""
        return replace(self, key=self.key[:, frame:].clone(), value=self.value[:, frame:].clone(), own=own)

    def withdrawn(self) -> None:
        """See :meth:`Room.withdrawn`."""
        for room in self.rooms.values():
            room.withdrawn()
        for cache in self.own.values():
            cache.withdrawn()

    def map(self, change: Callable[[Tensor], Tensor]) -> BlockCache:
        """The same with every tensor changed."""
        tensors = (self.key, self.value, self.memory_key, self.memory_value, self.signature)
        changed = (None if x is None else change(x) for x in tensors)
        return BlockCache(*changed, {name: cache.map(change) for name, cache in self.own.items()})  # type: ignore[call-arg,arg-type]

    def repeat(self, times: int) -> BlockCache:
        """The same for a batch of ``times`` copies (guidance branches side by side)."""
        return self.map(lambda x: x.repeat(times, *(1,) * (x.ndim - 1)))


@dataclass(frozen=True, eq=False)
class ContextCache:
    """A context encoded once: what every block keeps of it, which of its frames were let in, what conditioners
    prepared from its latents for the target (``prepared``), and tokens ``[b, f*n, dim]`` behind the blocks that
    auxiliary heads read (``taps``). ``target_poses``: the only ones that it serves, or None where it serves any.
    """

    blocks: tuple[BlockCache, ...]
    context_poses: Tensor
    target_poses: Tensor | None
    size: torch.Size
    selection: FrameSelection | None
    prepared: Mapping[str, Tensor] = field(default_factory=dict)
    intrinsics: Tensor | None = None
    taps: Mapping[int, Tensor] = field(default_factory=dict)

    def check(self, context_poses: Tensor, target_poses: Tensor, latents: torch.Size) -> None:
        """Make sure that this is the context of these cameras and target latents ``[b, c, ft, h, w]``.

        Raises:
            GeometryError: it was encoded for others.
        """
        for what, ours, theirs in (
            ("context", self.context_poses, context_poses),
            ("target", self.target_poses, target_poses),
        ):
            if (
                ours is not None
                and ours is not theirs
                and not (ours.shape == theirs.shape and torch.equal(ours, theirs))
            ):
                raise GeometryError(
                    f"the cached context was encoded for other {what} poses ({list(ours.shape)}, given are "
                    f"{list(theirs.shape)}); poses are relative to the first target frame: encode the context anew"
                )
        if latents[0] != len(self.context_poses) or latents[3:] != self.size:
            raise GeometryError(
                f"the cached context is a batch of {len(self.context_poses)} of {list(self.size)} latents, the target "
                f"a batch of {latents[0]} of {list(latents[3:])}; encode the context anew, or repeat() the cache"
            )

    def repeat(self, times: int) -> ContextCache:
        """The same for a batch of ``times`` copies (guidance branches side by side)."""

        def copies(x: Tensor) -> Tensor:
            return x.repeat(times, *(1,) * (x.ndim - 1))

        chosen = self.selection
        return replace(
            self,
            blocks=tuple(block.map(copies) for block in self.blocks),
            context_poses=copies(self.context_poses),
            target_poses=None if self.target_poses is None else copies(self.target_poses),
            intrinsics=None if self.intrinsics is None else copies(self.intrinsics),
            selection=None if chosen is None else FrameSelection(copies(chosen.indices), copies(chosen.scores)),
            prepared={name: copies(x) for name, x in self.prepared.items()},
            taps={block: copies(x) for block, x in self.taps.items()},
        )
