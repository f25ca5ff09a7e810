"""A memory that is a picture: what the context's pixels and cameras say that the target looks like.

``renderer.py`` puts it together from a plane sweep of what stands still (``sweep.py``) and from who moves, found
(``finder.py``), followed over the ground (``tracks.py``, ``follower.py``) and extrapolated (``motion.py``). The
transformer is told its latents (``conditioning.py``) and generates from there.
"""

from __future__ import annotations

from .conditioning import condition, nothing_rendered
from .finder import SubjectFinder
from .renderer import MAPS, RENDERER, Rendered, render
from .truth import Truth

__all__ = ["MAPS", "RENDERER", "Rendered", "SubjectFinder", "Truth", "condition", "nothing_rendered", "render"]
