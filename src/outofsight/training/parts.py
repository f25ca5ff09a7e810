"""The parts of a model that turn clips into latents: VAE, text encoder, tokenizer, and what its transformer asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from ..components.codec import VideoGeometry, channels_last, encode_videos
from ..components.hub import INDEX, check_folder, check_network, fill, read_settings, resolve_model, takes_text
from ..components.prompts import WAN_TEXT_TOKENS, encode_tokens, tokenize
from ..errors import CheckpointError, DatasetError
from ..local_code import load_tokenizer
from ..models.codecs import load_codec
from ..records import read_object
from .hashes import finder_hash, text_encoder_hash, tokenizer_hash, vae_hash

RANDOM = "random:"
_CODERS = ("vae", "text_encoder", "tokenizer")
_TOKENS_AT_MOST = 1 << 16  # tokenizers that know no limit state an enormous one


@dataclass(eq=False)
class Parts:
    """What codes a model's clips, on a device.

    Args:
        vae, text_encoder, tokenizer: the latter two None for a model without text.
        text_tokens: what captions are padded to.
        transformer: its configuration, empty where there is none yet.
        finder: of dynamic subjects, or None where the model renders nothing.
    """

    vae: Any
    text_encoder: Any
    tokenizer: Any
    text_tokens: int
    transformer: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    finder: Any = None
    _texts: dict[str, Tensor] = field(default_factory=dict)

    @property
    def geometry(self) -> VideoGeometry:
        patch = self.transformer.get("patch_size", (1, 1, 1))
        return VideoGeometry.of(self.vae, SimpleNamespace(config=SimpleNamespace(patch_size=patch)))

    @property
    def text_dim(self) -> int:
        """Width of text embeddings; a model without text reads zeros of its own width."""
        if self.text_encoder is None:
            return int(self.transformer["text_dim"])
        return int(self.text_encoder.config.d_model)

    def hashes(self, *, rendered: bool = True) -> dict[str, str]:
        """Of the parts as they are: take them before :meth:`compute_in` changes their precision.

        ``rendered``: with the finder's, which clips without rendered targets do not depend on.
        """
        found = {"vae": vae_hash(self.vae), "text_encoder": text_encoder_hash(self.text_encoder)}
        found |= {"tokenizer": tokenizer_hash(self.tokenizer)}
        return {**found, "finder": finder_hash(self.finder)} if rendered else found

    def compute_in(self, precision: str, device: str) -> None:
        """Move the networks to a device and a precision ("float32", "bfloat16" or "float16")."""
        self.device, dtype = device, getattr(torch, precision)
        for part in (self.vae, *(() if self.text_encoder is None else (self.text_encoder,))):
            part.to(device)
            if part.dtype != dtype:
                part.to(dtype)
        channels_last(self.vae)

    @torch.no_grad()
    def latents(self, videos: Tensor) -> Tensor:
        """Normalised latents ``[b, c, f, h, w]`` float32 on the CPU of uint8 ``videos [b, f, h, w, 3]``."""
        return encode_videos(self.vae, videos, self.device).cpu()

    @torch.no_grad()
    def text(self, caption: str) -> Tensor:
        """Embedding ``[l, d]`` float32 of a caption's true tokens; made once for each distinct one.

        Raises PromptError for a caption of too many tokens.
        """
        if self.text_encoder is None:
            return torch.zeros(1, self.text_dim)
        if caption not in self._texts:
            ids, mask = tokenize(self.tokenizer, caption, self.text_tokens)
            true = mask[0].bool()
            if not true.any():  # no text, and a tokenizer without an end mark
                return torch.zeros(0, self.text_dim)
            embedded = encode_tokens(self.text_encoder, ids[:, true], mask[:, true], torch.device(self.device))
            self._texts[caption] = embedded[0].float().cpu()
        return self._texts[caption]


def load_parts(model: str, text_tokens: int | None = None) -> Parts:
    """The coding parts of a model, in float32: a pipeline folder, a shipped name, a hub id, or ``random:PRESET``.

    A folder of the three parts alone, before there is a transformer, will do as well.

    Args:
        text_tokens: what captions are padded to; None takes the model's own.

    Raises:
        CheckpointError: no such model, or parts that are missing or do not fit their configuration.
        DatasetError: how many text tokens the model takes is recorded nowhere.
    """
    if text_tokens is not None and text_tokens < 1:
        raise DatasetError(f"--text-tokens {text_tokens}: expected at least 1, or nothing for the model's own")
    if model.startswith(RANDOM):
        from ..pipeline import WorldModelPipeline

        pipe = WorldModelPipeline.from_preset(model.removeprefix(RANDOM))
        tokens = pipe.config.max_text_tokens if text_tokens is None else text_tokens
        return Parts(
            pipe.vae, pipe.text_encoder, pipe.tokenizer, tokens, dict(pipe.transformer.config), finder=pipe.finder
        )
    folder = Path(model).expanduser()
    alone = folder.is_dir() and not (folder / INDEX).is_file() and all((folder / part).is_dir() for part in _CODERS)
    if not alone:
        folder = resolve_model(model)
    check_folder(folder, skip=frozenset({"transformer"}))
    return _load(folder, text_tokens)


def _load(folder: Path, text_tokens: int | None) -> Parts:
    try:
        vae = load_codec(folder / "vae")
        encoder, tokenizer = _text_coders(folder)
        finder = load_finder(folder / "finder") if (folder / "finder").is_dir() else None
    except CheckpointError:
        raise
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{folder}: its text encoder or finder cannot be loaded: {error}") from error
    config = folder / "transformer" / "config.json"
    transformer = read_object(config, CheckpointError) if config.is_file() else {}
    index = read_settings(folder) if (folder / INDEX).is_file() else None
    if tokenizer is None:
        text_tokens = 1  # of zeros
    tokens = _text_tokens(folder, index, tokenizer) if text_tokens is None else text_tokens
    return Parts(vae, encoder, tokenizer, tokens, transformer, finder=finder)


def _text_coders(folder: Path) -> tuple[Any, Any]:
    """Text encoder and tokenizer of a folder; None for a model without text."""
    from transformers import UMT5EncoderModel

    if not takes_text(folder):
        return None, None
    encoder = UMT5EncoderModel.from_pretrained(
        folder / "text_encoder", dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    )
    return encoder.eval(), load_tokenizer(folder / "tokenizer")


def load_finder(folder: Path) -> Any:
    """A subject finder in float32, ready to look. Raises CheckpointError where the folder holds no whole one."""
    finder = check_network("finder", folder)
    fill(finder, folder, torch.float32)
    return finder


def _text_tokens(folder: Path, index: Mapping[str, Any] | None, tokenizer: Any) -> int:
    if index is not None:
        return int(index.get("max_text_tokens", WAN_TEXT_TOKENS))  # as the pipeline reads it
    limit = int(tokenizer.model_max_length)
    if limit <= _TOKENS_AT_MOST:
        return limit
    raise DatasetError(
        f"{folder} has no {INDEX} and its tokenizer states no limit, so it is not known how many text tokens the model "
        "takes: give --text-tokens"
    )
