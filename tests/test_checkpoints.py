"""Released checkpoints: names, sizes, numbers, and files that must be refused."""

from __future__ import annotations

import argparse
import os
import pickle
import stat
from collections import Counter
from pathlib import Path

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fake_weights import RunsCode, random_transformer
from outofsight.errors import CheckpointError, OutputError
from outofsight.models.checkpoints import (
    diffusers_to_released,
    load_hydra_checkpoint,
    released_to_diffusers,
    save_released_checkpoint,
)
from outofsight.models.presets import PRESETS
from outofsight.models.transformer import WorldTransformer3DModel

HEADS = {"hydra_small": 2, "hydra_wide_head": 1}


def released_shapes(
    dim: int, layers: int, ffn: int, text_dim: int, freq_dim: int, channels: int = 16
) -> dict[str, list[int]]:
    """Every tensor of a released checkpoint and its shape, from docs/hydra.md and Wan's published names."""

    def linear(name: str, out: int, into: int) -> dict[str, list[int]]:
        return {f"{name}.weight": [out, into], f"{name}.bias": [out]}

    shapes = {"patch_embedding.weight": [dim, channels, 1, 2, 2], "patch_embedding.bias": [dim]}
    shapes |= linear("text_embedding.0", dim, text_dim) | linear("text_embedding.2", dim, dim)
    shapes |= linear("time_embedding.0", dim, freq_dim) | linear("time_embedding.2", dim, dim)
    shapes |= linear("time_projection.1", 6 * dim, dim) | linear("head.head", 4 * channels, dim)
    shapes |= {"head.modulation": [1, 2, dim]}
    for i in range(layers):
        block = f"blocks.{i}"
        for attention in (f"{block}.self_attn", f"{block}.cross_attn"):
            shapes |= {f"{attention}.norm_q.weight": [dim], f"{attention}.norm_k.weight": [dim]}
            for projection in "qkvo":
                shapes |= linear(f"{attention}.{projection}", dim, dim)
        shapes |= {f"{block}.norm3.weight": [dim], f"{block}.norm3.bias": [dim]}
        shapes |= {f"{block}.modulation": [1, 6, dim]}
        shapes |= linear(f"{block}.ffn.0", ffn, dim) | linear(f"{block}.ffn.2", dim, ffn)
        shapes |= linear(f"{block}.cam_encoder_con", dim, 12) | linear(f"{block}.cam_encoder_tgt", dim, 12)
        shapes |= linear(f"{block}.projector", dim, dim)
        shapes |= {f"{block}.self_attn.tokenizer.conv.weight": [dim, dim, 2, 2, 2]}
        shapes |= {f"{block}.self_attn.tokenizer.conv.bias": [dim]}
    return shapes


@pytest.fixture
def small(goldens: Path) -> dict[str, torch.Tensor]:
    return torch.load(goldens / "hydra_small.ckpt", weights_only=True)


# --- names ------------------------------------------------------------------------------------------------


def test_names_agree_with_diffusers_converter(small: dict[str, torch.Tensor]) -> None:
    theirs = convert_wan_transformer_to_diffusers(dict(small))
    # what is HyDRA's own, diffusers does not know; ours has places for it
    own = {"cam_encoder_con": "conditioners.pose.context", "cam_encoder_tgt": "conditioners.pose.target"}
    for old, new in own.items():
        theirs = {name.replace(old, new): value for name, value in theirs.items()}
    ours = {released_to_diffusers(name): value for name, value in small.items()}
    assert ours.keys() == theirs.keys()
    assert all(ours[name] is theirs[name] for name in ours)


def test_names_are_inverses_on_the_whole_released_model() -> None:
    with torch.device("meta"):
        model = WorldTransformer3DModel(**PRESETS["hydra-1.3b"].transformer)
    found = {diffusers_to_released(name): list(value.shape) for name, value in model.state_dict().items()}
    expected = released_shapes(dim=1536, layers=30, ffn=8960, text_dim=4096, freq_dim=256)
    assert found == expected
    assert {released_to_diffusers(name) for name in expected} == set(model.state_dict())


@given(
    block=st.integers(0, 200),
    norm=st.sampled_from(["norm2", "norm3"]),
    end=st.sampled_from(["weight", "bias"]),
)
@settings(deadline=None, max_examples=20)
def test_norms_two_and_three_change_places(block: int, norm: str, end: str) -> None:
    other = {"norm2": "norm3", "norm3": "norm2"}[norm]
    name = f"blocks.{block}.{norm}.{end}"
    assert released_to_diffusers(name) == f"blocks.{block}.{other}.{end}"
    assert diffusers_to_released(released_to_diffusers(name)) == name


# --- loading ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(HEADS))
def test_released_numbers(goldens: Path, name: str) -> None:
    path = goldens / f"{name}.ckpt"
    with safe_open(goldens / f"{name}.safetensors", "pt") as file:
        facts = file.metadata()
    data = load_file(goldens / f"{name}.safetensors")
    model = load_hydra_checkpoint(path, num_attention_heads=HEADS[name], top_k=int(facts["top_k"]))
    latents = torch.cat([data["in.source_latents"], data["in.noise"]], dim=2)
    with torch.no_grad():
        velocity = model(
            latents, data["in.timestep"], data["in.text"], data["in.camera_context"], data["in.camera_target"]
        ).sample
    expected = data["out.velocity"]
    assert torch.linalg.norm(velocity - expected) < 1e-5 * torch.linalg.norm(expected)


@pytest.mark.parametrize("name", sorted(HEADS))
def test_tensors_are_bit_equal_and_sizes_are_read(goldens: Path, name: str) -> None:
    path = goldens / f"{name}.ckpt"
    model = load_hydra_checkpoint(path, num_attention_heads=HEADS[name], top_k=2)
    file = torch.load(path, weights_only=True)
    state = {diffusers_to_released(key): value for key, value in model.state_dict().items()}
    assert state.keys() == file.keys()
    assert all(torch.equal(state[key], file[key]) for key in file)
    config = model.config
    sizes = {"ffn": config.ffn_dim, "text_dim": config.text_dim, "freq_dim": config.freq_dim}
    with safe_open(goldens / f"{name}.safetensors", "pt") as told:
        assert sizes == {key: int(told.metadata()[key]) for key in sizes}
    assert config.memory_options["top_k"] == 2
    assert not model.training
    assert all(parameter.requires_grad and not parameter.is_meta for parameter in model.parameters())
    assert not any(buffer.is_meta for buffer in model.buffers())


def test_options_reach_the_memory(goldens: Path) -> None:
    model = load_hydra_checkpoint(
        goldens / "hydra_small.ckpt",
        num_attention_heads=2,
        top_k=None,
        memory_options={"window": 3, "bank": "context"},
        context_timestep="clean",
    )
    options = model.config.memory_options
    assert (options["top_k"], options["window"], options["bank"]) == (None, 3, "context")
    assert list(options["kernel"]) == [2, 2, 2]
    assert model.config.context_timestep == "clean"


def test_wrapped_prefixed_and_safetensors_forms(goldens: Path, small: dict, tmp_path: Path) -> None:
    torch.save({"state_dict": small, "epoch": 3}, tmp_path / "wrapped.ckpt")
    save_file(small, tmp_path / "plain.safetensors")
    torch.save(small, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    expected = load_hydra_checkpoint(goldens / "hydra_small.ckpt", num_attention_heads=2).state_dict()
    for name in ("wrapped.ckpt", "plain.safetensors", "old.pt"):
        found = load_hydra_checkpoint(tmp_path / name, num_attention_heads=2).state_dict()
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    torch.save({f"pipe.dit.{key}": value for key, value in small.items()}, tmp_path / "prefixed.ckpt")
    with pytest.warns(UserWarning, match="took the prefix 'pipe.dit.' off all 85 names"):
        found = load_hydra_checkpoint(tmp_path / "prefixed.ckpt", num_attention_heads=2).state_dict()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_prefix_on_some_names_only_is_not_taken_off(small: dict, tmp_path: Path) -> None:
    odd = {f"dit.{key}" if key.startswith("head") else key: value for key, value in small.items()}
    torch.save(odd, tmp_path / "odd.ckpt")
    with pytest.raises(CheckpointError, match="not a Wan transformer"):
        load_hydra_checkpoint(tmp_path / "odd.ckpt", num_attention_heads=2)


def test_dtypes_are_kept_and_cast_as_from_pretrained_does(goldens: Path, small: dict, tmp_path: Path) -> None:
    torch.save({key: value.bfloat16() for key, value in small.items()}, tmp_path / "half.ckpt")
    kept = load_hydra_checkpoint(tmp_path / "half.ckpt", num_attention_heads=2)
    assert {parameter.dtype for parameter in kept.parameters()} == {torch.bfloat16}
    model = load_hydra_checkpoint(goldens / "hydra_small.ckpt", num_attention_heads=2)
    model.save_pretrained(tmp_path / "folder")
    cast = load_hydra_checkpoint(goldens / "hydra_small.ckpt", num_attention_heads=2, torch_dtype=torch.bfloat16)
    theirs = WorldTransformer3DModel.from_pretrained(tmp_path / "folder", torch_dtype=torch.bfloat16)
    expected = {name: value.dtype for name, value in theirs.state_dict().items()}
    assert {name: value.dtype for name, value in cast.state_dict().items()} == expected
    assert Counter(expected.values())[torch.float32] > 0


def test_twelve_heads_of_an_unlikely_width_are_said(goldens: Path) -> None:
    with pytest.warns(UserWarning, match="12 heads of width 4 are assumed"):
        load_hydra_checkpoint(goldens / "hydra_small.ckpt")


@pytest.mark.parametrize("heads", [5, 0, -2, 16, 96])
def test_heads_that_do_not_divide(goldens: Path, heads: int) -> None:
    with pytest.raises(CheckpointError, match=r"must divide the width 48 .* one of 1, 2, 3, 4, 6, 8, 12, 24$"):
        load_hydra_checkpoint(goldens / "hydra_small.ckpt", num_attention_heads=heads)


# --- files that do not fit --------------------------------------------------------------------------------


def test_missing_and_unexpected_names_are_counted(small: dict, tmp_path: Path) -> None:
    for i in range(2):
        del small[f"blocks.{i}.self_attn.k.bias"]
    small["blocks.1.extra.weight"] = torch.zeros(2)
    torch.save(small, tmp_path / "odd.ckpt")
    with pytest.raises(CheckpointError) as error:
        load_hydra_checkpoint(tmp_path / "odd.ckpt", num_attention_heads=2)
    assert "2 missing (blocks.0.self_attn.k.bias, blocks.1.self_attn.k.bias)" in str(error.value)
    assert "1 unexpected (blocks.1.extra.weight)" in str(error.value)


def test_wrong_sizes_say_found_and_expected(small: dict, tmp_path: Path) -> None:
    small["blocks.1.cam_encoder_con.weight"] = torch.zeros(48, 16)
    torch.save(small, tmp_path / "odd.ckpt")
    message = r"blocks\.1\.cam_encoder_con\.weight is \[48, 16\], expected \[48, 12\]"
    with pytest.raises(CheckpointError, match=message):
        load_hydra_checkpoint(tmp_path / "odd.ckpt", num_attention_heads=2)


def test_base_wan_is_told_apart(tmp_path: Path) -> None:
    torch.save(random_transformer(), tmp_path / "wan.pth")
    with pytest.raises(CheckpointError, match=r"base Wan without HyDRA's tensors.*outofsight convert --base"):
        load_hydra_checkpoint(tmp_path / "wan.pth", num_attention_heads=2)


def test_image_to_video_and_diffusers_naming_are_told_apart(small: dict, tmp_path: Path) -> None:
    save_file({released_to_diffusers(k): v for k, v in small.items()}, tmp_path / "diffusers.safetensors")
    with pytest.raises(CheckpointError, match=r"diffusers' naming.*from_pretrained"):
        load_hydra_checkpoint(tmp_path / "diffusers.safetensors", num_attention_heads=2)
    small["blocks.0.cross_attn.k_img.weight"] = torch.zeros(48, 48)
    torch.save(small, tmp_path / "i2v.ckpt")
    with pytest.raises(CheckpointError, match="image-to-video"):
        load_hydra_checkpoint(tmp_path / "i2v.ckpt", num_attention_heads=2)


def test_code_in_a_pickle_is_refused_and_not_run(small: dict, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    path = tmp_path / "evil.ckpt"
    evil = {**small, "extra": RunsCode(witness)}
    for write in (
        lambda: torch.save(evil, path),
        lambda: torch.save(evil, path, _use_new_zipfile_serialization=False),
        lambda: path.write_bytes(pickle.dumps(evil)),
        lambda: torch.save({"state_dict": small, "arguments": argparse.Namespace(steps=3)}, path),
    ):
        write()
        with pytest.raises(CheckpointError, match=r"was refused.*could run code") as error:
            load_hydra_checkpoint(path, num_attention_heads=2)
        assert "weights_only" not in str(error.value)  # torch's advice to load unsafely is not passed on
    assert not witness.exists()
    pickle.loads(pickle.dumps(RunsCode(witness)))  # noqa: S301  (the harm is real where it is not refused)
    assert witness.exists()


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_files(goldens: Path, small: dict, tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"cut{suffix}"
    if suffix == ".ckpt":
        path.write_bytes((goldens / "hydra_small.ckpt").read_bytes())
    else:
        save_file(small, path)
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(CheckpointError, match="truncated, damaged"):
        load_hydra_checkpoint(path, num_attention_heads=2)


@given(junk=st.binary(max_size=200), suffix=st.sampled_from([".ckpt", ".safetensors"]))
@settings(deadline=None, max_examples=60)
def test_junk_is_an_error_of_ours(tmp_path_factory: pytest.TempPathFactory, junk: bytes, suffix: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"junk{suffix}"
    for head in (b"", b"PK\x03\x04", b"\x80\x02"):
        path.write_bytes(head + junk)
        with pytest.raises(CheckpointError):
            load_hydra_checkpoint(path)


def test_other_things_than_state_dicts(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    for content, message in (
        (torch.zeros(3), "holds a Tensor"),
        ({}, "an empty mapping"),
        ({"state_dict": {}}, "an empty mapping"),
        ({"epoch": 3}, "entry 'epoch' is a int"),
        ({"a.weight": torch.zeros(3, dtype=torch.int8)}, "is int8, expected float32"),
        ({"a.weight": torch.zeros(3)}, "no usable patch_embedding.weight"),
    ):
        torch.save(content, path)
        with pytest.raises(CheckpointError, match=message):
            load_hydra_checkpoint(path)


def test_paths_that_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.ckpt is not there"):
        load_hydra_checkpoint(tmp_path / "none.ckpt")
    with pytest.raises(CheckpointError, match="is a folder"):
        load_hydra_checkpoint(tmp_path)
    (tmp_path / "a.zip").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"ends in '\.zip', expected one of \.safetensors"):
        load_hydra_checkpoint(tmp_path / "a.zip")
    (tmp_path / "b.ckpt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    with pytest.raises(CheckpointError, match="git lfs pull"):
        load_hydra_checkpoint(tmp_path / "b.ckpt")


# --- writing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_written_back_bit_by_bit(goldens: Path, small: dict, tmp_path: Path, suffix: str) -> None:
    model = load_hydra_checkpoint(goldens / "hydra_small.ckpt", num_attention_heads=2)
    path = save_released_checkpoint(model, tmp_path / f"back{suffix}")
    back = load_file(path) if suffix == ".safetensors" else torch.load(path, weights_only=True)
    assert back.keys() == small.keys()
    assert all(torch.equal(back[key], small[key]) for key in small)
    assert os.listdir(tmp_path) == [path.name]
    (tmp_path / "plain").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_views_do_not_drag_their_storage_along(goldens: Path, tmp_path: Path) -> None:
    model = load_hydra_checkpoint(goldens / "hydra_small.ckpt", num_attention_heads=2)
    whole = torch.zeros(1000, 48, 12)
    model.blocks[0].conditioners.pose.context.weight = torch.nn.Parameter(whole[7])
    path = save_released_checkpoint(model, tmp_path / "a.ckpt")
    assert path.stat().st_size < 2 * (goldens / "hydra_small.ckpt").stat().st_size


def test_a_failed_write_keeps_the_old_file(goldens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_hydra_checkpoint(goldens / "hydra_small.ckpt", num_attention_heads=2)
    path = tmp_path / "a.ckpt"
    path.write_bytes(b"old")
    monkeypatch.setattr(torch, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_released_checkpoint(model, path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.ckpt"]
    with pytest.raises(OutputError, match=r"nowhere is not there"):
        save_released_checkpoint(model, tmp_path / "nowhere" / "a.ckpt")
    with pytest.raises(OutputError, match="expected a name in"):
        save_released_checkpoint(model, tmp_path / "a.txt")


def test_another_kind_of_model_is_written_with_a_word(goldens: Path, tmp_path: Path) -> None:
    model = load_hydra_checkpoint(goldens / "hydra_small.ckpt", num_attention_heads=2, context_timestep="clean")
    with pytest.warns(UserWarning, match="does not compute with context_timestep='clean'"):
        save_released_checkpoint(model, tmp_path / "a.ckpt")
