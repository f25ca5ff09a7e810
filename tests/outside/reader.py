"""A reader of clips from outside of the package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from outofsight.clips import Clip
from outofsight.datasets import LayoutReport, Reader, read_clip, register_reader


def find(root: Path) -> LayoutReport | None:
    names = (root / "list.txt").read_text().splitlines() if (root / "list.txt").is_file() else []
    return LayoutReport("listed", root, tuple(names)) if names else None


def opened(root: Path) -> Callable[[str], Clip]:
    return lambda name: replace(read_clip(root / "elsewhere" / name), caption=f"listed {name}")


register_reader(Reader("listed", "list.txt with the names of clips in elsewhere/", find, opened))
