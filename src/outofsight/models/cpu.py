"""What only a CPU needs: :func:`enable` replaces two methods of every block, and :func:`disable` puts them back.

The first forward on a CPU enables them (``WorldTransformer3DModel``), so nobody has to think of it. Each leaves the
work to what it replaced where gradients are kept, under the compiler, on other devices and dtypes, and where a layer
is not what it was made as (adapters, quantisation, hooks), so that nothing is gone round.

Measured by themselves on one AVX-512 core, CPU seconds, best of 60 turns (with two threads the shared machine was too
busy for more than the direction):

- :func:`feed_forward` fuses the GELU into the first product: 2.1 times as fast at 1560 rows of 256 channels, 1.7 times
  at 7280 rows of 384. About 1100 rows at a time stay in the cache: 1.1 times as fast at 7280 rows, 0.94 at 1560. The
  second product is torch's own: oneDNN's without an activation took 1.06 to 1.1 times as long.
- :func:`project_out` multiplies the two output projections first: 1.6 times as fast at 1560 rows of 256 channels.

Scratch buffers, results written in place, and cutting of norms, projections and attention by frames were tried too:
without them a forward at ``tiny`` size took 0.97 to 1.10 times as long, no more than the noise of those runs.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from diffusers.models.activations import GELU
from torch import Tensor, nn

ROWS = 1100  # of a feed-forward, at a time
_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def enable(transformer: Any) -> None:
    """Let all blocks compute as a CPU does it best. Lasts until :func:`disable`; a second time changes nothing."""
    for block in transformer.blocks:
        block.project_out = partial(project_out, block)
        if is_untouched(block.ffn):
            block.ffn.forward = partial(feed_forward, block.ffn)
    transformer.for_cpu = True


def disable(transformer: Any) -> None:
    """Put back what :func:`enable` replaced, and keep it: later forwards do not enable it again."""
    for block in transformer.blocks:
        vars(block).pop("project_out", None)
        ours = vars(block.ffn).get("forward")
        if isinstance(ours, partial) and ours.func is feed_forward:
            del block.ffn.forward
    transformer.for_cpu = False


def project_out(block: Any, attended: Tensor) -> Tensor:
    """The two output projections ``[b, tokens, dim]`` as one product.

    With more rows than channels the product of the weights costs less than the second map. Only float32 or wider is
    exact enough for it.
    """
    first, second = block.attn1.to_out[0], block.projector
    wide = attended.dtype == first.weight.dtype and attended.dtype in (torch.float32, torch.float64)
    few = attended[..., 0].numel() <= first.weight.shape[0]
    if few or not (wide and _alone(attended) and is_plain(first) and is_plain(second)):
        out: Tensor = type(block).project_out(block, attended)
        return out
    bias = torch.addmv(second.bias, second.weight, first.bias)
    return nn.functional.linear(attended, second.weight @ first.weight, bias)


def feed_forward(ffn: Any, x: Tensor) -> Tensor:
    """``ffn(x)`` of Wan's feed-forward (linear, GELU, linear) on ``x [..., dim]``, some rows at a time."""
    first, dropout, last = ffn.net
    usual = _ONEDNN and type(first) is GELU and first.approximate == "tanh" and not ffn.training
    usual = usual and is_untouched(first) and is_untouched(dropout) and is_plain(last) and is_plain(first.proj)
    if not (usual and _alone(x) and x.dtype == first.proj.weight.dtype == torch.float32):
        out: Tensor = type(ffn).forward(ffn, x)
        return out
    rows = x.flatten(0, -2)
    out = rows.new_empty(len(rows), last.out_features)
    for start in range(0, len(rows), ROWS):
        part, weight = rows[start : start + ROWS], first.proj.weight
        inner = torch.ops.mkldnn._linear_pointwise(part, weight, first.proj.bias, "gelu", [], "tanh")
        torch.addmm(last.bias, inner, last.weight.t(), out=out[start : start + ROWS])
    return out.view(*x.shape[:-1], -1)


def is_untouched(module: nn.Module) -> bool:
    """Whether nobody has hooked the module or replaced its forward, so that going round the call is not noticed."""
    return not (module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))


def is_plain(layer: Any) -> bool:
    """Whether calling the layer does nothing but its matrix product: no subclass, hook, wrapper or packed weight."""
    return (
        type(layer) is nn.Linear
        and type(layer.weight) is nn.Parameter
        and layer.bias is not None
        and is_untouched(layer)
    )


def _alone(x: Tensor) -> bool:
    """Whether this is a CPU, and nobody records what is computed."""
    return x.device.type == "cpu" and not (torch.is_grad_enabled() or torch.compiler.is_compiling())
