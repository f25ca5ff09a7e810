"""Videos made in several chunks, as predictions: every chunk's trace counts, and an unfinished run is none."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from held_out import write_data
from outofsight.cli import main
from outofsight.commands import console
from outofsight.errors import LayoutError
from outofsight.evaluation import evaluate
from outofsight.evaluation.predictions import PredictionError, run_trace
from outofsight.sampling import DenoiseStep
from pipelines import FRAMES, NEGATIVE, small_pipeline

CAUSAL = {"context_timestep": "clean", "context_attention": "causal", "anchor": "session", "page_frames": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"), 2, fates=True)


def generate(model: Path, data: Path, out: Path, *more: str) -> list[str]:
    return [
        "generate", "--model", str(model), "--clips", str(data), "--out", str(out), "--steps", "2", "--seed", "5",
        "--guidance", "1", "--negative-prompt", NEGATIVE, "--device", "cpu", "--chunk", "2", "--trace", *more,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [{}, CAUSAL], ids=["release", "causal"])
def test_recall_is_scored_over_all_chunks(kind: dict[str, Any], data: Path, tmp_path: Path) -> None:
    """The dog is back in target frames 3 to 8: in the last latent frame of chunk 1, and in those of chunk 2."""
    small_pipeline(**kind).save_pretrained(tmp_path / "model")
    made = tmp_path / "made"
    assert main(generate(tmp_path / "model", data, made)) == 0
    assert (made / "clip-0.trace-2.npz").is_file()
    found = run_trace(made / "clip-0.mp4", (FRAMES, FRAMES))
    assert found is not None and [chunk.made for chunk in found.chunks] == [range(5), range(5, 9)]
    streams = bool(kind)
    second = found.chunks[1].spans.tolist()
    assert second == ([[-9, -9], [-8, -5], [-4, -1], [0, 0], [1, 4], [5, 8]] if streams else
                      [[-5, -5], [-4, -1], [0, 3], [4, 4], [5, 8]])  # fmt: skip
    judged = evaluate(made, data).rows["made"].clips
    both = judged["clip-0"].values["retrieval_hit_rate"]
    assert both.facts["queries"] == 2 and not both.notes
    (made / "clip-0.trace.npz").unlink()
    alone = evaluate(made, data).rows["made"].clips["clip-0"].values["retrieval_hit_rate"]
    assert alone.facts["queries"] == 1 and alone.notes == ("no trace of chunk 1 of 2",)
    (made / "clip-0.run.json").unlink()
    with pytest.raises(LayoutError, match=r"clip-0\.trace-2\.npz in .* no clip-0\.run\.json says how long"):
        run_trace(made / "clip-0.mp4", (FRAMES, FRAMES))
    shutil.copy(made / "clip-1.run.json", made / "clip-0.run.json")
    with pytest.raises(LayoutError, match="5 \\+ 4 frames, and the video has 25"):
        run_trace(made / "clip-0.mp4", (FRAMES, 25))


def test_chunks_of_an_unfinished_run_are_no_prediction(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_pipeline().save_pretrained(tmp_path / "model")
    made = tmp_path / "made"

    def stop(self: Any, label: str, done: DenoiseStep) -> None:
        if "clip-1" in label and "chunk 2" in label:
            raise OSError(28, "no space")

    with monkeypatch.context() as patch:
        patch.setattr(console.ConsoleReporter, "step", stop)
        assert main(generate(tmp_path / "model", data, made)) == 2
    assert list((made / "clip-1.session").glob("*.mp4"))
    with pytest.raises(PredictionError) as told:
        evaluate(made, data)
    assert "1 fault" in str(told.value) and "clip-1: missing: its run is unfinished (clip-1.session" in str(told.value)
    found = evaluate(made, data, partial=True)
    assert found.partial is not None and not found.partial["strays"] and list(found.rows["made"].clips) == ["clip-0"]
    # in a folder of its own; and other videos in such a folder are still told of
    (made / "clip-1").mkdir()
    (made / "clip-1.session").rename(made / "clip-1" / "take.session")
    with pytest.raises(PredictionError, match=r"clip-1: missing: its run is unfinished \(clip-1/take\.session"):
        evaluate(made, data)
    (made / "other.session").mkdir()
    shutil.copy(made / "clip-0.mp4", made / "other.session" / "mine.mp4")
    with pytest.raises(PredictionError, match=r"2 faults[^$]*other\.session/mine\.mp4: belongs to no clip"):
        evaluate(made, data)
