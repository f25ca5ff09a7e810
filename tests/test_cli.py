"""The command line: whole runs, resuming, replaying, and every way in which input can be wrong.

Commands run in this process through ``main``, which is what the installed script calls.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fake_weights import write_base_folder
from limits import file_size_limit
from outofsight.cli import main
from outofsight.commands import console
from outofsight.memory import RetrievalTrace
from outofsight.sampling import DenoiseStep
from outofsight.video import probe_video, read_video, write_video
from pipelines import FPS, FRAMES, HEIGHT, WIDTH, camera_json, frames, small_pipeline, write_inputs, write_sample

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model folder."""
    folder = tmp_path_factory.mktemp("models") / "small"
    small_pipeline().save_pretrained(folder)
    return folder


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    """Options that name a context video, cameras and a prompt under tmp_path/in."""
    (tmp_path / "in").mkdir()
    return write_inputs(tmp_path / "in")


def generate(model: Path | str, out: Path, *options: str) -> int:
    return main(["generate", "--model", str(model), "--out", str(out), *options])


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# --- whole runs -----------------------------------------------------------------------------------------------


def test_generate_writes_video_record_and_trace(
    model: Path, options: list[str], tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "new" / "out.mp4"
    assert generate(model, out, *options, "--trace") == 0
    said = capsys.readouterr()
    info = probe_video(out)
    assert (info.frames, info.height, info.width, info.fps) == (FRAMES, HEIGHT, WIDTH, FPS)
    assert left(out.parent) == ["out.mp4", "out.run.json", "out.trace.npz"]
    record = json.loads((out.parent / "out.run.json").read_text())
    assert f"seed: {record['seed']}" in said.err  # drawn, and said
    assert "device: cpu" in said.err
    assert said.out.split() == [
        str(out),
        str(out.with_suffix("")) + ".run.json",
        str(out.with_suffix("")) + ".trace.npz",
    ]
    assert record["settings"]["num_inference_steps"] == 3
    assert record["sources"]["context"] == str(tmp_path / "in" / "clip.mp4")
    assert set(record["model"]["files"]) >= {"transformer/diffusion_pytorch_model.safetensors", "vae/config.json"}
    assert record["versions"]["torch"] == torch.__version__
    assert record["outputs"]["video"]["shape"] == [FRAMES, HEIGHT, WIDTH, 3]
    assert set(record["seconds"]) == {"encode_video", "encode_text", "denoise", "decode_video"}
    assert RetrievalTrace.load(out.parent / "out.trace.npz")["picks"].shape[0] == 3


def test_a_record_replays_to_equal_pixels_and_refuses_other_inputs(
    model: Path, options: list[str], tmp_path: Path, capsys: Capture
) -> None:
    assert generate(model, tmp_path / "out.mp4", *options, "--guidance-interval", "0.2", "0.9", "--shift", "3") == 0
    replay = ["generate", "--replay", str(tmp_path / "out.run.json"), "--out"]
    capsys.readouterr()
    assert main([*replay, str(tmp_path / "again.mp4")]) == 0
    assert "every pixel is equal" in capsys.readouterr().out
    assert np.array_equal(read_video(tmp_path / "again.mp4").frames, read_video(tmp_path / "out.mp4").frames)
    one, two = (json.loads((tmp_path / f"{name}.run.json").read_text()) for name in ("out", "again"))
    for part in ("settings", "seed", "inputs", "model", "fingerprint"):
        assert one[part] == two[part]

    shutil.move(tmp_path / "in" / "clip.mp4", tmp_path / "moved.mp4")
    assert main([*replay, str(tmp_path / "third.mp4")]) == 2
    assert "clip.mp4" in capsys.readouterr().err
    assert main([*replay, str(tmp_path / "third.mp4"), "--context", str(tmp_path / "moved.mp4")]) == 0
    write_video(tmp_path / "moved.mp4", frames(seed=5), FPS)
    assert main([*replay, str(tmp_path / "fourth.mp4"), "--context", str(tmp_path / "moved.mp4")]) == 2
    assert "the context video is another one" in capsys.readouterr().err
    assert not (tmp_path / "fourth.mp4").exists()
    forced = [*replay, str(tmp_path / "fourth.mp4"), "--context", str(tmp_path / "moved.mp4"), "--force"]
    assert main(forced) == 0
    assert "the pixels differ" in capsys.readouterr().err


def test_ctrl_c_keeps_the_run_and_the_same_command_finishes_it(
    model: Path, options: list[str], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real SIGINT in the third step of six; the finished video is the uninterrupted one."""
    options = [*options, "--steps", "6"]
    assert generate(model, tmp_path / "whole.mp4", *options, "--seed", "11") == 0

    report = console.ConsoleReporter.step

    def stop(self: console.ConsoleReporter, label: str, step: DenoiseStep) -> None:
        report(self, label, step)
        if step.step == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(console.ConsoleReporter, "step", stop)
    out = tmp_path / "run" / "out.mp4"
    assert generate(model, out, *options, "--seed", "11") == 130
    assert "step 3 of 6 is kept" in capsys.readouterr().err
    assert left(out.parent) == ["out.partial.mp4", "out.partial.safetensors"]
    assert probe_video(out.parent / "out.partial.mp4").frames == FRAMES
    monkeypatch.setattr(console.ConsoleReporter, "step", report)

    # without --seed the kept one is taken up
    assert generate(model, out, *options) == 0
    assert "3 of 6 steps are done" in capsys.readouterr().err
    assert left(out.parent) == ["out.mp4", "out.run.json"]
    whole, resumed = (
        json.loads(path.read_text()) for path in (tmp_path / "whole.run.json", out.parent / "out.run.json")
    )
    assert resumed["outputs"]["video"]["frames_sha256"] == whole["outputs"]["video"]["frames_sha256"]
    assert (resumed["seed"], resumed["resumed_at_step"]) == (11, 3)


def test_a_run_stopped_while_decoding_is_finished_without_a_trace(
    model: Path, options: list[str], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step is left to be traced; the run must still end whole, and count as finished afterwards."""
    from outofsight import session

    def stop(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(session, "decode_latents", stop)
        assert generate(model, tmp_path / "out.mp4", *options, "--trace") == 130
    assert generate(model, tmp_path / "out.mp4", *options, "--trace") == 0
    assert "no trace is written" in capsys.readouterr().err
    assert (tmp_path / "out.run.json").is_file()
    assert not (tmp_path / "out.trace.npz").exists()


def test_a_partial_run_of_other_settings_is_not_resumed(
    model: Path, options: list[str], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: console.ConsoleReporter, label: str, step: DenoiseStep) -> None:
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(console.ConsoleReporter, "step", stop)
        assert generate(model, tmp_path / "out.mp4", *options) == 130
    assert generate(model, tmp_path / "out.mp4", *options, "--guidance", "2") == 0
    assert "not resumed" in capsys.readouterr().err
    assert json.loads((tmp_path / "out.run.json").read_text())["resumed_at_step"] is None


def test_what_is_there_is_kept_or_replaced_on_request(
    model: Path, options: list[str], tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out.mp4"
    assert generate(model, out, *options, "--seed", "1") == 0
    before = out.read_bytes()
    assert generate(model, out, *options) == 0
    assert "skipped" in capsys.readouterr().err
    for change in (["--seed", "2"], ["--steps", "2"], ["--trace"]):
        assert generate(model, out, *options, *change) == 2
        assert "--overwrite" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert generate(model, out, *options, "--seed", "2", "--overwrite") == 0
    assert out.read_bytes() != before
    out.write_bytes(before)  # a video that is not the record's
    assert generate(model, out, *options, "--seed", "2") == 2


def test_many_clips_go_on_where_they_stopped(model: Path, tmp_path: Path, capsys: Capture) -> None:
    for number, name in enumerate(("a", "b", "c")):
        write_sample(tmp_path / "data", name, seed=number)
    command = [
        "generate", "--model", str(model), "--clips", str(tmp_path / "data"), "--out", str(tmp_path / "made"),
        "--negative-prompt", "x", "--steps", "1", "--device", "cpu",
    ]  # fmt: skip
    broken = tmp_path / "data" / "HM-World" / "b" / "camera.json"
    content = broken.read_text()
    broken.write_text("{}")
    assert main(command) == 2
    said = capsys.readouterr()
    assert "2 of 3 clips" in said.out
    assert "error: b.mp4" in said.err
    assert left(tmp_path / "made") == ["a.mp4", "a.run.json", "c.mp4", "c.run.json"]
    broken.write_text(content)
    kept = (tmp_path / "made" / "a.mp4").stat().st_mtime_ns
    assert main(command) == 0
    said = capsys.readouterr()
    assert said.err.count("skipped") == 2
    assert (tmp_path / "made" / "a.mp4").stat().st_mtime_ns == kept
    record = json.loads((tmp_path / "made" / "b.run.json").read_text())
    assert record["sources"]["clip_name"] == "b"
    assert main(["generate", "--replay", str(tmp_path / "made" / "b.run.json"), "--out", str(tmp_path / "b.mp4")]) == 0
    assert "every pixel is equal" in capsys.readouterr().out


def test_one_clip_with_its_caption_and_a_pose(model: Path, tmp_path: Path, capsys: Capture) -> None:
    sample = write_sample(tmp_path / "data", "a")
    few = ["--negative-prompt", "x", "--steps", "1", "--device", "cpu"]
    assert generate(model, tmp_path / "own.mp4", "--clip", str(sample), *few) == 0
    assert generate(model, tmp_path / "pose.mp4", "--clip", str(sample), "--pose", "right-2, wait-3", *few) == 0
    assert probe_video(tmp_path / "pose.mp4").frames == 17
    assert generate(model, tmp_path / "short.mp4", "--clip", str(sample), "--frames", "5", *few) == 0
    assert probe_video(tmp_path / "short.mp4").frames == 5


def test_context_pose_pad_size_and_context_frames(
    model: Path, options: list[str], tmp_path: Path, capsys: Capture
) -> None:
    base = [option for option in options if option not in ("--cameras", str(tmp_path / "in" / "cam.json"))]
    posed = [*base, "--pose", "left-2", "--steps", "1"]
    assert generate(model, tmp_path / "a.mp4", *posed) == 2
    assert "none are guessed" in capsys.readouterr().err
    assert generate(model, tmp_path / "a.mp4", *posed, "--context-pose", "wait-3") == 0
    assert generate(model, tmp_path / "b.mp4", *posed, "--context-pose", "wait-4") == 2
    said = capsys.readouterr().err
    assert "too short" in said and '"wait-4" counts 4, which is 13 video frames' in said and "3 counts fit" in said
    assert generate(model, tmp_path / "b.mp4", *posed, "--context-pose", "wait-4", "--pad") == 0
    assert "padded 9 -> 13" in capsys.readouterr().err
    assert generate(model, tmp_path / "c.mp4", *posed, "--context-pose", "wait-2") == 0
    assert "the first 5 of 9 frames" in capsys.readouterr().err
    small = ["--height", "16", "--width", "32", "--context-frames", "5"]
    assert generate(model, tmp_path / "d.mp4", *posed, "--context-pose", "wait-3", *small) == 0
    said = capsys.readouterr().err
    assert "the last 5 of 9" in said
    assert "resized 48x32" in said or "cropped" in said
    assert (probe_video(tmp_path / "d.mp4").height, probe_video(tmp_path / "d.mp4").width) == (16, 32)


def test_reference_numerics_from_the_command_line(model: Path, options: list[str], tmp_path: Path) -> None:
    assert generate(model, tmp_path / "out.mp4", *options, "--numerics", "reference", "--batched") == 0
    assert json.loads((tmp_path / "out.run.json").read_text())["settings"]["dtype"] == "bfloat16"


def test_random_weights_say_so_loudly(options: list[str], tmp_path: Path, capsys: Capture) -> None:
    assert generate("random:debug", tmp_path / "out.mp4", *options, "--steps", "1") == 0
    assert "RANDOM weights" in capsys.readouterr().err
    assert generate("random:hydra-1.3b", tmp_path / "b.mp4", *options) == 2
    assert generate("random:huge", tmp_path / "b.mp4", *options) == 2
    assert "no preset 'huge'" in capsys.readouterr().err


# --- wrong input ----------------------------------------------------------------------------------------------


def _cameras(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        content = camera_json()
        change(content)
        (folder / "cam.json").write_text(json.dumps(content))

    return spoil


def _text(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def _nan(content: dict[str, Any]) -> None:
    content["tgt_cam"]["3"][0][3] = float("nan")


def _skew(content: dict[str, Any]) -> None:
    content["cond_cam"]["2"][0][0] = 3.0


def _longer(folder: Path) -> None:
    content = camera_json(13)
    (folder / "cam.json").write_text(json.dumps(content))


def _uneven(folder: Path) -> None:
    content = {name: {str(i): half[str(i)] for i in range(10)} for name, half in camera_json(13).items()}
    (folder / "cam.json").write_text(json.dumps(content))
    write_video(folder / "clip.mp4", frames(10), FPS)


def _truncated_video(folder: Path) -> None:
    file = folder / "clip.mp4"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


WRONG_INPUTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "camera file missing": (lambda folder: (folder / "cam.json").unlink(), r"cam\.json"),
    "camera file no JSON": (_text("cam.json", "{"), "not a JSON file"),
    "camera file of unknown form": (_text("cam.json", '{"a": 1}'), "[Kk]nown forms"),
    "camera frame missing": (_cameras(lambda c: c["tgt_cam"].pop("4")), "frame 4 is missing"),
    "camera NaN": (_cameras(_nan), "NaN"),
    "camera no rotation": (_cameras(_skew), "frame 2.*not a rotation"),
    "camera of another count": (_longer, "too short"),
    "count the VAE cannot take": (_uneven, "10 frames.*9 and 13"),
    "video missing": (lambda folder: (folder / "clip.mp4").unlink(), r"clip\.mp4: no such file"),
    "video unreadable": (_text("clip.mp4", "not a video"), "cannot be read as a video"),
    "video truncated": (_truncated_video, r"clip\.mp4"),
    "video empty": (_text("clip.mp4", ""), r"clip\.mp4"),
    "video too short": (lambda folder: write_video(folder / "clip.mp4", frames(6), FPS), "too short.*--pad"),
    "video of a size the model cannot take": (
        lambda folder: write_video(folder / "clip.mp4", frames(9, 36, 48), FPS),
        "36 x 48.*32 x 48 and 48 x 48",
    ),
}


@pytest.mark.parametrize("name", WRONG_INPUTS)
def test_wrong_inputs(name: str, model: Path, options: list[str], tmp_path: Path, capsys: Capture) -> None:
    """Exit code 2, a message on stderr without traceback, nothing on stdout, nothing left behind."""
    import re

    spoil, words = WRONG_INPUTS[name]
    spoil(tmp_path / "in")
    before = left(tmp_path)
    assert generate(model, tmp_path / "out" / "out.mp4", *options) == 2
    said = capsys.readouterr()
    assert re.search(words, said.err, re.DOTALL), said.err
    assert said.err.startswith("error: ") or "\nerror: " in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert left(tmp_path) == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--prompt", "x" * 64], "65 tokens and the text encoder takes 64"),
        (["--prompt-file", "nowhere.txt", "--prompt", "a"], "--prompt-file"),
        (["--height", "32"], "--width"),
        (["--device", "tpu9"], "--device"),
        (["--device", "cuda:77"], "--device"),
        (["--dtype", "int8"], "--dtype"),
        (["--numerics", "reference", "--dtype", "float32"], "bfloat16"),
        (["--offload", "model"], "the device is the CPU"),
        (["--attention-backend", "nonsense"], "nonsense"),
        (["--frames", "13"], "13 target frames"),
        (["--frames", "8"], "5 and 9"),
        (["--context-frames", "12"], "--context-frames"),
        (["--clip", "x"], "--clip and --context"),
        (["--context-pose", "wait-3", "--context-cameras", "x"], "--context-pose"),
        (["--pose", "jump-3"], "jump"),
        (["--horizontal-fov", "190"], "190"),
        (["--clips", "x"], "--clips"),
        (["--steps", "0"], "steps"),
        (["--shift", "-1"], "shift"),
        (["--guidance-interval", "0.9", "0.1"], "guidance_interval"),
        (["--seed", "-4"], "seed"),
        (["--steps", "many"], "Invalid value"),
        (["--no-such-option"], "no-such-option"),
        (["--replay", "nowhere.run.json"], "nowhere"),
    ],
)
def test_wrong_options(
    more: list[str], words: str, model: Path, options: list[str], tmp_path: Path, capsys: Capture
) -> None:
    before = left(tmp_path)
    assert generate(model, tmp_path / "out" / "out.mp4", *options, *more) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert "Traceback" not in said.err
    assert left(tmp_path) == before


def _remove_tensor(folder: Path) -> None:
    file = next((folder / "transformer").glob("*.safetensors"))
    tensors = load_file(file)
    tensors.pop("blocks.0.projector.weight")
    save_file(tensors, file)


def _add_tensor(folder: Path) -> None:
    file = next((folder / "transformer").glob("*.safetensors"))
    save_file({**load_file(file), "another": torch.zeros(1)}, file)


def _truncate(folder: Path) -> None:
    file = next((folder / "vae").glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-10])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_remove_tensor, "missing 1: blocks.0.projector.weight"),
        (_add_tensor, "unexpected 1: another"),
        (_truncate, "truncated"),
        (shutil.rmtree, "small"),
    ],
)
def test_wrong_models(
    damage: Callable[[Path], None], words: str, model: Path, options: list[str], tmp_path: Path, capsys: Capture
) -> None:
    copy = shutil.copytree(model, tmp_path / "small")
    damage(copy)
    before = left(tmp_path)
    assert generate(copy, tmp_path / "out.mp4", *options) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert left(tmp_path) == before
    assert generate("tall", tmp_path / "out.mp4", *options) == 2
    assert "ships no model of that name" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["in/clip.mp4/out.mp4", "out.avi", "/proc/nothing/out.mp4"])
def test_places_that_cannot_be_written_to(
    place: str, model: Path, options: list[str], tmp_path: Path, capsys: Capture
) -> None:
    """Found before the weights are looked at: the model named here is not there."""
    before = left(tmp_path)
    assert generate(tmp_path / "no-model", tmp_path / place, *options) == 2
    assert "no-model" not in capsys.readouterr().err
    assert left(tmp_path) == before


def test_a_disk_that_fills_up(model: Path, options: list[str], tmp_path: Path, capsys: Capture) -> None:
    with file_size_limit(500):
        assert generate(model, tmp_path / "out" / "out.mp4", *options) == 2
    said = capsys.readouterr().err
    assert "cannot write" in said
    assert "Traceback" not in said
    assert left(tmp_path / "out") == []


# --- the other commands ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base_folder(tmp_path_factory.mktemp("wan") / "base")


def test_convert_there_and_back(base: Path, tmp_path: Path, capsys: Capture) -> None:
    """Base Wan starts a folder, the folder gives a released checkpoint, and that converts to the same folder."""
    one, two, checkpoint = tmp_path / "one", tmp_path / "two", tmp_path / "hydra.ckpt"
    assert main(["convert", "--base", str(base), "--out", str(one), "--heads", "2"]) == 0
    assert "next: outofsight generate" in capsys.readouterr().out
    assert main(["convert", str(one), "--to-released", str(checkpoint)]) == 0
    assert main(["convert", str(checkpoint), "--base", str(base), "--out", str(two), "--heads", "2"]) == 0
    name = "transformer/diffusion_pytorch_model.safetensors"
    first, second = load_file(one / name), load_file(two / name)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


class _Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("/tmp/outofsight-payload-ran", "w"))


def _checkpoint_with_code(path: Path) -> None:
    torch.save({"a": _Payload()}, path)


def _truncated_checkpoint(path: Path) -> None:
    torch.save({"blocks.0.self_attn.q.weight": torch.zeros(64, 64)}, path)
    path.write_bytes(path.read_bytes()[:-2000])


def _other_keys(path: Path) -> None:
    torch.save({"something.else": torch.zeros(3)}, path)


@pytest.mark.parametrize(
    "make", [None, _checkpoint_with_code, _truncated_checkpoint, _other_keys], ids=["missing", "code", "cut", "keys"]
)
def test_checkpoints_that_are_refused(
    make: Callable[[Path], None] | None, base: Path, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "hydra.ckpt"
    if make is not None:
        make(path)
    assert main(["convert", str(path), "--base", str(base), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "hydra.ckpt" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()
    assert not Path("/tmp/outofsight-payload-ran").exists()


def test_convert_says_what_it_lacks(tmp_path: Path, capsys: Capture) -> None:
    for options, words in (
        ([], "no --base"),
        (["--base", str(tmp_path)], "no --out"),
        (["--to-released", "x"], "takes a model folder"),
        (["--base", str(tmp_path), "--out", str(tmp_path / "o"), "--dtype", "int4"], "--dtype int4"),
    ):
        assert main(["convert", *options]) == 2
        assert words in capsys.readouterr().err


def test_doctor_computes_and_says_that_it_does(model: Path, capsys: Capture) -> None:
    assert main(["doctor", "--weights", str(model), "--tflops", "400"]) == 0
    said = capsys.readouterr().out
    assert "computed, not measured" in said
    assert "62400 tokens" in said
    assert "31.66 PFLOP" in said or "31.67 PFLOP" in said
    assert "79.2 s" in said or "79.1 s" in said
    assert "diffusers layout" in said
    assert main(["doctor", "--preset", "debug", "--height", "33"]) == 2
    assert "32 x 96" in capsys.readouterr().err
    assert main(["doctor", "--preset", "huge"]) == 2


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from outofsight.cli import main\n"
        "assert main(['generate', '--help']) == 0 and main(['--version']) == 0\n"
        "print(sorted({'torch', 'diffusers', 'transformers', 'numpy', 'av'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "outofsight", "convert"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "error: no --base" in done.stderr
    assert "Traceback" not in done.stderr
