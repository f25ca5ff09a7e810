"""The demo on a model: scores, pictures, and what it says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from held_out import write_data
from outofsight.commands.demo_recall import token_shares
from outofsight.commands.demo_run import MODEL, packaged_clip, run_demo, scores_table, verdict
from outofsight.datasets import read_clip
from outofsight.errors import CheckpointError
from outofsight.evaluation.baselines import BEST_VIEW, LAST_FRAME, last_frame_held
from outofsight.evaluation.clip import eval_clip
from outofsight.evaluation.measure import measure
from outofsight.evaluation.scores import Scores
from outofsight.generation.record import Settings
from outofsight.memory import RetrievalTrace
from outofsight.video import read_video
from pipelines import HEIGHT, WIDTH, small_pipeline

CACHEABLE = {"context_timestep": "clean", "context_attention": "context_only"}


def test_a_clip_is_continued_scored_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model"
    small_pipeline(**CACHEABLE, memory_options={"top_k": 1, "window": 1}).save_pretrained(model)
    clip = write_data(tmp_path / "data", 1, fates=True) / "clip-0"
    settings = Settings(num_inference_steps=2, guidance_scale=1.0, negative_prompt="")
    rows, page = run_demo(str(model), settings, clip, tmp_path / "out", seed=0)
    assert page == tmp_path / "out" / "generated.html" and "clip-0" in page.read_text()
    truth = eval_clip(read_clip(clip), clip)
    assert rows[LAST_FRAME] == measure(last_frame_held(truth), truth).flat()
    found = measure(read_video(tmp_path / "out" / "generated.mp4").frames, truth).flat()
    assert rows[MODEL].items() >= found.items() and "retrieval_hit_rate" in rows[MODEL]
    said = capsys.readouterr()
    assert "last frame held" in said.out and "recalled.png" in said.out and "back in view" in said.err
    beside = read_video(tmp_path / "out" / "context_generated_truth.mp4").frames
    assert beside.shape == (9, 6 * HEIGHT + 16, 4 * 6 * WIDTH + 18, 3)
    with Image.open(tmp_path / "out" / "recalled.png") as picture:
        pixels = np.asarray(picture)
    # of the two tokens, that of latent frames 0 and 1 shows the subject, that of frame 2 does not
    shares = token_shares(RetrievalTrace.load(tmp_path / "out" / "generated.trace.npz"))[1:]  # frames where it is back
    for token, colour in enumerate(((217, 119, 6), (148, 163, 184))):
        assert (pixels == colour).all(-1).any() == (shares[:, token] > 0).any()
    assert shares.any()


def test_how_often_a_token_is_recalled() -> None:
    picks = np.array([[[[[0, -1], [1, 0]]]], [[[[0, -1], [1, -1]]]]])  # [steps 2, blocks 1, b 1, f 2, k 2]
    trace = {
        "first_query": np.array(3), "context_frames": np.array(3), "sources": np.zeros((2, 2), int), "picks": picks,
    }  # fmt: skip
    assert token_shares(trace).tolist() == [[1, 0], [0.5, 1]]


def test_it_says_no_more_than_the_scores_show(tmp_path: Path) -> None:
    clip = eval_clip(read_clip(write_data(tmp_path, 1, fates=True)), tmp_path / "HM-World" / "clip-0")
    rows: dict[str, Scores] = {
        MODEL: {"psnr": 20.0, "psnr re-entered": 18.0, "fate": "frozen"},
        LAST_FRAME: {"psnr": 19.0, "psnr re-entered": 19.5},
        BEST_VIEW: {"psnr": 18.0, "psnr re-entered": 17.0},
    }
    told = verdict(rows, clip)
    assert "from 0.4 s on: 1.5 dB BELOW" in told and "as if time had stopped" in told
    rows[MODEL] |= {"psnr re-entered": 20.0, "fate": None}
    assert "0.5 dB above" in verdict(rows, clip) and "drawn" not in verdict(rows, clip)
    lines = scores_table(rows).splitlines()
    assert len(lines) == 4 and lines[1].split() == ["this", "model", "20.0", "20.0", "-", "-"]


def test_no_clip_is_invented() -> None:
    with pytest.raises(CheckpointError, match="ships no clip with the model 'nothing'"):
        packaged_clip("nothing")
