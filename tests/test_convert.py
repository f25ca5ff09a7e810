"""Conversion: released checkpoint and base Wan folder to a model folder, and back."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fake_weights import write_base_folder
from outofsight.errors import CheckpointError, OutputError
from outofsight.models.base_weights import describe_folder, read_base_folder
from outofsight.models.checkpoints import diffusers_to_released, load_hydra_checkpoint
from outofsight.models.convert import convert, export_released
from outofsight.models.transformer import WorldTransformer3DModel


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base_folder(tmp_path_factory.mktemp("base") / "wan")


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    return Path(__file__).parent / "goldens" / "hydra_small.ckpt"


@pytest.fixture(scope="module")
def model_folder(base: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("converted") / "hydra"
    return convert(checkpoint, base, out, num_attention_heads=2, top_k=2)


def read_folder(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_round_trip_is_bit_equal(model_folder: Path, checkpoint: Path, tmp_path: Path) -> None:
    released = torch.load(checkpoint, weights_only=True)
    model = WorldTransformer3DModel.from_pretrained(model_folder / "transformer")
    state = {diffusers_to_released(name): value for name, value in model.state_dict().items()}
    assert state.keys() == released.keys()
    assert all(torch.equal(state[name], released[name]) for name in released)
    assert model.config.memory_options["top_k"] == 2
    assert model.config.num_attention_heads == 2
    for name in ("back.ckpt", "back.safetensors"):
        path = export_released(model_folder, tmp_path / name)
        back = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
        assert back.keys() == released.keys()
        assert all(torch.equal(back[key], released[key]) for key in released)
    with pytest.raises(OutputError, match=r"back\.ckpt exists already"):
        export_released(model_folder, tmp_path / "back.ckpt")
    export_released(model_folder, tmp_path / "back.ckpt", overwrite=True)


def test_the_folder_is_complete_and_readable(model_folder: Path) -> None:
    found = describe_folder(model_folder)
    assert (found.layout, found.missing) == ("diffusers", ())
    assert os.listdir(model_folder.parent) == [model_folder.name]
    for path in model_folder.rglob("*.safetensors"):
        config = stat.S_IMODE((path.parent / "config.json").stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == config


def test_the_pipeline_loads_it_and_would_write_the_same_index(model_folder: Path, tmp_path: Path) -> None:
    from outofsight.pipeline import WorldModelPipeline

    pipe = WorldModelPipeline.from_pretrained(model_folder)
    assert isinstance(pipe.transformer, WorldTransformer3DModel)
    pipe.save_pretrained(tmp_path / "again")
    ours, theirs = (
        json.loads((folder / "model_index.json").read_text()) for folder in (model_folder, tmp_path / "again")
    )
    assert ours == {name: value for name, value in theirs.items() if name in ours}
    # what ours leaves out are settings of the pipeline, which take their defaults, and parts that are not there
    left_out = [value for name, value in theirs.items() if name not in ours]
    assert all(not isinstance(value, list) or value == [None, None] for value in left_out)


def test_a_converted_folder_serves_as_base(model_folder: Path, checkpoint: Path, tmp_path: Path) -> None:
    """Heads come from its config, and the other parts are taken over bit by bit."""
    again = convert(checkpoint, model_folder, tmp_path / "again", top_k=2)
    for part in ("transformer", "vae", "text_encoder"):
        ours, theirs = (
            {k: v for f in (folder / part).glob("*.safetensors") for k, v in load_file(f).items()}
            for folder in (model_folder, again)
        )
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[k], theirs[k]) and ours[k].dtype == theirs[k].dtype for k in ours)
    with pytest.raises(CheckpointError, match="has HyDRA's tensors already"):
        convert(None, model_folder, tmp_path / "start")


def test_dtype_leaves_vae_and_norms(base: Path, checkpoint: Path, tmp_path: Path) -> None:
    out = convert(checkpoint, base, tmp_path / "half", num_attention_heads=2, dtype=torch.bfloat16)
    (file,) = (out / "transformer").glob("*.safetensors")
    tensors = load_file(file)
    assert tensors["blocks.0.attn1.to_q.weight"].dtype == torch.bfloat16
    assert tensors["blocks.0.norm2.weight"].dtype == torch.float32
    assert load_file(out / "vae" / "diffusion_pytorch_model.safetensors")["quant_conv.weight"].dtype == torch.float32
    with_dtype = export_released(out, tmp_path / "half.ckpt")
    assert torch.load(with_dtype, weights_only=True)["blocks.0.self_attn.q.weight"].dtype == torch.bfloat16


def test_base_alone_starts_a_model(base: Path, tmp_path: Path) -> None:
    out = convert(None, base, tmp_path / "start", num_attention_heads=2, seed=3, memory_options={"top_k": 4})
    model = WorldTransformer3DModel.from_pretrained(out / "transformer")
    wan = read_base_folder(base).transformer_tensors()
    state = model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in wan.items())
    fresh = {name: value for name, value in state.items() if name not in wan}
    assert len(fresh) == 2 * 8
    for name, value in fresh.items():
        if "projector.weight" in name:
            assert torch.equal(value, torch.eye(48))
        elif "tokenizer" in name:
            assert value.std() > 0
        else:
            assert not value.any()
    assert model.config.memory_options["top_k"] == 4
    conv = "blocks.0.attn1.tokenizer.conv.weight"
    for seed, same in ((3, True), (4, False)):
        again = convert(None, base, tmp_path / f"seed{seed}", num_attention_heads=2, seed=seed)
        tensors = load_file(again / "transformer" / "diffusion_pytorch_model.safetensors")
        assert torch.equal(tensors[conv], state[conv]) == same


def test_starting_keeps_the_base_dtype_and_the_random_state(tmp_path: Path) -> None:
    base = write_base_folder(tmp_path / "wan", dtype=torch.bfloat16)
    before = torch.random.get_rng_state()
    out = convert(None, base, tmp_path / "start", num_attention_heads=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    tensors = load_file(out / "transformer" / "diffusion_pytorch_model.safetensors")
    assert {value.dtype for value in tensors.values()} == {torch.bfloat16}


def test_missing_parts_are_listed_before_anything_is_written(base: Path, checkpoint: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "wan")
    (folder / "Wan2.1_VAE.pth").unlink()
    shutil.rmtree(folder / "google")
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(CheckpointError) as error:
        convert(checkpoint, folder, tmp_path / "out", num_attention_heads=2)
    assert "vae: no Wan2.1_VAE.pth" in str(error.value)
    assert "tokenizer: no tokenizer.json" in str(error.value)
    assert "transformer" not in str(error.value)
    with pytest.raises(CheckpointError, match="transformer: no diffusion_pytorch_model"):
        convert(None, folder, tmp_path / "out")
    assert os.listdir(tmp_path) == ["wan"]


def test_parts_that_do_not_fit_one_another(base: Path, checkpoint: Path, tmp_path: Path, goldens: Path) -> None:
    with pytest.raises(CheckpointError, match=r"text encoder's width: 32, but the transformer takes 48"):
        convert(goldens / "hydra_wide_head.ckpt", base, tmp_path / "out", num_attention_heads=1)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError("disk full")])
def test_a_failure_leaves_what_was_there(
    model_folder: Path,
    base: Path,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
) -> None:
    out = shutil.copytree(model_folder, tmp_path / "hydra")
    before = read_folder(out)
    from transformers import UMT5EncoderModel

    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(UMT5EncoderModel, "save_pretrained", fail)
    with pytest.raises(KeyboardInterrupt if failure is KeyboardInterrupt else OutputError):
        convert(checkpoint, base, out, num_attention_heads=2, overwrite=True)
    assert os.listdir(tmp_path) == ["hydra"]
    assert read_folder(out) == before


def test_overwriting(model_folder: Path, base: Path, checkpoint: Path, tmp_path: Path) -> None:
    out = shutil.copytree(model_folder, tmp_path / "hydra")
    (out / "old").touch()
    with pytest.raises(OutputError, match="is not empty"):
        convert(checkpoint, base, out, num_attention_heads=2)
    convert(checkpoint, base, out, num_attention_heads=2, top_k=3, overwrite=True)
    assert not (out / "old").exists()
    assert json.loads((out / "transformer/config.json").read_text())["memory_options"]["top_k"] == 3
    assert os.listdir(tmp_path) == ["hydra"]


def test_places_that_are_not_written_to(base: Path, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "things").mkdir()
    (tmp_path / "things" / "thesis.txt").write_text("years")
    for out, message in (
        (tmp_path / "things", "is no model folder"),
        (tmp_path / "things" / "thesis.txt", "is a file"),
        (tmp_path / "nowhere" / "out", "nowhere is not there"),
        (base, "would replace its own input"),
        (base.parent, "would replace its own input"),
        (checkpoint.parent, "would replace its own input"),
    ):
        with pytest.raises(OutputError, match=message):
            convert(checkpoint, base, out, num_attention_heads=2, overwrite=True)
    assert (tmp_path / "things" / "thesis.txt").read_text() == "years"


def test_an_empty_folder_is_filled_and_full_disks_are_noticed(
    base: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "empty"
    out.mkdir()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(OutputError, match=r"needs 0\.0 GB, and 0\.0 GB are free"):
        convert(checkpoint, base, out, num_attention_heads=2)
    monkeypatch.undo()
    convert(checkpoint, base, out, num_attention_heads=2)
    assert load_hydra_checkpoint(checkpoint, num_attention_heads=2).num_parameters() > 0
    assert describe_folder(out).missing == ()


def test_export_needs_a_model_of_ours(base: Path, model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a model folder"):
        export_released(base, tmp_path / "a.ckpt")
    folder = shutil.copytree(model_folder, tmp_path / "hydra")
    config = folder / "transformer" / "config.json"
    told = json.loads(config.read_text())
    config.write_text(json.dumps(told | {"_class_name": "WanTransformer3DModel"}))
    with pytest.raises(CheckpointError, match="holds a WanTransformer3DModel"):
        export_released(folder, tmp_path / "a.ckpt")
    config.write_text(json.dumps(told | {"ffn_dim": 100}))
    with pytest.raises(CheckpointError, match=r"is \[96.*expected \[100"):
        export_released(folder, tmp_path / "a.ckpt")
    config.write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read"):
        export_released(folder, tmp_path / "a.ckpt")
    assert not (tmp_path / "a.ckpt").exists()


def test_weights_that_are_not_finite_are_named(base: Path, checkpoint: Path, tmp_path: Path) -> None:
    tensors = torch.load(checkpoint, weights_only=True)
    tensors["blocks.1.ffn.0.weight"][2, 3] = float("nan")
    tensors["blocks.1.ffn.0.weight"][2, 4] = float("inf")
    torch.save(tensors, tmp_path / "hydra.ckpt")
    with pytest.raises(CheckpointError, match=r"tensor blocks\.1\.ffn\.0\.weight holds 2 of \d+ numbers that are NaN"):
        convert(tmp_path / "hydra.ckpt", base, tmp_path / "out", num_attention_heads=2, top_k=2)
    assert not (tmp_path / "out").exists()
    whole = torch.load(checkpoint, weights_only=True)
    whole["blocks.1.ffn.0.weight"][0, 0] = 1e30  # finite, and too large for half precision
    torch.save(whole, tmp_path / "hydra.ckpt")
    with pytest.raises(CheckpointError, match=r"blocks\.1\.ffn\.0\.weight holds 1 of .*take them in float32"):
        convert(tmp_path / "hydra.ckpt", base, tmp_path / "out", num_attention_heads=2, top_k=2, dtype=torch.float16)
    with pytest.raises(CheckpointError, match=r"--heads 0: expected 1 or more"):
        convert(checkpoint, base, tmp_path / "out", num_attention_heads=0)
