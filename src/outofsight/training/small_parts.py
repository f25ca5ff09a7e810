"""What the small parts (VAE, text encoder) share around their training: the command line, and saving a part whole."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from ..errors import OutOfSightError, OutputError
from ..io import reason
from ..progress import progress
from .settings import with_settings


def save_part(part: Any, folder: Path) -> None:
    """``part.save_pretrained`` into ``folder``, which is replaced whole or not at all. Raises OutputError."""
    made: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        made.chmod(0o755)
        part.save_pretrained(made)
        if folder.exists():
            # a folder cannot be renamed over another that is not empty: the old one makes way first
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            os.replace(folder, old)
            os.replace(made, folder)
            shutil.rmtree(old)
        else:
            os.replace(made, folder)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {reason(error)}") from error
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def command(config_type: type[Any], train: Callable[..., Mapping[str, float]]) -> None:
    """Run ``train`` as its module's docstring says: options for paths, ``--set name=value`` for the rest."""
    parser = argparse.ArgumentParser(description=(sys.modules["__main__"].__doc__ or "").split("\n")[0])
    paths = [field for field in fields(config_type) if "Path" in str(field.type)]
    for field in paths:
        required = field.default is MISSING and field.default_factory is MISSING
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=Path, required=required)
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="loop.steps=2000, ...")
    options = vars(parser.parse_args())
    given = {field.name: options[field.name] for field in paths if options[field.name] is not None}
    try:
        config = with_settings(config_type(**given), options["set"])
        with progress("steps", config.loop.steps) as advance:
            results = train(config, resume=options["resume"], report=Progress(config.loop.steps, advance))
    except OutOfSightError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt as stop:
        print(f"interrupted: {stop}", file=sys.stderr)
        sys.exit(130)
    print(", ".join(f"{name} {value:.4g}" for name, value in results.items()))


class Progress:
    """A bar on a terminal, a line per logged step elsewhere; to be called as :class:`SmallRun` reports."""

    def __init__(self, steps: int, advance: Callable[..., None]) -> None:
        self._terminal, self._told, self._began = sys.stderr.isatty(), 0.0, time.perf_counter()
        self._steps, self._advance, self._at = steps, advance, 0

    def __call__(self, step: int, line: Mapping[str, float]) -> None:
        if self._terminal:
            self._advance(step - self._at, f"steps, loss {line['loss']:.4f}" if line else None)
            self._at = step
        elif line and line["step"] != self._told:
            self._told = line["step"]
            left = (self._steps - step) * line["seconds"] / 60
            shown = {name: value for name, value in line.items() if name != "step"}
            told = ", ".join(f"{name} {value:.4g}" for name, value in shown.items())
            print(f"step {step} of {self._steps}: {told}; {left:.1f} min left", file=sys.stderr, flush=True)
