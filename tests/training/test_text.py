"""Training of the small text encoder: what plans tell, the tokenizer, a run and its resumption, refusals."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, UMT5EncoderModel

from killing import Killed, kill_at
from outofsight.components.prompts import encode_tokens, tokenize
from outofsight.errors import PromptError, TrainingError, WorldsError
from outofsight.training import text_probe
from outofsight.training.caption_data import NOT_TOLD, Attributes, ToldClip, told_clips
from outofsight.training.config import LoopSettings
from outofsight.training.text import TINY_TEXT, TextConfig, TextObjective, bring_to_unit_variance, build_encoder
from outofsight.training.text_probe import pooled, probe
from outofsight.training.tokenizer import MASK, Captions, train_tokenizer
from outofsight.training.trainer import run_training
from outofsight.worlds.content.subjects import SUBJECTS_BY_NAME

NARROW = {**TINY_TEXT, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}


@pytest.fixture(autouse=True)
def _quick_readers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs fit their linear readers briefly here: what they read is tested by itself."""
    if "reading" not in request.node.name:
        monkeypatch.setattr(text_probe, "_STEPS", 10)


@pytest.fixture(scope="module")
def clips() -> list[ToldClip]:
    return told_clips(3, 24, wordings=2)


def train_text(asked: TextConfig, **how: Any) -> Mapping[str, float]:
    return run_training(TextObjective(asked), **how).results


def config(out: Path, **settings: Any) -> TextConfig:
    loop = {"steps": 6, "warmup": 1, "checkpoint_every": 2, "log_every": 1, **settings.pop("loop", {})}
    usual: dict[str, Any] = {
        "plans": 10, "wordings": 2, "held_out": 4, "model": NARROW, "batch_size": 8, "vocabulary": 600,
        "loop": LoopSettings(**loop),
    }  # fmt: skip
    return TextConfig(out, **{**usual, **settings})


# --- captions of plans ----------------------------------------------------------------------------------------


def test_captions_tell_what_the_labels_say(clips: list[ToldClip]) -> None:
    assert len(clips) > 24 and len({clip.caption for clip in clips}) == len(clips)
    for clip in clips:
        assert clip.told["light"] in clip.caption
        count = int(clip.told["subjects"])
        assert (count == 0) == ("nobody in sight" in clip.caption or "An empty scene" in clip.caption)
        for place in range(1, 4):
            assert (f"name {place}" in clip.told) == (place <= count)
            if place <= count:
                who = SUBJECTS_BY_NAME[clip.told[f"name {place}"]].words["who"].partition(" ")[2]
                assert who in clip.caption
    assert {clip.told["subjects"] for clip in clips} >= {"1", "2"}
    assert told_clips(3, 2)[0] == clips[0] and told_clips(4, 1)[0] != clips[0]


def test_labels_are_classes_and_what_is_not_told_is_left_out(clips: list[ToldClip]) -> None:
    attributes = Attributes.of(clips)
    labels = attributes.labels(clips)
    names = list(attributes.values)
    assert labels.shape == (len(clips), len(names)) and labels.dtype == np.int64
    for row, clip in zip(labels, clips, strict=True):
        for label, name in zip(row, names, strict=True):
            assert (label == NOT_TOLD) == (name not in clip.told)
            assert label == NOT_TOLD or attributes.values[name][label] == clip.told[name]
    strange = ToldClip("", {**clips[0].told, "family": "the moon"})
    assert attributes.labels([strange])[0, names.index("family")] == NOT_TOLD


# --- tokenizer ------------------------------------------------------------------------------------------------


def test_captions_survive_the_tokenizer_word_by_word(clips: list[ToldClip], tmp_path: Path) -> None:
    made = train_tokenizer([clip.caption for clip in clips], 700, 96)
    made.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert type(tokenizer).__name__ == type(made).__name__ and tokenizer.model_max_length == 96
    assert len(tokenizer) <= 700
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (0, 1, 2)
    assert tokenizer.convert_tokens_to_ids(MASK) == len(tokenizer) - 1
    for clip in clips:
        ids = tokenizer(clip.caption).input_ids
        assert ids == made(clip.caption).input_ids and ids[-1] == 1 and 2 not in ids
        assert tokenizer.decode(ids, skip_special_tokens=True) == clip.caption
        marks = clip.caption.count(".") + clip.caption.count(",")
        assert len(ids) == len(clip.caption.split()) + marks + 1  # each word is one piece


def test_other_words_are_spelt_and_strange_letters_unknown(clips: list[ToldClip]) -> None:
    tokenizer = train_tokenizer([clip.caption for clip in clips], 700, 96)
    text = "Zebras (7 of them) & a xylophone!"
    ids = tokenizer(text).input_ids
    assert 2 not in ids and tokenizer.decode(ids, skip_special_tokens=True) == text
    assert 2 in tokenizer("日本").input_ids
    few = train_tokenizer([clip.caption for clip in clips], 100 + len(tokenizer.get_vocab()) // 2, 96)
    assert len(few("standing").input_ids) >= len(tokenizer("standing").input_ids)


def test_tokenizers_that_cannot_be(clips: list[ToldClip]) -> None:
    with pytest.raises(TrainingError, match=r"a vocabulary of 120 does not hold 4 marks, \d+ characters and \d+ words"):
        train_tokenizer([clip.caption for clip in clips], 120, 96)
    with pytest.raises(TrainingError, match="no captions"):
        train_tokenizer([], 1000, 96)


# --- runs -----------------------------------------------------------------------------------------------------


def weights(out: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = load_file(out / "text_encoder" / "model.safetensors")
    return tensors


def curve(out: Path) -> list[list[str]]:
    """metrics.csv without its column of time."""
    return [row[:-1] for row in csv.reader((out / "training-text" / "metrics.csv").read_text().splitlines())]


def test_a_run_leaves_a_tokenizer_and_an_encoder_of_unit_variance(tmp_path: Path) -> None:
    asked = config(tmp_path, batch_size=32, loop={"steps": 80, "lr": 0.02, "log_every": 20, "checkpoint_every": 80})
    results = train_text(asked)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    encoder = UMT5EncoderModel.from_pretrained(tmp_path / "text_encoder")
    assert encoder.config.vocab_size == len(tokenizer) and encoder.config.d_model == 16
    embedded = []
    for clip in told_clips(0, 10, wordings=2):
        ids, mask = tokenize(tokenizer, clip.caption, asked.tokens)
        with torch.no_grad():
            embedded.append(encode_tokens(encoder, ids, mask, torch.device("cpu"))[mask.bool()])
    spread = torch.cat(embedded).std(dim=0)
    assert spread.min() > 0.7 and spread.max() < 1.4
    losses = [float(row[1]) for row in curve(tmp_path)[1:]]
    assert len(losses) == 4 and losses[-1] < 0.75 * losses[0]
    report = json.loads((tmp_path / "training-text" / "report.json").read_text())
    assert report == results and {"train: all", "test: all", "train: all (untrained)"} <= report.keys()
    assert report["longest_caption"] <= asked.tokens


def test_a_killed_run_goes_on_to_the_same_weights_and_curve(tmp_path: Path) -> None:
    whole, cut = config(tmp_path / "whole"), config(tmp_path / "cut")
    train_text(whole)

    with pytest.raises(Killed):
        train_text(cut, report=kill_at(3))  # one step after the checkpoint
    seen: list[int] = []
    train_text(cut, resume=True, report=lambda step, *_: seen.append(step))
    assert seen == [3, 4, 5, 6]
    one, two = weights(whole.out), weights(cut.out)
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    assert curve(whole.out) == curve(cut.out)


def test_reading_the_mean_embedding_tells_apart_what_it_tells_apart(clips: list[ToldClip]) -> None:
    attributes = Attributes.of(clips)
    tokenizer = train_tokenizer([clip.caption for clip in clips], 700, 96)
    data = Captions.of(clips, tokenizer, attributes, 96)
    encoder = build_encoder({**NARROW, "d_model": 64}, len(tokenizer), seed=0)
    results = probe(encoder, data, {"train": data}, attributes)
    assert results["train: light"] > 0.9  # fitted on what it is judged by: words alone tell the light
    with torch.no_grad():
        encoder.shared.weight.zero_()  # all words alike: no better than the commonest value
    light = [clip.told["light"] for clip in clips]
    commonest = max(light.count(value) for value in light) / len(light)
    assert probe(encoder, data, {"train": data}, attributes)["train: light"] <= commonest + 0.05


def test_means_leave_padding_out() -> None:
    embeddings = torch.randn(2, 5, 3)
    mask = torch.tensor([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]]).bool()
    torch.testing.assert_close(pooled(embeddings, mask)[0], embeddings[0, :2].mean(dim=0))
    torch.testing.assert_close(pooled(embeddings, mask)[1], embeddings[1].mean(dim=0))


def test_variance_is_brought_to_one_and_hardly_varying_channels_are_left_small(clips: list[ToldClip]) -> None:
    attributes = Attributes.of(clips)
    tokenizer = train_tokenizer([clip.caption for clip in clips], 700, 96)
    data = Captions.of(clips, tokenizer, attributes, 96)
    encoder = build_encoder(NARROW, len(tokenizer), seed=0)
    with torch.no_grad():
        encoder.encoder.final_layer_norm.weight[:] = torch.linspace(0.1, 3, 16)
        encoder.encoder.final_layer_norm.weight[5] = 1e-4
    bring_to_unit_variance(encoder, data)
    with torch.no_grad():
        spread = encoder(data.ids, data.mask.long()).last_hidden_state[data.mask].std(dim=0)
    keep = torch.arange(16) != 5
    torch.testing.assert_close(spread[keep], torch.ones(15), atol=1e-3, rtol=0)
    assert spread[5] < 0.05


# --- refusals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"plans": 0}, "plans is 0"),
        ({"hidden": 1.0}, r"hidden is 1\.0, expected above 0 and below 1"),
        ({"vocabulary": 99}, "a vocabulary of 99"),
        ({"held_out": 0}, "held_out is 0"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        train_text(config(tmp_path, **settings))
    assert not (tmp_path / "text_encoder").exists()


def test_captions_that_are_too_long_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"a caption has \d+ tokens and 30 are allowed"):
        train_text(config(tmp_path, tokens=30))
    with pytest.raises(WorldsError, match='no preset "huge"'):
        train_text(config(tmp_path, preset="huge"))
