"""The networks that VBench's consistencies and DSC look through, from local folders in transformers' layout.

Nothing is fetched. A folder that is not there, or that lacks a tensor (which transformers would fill with random
numbers), is a CheckpointError that names it. Models: facebook/dino-vitb16, openai/clip-vit-base-patch32 and
openai/clip-vit-base-patch16.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import CheckpointError
from ...local_code import refuse_code
from .preprocess import Extractor


def load_dino(folder: str | os.PathLike[str], device: str = "cpu") -> Extractor:
    """DINO ViT-B/16 for subject consistency: pixels ``[n, 3, h, w]`` of any size to the class token ``[n, d]``."""
    from transformers import ViTModel

    # the release's normalisation layers add 1e-6; the converted folder has 1e-12
    model = load_local(ViTModel, folder, device, add_pooling_layer=False, layer_norm_eps=1e-6)
    return dino_extractor(model)


def dino_extractor(model: Any) -> Extractor:
    """The same of a transformers ViTModel; its position table is from then on interpolated as DINO does it."""
    embeddings = model.embeddings
    embeddings.interpolate_pos_encoding = lambda tokens, height, width: dino_positions(
        embeddings.position_embeddings, height, width, model.config.patch_size
    )

    @torch.no_grad()
    def extractor(pixels: Tensor) -> Tensor:
        hidden = model(pixels.to(model.device), interpolate_pos_encoding=True).last_hidden_state
        return torch.as_tensor(hidden[:, 0])

    return extractor


def dino_positions(table: Tensor, height: int, width: int, patch: int) -> Tensor:
    """A position table ``[1, 1 + s * s, d]`` for a picture of pixels: ``[1, 1 + rows * columns, d]``.

    DINO's release scales its table by the factors (rows + .1) / s and (columns + .1) / s, which also set where the
    new positions fall on the old ones; transformers asks for the size instead, which puts them elsewhere. The table
    stays as it is for a square picture of s x s patches.
    """
    side = round((table.shape[1] - 1) ** 0.5)
    rows, columns = height // patch, width // patch
    if height == width and rows == side:
        return table
    grid = table[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
    factors = ((rows + 0.1) / side, (columns + 0.1) / side)
    scaled = F.interpolate(grid, scale_factor=factors, mode="bicubic", align_corners=False)
    return torch.cat([table[:, :1], scaled.flatten(2).transpose(1, 2)], dim=1)


def load_clip_images(folder: str | os.PathLike[str], device: str = "cpu") -> Extractor:
    """CLIP ViT-B/32 for background consistency: pixels ``[n, 3, 224, 224]`` to image embeddings ``[n, d]``."""
    from transformers import CLIPVisionModelWithProjection

    model = load_local(CLIPVisionModelWithProjection, folder, device)

    @torch.no_grad()
    def extractor(pixels: Tensor) -> Tensor:
        return torch.as_tensor(model(pixels.to(model.device)).image_embeds)

    return extractor


def load_clip_patches(folder: str | os.PathLike[str], device: str = "cpu") -> Extractor:
    """CLIP ViT-B/16 for DSC: pixels ``[n, 3, 224, 224]`` to patch tokens ``[n, d, 14, 14]``, before the final norm."""
    from transformers import CLIPVisionModel

    return patch_extractor(load_local(CLIPVisionModel, folder, device))


def patch_extractor(model: Any) -> Extractor:
    """The same of any transformers CLIPVisionModel."""

    @torch.no_grad()
    def extractor(pixels: Tensor) -> Tensor:
        patches = model(pixels.to(model.device)).last_hidden_state[:, 1:]
        side = round(patches.shape[1] ** 0.5)
        return torch.as_tensor(patches.transpose(1, 2).unflatten(2, (side, side)))

    return extractor


def load_local(kind: Any, folder: str | os.PathLike[str], device: str, **options: Any) -> Any:
    """A transformers model of a folder, whole and in float32."""
    from transformers.utils import logging

    place = Path(folder)
    if not (place / "config.json").is_file():
        raise CheckpointError(
            f"{place} is no folder with a config.json in it: give a local folder of a {kind.__name__} in transformers' "
            "layout; nothing is fetched"
        )
    refuse_code(place)
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # it lists the text half of a CLIP's folder; what is lacking is reported below
    try:
        model, report = kind.from_pretrained(
            place,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            dtype=torch.float32,
            **options,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{place} cannot be loaded as a {kind.__name__}: {str(error).splitlines()[0]}") from error
    finally:
        logging.set_verbosity(verbosity)
    lacking = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if lacking:
        raise CheckpointError(
            f"{place} lacks {len(lacking)} tensors of a {kind.__name__} ({', '.join(lacking[:3])} ...): it is another "
            "model, or not all of it"
        )
    return model.to(device).eval()
