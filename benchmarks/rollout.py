r"""python benchmarks/rollout.py                    time and memory of a long rollout, chunk by chunk
python benchmarks/rollout.py --latents 400 --chunk 4 --csv rollout.csv

A model of debug size with random weights whose context is appended to (context_attention "causal", anchor "session")
goes on from 20 latent frames of context. Printed: a straight line through the seconds of each chunk and through the
process's resident memory, against the latent frames of history; and what the bank takes per latent frame.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from outofsight.cameras import CameraPath
from outofsight.models import PRESETS, ModelPreset
from outofsight.pipeline import WorldModelPipeline
from outofsight.sampling import SamplingOptions

STREAMING = {"context_timestep": "clean", "context_attention": "causal", "anchor": "session", "page_frames": 4}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", type=int, default=400, help="latent frames of history at the end")
    parser.add_argument("--context", type=int, default=20, help="latent frames of the given context")
    parser.add_argument("--chunk", type=int, default=4, help="latent frames generated at a time")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--csv", type=Path, help="write a line for each chunk")
    return parser.parse_args()


def streaming_pipeline(preset: ModelPreset) -> WorldModelPipeline:
    """A preset's sizes with random weights, and a context that is appended to."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = preset.build()
        parts["transformer"] = preset.build_transformer(**STREAMING).eval()
    return WorldModelPipeline(**parts, max_text_tokens=64)


def resident() -> float:
    """MiB of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Values of the least-squares line at the first and the last x."""
    slope, start = np.polyfit(x, y, 1)
    return float(start + slope * x[0]), float(start + slope * x[-1])


def bank_bytes(preset: ModelPreset) -> dict[str, float]:
    """Bytes per latent frame: the latents, and, where the context is appended to, memory tokens of all blocks."""
    config = {"patch_size": (1, 2, 2), "in_channels": 16, **preset.transformer}
    halvings = preset.vae.get("temperal_downsample", [False, True, True])
    pixels = 2 ** len(halvings) * (preset.vae.get("patch_size") or 1)
    rows, columns = preset.height // pixels, preset.width // pixels
    kernel = config["memory_options"]["kernel"]
    dim = config["num_attention_heads"] * config["attention_head_dim"]
    cells = -(-rows // 2 // kernel[1]) * -(-columns // 2 // kernel[2])
    tokens = config["num_layers"] * (2 * cells * dim + dim) / kernel[0]
    return {"latents": config["in_channels"] * rows * columns * 4.0, "memory tokens": tokens * 4.0}


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    preset = PRESETS["debug"]
    pipe = streaming_pipeline(preset)
    stride = 4
    frames = np.random.default_rng(0).integers(
        0, 256, (stride * (options.context - 1) + 1, preset.height, preset.width, 3), dtype=np.uint8
    )
    context = CameraPath(np.repeat(np.eye(4)[None], len(frames), 0), horizontal_fov=60.0, fps=preset.fps)
    sampling = SamplingOptions(options.steps, guidance=1.0)
    session = pipe.session(frames, context, "a dog", sampling, seed=0, negative_prompt="")
    assert pipe.transformer.streams
    path, rows = context, []
    chunks = (options.latents - options.context) // options.chunk
    for _ in track(range(chunks), description="chunks", console=Console(stderr=True)):
        turned = CameraPath.from_string(f"right-{options.chunk + 1}", start=path)
        path = turned[: session.frames_of(options.chunk)]
        began = time.perf_counter()
        session.extend(path)
        rows.append((len(session.bank), time.perf_counter() - began, resident()))
    table = np.array(rows[2:])  # the first two warm up
    seconds, memory = line(table[:, 0], table[:, 1]), line(table[:, 0], table[:, 2])
    print(f"{len(rows)} chunks of {options.chunk} latent frames, {table[0, 0]:.0f} to {table[-1, 0]:.0f} of history")
    print(f"seconds a chunk, line: {seconds[0]:.3f} -> {seconds[1]:.3f} ({seconds[1] / seconds[0] - 1:+.1%}),")
    print(f"  median {np.median(table[:, 1]):.3f}, smallest {table[:, 1].min():.3f}")
    grown = table[-1, 0] - table[0, 0]
    per_frame = sum(bank_bytes(preset).values())
    print(f"resident MiB, line: {memory[0]:.1f} -> {memory[1]:.1f} ({memory[1] - memory[0]:+.1f}),")
    print(f"  of which the bank's pages (computed): {grown * per_frame / 2**20:.1f}")
    for name in ("debug", "tiny", "hydra-1.3b"):
        parts = ", ".join(f"{what} {value / 1000:.1f} kB" for what, value in bank_bytes(PRESETS[name]).items())
        print(f"bank of {name}, float32, a latent frame: {parts}")
    if options.csv is not None:
        with options.csv.open("w", newline="") as file:
            csv.writer(file).writerows([("latents", "seconds", "resident_mib"), *rows])


if __name__ == "__main__":
    main()
