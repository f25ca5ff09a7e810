"""What validation found: rows of scores, their tables, and how far the model is from the baselines."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.ablation import ABLATIONS
from ..evaluation.baselines import BEST_VIEW, LAST_FRAME
from ..evaluation.bootstrap import Interval
from ..evaluation.measure import CORE
from ..evaluation.metric import METRICS
from ..evaluation.metrics import FATES
from ..evaluation.scores import PSNR_NAMES, Scores, difference, summary, table, to_json
from ..io import replacing

MODEL = "model"
BASELINES = (LAST_FRAME, BEST_VIEW)
_RECALL = ("retrieval_hit_rate", "retrieval_chance")


@dataclass(frozen=True)
class ValidationSettings:
    """How held-out clips are continued.

    Args:
        steps, guidance, shift: of the sampler; guidance 1 runs without a negative branch.
        seed: each clip's noise is drawn from it and the clip's name, whatever the batch.
        clips: the first so many; None takes all. batch: clips at once.
        ablations: ways to take the memory away (``evaluation.ablation``), each another pass.
        videos: of the first so many clips, context, generated and truth are written side by side.
        retrieval: record what is recalled, and how often it shows the subject that is wanted.
    """

    steps: int = 20
    guidance: float = 1.0
    shift: float = 3.0
    seed: int = 0
    clips: int | None = None
    batch: int = 4
    ablations: tuple[str, ...] = ()
    videos: int = 4
    retrieval: bool = True


@dataclass
class ValidationResult:
    """rows: row -> clip -> scores. The model's rows are "model" and the ablations; see ``evaluation.scores``."""

    settings: ValidationSettings
    rows: dict[str, dict[str, Scores]] = field(default_factory=dict)

    def better_baseline(self, name: str = "psnr") -> str:
        """The baseline of the higher mean."""
        found = summary({row: self.rows[row] for row in BASELINES})
        return max(BASELINES, key=lambda row: found[row][name].mean if name in found[row] else -np.inf)

    def differences(self) -> dict[str, Interval]:
        """Clip by clip: the model less the better baseline, and less itself without its memory."""
        found = {}
        for name in ("psnr", "psnr re-entered", "psnr re-entered inside"):
            others = [self.better_baseline(name), *(row for row in self.rows if row in ABLATIONS)]
            for other in others:
                gap = difference(self.rows[MODEL], self.rows[other], name)
                if gap is not None:
                    found[f"{name}: {MODEL} - {other}"] = gap
        return found

    def flat(self) -> dict[str, float]:
        """Means by "row: value", for a training log."""
        return {
            f"{row}: {name}": found.mean
            for row, values in summary(self.rows).items()
            for name, found in values.items()
            if name in (*PSNR_NAMES, *FATES, "fate_margin", *_RECALL)
        }

    def words(self) -> str:
        """Tables in Markdown: dB by phase and region, fates in percent of clips, retrieval, and the differences."""
        found = summary(self.rows)
        tables = [table(found, PSNR_NAMES)]
        if any(name in values for values in found.values() for name in FATES):
            tables.append(table(found, (*FATES, "fate_margin")))
        if _RECALL[0] in found.get(MODEL, {}):
            with_recall = {row: values for row, values in found.items() if _RECALL[0] in values}
            tables.append(table(with_recall, _RECALL, _RECALL))
        gaps = {name: {"dB": gap} for name, gap in self.differences().items()}
        return "\n\n".join([*tables, table(gaps, ("dB",))])

    def to_json(self) -> dict[str, Any]:
        gaps = {name: asdict(gap) for name, gap in self.differences().items()}
        return {
            "settings": asdict(self.settings),
            "definitions": {name: METRICS[name].words for name in CORE},
            "intervals": "95 %, percentile bootstrap over clips",
            "summary": to_json(summary(self.rows)),
            "differences": gaps,
            "clips": self.rows,
        }

    def save(self, folder: Path) -> None:
        """Write validation.json (per-clip values too) and validation.md; raises OutputError."""
        with replacing(folder / "validation.json") as beside:
            beside.write_text(json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        with replacing(folder / "validation.md") as beside:
            beside.write_text(self.words() + "\n", encoding="utf-8")
