"""The benchmark: its numbers against the metrics called by hand, and what it keeps."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmark_data import (
    FIXED,
    NAMES,
    Colours,
    Fixed,
    content,
    write_example,
    write_flagged,
    write_pair,
    write_predictions,
)

from outofsight.components.codec import decode_latents, encode_video
from outofsight.datasets import read_clip
from outofsight.errors import OutOfSightError, OutputError
from outofsight.evaluation import Evaluation, NetworkFolders, PredictionError, evaluate, interval, read_evaluation
from outofsight.evaluation import metrics as m
from outofsight.evaluation import work as work_module
from outofsight.evaluation.baselines import best_view_copied, last_frame_held
from outofsight.evaluation.clip import EvalClip, eval_clip
from outofsight.evaluation.metrics.failures import Staged, portrait, wrong_identity
from outofsight.evaluation.metrics.preprocess import Extractor
from outofsight.evaluation.tables import latex, markdown, text
from outofsight.video import read_video, write_video
from pipelines import FRAMES, HEIGHT, WIDTH, frames, small_pipeline


def clip_of(data: Path, name: str = "clip-0") -> EvalClip:
    return eval_clip(read_clip(data, name), data / name)


def value(found: Evaluation, row: str, metric: str, clip: str = "clip-0") -> Any:
    return found.rows[row].clips[clip].values[metric]


# --- numbers ----------------------------------------------------------------------------------------------------


def test_pictures_and_regions_are_those_of_the_metrics(plain: Evaluation, data: Path, made: Path) -> None:
    clip, video = clip_of(data), read_video(made / "clip-0.mp4").frames
    inside = np.zeros(video.shape[:3], bool)
    inside[3:, :, :8] = True
    back = np.arange(FRAMES) >= 3
    for metric, function in (("psnr", m.frame_psnr), ("ssim", m.frame_ssim), ("change", None)):

        def of(where: np.ndarray | None, f: Callable[..., np.ndarray] | None = function) -> np.ndarray:
            return m.frame_change(video, where) if f is None else f(video, clip.truth, where)

        found, whole = value(plain, "made", metric), of(None)
        assert found.frames == tuple(None if np.isnan(x) else pytest.approx(x) for x in whole)
        expected = {
            "target": whole, "visible": whole[:0], "hidden": whole[~back], "re-entered": whole[back],
            "inside": of(inside), "outside": of(~inside), "re-entered inside": of(inside)[back],
        }  # fmt: skip
        for part, values in expected.items():
            known = values[~np.isnan(values)]
            assert found.means[part] == (pytest.approx(known.mean()) if len(known) else None), (metric, part)
        assert found.means.keys() == expected.keys()
    flow = m.frame_flow(video)
    assert value(plain, "made", "flow").means["target"] == pytest.approx(np.nanmean(flow))
    per_clip = [value(plain, "made", "psnr", name).means["re-entered"] for name in NAMES]
    assert plain.rows["made"].summary["psnr re-entered"] == interval(per_clip)
    assert plain.difference("made", "last frame held", "psnr") == interval(
        [value(plain, "made", "psnr", n).means["target"] - value(plain, "last frame held", "psnr", n).means["target"]
         for n in NAMES]
    )  # fmt: skip


def test_fates_are_those_of_the_whole_videos(plain: Evaluation, data: Path, made: Path) -> None:
    clip, video = clip_of(data), read_video(made / "clip-0.mp4").frames
    assert clip.region is not None
    expected = m.nearest_fate(video, clip.fates, clip.region, clip.re_entered)
    assert expected is not None
    facts = value(plain, "made", "fate").facts
    assert facts == {
        "nearest": expected.nearest, "errors": dict(expected.errors), "apart_db": expected.apart_db,
        "frozen_seen": expected.frozen_seen, "pixels": expected.pixels,
    }  # fmt: skip
    assert value(plain, "made", "fate_margin").means["target"] == expected.margin_db
    assert plain.rows["made"].summary["true"].mean == 1 and plain.rows["last frame held"].summary["vanished"].mean == 1


def test_floors_and_ceilings(plain: Evaluation, data: Path, made: Path, tmp_path: Path) -> None:
    small_pipeline().save_pretrained(tmp_path / "model")
    found = evaluate(made, data, networks=NetworkFolders(vae=str(tmp_path / "model")))
    assert tuple(found.rows) == ("made", *FIXED)
    clip, other = clip_of(data), read_clip(data, "clip-1")
    vae, ids = small_pipeline().vae, read_clip(data, "clip-0").load_masks()
    stranger = portrait(Staged(other.context_video().frames, other.load_masks()[:FRAMES]), 1)
    videos = {
        "last frame held": last_frame_held(clip).frames,
        "best view copied": best_view_copied(clip).frames,
        "shuffled identity": wrong_identity(Staged(clip.truth, ids[FRAMES:]), [1], stranger).frames,
        "ground truth": clip.truth,
        "VAE reconstruction": decode_latents(vae, encode_video(vae, clip.truth, "cpu").detach()),
    }
    for row, video in videos.items():
        expected = m.frame_psnr(video, clip.truth)
        assert value(found, row, "psnr").frames == pytest.approx(expected, abs=1e-2 if "VAE" in row else 1e-9), row
    assert found.clips["clip-2"]["stranger"] == {"clip": "clip-0", "subject": "dog"}
    # boxes are known where masks are, and nowhere else
    assert value(found, "ground truth", "reappearance_rate").means["target"] == 1
    assert value(found, "last frame held", "reappearance_rate").frames == {"dog": (None,) * 3 + (0.0,) * 6}
    assert found.rows["last frame held"].summary["reappearance_rate"].mean == 0
    for row in ("made", "VAE reconstruction"):
        assert "boxes" in found.rows[row].skipped["reappearance_rate"] and found.rows[row].boxes == ()
    # without a VAE that row is there, and says why it is empty
    assert plain.rows["VAE reconstruction"].not_measured == dict.fromkeys(NAMES, "no VAE was named")
    assert "VAE reconstruction: not measured: no VAE was named" in text(plain)


def test_networks_tracker_and_features(networks: dict[str, Path], tmp_path: Path) -> None:
    data, names, tracker = write_pair(tmp_path / "data"), ("one", "two"), Fixed()
    place = write_predictions(tmp_path, data, names)
    with_all = NetworkFolders(**networks)  # type: ignore[arg-type]
    found = evaluate(place, data, networks=with_all, tracker=tracker, video_features=Colours())
    clip, video = clip_of(data, "one"), read_video(place / "one.mp4").frames
    loaded, ids = with_all.load(), read_clip(data, "one").load_masks()
    assert loaded.lpips and loaded.dino and loaded.clip_b32 and loaded.clip_b16
    true_boxes = m.boxes_from_masks(ids, [1, 2])
    values, maps = m.frame_lpips(video, clip.truth, loaded.lpips)
    lpips, inside = value(found, "made", "lpips", "one"), m.in_boxes(true_boxes[:, FRAMES:], HEIGHT, WIDTH)
    assert lpips.frames == pytest.approx(values)
    assert lpips.means["inside"] == pytest.approx(np.nanmean(m.mean_where(maps, inside)))
    for name, function, network in (
        ("subject_consistency", m.subject_consistency, loaded.dino),
        ("background_consistency", m.background_consistency, loaded.clip_b32),
    ):
        assert value(found, "made", name, "one").frames[1:] == pytest.approx(function(video, network)[1:])
        every = [function(read_video(place / f"{n}.mp4").frames, network) for n in names]
        assert found.rows["made"].sets[f"{name} corpus"] == pytest.approx(m.corpus_consistency(every))
    # the tracker's boxes are used in every row
    assert all(found.rows[row].boxes == ("fixed 1",) for row in found.rows if row != "VAE reconstruction")
    cat, dog = (m.Sought(name, name, track) for name, track in zip(("cat", "dog"), true_boxes[:, :FRAMES], strict=True))
    boxes = tracker(clip.context, video, [cat, dog])
    hidden = m.hidden_frames(clip.visible, FRAMES)
    entry = m.reappearance(boxes, true_boxes[:, FRAMES:], clip.returned, hidden, (HEIGHT, WIDTH))
    error, phantoms = m.mean_of_frames(entry.pixels), m.mean_of_frames(entry.phantom)
    assert error and phantoms
    back = clip.re_entered
    for name, values in (("phantom_rate", entry.phantom), ("reentry_error_share", entry.share)):
        means = value(found, "made", name, "one").means
        assert np.isnan(values[:, ~back]).all() == (means["hidden"] is None)
        assert means["re-entered"] == pytest.approx(np.nanmean(values[:, back]))
    assert value(found, "made", "phantom_rate", "one").means["hidden"] == 0 != phantoms
    assert value(found, "made", "reentry_error_pixels", "one").means["target"] == pytest.approx(error)
    assert value(found, "made", "phantom_rate", "one").means["target"] == pytest.approx(phantoms)
    for name, expected in dsc_by_hand(clip, video, true_boxes, boxes, loaded.clip_b16).items():
        assert value(found, "made", name, "one").means["target"] == pytest.approx(expected), name
    colours = [np.stack([Colours()(v) for v in videos]) for videos in (
        [read_video(place / f"{n}.mp4").frames for n in names], [clip_of(data, n).truth for n in names])]  # fmt: skip
    with pytest.warns(UserWarning, match="singular"):
        distance = m.frechet_distance(*colours).distance
    assert found.rows["made"].sets["fvd"]["distance"] == pytest.approx(distance)
    assert "singular" in text(found) and found.rows["ground truth"].sets["fvd"]["distance"] < 1e-6
    assert found.weights["lpips"]["files"].keys() == {"alexnet-owt-7be5be79.pth", "alex.pth"}
    assert {len(digest) for network in found.weights.values() for digest in network["files"].values()} == {64}


def dsc_by_hand(
    clip: EvalClip, video: np.ndarray, true_boxes: np.ndarray, boxes: np.ndarray, network: Extractor
) -> dict[str, float]:
    """Means over all frames of both subjects that have a value."""
    context, truth, mine = (m.patch_features(frames, network) for frames in (clip.context, clip.truth, video))
    found: dict[str, list[float]] = {}
    for row, back in enumerate(clip.returned):
        for kind, remap in (("released", False), ("mended", True)):
            halves = ((context, true_boxes[row, :FRAMES]), (truth, true_boxes[row, FRAMES:]), (mine, boxes[row]))
            then, there, here = (m.subject_features(half, track, remap=remap) for half, track in halves)
            if remap:
                pair = m.dsc_mended_context(here, then, there, back), m.dsc_mended(here, there, back)
            else:
                pair = m.dsc_released(here, then), m.dsc_released(here, there)
            for against, values in zip(("context", "truth"), pair, strict=True):
                found.setdefault(f"dsc_{kind}_{against}", []).extend(values[~np.isnan(values)])
    assert len(found) == 4 and all(found.values())
    return {name: float(np.mean(values)) for name, values in found.items()}


def test_several_subjects_weigh_by_their_frames(tmp_path: Path) -> None:
    data = write_pair(tmp_path / "data")
    found = evaluate(write_predictions(tmp_path, data, ("one", "two")), data)
    clip, ids = eval_clip(read_clip(data, "one"), data / "one"), read_clip(data, "one").load_masks()
    boxes = m.boxes_from_masks(ids, (1, 2))
    held = np.repeat(boxes[:, FRAMES - 1 : FRAMES], FRAMES, axis=1)
    hidden = m.hidden_frames(clip.visible, FRAMES)
    entry = m.reappearance(held, boxes[:, FRAMES:], clip.returned, hidden, (HEIGHT, WIDTH))
    one = value(found, "last frame held", "reappearance_rate", "one")
    assert one.means["target"] == m.mean_of_frames(entry.found) and set(one.frames) == {"cat", "dog"}
    # cat is back in frames 2 to 8, dog in 5 and 6
    truth = value(found, "ground truth", "reappearance_rate", "one")
    assert truth.frames["dog"] == (None,) * 5 + (1.0, 1.0) + (None,) * 2
    assert found.clips["one"]["phases"] == ["hidden"] * 2 + ["re-entered"] * 7
    # a stranger of another id than the clip's own is taken: cat is in both
    assert found.clips["one"]["stranger"] == {"clip": "two", "subject": "hen"}
    assert found.clips["two"]["stranger"] == {"clip": "one", "subject": "dog"}
    assert "fate" in found.rows["made"].skipped and "fates" not in found.rows["made"].summary


def test_hits_of_a_trace(data: Path, made: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(made, tmp_path / "traced"))
    # 3 context and 3 target latent frames of stride 4; tokens cover latent frames 0, 1 and 2
    trace = {
        "context_frames": np.array(3), "target_frames": np.array(3), "first_query": np.array(3), "sigmas": np.ones(1),
        "sources": np.array([[0, 0], [1, 1], [2, 2]]), "selectable": np.ones((3, 3), bool),
        "picks": np.array([[[[[0, 2], [0, 2], [1, 2]]]]]), "windows": np.zeros((3, 2), int),
    }  # fmt: skip
    np.savez(place / "clip-0.trace.npz", **trace)  # type: ignore[arg-type]
    found = evaluate(place, data)
    # the dog is seen in context frames 0 to 3 (latents 0 and 1), and back in target frames 3 to 8 (latents 1 and 2)
    one = value(found, "traced", "retrieval_hit_rate")
    assert one.means["target"] == pytest.approx((1 / 2 + 1 / 2) / 2) and one.facts == {
        "chance": pytest.approx(2 / 3), "queries": 2,
    }  # fmt: skip
    assert "retrieval_hit_rate" in found.rows["traced"].clips["clip-1"].skipped
    # the last five frames of the context alone, in which it is not seen
    np.savez(place / "clip-1.trace.npz", **{  # type: ignore[arg-type]
        **trace, "context_frames": np.array(2), "first_query": np.array(2),
        "sources": np.array([[0, 0], [1, 1], [1, 1]]),
    })  # fmt: skip
    assert value(evaluate(place, data), "traced", "retrieval_hit_rate", "clip-1").means["target"] == 0
    np.savez(place / "clip-1.trace.npz", **{**trace, "target_frames": np.array(2)})  # type: ignore[arg-type]
    (place / "clip-2.trace.npz").write_bytes(b"no trace")
    with pytest.raises(PredictionError, match=r"(?s)2 faults.*clip-1.*clip-2.*cannot be read as a trace"):
        evaluate(place, data)


def test_a_tracker_that_cannot_leaves_a_reason(data: Path, made: Path) -> None:
    class Blind(Fixed):
        def __call__(self, context: np.ndarray, prediction: np.ndarray, subjects: Sequence[m.Sought]) -> np.ndarray:
            if np.array_equal(prediction[0], prediction[1]):
                raise OutOfSightError("it saw nothing move")
            return np.full((len(subjects), len(prediction), 4), np.nan)

    found = evaluate(made, data, tracker=Blind())
    assert "it saw nothing move" in found.rows["last frame held"].skipped["reappearance_rate"]
    assert value(found, "made", "reappearance_rate").means["target"] == 0
    assert "it saw nothing move" in text(found) and "psnr" in found.rows["last frame held"].summary


# --- data that knows less ---------------------------------------------------------------------------------------


def test_public_data_with_red_masks_and_flags(tmp_path: Path) -> None:
    data = write_flagged(tmp_path / "one")
    made = write_predictions(tmp_path, data, ("flagged",))
    found = evaluate(made, data)
    assert found.clips["flagged"]["phases"] == ["hidden"] * 3 + ["re-entered"] * 6
    assert "in-frame flags" in text(found)
    assert value(found, "ground truth", "reappearance_rate", "flagged").means["target"] == 1
    assert "field of view" in found.rows["best view copied"].not_measured["flagged"]
    assert found.rows["shuffled identity"].not_measured == {"flagged": "no other clip whose context shows a subject"}
    assert "best view copied" in evaluate(made, data, horizontal_fov=60.0).rows
    assert evaluate(made, data, horizontal_fov=60.0).rows["best view copied"].clips
    several = write_flagged(tmp_path / "two", subjects=2)
    found = evaluate(made, several)
    assert "do not distinguish 2 subjects" in text(found)
    assert value(found, "made", "psnr", "flagged").means.keys() == {"target", "visible", "hidden", "re-entered"}


def test_a_target_that_is_kept_back(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    data = write_example(tmp_path / "data")
    place = tmp_path / "made"
    place.mkdir()
    write_video(place / "1.mp4", frames(seed=4), 8.0)
    found = evaluate(place, data)
    assert found.rows["made"].clips["1"].values.keys() == {"flow", "change"}
    assert found.rows["ground truth"].not_measured == {"1": "the data keeps the target back"}
    assert found.rows["made"].skipped["psnr"] == "needs the ground truth's video"


# --- keeping and resuming ---------------------------------------------------------------------------------------


def test_a_stopped_run_goes_on_and_a_new_row_is_measured_alone(
    plain: Evaluation, data: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, written = tmp_path / "result.json", []
    write = work_module.write_scores

    def stopping(file: Path, scores: dict[str, Any]) -> None:
        if len(written) == 8:  # in the second clip's third row
            raise KeyboardInterrupt
        written.append(file.name)
        write(file, scores)

    monkeypatch.setattr(work_module, "write_scores", stopping)
    with pytest.raises(KeyboardInterrupt, match="1 of 3 clips are kept"):
        evaluate(made, data, out)
    assert not out.exists() and not (tmp_path / "result.md").exists()
    (tmp_path / "result.json.kept" / ".half.json").write_text("{")  # of a process that was killed
    monkeypatch.setattr(
        work_module, "write_scores", lambda file, scores: (written.append(file.name), write(file, scores))
    )
    steps: list[tuple[int, int]] = []
    found = evaluate(made, data, out, report=lambda *step: steps.append(step))
    assert steps == [(1, 3), (2, 3), (3, 3)] and len(written) == len(set(written)) == 18
    assert content(found) == content(plain)
    assert not (tmp_path / "result.json.kept" / ".half.json").exists()
    again = write_predictions(tmp_path, data, NAMES, 0.5, "other")
    both = evaluate(made, data, out, rows={"other": again})
    assert len(written) == 21 and tuple(both.rows) == ("made", "other", *FIXED)
    assert content(both)["rows"]["made"] == content(plain)["rows"]["made"]
    # other pixels, another part; a damaged part is made anew
    write_video(again / "clip-1.mp4", frames(), 8.0)
    damaged = tmp_path / "result.json.kept" / written[0]
    damaged.write_text("{")
    evaluate(made, data, out, rows={"other": again})
    assert len(written) == 23 and written[0] in written[21:]


def test_the_file_holds_the_result(plain: Evaluation, data: Path, made: Path, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    found = evaluate(made, data, out, name="ours")
    read = read_evaluation(out)
    assert content(read)["rows"].keys() == {"ours", *FIXED} and read.created == found.created
    rounded = [round(frame, 6) for frame in value(found, "ours", "psnr").frames]
    assert value(read, "ours", "psnr").frames == tuple(rounded)
    assert read.rows["ours"].summary == found.rows["ours"].summary == plain.rows["made"].summary
    assert text(read) == text(found)
    assert read.definitions["psnr"]["words"] == m.METRICS["psnr"].words and read.versions["torch"]
    assert read.clips["clip-0"]["size"] == [HEIGHT, WIDTH] and len(read.clips["clip-0"]["sha256"]) == 64
    assert (tmp_path / "result.md").read_text() == markdown(found)
    assert (tmp_path / "result.tex").read_text() == latex(found)
    assert set(read.seconds) >= {"psnr", "ssim", "reading the clip"}
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "notes.md").write_text("# mine")
    for name in ("other", "notes"):
        with pytest.raises(OutputError, match="would be replaced"):
            evaluate(made, data, tmp_path / f"{name}.json")
    with pytest.raises(OutOfSightError, match="not the result of an evaluation"):
        read_evaluation(tmp_path / "other.json")
