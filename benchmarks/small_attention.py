"""Attention of small models on a CPU in bfloat16: one product for all clips and frames against the other paths.

    python benchmarks/small_attention.py [--turns 7]

Forward and backward of one block's attention at the small world's size (8 clips, 8 target frames of 24 tokens, 4 heads
of 32): full context, and HyDRA's window of 3 with 2 recalled tokens of 24. The paths take turns in one run; of each the
best CPU time is printed, and the ratio to the one-product path.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from outofsight.memory.windows import QueryGroup, centred_windows, group_queries
from outofsight.models import kernels, products
from outofsight.models.attention import attend_frames

CLIPS, FRAMES, TOKENS, HEADS, DIM = 8, 16, 24, 4, 32


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, HEADS, DIM, dtype=torch.bfloat16).requires_grad_()


def seconds(run: Callable[[], Tensor], inputs: list[Tensor]) -> float:
    started = time.process_time()
    torch.autograd.grad(run().float().sum(), inputs)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7)
    turns = parser.parse_args().turns
    torch.set_num_threads(1)
    torch.manual_seed(0)
    target = FRAMES // 2
    query = drawn(CLIPS, target, TOKENS)
    key, value = (drawn(CLIPS, FRAMES, TOKENS) for _ in range(2))
    memory_key, memory_value = (drawn(CLIPS, 4, TOKENS) for _ in range(2))
    picks = torch.rand(CLIPS, target, 4).argsort(-1)[..., :2]
    whole = group_queries([(0, FRAMES)] * target, [0] * target)
    windows = group_queries(centred_windows(range(target, FRAMES), 0, FRAMES, 3), [2] * target)

    def over(groups: tuple[QueryGroup, ...], path: Callable[..., Tensor], *more: object) -> Callable[[], Tensor]:
        def run() -> Tensor:
            parts = [
                path(query[:, g.first : g.first + g.frames], key, value, g, memory_key, memory_value, picks, *more)
                for g in groups
            ]
            return torch.cat(parts, dim=1)

        return run

    def one_window() -> Tensor:
        return torch.cat([kernels.one_window(query, key, value, group, None) for group in whole], dim=1)

    cases = {
        "full context": {
            "one product": over(whole, products.attend_together),
            "torch's fused": one_window,
            "frame by frame": over(whole, attend_frames, None),
        },
        "HyDRA": {
            "one product": over(windows, products.attend_together),
            "merged": over(windows, kernels.merged),
            "frame by frame": over(windows, attend_frames, None),
        },
    }
    for case, paths in cases.items():
        inputs = [query, key, value] + ([memory_key, memory_value] if case == "HyDRA" else [])
        best = dict.fromkeys(paths, float("inf"))
        for _ in range(turns):
            for name, run in paths.items():
                best[name] = min(best[name], seconds(run, inputs))
        for name, found in best.items():
            print(f"{case:13} {name:15} {1000 * found:7.1f} ms  {found / best['one product']:5.2f} x")


if __name__ == "__main__":
    main()
