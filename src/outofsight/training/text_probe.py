"""How much of a caption a text encoder's mean embedding holds, by linear probes that are fitted to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .caption_data import NOT_TOLD, Attributes
from .tokenizer import Captions

_FITTED_ON, _STEPS = 4096, 300


def probe(encoder: Any, data: Captions, judged: Mapping[str, Captions], attributes: Attributes) -> dict[str, float]:
    """Accuracy of linear readers of the mean embedding, fitted to ``data``, on held-out captions.

    Args:
        judged: held-out captions of each split.

    Returns:
        "SPLIT: all", the mean over attributes, and "SPLIT: NAME" of each, averaged over the places that subjects
        take. Values that are not among the known classes are left out.
    """
    chosen = np.unique(np.linspace(0, len(data) - 1, min(_FITTED_ON, len(data))).astype(int))
    fitted_on = data.rows(chosen)
    features = embed(encoder, fitted_on)
    centre, spread = features.mean(dim=0), features.std(dim=0).clamp_min(1e-6)
    heads = _fit((features - centre) / spread, fitted_on.labels, attributes)
    results: dict[str, float] = {}
    for split, captions in judged.items():
        scaled = (embed(encoder, captions) - centre) / spread
        by_name: dict[str, list[float]] = {}
        for name, head, label in zip(attributes.values, heads, captions.labels.T, strict=True):
            known = label != NOT_TOLD
            if bool(known.any()):
                right = (head(scaled[known]).argmax(dim=1) == label[known]).float().mean().item()
                by_name.setdefault(name.split(" ")[0], []).append(right)
        results[f"{split}: all"] = float(np.mean([right for values in by_name.values() for right in values]))
        results |= {f"{split}: {name}": float(np.mean(values)) for name, values in by_name.items()}
    return results


def pooled(embeddings: Tensor, mask: Tensor) -> Tensor:
    """``[b, d]``: mean of ``[b, l, d]`` over the true tokens."""
    weight = mask[..., None].to(embeddings)
    mean: Tensor = (embeddings * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1)
    return mean


@torch.no_grad()
def embed(encoder: Any, captions: Captions) -> Tensor:
    """Mean embeddings ``[n, d]``."""
    made = [
        pooled(encoder(ids, mask.long()).last_hidden_state, mask)
        for ids, mask in zip(captions.ids.split(64), captions.mask.split(64), strict=True)
    ]
    return torch.cat(made)


@torch.enable_grad()
def _fit(features: Tensor, labels: Tensor, attributes: Attributes) -> list[nn.Linear]:
    heads = [nn.Linear(features.shape[1], len(values)) for values in attributes.values.values()]
    for head in heads:
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    optimizer = torch.optim.Adam([p for head in heads for p in head.parameters()], lr=0.02, weight_decay=1e-4)
    for step in range(_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 0.02 * (1 - step / _STEPS)
        losses = [F.cross_entropy(head(features), label) for head, label in zip(heads, labels.T, strict=True)
                  if bool((label != NOT_TOLD).any())]  # fmt: skip
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        optimizer.step()
    return heads
