"""Base Wan folders in both layouts: what is found, and that its parts compute what Wan's own code computes.

The VAE and text encoder built here were compared once with the released modules at random widths (float32):
relative error 2e-6 for the text encoder, 5e-8 encoding and 3e-6 decoding video.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from torch import Tensor
from torch.nn import functional
from transformers import UMT5EncoderModel

from fake_weights import random_text_encoder, random_vae, write_base_folder
from outofsight.errors import CheckpointError
from outofsight.models.base_weights import PARTS, describe_folder, read_base_folder
from outofsight.models.naming import TEXT_ENCODER_NAMES, NameMap, vae_names
from outofsight.models.wan_parts import (
    text_encoder_config,
    text_encoder_from_tensors,
    vae_config,
    vae_from_tensors,
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base_folder(tmp_path_factory.mktemp("base") / "Wan2.1-T2V-1.3B")


# --- the VAE ----------------------------------------------------------------------------------------------


def test_vae_names_agree_with_diffusers_converter() -> None:
    with torch.device("meta"):
        state = AutoencoderKLWan().state_dict()
    names = vae_names(4, 2)
    released = [names.to_released(name) for name in state]
    assert len(set(released)) == len(state)
    assert "decoder.upsamples.4.shortcut.weight" in released
    theirs = convert_wan_vae_to_diffusers({name: name for name in released})
    assert {new: names.to_diffusers(old) for new, old in theirs.items()} == {name: name for name in state}


@pytest.mark.parametrize(
    "sizes",
    [
        {"base_dim": 4, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 1},
        {"base_dim": 4, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2, "decoder_base_dim": 8},
        {"base_dim": 6, "dim_mult": [1, 2], "temperal_downsample": [True], "num_res_blocks": 3},
        {"base_dim": 4, "dim_mult": [1, 1, 2], "temperal_downsample": [True, False], "num_res_blocks": 1},
    ],
)
def test_vae_sizes_are_read_from_the_tensors(sizes: dict) -> None:
    tensors = random_vae(**sizes)
    config = vae_config(tensors, "vae.pth")
    assert config | sizes == config
    assert config["z_dim"] == 16
    vae = vae_from_tensors(tensors, "vae.pth")
    names = vae_names(len(sizes["dim_mult"]), sizes["num_res_blocks"])
    state = vae.state_dict()
    assert all(torch.equal(state[names.to_diffusers(name)], value) for name, value in tensors.items())
    with torch.no_grad():
        latents = vae.encode(torch.zeros(1, 3, 5, 16, 16)).latent_dist.mode()
        assert vae.decode(latents).sample.shape == (1, 3, 5, 16, 16)
    assert latents.shape[3] == 16 // config["scale_factor_spatial"]


def test_latent_statistics_are_never_guessed() -> None:
    assert vae_from_tensors(random_vae(), "vae.pth").config.latents_mean[:2] == [-0.7571, -0.7089]
    narrow = random_vae(z_dim=4, latents_mean=[0.0] * 4, latents_std=[1.0] * 4)
    with pytest.raises(CheckpointError, match=r"4 latent channels.*give latents_mean and latents_std"):
        vae_from_tensors(narrow, "vae.pth")
    known = {"latents_mean": [0.5] * 4, "latents_std": [2.0] * 4}
    assert vae_from_tensors(narrow, "vae.pth", known).config.latents_std == [2.0] * 4


def test_other_vaes_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"vae.pth is not a Wan 2.1 VAE"):
        vae_from_tensors({"encoder.conv1.weight": torch.zeros(4, 12, 3, 3, 3)}, "vae.pth")
    tensors = random_vae()
    del tensors["decoder.middle.1.proj.bias"]
    with pytest.raises(CheckpointError, match=r"1 missing \(decoder.middle.1.proj.bias\)"):
        vae_from_tensors(tensors, "vae.pth")


# --- the text encoder -------------------------------------------------------------------------------------


def plain_umt5(tensors: dict[str, Tensor], ids: Tensor, mask: Tensor, heads: int, layers: int) -> Tensor:
    """umT5's encoder written out: unscaled attention with a position bias in every layer, gated GELU."""

    def norm(x: Tensor, name: str) -> Tensor:
        return tensors[f"{name}.weight"] * x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()

    length = ids.shape[1]
    distance = torch.arange(length)[None, :] - torch.arange(length)[:, None]
    near = distance.abs()
    # 32 buckets, half for each side; of those 8 exact, 8 logarithmic up to 128
    far = 8 + (torch.log(near.clamp(min=1) / 8) / torch.log(torch.tensor(16.0)) * 8).long()
    bucket = torch.where(near < 8, near, far.clamp(max=15)) + 16 * (distance > 0)
    x = tensors["token_embedding.weight"][ids]
    for i in range(layers):
        block = f"blocks.{i}"
        y = norm(x, f"{block}.norm1")
        q, k, v = (
            (y @ tensors[f"{block}.attn.{p}.weight"].T).unflatten(-1, (heads, -1)).transpose(1, 2) for p in "qkv"
        )
        bias = tensors[f"{block}.pos_embedding.embedding.weight"][bucket].permute(2, 0, 1)
        scores = (q @ k.transpose(2, 3) + bias).masked_fill(mask[:, None, None, :] == 0, -torch.inf)
        x = x + (scores.softmax(-1) @ v).transpose(1, 2).flatten(2) @ tensors[f"{block}.attn.o.weight"].T
        y = norm(x, f"{block}.norm2")
        gate = functional.gelu(y @ tensors[f"{block}.ffn.gate.0.weight"].T, approximate="tanh")
        x = x + (gate * (y @ tensors[f"{block}.ffn.fc1.weight"].T)) @ tensors[f"{block}.ffn.fc2.weight"].T
    return norm(x, "norm")


def test_text_encoder_computes_umt5() -> None:
    tensors = random_text_encoder()
    encoder = text_encoder_from_tensors(tensors, "t5.pth")
    ids = torch.randint(0, 64, (2, 150))
    mask = torch.ones(2, 150, dtype=torch.long)
    mask[1, 11:] = 0
    with torch.no_grad():
        found = encoder(ids, attention_mask=mask).last_hidden_state
    expected = plain_umt5(tensors, ids, mask, heads=4, layers=2)
    for row, length in ((0, 150), (1, 11)):
        torch.testing.assert_close(found[row, :length], expected[row, :length], rtol=1e-4, atol=1e-4)


def test_text_encoder_sizes_names_and_tying() -> None:
    tensors = random_text_encoder(vocabulary=50, dim=24, inner=40, hidden=56, heads=5, layers=3)
    config = text_encoder_config(tensors, "t5.pth")
    expected = {"vocab_size": 50, "d_model": 24, "d_kv": 8, "d_ff": 56, "num_layers": 3, "num_heads": 5}
    assert config | expected == config
    encoder = text_encoder_from_tensors({name: value.bfloat16() for name, value in tensors.items()}, "t5.pth")
    assert encoder.encoder.embed_tokens.weight is encoder.shared.weight
    assert encoder.dtype == torch.bfloat16
    state = encoder.state_dict()
    renamed = {TEXT_ENCODER_NAMES.to_diffusers(name): value.bfloat16() for name, value in tensors.items()}
    assert set(state) == {*renamed, "encoder.embed_tokens.weight"}
    assert all(torch.equal(state[name], value) for name, value in renamed.items())
    assert {TEXT_ENCODER_NAMES.to_released(name) for name in renamed} == set(tensors)


def test_other_text_encoders_are_refused() -> None:
    tensors = random_text_encoder()
    del tensors["blocks.1.pos_embedding.embedding.weight"]
    with pytest.raises(CheckpointError, match=r"1 missing \(blocks.1.pos_embedding.embedding.weight\)"):
        text_encoder_from_tensors(tensors, "t5.pth")
    with pytest.raises(CheckpointError, match=r"not Wan's umT5 encoder.*no usable token_embedding.weight"):
        text_encoder_from_tensors({"shared.weight": torch.zeros(2, 2)}, "t5.pth")


def test_rules_that_cannot_be_inverted_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be inverted"):
        NameMap([("a", "x"), ("b", "x")])


# --- folders ----------------------------------------------------------------------------------------------


def test_original_folder(base: Path) -> None:
    found = describe_folder(base)
    assert (found.layout, found.missing, tuple(found.parts)) == ("original", (), PARTS)
    assert found.parts["vae"].bytes == (base / "Wan2.1_VAE.pth").stat().st_size
    weights = read_base_folder(base)
    assert weights.attention_heads() is None
    assert weights.load_vae().config.base_dim == 4
    assert weights.load_text_encoder().dtype == torch.bfloat16
    assert weights.load_text_encoder(torch.float32).dtype == torch.float32
    assert weights.load_tokenizer()("the dog walks").input_ids == [4, 5, 8, 1]
    tensors = weights.transformer_tensors()
    assert tensors["blocks.1.attn1.to_q.weight"].shape == (48, 48)


def test_diffusers_folder(base: Path, tmp_path: Path) -> None:
    weights = read_base_folder(base)
    weights.load_vae().save_pretrained(tmp_path / "vae")
    weights.load_text_encoder().save_pretrained(tmp_path / "text_encoder")
    weights.load_tokenizer().save_pretrained(tmp_path / "tokenizer")
    found = describe_folder(tmp_path)
    assert (found.layout, found.missing) == ("diffusers", ("transformer",))
    again = read_base_folder(tmp_path)
    for part in ("vae", "text_encoder"):
        ours, theirs = (getattr(w, f"load_{part}")().state_dict() for w in (weights, again))
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert again.load_tokenizer()("a cat").input_ids == weights.load_tokenizer()("a cat").input_ids
    with pytest.raises(CheckpointError, match="transformer is missing: no diffusion_pytorch_model"):
        again.transformer_tensors()


def test_sharded_transformer_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = write_base_folder(tmp_path / "wan", shards=3)
    whole = write_base_folder(tmp_path / "whole")
    ours, theirs = (read_base_folder(path).transformer_tensors() for path in (folder, whole))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    (folder / "diffusion_pytorch_model-00002-of-00003.safetensors").unlink()
    assert describe_folder(folder).missing == ("transformer",)
    with pytest.raises(CheckpointError, match=r"lacks diffusion_pytorch_model-00002-of-00003\.safetensors"):
        read_base_folder(folder).transformer_tensors()


def test_heads_come_from_the_folder_config(base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "wan")
    (folder / "config.json").write_text('{"_class_name": "WanModel", "num_heads": 2}')
    assert read_base_folder(folder).attention_heads() == 2
    for text in ("{", "[]", '{"num_heads": "2"}', '{"dim": 4}'):
        (folder / "config.json").write_text(text)
        with pytest.raises(
            CheckpointError, match=r"attention heads|not a JSON file|expected an object|num_heads is|valid integer"
        ):
            read_base_folder(folder).attention_heads()


def test_folders_that_are_none(base: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a folder"):
        read_base_folder(tmp_path / "none")
    with pytest.raises(CheckpointError, match=r"holds no Wan model.*Wan2\.1_VAE\.pth.*get Wan2\.1-T2V-1\.3B"):
        read_base_folder(tmp_path)
    with pytest.raises(CheckpointError, match=r"did you mean .*Wan2\.1-T2V-1\.3B\?"):
        read_base_folder(base.parent)


def test_damaged_parts_are_errors_of_ours(base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "wan")
    (folder / "Wan2.1_VAE.pth").write_bytes((base / "Wan2.1_VAE.pth").read_bytes()[:5000])
    (folder / "google/umt5-xxl/tokenizer.json").write_text("{")
    weights = read_base_folder(folder)
    with pytest.raises(CheckpointError, match="truncated, damaged"):
        weights.load_vae()
    with pytest.raises(CheckpointError, match=r"tokenizer in .* cannot be loaded|not a JSON file"):
        weights.load_tokenizer()
    diffusers = tmp_path / "diffusers"
    for part, kind in (("vae", AutoencoderKLWan), ("text_encoder", UMT5EncoderModel)):
        loaded = getattr(read_base_folder(base), f"load_{part}")()
        assert isinstance(loaded, kind)
        loaded.save_pretrained(diffusers / part)
        (diffusers / part / "config.json").write_text("{")
        with pytest.raises(CheckpointError, match=r"config\.json: not a JSON file"):
            getattr(read_base_folder(diffusers), f"load_{part}")()
