"""The clips of a step, as each process takes them: read ahead on a GPU, kept in memory where they fit."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from .clip_source import Batch, ClipSource
from .config import TrainConfig
from .draws import Draws, places_of_part
from .shards import EncodedClip

_CACHE_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class Part:
    """Clips of one accumulated part, and the random numbers of their places."""

    batch: Batch
    draws: Draws


class PartLoader:
    """Parts of steps, a pure function of the step's number.

    Args:
        config: seed, batch size, accumulation.
        data: the clips.
        accelerator: which process of how many this is; on a GPU the next step is read while one is computed.
    """

    def __init__(self, config: TrainConfig, data: ClipSource, accelerator: Any) -> None:
        self.config, self.data = config, data
        self.process, self.processes = accelerator.process_index, accelerator.num_processes
        self._ahead: ThreadPoolExecutor | None = None
        if accelerator.device.type != "cpu":  # on a CPU the cores are the model's
            self._ahead = ThreadPoolExecutor(1, thread_name_prefix="clips")
        self._next: tuple[int, Future[list[Part]]] | None = None
        self._clips: dict[int, EncodedClip] = {}
        self._bytes = 0

    def close(self) -> None:
        """End reading ahead."""
        if self._ahead is not None:
            self._ahead.shutdown(cancel_futures=True)

    def parts(self, step: int) -> list[Part]:
        """This process's parts of a step, on the CPU."""
        if self._ahead is None:
            return self._load(step)
        ready = (
            self._next[1] if self._next is not None and self._next[0] == step else self._ahead.submit(self._load, step)
        )
        parts = ready.result()
        self._next = (step + 1, self._ahead.submit(self._load, step + 1))
        return parts

    def _load(self, step: int) -> list[Part]:
        config = self.config
        parts = []
        for number in range(config.accumulation):
            places = places_of_part(config.batch_size, self.processes, self.process, config.accumulation, number)
            chosen = self.data.numbers(config.seed, step, places, config.batch_size, config.clips)
            batch = self.data.collate([self._clip(clip) for clip in chosen])
            parts.append(Part(batch, Draws(config.seed, step, places, config.batch_size, config.draws)))
        return parts

    def _clip(self, number: int) -> EncodedClip:
        if number in self._clips:
            return self._clips[number]
        clip = self.data[number]
        size = clip.latents.nbytes + clip.text.nbytes + clip.subject.nbytes
        if self.data.kept and self._bytes + size <= _CACHE_BYTES:
            self._bytes += size
            self._clips[number] = clip
        return clip
