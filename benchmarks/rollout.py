r"""python benchmarks/rollout.py                    time and memory of a long rollout, chunk by chunk
python benchmarks/rollout.py --latents 400 --chunk 4 --csv rollout.csv

A model of debug size with random weights whose context is appended to (context_attention "causal", anchor "session")
goes on from 20 latent frames of context. Printed, each as a straight line against the latent frames of history:

- seconds a chunk, along the rollout, and of sessions forked at several lengths that then take turns in random order
  (along one rollout a machine that slows down looks like a history that costs);
- the process's resident memory after every chunk, as it is and after ``malloc_trim`` (glibc keeps freed buffers of
  one chunk for the next, some 50 MiB more or less from chunk to chunk);
- the bytes of all tensors that are alive, beside what the bank's pages should take.
"""

from __future__ import annotations

import argparse
import csv
import ctypes
import gc
import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from outofsight.cameras import CameraPath
from outofsight.components.video_codec import codec_of
from outofsight.models import PRESETS, ModelPreset
from outofsight.models.codecs import build_codec
from outofsight.pipeline import WorldModelPipeline
from outofsight.sampling import SamplingOptions
from outofsight.session import Session

STREAMING = {"context_timestep": "clean", "context_attention": "causal", "anchor": "session", "page_frames": 4}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", type=int, default=400, help="latent frames of history at the end")
    parser.add_argument("--context", type=int, default=20, help="latent frames of the given context")
    parser.add_argument("--chunk", type=int, default=4, help="latent frames generated at a time")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--turns", type=int, default=15, help="rounds in which sessions of several lengths take turns")
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


def resident(trim: bool = False) -> float:
    """MiB of this process in memory; ``trim``: after glibc has given back what nobody uses."""
    if trim:
        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def alive() -> float:
    """MiB of all tensors that Python can reach, each storage once."""
    gc.collect()
    storages = {}
    for thing in gc.get_objects():
        if issubclass(type(thing), torch.Tensor):
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values()) / 2**20


def turns_ahead(path: CameraPath, chunk: int, session: Session) -> CameraPath:
    """The cameras of the next chunk, which turn right from where the path ends."""
    return CameraPath.from_string(f"right-{chunk + 1}", start=path)[: session.frames_of(chunk)]


def timed(session: Session, path: CameraPath) -> tuple[float, float]:
    """Wall-clock and processor seconds of one more chunk; the second hardly feels what else a machine does."""
    began, used = time.perf_counter(), time.process_time()
    session.extend(path)
    return time.perf_counter() - began, time.process_time() - used


def rollout(session: Session, path: CameraPath, chunk: int, chunks: int) -> Iterator[tuple[float, float]]:
    """Seconds of each of so many chunks, as :func:`timed`."""
    for _ in track(range(chunks), description="chunks", console=Console(stderr=True)):
        path = turns_ahead(path, chunk, session)
        yield timed(session, path)


def taking_turns(forks: dict[int, tuple[Session, CameraPath]], rounds: int) -> np.ndarray:
    """``[lengths, 3]``: history, and median seconds of a further chunk (:func:`timed`); each round has all lengths."""
    seconds: dict[int, list[tuple[float, float]]] = {length: [] for length in forks}
    order = random.Random(0)
    for _ in range(rounds):
        for length in order.sample(sorted(forks), len(forks)):
            session, path = forks[length]
            seconds[length].append(timed(session.fork(), path))
    return np.array([(length, *np.median(values, axis=0)) for length, values in sorted(seconds.items())])


def line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Values of the least-squares line at the first and the last x."""
    slope, start = np.polyfit(x, y, 1)
    return float(start + slope * x[0]), float(start + slope * x[-1])


def bank_bytes(preset: ModelPreset) -> dict[str, float]:
    """Bytes per latent frame: the latents, and, where the context is appended to, memory tokens of all blocks."""
    config = {"patch_size": (1, 2, 2), "in_channels": 16, **preset.transformer}
    with torch.device("meta"):
        strides = codec_of(build_codec(preset.vae)).pixel_strides
    rows, columns = preset.height // strides[0], preset.width // strides[1]
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
    chunks = (options.latents - options.context) // options.chunk
    kept = {2 + round(i * (chunks - 3) / 8) for i in range(9)}
    beginning = session.fork()
    rows = [
        (len(session.bank), *seconds, resident(), resident(trim=True), alive())
        for seconds in rollout(session, context, options.chunk, chunks)
    ]
    # once more, for forks of it (each keeps what its decoder needs, which would count as memory above)
    forks = {}
    turned = turns_ahead(context, options.chunk, beginning)
    for i, _ in enumerate(rollout(beginning, context, options.chunk, chunks)):
        turned = turns_ahead(turned, options.chunk, beginning)
        if i + 1 in kept:
            forks[len(beginning.bank)] = beginning.fork(), turned
    table = np.array(rows[2:])  # the first two warm up
    history = table[:, 0]
    print(f"{len(rows)} chunks of {options.chunk} latent frames, {history[0]:.0f} to {history[-1]:.0f} of history")
    turns = taking_turns(forks, options.turns)
    for what, measured in (("along the rollout", table), (f"{len(turns)} lengths taking turns", turns)):
        for column, kind in enumerate(("seconds", "processor seconds"), start=1):
            first, last = line(measured[:, 0], measured[:, column])
            print(f"{kind} a chunk, {what}: {first:.3f} -> {last:.3f} ({last / first - 1:+.1%})")
    grown = history[-1] - history[0]
    expected = grown * sum(bank_bytes(preset).values()) / 2**20
    for column, what in enumerate(("resident MiB", "resident MiB, trimmed", "MiB of tensors alive"), start=3):
        first, last = line(history, table[:, column])
        print(f"{what}: {first:.1f} -> {last:.1f} ({last - first:+.1f})")
    print(f"  the bank's pages for that, computed: {expected:+.1f} MiB")
    for name in ("debug", "tiny", "hydra-1.3b"):
        parts = ", ".join(f"{what} {value / 1000:.1f} kB" for what, value in bank_bytes(PRESETS[name]).items())
        print(f"bank of {name}, float32, a latent frame: {parts}")
    if options.csv is not None:
        with options.csv.open("w", newline="") as file:
            csv.writer(file).writerows(
                [("latents", "seconds", "processor_seconds", "resident_mib", "trimmed_mib", "tensors_mib"), *rows]
            )


if __name__ == "__main__":
    main()
