"""Whom a run tells how far it is; the command line has one that prints, this one keeps quiet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..sampling import DenoiseStep


class Reporter:
    """Hears of a run; every method may be overridden."""

    bars = False  # whether parts of a run show bars of their own

    def note(self, text: str) -> None:
        """Something that the user should know."""

    def result(self, text: str) -> None:
        """What was made."""

    def failed(self, text: str) -> None:
        """One of many videos could not be made."""

    def step(self, label: str, step: DenoiseStep) -> None:
        """A denoising step is done."""
