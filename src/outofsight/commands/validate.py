"""``outofsight validate``: a model of the small world on held-out clips, with its recall as it is and taken away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .console import note, quiet_libraries, reports_errors, say

RECALL = ("random recall", "worst recall", "no recall")


def _option(text: str, **more: Any) -> Any:
    return typer.Option(help=text, **more)


@reports_errors
def validate(
    model: Annotated[str, typer.Argument(help="small-hydra, small-full, small-fov, a model folder or a run's.")],
    world: Annotated[str, _option("A small world's preset (outofsight worlds --list-presets).")] = "small-easy",
    clips: Annotated[int, _option("So many held-out clips.", min=2)] = 256,
    knob: Annotated[list[str] | None, _option("A knob of the world: subjects=2; repeat it.")] = None,
    recall: Annotated[bool, _option("Also with random recall, the worst and none.")] = True,
    out: Annotated[Path | None, _option("Folder for validation.json and .md, with every clip's values.")] = None,
) -> None:
    """How often is the returning subject drawn as it truly is, and what is that owed to?

    Clips are drawn, with hues that no training clip has, and judged on exact pixels: nearest to the truth, to a world
    in which the subject has vanished, or to one in which it is frozen where it was last seen. With 95 % intervals.
    """
    from ..errors import OutOfSightError
    from ..evaluation.ablation import ablated
    from ..evaluation.scores import summary, table
    from ..pipeline import WorldModelPipeline
    from ..progress import progress
    from ..training import with_settings
    from ..training.config import TrainConfig
    from ..training.run_model import is_run, model_of_run
    from ..training.small_judge import PLACED, SmallJudge
    from ..training.validation_report import ValidationSettings

    quiet_libraries()
    pipe = WorldModelPipeline.from_pretrained(model_of_run(model) if is_run(Path(model)) else model)
    rows = []
    for what in RECALL if recall else ():
        try:
            with ablated(pipe.transformer, what):
                rows.append(what)
        except OutOfSightError as refused:
            note(str(refused))
    options = pipe.sampling_options()
    settings = ValidationSettings(
        options.steps, options.guidance, options.shift, clips=clips, batch=16, ablations=tuple(rows)
    )
    knobs = with_settings(TrainConfig(Path(), Path()), [f"world.{one}" for one in knob or []]).world
    judge = SmallJudge(pipe.vae, pipe.transformer.config.text_dim, world, knobs, settings)
    with progress(f"{world}: clips", clips * (2 + len(rows))) as advance:
        found = judge.run(pipe.transformer, report=lambda *_: advance(1))
    say(f"{model} on {clips} held-out clips of {world}\n\n{found.words()}")
    values = summary(found.rows)
    if any(PLACED in row for row in values.values()):
        kept = {name: row for name, row in values.items() if PLACED in row}
        say("\n" + table(kept, (PLACED,), (PLACED,)))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        found.save(out)
        say(str(out / "validation.json"))
