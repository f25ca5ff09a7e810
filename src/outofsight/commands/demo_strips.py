"""The same model with its own recall, with random recall and with none: side by side, as strips of frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .demo_recall import SEEN

if TYPE_CHECKING:
    from ..evaluation.baselines import Continuation
    from ..evaluation.clip import EvalClip

RANDOM, NONE = OTHERS = ("random", "none")
_SIDE = 96  # pixels that a frame is at least high
_GAP, _LABEL = 3, 92


def other_recalls(model: str, clip: EvalClip, seed: int) -> dict[str, Continuation]:
    """The clip continued with random recall and with none, by name. Raises OutOfSightError: no such model."""
    from ..evaluation.ablation import NO_RECALL, RANDOM_RECALL, ablated
    from ..evaluation.baselines import Continuation
    from ..pipeline import WorldModelPipeline

    pipe = WorldModelPipeline.from_pretrained(model)
    found = {}
    for name, what in ((RANDOM, RANDOM_RECALL), (NONE, NO_RECALL)):
        with ablated(pipe.transformer, what, seed):
            made = pipe(clip.context, clip.context_cameras, clip.target_cameras, "", seed=seed, progress=False)
        assert made.frames is not None
        found[name] = Continuation(made.frames)
    return found


def write_strips(clip: EvalClip, videos: Mapping[str, np.ndarray], out: Path) -> Path:
    """``out/memory.png``: the context and the true target, then each video below, frame by frame.

    Frames in which a subject is back have an amber line above. Raises OutputError.
    """
    from ..io import replacing

    place = out / "memory.png"
    with replacing(place) as beside:
        _picture(clip, videos).save(beside)
    return place


def _picture(clip: EvalClip, videos: Mapping[str, np.ndarray]) -> Any:
    from PIL import Image, ImageDraw

    height, width = clip.truth.shape[1:3]
    scale = -(-_SIDE // height)
    step = 2 if len(clip.truth) > 8 else 1
    columns = len(clip.context[::-step])
    cell = (width * scale + _GAP, height * scale + _GAP + 4)
    rows = [("truth", clip.truth), *videos.items()]
    across = columns + len(clip.truth[::step])
    page = Image.new("RGB", (_LABEL + across * cell[0], 24 + len(rows) * cell[1]), "white")
    draw = ImageDraw.Draw(page)
    draw.text((_LABEL, 4), "context", fill="black", font_size=15)
    draw.text((_LABEL + columns * cell[0], 4), "target; amber: the subject is back", fill="black", font_size=15)

    def paste(picture: np.ndarray, row: int, column: int, back: bool = False) -> None:
        corner = (_LABEL + column * cell[0], 24 + row * cell[1])
        if back:
            draw.rectangle((corner[0], corner[1], corner[0] + width * scale - 1, corner[1] + 3), fill=SEEN)
        big = Image.fromarray(picture).resize((width * scale, height * scale), Image.Resampling.NEAREST)
        page.paste(big, (corner[0], corner[1] + 4))

    for column, picture in enumerate(clip.context[::-step][::-1]):
        paste(picture, 0, column)
    for row, (name, video) in enumerate(rows):
        draw.text((6, 24 + row * cell[1] + cell[1] // 2 - 8), name, fill="black", font_size=15)
        for column, frame in enumerate(range(0, len(video), step)):
            paste(video[frame], row, columns + column, bool(clip.re_entered[frame]))
    return page
