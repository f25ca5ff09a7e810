"""Sizes of whole systems, as dataclass instances: the released one, the small one, and one for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch

from ..errors import CheckpointError
from .codecs import build_codec
from .transformer import WorldTransformer3DModel


@dataclass(frozen=True)
class ModelPreset:
    """Everything that fixes the sizes of transformer, VAE and text encoder, and their usual sampling settings.

    Args:
        name: the preset's name.
        transformer: arguments of ``WorldTransformer3DModel``.
        vae: arguments of diffusers' ``AutoencoderKLWan``, or with ``_class_name`` those of another of ``CODECS``.
        text_encoder: arguments of transformers' ``UMT5Config``; empty for a model that is conditioned on no text.
        frames, height, width, fps: of the context video, and of the target's.
        steps, guidance, shift: of the sampler.
        byte_tokenizer: with random weights, text is read byte by byte, so that no vocabulary file is needed.
        max_text_tokens: prompts are padded to so many.
    """

    name: str
    transformer: Mapping[str, Any]
    vae: Mapping[str, Any]
    text_encoder: Mapping[str, Any]
    frames: int
    height: int
    width: int
    fps: float
    steps: int
    guidance: float
    shift: float
    byte_tokenizer: bool = False
    max_text_tokens: int = field(default=512)

    def build_transformer(self, **overrides: Any) -> WorldTransformer3DModel:
        """A transformer of this size with fresh weights (from torch's current random state)."""
        return WorldTransformer3DModel(**{**self.transformer, **overrides})

    def build(
        self, seed: int = 0, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> dict[str, Any]:
        """All parts with random weights: ``transformer``, ``vae``, ``text_encoder``, ``tokenizer`` (None without text).

        Raises:
            CheckpointError: the preset has no tokenizer of its own, so only its released weights make a whole.
        """
        if self.text_encoder and not self.byte_tokenizer:
            raise CheckpointError(
                f"preset {self.name!r} has no tokenizer of its own and cannot be built with random weights; "
                "convert the released ones: outofsight convert hydra.ckpt --base WAN_FOLDER --out FOLDER"
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            parts: dict[str, Any] = {"transformer": self.build_transformer(), "vae": build_codec(self.vae)}
            if self.text_encoder:
                parts["text_encoder"] = self.build_text_encoder()
            for kind in parts["transformer"].conditioning.values():
                if "pixels" in kind.needs:
                    parts["finder"] = kind.make_finder()
        built = {name: part.to(device).eval() for name, part in parts.items()}
        if dtype != torch.float32:
            built = {name: part.to(dtype) for name, part in built.items()}
        return {"text_encoder": None, **built, "tokenizer": _byte_tokenizer() if self.text_encoder else None}

    def build_text_encoder(self) -> Any:
        """A text encoder of this size with fresh weights."""
        from transformers import UMT5Config, UMT5EncoderModel

        return UMT5EncoderModel(UMT5Config(**self.text_encoder))


def _byte_tokenizer() -> Any:
    from transformers import ByT5Tokenizer

    return ByT5Tokenizer()


def _umt5(width: int, layers: int, heads: int, vocabulary: int, head_width: int, inner: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "d_model": width,
        "d_kv": head_width,
        "d_ff": inner,
        "num_layers": layers,
        "num_heads": heads,
        "feed_forward_proj": "gated-gelu",
        "dropout_rate": 0.0,
        "is_encoder_decoder": False,
    }


BYTE_VOCABULARY = 384  # ByT5: 256 bytes, 3 special tokens, 125 sentinels

HYDRA_1_3B = ModelPreset(
    name="hydra-1.3b",
    transformer={
        "num_attention_heads": 12,
        "attention_head_dim": 128,
        "text_dim": 4096,
        "freq_dim": 256,
        "ffn_dim": 8960,
        "num_layers": 30,
        "memory": "hydra",
        "memory_options": {"kernel": (2, 2, 2), "top_k": 10, "window": 5},
    },
    vae={},  # AutoencoderKLWan's defaults are Wan2.1's
    text_encoder=_umt5(width=4096, layers=24, heads=64, vocabulary=256384, head_width=64, inner=10240),
    frames=77,
    height=480,
    width=832,
    fps=15.0,
    steps=50,
    guidance=5.0,
    shift=5.0,
)

RENDERED = "outofsight.experiments.rendered.conditioner:RenderedConditioner"

# The shipped model's sizes, chosen by measured trials: logs/tiny.md
TINY = ModelPreset(
    name="tiny",
    transformer={
        "num_attention_heads": 4,
        "attention_head_dim": 64,
        "text_dim": 128,
        "freq_dim": 128,
        "ffn_dim": 768,
        "num_layers": 4,
        "memory": "hydra",
        # 15 sub-tokens a frame: eight frames are recalled at the cost of two whole ones
        "memory_options": {"kernel": (1, 2, 2), "top_k": 8, "window": 3, "queries": "target", "affinity": "pooled"},
        "context_timestep": "clean",
        "context_attention": "context_only",
        "conditioners": ("pose", "rays", "anchors", "reprojection", "clock", RENDERED),
    },
    # 8 pixels a cell and 2 frames a latent frame. Patches of 4 pixels and one doubling, both with the averaging
    # shortcuts of Wan2.2's VAE, because nearest-neighbour doublings are what it learns slowest
    vae={
        "base_dim": 32,
        "decoder_base_dim": 64,
        "z_dim": 16,
        "dim_mult": [1, 1],
        "num_res_blocks": 1,
        "attn_scales": [],
        "temperal_downsample": [True],
        "is_residual": True,
        "in_channels": 48,
        "out_channels": 48,
        "patch_size": 4,
        "scale_factor_temporal": 2,
        "scale_factor_spatial": 8,
    },
    # 917 pieces of the shipped tokenizer; one by bytes, which random weights get, needs fewer
    text_encoder=_umt5(width=128, layers=2, heads=4, vocabulary=917, head_width=32, inner=256),
    frames=25,
    height=96,
    width=160,
    fps=30.0,
    steps=1,  # the mean answer: more steps draw a sample, with more error while so little is learned
    guidance=1.0,
    shift=5.0,
    byte_tokenizer=True,
    max_text_tokens=128,
)

DEBUG = ModelPreset(
    name="debug",
    transformer={
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "text_dim": 32,
        "freq_dim": 32,
        "ffn_dim": 48,
        "num_layers": 2,
        "memory": "hydra",
        "memory_options": {"kernel": (2, 2, 2), "top_k": 2, "window": 5},
    },
    vae={"base_dim": 4, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 1},
    text_encoder=_umt5(width=32, layers=1, heads=2, vocabulary=BYTE_VOCABULARY, head_width=16, inner=64),
    frames=17,
    height=64,
    width=96,
    fps=15.0,
    steps=4,
    guidance=5.0,
    shift=5.0,
    byte_tokenizer=True,
)

# The small world's: pixels as latents, a context that can be appended to, the target regressed from zeros
SMALL = ModelPreset(
    name="small",
    transformer={
        "patch_size": (1, 1, 1),
        "num_attention_heads": 4,
        "attention_head_dim": 32,
        "in_channels": 216,
        "out_channels": 216,
        "text_dim": 8,
        "freq_dim": 32,
        "ffn_dim": 256,
        "num_layers": 4,
        "memory": "hydra",
        "memory_options": {"kernel": (2, 1, 1), "top_k": 2, "window": 3, "queries": "target", "affinity": "pooled"},
        "context_timestep": "clean",
        "context_attention": "causal",
        "page_frames": 4,
        "anchor": "session",
        "target_start": "zeros",
        "conditioners": {"pose": {}, "rays": {}, "anchors": {"disparities": (0.0,)}, "clock": {}},
    },
    vae={"_class_name": "PatchCodec", "frames": 2, "patch": (6, 6)},  # 216 numbers a latent
    text_encoder={},
    frames=15,
    height=24,
    width=36,
    fps=8.0,
    steps=1,
    guidance=1.0,
    shift=5.0,
    max_text_tokens=1,
)

PRESETS: Mapping[str, ModelPreset] = MappingProxyType(
    {preset.name: preset for preset in (HYDRA_1_3B, TINY, SMALL, DEBUG)}
)
