"""Parts of steps: the same whether they are read ahead or not, and whoever asks for them in whatever order."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import torch

from latents import write_latents
from outofsight.training import TrainConfig
from outofsight.training.batches import Part, PartLoader
from outofsight.training.dataset import LatentDataset


def loader(folder: Path, device: str, process: int = 0, processes: int = 1, **settings: int) -> PartLoader:
    config = TrainConfig(folder, Path("run"), **{"batch_size": 4, "accumulation": 2, **settings})  # type: ignore[arg-type]
    place = SimpleNamespace(process_index=process, num_processes=processes, device=torch.device(device))
    return PartLoader(config, LatentDataset(folder), place)


def names(parts: list[Part]) -> list[str]:
    return [name for part in parts for name in part.batch.names]


def test_reading_ahead_gives_the_same_parts(tmp_path: Path) -> None:
    folder = write_latents(tmp_path / "latents")
    # a GPU's loader reads in a thread
    with closing(loader(folder, "cpu")) as now, closing(loader(folder, "cuda")) as ahead:
        for step in (0, 1, 2, 7, 8, 3):
            ours, theirs = now.parts(step), ahead.parts(step)
            assert len(ours) == 2 and names(ours) == names(theirs)
            for mine, his in zip(ours, theirs, strict=True):
                assert torch.equal(mine.batch.latents, his.batch.latents)
                assert torch.equal(mine.draws.noise((3,)), his.draws.noise((3,)))


def test_processes_share_out_the_batch_of_one(tmp_path: Path) -> None:
    folder = write_latents(tmp_path / "latents")
    one = loader(folder, "cpu", accumulation=1)
    first, second = (loader(folder, "cpu", process, 2, accumulation=1) for process in range(2))
    for step in range(5):
        assert names(one.parts(step)) == names(first.parts(step)) + names(second.parts(step))
    few = loader(folder, "cpu", clips=2)
    assert {name for step in range(4) for name in names(few.parts(step))} == {"clip-000", "clip-001"}
