"""Run by torchrun in test_processes.py: several short runs in one group of processes, each to its own folder."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from outofsight.errors import OutOfSightError
from outofsight.training import ObjectiveOptions, TrainConfig, train


def make_config(latents: Path, out: Path, settings: dict[str, Any]) -> TrainConfig:
    return TrainConfig(latents, out, objective=ObjectiveOptions(noise="frame", subject_weight=1.0), **settings)


def main(runs: Path) -> None:
    for run in json.loads(runs.read_text()):
        config = make_config(Path(run["latents"]), Path(run["out"]), run["settings"])
        try:
            train(config, resume=run.get("resume", False), accept_changes=True)
        except OutOfSightError as error:
            (config.out.parent / f"{config.out.name}.error-{os.environ['RANK']}").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
