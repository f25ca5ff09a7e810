"""The seventeen scene families."""

from __future__ import annotations

from .common import Family
from .country import COUNTRY
from .leisure import LEISURE
from .town import TOWN
from .works import WORKS

FAMILIES: dict[str, Family] = {family.name: family for family in (*TOWN, *COUNTRY, *WORKS, *LEISURE)}
