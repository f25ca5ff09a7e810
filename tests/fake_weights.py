"""Small random weights in the layouts of the real ones: base Wan folders, and a file that carries code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from outofsight.models.naming import TRANSFORMER_NAMES, vae_names

TEXT_DIM = 32  # that of the small golden checkpoint
WORDS = ("a", "the", "dog", "cat", "person", "walks", "runs", "out", "of", "sight", "and", "back", ".", ",")
VAE = {"base_dim": 4, "z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 1}
TRANSFORMER = {
    "num_attention_heads": 2,
    "attention_head_dim": 24,
    "text_dim": TEXT_DIM,
    "freq_dim": 64,
    "ffn_dim": 96,
    "num_layers": 2,
}


def random_text_encoder(
    vocabulary: int = 64,
    dim: int = TEXT_DIM,
    inner: int = 48,
    hidden: int = 40,
    heads: int = 4,
    layers: int = 2,
) -> dict[str, Tensor]:
    """A umT5 encoder's state dict in the original Wan naming, written out name by name."""
    tensors = {"token_embedding.weight": torch.randn(vocabulary, dim), "norm.weight": 1 + torch.rand(dim)}
    for i in range(layers):
        block = f"blocks.{i}"
        tensors |= {
            f"{block}.norm1.weight": 1 + torch.rand(dim),
            f"{block}.norm2.weight": 1 + torch.rand(dim),
            f"{block}.pos_embedding.embedding.weight": torch.randn(32, heads),
            f"{block}.attn.o.weight": torch.randn(dim, inner) / inner**0.5,
            f"{block}.ffn.gate.0.weight": torch.randn(hidden, dim) / dim**0.5,
            f"{block}.ffn.fc1.weight": torch.randn(hidden, dim) / dim**0.5,
            f"{block}.ffn.fc2.weight": torch.randn(dim, hidden) / hidden**0.5,
        }
        tensors |= {f"{block}.attn.{p}.weight": torch.randn(inner, dim) / dim**0.5 for p in "qkv"}
    return tensors


def random_vae(**settings: Any) -> dict[str, Tensor]:
    """A Wan 2.1 VAE's state dict in the original naming (whose map test_base_weights checks on its own)."""
    settings = {**VAE, **settings}
    names = vae_names(len(settings["dim_mult"]), settings["num_res_blocks"])
    return {names.to_released(name): value for name, value in AutoencoderKLWan(**settings).state_dict().items()}


def random_transformer(**settings: Any) -> dict[str, Tensor]:
    """A base Wan transformer's state dict in the original naming."""
    model = WanTransformer3DModel(**{**TRANSFORMER, **settings})
    return {TRANSFORMER_NAMES.to_released(name): value for name, value in model.state_dict().items()}


def write_tokenizer(folder: Path) -> None:
    """A word-level tokenizer of a few words that ends in </s>, as umT5's does."""
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    vocabulary = {word: i for i, word in enumerate([*special.values(), *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def write_base_folder(folder: Path, *, shards: int = 1, dtype: torch.dtype = torch.float32) -> Path:
    """A base Wan folder in the original layout, complete, about 1 MB."""
    folder.mkdir(parents=True, exist_ok=True)
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(1)
    transformer = {name: value.to(dtype).contiguous() for name, value in random_transformer().items()}
    if shards == 1:
        save_file(transformer, folder / "diffusion_pytorch_model.safetensors")
    for i in range(shards if shards > 1 else 0):
        part = dict(list(transformer.items())[i::shards])
        save_file(part, folder / f"diffusion_pytorch_model-{i + 1:05d}-of-{shards:05d}.safetensors")
    torch.save(random_vae(), folder / "Wan2.1_VAE.pth")
    text_encoder = {name: value.bfloat16() for name, value in random_text_encoder().items()}
    torch.save(text_encoder, folder / "models_t5_umt5-xxl-enc-bf16.pth")
    write_tokenizer(folder / "google" / "umt5-xxl")
    torch.random.set_rng_state(generator_state)
    return folder


class RunsCode:
    """Pickled, it asks to make a folder when opened."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.witness),)
