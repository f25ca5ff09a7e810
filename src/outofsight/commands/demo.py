"""``outofsight demo``: the whole path on a small clip, in under a minute on a laptop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import note, quiet_libraries, reports_errors, say

if TYPE_CHECKING:
    import numpy as np

PRESET = "debug"
_GAP, _CELL = 4, 12  # pixels


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
    from .jobs import run

    quiet_libraries()
    check_folder_writable(out)
    clip_folder = _clip_folder(out)
    request = _request(clip_folder, out / "generated.mp4", seed)
    run(request)
    paths = OutputPaths(request.out)
    context, generated, truth, fps = _videos(clip_folder, paths.video)
    beside = out / "context_generated_truth.mp4"
    write_video(beside, _side_by_side(context, generated, truth), fps)
    picture = out / "overview.png"
    with replacing(picture) as target:
        _overview(context, generated, truth, paths.trace).save(target)
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


def _side_by_side(*videos: np.ndarray) -> np.ndarray:
    import numpy as np

    frames = min(map(len, videos))
    gap = np.full((frames, videos[0].shape[1], _GAP, 3), 255, np.uint8)
    columns = [part for video in videos for part in (video[:frames], gap)][:-1]
    return np.concatenate(columns, axis=2)


def _overview(context: np.ndarray, generated: np.ndarray, truth: np.ndarray, trace: Path) -> Any:
    """Three rows of frames, and below them how often each target latent frame recalled each latent frame."""
    import numpy as np
    from PIL import Image, ImageDraw

    chosen = np.linspace(0, len(context) - 1, 5).round().astype(int)
    height, width = context.shape[1:3]
    counts = recall_counts(trace)
    table = np.repeat(np.repeat(counts / max(counts.max(), 1), _CELL, 0), _CELL, 1)
    label = 14
    page = Image.new(
        "RGB",
        (5 * (width + _GAP), 3 * (height + _GAP + label) + label + table.shape[0] + _GAP),
        "white",
    )
    draw = ImageDraw.Draw(page)
    top = 0
    for name, video in (
        ("context", context),
        ("generated (random weights)", generated),
        ("what was there", truth),
    ):
        draw.text((2, top), name, fill="black")
        for column, frame in enumerate(chosen):
            page.paste(Image.fromarray(video[frame]), (column * (width + _GAP), top + label))
        top += height + _GAP + label
    draw.text((2, top), "recalled: a row per target latent frame, a column per latent frame", fill="black")
    heat = np.stack([255 - 40 * table, 255 - 190 * table, 255 - 230 * table], axis=-1).astype(np.uint8)
    page.paste(Image.fromarray(heat), (0, top + label))
    cut = (counts.shape[1] - counts.shape[0]) * _CELL  # between context and target
    draw.line([(cut, top + label), (cut, top + label + table.shape[0])], fill="black")
    return page


def recall_counts(trace: Path) -> np.ndarray:
    """How often, over steps and blocks, each target latent frame recalled each latent frame ``[ft, f]``."""
    import numpy as np

    from ..memory.trace import RetrievalTrace

    arrays = RetrievalTrace.load(trace)
    cut, frames = int(arrays["context_frames"]), int(arrays["context_frames"] + arrays["target_frames"])
    counts = np.zeros((frames - cut, frames))
    picks = arrays["picks"][:, :, 0]  # [steps, blocks, f, k] of the one clip
    for query in range(picks.shape[2]):
        row = query + int(arrays["first_query"]) - cut
        if row < 0:
            continue
        for token in picks[:, :, query].ravel():
            if token >= 0:
                first, last = arrays["sources"][token]
                counts[row, first : last + 1] += 1
    return counts
