"""Rollouts from the command line: chunk by chunk, written as they go, broken off and resumed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from outofsight.cli import main
from outofsight.commands import console
from outofsight.errors import OutputError, VideoError
from outofsight.generation import chunks
from outofsight.generation import run as generation_run
from outofsight.generation.interrupts import held_interrupt
from outofsight.sampling import DenoiseStep
from outofsight.video import join_videos, probe_video, read_video, write_video
from pipelines import FPS, frames, small_pipeline, write_inputs

CAUSAL = {"context_timestep": "clean", "context_attention": "causal", "anchor": "session", "page_frames": 2}
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module", params=["release", "causal"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("models") / request.param
    small_pipeline(**({} if request.param == "release" else CAUSAL)).save_pretrained(folder)
    return folder


@pytest.fixture
def command(model: Path, tmp_path: Path) -> list[str]:
    """A path of 25 video frames in chunks of 3 latent frames."""
    (tmp_path / "in").mkdir()
    given = write_inputs(tmp_path / "in")
    place = given.index("--cameras")
    given[place : place + 2] = ["--context-pose", "wait-3", "--pose", "right-4, left-3"]
    return ["generate", "--model", str(model), *given, "--steps", "2", "--seed", "5", "--chunk", "3"]


def record_of(video: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(video.with_name(f"{video.stem}.run.json").read_text())
    return content


def killed_run(command: list[str], where: str, *, call: int = 1, after: bool = False) -> None:
    """The command in a process of its own, killed at the n-th call of "module:name" (before the call, or after it).

    A process of its own and no fork: a fork of a process in which torch has threads waits for them for ever.
    """
    source = """
import functools, importlib, os, signal, sys
from outofsight.cli import main
where, call, after, *command = sys.argv[1:]
module, _, name = where.partition(":")
*owners, name = name.split(".")
owner = functools.reduce(getattr, owners, importlib.import_module(module))
kept, count = getattr(owner, name), [0]
def die(*given, **options):
    count[0] += 1
    if count[0] < int(call):
        return kept(*given, **options)
    if after == "True":
        kept(*given, **options)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(owner, name, die)
sys.exit(main(command))
"""
    arguments = [sys.executable, "-c", source, where, str(call), str(after), *command]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == -signal.SIGKILL, done.stderr


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_path_of_any_length_is_made_in_chunks(command: list[str], tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "run" / "out.mp4"
    assert main([*command, "--out", str(out), "--trace"]) == 0
    said = capsys.readouterr()
    streams = "causal" in command[2]
    video = record_of(out)["outputs"]["video"]
    assert video["chunks"] == ([9, 12, 4] if streams else [9, 9, 7])
    assert video["shape"][0] == 25 == probe_video(out).frames == len(read_video(out))
    assert "3 chunks of 3 latent frames" in said.err and "about 00:" in said.err
    assert ("encoded anew" in said.err) == (not streams)
    assert left(out.parent) == ["out.mp4", "out.run.json", "out.trace-2.npz", "out.trace-3.npz", "out.trace.npz"]
    again = tmp_path / "again.mp4"
    assert main(["generate", "--replay", str(out.parent / "out.run.json"), "--out", str(again)]) == 0
    assert "every pixel is equal" in capsys.readouterr().out
    # the first chunk is what a shorter path gives
    short = [*command, "--out", str(tmp_path / "short.mp4"), "--frames", "9", "--trace"]
    assert main(short) == 0
    assert np.array_equal(read_video(tmp_path / "short.mp4").frames, read_video(out).frames[:9])


def test_without_a_size_chunks_are_as_long_as_the_context(command: list[str], tmp_path: Path) -> None:
    assert main([*command[:-2], "--out", str(tmp_path / "out.mp4")]) == 0
    assert record_of(tmp_path / "out.mp4")["outputs"]["video"]["chunks"][0] == 9


def test_a_killed_rollout_loses_the_chunk_in_work_at_most(command: list[str], tmp_path: Path, capsys: Capture) -> None:
    """kill -9 while the second chunk is sampled, and again right before the session of that chunk is written."""
    assert main([*command, "--out", str(tmp_path / "whole.mp4")]) == 0
    out = tmp_path / "run" / "out.mp4"
    run = [*command, "--out", str(out)]
    killed_run(run, "outofsight.commands.console:ConsoleReporter.step", call=3)
    assert probe_video(out.parent / "out.session" / "000001-chunks.mp4").frames == 9
    killed_run(run, "outofsight.session:Session.save")  # the second chunk's video is there, and does not count
    assert main([*command, "--out", str(out)]) == 0
    assert "1 of 3 chunks are done" in capsys.readouterr().err
    assert left(out.parent) == ["out.mp4", "out.run.json"]
    one, two = (record_of(path)["outputs"]["video"] for path in (tmp_path / "whole.mp4", out))
    assert one["frames_sha256"] == two["frames_sha256"] and one["chunks"] == two["chunks"]


def test_ctrl_c_within_a_later_chunk_keeps_its_steps(
    command: list[str], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([*command, "--out", str(tmp_path / "whole.mp4")]) == 0
    out, count = tmp_path / "out.mp4", [0]

    def stop(self: console.ConsoleReporter, label: str, done: DenoiseStep) -> None:
        count[0] += 1
        if count[0] == 3:  # the first step of the second chunk
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(console.ConsoleReporter, "step", stop)
        assert main([*command, "--out", str(out)]) == 130
    said = capsys.readouterr().err
    assert "holds 1 chunks" in said and "step 1 of 2 is kept" in said
    other = [*command[: command.index("--steps")], "--steps", "3", "--seed", "5", "--chunk", "3"]
    assert main([*other, "--out", str(tmp_path / "other.mp4")]) == 0
    capsys.readouterr()
    assert main([*command, "--out", str(out)]) == 0
    assert "1 of 2 steps are done" in capsys.readouterr().err
    hashes = [record_of(path)["outputs"]["video"]["frames_sha256"] for path in (tmp_path / "whole.mp4", out)]
    assert hashes[0] == hashes[1]


def test_chunks_of_other_settings_are_not_resumed(
    command: list[str], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Any, label: str, done: DenoiseStep) -> None:
        if "chunk 2" in label:
            signal.raise_signal(signal.SIGINT)

    out = tmp_path / "out.mp4"
    with monkeypatch.context() as patch:
        patch.setattr(console.ConsoleReporter, "step", stop)
        assert main([*command, "--out", str(out)]) == 130
    capsys.readouterr()
    assert main([*command, "--out", str(out), "--guidance", "2"]) == 0
    said = capsys.readouterr().err
    assert "out.session is of a run with other settings" in said and "chunks are done" not in said


def test_joined_videos_are_their_pictures_one_behind_the_other(tmp_path: Path) -> None:
    parts = [tmp_path / f"{name}.mp4" for name in "abc"]
    for number, (part, count) in enumerate(zip(parts, (9, 1, 14), strict=True)):
        write_video(part, frames(count, seed=number), FPS)
    join_videos(parts, tmp_path / "all.mp4")
    found = read_video(tmp_path / "all.mp4")
    assert found.fps == FPS and probe_video(tmp_path / "all.mp4").frames == 24
    assert np.array_equal(found.frames, np.concatenate([read_video(part).frames for part in parts]))
    write_video(parts[1], frames(2, height=48), FPS)
    with pytest.raises(VideoError, match="must be equal"):
        join_videos(parts, tmp_path / "all.mp4")
    assert len(read_video(tmp_path / "all.mp4")) == 24


def test_a_seed_that_no_generator_takes_is_refused(command: list[str], tmp_path: Path, capsys: Capture) -> None:
    command[command.index("--seed") + 1] = str(2**70)
    assert main([*command, "--out", str(tmp_path / "out.mp4")]) == 2
    assert "expected 0 .. 2**63 - 1" in capsys.readouterr().err


def test_tiles_are_refused_before_anything_runs_where_chunks_are_one_video(
    command: list[str], tmp_path: Path, capsys: Capture
) -> None:
    streams = "causal" in command[2]
    assert main([*command, "--out", str(tmp_path / "out.mp4"), "--vae-tiling"]) == (2 if streams else 0)
    said = capsys.readouterr().err
    assert ("--vae-tiling" in said and "step 1" not in said) == streams


def interrupt_in(chunk: int, command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the first step of a chunk."""

    def stop(self: Any, label: str, done: DenoiseStep) -> None:
        if f"chunk {chunk}" in label:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(console.ConsoleReporter, "step", stop)
        assert main(command) == 130


@pytest.mark.parametrize(("at", "then"), [("write_video", "5"), ("write_json", "6")])
def test_a_kill_while_another_run_takes_the_place_mixes_nothing(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, then: str
) -> None:
    """One chunk of seed 5 is there; a run of seed 6 is killed after it has written that chunk's video (or record)."""
    place = command.index("--seed") + 1
    last = [*command[:place], then, *command[place + 1 :], "--out"]
    out = tmp_path / "run" / "out.mp4"
    run = [*command, "--out", str(out)]
    interrupt_in(2, run, monkeypatch)
    other = list(run)
    other[place] = "6"
    assert main([*last, str(tmp_path / "whole.mp4")]) == 0
    killed_run(other, f"outofsight.generation.chunks:{at}", after=True)
    assert main([*last, str(out)]) == 0
    one, two = (record_of(path)["outputs"]["video"] for path in (tmp_path / "whole.mp4", out))
    assert one["frames_sha256"] == two["frames_sha256"]
    assert np.array_equal(read_video(out).frames, read_video(tmp_path / "whole.mp4").frames)


def test_files_of_others_in_the_folder_of_a_run_stay(
    command: list[str], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out.session"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    run = [*command, "--out", str(tmp_path / "out.mp4")]
    assert main([*run, "--frames", "9"]) == 0 and main([*run, "--overwrite"]) == 0
    assert left(folder) == ["notes.txt"]
    (folder / "session.json").write_text("{}")
    capsys.readouterr()
    assert main([*run, "--overwrite"]) == 2
    assert "not of this command" in capsys.readouterr().err
    assert left(folder) == ["notes.txt", "session.json"]


def test_steps_that_were_kept_go_when_their_chunk_is_done(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = [*command, "--out", str(tmp_path / "out.mp4")]
    interrupt_in(1, run, monkeypatch)
    assert (tmp_path / "out.partial.safetensors").is_file()

    def stop(self: Any, label: str, done: DenoiseStep) -> None:
        if "chunk 2" in label:
            raise OSError(28, "no space")

    monkeypatch.setattr(console.ConsoleReporter, "step", stop)
    assert main(run) == 2
    assert not list(tmp_path.glob("out.partial.*"))


def test_a_run_of_several_chunks_can_be_viewed(command: list[str], tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out.mp4"
    assert main([*command, "--out", str(out), "--trace"]) == 0
    capsys.readouterr()
    assert main(["view", str(out)]) == 0
    said = capsys.readouterr()
    assert "retrieval map" not in said.err
    page = Path(said.out.strip()).read_text()
    recalls = json.loads(page.split('id="data">')[1].split("</script>")[0])["runs"][0]["recalls"]
    ends = [17, 29, 33] if "causal" in command[2] else [17, 26, 33]
    assert [recall["made"][1] for recall in recalls] == ends
    assert main([*command, "--out", str(out), "--overwrite"]) == 0 and main(["view", str(out)]) == 0
    assert "was made without --trace" in capsys.readouterr().err


def test_traces_of_the_run_before_do_not_stay(command: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    assert main([*command, "--out", str(out), "--trace"]) == 0
    other = tmp_path / "out.trace-2.trace.npz"  # of another video, out.trace-2.mp4
    other.write_bytes(b"")
    assert main([*command, "--out", str(out), "--overwrite", "--frames", "9"]) == 0
    assert left(tmp_path) == ["in", "out.mp4", "out.run.json", other.name]


def test_a_kill_right_before_the_record_loses_the_last_chunk_at_most(
    command: list[str], tmp_path: Path, capsys: Capture
) -> None:
    run = [*command, "--out", str(tmp_path / "out.mp4")]
    killed_run(run, "outofsight.generation.outputs:OutputPaths.forget_traces")
    assert (tmp_path / "out.mp4").is_file() and not (tmp_path / "out.run.json").exists()
    assert main(run) == 0
    assert "2 of 3 chunks are done" in capsys.readouterr().err
    assert record_of(tmp_path / "out.mp4")["outputs"]["video"]["shape"][0] == len(read_video(tmp_path / "out.mp4"))


def test_traces_of_a_resumed_run_are_those_that_are_there(
    command: list[str], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = [*command, "--out", str(tmp_path / "out.mp4"), "--trace"]
    interrupt_in(3, run, monkeypatch)
    (tmp_path / "out.trace.npz").unlink()
    capsys.readouterr()
    assert main(run) == 0
    assert "1 of the 2 chunks that are done have a trace" in capsys.readouterr().err
    assert set(record_of(tmp_path / "out.mp4")["outputs"]) == {"video", "trace-2", "trace-3"}


def test_what_resumes_an_overwriting_run_is_said(
    command: list[str], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = [*command, "--out", str(tmp_path / "out.mp4")]
    interrupt_in(2, [*run, "--overwrite"], monkeypatch)
    assert "leave --overwrite out" in capsys.readouterr().err
    assert main(run) == 0
    assert "1 of 3 chunks are done" in capsys.readouterr().err


@pytest.mark.parametrize("chunk", [1, 3])
def test_ctrl_c_while_a_chunk_is_written_loses_nothing(
    command: list[str], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """In the middle of writing the first of three chunks, and the last."""
    run = [*command, "--out", str(tmp_path / "out.mp4"), "--trace"]
    written, kept = [0], chunks.write_video

    def write(*given: Any, **options: Any) -> None:
        written[0] += 1
        if written[0] == chunk:
            signal.raise_signal(signal.SIGINT)
        kept(*given, **options)

    monkeypatch.setattr(chunks, "write_video", write)
    assert main(run) == 130
    said = capsys.readouterr().err
    assert f"writing out.mp4, chunk {chunk}, then stopping; Ctrl-C again stops at once" in said
    assert not list(tmp_path.glob("*.partial.*")) and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if chunk == 3:
        assert "interrupted" in said and "out.mp4 is finished" in said and record_of(tmp_path / "out.mp4")
        assert main(run) == 0 and "skipped" in capsys.readouterr().err
        return
    assert "holds 1 chunks" in said and (tmp_path / "out.trace.npz").is_file() and "chunk 2: step" not in said
    assert main(run) == 0
    said = capsys.readouterr().err
    assert "1 of 3 chunks are done" in said and "chunk 1: step" not in said
    assert main([*command, "--out", str(tmp_path / "whole.mp4"), "--trace"]) == 0
    one, two = (record_of(tmp_path / name)["outputs"]["video"] for name in ("whole.mp4", "out.mp4"))
    assert one["frames_sha256"] == two["frames_sha256"]


def test_a_second_ctrl_c_stops_the_writing_at_once(
    command: list[str], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*given: Any, **options: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second one raised nothing")

    run = [*command, "--out", str(tmp_path / "out.mp4")]
    with monkeypatch.context() as patch:
        patch.setattr(chunks, "write_video", write)
        assert main(run) == 130
    assert "then stopping" in capsys.readouterr().err and not list(tmp_path.rglob("*.mp4"))[1:]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert main(run) == 0 and "resumed" not in capsys.readouterr().err


def test_ctrl_c_right_after_a_chunk_was_sampled_keeps_its_latents(
    command: list[str], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, hold = [*command, "--out", str(tmp_path / "out.mp4")], generation_run.held_interrupt

    def press(tell: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return hold(tell)

    with monkeypatch.context() as patch:
        patch.setattr(generation_run, "held_interrupt", press)
        assert main(run) == 130
    assert "step 2 of 2 is kept" in capsys.readouterr().err
    assert main(run) == 0
    assert "2 of 2 steps are done" in capsys.readouterr().err


def test_ctrl_c_before_a_full_disk_stops_all_clips() -> None:
    def fail(pressed: bool) -> None:
        with held_interrupt():
            if pressed:
                signal.raise_signal(signal.SIGINT)
            raise OutputError("no space")

    with pytest.raises(KeyboardInterrupt, match="which failed: no space"):
        fail(True)
    with pytest.raises(OutputError, match="no space"):
        fail(False)
