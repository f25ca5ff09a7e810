"""From a prompt to what the transformer reads: cleaned, counted, encoded, padded as Wan pads it."""

from __future__ import annotations

import html
import re
from typing import Any

import torch
from torch import Tensor

from ..errors import PromptError

# Wan's text length: the number of embeddings the released weights were trained to attend to.
WAN_TEXT_TOKENS = 512
_LETTERS = 200  # of one token, at the most

# Published default of Wan2.1, which HyDRA's infer_hydra.py passes unchanged. It names, in Chinese, what a
# video should not look like: garish, overexposed, static, blurred, subtitled, malformed, crowded, walking
# backwards.
WAN_NEGATIVE_PROMPT = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，"
    "丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，"
    "杂乱的背景，三条腿，背景人很多，倒着走"
)


def clean_text(text: str) -> str:
    """Repair mis-decoded characters, undo HTML escapes (captions are often escaped twice), join blanks."""
    import ftfy

    repaired = html.unescape(html.unescape(ftfy.fix_text(text)))
    return re.sub(r"\s+", " ", repaired).strip()


def tokenize(tokenizer: Any, text: str, max_tokens: int) -> tuple[Tensor, Tensor]:
    """Token ids and mask, each ``[1, max_tokens]``, padded; nothing is cut.

    Raises:
        PromptError: the cleaned prompt has more tokens than the text encoder is given.
    """
    if len(text) > _LETTERS * max_tokens:  # cleaning and counting it would take minutes
        raise PromptError(
            f"the prompt has {len(text)} letters and the text encoder takes {max_tokens} tokens: shorten it (it begins "
            f"{text[:60]!r})"
        )
    cleaned = clean_text(text)
    # counted without the tokenizer's own limit, so that it neither cuts nor warns
    count = len(tokenizer(cleaned, add_special_tokens=True, truncation=False, verbose=False).input_ids)
    if count > max_tokens:
        raise PromptError(
            f"the prompt has {count} tokens and the text encoder takes {max_tokens}: "
            f"shorten it by {count - max_tokens} (it begins {cleaned[:60]!r})"
        )
    padded = tokenizer(
        cleaned, add_special_tokens=True, padding="max_length", max_length=max_tokens, return_tensors="pt"
    )
    return padded.input_ids, padded.attention_mask


def no_tokens() -> tuple[Tensor, Tensor]:
    """Token ids and mask ``[1, 0]`` of a model that is conditioned on no text; its transformer reads one zero token."""
    return torch.zeros(1, 0, dtype=torch.long), torch.zeros(1, 0, dtype=torch.long)


def encode_tokens(text_encoder: Any, ids: Tensor, mask: Tensor, device: torch.device) -> Tensor:
    """Embeddings ``[1, max_tokens, text_dim]``, zero after the prompt's last token.

    The zeros matter: the released transformer attends to all of them (wan_prompter.py of the release).
    """
    mask = mask.to(device)
    embeddings = text_encoder(ids.to(device), mask).last_hidden_state
    return embeddings * mask[..., None].to(embeddings.dtype)
