"""The catalogue that clips are made from: the scene families and subjects of `content`."""

from __future__ import annotations

from .content.families import FAMILIES
from .content.subjects import SUBJECTS_BY_NAME
from .engine.catalogue import Catalogue

CATALOGUE = Catalogue(FAMILIES, SUBJECTS_BY_NAME)
