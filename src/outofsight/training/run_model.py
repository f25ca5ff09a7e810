"""The model folder of a training run: its newest weights beside the parts that its clips were encoded with."""

from __future__ import annotations

from pathlib import Path

import torch

from ..components.hub import INDEX, shipped_models
from ..errors import CheckpointError, DatasetError, OutputError
from ..io import sha256_file
from ..models.presets import PRESETS
from ..records import read_object
from .assemble import MARK, assemble
from .checkpointing import FOLDER, WEIGHTS, latest_checkpoint
from .parts import load_parts
from .run_folder import CONFIG, BegunRun, read_begun
from .shards import LatentSettings, read_index

MODEL = "model"


def is_run(folder: Path) -> bool:
    """Whether ``folder`` is one that ``outofsight train`` left."""
    return (folder / CONFIG).is_file() and (folder / FOLDER).is_dir() and not (folder / INDEX).is_file()


def model_of_run(run: str | Path) -> Path:
    """``RUN/model``, ready for ``WorldModelPipeline.from_pretrained``: made where it is not there or not the newest.

    The transformer is the newest checkpoint's, its mean weights where there are any, in float32. VAE, text encoder and
    tokenizer (and finder) are those of the run's ``parts``, of the model that training started from, of the model that
    encoded the clips, or of a shipped model that has the very same ones.

    Raises:
        CheckpointError: no checkpoint, a damaged one, or no such parts.
        OutputError: ``RUN/model`` cannot be written, or is something else.
    """
    run = Path(run).expanduser()
    checkpoint = latest_checkpoint(run)
    if checkpoint is None:
        raise CheckpointError(f"{run} is a training run without a checkpoint yet: let 'outofsight train' write one")
    begun, out = read_begun(run), run / MODEL
    means = checkpoint.folder / "ema"
    transformer = means if means.is_dir() else checkpoint.folder / "transformer"
    encoded = begun.latents or _latents_of(begun)
    parts = _parts_of(begun, encoded)
    mark = {"transformer": sha256_file(transformer / WEIGHTS), "parts": parts}
    if (out / MARK).is_file():
        if read_object(out / MARK, CheckpointError, f"delete {out}, it is made again") == mark:
            return out
    elif out.exists():
        raise OutputError(f"{out} is there and was not made by outofsight: move it away, the run's model belongs there")
    model = begun.settings.get("model")
    assemble(
        parts,
        transformer,
        out,
        model if isinstance(model, str) and model in PRESETS else None,
        torch.float32,
        encoded=encoded,
        mark=mark,
    )
    return out


def _parts_of(begun: BegunRun, encoded: LatentSettings | None) -> str:
    """Name or folder of the model whose parts the clips were encoded with."""
    named, model = begun.settings.get("parts"), begun.settings.get("model")
    if isinstance(named, str):
        return named
    if isinstance(model, str) and model not in PRESETS and (Path(model).expanduser() / INDEX).is_file():
        return model
    if begun.encoded_with is not None:
        return begun.encoded_with
    for shipped in shipped_models():
        if encoded is not None and not encoded.other_parts(load_parts(shipped).hashes(rendered=False)):
            return shipped
    raise CheckpointError(
        "it is not known which model encoded the clips of this run, and no shipped one did: name it by the same "
        "'outofsight train' command with --resume --set parts=MODEL_FOLDER"
    )


def _latents_of(begun: BegunRun) -> LatentSettings | None:
    """Of a run of an earlier version, which did not write them down; None where its clips are no longer there."""
    try:
        return read_index(Path(str(begun.settings.get("data")))).settings
    except DatasetError:
        return None
