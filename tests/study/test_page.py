"""docs/results.md: made from stored values alone, every run in it, nothing claimed that was not decided."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from study_values import floors, run_values

from outofsight.errors import StudyError
from outofsight.evaluation.bootstrap import Interval
from outofsight.study.page import write_page
from outofsight.study.plots import curves_svg, dots_svg
from outofsight.study.values import save_unfinished

SVG = "{http://www.w3.org/2000/svg}"


def line_of(page: str, start: str) -> list[str]:
    """Cells of the table line that begins with this label."""
    line = next(line for line in page.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture
def values(tmp_path: Path) -> Path:
    folder = tmp_path / "docs" / "results"
    for seed in range(3):
        for row, gain in (("full", 0.0), ("fov", 1.0), ("hydra", 0.5)):
            run_values(row, seed, gain).save(folder)
    run_values("hydra-k2", 0, 0.2).save(folder)
    floors().save(folder)
    return folder


def test_a_page_of_all_that_was_run(values: Path) -> None:
    save_unfinished(values, {"fov-seed9": "begun, 40 steps", "fov-seed0": "begun, 600 steps"})  # the one is done now
    page = write_page(values, values.parent / "results.md").read_text()
    held = line_of(page, "HyDRA beats full context")
    assert held[1] == "20.357 against 18.696" and held[2].startswith("+0.5") and held[-1] == "**held**"
    assert re.fullmatch(r"\+0\.\d\d, \+0\.\d\d, \+0\.\d\d", held[3])
    assert line_of(page, "HyDRA beats recall of whole frames by FOV overlap")[-1] == "**did not hold**"
    few = line_of(page, "recalling fewer tokens is worse")
    assert few[-1] == "undecided" and "(1 seed)" in few[2]
    assert line_of(page, "affinity beats FOV overlap as the way to choose tokens")[-1] == "not run"
    assert '"HyDRA beats full context and FOV overlap in the re-entered phase": did not hold.' in page
    row = line_of(page, "HyDRA")
    assert row[1].startswith("15.25 [") and row[3].startswith("15.50 [")  # 15 + gain / 2, 15 + gain
    assert row[5:8] == ["25 %", "50 %", "25 %"] and row[8] == "75 % (chance 50)"
    assert row[9:] == ["3", "1.20 M", "1.50"]
    assert line_of(page, "best view copied")[3].startswith("10.0")
    runs = page.split("## Every run")[1].split("Missing:")[0]
    assert sum(line.startswith("| ") for line in runs.splitlines()) - 1 == 10
    missing = page.split("Missing:")[1].split("## ")[0]
    assert "HyDRA, K = 2 (2 of 7 tokens): seeds 1, 2 not run" in missing and "K = all" in missing
    assert (
        "fov-seed9: begun, 40 steps, no values" in missing
        and "full context" not in missing
        and "fov-seed0" not in missing
    )
    assert "600 steps of 4 clips" in page and "micro.py`):" in page


def test_the_same_values_make_the_same_page(values: Path) -> None:
    page = values.parent / "results.md"
    before = write_page(values, page).read_bytes(), (values / "rows.svg").read_bytes()
    assert (write_page(values, page).read_bytes(), (values / "rows.svg").read_bytes()) == before
    run_values("hydra", 0, 0.7).save(values)
    assert write_page(values, page).read_bytes() != before[0]


def test_pictures_of_the_page_are_there(values: Path) -> None:
    page = write_page(values, values.parent / "results.md")
    shown = re.findall(r"\]\((results/\w+\.svg)\)", page.read_text())
    assert len(shown) == 3 and all((page.parent / name).is_file() for name in shown)


def test_the_page_says_what_was_set_otherwise(tmp_path: Path) -> None:
    run = run_values("full", 5)
    replace(run, settings={**run.settings, "steps": 30, "batch_size": 2}).save(tmp_path / "results")
    page = write_page(tmp_path / "results", tmp_path / "results.md").read_text()
    assert "with steps=30): " in page and "30 steps of 2 clips with 2 noisy targets" in page
    assert "- full context (every frame sees every frame): seeds 0, 1, 2 not run" in page
    assert "not yet run" in page


def test_clips_in_which_nobody_comes_back(tmp_path: Path) -> None:
    for row in ("full", "hydra"):
        run = run_values(row, 0)
        clips = {name: {**scores, "psnr re-entered": None} for name, scores in run.clips.items()}
        replace(run, clips=clips).save(tmp_path / "results")
    page = write_page(tmp_path / "results", tmp_path / "results.md").read_text()
    assert line_of(page, "HyDRA beats full context")[-1] == "undecided"
    assert "no values" in (tmp_path / "results" / "rows.svg").read_text()


def test_values_elsewhere_and_no_values(values: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="beside or below"):
        write_page(values, tmp_path / "other" / "results.md")
    with pytest.raises(StudyError, match="no finished run"):
        write_page(tmp_path / "none", tmp_path / "results.md")


def test_dots_lie_where_their_values_say() -> None:
    svg = ET.fromstring(
        dots_svg(
            "t", {"a <b>": Interval(1.0, 0.0, 2.0, 5), "c": Interval(3.0, 3.0, 3.0, 5)}, {"a <b>": [0.5]}, {"z": 4.0}
        )
    )
    bars = [line for line in svg.iter(f"{SVG}line") if line.get("stroke-width") == "3"]
    low, high = float(bars[0].get("x1", "nan")), float(bars[0].get("x2", "nan"))
    squares = [float(r.get("x", "nan")) + 5 for r in svg.iter(f"{SVG}rect") if r.get("height") == "10"]
    assert squares[0] == pytest.approx((low + high) / 2, abs=0.2)
    assert squares[1] == pytest.approx(low + 1.5 * (high - low), abs=0.2)
    circle = next(svg.iter(f"{SVG}circle"))
    assert float(circle.get("cx", "nan")) == pytest.approx(low + 0.25 * (high - low), abs=0.2)
    assert "a <b>" in {text.text for text in svg.iter(f"{SVG}text")}


def test_curves_are_means_of_their_runs() -> None:
    runs = [[(10.0, 1.0), (20.0, 3.0)], [(10.0, 3.0), (20.0, 5.0), (30.0, 9.0)]]
    svg = ET.fromstring(curves_svg("t", {"one": runs, "flat": [[(10.0, 2.0), (20.0, 4.0)]]}))
    lines = [line.get("points") for line in svg.iter(f"{SVG}polyline")]
    assert lines[0] == lines[2] and len(lines[0].split()) == 2  # type: ignore[union-attr]
    assert "no values" in curves_svg("t", {"one": [[]]})


def test_the_page_in_docs_is_that_of_its_values(tmp_path: Path) -> None:
    docs = Path(__file__).resolve().parents[2] / "docs"
    shutil.copytree(docs / "results", tmp_path / "results", ignore=shutil.ignore_patterns("*.svg"))
    page = write_page(tmp_path / "results", tmp_path / "results.md")
    assert page.read_text() == (docs / "results.md").read_text()
    for plot in (docs / "results").glob("*.svg"):
        assert (tmp_path / "results" / plot.name).read_text() == plot.read_text()
