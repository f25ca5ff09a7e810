"""The pictures in the package: all there, small, and what they say of themselves."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest

from outofsight.errors import WorldsError
from outofsight.worlds.catalogue import CATALOGUE
from outofsight.worlds.engine.plan import split_families, split_subjects
from outofsight.worlds.small.assets import (
    COLUMNS,
    GAIT,
    ROWS,
    decode_distance,
    encode_distance,
    load_panorama,
    load_walk,
    panorama_names,
    walk_names,
)


def test_all_families_and_subjects_are_there_in_their_split() -> None:
    for split in ("train", "test"):
        families = [load_panorama(name).family for name in panorama_names(split)]
        assert set(families) == set(split_families(CATALOGUE, split)) and len(families) == 2 * len(set(families))
        assert set(walk_names(split)) == set(split_subjects(CATALOGUE, split))
    folder = resources.files("outofsight.worlds.small") / "pictures"
    assert sum(len(file.read_bytes()) for file in folder.iterdir()) < 3_000_000


def test_panoramas_close_and_know_the_ground_and_the_sky() -> None:
    for name in panorama_names("train"):
        made = load_panorama(name)
        assert made.colours.shape == (ROWS, COLUMNS, 3) and made.distance.shape == (ROWS, COLUMNS)
        inner = np.abs(np.diff(made.colours, axis=1)).mean(axis=(0, 2))
        assert np.abs(made.colours[:, 0] - made.colours[:, -1]).mean() <= inner.max(), name
        # the ground at the foot of the picture is where an eye 1.5 m high sees it
        slope = (ROWS / 2 - 0.5) * 2 * np.pi / COLUMNS
        assert np.median(made.distance[-1]) == pytest.approx(1.5 / slope, rel=0.25), name
        assert 0 < made.light < 1


def test_distances_survive_their_code() -> None:
    metres = np.array([0.6, 1.0, 4.4, 30.0, 150.0, np.inf])
    np.testing.assert_allclose(decode_distance(encode_distance(metres)), metres, rtol=0.013)


def test_walks_move_their_legs_and_are_of_their_height() -> None:
    for name in (*walk_names("train"), *walk_names("test")):
        walk = load_walk(name)
        count, high, _, _ = walk.frames.shape
        assert count == GAIT + 1 and walk.height == CATALOGUE.subjects[name].height
        alpha = walk.frames[..., 3]
        assert alpha.max() == 1 and (walk.frames[..., :3] <= alpha[..., None] + 1e-6).all()
        top = np.flatnonzero((alpha[-1] > 0.5).any(axis=1))[0]
        assert (high - walk.below - top) / walk.texels == pytest.approx(walk.height, rel=0.2), name
        assert np.abs(walk.frames[1:GAIT] - walk.frames[0]).max() > 0.3, name


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(WorldsError, match="no panoramas called 'moon-1'; it has brick_street-1"):
        load_panorama("moon-1")
