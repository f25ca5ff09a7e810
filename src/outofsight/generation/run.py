"""Making the videos of one request: check first, load once, keep each chunk that is finished, resume."""

from __future__ import annotations

import secrets
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..components.codec import VideoGeometry
from ..components.inputs import check_numerics, check_seed
from ..components.results import Ahead, Chunk, GenerationInterrupted, PartialRun, interrupted
from ..errors import CheckpointError, OutOfSightError, OutputError
from ..io import sha256_file, write_json
from ..provenance import now, versions
from ..sampling import SamplingOptions
from ..session import Session
from ..video import write_video
from .chunks import Progress, remembered
from .interrupts import held_interrupt
from .load import Model, check_machine, find_model, load_pipeline
from .outputs import check_folder_writable, check_writable, load_partial, save_partial
from .record import (
    Machine,
    ReplayError,
    RunRecord,
    Settings,
    Sources,
    fingerprint,
    read_record,
    replay_differences,
)
from .reporter import Reporter
from .request import Job, list_jobs, load_inputs

if TYPE_CHECKING:
    from ..pipeline import WorldModelPipeline

PREVIEW_SECONDS = 10.0  # after Ctrl-C a preview is decoded where encoding the context took no longer than this
_THEN_STOP = "then stopping; Ctrl-C again stops at once"


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
    """What the jobs of one request share: loaded by the first job whose inputs are sound."""

    def __init__(self, request: Request, model: Model, reporter: Reporter) -> None:
        self.request, self.model, self.reporter = request, model, reporter
        if request.settings.vae_tiling:
            model.outline.enable_vae_tiling()  # a codec without tiles is found before weights are loaded
        self.stride = VideoGeometry.of(model.outline.vae, model.outline.transformer).frame_stride

    @cached_property
    def options(self) -> SamplingOptions:
        settings = self.request.settings
        assert settings.num_inference_steps is not None
        assert settings.guidance_scale is not None and settings.shift is not None
        return SamplingOptions(
            steps=settings.num_inference_steps,
            guidance=settings.guidance_scale,
            shift=settings.shift,
            guidance_interval=settings.guidance_interval,
            batched_guidance=settings.batched_guidance,
            numerics=settings.numerics,
            cache_context=settings.cache_context,
        )

    @cached_property
    def identity(self) -> dict[str, Any]:
        return self.model.identity()

    @cached_property
    def pipe(self) -> WorldModelPipeline:
        machine = self.request.machine
        self.reporter.note(f"device: {machine.device}, {self.request.settings.dtype}, offload {machine.offload}")
        pipe = load_pipeline(self.model, self.request.settings, machine)
        check_numerics(pipe.components, self.request.settings.numerics)
        return pipe


def run(request: Request, reporter: Reporter | None = None) -> int:
    """Make every video of a request; returns how many could not be made.

    Raises:
        OutOfSightError: something is wrong with the request as a whole, or with its only video.
        KeyboardInterrupt: Ctrl-C, after what could be kept was kept.
    """
    reporter = reporter or Reporter()
    _check_sampling(request.settings)
    if request.seed is not None:
        check_seed(request.seed)
    check_machine(request.machine)
    if request.clips is None:
        check_writable(request.out)
    else:
        check_folder_writable(request.out)
    jobs = list_jobs(request.sources, request.out, request.clips)
    model = find_model(request.model, request.local_files_only, reporter)
    settings = request.settings.resolved(model.outline.config)
    runner = _Runner(replace(request, settings=settings), model, reporter)
    failed = 0
    for job in jobs:
        try:
            _Run(job, runner).make()
        except CheckpointError:
            raise  # the model's fault, which the next clip would meet again
        except OutOfSightError as error:
            if request.clips is None:
                raise
            reporter.failed(f"{job.out.video.name}: {error}")
            failed += 1
    if request.clips is not None:
        reporter.result(f"{len(jobs) - failed} of {len(jobs)} clips are in {request.out}")
    return failed


def _check_sampling(settings: Settings) -> None:
    """Hold what is given against what the sampler takes, before anything is read; raises GeometryError."""
    names = {"steps": "num_inference_steps", "guidance": "guidance_scale", "shift": "shift"}
    given = {name: getattr(settings, theirs) for name, theirs in names.items()}
    interval = settings.guidance_interval
    SamplingOptions(**{name: x for name, x in given.items() if x is not None}, guidance_interval=interval)


class _Run:
    """One video: its inputs, its session, and what is left of an earlier try."""

    def __init__(self, job: Job, runner: _Runner) -> None:
        self.job, self.out, self.runner, self.request = job, job.out, runner, runner.request
        self.note = runner.reporter.note
        settings = self.request.settings
        self.inputs = load_inputs(job, settings, runner.stride)
        outline = runner.model.outline
        # a clip's caption goes to models that read one; a prompt that was asked for goes to all, which say what they do
        prompt = self.inputs.prompt if outline.tokenizer is not None else job.sources.prompt or ""
        self.session = Session(
            outline,
            self.inputs.frames,
            self.inputs.context_cameras,
            prompt,
            runner.options,
            trace=self.request.trace,
            negative_prompt=settings.negative_prompt,
            height=settings.height,
            width=settings.width,
            horizontal_fov=settings.horizontal_fov,
        )
        size = settings.chunk or self.session.context.latent_frames
        self.ahead = self.session.check_rollout(self.inputs.target_cameras, size, settings.target_frames)
        if len(self.ahead) > 1:
            self.session.check_decoder(settings.vae_tiling)
        fitted = self.session.context.note
        self.inputs.notes.extend([f"context: {fitted}"] if fitted else [])
        for line in self.inputs.notes:
            self.note(line)
        self.mark = fingerprint(settings, self.inputs.sha256, runner.identity)

    def make(self) -> None:
        if self.request.replay is not None:
            self._check_replay(self.request.replay)
        if self._finished():
            return
        if len(self.ahead) > 1:
            self.out.check_session()
        kept = None if self.request.overwrite else self._kept()
        partial = None if self.request.overwrite else self._partial(kept)
        seed = next((x.seed for x in (partial, kept) if x is not None), self.request.seed)
        seed = secrets.randbits(32) if seed is None else seed
        self.note(f"seed: {seed}")
        done = self._begin(seed, kept)
        if len(self.ahead) > 1:
            left = f", {len(done.frames)} of them there" if done.frames else ""
            size = self.ahead[0].latents
            self.note(f"{len(self.ahead)} chunks of {size} latent frames at the most{left}; {self._how()}")
        for number in range(len(done.frames), len(self.ahead)):
            self._chunk(number, partial, done)
            partial = None

    def _how(self) -> str:
        if self.session.streams:
            return "each continues the latents of the one before"
        seen = self.session.looks_back
        return f"before each, the latest {seen} latent frames of video are encoded again, in times counted from them"

    def _begin(self, seed: int, kept: Progress | None) -> Progress:
        """The session with its weights, at the first chunk that is missing; and what is done."""
        pipe = self.runner.pipe
        if kept is None:
            self.session.pipe, self.session.seed = pipe, seed
            return Progress(self.out, self.mark, seed, self.inputs.fps, exact=pipe.codec.exact)
        context, kept.exact = self.session.context, pipe.codec.exact
        self.session = Session.load(pipe, self.out.session)
        self.session.trace = self.request.trace
        self.note(f"resumed from {self.out.session}: {len(kept.frames)} of {len(self.ahead)} chunks are done")
        if self.request.trace and len(kept.traces) < len(kept.frames):
            self.note(f"{len(kept.traces)} of the {len(kept.frames)} chunks that are done have a trace")
        assert self.session.context.grid == context.grid
        return kept

    def _chunk(self, number: int, partial: PartialRun | None, done: Progress) -> None:
        """Make a chunk and write it. Ctrl-C keeps what was computed: the steps so far, or, from then on, the files."""
        label = self.out.video.name if len(self.ahead) == 1 else f"{self.out.video.name}, chunk {number + 1}"
        reporter, session, options = self.runner.reporter, self.session, self.runner.options
        ahead: Ahead = self.ahead[number]
        noise = None
        if partial is not None:
            if self.request.trace:
                self.note(f"the trace will hold the steps from {partial.step + 1} on; the earlier ones were not kept")
            channels = session.pipe.codec.channels
            noise = partial.checked((1, channels, ahead.latents, *session.context.grid), options.steps)
            done.resumed_at_step = partial.step
        with ExitStack() as writing:
            try:
                chunk = session.extend(
                    ahead,
                    noise=noise,
                    start_step=partial.step if partial else 0,
                    callback=lambda step: reporter.step(label, step),
                    progress=reporter.bars,
                )
                held = writing.enter_context(held_interrupt(lambda: self.note(f"writing {label}, {_THEN_STOP}")))
            except KeyboardInterrupt as stop:
                stop = interrupted(stop, session.sampled, options.steps, done.seed, session.seconds)
                raise self._interrupted(stop, number, done) from None
            finally:
                session.pipe.maybe_free_model_hooks()
            self._write(number, chunk, done)
        if held.interrupted:
            raise self._stopped(number, done)

    def _write(self, number: int, chunk: Chunk, done: Progress) -> None:
        self._keep_trace(number, chunk, done)
        if number == len(self.ahead) - 1:
            self._finish(chunk, done)
            return
        done.add(chunk.frames, chunk.seconds)
        done.save(self.session)
        self.out.forget_partial()
        self._say_progress(done)

    def _say_progress(self, done: Progress) -> None:
        left = done.seconds_left(len(self.ahead))
        self.note(
            f"{self.out.video.name}: {len(done.frames)} of {len(self.ahead)} chunks, {done.video}, "
            f"about {time.strftime('%H:%M:%S', time.gmtime(left))} left"
        )

    # --- what is there already ----------------------------------------------------------------------------------

    def _finished(self) -> bool:
        """Whether the video is there and made by these settings; OutputError where it is another."""
        video, request = self.out.video, self.request
        if request.overwrite or not video.exists():
            return False
        record = read_record(self.out.record) if self.out.record.is_file() else None
        if record is not None and request.replay is None and self._made_by(record):
            self.note(
                f"{video} is there, made with these settings (seed {record.seed}): skipped, --overwrite redoes it"
            )
            return True
        if record is None and remembered(self.out, self.mark, self.inputs.fps) is not None:
            return False  # broken off right before its record was written
        raise OutputError(
            f"{video} is there and was not made with these settings: give another --out, or --overwrite to replace it"
        )

    def _made_by(self, record: RunRecord) -> bool:
        request = self.request
        alike = record.fingerprint == self.mark and request.seed in (None, record.seed)
        alike = alike and request.trace <= record.trace and bool(record.outputs)
        return alike and record.outputs["video"]["sha256"] == sha256_file(self.out.video)

    def _kept(self) -> Progress | None:
        """The chunks of a run of these settings that was broken off."""
        kept = remembered(self.out, self.mark, self.inputs.fps)
        if kept is not None and self.request.seed in (None, kept.seed):
            return kept
        if self.out.session.exists():
            self.note(f"{self.out.session} is of a run with other settings: not resumed, and replaced")
        return None

    def _partial(self, kept: Progress | None) -> PartialRun | None:
        """The steps of the chunk in work when a run of these settings was broken off."""
        place, seed = self.out.partial, self.request.seed if kept is None else kept.seed
        partial = load_partial(place, self._chunk_mark(len(kept.frames) if kept else 0))
        if partial is None or (seed is not None and partial.seed != seed):
            if place.exists():
                self.note(f"{place} is of a run with other settings: not resumed, and replaced if this one stops")
            return None
        self.note(f"resumed from {place}: {partial.step} of {partial.steps} steps are done")
        return partial

    def _chunk_mark(self, number: int) -> str:
        return f"{self.mark} {number}"

    def _check_replay(self, record: RunRecord) -> None:
        found = replay_differences(record, self.inputs.sha256, self.runner.identity)
        if found and not self.request.force:
            raise ReplayError(f"cannot replay: {'; '.join(found)}. --force runs it all the same")
        for line in found:
            self.note(f"replayed all the same: {line}")

    # --- what is left -------------------------------------------------------------------------------------------

    def _stopped(self, number: int, done: Progress) -> KeyboardInterrupt:
        """What Ctrl-C says that was held back until a chunk was written."""
        if number == len(self.ahead) - 1:
            return KeyboardInterrupt(f"{self.out.video} is finished")
        return self._interrupted(KeyboardInterrupt(), number + 1, done)

    def _interrupted(self, stop: KeyboardInterrupt, number: int, done: Progress) -> KeyboardInterrupt:
        """Keep what an interrupted chunk has; returns the interrupt with words about it."""
        before = f"{done.video} holds {len(done.frames)} chunks; " if done.frames else ""
        again = "the same command resumes from there"
        if self.request.overwrite:
            there = f" and move {self.out.video} away" if self.out.video.exists() else ""
            again = f"to resume from there, leave --overwrite out{there}"
        if not isinstance(stop, GenerationInterrupted) or stop.partial.step == 0:
            if before:
                return KeyboardInterrupt(f"{before}{again}")
            kept = f"{self.out.partial} is as it was" if self.out.partial.exists() else "nothing was kept"
            return KeyboardInterrupt(f"no step was done yet, {kept}")
        partial, pipe = stop.partial, self.session.pipe
        self.out.video.parent.mkdir(parents=True, exist_ok=True)
        save_partial(self.out.partial, partial, self._chunk_mark(number))
        kept = f"step {partial.step} of {partial.steps} is kept in {self.out.partial}"
        if partial.clean_estimate is not None and stop.seconds.get("encode_video", 0.0) <= PREVIEW_SECONDS:
            try:
                write_video(self.out.preview, pipe.decode(partial.clean_estimate), self.inputs.fps)
                kept += f", what it would have become in {self.out.preview}"
            except (KeyboardInterrupt, OutputError):
                kept += " (no preview)"
        return KeyboardInterrupt(f"{before}{kept}; {again}")

    def _keep_trace(self, number: int, chunk: Chunk, done: Progress) -> None:
        if chunk.trace is None:
            return
        if chunk.trace.empty:
            self.note("nothing is left of the trace: the run was resumed after its last step; no trace is written")
            return
        chunk.trace.save(self.out.trace_of(number))
        done.traces.append(self.out.trace_of(number).name)

    def _finish(self, chunk: Chunk, done: Progress) -> None:
        """Video, and last the record: a video with its record is a finished run."""
        out, frames = self.out, chunk.frames
        assert frames is not None
        out.record.unlink(missing_ok=True)
        done.add(frames, chunk.seconds, out.video)
        context = self.session.context
        video = {
            "file": out.video.name,
            "sha256": sha256_file(out.video),
            "frames_sha256": done.frames_sha256,
            "shape": [sum(done.frames), *frames.shape[1:]],
            "fps": self.inputs.fps,
            "chunks": done.frames,
        }
        traces = [out.video.with_name(name) for name in done.traces]
        outputs: dict[str, Any] = {"video": video}
        outputs |= {
            "trace" if path == out.trace else path.stem.rpartition(".")[2]: {
                "file": path.name,
                "sha256": sha256_file(path),
            }
            for path in traces
        }
        record = RunRecord(
            settings=self.request.settings,
            sources=self.job.sources,
            machine=self.request.machine,
            seed=done.seed,
            trace=self.request.trace,
            inputs=self.inputs.record(context.horizontal_fov, self.frame_size),
            model=self.runner.identity,
            fingerprint=self.mark,
            created=now(),
            versions=versions(self.request.machine.device),
            seconds=done.seconds,
            outputs=outputs,
            resumed_at_step=done.resumed_at_step,
        )
        out.forget_traces(done.traces)
        write_json(out.record, record.to_json())
        out.forget_partial()
        out.forget_session()
        self.runner.reporter.result("\n".join(map(str, (out.video, out.record, *traces))))
        if self.request.replay is not None:
            self._compare(self.request.replay, done.frames_sha256)

    @property
    def frame_size(self) -> tuple[int, int]:
        height, width = self.session.context.frames.shape[1:3]
        return height, width

    def _compare(self, record: RunRecord, found: str) -> None:
        if record.outputs and record.outputs["video"].get("frames_sha256") == found:
            self.runner.reporter.result("replayed: every pixel is equal to the recorded run's")
            return
        here, before = versions("cpu"), record.versions or {}
        changed = [
            f"{name} {before[name]} -> {here[name]}" for name in here if before.get(name, here[name]) != here[name]
        ]
        self.note(
            "replayed, and the pixels differ from the recorded run's"
            + (f" (versions: {', '.join(changed)})" if changed else " (another device or number of threads?)")
        )
