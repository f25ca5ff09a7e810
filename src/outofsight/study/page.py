"""docs/results.md, made from the stored values alone: verdicts, tables, plots, and every run that was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import StudyError
from ..evaluation.metrics import FATES
from ..evaluation.scores import markdown_table
from ..io import replacing
from ..recipes import micro
from .claims import AS_GOOD, CLAIMS, QUESTIONS, RE_ENTERED, TARGET, Answer, Claim, answer, matrix, mean_over_runs
from .pictures import pictures
from .rows import ROWS, SEEDS, shared_settings
from .values import OLDER, RunValues, Stored, read_stored

_INSIDE = "psnr re-entered inside"
_VALUES = (TARGET, "psnr hidden", RE_ENTERED, _INSIDE, f"{OLDER}{_INSIDE}")
_TITLES = {
    TARGET: "whole target", "psnr hidden": "hidden", RE_ENTERED: "re-entered", _INSIDE: "subjects' boxes, re-entered",
    f"{OLDER}{_INSIDE}": "subject regions, re-entered (older definition)",
}  # fmt: skip
_MARKS = {"held": "**held**", "did not hold": "**did not hold**", "undecided": "undecided", "not run": "not run"}


def place_of(values: Path, page: Path) -> str:
    """The values' folder as seen from the page. Raises StudyError where it is not beside or below it."""
    try:
        return values.resolve().relative_to(page.resolve().parent).as_posix()
    except ValueError:
        raise StudyError(
            f"{page} shows plots that lie with the values in {values}: that must be a folder beside or below the page"
        ) from None


def write_page(values: Path, page: Path) -> Path:
    """Write the page and its plots (beside it, in the values' folder), from the values alone.

    Args:
        values: folder of a study's value files. page: the Markdown file.

    Raises:
        StudyError: no values, or values that do not fit in one table, or lie outside of the page's folder.
        OutputError: something cannot be written.
    """
    place, stored = place_of(values, page), read_stored(values)
    for name, svg in pictures(stored).items():
        _write(values / f"{name}.svg", svg)
    _write(page, render(stored, place))
    return page


def render(stored: Stored, place: str) -> str:
    """The page's Markdown. place: of plots and value files, as seen from the page."""
    first = stored.runs[0]
    clips = len(first.clips)
    sections = [
        "# Memories compared at small scale",
        f"Made by `outofsight study` from the values in [{place}/]({place}); not written by hand. {clips} held-out "
        "clips of unseen scenes and subjects, PSNR in dB on the target. Intervals are 95 %, over clips (bootstrap) "
        "and, where a row has several seeds, over seeds (Student's t, so few seeds make them wide).",
        "## What the runs show of the paper's claims",
        "Differences of PSNR in the re-entered phase, and over the whole target. A claim is decided where all seeds "
        f"({', '.join(map(str, SEEDS))}) of both rows were run, agree, and the interval lies on one side of zero (of "
        f"-{AS_GOOD:g} dB, where the claim is that something gains nothing). The verdict is that of the re-entered "
        "phase.",
        _claims(stored, CLAIMS),
        "Asked beside them:",
        _claims(stored, QUESTIONS),
        *_answer_in_words(stored),
        "## The rows",
        _rows_table(stored),
        "Fates: the share of clips in which the subject regions are nearest to that fate. Recall: how often a recalled "
        "memory token covers a frame in which the wanted subject was seen, and how often a random one would. Seconds a "
        "step are those of the machines listed below, whatever else they did.",
        *_older(stored),
        f"![PSNR in the re-entered phase by row, with seeds]({place}/rows.svg)",
        f"![Differences between rows]({place}/differences.svg)",
        f"![Error in frames of re-entry along the training]({place}/curves.svg)",
        "## Every run",
        _runs_table(stored.runs, _there(stored)),
        *_left(stored),
        "## How it was done",
        *_method(stored),
    ]
    return "\n\n".join(sections) + "\n"


# --- verdicts ---------------------------------------------------------------------------------------------------


def _claims(stored: Stored, claims: Sequence[Claim]) -> str:
    lines = []
    for claim in claims:
        back, whole = answer(claim, stored, RE_ENTERED), answer(claim, stored, TARGET)
        seeds = ", ".join(f"{gap:+.2f}" for _, gap in back.by_seed)
        cells = [claim.paper, _gap(back), seeds or "-", _gap(whole), _MARKS[back.verdict]]
        lines.append((claim.words, cells))
    return markdown_table(("paper (PSNR)", "re-entered, dB", "by seed", "whole target, dB", "verdict"), lines)


def _gap(found: Answer) -> str:
    if found.difference is None:
        return "-"
    gap = found.difference
    one = "" if found.seeds >= len(SEEDS) else f" ({found.seeds} seed{'s' if found.seeds > 1 else ''})"
    return f"{gap.mean:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}]{one}"


def _answer_in_words(stored: Stored) -> list[str]:
    """The hypothesis, answered in a sentence."""
    asked = '"HyDRA beats full context and FOV overlap in the re-entered phase"'
    against = [(claim, answer(claim, stored)) for claim in CLAIMS[:2]]
    if any(found.verdict == "not run" for _, found in against):
        return [f"The hypothesis {asked}: not yet run."]
    verdicts = {found.verdict for _, found in against}
    overall = verdicts.pop() if len(verdicts) == 1 else "did not hold" if "did not hold" in verdicts else "undecided"
    told = " and ".join(
        f"{_gap(found)} dB against {ROWS[claim.worse].label} ({found.verdict})" for claim, found in against
    )
    return [f"**{asked}: {overall}.** {told}."]


# --- tables -----------------------------------------------------------------------------------------------------


def _rows_table(stored: Stored) -> str:
    values = _there(stored)
    columns = [*(_TITLES[value] for value in values), *FATES, "recall", "seeds", "parameters", "s a step"]
    lines = [(name, [*_cells(clips, values), *[""] * 4]) for name, clips in stored.baselines.items()]
    for row in ROWS.values():
        runs = stored.of(row.name)
        if runs:
            facts = runs[0].facts
            step = float(np.mean([run.facts["seconds"] / run.facts["steps"] for run in runs]))
            tail = [_recall(runs), str(len(runs)), f"{facts['parameters'] / 1e6:.2f} M", f"{step:.2f}"]
            lines.append((row.label, [*_cells([run.clips for run in runs], values), *tail]))
    return markdown_table(columns, lines)


def _there(stored: Stored) -> list[str]:
    """The values that any run has."""
    return [value for value in _VALUES if any(value in scores for run in stored.runs for scores in run.clips.values())]


def _older(stored: Stored) -> list[str]:
    """What a reader must know of values by a definition that holds no more."""
    if not any(value.startswith(OLDER) for value in _there(stored)):
        return []
    return [
        "Older definition: computed before 2026-11-28 (version 0.1.0.dev), when the region was the pixels of the true "
        'and the frozen subject; it is the subjects\' boxes now (docs/metrics.md, "Regions"), so this column compares '
        "with nothing outside of this page. All other columns are as they are computed now."
    ]


def _cells(runs: Sequence[Mapping[str, Any]], values: Sequence[str]) -> list[str]:
    means = [mean_over_runs(runs, lambda scores, value=value: scores.get(value)) for value in values]  # type: ignore[misc]
    shares = [mean_over_runs(runs, lambda scores, fate=fate: _is(scores.get("fate"), fate)) for fate in FATES]  # type: ignore[misc]
    return [
        *("-" if found is None else found.words() for found in means),
        *("-" if found is None else f"{100 * found.mean:.0f} %" for found in shares),
    ]


def _is(given: Any, fate: str) -> float | None:
    return None if given is None else float(given == fate)


def _recall(runs: Sequence[RunValues]) -> str:
    clips = [run.clips for run in runs]
    found = mean_over_runs(clips, lambda scores: scores.get("retrieval_hit_rate"))
    chance = mean_over_runs(clips, lambda scores: scores.get("retrieval_chance"))
    return "-" if found is None or chance is None else f"{100 * found.mean:.0f} % (chance {100 * chance.mean:.0f})"


def _runs_table(runs: Sequence[RunValues], values: Sequence[str]) -> str:
    lines = []
    for run in runs:
        means = [f"{matrix([run], value).mean():.2f}" if matrix([run], value).size else "-" for value in values]
        facts = run.facts
        cells = [str(run.seed), str(facts["steps"]), f"{facts['seconds'] / 60:.0f} min", facts["machine"], *means]
        lines.append((ROWS[run.row].label, [*cells, facts["finished"][:10]]))
    titles = [_TITLES[value] for value in values]
    return markdown_table(("seed", "steps", "training", "machine", *titles, "day"), lines)


def _left(stored: Stored) -> list[str]:
    """What is missing, in words."""
    lines = []
    for row in ROWS.values():
        known = {run.seed for run in stored.of(row.name)}
        missing = [seed for seed in SEEDS if seed not in known]
        if missing:
            words = f"seeds {', '.join(map(str, missing))} not run" if known else "not run"
            lines.append(f"- {row.label} ({row.about}): {words}")
    lines += [f"- {name}: {words}, no values" for name, words in stored.unfinished.items()]
    return ["Missing:", "\n".join(lines)] if lines else ["Nothing is missing: every row has every seed."]


# --- method -----------------------------------------------------------------------------------------------------


def _method(stored: Stored) -> list[str]:
    usual = next((run for run in stored.runs if not ROWS[run.row].joint), stored.runs[0])
    settings, options = usual.settings, usual.settings["model_options"]
    rows = "\n".join(f"- {row.label} (`{row.name}`): {row.about}" for row in ROWS.values())
    changed = _changed(settings)
    return [
        f"One recipe (`recipes/micro.py`{changed}): {options['num_layers']} blocks, {options['num_attention_heads']} "
        f"heads, {settings['steps']} steps of {settings['batch_size']} clips with {settings['draws']} noisy targets "
        "each (joint rows: as many targets, each with a clip of its own), subjects weighed "
        f"{settings['objective']['subject_weight']:g}. Runs of one seed see the same clips and noise in the same "
        "order (joint rows: other ones). The mean weights are judged; their prediction is taken in one step from noise "
        "that depends on the clip alone.",
        "The models are far smaller and trained far shorter than the paper's, from nothing and not from Wan: what "
        "holds here is evidence on mechanisms at this size, not on the paper's numbers. FOV overlap represents "
        "Context-as-Memory. HyDRA's tokenizers add parameters, as in the paper; steps are equal, time is not. Of the "
        "recipe's frames (6x10 tokens) a kernel of 2x2 leaves 3x5; the paper's 4x4 leaves 7x13 of 30x52.",
        rows,
        "Again: `outofsight study --out study --rows all` makes clips, latents, runs and a page of its own, and "
        "resumes where it was stopped; `--rows`, `--seeds` and `--jobs` choose. `--page docs/results.md --page-only` "
        "makes this page again from its values.",
    ]


def _changed(settings: Mapping[str, Any]) -> str:
    """What differs from the recipe, in words."""
    ours, recipe = shared_settings(settings), shared_settings(micro(Path(), Path()).to_json())
    changed = [f"{name}={value}" for name, value in ours.items() if recipe.get(name) != value]
    return f" with {', '.join(changed)}" if changed else ""


def _write(file: Path, text: str) -> None:
    with replacing(file) as beside:
        beside.write_text(text, encoding="utf-8")
