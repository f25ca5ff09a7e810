"""Clips to latents: what is written, going on after a kill, and what is refused."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from held_out import write_data
from outofsight.cameras import relative_pose_vectors
from outofsight.cli import main
from outofsight.clips import Clip, SubjectTrack
from outofsight.components.codec import encode_video
from outofsight.components.prompts import tokenize
from outofsight.datasets import read_clip
from outofsight.errors import CheckpointError, DatasetError, GeometryError, LayoutError, OutputError
from outofsight.io import locked
from outofsight.training import encode as encoding
from outofsight.training.cells import cell_shares, frame_phases, highest
from outofsight.training.dataset import LatentDataset
from outofsight.training.encode import EncodeOptions, encode_clips
from outofsight.training.hashes import tokenizer_hash, vae_hash
from outofsight.training.parts import load_parts
from outofsight.training.prepare import PreparedClip
from outofsight.training.sources import Source, check_files, list_clips
from outofsight.worlds.manifest import checksums
from pipelines import HEIGHT, WIDTH, cameras, frames, small_pipeline


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    small_pipeline().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def latents(tmp_path_factory: pytest.TempPathFactory, data: Path, model: Path) -> Path:
    """Encoded in this process, two clips a shard."""
    out = tmp_path_factory.mktemp("latents")
    outcome = encode_clips([data], out, options(model))
    assert (outcome.clips, outcome.kept, outcome.unannotated) == (3, 0, 0)
    return out


def options(model: Path, **changes: object) -> EncodeOptions:
    return replace(EncodeOptions(str(model), stored="float32", clips_per_shard=2), **changes)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file() and file.name != ".lock"}


def test_what_a_clip_becomes(latents: Path, data: Path, model: Path) -> None:
    read, pipe, clip = LatentDataset(latents).verify(), small_pipeline(), read_clip(data, "clip-1")
    entry, made = read.clips[1], read[1]
    assert [e.shard for e in read.clips] == ["shard-00000.safetensors"] * 2 + ["shard-00001.safetensors"]
    assert (entry.name, entry.frames, entry.context_frames, entry.kind) == ("clip-1", 6, 3, None)
    assert (entry.caption, entry.fps, entry.annotated) == ("a hen", 8.0, True)
    for half, video in ((slice(0, 3), clip.context_video()), (slice(3, 6), clip.target_video())):
        with torch.no_grad():
            truth = encode_video(pipe.vae, video.frames, "cpu")[0]
        torch.testing.assert_close(made.latents[:, half], truth, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        tokens = tokenize(pipe.tokenizer, "a hen", pipe.config.max_text_tokens)
        text = pipe.embedded(tokens, torch.device("cpu"))
    batch = read.collate([made])
    torch.testing.assert_close(batch.text, text, rtol=1e-4, atol=1e-5)
    assert made.text.shape == (6, 16)  # five bytes and the end mark
    poses = relative_pose_vectors(clip.context_cameras, clip.target_cameras, stride=4)
    torch.testing.assert_close((made.context_poses, made.target_poses), poses)
    assert made.horizontal_fov == pytest.approx(60.0)
    # cells of 8 pixels: the subject fills the first of six columns; latents cover frames 0, 1-4, 5-8
    share = [[1, 0.75, 0], [0, 0.5, 1]]
    for half, expected in enumerate(share):
        for frame, value in enumerate(expected):
            assert made.subject[3 * half + frame, :, 0].tolist() == pytest.approx([value] * 4, abs=1 / 255)
    assert not made.subject[:, :, 1:].any()
    assert made.phase.tolist() == [1, 2, 2, 2, 3, 3]
    assert read.settings.vae == vae_hash(pipe.vae) and read.settings.tokenizer == tokenizer_hash(pipe.tokenizer)
    read.check_parts({"vae": vae_hash(pipe.vae), "tokenizer": tokenizer_hash(pipe.tokenizer)})
    assert not list(latents.glob(".shard*"))


def test_a_run_goes_on_and_ends_in_the_same_files(
    latents: Path, data: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a run that was killed after its first shard, in the middle of writing the second
    begun = shutil.copytree(latents, tmp_path / "begun")
    (begun / "index.json").unlink()
    (begun / "shard-00001.safetensors").rename(begun / ".shard-00001.x.safetensors")
    seen: list[tuple[str, bool]] = []
    outcome = encode_clips([data], begun, options(model), report=lambda done, _: seen.append((done.name, done.kept)))
    assert outcome.kept == 2 and seen == [("shard-00000.safetensors", True), ("shard-00001.safetensors", False)]
    assert contents(begun) == contents(latents)
    # nothing to do: no network runs
    monkeypatch.setattr(encoding.Parts, "latents", None)
    assert encode_clips([data], begun, options(model)).kept == 3
    assert contents(begun) == contents(latents)


def test_a_killed_run_of_two_processes_ends_in_the_files_of_one(
    latents: Path, data: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [
        sys.executable, "-c",
        "import sys; from pathlib import Path; from outofsight.training.encode import *\n"
        "if __name__ == '__main__':\n"
        "    data, model, out = sys.argv[1:]\n"
        "    options = EncodeOptions(model, stored='float32', clips_per_shard=2)\n"
        "    encode_clips([Path(data)], Path(out), options, workers=2)",
        str(data), str(model), str(out),
    ]  # fmt: skip
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while not list(out.glob("shard-*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(out.glob("shard-*"))  # made by a worker
    encode_clips([data], out, options(model))
    assert contents(out) == contents(latents)


def test_clips_that_change_or_join_are_encoded_anew(data: Path, model: Path, latents: Path, tmp_path: Path) -> None:
    place = shutil.copytree(data.parent, tmp_path / "data")
    out = shutil.copytree(latents, tmp_path / "out")
    captions = place / "HM-World" / "caption.txt"
    captions.write_text(captions.read_text().replace("a hen", "a goose"))
    extra = write_data(tmp_path / "more", count=4) / "clip-3"
    shutil.move(extra, place / "HM-World" / "clip-3")
    captions.write_text(captions.read_text() + "clip-3/tgt.mp4\ta late cow\n")
    outcome = encode_clips([place], out, options(model))
    assert (outcome.clips, outcome.kept) == (4, 0)  # both shards hold a clip that is new
    assert [entry.caption for entry in LatentDataset(out).clips] == [
        "a dog walks",
        "a goose",
        "a dog walks",
        "a late cow",
    ]
    shutil.rmtree(place / "HM-World" / "clip-2")
    shutil.rmtree(place / "HM-World" / "clip-3")
    outcome = encode_clips([place], out, options(model))
    assert (outcome.clips, outcome.kept) == (2, 2)
    assert not (out / "shard-00001.safetensors").exists()
    assert len(LatentDataset(out).verify()) == 2


def test_a_shard_that_rotted_is_made_anew(latents: Path, data: Path, model: Path, tmp_path: Path) -> None:
    out = shutil.copytree(latents, tmp_path / "out")
    shard = out / "shard-00000.safetensors"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.warns(UserWarning, match="made again"):
        encode_clips([data], out, options(model))
    assert contents(out) == contents(latents)


def test_other_settings_are_refused(latents: Path, data: Path, model: Path, tmp_path: Path) -> None:
    before = contents(latents)
    with pytest.raises(DatasetError, match=r"other settings.*dtype float32, not float16"):
        encode_clips([data], latents, options(model, stored="float16"))
    other = tmp_path / "other"
    small_pipeline(seed=1).save_pretrained(other)
    with pytest.raises(DatasetError, match=r"other settings.*vae"):
        encode_clips([data], latents, options(other))
    with pytest.raises(DatasetError, match="expected float16, bfloat16, float32"):
        encode_clips([data], tmp_path / "x", options(model, stored="int8"))
    assert contents(latents) == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(DatasetError, match=r"not empty.*thesis\.txt"):
        encode_clips([data], tmp_path / "full", options(model))
    with locked(latents), pytest.raises(OutputError, match="another run"):
        encode_clips([data], latents, options(model))


def test_bad_data_is_named(data: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="no known layout"):
        encode_clips([tmp_path], tmp_path / "out", options(model))
    with pytest.raises(DatasetError, match='two clips are called "clip-0"'):
        encode_clips([data, write_data(tmp_path / "same", 1)], tmp_path / "out", options(model))
    mixed = write_data(tmp_path / "mixed", 1)
    write_data(tmp_path / "wide", 2, (HEIGHT, WIDTH + 16))
    shutil.move(tmp_path / "wide" / "HM-World" / "clip-1", mixed / "clip-1")
    (mixed / "caption.txt").write_text("clip-0/tgt.mp4\tone\nclip-1/tgt.mp4\ttwo\n")
    with pytest.raises(DatasetError, match=r'clip "clip-1".*32 x 64.*32 x 48.*--height'):
        encode_clips([mixed], tmp_path / "out", options(model))
    with pytest.raises(GeometryError, match=r'clip "clip-0".*nearest are'):
        encode_clips([mixed], tmp_path / "odd", options(model, size=(30, 48)))
    encode_clips([mixed], tmp_path / "fitted", options(model, size=(HEIGHT, WIDTH)))
    fitted = LatentDataset(tmp_path / "fitted")
    assert fitted.settings.size == (4, 6)
    # the lens goes with the crop: 60 degrees over 64 columns are 46.8 over the 48 that stay
    assert fitted.clips[0].horizontal_fov == pytest.approx(60.0)
    assert fitted.clips[1].horizontal_fov == pytest.approx(46.826, abs=1e-3)
    # 64 columns are cut to 48 from the 8th on: the subject's columns are gone
    assert not fitted[1].subject.any() and fitted[0].subject.any()


def test_encode_says_what_a_crop_does_to_the_field_of_view(
    data: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["encode", str(data), "--model", str(model), "--store", "float32", "--workers", "1"]
    assert main([*base, "--out", str(tmp_path / "cut"), "--height", "32", "--width", "32"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "cropped to 32x32, field of view 60 degrees -> 42.1034 degrees" in said
    cut = LatentDataset(tmp_path / "cut")
    assert [entry.horizontal_fov for entry in cut.clips] == pytest.approx([42.1034] * 3, abs=1e-4)
    # the same data, cropped beforehand with the lens set by hand
    for clip in (read_clip(data, f"clip-{n}") for n in range(3)):
        videos = (half.frames[:, :, 8:40] for half in (clip.context_video(), clip.target_video()))
        by_hand = np.degrees(2 * np.arctan(np.tan(np.radians(30)) * 32 / 48))
        paths = (path.with_fov(by_hand) for path in (clip.context_cameras, clip.target_cameras))
        made = PreparedClip.of(
            Clip(clip.name, clip.caption, *paths, *videos, fps=8.0), load_parts(str(model)), cut.settings, None
        )
        ours = PreparedClip.of(clip, load_parts(str(model)), cut.settings, (32, 32))
        assert ours.horizontal_fov == pytest.approx(made.horizontal_fov, abs=1e-9)
        np.testing.assert_array_equal(np.concatenate(ours.videos), np.concatenate(made.videos))
        torch.testing.assert_close(ours.poses, made.poses, rtol=0, atol=0)


def test_clips_without_annotations(model: Path, tmp_path: Path) -> None:
    bare = write_data(tmp_path / "bare", 1, masks=False)
    outcome = encode_clips([bare], tmp_path / "out", options(model))
    assert outcome.unannotated == 1
    read = LatentDataset(tmp_path / "out")
    assert not read.clips[0].annotated and not read[0].subject.any() and not read[0].phase.any()


def test_generated_clips_are_held_against_their_manifest(data: Path, tmp_path: Path) -> None:
    place = shutil.copytree(data.parent, tmp_path / "data")
    rows = [{"name": folder.name, "files": checksums(folder)} for folder in sorted((place / "HM-World").glob("clip-*"))]
    (place / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:2]))
    root = (place / "HM-World").resolve()
    assert list_clips([place]) == [Source(root, f"clip-{n}") for n in range(3)]
    check_files(Source(root, "clip-0"))
    with pytest.raises(DatasetError, match=r"clip-2 is not in .*manifest.jsonl"):
        check_files(Source(root, "clip-2"))
    with (root / "clip-1" / "tgt.mp4").open("ab") as file:
        file.write(b"x")
    with pytest.raises(DatasetError, match=r"tgt\.mp4 has changed"):
        check_files(Source(root, "clip-1"))
    (root / "clip-1" / "tgt.mp4").unlink()
    with pytest.raises(DatasetError, match=r"tgt\.mp4 is missing"):
        check_files(Source(root, "clip-1"))


def test_cells_and_phases_by_hand() -> None:
    masks = np.zeros((4, 4, 4), np.uint8)
    masks[0, :2, :2] = 255  # the first latent: its first cell whole
    masks[2, 0, 0] = 255  # the second covers frames 1 to 3: one pixel of twelve
    shares = cell_shares(masks, [0, 1], (2, 2))
    assert shares.tolist() == [[[1, 0], [0, 0]], [[pytest.approx(1 / 12), 0], [0, 0]]]
    assert highest(np.array([0, 1, 2, 1, 3]), [0, 1, 3]).tolist() == [0, 2, 3]
    context, target = cameras(1)
    tracks = [SubjectTrack(str(i), visible_pixels=np.array(seen)) for i, seen in enumerate([[0, 9], [5, 0]])]
    clip = Clip("c", "x", context, target, frames(1), frames(1), subjects=tuple(tracks))
    phases = frame_phases(clip)
    assert phases is not None and phases.tolist() == [1, 2]
    flagged = replace(clip, subjects=(SubjectTrack("a", in_frame=np.array([True, True])),))
    assert frame_phases(flagged).tolist() == [1, 1]  # type: ignore[union-attr]
    assert frame_phases(replace(clip, subjects=())) is None


def test_a_full_disk_leaves_what_was_there(latents: Path, data: Path, model: Path, tmp_path: Path) -> None:
    out = shutil.copytree(latents, tmp_path / "out")
    (out / "shard-00001.safetensors").unlink()
    kept = (out / "shard-00000.safetensors").read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"cannot write .*shard-00001.*nothing of it was kept"):
            encode_clips([data], out, options(model))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert contents(out) == {"shard-00000.safetensors": kept}
    with pytest.raises(DatasetError, match="half-written"):
        LatentDataset(out)
    encode_clips([data], out, options(model))
    assert contents(out) == contents(latents)


def test_the_command(
    data: Path, model: Path, latents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["encode", str(data), "--model", str(model), "--out", str(out), "--store", "bfloat16"]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(out) and "3 clips encoded" in said.err and "outofsight train" in said.err
    torch.testing.assert_close(LatentDataset(out)[2].latents, LatentDataset(latents)[2].latents, rtol=1e-2, atol=1e-2)
    assert main(["encode", str(data), "--model", str(model), "--out", str(out)]) == 2
    assert "dtype bfloat16, not float16" in capsys.readouterr().err
    assert main(["encode", str(data), "--model", str(model), "--out", str(out), "--height", "32"]) == 2
    assert "both --height and --width" in capsys.readouterr().err


def test_parts_without_a_transformer(data: Path, model: Path, latents: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    for part in ("vae", "text_encoder", "tokenizer"):
        shutil.copytree(model / part, parts / part)
    with pytest.raises(DatasetError, match="--text-tokens"):  # ByT5 states no limit
        load_parts(str(parts))
    encode_clips([data], tmp_path / "out", options(parts, text_tokens=64))
    made, theirs = contents(tmp_path / "out"), contents(latents)
    assert {n: v for n, v in made.items() if n != "index.json"} == {
        n: v for n, v in theirs.items() if n != "index.json"
    }
    shutil.rmtree(parts / "vae")
    with pytest.raises(CheckpointError, match=r"model_index\.json"):
        load_parts(str(parts))
