"""The benchmark: folders of predictions against a folder of clips, to one result and its tables.

Every table has floors (hold the last frame, copy the best view, subjects swapped for strangers) and ceilings (the
ground truth itself, its reconstruction by a VAE). ``outofsight evaluate`` is this function on the command line.
"""

from __future__ import annotations

import inspect
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ..errors import CameraError, LayoutError, OutOfSightError, OutputError
from ..fingerprints import value_hash
from ..generation.outputs import check_writable
from ..io import locked, sha256_file
from ..processes import in_processes
from ..provenance import now, versions
from .collect import collect
from .metric import METRICS, Metric
from .metrics.subject import BoxSource
from .networks import NetworkFolders, VideoFeatures
from .plan import Plan, Task, make_plan, name_rows
from .predictions import PredictionError, listed, shown
from .protocols import Protocol, protocol_named
from .result import Evaluation, read_evaluation
from .tables import save_tables
from .work import Bench, Done, Worker, start_process, work

KEPT = ".kept"
# what computes the values: where any of it changes, nothing kept before is taken up
_CODE = ("metrics/*.py", "baselines.py", "clip.py", "measure.py", "metric.py", "regions.py", "result.py", "traces.py")
Progress = Callable[[int, int], None]  # clips done, clips in all
Place = str | os.PathLike[str]


def evaluate(
    predictions: Place,
    against: Place,
    out: Place | None = None,
    *,
    name: str | None = None,
    rows: Mapping[str, Place] | None = None,
    networks: NetworkFolders | None = None,
    tracker: BoxSource | None = None,
    video_features: VideoFeatures | None = None,
    protocol: str = "all",
    partial: bool = False,
    horizontal_fov: float | None = None,
    device: str = "cpu",
    workers: int = 1,
    report: Progress | None = None,
) -> Evaluation:
    """Measure predictions of clips by every metric of METRICS, beside floors and ceilings.

    Args:
        predictions: folder with one video a clip (see :mod:`.predictions`). against: folder of the clips, in any of
            HM-World's layouts.
        out: result.json to write; result.md and result.tex come beside it, and what lets a stopped run resume into
            result.json.kept/. None writes nothing.
        name: of the row; the folder's by default. rows: further rows, each a folder of predictions of the same clips.
        networks: local folders of networks; without one, its metrics are skipped with the reason.
        tracker: finds subjects in predictions, in the place of a detector; its name identifies it in what is kept.
        video_features: for the Frechet distance.
        protocol: "all", or a paper's ("hm-world").
        partial: evaluate the clips that every row has a right prediction of; tables and result are marked PARTIAL.
        horizontal_fov: degrees, for cameras without one (only the best view is chosen by it).
        workers: processes, with networks of their own. report: called after each clip.

    Raises:
        PredictionError: predictions that do not fit the clips, all of them in one error; nothing is written.
        CheckpointError: networks that are not there or not whole.
        OutOfSightError: clips that cannot be read, names that cannot be, a full disk.
    """
    chosen, folders = protocol_named(protocol), networks or NetworkFolders()
    named = name_rows(Path(predictions), name, {row: Path(folder) for row, folder in (rows or {}).items()})
    if horizontal_fov is not None and not 0 < horizontal_fov < 180:
        raise CameraError(f"horizontal_fov is {horizontal_fov}, expected degrees between 0 and 180")
    if workers < 1:
        raise OutOfSightError(f"workers is {workers}, expected 1 or more")
    result = None if out is None else Path(out)
    if result is not None:
        _check_out(result)
    plan = make_plan(named, Path(against), partial=partial, horizontal_fov=horizontal_fov)
    settings, weights = _settings(chosen, device, horizontal_fov, tracker, video_features), folders.identities()
    packages = _versions(device)
    metrics = tuple(METRICS[metric] for metric in chosen.metrics)
    mark = _mark(metrics, settings, weights, packages)
    with _kept(result) as kept:
        bench = Bench(kept, metrics, folders, device, mark, tracker, video_features)
        done = _run(plan, bench, workers, report)
        faults = {one.clip: one.fault for one in done.values() if one.fault is not None}
        if faults and (not partial or len(faults) == len(done)):
            lines = [f"{shown(clip)}: {fault}" for clip, fault in faults.items()]
            others = "" if result is None else f"; the other clips are kept in {kept}, and no result is written"
            raise PredictionError(listed(lines, f"videos that cannot be judged{others}"))
        found = collect(plan, {clip: one for clip, one in done.items() if one.fault is None}, bench, faults)
    evaluation = Evaluation(
        **found,
        against=str(Path(against)),
        settings=settings,
        definitions={metric.name: metric.definition() for metric in metrics},
        versions=packages,
        weights=weights,
        protocol=_of_paper(chosen, plan, weights, tracker),
        created=now(),
    )
    if result is not None:
        evaluation.save(result)
        save_tables(evaluation, result)
    return evaluation


# --- before ---------------------------------------------------------------------------------------------------


def _check_out(result: Path) -> None:
    """Raises OutputError where the result cannot be written, or files that are not ours would be lost."""
    check_writable(result, ".json")
    there = [file for file in (result, result.with_suffix(".md"), result.with_suffix(".tex")) if file.exists()]
    if not there:
        return
    try:
        read_evaluation(result)
    except LayoutError as cause:
        names = ", ".join(str(file) for file in there)
        raise OutputError(f"{names} would be replaced, and is not of an evaluation: give another --out") from cause


def _settings(
    protocol: Protocol, device: str, fov: float | None, tracker: BoxSource | None, features: VideoFeatures | None
) -> dict[str, Any]:
    return {
        "protocol": protocol.name, "device": device, "horizontal_fov": fov,
        "tracker": None if tracker is None else tracker.name,
        "video_features": None if features is None else features.name,
        "intervals": "95 %, percentile bootstrap over clips, 10,000 draws",
    }  # fmt: skip


def _versions(device: str) -> dict[str, str]:
    return {**versions(device), **{package: version(package) for package in ("scipy", "pillow")}}


def _mark(
    metrics: Sequence[Metric], settings: Mapping[str, Any], weights: Mapping[str, Any], packages: Mapping[str, str]
) -> str:
    """All that decides a number besides clip and video."""
    kept = {name: value for name, value in packages.items() if name != "platform"}
    files = {file for pattern in _CODE for file in Path(__file__).parent.glob(pattern)}
    files |= {Path(file) for metric in metrics if (file := _source(metric.compute)) is not None}
    names = [metric.name for metric in metrics]
    files_of = {name: identity["files"] for name, identity in weights.items()}  # wherever they lie
    content = [names, dict(settings), files_of, kept, [sha256_file(file) for file in sorted(files)]]
    return value_hash([content])


def _source(function: Any) -> str | None:
    """The file of a metric's code; None where it has none."""
    inner = function.func if isinstance(function, partial) else function
    try:
        file = inspect.getsourcefile(inner)
    except TypeError:  # an object that can be called
        file = inspect.getsourcefile(type(inner))
    return file if file is not None and Path(file).is_file() else None


def _of_paper(
    protocol: Protocol, plan: Plan, weights: Mapping[str, Any], tracker: BoxSource | None
) -> dict[str, Any] | None:
    """What is not as in the paper; its own numbers only where nothing of it departs."""
    if protocol.paper is None:
        return None
    given = {*weights, *(["boxes"] if tracker is not None or "detector" in weights else [])}
    departures = protocol.departures([task.wanted for task in plan.tasks], given)
    reported = {} if departures else {method: dict(row) for method, row in protocol.paper.reported.items()}
    return {
        "name": protocol.name, "words": protocol.words, "departures": departures,
        "remarks": list(protocol.paper.remarks), "reported": reported,
    }  # fmt: skip


# --- the run --------------------------------------------------------------------------------------------------


@contextmanager
def _kept(result: Path | None) -> Iterator[Path]:
    """The folder of what is measured, for this run alone."""
    if result is None:
        with tempfile.TemporaryDirectory(prefix="outofsight-") as temporary:
            yield Path(temporary)
        return
    folder = result.with_name(result.name + KEPT)
    with locked(folder):
        for leftover in folder.glob(".*.json"):  # of a process that was killed while writing
            leftover.unlink()
        yield folder


def _run(plan: Plan, bench: Bench, workers: int, report: Progress | None) -> dict[str, Done]:
    done: dict[str, Done] = {}
    try:
        for one in _outcomes(plan.tasks, bench, min(workers, len(plan.tasks))):
            done[one.clip] = one
            if report is not None:
                report(len(done), len(plan.tasks))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{len(done)} of {len(plan.tasks)} clips are kept in {bench.kept}; the same command resumes from there"
        ) from None
    return {task.clip.name: done[task.clip.name] for task in plan.tasks}


def _outcomes(tasks: tuple[Task, ...], bench: Bench, workers: int) -> Iterator[Done]:
    networks = bench.networks()  # here too, so that what is wrong with them is found before processes are begun
    if workers > 1:
        try:
            pickle.dumps(bench)
        except (pickle.PicklingError, AttributeError, TypeError) as cause:
            raise OutOfSightError(
                f"the tracker, the video features or a metric cannot be sent to other processes ({cause}): define them "
                "in a module, or use one worker"
            ) from cause
        del networks
        yield from in_processes(work, tasks, workers, start_process, (bench,))
        return
    threads = torch.get_num_threads()
    worker = Worker(bench, networks)
    try:
        torch.set_num_threads(1)  # the last bits of a sum depend on how many share it
        for task in tasks:
            yield worker(task)
    finally:
        torch.set_num_threads(threads)
