"""What validation found: rows of scores, their tables, and how far the model is from the trivial answers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.ablation import ABLATIONS
from ..evaluation.bootstrap import Interval
from ..evaluation.scores import FATES, PSNR_NAMES, Scores, difference, summary, table, to_json
from ..io import replacing

MODEL, HOLD, BEST_VIEW, CEILING = "model", "hold last frame", "copy best view", "VAE reconstruction"
TRIVIAL = (HOLD, BEST_VIEW)


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
class ValidationReport:
    """rows: row -> clip -> scores. The model's rows are "model" and the ablations; see ``evaluation.scores``."""

    settings: ValidationSettings
    rows: dict[str, dict[str, Scores]] = field(default_factory=dict)

    def better_trivial(self, name: str = "target") -> str:
        """The trivial answer of the higher mean."""
        found = summary({row: self.rows[row] for row in TRIVIAL})
        return max(TRIVIAL, key=lambda row: found[row][name].mean if name in found[row] else -np.inf)

    def differences(self) -> dict[str, Interval]:
        """Clip by clip: the model less the better trivial answer, and less itself without its memory."""
        found = {}
        for name in ("target", "re-entered", "re-entered inside"):
            others = [self.better_trivial(name), *(row for row in self.rows if row in ABLATIONS)]
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
            if name in (*PSNR_NAMES, *FATES, "fate margin", "retrieval", "retrieval chance")
        }

    def words(self) -> str:
        """Tables in Markdown: dB by phase and region, fates in percent of clips, retrieval, and the differences."""
        found = summary(self.rows)
        parts = [table(found, PSNR_NAMES)]
        if any(name in values for values in found.values() for name in FATES):
            parts.append(table(found, (*FATES, "fate margin")))
        if "retrieval" in found.get(MODEL, {}):
            with_recall = {row: values for row, values in found.items() if "retrieval" in values}
            parts.append(table(with_recall, ("retrieval", "retrieval chance"), ("retrieval", "retrieval chance")))
        gaps = {name: {"dB": gap} for name, gap in self.differences().items()}
        return "\n\n".join([*parts, table(gaps, ("dB",))])

    def to_json(self) -> dict[str, Any]:
        gaps = {name: asdict(gap) for name, gap in self.differences().items()}
        return {
            "settings": asdict(self.settings),
            "definitions": "PSNR: dB per frame on uint8 in [0, 1], mean over frames, then over clips; intervals: 95 %, "
            "percentile bootstrap over clips; fates: see outofsight.evaluation.fates",
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
