"""A run's folder: one run in it, begun once, resumed under the same settings and on the same clips."""

from __future__ import annotations

import json
import shlex
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import TrainingError
from ..io import replacing
from ..records import fitted, read_json
from .checkpointing import Checkpoint, latest_checkpoint
from .shards import LatentSettings

CONFIG = "config.json"


@dataclass(frozen=True)
class BegunRun:
    """config.json of a run: its settings; if it learns from encoded clips, their fingerprint and what they were encoded
    with (since 0.2)."""

    settings: Mapping[str, Any]
    clips: str | None = None
    latents: LatentSettings | None = None
    encoded_with: str | None = None


def read_begun(out: Path) -> BegunRun:
    """Raises TrainingError where config.json is missing or damaged, or of a small part's run of an earlier version."""
    path, remedy = out / CONFIG, "it holds the settings the run was begun with: put it back, or begin anew elsewhere"
    content = read_json(path, TrainingError, remedy)
    if isinstance(content, dict) and "loop" in content:
        raise TrainingError(
            f"{path} was written by an earlier version of outofsight, which kept runs of small parts in another form: "
            "they cannot be resumed; train anew in another --out"
        )
    return fitted(BegunRun, content, path, TrainingError, remedy)


def find_start(
    out: Path, changes: Callable[[BegunRun], list[str]], *, resume: bool, accept_changes: bool = False
) -> Checkpoint | None:
    """The checkpoint to resume from, or None to begin; nothing is written.

    Args:
        changes: what is another now than in the run that was begun, in words.

    Raises:
        TrainingError: the folder holds a run and resuming was not asked for, or its settings or clips differ and
            that was not accepted.
    """
    checkpoint = latest_checkpoint(out)
    if not resume:
        if checkpoint is not None:
            raise TrainingError(
                f"{out} holds a run of {checkpoint.step} steps: resume it by --resume, or choose another --out"
            )
        return None
    if checkpoint is None and not (out / CONFIG).is_file():
        warnings.warn(f"{out} holds no run to resume; a new one is begun", stacklevel=3)
        return None
    changed = changes(read_begun(out))
    if changed and not accept_changes:
        listed = "\n  ".join(changed)
        raise TrainingError(
            f"{out} was begun with other settings:\n  {listed}\nresume with those, choose another --out, or "
            "resume with the new ones by --accept-changes"
        )
    for change in changed:
        warnings.warn(f"resumed with another setting: {change}", stacklevel=3)
    return checkpoint


def write_config(out: Path, run: BegunRun) -> None:
    """config.json: what a later resume is held against. Raises OutputError."""
    with replacing(out / CONFIG) as beside:
        beside.write_text(json.dumps({**asdict(run), "versions": _versions()}, indent=1) + "\n", encoding="utf-8")


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("outofsight", "torch", "diffusers", "accelerate", "numpy")}


def resume_command(out: Path) -> str:
    """The command that resumes the run."""
    return f"the same command with --resume (checkpoints are in {shlex.quote(str(out))})"
