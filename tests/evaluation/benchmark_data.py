"""Predictions, small networks and clips of every kind, for the tests of the benchmark."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from outofsight.clips import Clip, SubjectTrack
from outofsight.datasets import read_clip, write_clip
from outofsight.evaluation import Evaluation
from outofsight.evaluation.metrics import Sought
from outofsight.video import write_video
from pipelines import FRAMES, HEIGHT, WIDTH, camera_json, cameras, frames

NAMES = ("clip-0", "clip-1", "clip-2")
FIXED = ("last frame held", "best view copied", "shuffled identity", "ground truth", "VAE reconstruction")


def write_predictions(folder: Path, data: Path, names: Sequence[str], faded: float = 0.8, row: str = "made") -> Path:
    """Of each clip its true target, faded."""
    place = folder / row
    place.mkdir(parents=True)
    for name in names:
        clip = read_clip(data, name)
        video = clip.target_video().frames
        write_video(place / f"{name.replace('/', '_')}.mp4", (video * faded).round().astype(np.uint8), clip.fps)
    return place


def write_pair(root: Path) -> Path:
    """Two clips with two subjects each, of ids of their own, which come back in different frames: data as of fates,
    without fates.
    """
    context, target = (replace(path, horizontal_fov=60.0) for path in cameras())
    for name, ids in (("one", ("cat", "dog")), ("two", ("cat", "hen"))):
        seen = np.zeros((2, 2 * FRAMES), int)
        seen[0, :4] = seen[0, 11:] = HEIGHT * 8
        seen[1, 2:7] = seen[1, 14:16] = 16 * 8
        masks = np.zeros((2 * FRAMES, HEIGHT, WIDTH), np.uint8)
        masks[seen[0] > 0, :, :8] = 1
        masks[seen[1] > 0, :16, 20:28] = 2
        tracks = tuple(SubjectTrack(id, visible_pixels=row) for id, row in zip(ids, seen, strict=True))
        videos = [frames(seed=seed) // 2 for seed in (len(name), 60)]
        write_clip(Clip(name, "two", context, target, *videos, tracks, masks, fps=8.0), root)
    return root / "HM-World"


def write_flagged(root: Path, subjects: int = 1) -> Path:
    """A clip as the public data has it: red masks, in-frame flags, no pixel counts, no field of view."""
    context, target = cameras()
    seen = np.zeros(2 * FRAMES, bool)
    seen[:4] = seen[12:] = True
    masks = np.zeros((2 * FRAMES, HEIGHT, WIDTH), np.uint8)
    masks[seen, :, :8] = 1
    tracks = tuple(SubjectTrack(f"actor_{n}", in_frame=seen) for n in range(subjects))
    clip = Clip("flagged", "x", context, target, frames(), frames(seed=3), tracks, masks, fps=8.0)
    folder = write_clip(clip, root)
    for file in ("instance_masks.npz", "character.json"):
        (folder / file).unlink()
    return root / "HM-World"


def write_example(root: Path) -> Path:
    """A clip whose target is kept back."""
    write_video(root / "1.mp4", frames(), 8.0)
    (root / "cam1.json").write_text(json.dumps(camera_json()))
    (root / "caption.txt").write_text("a dog walks\n")
    return root


class Fixed:
    """A tracker that finds everybody where they are in :func:`write_pair`, roughly, but for the first six frames."""

    name = "fixed 1"

    def __call__(self, context: np.ndarray, prediction: np.ndarray, subjects: Sequence[Sought]) -> np.ndarray:
        boxes = np.full((len(subjects), len(prediction), 4), np.nan)
        for row, subject in enumerate(subjects):
            assert not np.isnan(subject.known).all() and len(subject.known) == len(context)
            boxes[row, 6:] = (1, 2, 7, 30) if subject.id == "cat" else (19, 1, 27, 15)
        return boxes


class Colours:
    """Features of a video for the Frechet distance: its mean colour."""

    name = "mean colour 1"

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        return np.asarray(frames.mean(axis=(0, 1, 2)))


def write_networks(folder: Path) -> dict[str, Path]:
    """Folders of networks in their layouts, with random weights."""
    from transformers import CLIPVisionConfig, CLIPVisionModel, CLIPVisionModelWithProjection, ViTConfig, ViTModel

    sizes: dict[str, Any] = {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 224,
    }  # fmt: skip
    vision = {patch: CLIPVisionConfig(patch_size=patch, projection_dim=12, **sizes) for patch in (16, 32)}
    models = {
        "dino": ViTModel(ViTConfig(patch_size=16, **sizes), add_pooling_layer=False),
        "clip_b32": CLIPVisionModelWithProjection(vision[32]),
        "clip_b16": CLIPVisionModel(vision[16]),
    }
    for name, model in models.items():
        for parameter in model.parameters():
            parameter.data = torch.randn(parameter.shape) * 0.3
        model.save_pretrained(folder / name)
    (folder / "lpips").mkdir()
    trunk, before = {}, 3
    for layer, kernel in zip((0, 3, 6, 8, 10), (11, 5, 3, 3, 3), strict=True):
        trunk[f"features.{layer}.weight"] = torch.randn(6, before, kernel, kernel) / kernel
        trunk[f"features.{layer}.bias"], before = torch.zeros(6), 6
    torch.save(trunk, folder / "lpips" / "alexnet-owt-7be5be79.pth")
    heads = {f"lin{n}.model.1.weight": torch.rand(1, 6, 1, 1) for n in range(5)}
    torch.save(heads, folder / "lpips" / "alex.pth")
    return {name: folder / name for name in ("lpips", "dino", "clip_b32", "clip_b16")}


def content(found: Evaluation) -> dict[str, Any]:
    """All but the times."""

    def untimed(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: untimed(inner) for name, inner in part.items() if name not in ("seconds", "created")}
        return [untimed(inner) for inner in part] if isinstance(part, list) else part

    return dict(untimed(json.loads(json.dumps(found.to_json()))))
