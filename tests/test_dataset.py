"""Encoded clips on disk and in batches."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan
from transformers import ByT5Tokenizer

from latents import encoded_clip, settings_of, write_latents
from models import CACHEABLE, narrow_model
from outofsight.errors import DatasetError
from outofsight.training.dataset import LatentDataset
from outofsight.training.hashes import text_encoder_hash, tokenizer_hash, vae_hash
from outofsight.training.objective import batch_conditions
from outofsight.training.shards import ClipEntry, read_shard, shard_name, write_index, write_shard
from pipelines import small_pipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips in two shards."""
    place = tmp_path_factory.mktemp("latents")
    clips = [encoded_clip(number) for number in range(6)]
    settings = settings_of(clips[0])
    for number, part in enumerate((clips[:4], clips[4:])):
        name = shard_name(number)
        entries = [
            ClipEntry(c.name, name, 4, 8, "re-entry", "a caption", 6.0, c.horizontal_fov, True, "d") for c in part
        ]
        write_shard(place, name, part, entries, settings, torch.full((1, 8), 0.5))
    write_index(place, settings, [shard_name(0), shard_name(1)], ["worlds/train"])
    return place


def test_what_was_written_is_read(folder: Path) -> None:
    data = LatentDataset(folder).verify()
    assert len(data) == 6 and data.settings == settings_of(encoded_clip(0))
    assert [entry.name for entry in data.clips] == [f"clip-{i:03d}" for i in range(6)]
    for number in (0, 3, 4, 5):  # of both shards
        truth, read = encoded_clip(number), data[number]
        for part in ("latents", "text", "context_poses", "target_poses", "subject", "phase"):
            torch.testing.assert_close(getattr(read, part), getattr(truth, part), rtol=0, atol=0)
        assert (read.name, read.context_frames, read.horizontal_fov) == (truth.name, 4, 60.0)


def test_half_precision_keeps_a_thousandth(tmp_path: Path) -> None:
    data = LatentDataset(write_latents(tmp_path, clips=1, dtype="float16"))
    truth = encoded_clip(0)
    assert data[0].latents.dtype == torch.float32
    torch.testing.assert_close(data[0].latents, truth.latents, rtol=1e-3, atol=1e-6)
    assert not torch.equal(data[0].latents, truth.latents)


def test_a_batch_pads_its_text_with_zeros_and_fits_the_model(folder: Path) -> None:
    data = LatentDataset(folder)
    batch = data.collate([data[1], data[5]]).to("cpu")
    assert batch.names == ("clip-001", "clip-005") and len(batch) == 2
    assert batch.text.shape == (2, 6, 8)
    assert torch.equal(batch.text[1, :5], data[5].text) and not batch.text[:, 5:].any()
    assert data.empty_text.shape == (6, 8) and (data.empty_text[0] == 0.5).all() and not data.empty_text[1:].any()
    model = narrow_model(conditioners=("pose", "rays"), memory_options={"top_k": 1, "window": 2}, **CACHEABLE)
    data.check_model(model.config)
    out = model(
        batch.latents, torch.tensor([500.0, 500.0]), batch.text, batch.context_poses, batch.target_poses,
        conditions=batch_conditions(batch),
    ).sample  # fmt: skip
    assert out.shape == batch.latents.shape


def test_texts_longer_than_the_index_lists_are_refused(tmp_path: Path) -> None:
    data = LatentDataset(write_latents(tmp_path, clips=2, text_tokens=3))
    with pytest.raises(DatasetError, match="a text of 5 tokens, and the index lists 3"):
        data.collate([data[0], data[1]])


def test_the_dataset_travels_to_other_processes(folder: Path) -> None:
    data = LatentDataset(folder)
    before = data[2].latents
    assert torch.equal(pickle.loads(pickle.dumps(data))[2].latents, before)  # noqa: S301


def test_clips_of_several_geometries_or_half_known_lenses_are_no_batch(folder: Path) -> None:
    data = LatentDataset(folder)
    short = encoded_clip(7, context=2)
    with pytest.raises(DatasetError, match=r"clip-000, clip-007.*context frames"):
        data.collate([data[0], short])
    unknown = replace(data[1], horizontal_fov=None)
    with pytest.raises(DatasetError, match="only some have a field of view"):
        data.collate([data[0], unknown])
    assert data.collate([unknown]).horizontal_fov is None


def test_folders_that_are_missing_empty_or_half_written(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        LatentDataset(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="no encoded clips"):
        LatentDataset(tmp_path)
    write_latents(tmp_path)
    (tmp_path / "index.json").unlink()
    with pytest.raises(DatasetError, match=r"half-written: 1 shards"):
        LatentDataset(tmp_path)


def test_an_index_that_does_not_fit_its_shards(folder: Path, tmp_path: Path) -> None:
    place = shutil.copytree(folder, tmp_path / "copy")
    shard = place / "shard-00001.safetensors"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    LatentDataset(place)  # looks at no contents
    with pytest.raises(DatasetError, match="SHA-256 differs"):
        LatentDataset(place).verify()
    with pytest.raises(DatasetError, match="contents have changed"):
        read_shard(shard, verify=True)
    shard.write_bytes(content[:100])
    with pytest.raises(DatasetError, match=r"cannot be read|not a JSON file"):
        LatentDataset(place)[5]
    shard.unlink()
    with pytest.raises(DatasetError, match="is missing, and the index lists it"):
        LatentDataset(place)
    index = place / "index.json"
    index.write_text(index.read_text()[:200])
    with pytest.raises(DatasetError, match=r"cannot be read|not a JSON file"):
        LatentDataset(place)
    index.write_text(
        json.dumps({"version": 1, "settings": settings_of(encoded_clip(0)).to_json(), "shards": [], "clips": []})
    )
    with pytest.raises(DatasetError, match="lists no clip"):
        LatentDataset(place)


def test_latents_made_with_other_parts_are_refused(tmp_path: Path) -> None:
    pipe = small_pipeline()
    hashes = {
        "vae": vae_hash(pipe.vae),
        "text_encoder": text_encoder_hash(pipe.text_encoder),
        "tokenizer": tokenizer_hash(pipe.tokenizer),
    }
    data = LatentDataset(write_latents(tmp_path, **hashes))
    data.check_parts(hashes)
    other = small_pipeline(seed=1)
    with pytest.raises(DatasetError, match="another VAE"):
        data.check_parts({"vae": vae_hash(other.vae)})
    with pytest.raises(DatasetError, match="another text encoder"):
        data.check_parts({"text_encoder": text_encoder_hash(other.text_encoder)})
    with pytest.raises(DatasetError, match="another tokenizer"):
        data.check_parts({"tokenizer": tokenizer_hash(ByT5Tokenizer(extra_ids=7))})
    with pytest.raises(DatasetError, match=r"8 latent channels.*width 4"):
        data.check_model({"in_channels": 8, "text_dim": 4, "patch_size": (1, 2, 2)})
    with pytest.raises(DatasetError, match="do not divide"):
        data.check_model({"in_channels": 4, "text_dim": 8, "patch_size": (1, 4, 4)})


def test_a_hash_is_of_values_and_statistics() -> None:
    sizes = {"base_dim": 4, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
    torch.manual_seed(0)
    vae = AutoencoderKLWan(**sizes).half()
    assert vae_hash(vae) == vae_hash(vae.float())  # stored in half precision, loaded in either
    shifted = AutoencoderKLWan(**sizes, latents_mean=[1.0] * 16)
    shifted.load_state_dict(vae.state_dict())
    assert vae_hash(shifted) != vae_hash(vae)
