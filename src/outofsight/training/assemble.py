"""Put trained parts together into a pipeline folder, ready for ``WorldModelPipeline.from_pretrained``:

    python -m outofsight.training.assemble --parts PARTS --transformer RUN/checkpoints/step-0001000/ema --preset tiny \\
        --out FOLDER

The sampling settings of the preset become the folder's own.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..components.hub import read_settings, resolve_model
from ..components.video_codec import codec_of
from ..errors import CheckpointError, OutOfSightError
from ..models.presets import PRESETS
from ..models.transformer import WorldTransformer3DModel
from ..pipeline import WorldModelPipeline
from .checkpointing import verify_part, writing_folder
from .parts import RANDOM, load_parts
from .shards import LatentSettings

MARK = ".made_from.json"


def assemble(
    parts: str,
    transformer: Path,
    out: Path,
    preset: str | None,
    dtype: torch.dtype = torch.float16,
    *,
    encoded: LatentSettings | None = None,
    mark: Mapping[str, str] | None = None,
) -> None:
    """Write ``out``, replaced whole or not at all.

    Args:
        parts: folder of VAE, text encoder and tokenizer; they are kept in float32, as the clips were encoded.
        transformer: folder of a trained transformer (a checkpoint's ``ema``).
        preset: whose steps, guidance and shift to sample with; None takes those of ``parts``, which is a model then.
        dtype: to store the transformer in.
        encoded: what the clips it was trained on were encoded with; other parts are refused.
        mark: written to ``MARK`` in the folder: what it was made from.

    Raises:
        CheckpointError: no such preset, or parts that are missing or do not fit one another.
        OutputError: ``out`` cannot be written.
    """
    coders, settings = load_parts(parts), _sampling(parts, preset)
    if encoded is not None and (others := encoded.other_parts(coders.hashes(rendered=False))):
        raise CheckpointError(
            f"the clips of the training were encoded with {' and '.join(others)} than {parts} has: name the model that "
            "encoded them, when training, by --set parts=FOLDER"
        )
    verify_part(transformer)
    try:
        model = WorldTransformer3DModel.from_pretrained(transformer, torch_dtype=dtype, use_safetensors=True)
        model.register_to_config(_name_or_path=preset or "")  # and not the place on this machine
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{transformer}: no transformer that can be loaded: {error}") from error
    width, channels = coders.text_dim, codec_of(coders.vae).channels
    if (model.config.text_dim, model.config.in_channels) != (width, channels):
        raise CheckpointError(
            f"{transformer} takes text of {model.config.text_dim} numbers and latents of {model.config.in_channels} "
            f"channels; the parts in {parts} give {width} and {channels}"
        )
    if "rendered" in model.conditioning and coders.finder is None:
        raise CheckpointError(
            f"{transformer} is conditioned on rendered targets, and {parts} has no finder to render them with"
        )
    if coders.finder is not None:
        coders.finder.register_to_config(_name_or_path=preset or "")
    pipe = WorldModelPipeline(
        tokenizer=coders.tokenizer,
        text_encoder=coders.text_encoder,
        vae=coders.vae,
        transformer=model,
        finder=coders.finder,
        max_text_tokens=coders.text_tokens,
        **settings,
    )
    with writing_folder(out) as unfinished:
        pipe.save_pretrained(unfinished)
        if mark:
            (unfinished / MARK).write_text(json.dumps(dict(mark), indent=1) + "\n", encoding="utf-8")


def _sampling(parts: str, preset: str | None) -> dict[str, Any]:
    """Steps, guidance, shift and negative prompt to sample with."""
    name = parts.removeprefix(RANDOM) if preset is None and parts.startswith(RANDOM) else preset
    if name is not None:
        if name not in PRESETS:
            raise CheckpointError(f"no preset {name!r}; there are {', '.join(PRESETS)}")
        chosen = PRESETS[name]
        return {
            "num_inference_steps": chosen.steps,
            "guidance_scale": chosen.guidance,
            "shift": chosen.shift,
            "negative_prompt": "",
        }
    settings = dict(read_settings(resolve_model(parts)))
    return {name: value for name, value in settings.items() if name != "max_text_tokens"}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", required=True)
    parser.add_argument("--transformer", type=Path, required=True)
    parser.add_argument("--preset", required=True, choices=sorted(PRESETS))
    parser.add_argument("--out", type=Path, required=True)
    try:
        assemble(**vars(parser.parse_args()))
    except OutOfSightError as error:
        sys.exit(f"error: {error}")
