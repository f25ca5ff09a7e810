"""The one reader of JSON and the one check of what was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
from annotated_types import Ge

from outofsight.errors import LayoutError
from outofsight.records import fitted, fitted_values, parse_json, read_json, read_object


@dataclass(frozen=True)
class Inner:
    __pydantic_config__: ClassVar = {"extra": "forbid"}

    count: Annotated[int, Ge(1)]
    share: float | None = None
    pair: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Outer:
    inner: Inner
    facts: Mapping[str, Any] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 50_000, "nested too deeply"),
        ('{"a":' * 50_000, "nested too deeply"),
        ('{"a": NaN}', "it holds NaN, which is no number"),
        ('{"a": -Infinity}', "it holds -Infinity"),
        ('{"a": 1e999}', "it holds 1e999, which is too large"),
        ('{"a": 1, "b": 2, "a": 3}', 'the key "a" occurs twice'),
        ("1" * 5000, "not a JSON file of ours"),
        ('{"a": 1', "line 1"),
        (b"\xff\xfe\xfa", "not UTF-8 text|not a JSON file"),
    ],
)
def test_json_that_is_refused(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(LayoutError, match=rf"^here: .*({words}).*; mend it$"):
        parse_json(text, "here", LayoutError, "mend it")
    file = tmp_path / "x.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LayoutError, match=words):
        read_json(file, LayoutError)


def test_files_that_are_read(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(b'\xef\xbb\xbf{"a": [1, 2.5, null]}')  # with Notepad's mark
    assert read_json(file, LayoutError) == read_object(file, LayoutError) == {"a": [1, 2.5, None]}
    file.write_text("[]")
    with pytest.raises(LayoutError, match=r"x\.json: it holds \[\], expected"):
        read_object(file, LayoutError)
    with pytest.raises(LayoutError, match=r"none\.json: cannot be read \(No such file"):
        read_json(tmp_path / "none.json", LayoutError)


def test_a_record_is_made_of_what_fits() -> None:
    made = fitted(Outer, {"inner": {"count": 2, "share": 1, "pair": [0, 1]}, "facts": {"x": [1]}}, "f", LayoutError)
    assert made == Outer(Inner(2, 1.0, (0.0, 1.0)), {"x": [1]})
    assert type(made.inner.share) is float and type(made.inner.pair) is tuple


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"inner": {"count": 0}}, "inner.count is 0, expected greater than or equal to 1"),
        ({"inner": {"count": True}}, "inner.count is True, expected a valid integer"),
        ({"inner": {"count": "2"}}, "inner.count is '2'"),
        ({"inner": {"count": 2.0}}, "inner.count is 2.0"),
        ({"inner": {"count": 2, "share": "x"}}, "inner.share is 'x', expected a valid number"),
        ({"inner": {"count": 2, "pair": [1, 2, 3]}}, "inner.pair is"),
        ({"inner": {"count": 2, "colour": 1}}, "inner.colour is unknown"),
        ({"inner": {}}, "inner.count is missing"),
        ({"inner": {"count": 2}, "facts": [1]}, r"facts is \[1\], expected an object"),
        ([], "expected an object"),
        (None, "it holds None"),
    ],
)
def test_what_does_not_fit_is_named(content: Any, words: str) -> None:
    with pytest.raises(LayoutError, match=rf"^f\.json: .*{words}.*; do this$"):
        fitted(Outer, content, "f.json", LayoutError, "do this")


def test_python_values_are_held_to_the_same() -> None:
    value = {"rows": [[1.0, float("nan")]], "any": object()}
    assert fitted_values(dict[str, Any], value, "f", LayoutError) == value
    with pytest.raises(LayoutError, match=r"f: 0\.1 is 'x', expected a valid number"):
        fitted_values(list[list[float]], [[1.0, "x"]], "f", LayoutError)
