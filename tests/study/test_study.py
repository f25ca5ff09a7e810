"""The whole study at toy size: clips, runs, values, page; stopped, gone on with, several at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from held_out import write_data
from outofsight.cli import main
from outofsight.errors import DatasetError, StudyError
from outofsight.study import ROWS, Run, Study, choose_rows, finish, read_stored, run_study, runs_of
from outofsight.study.runner import unfinished
from outofsight.training.encode import EncodeOptions, encode_clips
from outofsight.training.trainer import TrainingInterrupted
from pipelines import small_pipeline

SETTINGS = (
    "steps=3", "warmup=0", "cooldown=1", "batch_size=2", "draws=2", "log_every=1", "device=cpu", "precision=no",
    *(f"model_options.{name}={value}" for name, value in (
        ("num_layers", 2), ("attention_head_dim", 12), ("ffn_dim", 16), ("freq_dim", 16), ("text_dim", 16),
    )),
)  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    small_pipeline(context_timestep="clean", context_attention="context_only").save_pretrained(root / "model")
    for split, fates in (("train", False), ("test", True)):
        write_data(root / split, 3, fates=fates)
        encode_clips([root / split], root / "latents" / split, EncodeOptions(str(root / "model")))
    return root


def study_in(folders: Path, out: Path) -> Study:
    latents = folders / "latents"
    return Study(latents / "train", latents / "test", folders / "test", folders / "model", out / "runs",
                 out / "results", SETTINGS)  # fmt: skip


@pytest.fixture(scope="module")
def done(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rows with one seed, one run after the other."""
    out = tmp_path_factory.mktemp("done")
    outcome = run_study(study_in(folders, out), runs_of(choose_rows("full,hydra"), (0,)))
    assert (outcome.made, outcome.failed) == (["full-seed0", "hydra-seed0"], {})
    return out


def clips_of(out: Path, name: str) -> dict:
    return dict(json.loads((out / "results" / f"{name}.json").read_text())["clips"])


def test_runs_leave_values(folders: Path, done: Path) -> None:
    stored = read_stored(done / "results")
    assert [run.name for run in stored.runs] == ["full-seed0", "hydra-seed0"]
    run = stored.runs[1]
    assert list(run.clips) == ["clip-0", "clip-1", "clip-2"] and len(run.curve) == 3
    assert run.facts["steps"] == 3 and run.facts["seconds"] > 0 and run.facts["parameters"] > 1000
    assert 0 < run.clips["clip-0"]["psnr"] < 60 and run.clips["clip-0"]["fate"] in ("true", "vanished", "frozen")  # type: ignore[operator]
    assert run.clips["clip-0"] != stored.runs[0].clips["clip-0"]
    assert stored.floors is not None and len(stored.floors.rows) == 3
    assert (done / "runs" / "hydra-seed0" / "videos" / "clip-0.mp4").is_file()


def test_what_is_there_is_not_run_again(folders: Path, done: Path, tmp_path: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in (done / "results").iterdir()}
    study = study_in(folders, done)
    assert run_study(study, runs_of(choose_rows("full,hydra"), (0,))).made == []
    assert {file: file.stat().st_mtime_ns for file in (done / "results").iterdir()} == before
    with pytest.raises(StudyError, match=r"lr: 0\.004 in full-seed0, 0\.5 in this full-seed0"):
        run_study(replace(study, settings=(*SETTINGS, "lr=0.5")), [Run(ROWS["full"], 0)])
    with pytest.raises(StudyError, match="test clips are others"):
        run_study(replace(study, clips=1), [Run(ROWS["full"], 0)])
    with pytest.raises(StudyError, match="steps: 3 in full-seed0, 9 in this fov-seed0"):  # before it is trained
        run_study(replace(study, settings=(*SETTINGS, "steps=9")), [Run(ROWS["fov"], 0)])
    few = write_data(tmp_path / "few", 1, fates=True)
    with pytest.raises(DatasetError, match="2 encoded clips are not in"):
        run_study(replace(study, test_clips=few), [Run(ROWS["full"], 1)])
    with pytest.raises(StudyError, match="jobs is 0"):
        run_study(study, [], jobs=0)


def test_a_stopped_run_ends_in_the_same_values(folders: Path, done: Path, tmp_path: Path) -> None:
    study = study_in(folders, tmp_path)
    run = Run(ROWS["hydra"], 0)

    class Killed(Exception):
        pass

    def stop_while(what: str, at: int) -> None:
        def report(doing: str, step: int, _: int) -> None:
            if (doing, step) == (what, at):
                raise Killed

        with pytest.raises(Killed):
            finish(replace(study, settings=(*SETTINGS, "checkpoint_every=1")), run, report)

    stop_while("training", 2)
    assert (
        unfinished(study.runs, []) == {"hydra-seed0": "begun, 2 steps"}
        and unfinished(study.runs, ["hydra-seed0"]) == {}
    )
    stop_while("judging", 3)
    assert not (study.values / "hydra-seed0.json").exists()
    finish(study, run)
    assert clips_of(tmp_path, "hydra-seed0") == clips_of(done, "hydra-seed0")


def test_several_at_once(folders: Path, done: Path, tmp_path: Path) -> None:
    told: list[tuple[str, str, int, int]] = []
    study = study_in(folders, tmp_path)
    outcome = run_study(study, runs_of(choose_rows("full,hydra"), (0,)), jobs=2, report=lambda *each: told.append(each))
    assert (
        sorted(outcome.made) == ["full-seed0", "hydra-seed0"]
        and ("hydra-seed0", "training", 3, 3) in told
        and ("floors", "baselines", 3, 3) in told
    )
    for name in ("full-seed0", "hydra-seed0"):
        ours, theirs = clips_of(tmp_path, name), clips_of(done, name)
        assert all(ours[clip]["psnr"] == pytest.approx(theirs[clip]["psnr"], abs=0.05) for clip in ours)


def test_the_command(folders: Path, done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--latents", str(folders / "latents" / "train"), "--test-latents", str(folders / "latents" / "test"),
            "--test-clips", str(folders / "test"), "--model", str(folders / "model")]  # fmt: skip
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    command = ["study", "--out", str(done), "--rows", "hydra,full", "--seeds", "0", "--jobs", "1", *data, *settings]
    assert main(command) == 0
    captured = capsys.readouterr()
    page = Path(captured.out.strip())
    assert page == done / "results.md" and "0 runs made, 2 were there" in captured.err
    text = page.read_text()
    assert "| HyDRA beats full context |" in text and "not yet run" in text
    page.unlink()
    assert main(["study", "--out", str(done), "--page-only"]) == 0
    assert page.read_text() == text
    capsys.readouterr()
    assert main(["study", "--out", str(done / "nowhere"), "--page-only"]) == 2
    assert "holds no finished run" in capsys.readouterr().err
    assert main([*command, "--rows", "vmem"]) == 2
    assert "no row 'vmem'" in capsys.readouterr().err


def test_a_run_that_is_asked_to_stop(folders: Path, tmp_path: Path) -> None:
    """SIGTERM and Ctrl-C end a run after its step, with a checkpoint."""

    def report(doing: str, step: int, _: int) -> None:
        if (doing, step) == ("training", 1):
            os.kill(os.getpid(), signal.SIGTERM)

    study = study_in(folders, tmp_path)
    with pytest.raises(TrainingInterrupted):
        finish(study, Run(ROWS["full"], 0), report)
    assert unfinished(study.runs, []) == {"full-seed0": "begun, 1 steps"}


def test_every_row_trains_and_is_judged(folders: Path, tmp_path: Path) -> None:
    study = replace(study_in(folders, tmp_path), settings=(*SETTINGS, "steps=1", "cooldown=0"), clips=1)
    outcome = run_study(study, runs_of(ROWS.values(), (0,)))
    assert outcome.made == [f"{name}-seed0" for name in ROWS] and not outcome.failed
    scores = {run.row: run.clips["clip-0"]["psnr"] for run in read_stored(study.values).runs}
    assert len(scores) == len(ROWS)


def test_a_run_that_fails_stops_no_other(folders: Path, done: Path, tmp_path: Path) -> None:
    study = study_in(folders, tmp_path)
    (study.runs / "full-seed0" / "checkpoints" / "step-0000001").mkdir(parents=True)  # of a run whose settings are lost
    outcome = run_study(study, runs_of(choose_rows("full,hydra"), (0,)))
    assert outcome.made == ["hydra-seed0"] and "remove" in outcome.failed["full-seed0"]
    assert unfinished(study.runs, ["hydra-seed0"]) == {"full-seed0": "failed, 1 steps"}
    shutil.rmtree(study.runs / "full-seed0")
    assert run_study(study, runs_of(choose_rows("full,hydra"), (0,))).made == ["full-seed0"]
    assert unfinished(study.runs, ["hydra-seed0", "full-seed0"]) == {}


def test_ctrl_c_on_a_terminal_loses_nothing(folders: Path, tmp_path: Path) -> None:
    """A terminal sends SIGINT to every process at once; each run keeps a checkpoint, and none goes on."""
    data = ["--latents", str(folders / "latents" / "train"), "--test-latents", str(folders / "latents" / "test"),
            "--test-clips", str(folders / "test"), "--model", str(folders / "model")]  # fmt: skip
    slow = [part for setting in (*SETTINGS, "steps=100000") for part in ("--set", setting)]
    command = [sys.executable, "-m", "outofsight", "study", "--out", str(tmp_path), "--rows", "full,hydra", "--seeds",
               "0,1", "--jobs", "2", *data, *slow]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        lines = [tmp_path / "runs" / f"{row}-seed0" / "metrics.csv" for row in ("full", "hydra")]
        wait_for(lambda: all(file.is_file() and len(file.read_text().splitlines()) > 3 for file in lines), process)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130 and "interrupted" in said
    begun = unfinished(tmp_path / "runs", [])
    assert begun.keys() == {"full-seed0", "hydra-seed0"}
    assert all(int(words.split()[1]) >= 3 for words in begun.values()), begun


def wait_for(ready: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert process.poll() is None and time.monotonic() < end, "the command ended or took too long"
        time.sleep(0.2)
