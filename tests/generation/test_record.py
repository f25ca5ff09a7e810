"""The run record: what it holds, when two runs are the same, and files that are whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limits import file_size_limit
from outofsight.errors import CheckpointError, LayoutError, OutputError
from outofsight.generation.outputs import OutputPaths, check_folder_writable, check_writable, load_partial, save_partial
from outofsight.generation.record import (
    Machine,
    RunRecord,
    Settings,
    Sources,
    file_mark,
    fingerprint,
    model_identity,
    read_record,
    replay_differences,
)
from outofsight.io import replacing, sha256_array, sha256_file, write_json
from outofsight.pipeline import PartialRun

INPUTS = {"context video": "a" * 64, "prompt": "b" * 64}
MODEL = {"name": "m", "folder": "/m", "files": {"vae/x.safetensors": "c" * 64}}
OTHER = {int: 3, float: 0.5, bool: True, str: "other"}


def record(**changes: Any) -> RunRecord:
    whole = {
        "settings": Settings(guidance_interval=(0.1, 0.9), height=64),
        "sources": Sources(context="/clip.mp4", pose="left-3"),
        "machine": Machine(),
        "seed": 7,
        "trace": True,
        "inputs": {"sha256": INPUTS},
        "model": MODEL,
        "fingerprint": "f",
    }
    return RunRecord(**{**whole, **changes})


# --- records --------------------------------------------------------------------------------------------------


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = record(seconds={"denoise": 1.5}, outputs={"video": {"sha256": "0"}}, versions={"torch": "x"})
    write_json(tmp_path / "run.json", written.to_json())
    assert read_record(tmp_path / "run.json") == written


# a value of another kind or range, by its place in a record, and what is said of it
IMPOSSIBLE = [
    ("settings.num_inference_steps", "ten", "settings.num_inference_steps is 'ten', expected a valid integer"),
    ("settings.num_inference_steps", 10**10, "settings.num_inference_steps is 10000000000"),
    ("settings.num_inference_steps", 0, "settings.num_inference_steps is 0"),
    ("settings.guidance_interval", [0, 1, 2], "settings.guidance_interval is"),
    ("settings.dtype", "load", "settings.dtype is 'load', expected 'float32', 'bfloat16' or 'float16'"),
    ("settings.numerics", "fast", "settings.numerics is 'fast'"),
    ("settings.shift", 0, "settings.shift is 0"),
    ("settings.pad", "yes", "settings.pad is 'yes'"),
    ("sources.clip", 5, "sources.clip is 5, expected a valid string"),
    ("sources.prompt", "\ud800", "surrogate|unexpected end of hex escape"),
    ("machine.compile", 1, "machine.compile is 1"),
    ("seed", -1, "seed is -1"),
    ("seed", 1.5, "seed is 1.5"),
    ("outputs", [], r"outputs is \[\], expected an object"),
    ("outputs", {"video": 3}, "outputs.video is 3"),
    ("outputs", {"trace": {}}, "outputs.video: .*sha256"),
    ("inputs", {"sha256": []}, r"inputs: sha256 is \[\]"),
    ("model", {"name": "m", "files": {"x": 1}}, "model: files.x is 1"),
    ("model", {"name": "m", "folder": 5, "files": {}}, "model: folder is 5"),
]


def changed(name: str, value: Any) -> dict[str, Any]:
    content = json.loads(json.dumps(record().to_json()))
    *outer, last = name.split(".")
    (content[outer[0]] if outer else content)[last] = value
    return content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not a JSON file"),
        ('{"format": NaN}', "NaN"),
        ("[]", "not a run record"),
        ('{"format": "outofsight run 0"}', "outofsight run 0"),
        ('{"format": "outofsight run 1"}', "missing"),
        (json.dumps({**record().to_json(), "settings": {"colour": 1}}), "settings.colour is unknown"),
        (json.dumps({**record().to_json(), "seed": "x"}), "seed is 'x', expected a valid integer"),
        (json.dumps({**record().to_json(), "model": {}}), "files"),
        ('{"format":' * 50_000, "nested too deeply"),
        *((json.dumps(changed(name, value)), shown) for name, value, shown in IMPOSSIBLE),
    ],
)
def test_broken_records_are_refused(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(LayoutError, match=words):
        read_record(tmp_path / "run.json")


def test_no_record_is_said(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"none\.json"):
        read_record(tmp_path / "none.json")


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_every_setting_is_part_of_the_fingerprint(name: str) -> None:
    before = Settings()
    value = getattr(before, name)
    other = (0.2, 0.8) if isinstance(value, tuple) else True if value is False else OTHER.get(type(value), 48)
    changed = replace(before, **{name: other})
    assert changed != before
    assert fingerprint(changed, INPUTS, MODEL) != fingerprint(before, INPUTS, MODEL)


def test_inputs_and_weights_are_part_of_the_fingerprint_and_places_are_not() -> None:
    one = fingerprint(Settings(), INPUTS, MODEL)
    assert one == fingerprint(Settings(), dict(reversed(INPUTS.items())), {**MODEL, "name": "n", "folder": "/n"})
    assert one != fingerprint(Settings(), {**INPUTS, "prompt": "d" * 64}, MODEL)
    assert one != fingerprint(Settings(), INPUTS, {**MODEL, "files": {"vae/x.safetensors": "d" * 64}})
    random = [{"name": name, "folder": None, "files": {}} for name in ("random:a", "random:b")]
    assert fingerprint(Settings(), INPUTS, random[0]) != fingerprint(Settings(), INPUTS, random[1])


def test_replay_names_what_differs() -> None:
    assert replay_differences(record(), INPUTS, MODEL) == []
    told = replay_differences(record(), {**INPUTS, "prompt": "d" * 64}, {**MODEL, "files": {"y": "e"}})
    assert "the prompt is another one" in told[0]
    assert "2 of the model's files differ: vae/x.safetensors, y" in told[1]
    told = replay_differences(record(), {"prompt": INPUTS["prompt"]}, {"name": "random:x", "folder": None, "files": {}})
    assert "absent" in told[0]
    assert "random:x" in told[1]


def test_model_identity_reads_all_that_decides(tmp_path: Path) -> None:
    for name in ("vae/config.json", "vae/w.safetensors", "tokenizer/vocab.txt", "README.md", ".git/HEAD"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    identity = model_identity("m", tmp_path)
    assert sorted(identity["files"]) == ["tokenizer/vocab.txt", "vae/config.json", "vae/w.safetensors"]
    # sha256sum of the text "vae/config.json"
    assert identity["files"]["vae/config.json"] == hashlib.sha256(b"vae/config.json").hexdigest()
    (tmp_path / "vae/w.safetensors").write_text("other")
    assert model_identity("m", tmp_path) != identity


def test_the_mark_of_a_large_file_reads_little_and_sees_other_weights(tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in "abc")
    values = np.random.default_rng(0).standard_normal(1 << 20, np.float32)
    values.tofile(one)
    (values + np.float32(1e-3)).tofile(two)  # every value is a little another, as after a training step
    values[:-1].tofile(three)
    marks = [file_mark(path) for path in (one, two, three)]
    assert all(mark.startswith("sampled ") for mark in marks) and len(set(marks)) == 3
    assert file_mark(one) == marks[0]


def test_array_hash_sees_shape_type_and_order() -> None:
    array = np.arange(6, dtype=np.uint8)
    kinds = [array, array.reshape(2, 3), array.reshape(2, 3).T, array.astype(np.int16)]
    assert len({sha256_array(kind) for kind in kinds}) == 4
    assert sha256_array(array.reshape(2, 3)) == sha256_array(np.asfortranarray(array.reshape(2, 3)))


# --- files ----------------------------------------------------------------------------------------------------


def test_names_of_what_lies_beside_a_video() -> None:
    paths = OutputPaths(Path("a/out.v2.mp4"))
    assert [p.name for p in (paths.record, paths.trace, paths.partial, paths.preview)] == [
        "out.v2.run.json", "out.v2.trace.npz", "out.v2.partial.safetensors", "out.v2.partial.mp4"
    ]  # fmt: skip


def test_replacing_is_all_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "new" / "x.json"
    write_json(target, {"a": 1})

    def break_off() -> None:
        with replacing(target) as beside:
            beside.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        break_off()
    assert json.loads(target.read_text()) == {"a": 1}
    with pytest.raises(ValueError, match="JSON"):
        write_json(target, {"a": float("nan")})
    assert [p.name for p in target.parent.iterdir()] == ["x.json"]
    assert target.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path) -> None:
    with file_size_limit(1000), pytest.raises(OutputError, match=r"x\.json.*nothing of it was kept"):
        write_json(tmp_path / "x.json", ["y" * 5000])
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check_writable(tmp_path / "not" / "yet" / "there.mp4")
    for path, words in (
        (tmp_path / "out.avi", r"end in \.mp4"),
        (tmp_path / "file" / "out.mp4", "cannot write"),
        (Path("/proc/nothing/out.mp4"), "cannot write"),
    ):
        with pytest.raises(OutputError, match=words):
            check_writable(path)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_writable(tmp_path / "folder.mp4")
    check_folder_writable(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.mp4"]


def test_partial_runs_are_kept_for_their_own_settings(tmp_path: Path) -> None:
    path = tmp_path / "out.partial.safetensors"
    assert load_partial(path, "mark") is None
    partial = PartialRun(torch.randn(1, 4, 2, 3, 3), 2, 5, 2**40 + 1, torch.randn(1, 4, 2, 3, 3))
    save_partial(path, partial, "mark")
    loaded = load_partial(path, "mark")
    assert loaded is not None
    assert torch.equal(loaded.latents, partial.latents)
    assert loaded.clean_estimate is not None
    assert (loaded.step, loaded.steps, loaded.seed) == (2, 5, 2**40 + 1)
    assert load_partial(path, "another") is None
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match="remove it"):
        load_partial(path, "mark")


def test_sha256_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert sha256_file(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
