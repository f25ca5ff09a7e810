"""What the paper claims, and what the study's runs show of it.

A claim is decided only by rows with every seed: it held (or did not) where the 95 % interval of the difference, over
clips and seeds, lies on one side of zero (of -AS_GOOD dB, where the claim is that something gains nothing) and every
pair of seeds agrees. All else is undecided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..evaluation.bootstrap import Interval, difference_over_runs
from .rows import SEEDS
from .values import RunValues, Stored

Verdict = Literal["held", "did not hold", "undecided", "not run"]
RE_ENTERED, TARGET = "psnr re-entered", "psnr"
AS_GOOD = 0.1  # dB: so little is no gain


@dataclass(frozen=True)
class Claim:
    """``better`` has a higher PSNR than ``worse`` (rows); paper: what it measured. no_gain: that ``better``, which
    costs less, loses nothing against ``worse``."""

    words: str
    better: str
    worse: str
    paper: str
    no_gain: bool = False


# PSNR of HyDRA's tables (arXiv 2603.25716), over whole targets of HM-World
CLAIMS = (
    Claim("HyDRA beats full context", "hydra", "full", "20.357 against 18.696"),
    Claim("HyDRA beats recall of whole frames by FOV overlap", "hydra", "fov",
          "20.357 against 18.921 (Context-as-Memory)"),
    Claim("FOV overlap beats full context", "fov", "full", "18.921 against 18.696"),
    Claim("tokens over two frames beat tokens of one", "hydra", "hydra-kernel1", "20.357 against 19.076"),
    Claim("a smaller spatial kernel is worse", "hydra", "hydra-fine", "4x4 against 2x2: 20.357, 20.113"),
    Claim("recalling fewer tokens is worse", "hydra", "hydra-k2", "K = 10 against 5: 20.357, 19.309"),
    Claim("recalling more tokens gains nothing", "hydra", "hydra-k6", "K = 10 against 15: 20.357, 20.333", True),
    Claim("affinity beats FOV overlap as the way to choose tokens", "hydra", "hydra-fov", "20.357 against 19.776"),
)  # fmt: skip
# questions that the paper's tables leave open
QUESTIONS = (
    Claim("frames of most view overlap beat one of each two neighbours", "fov", "fov-thinned", "not reported"),
    Claim("choosing beats recalling everything", "hydra", "hydra-all", "not reported"),
    Claim(
        "a bank of context alone (the paper's) beats one with noisy target frames (the release's)",
        "hydra-joint",
        "hydra-release",
        "not reported",
    ),
)


@dataclass(frozen=True)
class Answer:
    """A claim held against the runs, for one part of the target.

    difference: of ``better`` less ``worse``, dB; None where either was not run. by_seed: of each seed that both have.
    """

    claim: Claim
    part: str
    verdict: Verdict
    difference: Interval | None = None
    by_seed: tuple[tuple[int, float], ...] = ()
    seeds: int = 0


def answer(claim: Claim, stored: Stored, part: str = RE_ENTERED, seeds: Sequence[int] = SEEDS) -> Answer:
    """What the runs show of a claim about this part of the target (a name of ``evaluation.scores``)."""
    one, other = stored.of(claim.better), stored.of(claim.worse)
    if not one or not other:
        return Answer(claim, part, "not run")
    names = _judged(one + other, part)
    if not names:
        return Answer(claim, part, "undecided")
    difference = difference_over_runs(matrix(one, part, names), matrix(other, part, names))
    means = [{run.seed: float(matrix([run], part, names).mean()) for run in runs} for runs in (one, other)]
    by_seed = tuple((seed, means[0][seed] - means[1][seed]) for seed in means[0] if seed in means[1])
    complete = all(set(seeds) <= found.keys() for found in means)
    verdict = _verdict(claim, difference, [gap for _, gap in by_seed]) if complete else "undecided"
    return Answer(claim, part, verdict, difference, by_seed, min(len(found) for found in means))


def _verdict(claim: Claim, difference: Interval, by_seed: Sequence[float]) -> Verdict:
    least = -AS_GOOD if claim.no_gain else 0.0
    if difference.low > least and all(gap > least for gap in by_seed):
        return "held"
    if difference.high < least and all(gap < least for gap in by_seed):
        return "did not hold"
    return "undecided"


def _judged(runs: Sequence[RunValues], part: str) -> list[str]:
    """Clips of which every run has a number for this part."""
    names = [name for name, scores in runs[0].clips.items() if isinstance(scores.get(part), int | float)]
    return [name for name in names if all(isinstance(run.clips[name].get(part), int | float) for run in runs)]


def matrix(runs: Sequence[RunValues], part: str, names: Sequence[str] | None = None) -> np.ndarray:
    """``[runs, clips]`` of a value; names: of the clips, all that have one by default."""
    chosen = _judged(runs, part) if names is None else names
    return np.array([[run.clips[name][part] for name in chosen] for run in runs], dtype=np.float64)


def mean_over_runs(runs: Sequence[Mapping[str, Any]], value: Callable[[Any], float | None]) -> Interval | None:
    """Mean of ``value(scores)`` over the clips of runs (clip -> scores), with its interval over clips and seeds.

    Of the clips that have one in every run; None where none has.
    """
    names = [name for name in runs[0] if all(value(clips[name]) is not None for clips in runs)]
    if not names:
        return None
    values = np.array([[value(clips[name]) for name in names] for clips in runs], dtype=np.float64)
    return difference_over_runs(values, np.zeros((1, len(names))))
