"""The report: a static page on which anyone can see what a model recalled."""

from __future__ import annotations

from .collect import collect
from .given import Given
from .page import render
from .report import write_reports

__all__ = ["Given", "collect", "render", "write_reports"]
