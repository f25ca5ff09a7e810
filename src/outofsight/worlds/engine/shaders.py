"""The shading programs of the renderer: GLSL 3.30, one file for each stage, in glsl/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "glsl"


def program(context: Any, name: str, **values: int) -> Any:
    """The program of this name, compiled; values: what stands in its ``#define`` lines behind ``#version``."""
    stages = []
    for stage in ("vert", "frag"):
        version, rest = (_FOLDER / f"{name}.{stage}").read_text(encoding="utf-8").split("\n", 1)
        stages.append("\n".join([version, *(f"#define {key} {value}" for key, value in values.items()), rest]))
    return context.program(vertex_shader=stages[0], fragment_shader=stages[1])
