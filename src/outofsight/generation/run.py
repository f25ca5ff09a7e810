"""Making the videos of one ``generate``: check first, load once, keep what is finished, resume."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..components.codec import VideoGeometry
from ..errors import CheckpointError, OutOfSightError, OutputError
from ..io import sha256_array, sha256_file, write_json
from ..sampling import SamplingOptions
from .console import StepReporter, fail, note, say
from .load import Model, check_machine, find_model, load_pipeline
from .outputs import check_folder_writable, check_writable, load_partial, save_partial
from .record import (
    Machine,
    ReplayError,
    RunRecord,
    Settings,
    Sources,
    fingerprint,
    now,
    read_record,
    replay_differences,
    versions,
)
from .request import Job, LoadedInputs, list_jobs, load_inputs

if TYPE_CHECKING:
    from ..pipeline import PartialRun, WorldModelOutput, WorldModelPipeline

PREVIEW_SECONDS = 10.0  # after Ctrl-C a preview is decoded where encoding the context took no longer than this


@dataclass(frozen=True)
class Request:
    """Everything that ``generate`` was asked for."""

    model: str
    sources: Sources
    out: Path
    clips: Path | None
    settings: Settings
    machine: Machine
    seed: int | None = None
    trace: bool = False
    overwrite: bool = False
    force: bool = False
    local_files_only: bool = False
    replay: RunRecord | None = None


class _Runner:
    """What the jobs of one request share: hashed and loaded by the first job whose inputs are sound."""

    def __init__(self, request: Request, model: Model) -> None:
        self.request, self.model = request, model

    @cached_property
    def stride(self) -> int:
        return VideoGeometry.of(self.model.outline.vae, self.model.outline.transformer).frame_stride

    @cached_property
    def identity(self) -> dict[str, Any]:
        return self.model.identity()

    @cached_property
    def pipe(self) -> WorldModelPipeline:
        machine = self.request.machine
        note(f"device: {machine.device}, {self.request.settings.dtype}, offload {machine.offload}")
        return load_pipeline(self.model, self.request.settings, machine)


def run(request: Request) -> int:
    """Make every video of a request; returns how many could not be made.

    Raises:
        OutOfSightError: something is wrong with the request as a whole, or with its only video.
        KeyboardInterrupt: Ctrl-C, after what could be kept was kept.
    """
    check_sampling(request.settings)
    check_machine(request.machine)
    if request.clips is None:
        check_writable(request.out)
    else:
        check_folder_writable(request.out)
    jobs = list_jobs(request.sources, request.out, request.clips)
    model = find_model(request.model, request.local_files_only)
    runner = _Runner(replace(request, settings=request.settings.resolved(model.outline.config)), model)
    failed = 0
    for job in jobs:
        try:
            _run_job(job, runner)
        except CheckpointError:
            raise  # the model's fault, which the next clip would meet again
        except OutOfSightError as error:
            if request.clips is None:
                raise
            fail(f"{job.out.video.name}: {error}")
            failed += 1
    if request.clips is not None:
        say(f"{len(jobs) - failed} of {len(jobs)} clips are in {request.out}")
    return failed


def check_sampling(settings: Settings) -> None:
    """Hold the sampling settings against what the sampler takes; raises GeometryError."""
    given: dict[str, Any] = {
        "steps": settings.num_inference_steps,
        "guidance": settings.guidance_scale,
        "shift": settings.shift,
        "guidance_interval": settings.guidance_interval,
    }
    SamplingOptions(**{name: value for name, value in given.items() if value is not None})


def check(inputs: LoadedInputs, settings: Settings, model: Model) -> None:
    """Check the inputs before weights are loaded; see the pipeline's ``check_inputs``."""
    model.outline.check_inputs(
        inputs.frames,
        inputs.context_cameras,
        inputs.target_cameras,
        inputs.prompt,
        negative_prompt=(settings.negative_prompt or "") if settings.guidance_scale != 1.0 else "",
        target_frames=settings.target_frames,
    )


def _run_job(job: Job, runner: _Runner) -> None:
    request, out = runner.request, job.out
    inputs = load_inputs(job, request.settings, runner.stride)
    for line in inputs.notes:
        note(line)
    check(inputs, request.settings, runner.model)
    mark = fingerprint(request.settings, inputs.sha256, runner.identity)
    if request.replay is not None:
        _check_replay(request, inputs, runner.identity)
    if _finished(job, mark, request):
        return
    partial = None if request.overwrite else _resumable(job, mark, request.seed)
    seed = partial.seed if partial is not None else request.seed
    seed = secrets.randbits(32) if seed is None else seed
    note(f"seed: {seed}")
    pipe = runner.pipe
    try:
        reporter = StepReporter(out.video.name)
        result = _generate(pipe, inputs, request, seed, partial, reporter)
    except KeyboardInterrupt as stop:
        raise _keep(stop, job, mark, pipe, inputs.fps) from None
    record = RunRecord(
        settings=request.settings,
        sources=job.sources,
        machine=request.machine,
        seed=seed,
        trace=request.trace,
        inputs=inputs.record(),
        model=runner.identity,
        fingerprint=mark,
        created=now(),
        versions=versions(request.machine.device),
        seconds=result.seconds,
        resumed_at_step=partial.step if partial else None,
    )
    _write(job, record, result, inputs.fps)
    if request.replay is not None:
        _compare(request.replay, result)


def _generate(
    pipe: WorldModelPipeline,
    inputs: LoadedInputs,
    request: Request,
    seed: int,
    partial: PartialRun | None,
    reporter: StepReporter,
) -> WorldModelOutput:
    settings = request.settings
    if partial is not None and request.trace:
        note(f"the trace will hold the steps from {partial.step + 1} on; the earlier ones were not kept")
    return pipe(
        inputs.frames,
        inputs.context_cameras,
        inputs.target_cameras,
        inputs.prompt,
        negative_prompt=settings.negative_prompt,
        num_inference_steps=settings.num_inference_steps,
        guidance_scale=settings.guidance_scale,
        shift=settings.shift,
        guidance_interval=settings.guidance_interval,
        batched_guidance=settings.batched_guidance,
        numerics=settings.numerics,
        seed=seed,
        target_frames=settings.target_frames,
        trace=request.trace,
        callback=reporter,
        progress=reporter.bars,
        cache_context=settings.cache_context,
        resume=partial,
    )


# --- what is there already --------------------------------------------------------------------------------


def _finished(job: Job, mark: str, request: Request) -> bool:
    """Whether the video is there and made by these settings; OutputError where it is another."""
    video = job.out.video
    if request.overwrite or not video.exists():
        return False
    record = read_record(job.out.record) if job.out.record.is_file() else None
    if record is not None and request.replay is None and _made_by(record, mark, request, video):
        note(f"{video} is there, made with these settings (seed {record.seed}): skipped, --overwrite redoes it")
        return True
    raise OutputError(
        f"{video} is there and was not made with these settings: give another --out, or --overwrite to replace it"
    )


def _made_by(record: RunRecord, mark: str, request: Request, video: Path) -> bool:
    alike = record.fingerprint == mark and request.seed in (None, record.seed) and request.trace <= record.trace
    return alike and bool(record.outputs) and record.outputs["video"]["sha256"] == sha256_file(video)


def _resumable(job: Job, mark: str, seed: int | None) -> PartialRun | None:
    partial = load_partial(job.out.partial, mark)
    if partial is None or (seed is not None and partial.seed != seed):
        if job.out.partial.exists():
            note(f"{job.out.partial} is of a run with other settings: not resumed, and replaced if this one stops")
        return None
    note(f"resumed from {job.out.partial}: {partial.step} of {partial.steps} steps are done")
    return partial


def _check_replay(request: Request, inputs: LoadedInputs, identity: dict[str, Any]) -> None:
    assert request.replay is not None
    told = replay_differences(request.replay, inputs.sha256, identity)
    if told and not request.force:
        raise ReplayError(f"cannot replay: {'; '.join(told)}. --force runs it all the same")
    for line in told:
        note(f"replayed all the same: {line}")


# --- what is left -----------------------------------------------------------------------------------------


def _keep(stop: KeyboardInterrupt, job: Job, mark: str, pipe: WorldModelPipeline, fps: float) -> KeyboardInterrupt:
    """Keep what an interrupted run has; returns the interrupt with words about it."""
    from ..pipeline import GenerationInterrupted
    from ..video import write_video

    if not isinstance(stop, GenerationInterrupted) or stop.partial.step == 0:
        before = f"{job.out.partial} is as it was" if job.out.partial.exists() else "nothing was kept"
        return KeyboardInterrupt(f"no step was done yet, {before}")
    partial = stop.partial
    job.out.video.parent.mkdir(parents=True, exist_ok=True)
    save_partial(job.out.partial, partial, mark)
    kept = f"step {partial.step} of {partial.steps} is kept in {job.out.partial}"
    if partial.clean_estimate is not None and stop.seconds.get("encode_video", 0.0) <= PREVIEW_SECONDS:
        try:
            write_video(job.out.preview, pipe.decode(partial.clean_estimate), fps)
            kept += f", what it would have become in {job.out.preview}"
        except (KeyboardInterrupt, OutputError):
            kept += " (no preview)"
    return KeyboardInterrupt(f"{kept}; the same command goes on from there")


def _write(job: Job, record: RunRecord, result: WorldModelOutput, fps: float) -> None:
    """Video, trace, and last the record: a video with its record is a finished run."""
    from ..video import write_video

    out = job.out
    assert result.frames is not None
    _make_folder(out.video.parent)
    out.record.unlink(missing_ok=True)
    trace = result.trace
    if trace is not None and trace.empty:
        note("nothing is left of the trace: the run was resumed after its last step; no trace is written")
        trace = None
    if trace is not None:
        trace.save(out.trace)
    write_video(out.video, result.frames, fps)
    outputs: dict[str, Any] = {
        "video": {
            "file": out.video.name,
            "sha256": sha256_file(out.video),
            "frames_sha256": sha256_array(result.frames),
            "shape": list(result.frames.shape),
            "fps": fps,
        }
    }
    if trace is not None:
        outputs["trace"] = {"file": out.trace.name, "sha256": sha256_file(out.trace)}
    write_json(out.record, replace(record, outputs=outputs).to_json())
    out.forget_partial()
    say(f"{out.video}\n{out.record}" + (f"\n{out.trace}" if trace is not None else ""))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error


def _compare(record: RunRecord, result: WorldModelOutput) -> None:
    assert result.frames is not None
    if record.outputs and record.outputs["video"]["frames_sha256"] == sha256_array(result.frames):
        say("replayed: every pixel is equal to the recorded run's")
        return
    here, before = versions("cpu"), record.versions or {}
    changed = [f"{name} {before[name]} -> {here[name]}" for name in here if before.get(name, here[name]) != here[name]]
    note(
        "replayed, and the pixels differ from the recorded run's"
        + (f" (versions: {', '.join(changed)})" if changed else " (another device or number of threads?)")
    )
