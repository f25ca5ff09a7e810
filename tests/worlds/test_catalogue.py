"""The engine works with any catalogue: families and subjects from outside the package."""

from __future__ import annotations

import dataclasses

import pytest

from outofsight.errors import WorldsError
from outofsight.worlds.catalogue import CATALOGUE
from outofsight.worlds.engine.catalogue import Catalogue
from outofsight.worlds.engine.plan import lay_out, plan_clip
from outofsight.worlds.engine.scene import Scene, SceneLayout


class Meadow:
    """A flat place with nothing on it."""

    def layout(self, seed: int) -> SceneLayout:
        return SceneLayout("meadow", seed, (-15.0, -15.0, 15.0, 15.0), (), "noon", {"place": "a meadow"}, {})

    def build(self, layout: SceneLayout) -> Scene:
        raise NotImplementedError


def test_a_family_and_subjects_from_outside_are_planned() -> None:
    spec = dataclasses.replace(CATALOGUE.subjects["human_02"], name="visitor")
    outside = Catalogue({f"meadow {number}": Meadow() for number in range(5)}, {"visitor": spec})
    plan = plan_clip(outside, 4, 0, subjects=1)
    assert [subject.name for subject in plan.subjects] == ["visitor"]
    staging = lay_out(outside, dataclasses.replace(plan, family="meadow 2"))
    assert staging.specs == (spec,) and staging.verdict(0).returns and staging.shot.name == plan.camera.shot


def test_names_and_seeds_are_checked() -> None:
    with pytest.raises(WorldsError, match=r"no scene family 'moon': expected one of brick_street"):
        CATALOGUE.layout_scene("moon", 1)
    with pytest.raises(WorldsError, match=r"scene seed 1\.5: expected a whole number"):
        CATALOGUE.layout_scene("park", 1.5)  # type: ignore[arg-type]
    strange = dataclasses.replace(CATALOGUE.layout_scene("park", 1), family="moon")
    with pytest.raises(WorldsError, match="no scene family 'moon'"):
        CATALOGUE.build_scene(strange)
