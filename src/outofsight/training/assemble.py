"""Put trained parts together into a pipeline folder, ready for ``WorldModelPipeline.from_pretrained``:

    python -m outofsight.training.assemble --parts PARTS --transformer RUN/checkpoints/step-0001000/ema --preset tiny \\
        --out FOLDER

The sampling settings of the preset become the folder's own.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from ..errors import CheckpointError, OutOfSightError
from ..models.presets import PRESETS
from ..models.transformer import WorldTransformer3DModel
from ..pipeline import WorldModelPipeline
from .parts import load_parts
from .small_parts import save_part


def assemble(parts: str, transformer: Path, out: Path, preset: str, dtype: torch.dtype = torch.float16) -> None:
    """Write ``out``, replaced whole or not at all.

    Args:
        parts: folder of VAE, text encoder and tokenizer; they are kept in float32, as the clips were encoded.
        transformer: folder of a trained transformer (a checkpoint's ``ema``).
        preset: whose steps, guidance and shift to sample with.
        dtype: to store the transformer in.

    Raises:
        CheckpointError: no such preset, or parts that are missing or do not fit one another.
        OutputError: ``out`` cannot be written.
    """
    if preset not in PRESETS:
        raise CheckpointError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
    coders, settings = load_parts(parts), PRESETS[preset]
    try:
        model = WorldTransformer3DModel.from_pretrained(transformer, torch_dtype=dtype, use_safetensors=True)
        model.register_to_config(_name_or_path=preset)  # and not the place on this machine
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{transformer}: no transformer that can be loaded: {error}") from error
    width, channels = int(coders.text_encoder.config.d_model), int(coders.vae.config.z_dim)
    if (model.config.text_dim, model.config.in_channels) != (width, channels):
        raise CheckpointError(
            f"{transformer} takes text of {model.config.text_dim} numbers and latents of {model.config.in_channels} "
            f"channels; the parts in {parts} give {width} and {channels}"
        )
    if "rendered" in model.conditioning and coders.finder is None:
        raise CheckpointError(f"{transformer} is conditioned on rendered targets, and {parts} has no finder to render them with")
    if coders.finder is not None:
        coders.finder.register_to_config(_name_or_path=preset)
    pipe = WorldModelPipeline(
        tokenizer=coders.tokenizer,
        text_encoder=coders.text_encoder,
        vae=coders.vae,
        transformer=model,
        finder=coders.finder,
        max_text_tokens=coders.text_tokens,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance,
        shift=settings.shift,
        negative_prompt="",
    )
    save_part(pipe, out)


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
