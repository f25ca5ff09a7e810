"""Runs made by hand, so that everything a report shows of them is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from held_out import write_data
from outofsight.generation.outputs import OutputPaths
from outofsight.generation.record import Machine, RunRecord, Settings, Sources
from outofsight.generation.request import Job, load_inputs
from outofsight.io import sha256_file, write_json
from outofsight.video import write_video
from pipelines import FPS, FRAMES, HEIGHT, WIDTH

LATENTS, STRIDE = 3, 4  # latent frames of each half, and video frames in one (but for the first)
SETTINGS = Settings(num_inference_steps=2, guidance_scale=1.0, shift=3.0)


def write_scene(root: Path, count: int = 1) -> Path:
    """Clips with fates (see held_out.py), whose dog walks from the left to the right, 4 m ahead; returns clip-0."""
    folder = write_data(root, count, fates=True)
    for number in range(count):
        file = folder / f"clip-{number}" / "character.json"
        content = json.loads(file.read_text())
        content["outofsight"]["subjects"][0]["positions"] = [[x, 0.0, 4.0] for x in np.linspace(-2, 2, 2 * FRAMES)]
        file.write_text(json.dumps(content))
    return folder / "clip-0"


def grey_frames(count: int = FRAMES, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Frames of one grey each, that tell which frame it is: 20, 40, 60 ..."""
    levels = 20 * (1 + np.arange(count, dtype=np.uint8))
    return np.broadcast_to(levels[:, None, None, None], (count, height, width, 3)).copy()


def trace_arrays() -> dict[str, np.ndarray]:
    """2 steps, 3 blocks, 3 target frames, 3 memory tokens of one context frame each, 2 of them recalled.

    Frame 0 recalls tokens 0 and 1 always (2 lies in its window). Frame 1 recalls, in the first step, in each block the
    token of the block's number alone, in the second step 0 and 2. Frame 2 recalls token 1 alone.
    """
    picks = np.full((2, 3, 1, LATENTS, 2), -1, np.int16)
    picks[:, :, 0, 0] = [0, 1]
    picks[0, :, 0, 1, 0] = [0, 1, 2]
    picks[1, :, 0, 1] = [2, 0]
    picks[:, :, 0, 2, 0] = 1
    selectable = np.ones((LATENTS, LATENTS), bool)
    selectable[0, 2] = False
    return {
        "scores": np.zeros((2, 3, 1, LATENTS, LATENTS), np.float32),
        "picks": picks,
        "sources": np.array([[0, 0], [1, 1], [2, 2]]),
        "selectable": selectable,
        "windows": np.array([[2, 4], [3, 5], [3, 5]]),
        "sigmas": np.array([1.0, 0.5]),
        "first_query": np.array(LATENTS),
        "context_frames": np.array(LATENTS),
        "target_frames": np.array(LATENTS),
    }


def write_run(
    place: Path, sources: Sources, made: np.ndarray | None = None, settings: Settings = SETTINGS, **changes: Any
) -> Path:
    """A run as generate leaves it, of grey frames unless others are given; changes: to its record."""
    paths = OutputPaths(place)
    frames = grey_frames() if made is None else made
    place.parent.mkdir(parents=True, exist_ok=True)
    write_video(paths.video, frames, FPS, crf=0)
    inputs = load_inputs(Job(paths, sources), settings, STRIDE).fitted(settings)
    given = inputs.record(inputs.context_cameras.horizontal_fov, inputs.frames.shape[1:3])
    record: dict[str, Any] = {
        "settings": settings, "sources": sources, "machine": Machine(), "seed": 7, "trace": True,
        "inputs": given, "model": {"name": "small", "folder": None, "files": {}}, "fingerprint": "f",
        "outputs": {"video": {"file": place.name, "sha256": sha256_file(paths.video)}},
    }  # fmt: skip
    write_json(paths.record, RunRecord(**(record | changes)).to_json())
    np.savez_compressed(paths.trace, **trace_arrays())  # type: ignore[arg-type]
    return place


def chunk_arrays() -> list[dict[str, np.ndarray]]:
    """Traces of a run in two chunks of 5 and 4 frames: 3 context and 2 target latent frames each, one token a context
    frame, 2 steps and 3 blocks; of the second chunk one step alone.

    The second chunk begins one frame earlier than what it adds. Its first latent frame, of that frame alone, recalls
    token 0; the other one token 2, which covers frames 0 to 3 of the target, and in the last block token 1.
    """
    one = trace_arrays()
    one |= {
        "picks": one["picks"][:, :, :, :2],
        "selectable": one["selectable"][:2],
        "windows": np.array([[2, 4], [2, 4]]),
    }
    one |= {"target_frames": np.array(2), "scores": one["scores"][:, :, :, :2]}
    picks = np.full((1, 3, 1, 2, 2), -1, np.int16)
    picks[:, :, 0, 0, 0] = 0
    picks[0, :, 0, 1, 0] = [2, 2, 1]
    two = {**one, "picks": picks, "sigmas": np.array([0.5]), "scores": one["scores"][:1]}
    return [one, two | {"selectable": np.ones((2, 3), bool)}]


def write_rollout(place: Path, sources: Sources, traces: tuple[int, ...] = (0, 1)) -> Path:
    """A run in two chunks, see :func:`chunk_arrays`; traces: of which chunks."""
    write_run(place, sources)
    paths = OutputPaths(place)
    paths.trace.unlink()
    record = json.loads(paths.record.read_text())
    record["outputs"]["video"]["chunks"] = [5, 4]
    for number in traces:
        np.savez_compressed(paths.trace_of(number), **chunk_arrays()[number])  # type: ignore[arg-type]
        file = paths.trace_of(number)
        name = f"trace-{number + 1}" if number else "trace"
        record["outputs"][name] = {"file": file.name, "sha256": sha256_file(file)}
    write_json(paths.record, record)
    return place


def of_clip(folder: Path, **more: Any) -> Sources:
    return Sources(clip=str(folder), **more)
