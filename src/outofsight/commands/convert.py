"""``outofsight convert``: released checkpoints to model folders and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import CheckpointError, OutputError
from ..generation.load import DTYPES
from .console import quiet_libraries, reports_errors, say


@reports_errors
def convert(
    source: Annotated[
        Path | None,
        typer.Argument(help="hydra.ckpt, or with --to-released a model folder; none starts from base Wan."),
    ] = None,
    base: Annotated[Path | None, typer.Option(help="Wan folder with VAE, text encoder and tokenizer.")] = None,
    out: Annotated[Path | None, typer.Option(help="Model folder to make.")] = None,
    to_released: Annotated[Path | None, typer.Option(help="Checkpoint to write in the released naming.")] = None,
    dtype: Annotated[str | None, typer.Option(help=f"Cast to {', '.join(DTYPES)}; as stored by default.")] = None,
    heads: Annotated[int | None, typer.Option(help="Attention heads, which a checkpoint does not tell.")] = None,
    seed: Annotated[int, typer.Option(help="Of the fresh tensors when starting from base Wan.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Make a model folder of hydra.ckpt and a base Wan folder, or a checkpoint of a model folder.

    outofsight convert hydra.ckpt --base WAN_FOLDER --out FOLDER

    outofsight convert FOLDER --to-released hydra.ckpt
    """
    if to_released is not None:
        if source is None or base is not None or out is not None:
            raise CheckpointError("--to-released takes a model folder and nothing else: convert FOLDER --to-released X")
        from ..models.convert import export_released

        quiet_libraries()
        export_released(source, to_released, overwrite=overwrite)
        say(f"{to_released}")
        return
    if base is None:
        raise CheckpointError(
            "no --base: the checkpoint holds the transformer alone, so VAE, text encoder and tokenizer are "
            "taken from "
            "a Wan2.1-T2V-1.3B folder (the original one or diffusers'); or give --to-released to go the "
            "other way"
        )
    if out is None:
        raise OutputError("no --out: name the model folder to make")
    if dtype is not None and dtype not in DTYPES:
        raise CheckpointError(f"--dtype {dtype}: expected one of {', '.join(DTYPES)}")
    import torch

    from ..models.convert import convert as convert_weights

    quiet_libraries()
    convert_weights(
        source,
        base,
        out,
        dtype=None if dtype is None else getattr(torch, dtype),
        num_attention_heads=heads,
        seed=seed,
        overwrite=overwrite,
        progress=True,
    )
    say(f"{out}\nnext: outofsight generate --model {out} --clip CLIP_FOLDER --out out.mp4")
