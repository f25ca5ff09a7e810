"""Where the subjects are, read from tokens half-way: a second thing to learn, and to look at.

A subject covers a few of a picture's cells, so the velocity's error teaches its whereabouts slowly. Being asked
"is somebody here?" of context tokens teaches blocks to know a subject when they see one, and of noisy target tokens
to work out where someone who was lost from view must be by now (``ObjectiveOptions.presence_weight``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..memory.layout import FrameLayout, put_frames

_RARE = -3.0  # logit that training starts from: one cell in twenty


class PresenceHead(nn.Module):
    """Logits of a subject covering a cell: of context tokens half-way, of target tokens before the last block.

    Args:
        dim: width of tokens. patch_size: cells of a token (frames, rows, columns). layers: number of blocks.
    """

    def __init__(self, dim: int, patch_size: tuple[int, ...], layers: int) -> None:
        super().__init__()
        self.patch = (patch_size[1], patch_size[2])
        self.context_block, self.target_block = max(0, layers // 2 - 1), max(0, layers - 2)
        self.context = nn.Linear(dim, patch_size[1] * patch_size[2])
        self.target = nn.Linear(dim, patch_size[1] * patch_size[2])
        for head in (self.context, self.target):
            head.bias.data.fill_(_RARE)

    def of_context(self, block: int, x: Tensor, layout: FrameLayout) -> Tensor | None:
        """``[b, fc, h, w]`` of tokens ``x [b, f*n, dim]`` that begin with the context's, after its block; else None."""
        if block != self.context_block:
            return None
        count = layout.context_frames * layout.tokens_per_frame
        return self._cells(self.context(x[:, :count]), layout)

    def of_target(self, block: int, x: Tensor, layout: FrameLayout) -> Tensor | None:
        """``[b, ft, h, w]`` of tokens ``x [b, f*n, dim]`` that end with the target's, after its block; else None."""
        if block != self.target_block:
            return None
        count = layout.target_frames * layout.tokens_per_frame
        return self._cells(self.target(x[:, x.shape[1] - count :]), layout)

    def _cells(self, logits: Tensor, layout: FrameLayout) -> Tensor:
        (rows, columns), (height, width) = layout.grid, self.patch
        cells = logits.float().reshape(len(logits), -1, rows, columns, height, width)
        return cells.permute(0, 1, 2, 4, 3, 5).reshape(len(logits), -1, rows * height, columns * width)


def whole_presence(
    context: Tensor | None, target: Tensor | None, kept: Tensor | None, context_frames: int
) -> Tensor | None:
    """Both side by side, ``[b, fc + ft, h, w]``; None where either is missing.

    kept: ``[b, k]`` the context frames that a pose-driven memory let in; the others are NaN.
    """
    if context is None or target is None:
        return None
    if kept is not None:
        known = put_frames(torch.ones_like(context), kept, context_frames) > 0
        context = put_frames(context, kept, context_frames).masked_fill(~known, float("nan"))
    return torch.cat([context, target], dim=1)
