"""Fingerprints: what tells values apart, and those that folders on disk were marked with before."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from outofsight.clips import Clip
from outofsight.evaluation.clip import eval_clip
from outofsight.evaluation.work import file_name
from outofsight.fingerprints import value_hash, value_seed
from outofsight.generation.record import Settings, fingerprint
from outofsight.io import sha256_array
from outofsight.training.hashes import finder_hash, tensors_hash
from outofsight.training.sources import clip_digest
from outofsight.training.validate import clip_noise
from pipelines import FPS, cameras, frames


def test_text_bytes_and_plain_values() -> None:
    assert value_hash(["abc"]) == value_hash([b"a", "bc"]) == hashlib.sha256(b"abc").hexdigest()
    assert value_hash([{"b": 1, "a": [2, None]}]) == hashlib.sha256(b'{"a": [2, null], "b": 1}').hexdigest()
    assert value_hash([{"b": 1, "a": 2}]) == value_hash([{"a": 2, "b": 1}]) != value_hash([{"a": 1, "b": 2}])
    with pytest.raises(TypeError):
        value_hash([{1, 2}])  # a set has no order


def test_arrays_count_with_their_type_and_shape() -> None:
    numbers = np.arange(6, dtype=np.float32)
    found = {value_hash([x]) for x in (numbers, numbers.reshape(2, 3), numbers.astype(np.float64), numbers[::-1])}
    assert len(found) == 4 and value_hash([numbers]) == sha256_array(numbers)
    assert value_hash([numbers.reshape(2, 3).T]) == value_hash([numbers.reshape(2, 3).T.copy()])


def test_seeds_are_of_63_bits_and_of_the_text_alone() -> None:
    seeds = [value_seed(f"3:{number}") for number in range(200)]
    assert len(set(seeds)) == 200 and min(seeds) >= 0 and 1 << 62 < max(seeds) < 1 << 63
    assert value_seed("3:0") == seeds[0]


def test_tensors_by_name_dtype_and_shape() -> None:
    one, two = torch.arange(6).float(), torch.arange(6)
    assert tensors_hash({"a": one, "b": two}) == tensors_hash({"b": two, "a": one})
    told = {tensors_hash(x) for x in ({"a": one}, {"a": two}, {"b": one}, {"a": one.reshape(2, 3)}, {"a": one.half()})}
    assert len(told) == 5
    assert finder_hash(None) == ""


def test_marks_of_earlier_versions_stay_what_they_were(tmp_path: Path) -> None:
    """Latents, runs and benchmarks on disk are known by these (a run's mark is another since settings have a chunk)."""
    tensors = {"b": torch.arange(6).reshape(2, 3).to(torch.bfloat16), "a": torch.tensor([1.5])}
    halves = [frames(9, 32, 48, seed=seed) for seed in (1, 10)]
    made = Clip("clip", "caption of clip", *cameras(9), *halves, fps=FPS)
    assert [
        tensors_hash(tensors)[:16],
        clip_digest(made)[:16],
        fingerprint(Settings(), {"prompt": "x"}, {"name": "m", "files": {}})[:16],
        file_name("mark", True, "row", {"clip": "1"})[:16],
        eval_clip(made, tmp_path).digest[:16],
    ] == ["dae410fcd8d0ebb3", "83988e5438304d0e", "01cbfcc81f52a3ad", "f0f5703a0012a459", "1fca67a2e276e587"]
    torch.testing.assert_close(clip_noise("clip-000", 3, (2,)), torch.tensor([-0.8588, -1.1000]), atol=1e-4, rtol=0)
