"""What the report shows of a run: right numbers, and nothing where something is not known."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from view_material import (
    SETTINGS,
    chunk_arrays,
    grey_frames,
    of_clip,
    trace_arrays,
    write_rollout,
    write_run,
    write_scene,
)

from held_out import write_data
from outofsight.commands.view import read_given
from outofsight.datasets import read_clip
from outofsight.errors import LayoutError
from outofsight.evaluation.baselines import BEST_VIEW, LAST_FRAME, best_view_copied, last_frame_held
from outofsight.evaluation.clip import EvalClip, eval_clip
from outofsight.evaluation.measure import measure
from outofsight.evaluation.metrics.psnr import frame_psnr
from outofsight.generation.outputs import OutputPaths
from outofsight.generation.record import Sources
from outofsight.video import read_video
from outofsight.viewer.collect import collect
from outofsight.viewer.data import Report
from outofsight.viewer.runs import find_runs, one_run
from pipelines import FRAMES, HEIGHT, WIDTH, write_inputs


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "data")


def report_of(video: Path, other: Path | None = None) -> Report:
    return collect(one_run(video), None if other is None else one_run(other), read_given)


def judged(clip: Path) -> EvalClip:
    return eval_clip(read_clip(clip), clip)


def test_scores_by_frame_and_phases_are_those_of_the_evaluation(tmp_path: Path, clip: Path) -> None:
    video = write_run(tmp_path / "run.mp4", of_clip(clip))
    report, truth = report_of(video), judged(clip)
    made = read_video(video).frames
    run, scene = report.runs[0], report.scene
    assert report.notes == () and run.warnings == ()
    assert run.psnr is not None and run.psnr.tolist() == frame_psnr(made, truth.truth).tolist()
    assert scene.trivial[LAST_FRAME].tolist() == frame_psnr(last_frame_held(truth).frames, truth.truth).tolist()
    assert scene.trivial[BEST_VIEW].tolist() == frame_psnr(best_view_copied(truth).frames, truth.truth).tolist()
    target = np.array(scene.phases[FRAMES:])
    assert ((target == "re-entered") == truth.re_entered).all() and (
        (target == "hidden") == truth.phases["hidden"]
    ).all()
    assert list(scene.phases[:FRAMES]) == ["visible"] * 4 + ["hidden"] * 5
    rows = {row[0]: row[1:] for row in report.scores}
    assert rows["PSNR in dB"] == ("whole target", "re-entered", "hidden", "subject, re-entered", "nearest fate")
    expected = measure(made, truth).flat()
    numbers = [f"{expected[name]:.1f}" for name in ("psnr", "psnr re-entered", "psnr hidden", "psnr re-entered inside")]
    assert list(rows["run"]) == [*numbers, expected["fate"]]
    assert rows[LAST_FRAME][0] == f"{measure(last_frame_held(truth), truth).flat()['psnr']:.1f}"
    subject = scene.subjects[0]
    assert subject.share is not None and subject.share[0] == pytest.approx(8 / WIDTH) and subject.share[5] == 0
    assert subject.track is not None and subject.track.shape == (2 * FRAMES, 2)


def test_the_recall_is_told_in_video_frames(tmp_path: Path, clip: Path) -> None:
    run = report_of(write_run(tmp_path / "run.mp4", of_clip(clip))).runs[0]
    (recall,) = run.recalls
    assert recall.cut == 3 and recall.made == (9, 17)
    assert recall.spans.tolist() == [[0, 0], [1, 4], [5, 8], [9, 9], [10, 13], [14, 17]]
    assert recall.columns == ((0, 0, 0), (1, 1, 1), (2, 2, 2), (-1, 3, 3), (-1, 4, 4), (-1, 5, 5))
    # frame 1 asks 9 times, 5 of them for tokens 0 and 1, in which the dog is seen; frame 2 always for token 1
    assert run.hits == pytest.approx(((5 / 9 + 1) / 2, 2 / 3))


def test_queries_of_the_context_are_left_out_and_longer_tokens_cover_more(tmp_path: Path, clip: Path) -> None:
    video = write_run(tmp_path / "run.mp4", of_clip(clip))
    arrays = trace_arrays()
    more = {"first_query": np.array(0), "sources": np.array([[0, 1], [2, 3]])}
    arrays["picks"] = np.tile(np.arange(6, dtype=np.int16)[None, None, None, :, None] % 2, (2, 3, 1, 1, 2))
    arrays |= {"selectable": np.ones((6, 2), bool), "windows": np.tile([[0, 5]], (6, 1)), **more}
    np.savez(OutputPaths(video).trace, **arrays)  # type: ignore[arg-type]
    (recall,) = report_of(video).runs[0].recalls
    assert recall.picks[0, 0, :, 0].tolist() == [1, 0, 1], "of latent frames 3, 4 and 5"
    assert recall.columns == ((0, 0, 1), (1, 2, 3), (-1, 4, 4), (-1, 5, 5))


# --- what is not known ------------------------------------------------------------------------------------


def test_without_its_clip_a_run_still_has_its_video_and_its_recall(tmp_path: Path, clip: Path) -> None:
    video = write_run(tmp_path / "run.mp4", of_clip(clip))
    shutil.rmtree(clip)
    report = report_of(video)
    assert len(report.notes) == 1 and "No context" in report.notes[0] and "clip-0" in report.notes[0]
    scene, run = report.scene, report.runs[0]
    assert (scene.context, scene.truth, scene.ground, scene.phases, report.scores) == (None, None, None, (), ())
    assert len(run.recalls) == 1 and run.hits is None and run.psnr is None and run.made.count == FRAMES
    assert (scene.context_frames, scene.target_frames) == (FRAMES, FRAMES)


def test_a_clip_that_changed_is_not_shown_as_the_truth(tmp_path: Path, clip: Path) -> None:
    video = write_run(tmp_path / "run.mp4", of_clip(clip))
    shutil.copy(clip / "tgt.mp4", clip / "cond.mp4")
    report = report_of(video)
    assert "the context video changed since the run was made" in report.notes[0] and report.scene.truth is None


def test_a_run_along_its_own_cameras_has_no_truth_and_keeps_what_was_seen_before(tmp_path: Path, clip: Path) -> None:
    video = write_run(tmp_path / "run.mp4", of_clip(clip, pose="left-3"))
    for trace in (True, False):  # the stride of the words comes from the trace, or from their length
        report = report_of(video)
        assert any("cameras of its own (--pose)" in note for note in report.notes)
        assert report.scene.truth is None and report.runs[0].psnr is None
        assert report.scene.phases == ("visible",) * 4 + ("hidden",) * 5
        assert len(report.scene.subjects[0].seen) == FRAMES
        ground = report.scene.ground
        assert ground is not None and np.rad2deg(ground.headings[-1]) == pytest.approx(-3 * 3.75 + 3.75 / 3, abs=0.1)
        if trace:
            OutputPaths(video).trace.unlink()


def test_fewer_context_and_target_frames_are_the_last_and_the_first(tmp_path: Path, clip: Path) -> None:
    settings = replace(SETTINGS, context_frames=5, target_frames=5)
    video = write_run(tmp_path / "run.mp4", of_clip(clip), grey_frames(5), settings)
    arrays = trace_arrays()
    arrays |= {"context_frames": np.array(2), "target_frames": np.array(2), "first_query": np.array(2)}
    arrays |= {"picks": arrays["picks"][:, :, :, :2], "selectable": np.ones((2, 2), bool)}
    arrays |= {"sources": np.array([[0, 0], [1, 1]]), "windows": np.array([[2, 3], [2, 3]])}
    arrays["picks"] = np.minimum(arrays["picks"], 1)
    np.savez(OutputPaths(video).trace, **arrays)  # type: ignore[arg-type]
    report, truth = report_of(video), judged(clip)
    made = read_video(video).frames
    assert report.notes == ()
    assert report.scene.phases == ("hidden",) * 8 + ("re-entered",) * 2
    assert report.runs[0].psnr is not None
    assert report.runs[0].psnr.tolist() == frame_psnr(made, truth.truth[:5]).tolist()
    assert report.scores[1][1] == f"{np.mean(report.runs[0].psnr):.1f}"
    assert report.scene.subjects[0].seen.tolist() == [False] * 8 + [True] * 2


def test_another_size_is_scored_against_the_scaled_truth_alone(tmp_path: Path, clip: Path) -> None:
    settings = replace(SETTINGS, height=HEIGHT // 2, width=WIDTH // 2)
    video = write_run(tmp_path / "run.mp4", of_clip(clip), grey_frames(FRAMES, HEIGHT // 2, WIDTH // 2), settings)
    report = report_of(video)
    assert any("the clip is 48x32, the run made 24x16" in note for note in report.notes)
    assert report.runs[0].psnr is not None and report.scores[0] == ("PSNR in dB", "whole target")
    assert report.scene.truth is not None and report.scene.truth.width == WIDTH // 2 and report.scene.fates == {}


def test_a_video_without_a_clip_and_a_clip_without_masks(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    sources = Sources(context=str(tmp_path / "clip.mp4"), cameras=str(tmp_path / "cam.json"), prompt="a dog")
    report = report_of(write_run(tmp_path / "run.mp4", sources))
    assert any("not from a clip" in note for note in report.notes) and report.scene.context is not None
    assert report.scene.ground is not None and report.scene.ground.fov is None
    bare = write_data(tmp_path / "bare", 1, masks=False) / "clip-0"
    report = report_of(write_run(tmp_path / "other.mp4", of_clip(bare)))
    assert report.scene.truth is not None and report.scene.phases == () and report.scores[0][1:] == ("whole target",)
    assert any("No subjects" in note for note in report.notes)


def test_random_weights_a_lost_trace_and_a_changed_video_are_told(tmp_path: Path, clip: Path) -> None:
    video = write_run(tmp_path / "run.mp4", of_clip(clip), model={"name": "random:small", "files": {}})
    OutputPaths(video).trace.unlink()
    shutil.copy(clip / "tgt.mp4", video)
    report = report_of(video)
    assert "RANDOM" in report.runs[0].warnings[0] and "run.mp4 is not the video" in report.runs[0].warnings[1]
    assert report.notes == ("No retrieval map of run: run.trace.npz is not there.",)
    untraced = write_run(tmp_path / "bare.mp4", of_clip(clip), trace=False)
    OutputPaths(untraced).trace.unlink()
    assert "without --trace" in report_of(untraced).notes[0]


# --- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"target_frames": np.array(4)}, "selectable is"),
        ({"context_frames": np.array(2), "first_query": np.array(2)}, "windows reach from 2 to 5"),
        ({"picks": np.zeros((2, 3, 3, 2), np.int16)}, "picks is"),
        ({"picks": np.full((2, 3, 1, 3, 2), 3, np.int16)}, "picks reach from 3 to 3"),
        ({"sources": np.array([[0, 0], [1, 1], [2, 6]])}, "sources reach"),
        ({"sigmas": np.ones(3)}, "3 steps"),
        ({"first_query": np.array(4)}, "queries from frame 4"),
        ({"windows": None}, "windows is missing"),
    ],
)
def test_a_trace_that_is_none_is_refused(
    tmp_path: Path, clip: Path, change: dict[str, np.ndarray | None], told: str
) -> None:
    video = write_run(tmp_path / "run.mp4", of_clip(clip))
    arrays = {name: array for name, array in (trace_arrays() | change).items() if array is not None}
    np.savez(OutputPaths(video).trace, **arrays)  # type: ignore[arg-type]
    with pytest.raises(LayoutError, match=f"run.trace.npz: a trace of another shape: .*{told}.*--trace"):
        report_of(video)


def test_a_trace_of_other_frames_or_of_no_arrays_is_refused(tmp_path: Path, clip: Path) -> None:
    video = write_run(tmp_path / "run.mp4", of_clip(clip), grey_frames(8))
    with pytest.raises(LayoutError, match=r"3 \+ 3 latent frames, which do not make the 9 \+ 8 frames"):
        report_of(video)
    OutputPaths(video).trace.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(LayoutError, match="cannot be read as a trace"):
        report_of(video)


def test_runs_of_two_clips_are_not_compared(tmp_path: Path) -> None:
    first = write_scene(tmp_path / "data", 2)
    one = write_run(tmp_path / "a" / "run.mp4", of_clip(first))
    other = write_run(tmp_path / "b" / "run.mp4", of_clip(first.with_name("clip-1")))
    with pytest.raises(LayoutError, match="not of one clip: they differ in context video;"):
        report_of(one, other)
    away = write_run(tmp_path / "c" / "run.mp4", of_clip(first, pose="left-3"))
    with pytest.raises(LayoutError, match="target cameras, pose"):
        report_of(one, away)
    again = write_run(tmp_path / "d" / "run.mp4", of_clip(first, prompt="another one"))
    assert [run.name for run in report_of(one, again).runs] == ["a/run", "d/run"]
    short = write_run(tmp_path / "e" / "run.mp4", of_clip(first), grey_frames(5))
    OutputPaths(short).trace.unlink()
    with pytest.raises(LayoutError, match=r"5 frames and .* 9: they cannot share"):
        report_of(one, short)


def test_places_without_runs_say_what_is_missing(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(LayoutError, match="no such file or folder"):
        find_runs(tmp_path / "nothing.mp4")
    with pytest.raises(LayoutError, match=r"no tgt.run.json beside it"):
        find_runs(clip / "tgt.mp4")
    with pytest.raises(LayoutError, match=r"no run in it"):
        find_runs(clip)
    video = write_run(tmp_path / "runs" / "b.mp4", of_clip(clip))
    write_run(tmp_path / "runs" / "a.mp4", of_clip(clip))
    assert [run.name for run in find_runs(tmp_path / "runs")] == ["a", "b"]
    assert one_run(OutputPaths(video).record).name == "b"
    with pytest.raises(LayoutError, match=r"2 runs \(a.mp4, b.mp4\); name one"):
        one_run(tmp_path / "runs")
    video.unlink()
    with pytest.raises(LayoutError, match=r"its video b\.mp4 is not there"):
        find_runs(tmp_path / "runs")


def test_each_chunk_of_a_run_has_its_map_in_the_time_of_the_run(tmp_path: Path, clip: Path) -> None:
    report = report_of(write_rollout(tmp_path / "run.mp4", of_clip(clip)))
    run = report.runs[0]
    assert not [note for note in report.notes if "retrieval map" in note] and not run.warnings
    one, two = run.recalls
    assert (one.chunk, one.made, two.chunk, two.made) == (0, (9, 13), 1, (14, 17))
    assert one.spans.tolist() == [[0, 0], [1, 4], [5, 8], [9, 9], [10, 13]]
    assert two.spans.tolist() == [[4, 4], [5, 8], [9, 12], [13, 13], [14, 17]]
    assert two.picks.shape == (1, 3, 2, 2) and two.sigmas.tolist() == [0.5]
    # the dog is seen in frames 0 to 3 and from 12 on. Frame 13 asks chunk 1's last latent frame: tokens 0 and 1 are
    # right, 5 of its 9 picks (token b and -1, then 2 and 0, in each block b). Frames 14 to 17 ask chunk 2's last one:
    # of its tokens only the third covers frame 12, and two of three picks are it
    assert run.hits == pytest.approx(((5 / 9 + 2 / 3) / 2, (2 / 3 + 1 / 3) / 2))
    alone = report_of(write_rollout(tmp_path / "some" / "run.mp4", of_clip(clip), traces=(1,)))
    assert "No retrieval map of some chunks of run: no trace of chunk 1 of 2." in alone.notes
    assert [recall.chunk for recall in alone.runs[0].recalls] == [1]


def test_a_chunk_whose_trace_is_another_since_is_told_of(tmp_path: Path, clip: Path) -> None:
    video = write_rollout(tmp_path / "run.mp4", of_clip(clip))
    np.savez_compressed(OutputPaths(video).trace_of(1), **chunk_arrays()[1], more=np.zeros(3))  # type: ignore[arg-type]
    (told,) = report_of(video).runs[0].warnings
    assert "run.trace-2.npz is not the trace-2 that was recorded" in told
