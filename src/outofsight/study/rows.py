"""What is compared: memories, each trained alike but for itself, and how one run of the study is set up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import StudyError
from ..recipes import micro
from ..training import with_settings
from ..training.config import TrainConfig, with_defaults
from ..training.settings import flat

SEEDS = (0, 1, 2)
# what distinguishes the rows; everything else of a run's settings is the same for all
_MEMORY = ("model_options.memory", "model_options.context_attention")
_OWN = ("batch_size", "draws", *_MEMORY)
_PLACES = ("data", "out", "parts", "device", "keep", "checkpoint_every", "log_every")
# what a study sets itself, so that no --set may
_SET_HERE = ("data", "out", "parts", "seed", "model", "model_options", *_MEMORY)


@dataclass(frozen=True)
class Row:
    """A memory of the study.

    Args:
        name: of files and on the command line. label: in tables.
        memory, options: of the transformer; options over the recipe's for "hydra", whole for others.
        about: what it is, or how it differs from the main HyDRA row, in a few words.
        main: one of the rows that are owed with every seed; the others are ablations.
        joint: context sees the target. Noisy targets then cannot share a pass over their context: a step takes as many
            clips as other rows take targets, with one target each.
    """

    name: str
    label: str
    memory: str
    about: str
    options: Mapping[str, Any] = field(default_factory=dict)
    main: bool = False
    joint: bool = False


_SHORTENED = {"remainder": "repeat"}  # what "hydra" does with 13 frames in tokens of two; joint attention drops one

# Seven of thirteen context frames and four of seven memory tokens: about half, as the paper's 10 of 18 or 20 are
ROWS: Mapping[str, Row] = MappingProxyType(
    {
        row.name: row
        for row in (
            Row("full", "full context", "full", "every frame sees every frame", main=True),
            Row(
                "fov", "FOV overlap", "fov", "the last and the 6 other context frames of most view overlap, seen whole",
                {"top_k": 7, "run": 1}, main=True,
            ),
            Row("hydra", "HyDRA", "hydra", "window of 5, 4 of 7 memory tokens of 2x2x2 by pooled affinity", main=True),
            Row(
                "fov-thinned", "FOV overlap, thinned", "fov",
                "of each two neighbours the one of more view overlap, and the last: 7 of 13", {"top_k": 7, "run": 2},
            ),
            Row("hydra-kernel1", "HyDRA, temporal kernel 1", "hydra", "4 of 13 tokens of 1x2x2", {"kernel": (1, 2, 2)}),
            Row("hydra-fine", "HyDRA, spatial kernel 1", "hydra", "4 of 7 tokens of 2x1x1", {"kernel": (2, 1, 1)}),
            Row("hydra-k2", "HyDRA, K = 2", "hydra", "2 of 7 tokens", {"top_k": 2}),
            Row("hydra-k6", "HyDRA, K = 6", "hydra", "6 of 7 tokens", {"top_k": 6}),
            Row("hydra-all", "HyDRA, K = all", "hydra", "all tokens outside the window", {"top_k": None}),
            Row("hydra-fov", "HyDRA, recall by FOV", "hydra", "tokens chosen by view overlap", {"affinity": "fov"}),
            Row(
                "hydra-joint", "HyDRA, joint attention", "hydra", "context sees the target; twice as many clips",
                {"bank": "context", **_SHORTENED}, joint=True,
            ),
            Row(
                "hydra-release", "HyDRA, joint, the release's bank", "hydra",
                "as before; noisy target frames can be recalled too", {"bank": "all", **_SHORTENED}, joint=True,
            ),
        )
    }
)  # fmt: skip


def choose_rows(names: str) -> tuple[Row, ...]:
    """Rows by a comma-separated list of names, "main", "ablations" or "all"; in ROWS' order, each once.

    Raises StudyError for a name that is none.
    """
    groups: dict[str, list[str]] = {
        "all": list(ROWS),
        "main": [row.name for row in ROWS.values() if row.main],
        "ablations": [row.name for row in ROWS.values() if not row.main],
    }
    wanted: set[str] = set()
    for name in (part.strip() for part in names.split(",")):
        if name not in groups and name not in ROWS:
            raise StudyError(f"no row {name!r}; there are {', '.join((*groups, *ROWS))}")
        wanted.update(groups.get(name, [name]))
    return tuple(row for row in ROWS.values() if row.name in wanted)


def choose_seeds(text: str) -> tuple[int, ...]:
    """Seeds by a comma-separated list. Raises StudyError where it is none."""
    try:
        seeds = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise StudyError(f"seeds are {text!r}, expected whole numbers such as 0,1,2") from None
    if min(seeds) < 0:
        raise StudyError(f"seeds are {text!r}, expected 0 or more")
    return seeds


@dataclass(frozen=True)
class Run:
    """One row with one seed."""

    row: Row
    seed: int

    @property
    def name(self) -> str:
        return f"{self.row.name}-seed{self.seed}"

    def config(self, data: Path, out: Path, parts: Path, settings: Sequence[str] = ()) -> TrainConfig:
        """Its training. settings: changes to the recipe, for all runs alike (see ``outofsight train --set``).

        Raises StudyError for settings that are not the user's to make, TrainingError for those that cannot be.
        """
        for name in (setting.partition("=")[0].strip() for setting in settings):
            if name in _SET_HERE or name.startswith(_MEMORY):
                raise StudyError(f"--set {name}: a study sets it itself, by row, seed and folder")
        base = with_settings(replace(micro(data, out), parts=parts, seed=self.seed), settings)
        inherited = base.model_options["memory_options"] if self.row.memory == "hydra" else {}
        options = {
            **base.model_options,
            "memory": self.row.memory,
            "memory_options": {**inherited, **self.row.options},
        }
        if not self.row.joint:
            return replace(base, model_options=options)
        options["context_attention"] = "joint"
        return replace(base, model_options=options, batch_size=base.batch_size * base.draws, draws=1)


def runs_of(rows: Iterable[Row], seeds: Sequence[int]) -> list[Run]:
    """Every row with every seed, a seed at a time, so that a study that stops early can still compare its rows."""
    rows = tuple(rows)
    return [Run(row, seed) for seed in seeds for row in rows]


def row_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of a run's settings (``TrainConfig.to_json``), what all runs of its row must have alike."""
    return {
        name: value
        for name, value in with_defaults(flat(settings)).items()
        if name != "seed" and name.split(".")[0] not in _PLACES
    }


def shared_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What all runs of a study must have alike, whatever their row."""
    return {name: value for name, value in row_settings(settings).items() if not name.startswith(_OWN)}
