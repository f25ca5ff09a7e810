"""``outofsight generate``: a context video, a camera path and a prompt in, the target video out."""

from __future__ import annotations

from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import OutOfSightError
from .console import ConsoleReporter, note, quiet_libraries, reports_errors

if TYPE_CHECKING:
    from ..generation.run import Request


class Numerics(StrEnum):
    accurate = "accurate"
    reference = "reference"


class Offload(StrEnum):
    none = "none"
    model = "model"
    group = "group"


def _option(text: str, *names: str, group: str | None = None, least: float | None = None) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=group, min=least)


INPUT, SAMPLING, MACHINE = "What goes in", "Sampling", "Machine"


@reports_errors
def generate(
    out: Annotated[Path, _option("The mp4 to write; with --clips the folder to write to.")],
    model: Annotated[str | None, _option("Folder, hub id, shipped name, or random:PRESET.")] = None,
    context: Annotated[Path | None, _option("Video seen so far.", group=INPUT)] = None,
    cameras: Annotated[Path | None, _option("Camera file: context and target poses.", group=INPUT)] = None,
    context_cameras: Annotated[
        Path | None, _option("Camera file whose context half holds the context's poses.", group=INPUT)
    ] = None,
    context_pose: Annotated[str | None, _option('Context cameras in words: "wait-20".', group=INPUT)] = None,
    pose: Annotated[str | None, _option('Target cameras in words: "right-8, wait-4, left-8".', group=INPUT)] = None,
    clip: Annotated[Path | None, _option("Folder of one clip: video, cameras, caption.", group=INPUT)] = None,
    clip_name: Annotated[str | None, _option("Which one, where --clip holds several.", group=INPUT)] = None,
    clips: Annotated[Path | None, _option("Folder of many clips; one video each.", group=INPUT)] = None,
    prompt: Annotated[str | None, _option("What is seen.", group=INPUT)] = None,
    prompt_file: Annotated[Path | None, _option("Text file that holds the prompt.", group=INPUT)] = None,
    negative_prompt: Annotated[str | None, _option("What is not to be seen; the model's own.", group=INPUT)] = None,
    height: Annotated[
        int | None, _option("Pixels; scaled to cover and cropped. As the input.", least=1, group=INPUT)
    ] = None,
    width: Annotated[int | None, _option("Pixels, with --height.", least=1, group=INPUT)] = None,
    frames: Annotated[int | None, _option("Target frames; all that the cameras cover.", least=1, group=INPUT)] = None,
    chunk: Annotated[
        int | None, _option("Latent frames generated at a time; as many as the context has.", least=1, group=SAMPLING)
    ] = None,
    context_frames: Annotated[int | None, _option("Use the last so many context frames.", least=1, group=INPUT)] = None,
    pad: Annotated[bool, _option("Repeat the last frame of a context that is too short.", group=INPUT)] = False,
    horizontal_fov: Annotated[
        float | None, _option("Degrees, of the video before any crop; in place of the cameras' own.", group=INPUT)
    ] = None,
    steps: Annotated[int | None, _option("Denoising steps; the model's own.", group=SAMPLING, least=1)] = None,
    guidance: Annotated[float | None, _option("Guidance scale, 1 is none; the model's own.", group=SAMPLING)] = None,
    shift: Annotated[float | None, _option("Shift of the noise schedule; the model's own.", group=SAMPLING)] = None,
    guidance_interval: Annotated[
        tuple[float, float], _option("Sigmas between which guidance acts.", group=SAMPLING)
    ] = (0.0, 1.0),
    batched: Annotated[
        bool, _option("Both guidance branches at once.", "--batched/--sequential", group=SAMPLING)
    ] = False,
    numerics: Annotated[Numerics, _option("reference: all in bfloat16, as the release.", group=SAMPLING)] = (
        Numerics.accurate
    ),
    seed: Annotated[int | None, _option("Of the noise; drawn and printed.", group=SAMPLING, least=0)] = None,
    cache_context: Annotated[
        bool | None,
        _option(
            "Encode the context once; by default where the model allows it.",
            "--cache-context/--no-cache-context",
            group=SAMPLING,
        ),
    ] = None,
    device: Annotated[str, _option("auto (cuda, mps, cpu), or one of them.", group=MACHINE)] = "auto",
    dtype: Annotated[str, _option("auto, float32, bfloat16, float16.", group=MACHINE)] = "auto",
    offload: Annotated[Offload, _option("Keep weights in main memory.", group=MACHINE)] = Offload.none,
    vae_tiling: Annotated[bool, _option("Encode and decode in tiles.", group=MACHINE)] = False,
    compile: Annotated[bool, _option("Compile the transformer's blocks.", "--compile", group=MACHINE)] = False,
    attention_backend: Annotated[str | None, _option("One of diffusers' backends.", group=MACHINE)] = None,
    local_files_only: Annotated[bool, _option("Download nothing.", "--local-files-only", group=MACHINE)] = False,
    trace: Annotated[bool, _option("Also write what was recalled (.trace.npz).", "--trace")] = False,
    replay: Annotated[Path | None, _option("Make the run of a run.json again; inputs may be renamed.")] = None,
    force: Annotated[bool, _option("Replay although inputs or weights differ.", "--force")] = False,
    overwrite: Annotated[bool, _option("Replace what is there.", "--overwrite")] = False,
) -> None:
    """Continue a video along a camera path.

    A path longer than --chunk is made chunk by chunk, and OUT.session/ holds the video so far. Beside OUT.mp4 lies
    OUT.run.json, which says how it was made and can be replayed. After Ctrl-C or a kill, the same command resumes.
    """
    from ..generation.load import choose_device, choose_dtype
    from ..generation.record import Machine, Settings
    from ..generation.request import checked_sources
    from ..generation.run import Request, run

    quiet_libraries()
    sources = checked_sources(
        context=context,
        cameras=cameras,
        context_cameras=context_cameras,
        context_pose=context_pose,
        pose=pose,
        clip=clip,
        clip_name=clip_name,
        prompt=prompt,
        prompt_file=prompt_file,
    )
    if replay is not None:
        request = _replayed(replay, sources, out, model, device, overwrite=overwrite, force=force)
        run(replace(request, local_files_only=local_files_only), ConsoleReporter())
        return
    if model is None:
        raise OutOfSightError(
            "no model: give --model FOLDER, a hub id, a shipped name, or random:debug to try the path"
        )
    if (height is None) != (width is None):
        raise OutOfSightError("give --height and --width together")
    if clips is not None and (clip or context or cameras or context_cameras or context_pose):
        raise OutOfSightError("--clips brings videos and cameras of its own; only --pose and --prompt go with it")
    chosen = choose_device(device)
    model = _of_run(model)
    settings = Settings(
        num_inference_steps=steps,
        guidance_scale=guidance,
        shift=shift,
        guidance_interval=guidance_interval,
        batched_guidance=batched,
        numerics=numerics.value,
        height=height,
        width=width,
        context_frames=context_frames,
        pad=pad,
        target_frames=frames,
        chunk=chunk,
        horizontal_fov=horizontal_fov,
        negative_prompt=negative_prompt,
        cache_context=cache_context,
        dtype=choose_dtype(dtype, chosen, numerics.value),
        vae_tiling=vae_tiling,
    )
    machine = Machine(chosen, offload.value, compile, attention_backend)
    failed = run(
        Request(model, sources, out, clips, settings, machine, seed, trace, overwrite, force, local_files_only),
        ConsoleReporter(),
    )
    if failed:
        raise typer.Exit(2)


def _of_run(model: str) -> str:
    """A model's name; that of a training run is the folder that its newest weights are put together in."""
    from ..training.run_model import is_run, model_of_run

    place = Path(model).expanduser()
    if not is_run(place):
        return model
    folder = model_of_run(place)
    note(f"{place} is a training run: its newest weights are used, as put together in {folder}")
    return str(folder)


def _replayed(
    path: Path, sources: Any, out: Path, model: str | None, device: str, *, overwrite: bool, force: bool
) -> Request:
    """The request of a run record; inputs and model that are named now take the recorded ones' place."""
    from ..generation.load import choose_device
    from ..generation.record import Sources, read_record
    from ..generation.run import Request

    record = read_record(path)
    named = {name: value for name, value in asdict(sources).items() if value is not None}
    machine = record.machine
    if device != "auto":
        machine = replace(machine, device=choose_device(device))
    else:
        here = choose_device("auto")
        if here.split(":")[0] != machine.device.split(":")[0] and machine.device != "cpu":
            note(f"the run was made on {machine.device}; this machine computes on {here}, so pixels may differ")
            machine = replace(machine, device=here, offload="none")
    return Request(
        model=model or record.model["folder"] or record.model["name"],
        sources=Sources(**{**asdict(record.sources), **named}),
        out=out,
        clips=None,
        settings=record.settings,
        machine=machine,
        seed=record.seed,
        trace=record.trace,
        overwrite=overwrite,
        force=force,
        replay=record,
    )
