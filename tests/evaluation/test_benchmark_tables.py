"""The benchmark: what it refuses, what it marks as partial, and its tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from benchmark_data import (
    NAMES,
    Colours,
    content,
    write_predictions,
)

from held_out import write_data
from outofsight.datasets import read_clip
from outofsight.errors import CheckpointError, OutOfSightError
from outofsight.evaluation import Evaluation, NetworkFolders, PredictionError, evaluate, read_evaluation
from outofsight.evaluation.predictions import Wanted, find_predictions
from outofsight.evaluation.protocols import HM_WORLD
from outofsight.evaluation.tables import latex, markdown, tables, text
from outofsight.video import write_video
from pipelines import frames

# --- bad input --------------------------------------------------------------------------------------------------


def test_all_that_is_wrong_is_told_at_once_and_nothing_written(data: Path, made: Path, tmp_path: Path) -> None:
    place, clip = tmp_path / "bad", read_clip(data, "clip-0").target_video().frames
    (place / "sub").mkdir(parents=True)
    write_video(place / "clip-0.mp4", clip[:-1], 8.0)
    write_video(place / "clip-1.mp4", clip[:, :16], 8.0)
    slow = Path(shutil.copytree(made, tmp_path / "slow"))
    write_video(slow / "clip-1.mp4", clip, 7.0)
    write_video(place / "clip-2.partial.mp4", clip, 8.0)
    for stray in ("extra.mp4", "sub/more.mp4"):
        write_video(place / stray, clip, 8.0)
    with pytest.raises(PredictionError) as told:
        evaluate(place, data, tmp_path / "out" / "result.json", rows={"slow": slow})
    lines = str(told.value).splitlines()
    assert lines[0] == "6 faults: the predictions do not fit the clips, and nothing was written"
    assert lines[1:7] == [
        "  bad: clip-0: 8 frames of 48x32 at 8 fps, expected 9 frames of 48x32 at 8 fps",
        "  bad: clip-1: 9 frames of 48x16 at 8 fps, expected 9 frames of 48x32 at 8 fps",
        "  bad: clip-2: missing (clip-2.partial.mp4 is of a run that was broken off)",
        "  bad: extra.mp4: belongs to no clip",
        "  bad: sub/more.mp4: belongs to no clip",
        "  slow: clip-1: 9 frames of 48x32 at 7 fps, expected 9 frames of 48x32 at 8 fps",
    ]
    assert "--partial the 0 of 3" in lines[7]
    assert not (tmp_path / "out").exists()
    for n in range(9):
        shutil.copy(place / "extra.mp4", place / f"extra-{n}.mp4")
    with pytest.raises(PredictionError, match=r"(?s)14 faults.*\.\.\. and 4 more"):
        evaluate(place, data)
    with pytest.raises(PredictionError, match="14 faults"):  # no clip is right
        evaluate(place, data, partial=True)
    (place / "clip-1.mp4").write_bytes(b"not a video")
    with pytest.raises(PredictionError, match="cannot be read as a video"):
        evaluate(place, data)
    with pytest.raises(PredictionError, match="is no folder"):
        evaluate(tmp_path / "nowhere", data)


def test_where_predictions_are_looked_for(tmp_path: Path) -> None:
    wanted = {name: Wanted(2, 16, 16, 8.0) for name in ("shot/C_01", "a.partial", "b")}
    for name in ("shot_C_01", "a.partial", "b"):
        write_video(tmp_path / f"{name}.mp4", frames(2, 16, 16), 8.001)  # not exactly, but near enough
    (tmp_path / "notes").mkdir()
    (tmp_path / "b.run.json").write_text("{}")
    found = find_predictions("x", tmp_path, wanted)
    assert {name: file.name for name, file in found.videos.items()} == {
        "shot/C_01": "shot_C_01.mp4", "a.partial": "a.partial.mp4", "b": "b.mp4",
    }  # fmt: skip
    assert found.lines() == []
    (tmp_path / "b").mkdir()
    shutil.copy(tmp_path / "b.mp4", tmp_path / "b" / "b.mp4")
    assert find_predictions("x", tmp_path, wanted).lines() == ["x: b: 2 videos, expected one: b.mp4, b/b.mp4"]
    with pytest.raises(PredictionError, match="two clips"):
        find_predictions("x", tmp_path, dict.fromkeys(("c/d", "c_d"), wanted["b"]))


def test_part_of_the_predictions_is_marked_everywhere(
    plain: Evaluation, data: Path, made: Path, tmp_path: Path
) -> None:
    place = Path(shutil.copytree(made, tmp_path / "some"))
    (place / "clip-1").mkdir()
    (place / "clip-1.mp4").rename(place / "clip-1" / "any name.mp4")  # a folder of its own will do
    (place / "clip-0.mp4").unlink()
    found = evaluate(place, data, tmp_path / "result.json", partial=True)
    assert found.partial == {"clips": 2, "of": 3, "left_out": {"clip-0": "some: missing"}, "strays": []}
    assert set(found.rows["some"].clips) == {"clip-1", "clip-2"} and found.rows["some"].summary["psnr"].clips == 2
    # whose strangers they get does not depend on what was predicted
    assert found.clips["clip-2"]["stranger"] == plain.clips["clip-2"]["stranger"]
    assert content(found)["rows"]["ground truth"]["clips"]["clip-1"] == \
        content(plain)["rows"]["ground truth"]["clips"]["clip-1"]  # fmt: skip
    words = "PARTIAL: 2 of 3 clips"
    assert all(words in table.title for table in tables(found))
    assert words in text(found).splitlines()[0] and f"**{words}**" in markdown(found)
    assert latex(found).count(rf"\caption{{Pictures - {words}}}") == 1
    assert json.loads((tmp_path / "result.json").read_text())["partial"]["clips"] == 2
    assert "PARTIAL" not in text(plain) and plain.partial is None
    assert evaluate(made, data, partial=True).partial is None


def test_a_video_whose_header_promises_more(data: Path, made: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(made, tmp_path / "cut"))
    file = place / "clip-1.mp4"
    whole = bytearray(file.read_bytes())
    pictures, index = whole.index(b"mdat"), whole.index(b"moov") - 4
    end = index if index > pictures else len(whole)
    whole[pictures + 300 : end] = bytes(end - pictures - 300)  # the index is whole, most pictures are not
    file.write_bytes(whole)
    with pytest.raises(PredictionError, match=r"(?s)1 fault: videos that cannot be judged.*clip-1"):
        evaluate(place, data, tmp_path / "result.json")
    assert not (tmp_path / "result.json").exists()
    found = evaluate(place, data, tmp_path / "result.json", partial=True)
    assert set(found.partial["left_out"]) == {"clip-1"} and len(found.clips) == 2  # type: ignore[index]


def test_names_that_cannot_be(data: Path, made: Path, networks: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(OutOfSightError, match="two rows are called 'made'"):
        evaluate(made, data, rows={"made": made})
    with pytest.raises(OutOfSightError, match="cannot be called 'ground truth'"):
        evaluate(made, data, name="ground truth")
    with pytest.raises(OutOfSightError, match="no protocol 'paper'"):
        evaluate(made, data, protocol="paper")
    with pytest.raises(CheckpointError, match="nothing is fetched"):
        evaluate(made, data, networks=NetworkFolders(dino=tmp_path))
    with pytest.raises(OutOfSightError, match="cannot be sent to other processes"):
        evaluate(made, data, video_features=Unsendable(), workers=2)


class Unsendable(Colours):
    def __reduce__(self) -> Any:
        raise TypeError("no")


# --- tables -----------------------------------------------------------------------------------------------------


def test_hostile_names_stay_within_their_cells(data: Path, made: Path, tmp_path: Path) -> None:
    hostile = r"[x] a_b & 50% $\input{y}$ #1 {z} ~^ | <b>*`" + "\x1b[31m\n"
    found = evaluate(made, data, tmp_path / "result.json", name=hostile, rows={"[red]no[/red]": made})
    assert next(iter(read_evaluation(tmp_path / "result.json").rows)) == hostile
    body = latex(found)
    label = (r"{[x] a\_b \& 50\% \$\textbackslash{}input\{y\}\$ \#1 \{z\} \textasciitilde{}\textasciicircum{} | "
             r"<b>*`\textbackslash{}x1b[31m\textbackslash{}n}")  # fmt: skip
    assert f"\n{label} & $" in body
    for words in (body, markdown(found), text(found)):
        assert "\x1b" not in words
    lines = [line for line in markdown(found).splitlines() if line.startswith("|")]
    row = next(line for line in lines if "a_b" in line)
    assert row.replace(r"\|", "").count("|") == lines[0].count("|") and r"\<b>\*\`" in row
    comments = [line for line in body.splitlines() if not line.startswith(("%", "\\", "{", " &")) and line]
    assert comments == []  # nothing leaves its line


def test_clips_without_a_value_are_counted(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", 2, fates=True)
    shutil.rmtree(data / "clip-1" / "fates")
    (data / "clip-1" / "world.json").unlink()
    found = evaluate(write_predictions(tmp_path, data, NAMES[:2]), data)
    table = next(table for table in tables(found) if "comes back" in table.title)
    cells = {label: cells for label, _, cells in table.rows}["made"]
    assert (cells[0].mean, cells[0].clips) == ("100", "(1)")
    assert found.rows["made"].summary["psnr"].clips == 2 and "fate" not in found.rows["made"].skipped


def test_the_papers_protocol(data: Path, made: Path, networks: dict[str, Path]) -> None:
    found = evaluate(made, data, protocol="hm-world", networks=NetworkFolders(lpips=networks["lpips"]))
    (table,) = tables(found)
    assert table.headings == ("PSNR", "SSIM", "LPIPS", "DSC ctx", "DSC GT", "Subj.", "Bg.", "flow")
    assert [cell.mean == "-" for cell in table.rows[0][2]] == [False] * 3 + [True] * 4 + [False]
    assert not any("reported" in row[0] for row in table.rows)
    told = text(found)
    for line in ("3 clips, the paper's test set has 1000", "3 of 3 clips are not of 832x480 pixels",
                 "3 of 3 clips are not of 77 or 75 target frames", "3 of 3 clips are not of 15 frames a second",
                 "dsc_released_truth is not measured in the predictions: it needs --detector and --clip-b16",
                 "subject_consistency is not measured in the predictions: it needs --dino"):  # fmt: skip
        assert f"not as in the paper: {line}" in told
    assert "fate" not in found.definitions and found.protocol is not None and found.protocol["reported"] == {}
    # only where nothing departs do the paper's own numbers stand beside
    wanted = [Wanted(77, 480, 832, 15.0)] * 1000
    assert HM_WORLD.departures(wanted, {"lpips", "dino", "clip-b32", "clip-b16", "boxes"}) == []
    reported = {method: dict(row) for method, row in HM_WORLD.paper.reported.items()}  # type: ignore[union-attr]
    shown = Evaluation(**{**vars(found), "protocol": {**found.protocol, "reported": reported}})
    rows = {label: cells for label, _, cells in tables(shown)[0].rows}
    assert [cell.mean for cell in rows["HyDRA (reported)"]] == [
        "20.36",
        "0.606",
        "0.289",
        "0.827",
        "0.849",
        "0.926",
        "0.932",
        "-",
    ]
