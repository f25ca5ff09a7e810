"""Small videos and networks for the tests of metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def texture(frames: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 ``[f, h, w, 3]`` of soft random patches, each frame its own."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0, 255, (frames, 3, height // 6 + 2, width // 6 + 2)))
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 255)
    return fine.round().byte().permute(0, 2, 3, 1).numpy().copy()


def noisy(video: np.ndarray, deviation: float, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, deviation, video.shape)
    return (video + noise).clip(0, 255).round().astype(np.uint8)


def spread(model: Any, deviation: float = 0.3) -> Any:
    """The model with every parameter random and far from zero, so that each one matters."""
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape) * deviation
    return model.eval()


def clip_vision(patch: int = 32, **sizes: Any) -> Any:
    """A CLIP with a vision tower of 224 x 224 pixels, two layers and random weights."""
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

    small = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2} | sizes
    text = CLIPTextConfig(vocab_size=50, max_position_embeddings=8, eos_token_id=49, **small)
    vision = CLIPVisionConfig(image_size=224, patch_size=patch, projection_dim=12, **small)
    return spread(CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=12)))


def dino(patch: int = 16) -> Any:
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=224,
        patch_size=patch,
    )  # fmt: skip
    return spread(ViTModel(config, add_pooling_layer=False))
