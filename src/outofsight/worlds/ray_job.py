"""The generation of `outofsight worlds` on a Ray cluster: one actor per CPU asked for, each with its own renderer.

    pip install "outofsight[scale]"
    ray start --head                                   # or on a cluster; without it a local one is started
    python -m outofsight.worlds.ray_job --clips 10000 --seed 7 --out /shared/worlds --preset hm-world --actors 64

--out must be a folder that all machines see. The files are those that `outofsight worlds` makes with the same
settings, and either can resume what the other began.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import OutOfSightError, WorldsError
from .generate import Seconds
from .makers import Maker, maker_of
from .manifest import Row, Settings
from .runner import Outcome, Report, make_clips, make_one


class _Worker:
    """What runs in an actor."""

    def __init__(self, settings: Settings, out: str) -> None:
        self._settings, self._out = settings, Path(out)
        self._maker: Maker | None = None

    def make(self, index: int) -> tuple[Row, Seconds]:
        if self._maker is None:
            self._maker = maker_of(self._settings).__enter__()
        return make_one(self._maker, self._settings, index, self._out)


def make_clips_on_ray(
    settings: Settings, clips: int, out: Path, *, actors: int | None = None, report: Report | None = None
) -> Outcome:
    """As `runner.make_clips`, with actors of a Ray cluster as workers (None: one per CPU of the cluster).

    Raises WorldsError where Ray is not installed, and what `make_clips` raises.
    """
    try:
        import ray
    except ImportError as cause:
        raise WorldsError('Ray is not installed: pip install "outofsight[scale]"') from cause
    mine = not ray.is_initialized()
    if mine:
        ray.init(log_to_driver=False)
    try:
        count = actors or max(1, int(ray.cluster_resources().get("CPU", 1)))
        source = _RaySource(ray, count)
        return make_clips(settings, clips, out.resolve(), workers=count, report=report, source=source)
    finally:
        if mine:
            ray.shutdown()


class _RaySource:
    """Makes clips with actors, as the process pool of `runner` does with processes."""

    def __init__(self, ray: Any, actors: int) -> None:
        self._ray, self._actors = ray, actors

    def __call__(self, settings: Settings, todo: list[int], out: Path, workers: int) -> Iterator[tuple[Row, Seconds]]:
        ray = self._ray
        kind = ray.remote(num_cpus=1)(_Worker)
        free = [kind.remote(settings, str(out)) for _ in range(min(self._actors, len(todo)))]
        busy: dict[Any, Any] = {}
        waiting = iter(todo)
        actors = list(free)
        try:
            while True:
                for index in waiting:
                    actor = free.pop()
                    busy[actor.make.remote(index)] = actor
                    if not free:
                        break
                if not busy:
                    return
                done, _ = ray.wait(list(busy), num_returns=1)
                for reference in done:
                    free.append(busy.pop(reference))
                    try:
                        yield ray.get(reference)
                    except ray.exceptions.RayTaskError as error:
                        raise error.cause if isinstance(error.cause, OutOfSightError) else error from None
                    except ray.exceptions.RayActorError as cause:
                        raise WorldsError(
                            f"an actor ended unexpectedly ({cause}); run the same command again"
                        ) from cause
        finally:
            for actor in actors:
                ray.kill(actor)


def main(arguments: list[str] | None = None) -> int:
    """The command of this module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m outofsight.worlds.ray_job", description="outofsight worlds, on Ray"
    )
    parser.add_argument("--clips", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--split", default="train")
    parser.add_argument("--mix", default="re-entry")
    parser.add_argument("--subjects", type=int)
    parser.add_argument("--fates", action=argparse.BooleanOptionalAction)
    parser.add_argument("--actors", type=int)
    asked = parser.parse_args(arguments)
    fates = asked.split == "test" if asked.fates is None else asked.fates
    settings = Settings(asked.seed, asked.preset, asked.split, asked.mix, asked.subjects, fates)

    def report(row: Row, _: Seconds) -> None:
        print(row["name"], flush=True)

    try:
        outcome = make_clips_on_ray(settings, asked.clips, asked.out, actors=asked.actors, report=report)
    except OutOfSightError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(outcome.rows)} clips in {asked.out / 'HM-World'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
