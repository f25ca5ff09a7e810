"""HyDRA's hybrid memory: memory tokens by a 3D convolution, recalled by affinity (arXiv 2603.25716).

Each frame sees a few neighbours whole and, of everything else, the memory tokens it has most affinity with. The
numbered points below are those of docs/hydra.md. Where paper and release differ, each difference is an option;
the defaults are the release's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ..cameras import pose_view_overlap
from ..errors import MemoryOptionError
from .base import AttentionPlan, Memory, MemoryTokens
from .layout import FrameLayout, horizontal_degrees
from .windows import centred_windows


@dataclass(frozen=True)
class HydraOptions:
    """Options of the hybrid memory; the first value named is the release's.

    Args:
        kernel: frames, rows and columns that one sub-token is made from. Release (2,2,2), paper (2,4,4).
        top_k: memory tokens a frame recalls; None recalls all that lie outside its window. A frame that has
            fewer to choose from recalls those.
        window: neighbours seen whole, centred; a window longer than the sequence is the sequence.
        affinity: "global" (release: inner product of spatial means), "pooled" (paper: queries pooled to the
            memory grid, inner products summed over it) or "fov" (ablation: overlap of the camera frusta).
        bank: "all" (release: noisy target frames can be recalled too) or "context" (paper). None chooses:
            "all" for joint attention, "context" for context-only.
        queries: "all" (release: context frames recall too) or "target" (paper).
        remainder: where the kernel does not divide frames, rows or columns, "drop" the rest from the bank (what
            the release's convolution does) or "repeat" the last frame, row or column. None chooses: "drop" for
            joint attention, "repeat" for context-only.
    """

    kernel: tuple[int, int, int] = (2, 2, 2)
    top_k: int | None = 10
    window: int = 5
    affinity: str = "global"
    bank: str | None = None
    queries: str = "all"
    remainder: str | None = None


_CHOICES = {
    "affinity": ("global", "pooled", "fov"),
    "bank": ("all", "context"),
    "queries": ("all", "target"),
    "remainder": ("drop", "repeat"),
}


def _check_types(options: HydraOptions) -> None:
    whole = {"window": options.window} | ({} if options.top_k is None else {"top_k": options.top_k})
    sequence = isinstance(options.kernel, list | tuple)
    if not sequence or not all(type(k) is int for k in options.kernel):
        raise MemoryOptionError(f"memory 'hydra': kernel is {options.kernel!r}, expected 3 whole positive numbers")
    for name, value in whole.items():
        if type(value) is not int:
            raise MemoryOptionError(f"memory 'hydra': {name} is {value!r}, expected a whole number")


class MemoryTokenizer(nn.Module):
    """Conv3d with stride equal to kernel: one sub-token per (frames, rows, columns) cell of a block's input."""

    def __init__(self, dim: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.conv = nn.Conv3d(dim, dim, kernel_size=kernel, stride=kernel)

    def forward(self, x: Tensor) -> Tensor:
        """``[b, f, h, w, dim] -> [b, f/kt, h/kh, w/kw, dim]``; tokens lie channels-last, no copy is made."""
        return rearrange(self.conv(rearrange(x, "b f h w c -> b c f h w")), "b c f h w -> b f h w c")


class HydraMemory(Memory):
    """Windows of whole frames plus dynamically retrieved memory tokens."""

    name = "hydra"
    Options = HydraOptions
    options: HydraOptions

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"intrinsics"} if self.options.affinity == "fov" else ())

    def resolve(self, options: Any) -> HydraOptions:
        apart = self.context_attention != "joint"
        _check_types(options)
        options = replace(
            options,
            kernel=tuple(options.kernel),
            bank=options.bank or ("context" if apart else "all"),
            remainder=options.remainder or ("repeat" if apart else "drop"),
        )
        for name, choices in _CHOICES.items():
            if getattr(options, name) not in choices:
                raise MemoryOptionError(
                    f"memory 'hydra': {name} is {getattr(options, name)!r}, expected one of {choices}"
                )
        if len(options.kernel) != 3 or min(options.kernel) < 1:
            raise MemoryOptionError(
                f"memory 'hydra': kernel is {options.kernel}, expected 3 positive numbers (frames, rows, columns)"
            )
        if options.window < 1 or (options.top_k is not None and options.top_k < 0):
            raise MemoryOptionError(
                f"memory 'hydra': window {options.window} must be at least 1, top_k {options.top_k} at least 0"
            )
        if apart and options.bank == "all":
            raise MemoryOptionError(
                f"memory 'hydra': bank 'all' holds target frames, which context_attention {self.context_attention!r} "
                "must never see; use bank 'context' or context_attention 'joint'"
            )
        if self.context_attention == "causal" and self.page_frames % options.kernel[0]:
            raise MemoryOptionError(
                f"memory 'hydra': a page of {self.page_frames} latent frames does not divide into memory tokens of "
                f"{options.kernel[0]}: choose page_frames and kernel so that it does"
            )
        return options

    # --- the bank: points 1 and 5 -----------------------------------------------------------------------------

    def compressor(self, dim: int) -> nn.Module:
        return MemoryTokenizer(dim, self.options.kernel)

    def memory_tokens(self, layout: FrameLayout) -> MemoryTokens | None:
        """Token j covers frames kt*j .. kt*j+kt-1; sub-token (r, c) sits at its mean time, row kh*r, column kw*c.

        For the release's kernel that is time 2j+0.5, height 2r, width 2c (point 5).
        """
        frames = layout.context_frames if self.options.bank == "context" else layout.frames
        kt, kh, kw = self.options.kernel
        count, height, width = (
            self._cells(n, k) for n, k in zip((frames, *layout.grid), self.options.kernel, strict=True)
        )
        if min(count, height, width) == 0:
            return None
        first = torch.arange(count) * kt
        sources = torch.stack((first, (first + kt - 1).clamp(max=frames - 1)), dim=1)
        covered = (first[:, None] + torch.arange(kt)).clamp(max=frames - 1)
        times = layout.times.double()[:, covered].mean(dim=-1)
        return MemoryTokens(
            frames, (height, width), sources, times, torch.arange(height) * kh, torch.arange(width) * kw
        )

    def _cells(self, size: int, kernel: int) -> int:
        return -(-size // kernel) if self.options.remainder == "repeat" else size // kernel

    def compress(self, compressor: nn.Module, x: Tensor) -> Tensor:
        return compressor(self._repeat_edges(x))

    def pool(self, x: Tensor) -> Tensor:
        x = self._repeat_edges(x)
        for dim, kernel in zip((1, 2, 3), self.options.kernel, strict=True):
            cells = x.shape[dim] // kernel
            x = x.narrow(dim, 0, cells * kernel).unflatten(dim, (cells, kernel)).mean(dim=dim + 1)
        return x

    def _repeat_edges(self, x: Tensor) -> Tensor:
        """Repeat the last frame, row and column of ``[b, f, h, w, dim]`` up to a multiple of the kernel."""
        if self.options.remainder == "drop":
            return x
        for dim, kernel in zip((1, 2, 3), self.options.kernel, strict=True):
            missing = -x.shape[dim] % kernel
            if missing:
                last = x.narrow(dim, x.shape[dim] - 1, 1)
                x = torch.cat([x, last.expand(*(missing if d == dim else -1 for d in range(5)))], dim=dim)
        return x

    # --- who is recalled: points 2, 3 and 4 -------------------------------------------------------------------

    def window_of(self, frames: range, first: int, last: int) -> list[tuple[int, int]]:
        return centred_windows(frames, first, last, self.options.window)

    @property
    def reach(self) -> int:
        return self.options.window - 1

    def recall_of(self, frame: int, context_frames: int, selectable: int) -> int:
        if self.options.queries == "target" and frame < context_frames:
            return 0
        return selectable if self.options.top_k is None else min(self.options.top_k, selectable)

    def query_signature(self, query: Tensor, plan: AttentionPlan) -> Tensor:
        if self.options.affinity == "global":
            return query.mean(dim=(2, 3))
        assert plan.memory is not None
        query = self._repeat_edges_in_space(query)
        height, width = plan.memory.grid
        _, kh, kw = self.options.kernel
        cells = query[:, :, : height * kh, : width * kw]
        cells = cells.unflatten(3, (width, kw)).unflatten(2, (height, kh))
        return cells.mean(dim=(3, 5)).flatten(2)

    def key_signature(self, key: Tensor) -> Tensor:
        return key.mean(dim=(2, 3)) if self.options.affinity == "global" else key.flatten(2)

    def _repeat_edges_in_space(self, query: Tensor) -> Tensor:
        """As :meth:`_repeat_edges`, rows and columns only: queries are not compressed in time."""
        frames = query.shape[1]
        return self._repeat_edges(query)[:, :frames]

    def pose_scores(self, layout: FrameLayout, plan: AttentionPlan) -> Tensor | None:
        if self.options.affinity != "fov" or plan.memory is None:
            return None
        fov = horizontal_degrees(layout.lens("memory 'hydra' with affinity 'fov'"))
        queries = layout.poses[:, plan.queries.start : plan.queries.stop]
        overlap = pose_view_overlap(queries, layout.poses[:, : plan.memory.frames], fov)
        first, last = plan.memory.sources.to(overlap.device).unbind(dim=1)
        covered = first[:, None] + torch.arange(self.options.kernel[0], device=overlap.device)
        # a token is as well placed as the best of the frames it covers
        return overlap[..., covered.clamp(max=last[:, None])].amax(dim=-1)
