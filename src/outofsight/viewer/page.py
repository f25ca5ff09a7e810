"""The page: one file of HTML, style, scripts and data, which opens from disk and loads nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib.resources import files

from .data import Report

GENERATOR = "outofsight view"
# in the order in which they rely on one another
SCRIPTS = (
    "data.js",
    "time.js",
    "memory.js",
    "panels.js",
    "recall.js",
    "recalled.js",
    "ground.js",
    "curves.js",
    "page.js",
)
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def render(report: Report) -> str:
    """The whole page. Names and prompts come from files, so nothing of them can become markup."""
    scripts = [_part(name) for name in SCRIPTS]
    style = _part("page.css")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_source(style)}; "
        f"script-src {' '.join(_source(script) for script in scripts)}; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "POLICY": policy,
        "GENERATOR": GENERATOR,
        "TITLE": html.escape(report.title),
        "STYLE": style,
        "DATA": embedded_json(report.to_json()),
        "SCRIPTS": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _part("page.html"))


def embedded_json(content: object) -> str:
    """JSON that can be put in a script element: none of it can end that element, or open another.

    Raises ValueError for NaN and infinite numbers.
    """
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&]", lambda match: _ESCAPES[match[0]], text)


def _part(name: str) -> str:
    return files(__package__).joinpath("page", name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    """What a content security policy calls an inline part."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def render_index(title: str, items: str) -> str:
    """A page of links; items: list items, escaped already."""
    style = _part("page.css")
    parts = {
        "POLICY": f"default-src 'none'; img-src data:; style-src {_source(style)}",
        "GENERATOR": GENERATOR,
        "TITLE": html.escape(title),
        "STYLE": style,
        "ITEMS": items,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _part("index.html"))
