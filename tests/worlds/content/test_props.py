"""Props and textures are found by the names of the functions that draw them."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from outofsight.worlds.catalogue import CATALOGUE
from outofsight.worlds.content import drawn, textures
from outofsight.worlds.content.props import prop_named, street
from outofsight.worlds.content.props.base import CORNERS
from outofsight.worlds.engine.geometry import MeshBuilder
from outofsight.worlds.engine.scene import Obstacle

KINDS = sorted({o.kind for name in CATALOGUE.families for o in CATALOGUE.layout_scene(name, 3).obstacles})


def test_only_a_modules_own_public_functions_are_found() -> None:
    found = drawn.public_functions(street.__name__, vars(street))
    assert found["bench"] is street.bench
    assert "shade" not in found and "polar" not in found  # imported
    assert "noise" not in textures.TEXTURES and not any(name.startswith("_") for name in textures.TEXTURES)
    assert len(textures.TEXTURES) == 31


def test_kinds_are_named_in_words() -> None:
    assert prop_named("café table") is street.cafe_table
    assert prop_named("lamp post") is street.lamp_post
    with pytest.raises(KeyError):
        prop_named("volcano")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "cloister wing"])
def test_a_prop_stands_where_its_obstacle_is(kind: str) -> None:
    builder = MeshBuilder()
    with builder.at(100.0, -50.0):
        prop_named(kind)(builder, Random(1), Obstacle(0.0, 0.0, 2.0, 1.5, 0.0, 5.0, kind))
    points = builder.finish().positions
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    assert np.hypot(middle[0] - 100.0, middle[1] + 50.0) < 12.0
    assert 0.1 < points[:, 2].max() < 16.0


def test_corners_go_through_all_signs() -> None:
    assert sorted(CORNERS) == [(x, y) for x in (-1, 1) for y in (-1, 1)]
