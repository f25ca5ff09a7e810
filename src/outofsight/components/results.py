"""What a run gives back: the video, or, broken off, what is needed to resume."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from ..cameras import CameraPath
from ..errors import GeometryError
from ..memory.trace import RetrievalTrace
from ..sampling import DenoisingInterrupted


@dataclass(frozen=True, eq=False)
class Ahead:
    """Cameras of one chunk, checked, with the lens of the frames that the model gets.

    ``latents`` frames are made of them; the first ``overlap`` video frames are there already and are left out again.
    """

    cameras: CameraPath
    latents: int
    overlap: int = 0


@dataclass
class Chunk:
    """What one :meth:`Session.extend` made.

    Args:
        frames: uint8 ``[f, h, w, 3]``; None where nothing was decoded.
        latents: normalised ``[1, c, n, h, w]``.
        numbers: latent-frame numbers in the session's time.
        trace: what was recalled, where it was asked for.
        seconds: wall-clock time of each part.
    """

    frames: np.ndarray | None
    latents: Tensor
    numbers: range
    trace: RetrievalTrace | None = None
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass
class WorldModelOutput:
    """What a run made.

    Args:
        frames: uint8 ``[f, h, w, 3]``; None for ``output_type="latent"``.
        latents: normalised target latents ``[1, c, ft, h, w]``.
        trace: what was recalled, where it was asked for.
        seed: of the noise; None where a generator was passed.
        seconds: wall-clock time of each part.
    """

    frames: np.ndarray | None
    latents: Tensor
    trace: RetrievalTrace | None = None
    seed: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class PartialRun:
    """A run broken off between two steps; pass it as ``resume`` with the same arguments to finish it.

    ``latents [1, c, ft, h, w]`` after ``step`` of ``steps``; ``clean_estimate`` is the model's guess of the end.
    """

    latents: Tensor
    step: int
    steps: int
    seed: int | None
    clean_estimate: Tensor | None = None

    def checked(self, shape: tuple[int, ...], steps: int) -> Tensor:
        """The latents, if they fit the run that is to resume; raises GeometryError."""
        if tuple(self.latents.shape) != shape or self.steps != steps or not 0 < self.step <= steps:
            raise GeometryError(
                f"the run to resume has latents {list(self.latents.shape)} after step {self.step} of "
                f"{self.steps}, "
                f"this one {list(shape)} and {steps} steps: resume with the arguments of the run broken off"
            )
        return self.latents


class GenerationInterrupted(KeyboardInterrupt):
    """Ctrl-C while denoising: ``partial`` can be resumed; ``seconds`` says what each part had taken."""

    def __init__(self, partial: PartialRun, seconds: dict[str, float]) -> None:
        super().__init__(f"interrupted after step {partial.step} of {partial.steps}")
        self.partial, self.seconds = partial, seconds


def interrupted(
    stop: KeyboardInterrupt, latents: Tensor | None, steps: int, seed: int | None, seconds: dict[str, float]
) -> KeyboardInterrupt:
    """What Ctrl-C becomes: resumable while denoising, or after it (``latents`` are the result)."""
    if isinstance(stop, DenoisingInterrupted):
        estimate = None if stop.clean_estimate is None else stop.clean_estimate.cpu()
        return GenerationInterrupted(PartialRun(stop.latents.cpu(), stop.step, steps, seed, estimate), seconds)
    if latents is not None:
        return GenerationInterrupted(PartialRun(latents.cpu(), steps, steps, seed), seconds)
    return stop
