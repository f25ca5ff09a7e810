"""Attention to a window of whole frames and to recalled memory tokens, merged by log-sum-exp: the fast path.

Its plain twin is ``attend_frames`` of models/attention.py: keys of each frame side by side, one call a frame. Here
window and memory are attended to apart and merged (HyDRA, hydra.md point 6). Backward recomputes the gather and hands
each part the merged output and log-sum-exp, which makes the flash kernels' gradients exact for the union.

What it gains. On a CPU, one thread, CPU seconds, best of few turns on a shared machine: a float32 training step of
``tiny`` takes the plain loop 1.06 (one draw) and 1.14 (two draws) times as long, and a forward without gradients the
same within the noise; in bfloat16 the two differ by less than the noise (0.91 and 1.10). On CUDA it was not measured:
windows are views, so the ``[f, width*n]`` copy of whole frames is never written (the plain loop writes it for every
frame, and keeps it for the backward), and a group of frames is one or two calls and not f.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..memory.windows import QueryGroup

_aten = torch.ops.aten
_FLASH_DTYPES = (torch.bfloat16, torch.float16)
# numbers that may be gathered however few the keys: a training step of the small model takes an eighth less time so
_SMALL = 4 * 2**20
_MOST_SCORES = 64 * 2**20  # that are written out at a time: 256 MiB in float32


def can_merge(query: Tensor, backend: Any = None) -> bool:
    """Whether torch has a kernel here that returns the log-sum-exp and takes its gradient."""
    if backend is None:
        from diffusers.models.attention_dispatch import _AttentionBackendRegistry

        backend = _AttentionBackendRegistry.get_active_backend()[0]
    if AttentionBackendName(backend) is not AttentionBackendName.NATIVE:
        return False
    if query.device.type == "cuda":
        # torch's CUDA kernels want heads of whole 16-byte rows, flash at most 256 channels
        fits = query.shape[-1] % 8 == 0 and query.shape[-1] <= 256
        if query.dtype in _FLASH_DTYPES:
            return fits and torch.cuda.get_device_capability(query.device) >= (8, 0)
        return fits and query.dtype == torch.float32
    return query.device.type == "cpu" and query.dtype in (*_FLASH_DTYPES, torch.float32, torch.float64)


def one_window(queries: Tensor, key: Tensor, value: Tensor, group: QueryGroup, backend: Any) -> Tensor:
    """All query frames of the group against one window and no memory: one long call."""
    window = slice(group.start, group.start + group.width)
    out = dispatch_attention_fn(
        queries.flatten(1, 2), key[:, window].flatten(1, 2), value[:, window].flatten(1, 2), backend=backend
    )
    return out.unflatten(1, (group.frames, -1))


def merged(
    queries: Tensor,
    key: Tensor,
    value: Tensor,
    group: QueryGroup,
    memory_key: Tensor | None,
    memory_value: Tensor | None,
    picks: Tensor | None,
) -> Tensor:
    """The fast path, one sample at a time: overlapping windows are views only within a sample."""
    out = []
    for b in range(len(queries)):
        memory: tuple[Tensor | None, ...] = (None, None, None)
        if group.recall:
            assert memory_key is not None and memory_value is not None and picks is not None
            chosen = picks[b, group.first : group.first + group.frames, : group.recall]
            memory = (memory_key[b], memory_value[b], chosen)
        geometry = (group.start, group.step, group.width)
        out.append(_WindowAndRecall.apply(queries[b], key[b], value[b], *memory, geometry))
    return torch.stack(out) if len(out) > 1 else out[0][None]


class _WindowAndRecall(torch.autograd.Function):
    """``softmax(q [window, recalled]^T) [v_window, v_recalled]`` for f query frames of one sample.

    query ``[f, n, heads, d]``, key and value ``[fk, n, heads, d]``, memory ``[t, p, heads, d]`` or None,
    picks ``[f, k]`` or None, geometry (start, step, width) of the windows.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        memory_key: Tensor | None,
        memory_value: Tensor | None,
        picks: Tensor | None,
        geometry: tuple[int, int, int],
    ) -> Tensor:
        out, lse = _local(query, key, value, geometry)
        for part in _recall_slices(query, key, memory_key, picks):
            assert memory_key is not None and memory_value is not None and picks is not None
            recalled = memory_key[picks[part]].flatten(1, 2), memory_value[picks[part]].flatten(1, 2)
            memory_out, memory_lse = _flash(query[part], *recalled)
            weight = torch.sigmoid(memory_lse - lse[part]).transpose(1, 2)[..., None].to(out.dtype)
            lse[part] = torch.logaddexp(lse[part], memory_lse)
            out[part].lerp_(memory_out, weight)
        ctx.save_for_backward(query, key, value, memory_key, memory_value, picks, out, lse)
        ctx.geometry = geometry
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, memory_key, memory_value, picks, out, lse = ctx.saved_tensors
        frames = len(query)
        grad = grad.contiguous()
        grad_query, window_key, window_value = _flash_backward(
            grad,
            query,
            _windows(key, frames, ctx.geometry),
            _windows(value, frames, ctx.geometry),
            out,
            lse,
        )
        grad_key = _fold_windows(window_key, key, ctx.geometry)
        grad_value = _fold_windows(window_value, value, ctx.geometry)
        grad_memory_key = grad_memory_value = None
        if memory_key is not None:
            # sums of many pages: kept in float32 so that bf16 training loses nothing here
            grad_memory_key = torch.zeros_like(memory_key, dtype=torch.promote_types(key.dtype, torch.float32))
            grad_memory_value = torch.zeros_like(grad_memory_key)
        for part in _recall_slices(query, key, memory_key, picks):
            assert grad_memory_key is not None and grad_memory_value is not None
            chosen = picks[part]
            dq, dk, dv = _flash_backward(
                grad[part],
                query[part],
                memory_key[chosen].flatten(1, 2),
                memory_value[chosen].flatten(1, 2),
                out[part],
                lse[part],
            )
            grad_query[part] += dq
            pages = (chosen.numel(), *memory_key.shape[1:])
            grad_memory_key.index_add_(0, chosen.flatten(), dk.reshape(pages).to(grad_memory_key.dtype))
            grad_memory_value.index_add_(0, chosen.flatten(), dv.reshape(pages).to(grad_memory_key.dtype))
        if memory_key is not None:
            assert grad_memory_key is not None and grad_memory_value is not None
            grad_memory_key = grad_memory_key.to(memory_key.dtype)
            grad_memory_value = grad_memory_value.to(memory_value.dtype)
        return grad_query, grad_key, grad_value, grad_memory_key, grad_memory_value, None, None


def _local(query: Tensor, key: Tensor, value: Tensor, geometry: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Attention of ``query [f, n, heads, d]`` to its windows alone, and its log-sum-exp ``[f, heads, n]``."""
    frames, tokens = query.shape[:2]
    if geometry[1] == 1 or frames == 1:
        return _flash(query, _windows(key, frames, geometry), _windows(value, frames, geometry))
    # one window for all: one long call, which the CPU's kernel cuts into larger blocks
    out, lse = _flash(query.flatten(0, 1)[None], _windows(key, 1, geometry), _windows(value, 1, geometry))
    lse = lse[0].unflatten(1, (frames, tokens)).transpose(0, 1).contiguous()
    return out.view(query.shape), lse


def _windows(x: Tensor, frames: int, geometry: tuple[int, int, int]) -> Tensor:
    """Overlapping windows of ``x [fk, n, heads, d]`` as a view ``[frames, width*n, heads, d]``."""
    start, step, width = geometry
    if step == 0:
        return x[start : start + width].flatten(0, 1).expand(frames, -1, -1, -1)
    windows = x[start : start + frames - 1 + width].unfold(0, width, 1)  # [frames, n, heads, d, width]
    return windows.permute(0, 4, 1, 2, 3).flatten(1, 2)


def _fold_windows(grad: Tensor, like: Tensor, geometry: tuple[int, int, int]) -> Tensor:
    """Sum gradients of the windows ``[frames, width*n, heads, d]`` back into the key frames."""
    start, step, width = geometry
    grad = grad.unflatten(1, (width, -1))
    folded = torch.zeros_like(like, dtype=torch.promote_types(like.dtype, torch.float32))
    if step == 0:
        folded[start : start + width] = grad.sum(dim=0, dtype=folded.dtype)
    else:
        for offset in range(width):
            folded[start + offset : start + offset + len(grad)] += grad[:, offset]
    return folded.to(like.dtype)


def _recall_slices(query: Tensor, key: Tensor, memory: Tensor | None, picks: Tensor | None) -> Iterator[slice]:
    """Query frames by so many that the gathered pages are no larger than the keys themselves, or small anyhow."""
    if memory is None or picks is None:
        return
    pages = picks.shape[1] * memory.shape[1]
    rows = max(key.shape[0] * key.shape[1], _SMALL // key.shape[2:].numel())
    step = max(1, rows // max(1, pages))
    for start in range(0, len(query), step):
        yield slice(start, start + step)


def _by_products(query: Tensor, key: Tensor) -> bool:
    """Whether to write the scores out and leave the work to matrix products.

    On a CPU in half precision torch's flash kernel takes 2 to 3.7 times as long, forward and backward together
    (26 frames of 60 queries against 300 to 540 keys, AVX-512 with bf16), as long as the scores are not too many.
    """
    small = query.shape[:3].numel() * key.shape[1] <= _MOST_SCORES
    return query.device.type == "cpu" and query.dtype in _FLASH_DTYPES and small


def _flash(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Flash attention of ``[f, tokens, heads, d]`` with its log-sum-exp ``[f, heads, tokens]``."""
    q, k, v = (x.transpose(1, 2) for x in (query, key, value))
    if _by_products(query, key):
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        lse = torch.logsumexp(scores.float(), dim=-1)
        out = torch.exp(scores - lse[..., None]).to(v.dtype) @ v
    elif query.device.type == "cpu":
        out, lse = _aten._scaled_dot_product_flash_attention_for_cpu(q, k, v)
    elif query.dtype in _FLASH_DTYPES:
        out, lse = _aten._scaled_dot_product_flash_attention(q, k, v)[:2]
    else:
        out, lse = _aten._scaled_dot_product_efficient_attention(q, k, v, None, True)[:2]
    return out.transpose(1, 2), lse[..., : query.shape[1]]


def _flash_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, lse: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and value for one part, given the merged output and log-sum-exp."""
    g, q, k, v, o = (x.transpose(1, 2) for x in (grad, query, key, value, out))
    grads: Any
    if _by_products(query, key):
        scaled = q * q.shape[-1] ** -0.5
        shares = torch.exp(scaled @ k.transpose(-1, -2) - lse[..., None])
        inner = (g.float() * o.float()).sum(dim=-1, keepdim=True)
        slopes = (shares * ((g @ v.transpose(-1, -2)) - inner)).to(q.dtype)
        dq = (slopes @ k) * q.shape[-1] ** -0.5
        grads = dq, slopes.transpose(-1, -2) @ scaled, shares.to(g.dtype).transpose(-1, -2) @ g
    elif query.device.type == "cpu":
        grads = _aten._scaled_dot_product_flash_attention_for_cpu_backward(g, q, k, v, o, lse, 0.0, False)
    elif query.dtype in _FLASH_DTYPES:
        seed = torch.zeros((), dtype=torch.uint64, device=query.device)
        grads = _aten._scaled_dot_product_flash_attention_backward(
            g, q, k, v, o, lse.contiguous(), None, None, q.shape[2], k.shape[2], 0.0, False, seed, seed
        )
    else:
        seed = torch.zeros((), dtype=torch.int64, device=query.device)
        lse = torch.nn.functional.pad(lse, (0, -lse.shape[-1] % 32), value=float("inf"))
        grads = _aten._scaled_dot_product_efficient_attention_backward(
            g, q, k, v, None, o, lse, seed, seed, 0.0, [True, True, True, False]
        )
    dq, dk, dv = (x.transpose(1, 2) for x in grads[:3])
    return dq, dk, dv
