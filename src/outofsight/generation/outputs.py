"""Files a run leaves: what lies beside a video, and how each is written whole or not at all.

out.mp4                        the video
out.run.json                   how it was made (see runs.py); written last, so it marks a finished run
out.trace.npz                  what was recalled, on request
out.partial.safetensors, .mp4  a chunk broken off by Ctrl-C, gone when it is finished
out.session/                   a run of several chunks: the session, and the video so far; gone when it is finished
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError, OutputError
from ..io import reason, replacing
from ..records import parse_json

if TYPE_CHECKING:
    from ..components.results import PartialRun

SESSION = ".session"  # ends the name of an unfinished run's folder
_LONGEST_NAME = 230  # bytes: file systems take 255, and what lies beside a video is named after it
# what a run of several chunks writes to its folder, and what a kill leaves of a file that was being written
_OF_SESSION = re.compile(r"\.?(session|new-chunk|\d{6,}-(chunks|session))(\.\w+)?\.(json|mp4|safetensors)")


@dataclass(frozen=True)
class OutputPaths:
    """The files that belong to one video."""

    video: Path

    def _beside(self, suffix: str) -> Path:
        return self.video.with_name(self.video.stem + suffix)

    @property
    def record(self) -> Path:
        return self._beside(".run.json")

    @property
    def trace(self) -> Path:
        return self._beside(".trace.npz")

    @property
    def partial(self) -> Path:
        return self._beside(".partial.safetensors")

    @property
    def preview(self) -> Path:
        return self._beside(".partial.mp4")

    @property
    def session(self) -> Path:
        """Folder of a run of several chunks, while it is not finished."""
        return self._beside(SESSION)

    def trace_of(self, chunk: int) -> Path:
        """The trace of each chunk; the first one's is :attr:`trace`."""
        return self._beside(f".trace-{chunk + 1}.npz") if chunk else self.trace

    def traces(self) -> dict[int, Path]:
        """The traces that are there, by number of the chunk from 0 on."""
        own, found = self._traces(), {}
        for file in self.video.parent.iterdir():
            if match := own.fullmatch(file.name):
                number = int(match[1] or 1) - 1
                if number >= 0 and self.trace_of(number).name == file.name:
                    found[number] = file
        return dict(sorted(found.items()))

    def _traces(self) -> re.Pattern[str]:
        return re.compile(re.escape(self.video.stem) + r"\.trace(?:-(\d+))?\.npz")

    @property
    def unfinished(self) -> bool:
        """Whether chunks of a run that was not finished are there."""
        return self.session.is_dir() and any(map(is_chunk_file, self.session.iterdir()))

    def forget_partial(self) -> None:
        """Remove what a chunk that was broken off left."""
        self.partial.unlink(missing_ok=True)
        self.preview.unlink(missing_ok=True)

    def forget_session(self) -> None:
        """Remove the chunks of an unfinished run, and nothing else that lies in that folder."""
        if not self.session.is_dir():
            return
        (self.session / "session.json").unlink(missing_ok=True)  # without it the others do not count
        for file in self.session.iterdir():
            if _OF_SESSION.fullmatch(file.name):
                file.unlink(missing_ok=True)
        with suppress(OSError):  # other files in it stay
            self.session.rmdir()

    def forget_traces(self, kept: Collection[str]) -> None:
        """Remove the traces of a run before; ``kept``: names of this one's."""
        own = self._traces()
        for file in self.video.parent.iterdir():
            if own.fullmatch(file.name) and file.name not in kept:
                file.unlink(missing_ok=True)

    def check_session(self) -> None:
        """Raises OutputError where the folder of an unfinished run holds a session of another program."""
        if (self.session / "session.json").is_file() and not any(self.session.glob("*-chunks.json")):
            raise OutputError(
                f"{self.session} holds a session that is not of this command, and chunks would be written over it: "
                "move it, or choose another --out"
            )


def is_chunk_file(file: Path) -> bool:
    """Whether a file is one that a run of several chunks keeps while it is not finished (NAME.session/...)."""
    return file.parent.name.endswith(SESSION) and _OF_SESSION.fullmatch(file.name) is not None


def check_writable(path: Path, suffix: str = ".mp4") -> None:
    """Make sure that ``path`` can be written later, by writing beside it (or in its nearest parent) now.

    Raises:
        OutputError: another suffix, a folder in its place, or a place that cannot be written to.
    """
    if path.suffix.lower() != suffix:
        raise OutputError(f"the output {path} must end in {suffix}")
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise OutputError(
            f"the name {path.name[:60]}... of the output is too long: at most {_LONGEST_NAME} bytes, so that what "
            "lies beside it can be named after it"
        )
    if os.path.isdir(path):  # False for what cannot be looked at, which is found below
        raise OutputError(f"the output {path} is a folder, expected a file name ending in {suffix}")
    check_folder_writable(path.parent)


def check_folder_writable(folder: Path) -> None:
    """As :func:`check_writable` for a folder that is there or can be made; nothing stays behind."""
    existing = folder
    while not os.path.exists(existing) and existing != existing.parent:
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {reason(error)}; choose another --out") from error


def save_partial(path: Path, partial: PartialRun, fingerprint: str) -> None:
    """Keep an interrupted run: its latents, how far it got, and which run it is a part of."""
    from safetensors.torch import save_file

    tensors = {"latents": partial.latents}
    if partial.clean_estimate is not None:
        tensors["clean_estimate"] = partial.clean_estimate
    metadata = {
        "step": partial.step,
        "steps": partial.steps,
        "seed": partial.seed,
        "fingerprint": fingerprint,
    }
    with replacing(path) as beside:
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()},
            beside,
            metadata={"outofsight_partial": json.dumps(metadata)},
        )


def load_partial(path: Path, fingerprint: str) -> PartialRun | None:
    """The interrupted run kept at ``path``; None where there is none, or it belongs to other settings.

    Raises:
        CheckpointError: the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    from ..components.results import PartialRun

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            state = parse_json((file.metadata() or {})["outofsight_partial"], path, CheckpointError)
            if state["fingerprint"] != fingerprint:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        return PartialRun(
            tensors["latents"], state["step"], state["steps"], state["seed"], tensors.get("clean_estimate")
        )
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is not a run that can be resumed ({error}): remove it") from error
