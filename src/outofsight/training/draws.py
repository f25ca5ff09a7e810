"""Every random number of training, as a pure function of (seed, step, place in the global batch).

Nothing is drawn from a running generator, so a resumed run needs no random state, and the number of processes and
accumulated parts does not change what is drawn. A step's clips are places ``0 .. batch-1``; over the steps they run
through one permutation of the data per epoch.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

# what a number is drawn for; the values are part of a run's identity
_ORDER, _NOISE, _LEVEL, _SHARED_LEVEL, _TEXT, _CAMERA, _CONDITION = range(7)


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=key)))


def clips_of_step(seed: int, step: int, places: Sequence[int], batch: int, clips: int) -> list[int]:
    """Which of ``clips`` clips are at these places of a step's global batch; each once per epoch, in its order."""
    out = []
    orders: dict[int, np.ndarray] = {}
    for place in places:
        epoch, offset = divmod(step * batch + place, clips)
        if epoch not in orders:
            orders[epoch] = _generator(seed, _ORDER, epoch).permutation(clips)
        out.append(int(orders[epoch][offset]))
    return out


def places_of_part(batch: int, processes: int, process: int, accumulation: int, part: int) -> range:
    """The places that a process takes in one accumulated part; all parts of all processes make ``range(batch)``."""
    size = batch // (processes * accumulation)
    first = (part * processes + process) * size
    return range(first, first + size)


class Draws:
    """The numbers of some places of one step.

    Args:
        seed, step: of the run.
        places: in the step's global batch, one per clip.
        batch: how many places the global batch has; needed by levels that are spread over it.
        copies: how often the places are drawn for; the numbers of the first copy of all places come first, and are
            those of a single copy.
    """

    def __init__(self, seed: int, step: int, places: Sequence[int], batch: int | None = None, copies: int = 1) -> None:
        self.seed, self.step = seed, step
        batch = max(places) + 1 if batch is None else batch
        self.total, self.copies = batch * copies, copies
        self.places = tuple(copy * batch + place for copy in range(copies) for place in places)

    def __len__(self) -> int:
        return len(self.places)

    def noise(self, shape: Sequence[int]) -> Tensor:
        """Standard normal ``[b, *shape]`` float32, on the CPU."""
        return torch.stack(
            [
                torch.from_numpy(self._of(_NOISE, place).standard_normal(tuple(shape), dtype=np.float32))
                for place in self.places
            ]
        )

    def levels(self, kind: str, frames: int) -> Tensor:
        """Uniform numbers in [0, 1) for noise levels, ``[b, frames]`` float64: the same for the whole global batch
        ("shared"), for the frames of a clip ("clip", "even"), or none ("frame").

        "even" numbers lie one in each of as many equal parts of [0, 1) as the batch has places and copies, the
        copies of a place far apart (Kingma et al. 2021, variational diffusion models, appendix I.1).
        """
        if kind in ("shared", "even"):
            one = _generator(self.seed, _SHARED_LEVEL, self.step).random()
            shifts = torch.zeros(len(self), 1, dtype=torch.float64)
            if kind == "even":
                batch = self.total // self.copies
                spread = [place // batch / self.copies + place % batch / self.total for place in self.places]
                shifts = torch.tensor(spread, dtype=torch.float64)[:, None]
            return ((one + shifts) % 1.0).expand(-1, frames)
        rows = [self._of(_LEVEL, place).random(frames) for place in self.places]
        uniform = torch.from_numpy(np.stack(rows))
        return uniform if kind == "frame" else uniform[:, :1].expand(-1, frames)

    def dropped_texts(self, probability: float) -> Tensor:
        """``[b]`` bool: clips whose text is left out."""
        return self._below(_TEXT, probability)

    def dropped_cameras(self, probability: float) -> Tensor:
        """``[b]`` bool: clips whose cameras are left out."""
        return self._below(_CAMERA, probability)

    def dropped_conditions(self, name: str, probability: float) -> Tensor:
        """``[b]`` bool: clips whose target is not conditioned on what the conditioner of that name gives."""
        return self._below(_CONDITION + zlib.crc32(name.encode()), probability)

    def _below(self, purpose: int, probability: float) -> Tensor:
        return torch.tensor([self._of(purpose, place).random() < probability for place in self.places])

    def _of(self, purpose: int, place: int) -> np.random.Generator:
        return _generator(self.seed, purpose, self.step, place)
