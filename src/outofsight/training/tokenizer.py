"""A small tokenizer of T5's kind for the language of captions: Unigram pieces, pad 0, end 1, unknown 2.

The pieces are counted, not searched for: the language has some hundred words, each becomes one piece. Other words are
written in fragments that several of the words share, or letter by letter. (The Unigram trainer of `tokenizers` looks
for pieces that distinct words share, and so splits "with", which occurs in every caption.)
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..components.prompts import clean_text
from ..errors import PromptError, TrainingError
from .caption_data import Attributes, ToldClip

PAD, END, UNKNOWN, MASK = "<pad>", "</s>", "<unk>", "<extra_id_0>"
_SPACE = "▁"
# characters that can always be written, whatever the captions hold
_ALPHABET = [character for character in string.printable if not character.isspace()]
_FRAGMENT, _CHARACTER = -20.0, -25.0  # log-probabilities; far below any word's, so that words are never split
_LENGTHS, _LEAST_SHARED = range(2, 7), 3


def train_tokenizer(captions: Sequence[str], vocabulary: int, tokens: int) -> Any:
    """A T5TokenizerFast of at most ``vocabulary`` pieces.

    Args:
        captions: the language.
        vocabulary: pieces at most: marks, printable ASCII characters, words, and fragments in what room is left.
        tokens: ``model_max_length``: what texts are padded to.

    Raises:
        TrainingError: no captions, or no room for marks, characters and words.
    """
    from transformers import T5TokenizerFast

    texts = [clean_text(caption) for caption in captions]
    words = Counter(f"{_SPACE}{word}" for text in texts for word in re.findall(r"\w+(?:-\w+)*", text))
    if not words:
        raise TrainingError("there are no captions with words to make a tokenizer from")
    characters = sorted({*_ALPHABET, _SPACE, *(c for text in texts for c in text if not c.isspace())})
    room = vocabulary - 4 - len(characters) - len(words)
    if room < 0:
        raise TrainingError(
            f"a vocabulary of {vocabulary} does not hold 4 marks, {len(characters)} characters and {len(words)} words: "
            f"{vocabulary - room} or more"
        )
    total = words.total()
    pieces = [(PAD, 0.0), (END, 0.0), (UNKNOWN, 0.0)]
    pieces += [(word, math.log(count / total)) for word, count in sorted(words.items())]
    pieces += [(fragment, _FRAGMENT) for fragment in _fragments(list(words), room)]
    pieces += [(character, _CHARACTER) for character in characters]
    return T5TokenizerFast(vocab=[*dict(pieces).items(), (MASK, 0.0)], extra_ids=1, model_max_length=tokens)


def _fragments(words: Sequence[str], most: int) -> list[str]:
    """Parts of several words, those that save the most pieces first."""
    shared = Counter(
        part
        for word in words
        for part in {word[i : i + n] for n in _LENGTHS for i in range(len(word) - n + 1)}
        if part not in words
    )
    useful = [part for part, count in shared.items() if count >= _LEAST_SHARED]
    return sorted(useful, key=lambda part: (-shared[part] * (len(part) - 1), part))[:most]


@dataclass(frozen=True, eq=False)
class Captions:
    """Tokenized captions: ids ``[n, l]`` padded with 0, mask ``[n, l]`` bool, labels ``[n, attributes]``."""

    ids: Tensor
    mask: Tensor
    labels: Tensor

    @classmethod
    def of(cls, clips: Sequence[ToldClip], tokenizer: Any, attributes: Attributes, limit: int) -> Captions:
        """Raises PromptError for a caption of more than ``limit`` tokens."""
        texts = [clean_text(clip.caption) for clip in clips]
        rows = tokenizer(texts, add_special_tokens=True, truncation=False, verbose=False).input_ids
        longest = max(range(len(rows)), key=lambda number: len(rows[number]))
        if len(rows[longest]) > limit:
            raise PromptError(
                f"a caption has {len(rows[longest])} tokens and {limit} are allowed (it begins "
                f"{texts[longest][:80]!r}): a larger vocabulary, or more tokens"
            )
        ids = torch.zeros(len(rows), len(rows[longest]), dtype=torch.long)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row)
        return cls(ids, ids != 0, torch.from_numpy(attributes.labels(clips)))

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, chosen: np.ndarray) -> Captions:
        mask = self.mask[chosen]
        longest = int(mask.sum(dim=1).max())
        return Captions(self.ids[chosen, :longest], mask[:, :longest], self.labels[chosen])
