r"""python benchmarks/forward.py                    one forward: fast against plain attention, cached against not
python benchmarks/forward.py --device cuda --dtype bfloat16 --preset hydra-1.3b \
    --frames 20 20 --grid 30 52 --steps 50

Same weights for all variants of a kind; outputs are compared before anything is timed, variants take turns within
a run, and peak memory is measured in a process of its own for each. Ratios of one run are what can be compared:
absolute times on a shared machine cannot.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from outofsight.models import PRESETS, WorldTransformer3DModel
from outofsight.sampling import denoise

CACHEABLE = {"context_timestep": "clean", "context_attention": "context_only"}
VARIANTS = {
    "released kind, fast": ({}, "fast"),
    "released kind, plain loop": ({}, "plain"),
    "cacheable, fast": (CACHEABLE, "fast"),
    "cacheable, context cached": (CACHEABLE, "cached"),
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=sorted(PRESETS), help="take the transformer's sizes from a preset")
    parser.add_argument("--frames", type=int, nargs=2, default=(10, 10), metavar=("CONTEXT", "TARGET"))
    parser.add_argument("--grid", type=int, nargs=2, default=(14, 26), metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--heads", type=int, default=3)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--ffn", type=int, default=2240)
    parser.add_argument("--top-k", type=int, default=5)
    parser.add_argument("--words", type=int, default=128, help="text tokens")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=0, help="also time a sampling run of so many steps")
    parser.add_argument("--compile", action="store_true", help="compile the repeated blocks")
    parser.add_argument("--only", choices=sorted(VARIANTS), help=argparse.SUPPRESS)
    return parser.parse_args()


def build(options: argparse.Namespace, kind: dict[str, Any]) -> WorldTransformer3DModel:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "num_attention_heads": options.heads,
        "attention_head_dim": options.dim // options.heads,
        "text_dim": 512,
        "ffn_dim": options.ffn,
        "num_layers": options.layers,
        "memory_options": {"top_k": options.top_k},
    }
    if options.preset:
        sizes = dict(PRESETS[options.preset].transformer)
    with torch.device(options.device):
        model = WorldTransformer3DModel(**{**sizes, **kind}).eval()
    for name, parameter in model.named_parameters():
        if "cam_encoder" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    model = model.to(getattr(torch, options.dtype))
    if options.compile:
        model.compile_repeated_blocks()
    return model


def inputs(options: argparse.Namespace, model: WorldTransformer3DModel) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    context, target = options.frames
    _, p_h, p_w = model.config.patch_size
    shape = (1, model.config.in_channels, context + target, options.grid[0] * p_h, options.grid[1] * p_w)

    def draw(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=g).to(options.device, getattr(torch, options.dtype))

    return {
        "hidden_states": draw(*shape),
        "timestep": torch.full((1,), 700.0, device=options.device),
        "encoder_hidden_states": draw(1, options.words, model.config.text_dim),
        "context_poses": draw(1, context, 12),
        "target_poses": draw(1, target, 12),
    }


def runner(options: argparse.Namespace, model: Any, given: dict[str, Any], how: str) -> Callable[[], torch.Tensor]:
    """One forward whose target half is returned."""
    cut = options.frames[0]
    if how == "cached":
        cache = model.encode_context(given["hidden_states"][:, :, :cut], given["context_poses"], given["target_poses"])
        given = {**given, "hidden_states": given["hidden_states"][:, :, cut:], "context_cache": cache}
        return lambda: model(**given).sample
    return lambda: model(**given, plain=how == "plain").sample[:, :, cut:]


def clock(run: Callable[[], torch.Tensor], device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_mebibytes(options: argparse.Namespace) -> float:
    """In a child process: peak memory above what model and inputs take."""
    kind, how = VARIANTS[options.only]
    model = build(options, kind)
    run = runner(options, model, inputs(options, model), how)
    if options.device == "cpu":
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak of loading (Linux)
        before = resident("VmRSS")
        run()
        return resident("VmHWM") - before
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def resident(what: str) -> float:
    """A line of this process's memory accounts, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(what))


def child(name: str) -> float:
    command = [sys.executable, *sys.argv, "--only", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def equal(ours: torch.Tensor, theirs: torch.Tensor, dtype: str) -> None:
    error = float((ours.float() - theirs.float()).norm() / theirs.float().norm())
    bound = 1e-5 if dtype == "float32" else 5e-2
    if error > bound:
        raise SystemExit(f"outputs differ by {error:.2e} (relative), allowed {bound:.0e}: nothing is timed")


@torch.no_grad()
def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    if options.only:
        print(json.dumps(peak_mebibytes(options)))
        return
    runs, models = {}, {}
    for name, (kind, how) in VARIANTS.items():
        key = str(kind)
        models[key] = models.get(key) or build(options, kind)
        runs[name] = runner(options, models[key], inputs(options, models[key]), how)
    outputs = {name: run() for name, run in runs.items()}
    equal(outputs["released kind, fast"], outputs["released kind, plain loop"], options.dtype)
    equal(outputs["cacheable, context cached"], outputs["cacheable, fast"], options.dtype)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.repeats):
        for name, run in runs.items():
            times[name].append(clock(run, options.device))
    report(options, times, {name: child(name) for name in runs})
    if options.steps:
        sampling(options, models)


def report(options: argparse.Namespace, times: dict[str, list[float]], memory: dict[str, float]) -> None:
    tokens = sum(options.frames) * options.grid[0] * options.grid[1]
    table = Table(title=f"one forward, {tokens} tokens, {options.device} {options.dtype}, outputs equal")
    for column in ("variant", "best s", "median s", "against plain / uncached", "peak MiB above the weights"):
        table.add_column(column)
    reference = {
        "released kind": min(times["released kind, plain loop"]),
        "cacheable": min(times["cacheable, fast"]),
    }
    for name, taken in times.items():
        ratio = min(taken) / reference[name.split(",")[0]]
        table.add_row(
            name,
            f"{min(taken):.3f}",
            f"{statistics.median(taken):.3f}",
            f"{ratio:.2f}",
            f"{memory[name]:.0f}",
        )
    Console(width=110).print(table)


def sampling(options: argparse.Namespace, models: dict[str, Any]) -> None:
    for kind, model in models.items():
        given = inputs(options, model)
        source, noise = given["hidden_states"].split(list(options.frames), dim=2)
        text = given["encoder_hidden_states"]
        poses = given["context_poses"], given["target_poses"]
        run = partial(denoise, model, source, noise, text, text * 0, *poses, steps=options.steps)
        print(f"{options.steps} steps, guidance 5, {kind}: {clock(run, options.device):.2f} s")


if __name__ == "__main__":
    main()
