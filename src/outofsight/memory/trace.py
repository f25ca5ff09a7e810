"""What was recalled: kept for every denoising step, block and frame, and saved beside the video."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import OutputError
from ..io import replacing


@dataclass(frozen=True, eq=False)
class Recall:
    """What the queries of one block recalled.

    Args:
        scores: ``[b, f, t]`` score of each memory token for each query frame, before masking; None where the
            mechanism takes everything and scores nothing.
        picks: ``[b, f, k]`` chosen memory tokens, best first, -1 where fewer could be chosen.
        sources: ``[t, 2]`` first and last latent frame that each memory token covers.
        selectable: ``[f, t]`` False where the token lies in the frame's own window.
        windows: ``[f, 2]`` first and last frame of each query frame's window.
        first_query: number of the first query frame (context frames are not queried from a cache).
    """

    scores: Tensor | None
    picks: Tensor
    sources: Tensor
    selectable: Tensor
    windows: Tensor
    first_query: int = 0


@dataclass
class RetrievalTrace:
    """Collects :class:`Recall` over a run; pass one to ``model(...)``, ``denoise`` or the pipeline.

    ``scores [steps, blocks, b, f, t]`` (NaN where nothing was scored), ``picks [steps, blocks, b, f, k]``,
    ``sigmas [steps]``, and the geometry that is the same for all of them. ``samples``: how many samples of a
    batch to keep, the first ones (where guidance branches run side by side, the positive branch); None keeps all.
    """

    context_frames: int = 0
    target_frames: int = 0
    samples: int | None = None
    sigmas: list[float] = field(default_factory=list)
    steps: list[list[Recall]] = field(default_factory=list)

    def begin_step(self, sigma: float) -> None:
        """Start the record of one denoising step."""
        self.sigmas.append(float(sigma))
        self.steps.append([])

    def add(self, recall: Recall) -> None:
        """Add the recall of the next block; a trace never begun holds a single step of unknown sigma."""
        if not self.steps:
            self.begin_step(float("nan"))
        scores = recall.scores if recall.scores is None else recall.scores[: self.samples].detach().float().cpu()
        self.steps[-1].append(
            Recall(
                scores,
                recall.picks[: self.samples].detach().to("cpu", torch.int16),
                recall.sources.cpu(),
                recall.selectable.cpu(),
                recall.windows.cpu(),
                recall.first_query,
            )
        )

    @property
    def empty(self) -> bool:
        return not any(self.steps)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything as arrays, ready for ``np.savez``.

        Raises:
            OutputError: nothing was recorded.
        """
        if self.empty:
            raise OutputError("the retrieval trace is empty: pass it to a model call before saving it")
        first = self.steps[0][0]
        scores = [
            torch.stack([torch.full((*r.picks.shape[:2], len(r.sources)), torch.nan) if r.scores is None else r.scores
                         for r in blocks])
            for blocks in self.steps
        ]  # fmt: skip
        picks = [torch.stack([r.picks for r in blocks]) for blocks in self.steps]
        return {
            "scores": torch.stack(scores).numpy(),
            "picks": torch.stack(picks).numpy(),
            "sources": first.sources.numpy(),
            "selectable": first.selectable.numpy(),
            "windows": first.windows.numpy(),
            "sigmas": np.asarray(self.sigmas),
            "first_query": np.asarray(first.first_query),
            "context_frames": np.asarray(self.context_frames),
            "target_frames": np.asarray(self.target_frames),
        }

    def save(self, path: str | Path) -> None:
        """Write ``trace.npz``, whole or not at all; raises OutputError."""
        arrays = self.arrays()
        with replacing(Path(path)) as beside, beside.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    @staticmethod
    def load(path: str | Path) -> dict[str, np.ndarray]:
        """The arrays of a saved trace (see :meth:`arrays`)."""
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
