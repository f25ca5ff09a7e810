"""``outofsight evaluate``: its output and exit codes, a run that is killed, and one that is interrupted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from held_out import write_data
from outofsight.cli import main
from outofsight.datasets import read_clip
from outofsight.evaluation import METRICS, read_evaluation
from outofsight.evaluation import work as work_module
from outofsight.video import write_video

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"), 4, fates=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for n in range(4):
        clip = read_clip(data, f"clip-{n}")
        write_video(folder / f"clip-{n}.mp4", clip.target_video().frames // 2, clip.fps)
    return folder


def command(data: Path, made: Path, out: Path, *options: str) -> list[str]:
    return ["evaluate", str(made), "--against", str(data), "--out", str(out), "--device", "cpu", *options]


def untimed(path: Path) -> Any:
    def strip(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: strip(inner) for name, inner in part.items() if name not in ("seconds", "created")}
        return [strip(inner) for inner in part] if isinstance(part, list) else part

    return strip(json.loads(path.read_text()))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, data: Path, made: Path) -> Path:
    """Of an uninterrupted run in one process."""
    out = tmp_path_factory.mktemp("whole") / "result.json"
    assert main(command(data, made, out, "--workers", "1", "--name", "made")) == 0
    return out


def test_a_whole_run(data: Path, made: Path, tmp_path: Path, capsys: Capture) -> None:
    shutil.copytree(made, tmp_path / "x=y")
    out = tmp_path / "new" / "result.json"
    assert main(command(data, made, out, "--workers", "1", "--name", "made", "--row", f"other={tmp_path / 'x=y'}")) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "Pictures" and "other " in said.out
    assert said.out.split()[-3:] == [str(out), str(out.with_suffix(".md")), str(out.with_suffix(".tex"))]
    assert said.err.splitlines() == [f"{n} of 4 clips" for n in (1, 2, 3, 4)]
    found = read_evaluation(out)
    assert found.rows["other"].summary == found.rows["made"].summary
    assert {file.name for file in out.parent.iterdir()} == {
        "result.json",
        "result.json.kept",
        "result.md",
        "result.tex",
    }


def test_a_killed_run_of_two_processes_ends_as_one_that_was_not(
    result: Path, data: Path, made: Path, tmp_path: Path
) -> None:
    out = tmp_path / "result.json"
    arguments = command(data, made, out, "--workers", "2", "--name", "made")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-m", "outofsight", *arguments], env=environment)
    parts, deadline = tmp_path / "result.json.kept", time.monotonic() + 120
    while len(list(parts.glob("[!.]*.json"))) < 8 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {file: file.stat().st_mtime_ns for file in parts.glob("[!.]*.json")}
    assert len(kept) >= 8 and not out.exists()
    assert main(command(data, made, out, "--workers", "1", "--name", "made")) == 0
    assert untimed(out) == untimed(result)
    assert all(file.stat().st_mtime_ns == made_at for file, made_at in kept.items())


def test_ctrl_c_keeps_what_is_measured(
    result: Path, data: Path, made: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, count, write = tmp_path / "result.json", [0], work_module.write_scores

    def stop(file: Path, content: dict[str, Any]) -> None:
        write(file, content)
        count[0] += 1
        if count[0] == 9:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(work_module, "write_scores", stop)
        assert main(command(data, made, out, "--workers", "1", "--name", "made")) == 130
    assert f"interrupted: 1 of 4 clips are kept in {out}.kept; the same command resumes" in capsys.readouterr().err
    assert len(list((tmp_path / "result.json.kept").glob("*.json"))) == 9 and not out.exists()
    assert main(command(data, made, out, "--workers", "1", "--name", "made")) == 0
    assert untimed(out) == untimed(result)


def test_wrong_input_is_an_error_of_one_message(data: Path, made: Path, tmp_path: Path, capsys: Capture) -> None:
    place, out = tmp_path / "bad", tmp_path / "result.json"
    shutil.copytree(made, place)
    (place / "clip-2.mp4").unlink()
    write_video(place / "clip-3.mp4", np.zeros((5, 16, 16, 3), np.uint8), 8.0)
    assert main(command(data, place, out)) == 2
    said = capsys.readouterr().err
    assert "error: 2 faults" in said and "clip-2: missing" in said and "clip-3: 5 frames of 16x16" in said
    assert not list(tmp_path.glob("result*"))
    assert main(command(data, place, out, "--partial", "--workers", "1")) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "Pictures - PARTIAL: 2 of 4 clips"
    assert "PARTIAL: 2 of 4 clips; the tables say so" in said.err
    for options, words in (
        (["--row", "x"], "expected NAME=FOLDER"),
        (["--row", f"=x{made}"], "expected NAME=FOLDER"),
        (["--row", f"x={made}", "--row", f"x={made}"], "two rows are called 'x'"),
        (["--row", f"x={tmp_path / 'none'}"], "is no folder"),
        (["--protocol", "y"], "no protocol 'y'"),
        (["--lpips", str(tmp_path)], "--lpips"),
        (["--vae", str(tmp_path / "none")], "no such model folder"),
        (["--out", str(tmp_path / "x.txt")], "must end in .json"),
    ):
        assert main(command(data, made, tmp_path / "other.json", *options)) == 2, options
        assert words in capsys.readouterr().err, options
    assert not list(tmp_path.glob("other*"))
    assert main(command(tmp_path, made, out)) == 2  # no clips there
    assert "no known layout" in capsys.readouterr().err


def test_a_module_of_ones_own_adds_a_metric(
    data: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my_metric.py").write_text(
        "from outofsight.evaluation import Metric, register_metric\n\n\n"
        "def count(sample):\n    return len(sample.frames)\n\n\n"
        "register_metric(Metric('frame_count', frozenset(), 'frames', 'neither', count, per='clip'))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    out = tmp_path / "result.json"
    try:
        assert main(command(data, made, out, "--metrics", "my_metric", "--workers", "2")) == 0
    finally:
        METRICS.pop("frame_count", None)
        sys.modules.pop("my_metric", None)
    assert "frame_count, frames" in capsys.readouterr().out
    clip = read_evaluation(out).main.clips["clip-0"]
    assert clip.values["frame_count"].means == {"target": 9}
    assert main(command(data, made, tmp_path / "other.json", "--metrics", "no_such_module")) == 2
    assert "--metrics no_such_module: No module named" in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from outofsight.cli import main\n"
        "assert main(['evaluate', '--help']) == 0\n"
        "print(sorted({'torch', 'diffusers', 'transformers', 'numpy', 'av', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
