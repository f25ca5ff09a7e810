"""The bar: what it counts on a terminal, and that it is silent elsewhere."""

from io import StringIO

import pytest
from rich.console import Console

from outofsight.progress import counted, progress


def _console(terminal: bool) -> tuple[Console, StringIO]:
    told = StringIO()
    return Console(file=told, force_terminal=terminal, width=100, color_system=None), told


def test_a_terminal_is_told_the_count_from_where_it_began() -> None:
    console, told = _console(True)
    with progress("clips", 9, initial=4, console=console) as advance:
        advance()
        advance(2, "clips, 1 skipped")
    assert "clips, 1 skipped" in told.getvalue() and "7/9" in told.getvalue()


@pytest.mark.parametrize(("terminal", "shown"), [(False, True), (True, False)])
def test_nothing_is_written_elsewhere_or_when_not_asked_for(terminal: bool, shown: bool) -> None:
    console, told = _console(terminal)
    with progress("clips", 3, shown=shown, console=console) as advance:
        advance()
        advance(2)
    assert told.getvalue() == ""


def test_counted_gives_every_item_and_counts_it() -> None:
    console, told = _console(True)
    assert list(counted("abc", "steps", 5, initial=2, console=console)) == ["a", "b", "c"]
    assert "5/5" in told.getvalue()


def test_bytes_are_told_in_larger_units() -> None:
    console, told = _console(True)
    with progress("weights", 4_000_000, in_bytes=True, console=console) as advance:
        advance(2_000_000)
    assert "2.0/4.0 MB" in told.getvalue()
