"""The files that `outofsight view` writes, and what it refuses to."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import webbrowser
from pathlib import Path

import pytest
from view_material import grey_frames, of_clip, write_run, write_scene

from outofsight.cli import main
from outofsight.commands.view import read_given
from outofsight.errors import LayoutError, OutputError
from outofsight.generation.outputs import OutputPaths
from outofsight.viewer import write_reports
from outofsight.viewer.page import embedded_json

EVIL = '</script><script>hurt()</script> <b title="x">&amp; {{DATA}} \u2028'


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "data")


@pytest.fixture
def video(tmp_path: Path, clip: Path) -> Path:
    return write_run(tmp_path / "runs" / "a<b>&.mp4", of_clip(clip, prompt=EVIL))


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_page_stands_alone_and_nothing_in_it_is_markup_by_accident(video: Path) -> None:
    page = write_reports(video, None, None, read_given)
    assert page == video.with_name("a<b>&.html")
    text = page.read_text(encoding="utf-8")
    # of the four addresses none is loaded: the name of SVG, and data
    assert set(re.findall(r"https?://[^\s\"'<]*", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<link(?! rel=\"icon\" href=\"data:,\")|<script src|@import|url\((?!#)|fetch\(", text)
    assert "<title>clip-0: a&lt;b&gt;&amp;</title>" in text and "hurt()</script>" not in text
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert data is not None and not set("<>&\u2028") & set(data[1])
    content = json.loads(data[1])
    assert content["scene"]["caption"] == EVIL and content["runs"][0]["name"] == "a<b>&"
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    assert policy is not None and len(scripts) == 9 and "default-src 'none'" in policy[1]
    for part in (*scripts, re.search(r"<style>(.*?)</style>", text, flags=re.DOTALL)[1]):  # type: ignore[index]
        assert base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() in policy[1]
    assert "unsafe" not in policy[1]


def test_json_in_a_page_comes_back_as_it_was_and_holds_no_nan() -> None:
    content = {"x": [EVIL, "<!--", 1.5, None]}
    assert json.loads(embedded_json(content)) == content and "<" not in embedded_json(content)
    with pytest.raises(ValueError):
        embedded_json([float("nan")])


def test_a_report_is_written_anew_and_other_files_are_kept(video: Path, tmp_path: Path) -> None:
    page = tmp_path / "out" / "page.html"
    assert write_reports(video, None, page, read_given) == write_reports(video, None, page, read_given) == page
    assert left(page.parent) == {"page.html"}, "and no half-written file"
    page.write_text("<html>mine</html>")
    with pytest.raises(OutputError, match="is no report"):
        write_reports(video, None, page, read_given)
    assert page.read_text() == "<html>mine</html>"
    (tmp_path / "x" / f"{video.stem}.html").mkdir(parents=True)
    with pytest.raises(OutputError, match="is a folder"):
        write_reports(video, None, tmp_path / "x", read_given)


def test_a_folder_of_runs_gets_a_page_each_and_an_index(video: Path, clip: Path, tmp_path: Path) -> None:
    write_run(video.with_name("second.mp4"), of_clip(clip), 255 - grey_frames())
    told: list[str] = []
    index = write_reports(video.parent, None, tmp_path / "out", read_given, told.append)
    assert index == tmp_path / "out" / "index.html" and left(index.parent) == {
        "a<b>&.html",
        "second.html",
        "index.html",
    }
    text = index.read_text()
    assert 'href="a%3Cb%3E%26.html"' in text and "<span>a&lt;b&gt;&amp;</span>" in text and "a<b>" not in text
    assert text.count("data:image/jpeg") == 2 and text.count("nearest fate") == 2 and len(told) == 2
    with pytest.raises(OutputError, match="holds 2 runs"):
        write_reports(video.parent, None, tmp_path / "page.html", read_given)
    with pytest.raises(LayoutError, match="2 runs"):
        write_reports(video, video.parent, None, read_given)


def test_a_bad_run_among_several_leaves_the_index_unwritten(video: Path, clip: Path, tmp_path: Path) -> None:
    bad = write_run(video.with_name("bad.mp4"), of_clip(clip))
    OutputPaths(bad).trace.write_bytes(b"no trace")
    with pytest.raises(LayoutError, match=r"bad\.trace\.npz"):
        write_reports(video.parent, None, tmp_path / "out", read_given)
    assert not (tmp_path / "out" / "index.html").exists()


def test_the_command(
    video: Path, clip: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: bool(opened.append(address)))
    second = write_run(video.with_name("second.mp4"), of_clip(clip), 255 - grey_frames())
    OutputPaths(second).trace.unlink()
    assert main(["view", str(video), str(second), "--open"]) == 0
    said = capsys.readouterr()
    page = video.with_name("a<b>&-and-second.html")
    assert said.out == f"{page}\n" and page.exists()
    assert "No retrieval map of second" in said.err and "no browser could be started" in said.err
    assert opened == [page.resolve().as_uri()]
    assert main(["view", str(clip / "tgt.mp4")]) == 2 and "no tgt.run.json beside it" in capsys.readouterr().err
    OutputPaths(video).record.write_text('{"format": "of another time"}')
    assert main(["view", str(video)]) == 2 and "not a run record" in capsys.readouterr().err
