"""``outofsight demo``: the whole path on a small clip, in under a minute on a laptop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import note, quiet_libraries, reports_errors, say

if TYPE_CHECKING:
    import numpy as np

PRESET = "debug"


@reports_errors
def demo(
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("out/demo"),
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
) -> None:
    """Make a clip in which a subject leaves the view, continue it, and show what the memory recalled.

    The model of this version has random weights: the pictures show that every part works, not that it remembers.
    """
    from ..generation.outputs import OutputPaths, check_folder_writable, replacing
    from ..video import write_video
    from .demo_picture import overview, side_by_side
    from .jobs import run

    quiet_libraries()
    check_folder_writable(out)
    clip_folder = _clip_folder(out)
    request = _request(clip_folder, out / "generated.mp4", seed)
    run(request)
    paths = OutputPaths(request.out)
    context, generated, truth, fps = _videos(clip_folder, paths.video)
    beside = out / "context_generated_truth.mp4"
    write_video(beside, side_by_side(context, generated, truth), fps)
    picture = out / "overview.png"
    with replacing(picture) as target:
        overview(context, generated, truth, paths.trace).save(target)
    say(f"{beside}\n{picture}")
    note(
        "\nThis version ships no trained weights: the model was built with random ones, so what it made is "
        "noise and "
        "the recall below it is arbitrary.\nThe demo shows that the path works, not that anything is "
        "remembered."
    )
    say(
        "\nnext:\n"
        f"  outofsight generate --replay {paths.record} --out {out / 'again.mp4'}     the same pixels again\n"
        f"  outofsight generate --model random:{PRESET} --clip {clip_folder} --steps 8 --out "
        f"{out / 'mine.mp4'}\n"
        "  outofsight doctor                                          what the full model would need here\n"
        "  outofsight convert hydra.ckpt --base WAN_FOLDER --out hydra    the released weights, to remember "
        "with"
    )


def _clip_folder(out: Path) -> Path:
    """The demo's clip on disk in HM-World's layout; one that is there already is used again."""
    from ..datasets import write_clip
    from ..models import PRESETS
    from .demo_scene import demo_clip

    folder = out / "data" / "HM-World" / "demo"
    if folder.exists():
        note(f"{folder} is there already and used again")
        return folder
    preset = PRESETS[PRESET]
    stride = 2 ** sum(map(bool, preset.vae.get("temperal_downsample", _wan_halvings())))
    latents = (preset.frames - 1) // stride + 1
    clip = demo_clip("demo", latents, stride, preset.height, preset.width, preset.fps)
    return write_clip(clip, out / "data")


def _wan_halvings() -> Any:
    import inspect

    from diffusers import AutoencoderKLWan

    return inspect.signature(AutoencoderKLWan.__init__).parameters["temperal_downsample"].default


def _request(clip: Path, video: Path, seed: int) -> Any:
    from ..generation.prompts import WAN_NEGATIVE_PROMPT
    from ..generation.runs import Machine, Settings, Sources
    from ..models import PRESETS
    from .jobs import Request
    from .loading import RANDOM, choose_device

    preset = PRESETS[PRESET]
    settings = Settings(
        num_inference_steps=preset.steps,
        guidance_scale=preset.guidance,
        shift=preset.shift,
        negative_prompt=WAN_NEGATIVE_PROMPT,
    )
    return Request(
        model=f"{RANDOM}{PRESET}",
        sources=Sources(clip=str(clip.resolve())),
        out=video,
        clips=None,
        settings=settings,
        machine=Machine(device=choose_device("auto")),
        seed=seed,
        trace=True,
        overwrite=True,
    )


def _videos(clip_folder: Path, generated: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    from ..datasets import read_clip
    from ..video import read_video

    clip = read_clip(clip_folder)
    made = read_video(generated)
    return clip.context_video().frames, made.frames, clip.target_video().frames, made.fps
