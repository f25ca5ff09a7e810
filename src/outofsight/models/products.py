"""Attention of small models in half precision on a CPU: all clips and frames of a group in one matrix product.

Windows and recalled tokens are gathered side by side and the scores written out. Its plain twin is ``attend_frames`` of
models/attention.py. Forward and backward of one block of the small world's model, one thread, best CPU time of 7 turns
(benchmarks/small_attention.py): torch's fused kernel takes 1.6 times as long over the whole context, and for HyDRA the
merged path takes 3.0 times and the plain twin 2.3 times as long.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..memory.windows import QueryGroup

_DTYPES = (torch.bfloat16, torch.float16)
_MOST_SCORES = 32 * 2**20  # that are written out and kept for the backward pass
_MOST_GATHERED = 32 * 2**20  # numbers of keys that are copied


def serves(queries: Tensor, group: QueryGroup, memory_key: Tensor | None) -> bool:
    """Whether :func:`attend_together` is the way to serve these ``queries [b, f, n, heads, d]``."""
    if queries.device.type != "cpu" or queries.dtype not in _DTYPES:
        return False
    batch, frames, tokens, heads, dim = queries.shape
    keys = group.width * tokens
    if group.recall and memory_key is not None:
        keys += group.recall * memory_key.shape[2]
    copies = 1 if group.step == 0 and group.recall == 0 else frames
    return (
        batch * frames * tokens * heads * keys <= _MOST_SCORES and batch * copies * keys * heads * dim <= _MOST_GATHERED
    )


def attend_together(
    queries: Tensor,
    key: Tensor,
    value: Tensor,
    group: QueryGroup,
    memory_key: Tensor | None,
    memory_value: Tensor | None,
    picks: Tensor | None,
) -> Tensor:
    """``[b, f, n, heads, d]``; arguments as of ``attend_frames``, shapes as of ``attend``."""
    batch, frames = queries.shape[:2]
    if group.step == 0 and group.recall == 0:
        window = slice(group.start, group.start + group.width)
        out = _attention(queries.flatten(1, 2), key[:, window].flatten(1, 2), value[:, window].flatten(1, 2))
        return out.view(queries.shape)
    at = torch.arange(frames)[:, None] * group.step + group.start + torch.arange(group.width)
    keys, values = [key[:, at].flatten(2, 3)], [value[:, at].flatten(2, 3)]
    if group.recall:
        assert memory_key is not None and memory_value is not None and picks is not None
        chosen = picks[:, group.first : group.first + frames, : group.recall]
        rows = torch.arange(batch)[:, None, None]
        keys.append(memory_key[rows, chosen].flatten(2, 3))
        values.append(memory_value[rows, chosen].flatten(2, 3))
    side_by_side = (torch.cat([part.to(queries.dtype) for part in parts], dim=2) for parts in (keys, values))
    out = _attention(queries.flatten(0, 1), *(part.flatten(0, 1) for part in side_by_side))
    return out.view(queries.shape)


def _attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """``softmax(q k^T) v`` of ``query [b, n, heads, d]`` and ``key``, ``value [b, m, heads, d]``."""

    def rows(x: Tensor) -> Tensor:
        return x.to(query.dtype).transpose(1, 2).reshape(-1, x.shape[1], x.shape[3])

    batch, _, heads, _ = query.shape
    out: Tensor = _Products.apply(rows(query), rows(key), rows(value))
    return out.unflatten(0, (batch, heads)).transpose(1, 2).contiguous()


class _Products(torch.autograd.Function):
    """Attention of ``[b, n, d]`` with its probabilities kept; backward is five products."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        scaled = query * query.shape[-1] ** -0.5
        shares = torch.softmax(torch.bmm(scaled, key.transpose(1, 2)), dim=-1)
        out = torch.bmm(shares, value)
        ctx.save_for_backward(scaled, key, value, shares, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        scaled, key, value, shares, out = ctx.saved_tensors
        grad_value = torch.bmm(shares.transpose(1, 2), grad)
        slopes = torch.bmm(grad, value.transpose(1, 2))
        slopes -= (grad.float() * out.float()).sum(dim=-1, keepdim=True).to(slopes.dtype)
        slopes *= shares
        grad_key = torch.bmm(slopes.transpose(1, 2), scaled)
        grad_query = torch.bmm(slopes, key) * scaled.shape[-1] ** -0.5
        return grad_query, grad_key, grad_value
