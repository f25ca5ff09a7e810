"""Parts of bodies: closed tubes, weights by the names of bones, colours."""

from __future__ import annotations

import numpy as np
import pytest

from outofsight.worlds.engine.gait import limb
from outofsight.worlds.engine.geometry import polar
from outofsight.worlds.engine.noise import noise, smoothstep
from outofsight.worlds.engine.tubes import BodyBuilder, Grid, bands

BONES = ("root", "knee", "toe")


def test_a_tube_is_closed_and_has_its_volume() -> None:
    builder = BodyBuilder(BONES)
    rows = [(0, 0, z, 0.5, 0.5) for z in (0.0, 1.0, 2.0)]
    builder.tube(rows, "knee", (0.2, 0.4, 0.6), rings=9, segments=40, tangent=(0, 0, 1))
    places, colours, faces, bones, weights = builder.finish()
    corner = places[faces]
    area = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]) / 2
    np.testing.assert_allclose(area.sum(axis=0), 0.0, atol=1e-12)
    volume = np.einsum("ti,ti->", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])) / 6
    assert volume == pytest.approx(40 / 2 * np.sin(2 * np.pi / 40) * 0.25 * 2)
    np.testing.assert_allclose(colours, np.tile([0.2, 0.4, 0.6], (len(places), 1)))
    assert (bones[:, 0] == 1).all() and (weights[:, 0] == 1).all()


def test_a_chain_passes_from_bone_to_bone() -> None:
    builder = BodyBuilder(BONES)
    grid = Grid(np.array([0.0, 1.0, 1.5, 2.0]), np.zeros(4), np.zeros((4, 3)))
    weights = builder.chain(["toe", "root"], [1.5], 0.25)(grid)
    np.testing.assert_allclose(weights, [[0, 0, 1], [0, 0, 1], [0.5, 0, 0.5], [1, 0, 0]])
    with pytest.raises(ValueError):
        builder.chain(["elbow"], [])


def test_bands_change_colour_at_their_stations() -> None:
    grid = Grid(np.array([0.0, 0.99, 1.0, 3.0]), np.array([0.0, 1.0, 4.0, 6.0]), np.zeros((4, 3)))
    painted = bands((0.0, (1.0, 0.0, 0.0)), (1.0, (0.0, 1.0, 0.0)))(grid)
    assert painted[:, 0].tolist() == [1.0, 1.0, 0.0, 0.0]
    np.testing.assert_allclose(grid.turn, [0.0, 1.0, 2 * np.pi - 4.0, 2 * np.pi - 6.0])


def test_small_helpers() -> None:
    assert smoothstep(np.array([-1.0, 0.0, 0.25, 0.5, 1.0, 2.0])).tolist() == [0.0, 0.0, 0.15625, 0.5, 1.0, 1.0]
    assert polar(2.0, np.pi / 2, 0.3) == pytest.approx([0.0, 2.0, 0.3])
    assert limb("fl") == ("fl_hip", "fl_knee", "fl_ankle", "fl_toe")
    field = noise(3)
    assert field.shape == (256, 256) and abs(field.mean()) < 1e-12 and field.std() == pytest.approx(1.0)
