"""Train the small text encoder, of transformers' class UMT5EncoderModel, and its tokenizer:

    python -m outofsight.training.text --out parts

leaves ``parts/tokenizer``, ``parts/text_encoder`` and what was measured in ``parts/training-text/report.json``.

It learns from captions of planned worlds: what they state (scene, light, subjects, their paths, camera) from the mean
embedding, and words that were hidden from it. Afterwards every channel has variance 1 over the tokens of captions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Interval
from torch import Tensor, nn
from torch.nn import functional as F

from .caption_data import NOT_TOLD, SPLITS, Attributes, ToldClip, told_clips
from .checkpointing import Checkpoint
from .config import Count, LoopSettings
from .learner import Learner
from .settings import check_settings
from .small_parts import PartObjective, command, save_part
from .text_probe import pooled, probe
from .tokenizer import MASK, Captions, train_tokenizer

TINY_TEXT: Mapping[str, Any] = {
    "d_model": 128,
    "d_kv": 32,
    "d_ff": 256,
    "num_layers": 2,
    "num_heads": 4,
    "feed_forward_proj": "gated-gelu",
    "dropout_rate": 0.0,
    "is_encoder_decoder": False,
}
# tables and last layers learn ten times as fast as matrices: measured, logs/tiny.md
_TABLES, _TABLES_LR = ("shared", "relative_attention_bias", "heads", "words"), 10.0
_HELD_OUT_SEED = 1_000_003  # plans of other seeds than the training's
_LEAST_SPREAD = 0.05  # channels that hardly vary are not blown up to variance 1


@dataclass(frozen=True)
class TextConfig:
    """A text encoder's training.

    Args:
        out: where ``tokenizer/``, ``text_encoder/`` and ``training-text/`` come to lie.
        preset: of the worlds that are planned.
        plans, wordings: planned clips, and captions for each.
        test_words: learn the words of the test split's scenes and subjects too, from plans of its own (a quarter as
            many); none of its clips. A text encoder has read such words before, as umT5 has.
        held_out: plans to judge by, of each split.
        vocabulary: pieces at most.
        tokens: a caption's at most, end mark included; what captions are padded to.
        model: arguments of UMT5Config; vocab_size comes from the tokenizer.
        batch_size: captions per step.
        hidden: share of the tokens that are hidden.
        words: weight of the hidden words' loss.
    """

    out: Path
    preset: str = "tiny"
    plans: Count = 6000
    wordings: Count = 3
    test_words: bool = True
    held_out: Count = 1000
    vocabulary: int = 1024
    tokens: Count = 128
    model: Mapping[str, Any] = field(default_factory=lambda: dict(TINY_TEXT))
    batch_size: Count = 32
    hidden: Annotated[float, Interval(gt=0, lt=1)] = 0.2
    words: Annotated[float, Ge(0)] = 1.0
    loop: LoopSettings = field(
        default_factory=lambda: LoopSettings(steps=2000, lr=6e-3, warmup=20, ema=0.995, checkpoint_every=250)
    )

    def __post_init__(self) -> None:
        check_settings(self)


class EncoderWithHeads(nn.Module):
    """The encoder, and what is put on it to train it: a linear head for each attribute and one for hidden words."""

    def __init__(self, encoder: Any, attributes: Attributes) -> None:
        super().__init__()
        width, vocabulary = encoder.config.d_model, encoder.config.vocab_size
        self.encoder = encoder
        self.heads = nn.ModuleList(nn.Linear(width, len(values)) for values in attributes.values.values())
        self.words = nn.Linear(width, vocabulary)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Embeddings ``[b, l, d]`` of ids ``[b, l]``, and scores ``[b, classes]`` of each attribute."""
        embeddings = self.encoder(ids, mask.long()).last_hidden_state
        mean = pooled(embeddings, mask)
        return embeddings, [head(mean) for head in self.heads]


def build_encoder(model: Mapping[str, Any], vocabulary: int, seed: int) -> Any:
    """A UMT5EncoderModel with fresh weights."""
    from transformers import UMT5Config, UMT5EncoderModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UMT5EncoderModel(UMT5Config(**{**model, "vocab_size": vocabulary})).eval()


class TextObjective(PartObjective):
    """What captions state, from the mean embedding, and words that were hidden.

    Raises PromptError for captions longer than the config's ``tokens``.
    """

    name = "text"
    columns = ("attributes", "words")

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        seed, preset = config.loop.seed, config.preset
        clips = told_clips(seed, config.plans, preset=preset, wordings=config.wordings)
        if config.test_words:
            more = max(1, config.plans // 4)
            clips += told_clips(seed, more, split="test", preset=preset, wordings=config.wordings)
        held_out = {split: told_clips(_HELD_OUT_SEED, config.held_out, split=split, preset=preset) for split in SPLITS}
        self.attributes = Attributes.of(clips)
        self.tokenizer = train_tokenizer([clip.caption for clip in clips], config.vocabulary, config.tokens)
        self.data = self._captions(clips)
        self.held_out = {split: self._captions(some) for split, some in held_out.items()}
        self.mask_id = self.tokenizer.convert_tokens_to_ids(MASK)
        self.encoder = build_encoder(config.model, len(self.tokenizer), seed)
        self.untrained = self._probe()

    def _captions(self, clips: list[ToldClip]) -> Captions:
        return Captions.of(clips, self.tokenizer, self.attributes, self.config.tokens)

    def _probe(self) -> dict[str, float]:
        return probe(self.encoder, self.data, self.held_out, self.attributes)

    def build(self, start: Checkpoint | None) -> Learner:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.loop.seed + 1)
            return self.learner(EncoderWithHeads(self.encoder, self.attributes), _TABLES, _TABLES_LR)

    def batches(self, step: int) -> list[tuple[Captions, Tensor]]:
        rng = self.drawn(step)
        batch = self.data.rows(rng.integers(len(self.data), size=self.config.batch_size))
        hidden = torch.from_numpy(rng.random(batch.ids.shape) < self.config.hidden) & batch.mask
        # half of the captions are read whole: that is how the encoder is used, and what attributes are read from
        hidden[::2] = False
        return [(batch, hidden)]

    def loss(self, called: Any, batch: tuple[Captions, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
        captions, hidden = batch
        embeddings, scores = called(captions.ids.masked_fill(hidden, self.mask_id), captions.mask)
        told = [
            F.cross_entropy(score, label) for score, label in zip(scores, captions.labels.T, strict=True)
            if bool((label != NOT_TOLD).any())
        ]  # fmt: skip
        attributes = torch.stack(told).mean()
        words = F.cross_entropy(called.words(embeddings[hidden]), captions.ids[hidden])
        loss = attributes + self.config.words * words
        return loss, {"loss": loss, "attributes": attributes, "words": words}

    def finish(self) -> Mapping[str, float]:
        bring_to_unit_variance(self.encoder, self.data)
        trained = self._probe()
        save_part(self.tokenizer, self.config.out / "tokenizer")
        save_part(self.encoder, self.config.out / "text_encoder")
        longest = max(some.mask.sum(dim=1).max() for some in self.held_out.values())
        return {
            **{f"{name} (untrained)": value for name, value in self.untrained.items()},
            **trained,
            "vocabulary": len(self.tokenizer),
            "longest_caption": float(self.data.mask.sum(dim=1).max()),
            "longest_held_out_caption": float(longest),
        }


@torch.no_grad()
def bring_to_unit_variance(encoder: Any, data: Captions, most: int = 2048) -> None:
    """Scale the last norm's weight so that every channel has variance 1 over the true tokens of captions."""
    chosen = data.rows(np.unique(np.linspace(0, len(data) - 1, min(most, len(data))).astype(int)))
    tokens = torch.cat([encoder(ids, mask.long()).last_hidden_state[mask]
                        for ids, mask in zip(chosen.ids.split(64), chosen.mask.split(64), strict=True)])  # fmt: skip
    encoder.encoder.final_layer_norm.weight /= tokens.std(dim=0).clamp_min(_LEAST_SPREAD)


if __name__ == "__main__":
    command(TextConfig, TextObjective)
