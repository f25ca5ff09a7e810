"""The 49 subjects: what they are, their bodies, and how these move."""

from __future__ import annotations

from ....errors import WorldsError
from ...engine.catalogue import SubjectSpec
from ...engine.skinning import Body
from .birds import build_bird
from .catalogue import SUBJECTS, SUBJECTS_BY_NAME
from .humans import build_human
from .quadrupeds import build_quadruped

__all__ = ["SUBJECTS", "SUBJECTS_BY_NAME", "build_body"]


def build_body(spec: SubjectSpec) -> Body:
    """The skinned mesh and skeleton of a subject; the same spec gives the same arrays.

    Raises WorldsError for a kind of subject that there is not.
    """
    builders = {"human": build_human, "quadruped": build_quadruped, "bird": build_bird}
    if spec.kind not in builders:
        raise WorldsError(f"subject {spec.name}: no kind {spec.kind!r}; there are {', '.join(builders)}")
    return builders[spec.kind](spec)
