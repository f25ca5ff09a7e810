"""Boxes, re-entries and detectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from metric_clips import spread, texture
from numpy.testing import assert_array_equal

from outofsight.errors import CheckpointError, GeometryError, OutOfSightError
from outofsight.evaluation.metrics import (
    DetectorBoxes,
    Sought,
    boxes_from_masks,
    hidden_frames,
    load_detector,
    mean_of_frames,
    reappearance,
)
from outofsight.evaluation.metrics.detector import link, overlap

NAN = [np.nan] * 4
SOUGHT = [Sought("a", "human", np.array([NAN])), Sought("b", "human", np.array([NAN]))]


def test_boxes_from_masks() -> None:
    ids = np.zeros((3, 6, 8), np.uint8)
    ids[0, 1:3, 2:7] = 1
    ids[0, 2, 0] = 1  # a piece apart belongs to it
    ids[1, 5, 7] = 3
    boxes = boxes_from_masks(ids, [3, 1, 9])
    assert_array_equal(boxes[1], [[0, 1, 7, 3], NAN, NAN])
    assert_array_equal(boxes[0], [NAN, [7, 5, 8, 6], NAN])
    assert np.isnan(boxes[2]).all()
    assert np.isnan(boxes_from_masks(ids, [3], at_least=2)).all()


def test_reappearance_by_hand() -> None:
    box = [10.0, 10, 20, 30]  # its middle is (15, 20)
    right = [13.0, 14, 23, 34]  # 3 and 4 pixels away: 5
    true_boxes = np.array([[NAN, box, box, NAN, box, box], [NAN] * 6])
    returned = np.array([[0, 1, 1, 0, 1, 1], [0] * 6], bool)
    hidden = np.array([[1, 0, 0, 1, 0, 0], [0] * 6], bool)
    boxes = np.array([[box, right, NAN, NAN, NAN, NAN], [box] * 6])  # there before it should, then once, then gone
    found = reappearance(boxes, true_boxes, returned, hidden, (60, 80))
    assert_array_equal(found.found[0], [np.nan, 1, 0, np.nan, 0, 0])
    assert_array_equal(found.phantom[0], [1, np.nan, np.nan, 0, np.nan, np.nan])
    assert np.isnan(found.found[1]).all()  # a subject that never returned is not asked about
    means = [mean_of_frames(values) for values in (found.found, found.phantom, found.pixels, found.share)]
    assert means == [0.25, 0.5, 5, 0.05]
    nothing = reappearance(boxes[1:], true_boxes[1:], returned[1:], hidden[1:], (60, 80))
    assert mean_of_frames(nothing.found) is None and mean_of_frames(nothing.pixels) is None
    with pytest.raises(GeometryError, match="do not fit one another"):
        reappearance(boxes, true_boxes[:1], returned, hidden, (60, 80))


def test_hidden_is_out_of_view_once_seen() -> None:
    visible = np.array([[0, 1, 0, 0, 1, 0], [0, 0, 0, 1, 1, 1]], bool)
    assert_array_equal(hidden_frames(visible, 2), [[1, 1, 0, 1], [0, 0, 0, 0]])


def test_overlap() -> None:
    one = np.array([[0, 0, 4, 4], NAN], dtype=float)
    other = np.array([[2, 0, 6, 4], [0, 0, 4, 4], [9, 9, 10, 10]], dtype=float)
    assert overlap(one, other).tolist() == [[pytest.approx(8 / 24), 1, 0], [0, 0, 0]]


def test_linking() -> None:
    found = np.array([[0, 0, 4, 4], [20, 0, 24, 4], [1, 0, 5, 4]], dtype=float)
    scores, anyone = np.array([0.6, 0.9, 0.7]), np.ones((1, 3), bool)
    near = np.array([[0, 0, 4, 5]], dtype=float)
    assert_array_equal(link(near, found, scores, anyone), found[:1])  # overlap, not the score
    assert_array_equal(link(np.array([NAN]), found, scores, anyone), found[1:2])  # without a past, the score
    assert_array_equal(link(near + 50, found, scores, anyone), found[1:2])
    assert_array_equal(link(near, found, scores, np.array([[False, True, False]])), found[1:2])  # its class only
    assert np.isnan(link(near, found, scores, np.zeros((1, 3), bool))).all()
    # two subjects side by side: the second gets the one that is left, though it overlaps more with the first's
    both = np.array([[0, 0, 4, 4], [0.5, 0, 4.5, 4]], dtype=float)
    assert_array_equal(link(both, found, scores, np.ones((2, 3), bool)), found[[0, 2]])
    assert np.isnan(link(both, found[:0], scores[:0], np.ones((2, 0), bool))).all()


class Scripted(DetectorBoxes):
    """A detector whose detections are given."""

    def __init__(self, script: list[tuple[np.ndarray, list[int], np.ndarray]]) -> None:
        config = type("Config", (), {"id2label": {0: "person", 1: "Dog", 2: "cat"}})()
        super().__init__(type("Model", (), {"config": config})(), None)
        self.script = script

    def detect(self, frames: np.ndarray) -> list[tuple[np.ndarray, list[int], np.ndarray]]:
        return self.script


def test_following_through_frames() -> None:
    person, dog = [0.0, 0, 4, 4], [1.0, 0, 5, 4]
    everything = (np.array([dog, person]), [1, 0], np.array([0.9, 0.8]))
    nothing = (np.zeros((0, 4)), [], np.zeros(0))
    source = Scripted([everything, nothing, everything])
    video = np.zeros((3, 8, 8, 3), np.uint8)
    boxes = source(video, video, [Sought("a", "human", np.array([person])), Sought("b", "quadruped", np.array([NAN]))])
    assert_array_equal(boxes, [[person, NAN, person], [dog, NAN, dog]])
    assert source(video, video, []).shape == (0, 3, 4)
    with pytest.raises(OutOfSightError, match=r"no class for a subject of kind 'robot'.*cat, dog, person"):
        source(video, video, [Sought("c", "robot", np.array([NAN]))])


def small_yolos() -> Any:
    from transformers import YolosConfig, YolosForObjectDetection

    config = YolosConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=[64, 96],
        patch_size=16, num_detection_tokens=7, id2label={0: "person", 1: "dog"}, label2id={"person": 0, "dog": 1},
    )  # fmt: skip
    return YolosForObjectDetection(config)


def small_rt_detr() -> Any:
    from transformers import RTDetrResNetConfig, RTDetrV2Config, RTDetrV2ForObjectDetection

    backbone = RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = RTDetrV2Config(
        backbone_config=backbone, encoder_hidden_dim=16, encoder_in_channels=[8, 16, 16], encoder_ffn_dim=16,
        encoder_attention_heads=2, d_model=16, decoder_in_channels=[16, 16, 16], decoder_ffn_dim=16,
        decoder_attention_heads=2, decoder_layers=2, encoder_layers=1, num_queries=9, num_denoising=0,
        id2label={0: "person", 1: "dog"}, label2id={"person": 0, "dog": 1},
    )  # fmt: skip
    return RTDetrV2ForObjectDetection(config)


@pytest.mark.parametrize("kind", ["yolos", "rt_detr"])
def test_a_detector_from_a_folder(kind: str, tmp_path: Path) -> None:
    """Random weights find nothing sensible, but every step is the real one: folder, pixels, boxes in the frame."""
    from transformers.models.rt_detr.image_processing_pil_rt_detr import RTDetrImageProcessorPil
    from transformers.models.yolos.image_processing_pil_yolos import YolosImageProcessorPil

    model = small_yolos() if kind == "yolos" else small_rt_detr()
    processor = (
        YolosImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 96})
        if kind == "yolos"
        else RTDetrImageProcessorPil(size={"height": 64, "width": 64})
    )
    spread(model, 0.2).save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    video = texture(3, 40, 60)
    source = load_detector(tmp_path, threshold=0.05)
    assert kind.replace("_", "") in source.name.lower()
    found = source.detect(video)
    inputs = processor(images=[video[2]], return_tensors="pt", input_data_format="channels_last")
    with torch.no_grad():
        boxes, logits = model(**inputs).pred_boxes[0].double().numpy(), model(**inputs).logits[0]
    expected = np.stack([boxes[:, 0] * 60, boxes[:, 1] * 40], axis=1)  # centres, from shares of the frame to pixels
    centres = (found[2][0][:, :2] + found[2][0][:, 2:]) / 2
    assert len(centres) and all(np.abs(expected - centre).max(axis=1).min() < 1e-3 for centre in centres)
    assert set(found[2][1]) <= set(range(logits.shape[-1]))
    boxes = source(video, video, [Sought("a", "human", np.array([NAN]))])
    assert boxes.shape == (1, 3, 4)
    persons = [box for box, label in zip(found[0][0], found[0][1], strict=True) if label == 0]
    assert any(np.array_equal(boxes[0, 0], box, equal_nan=True) for box in [*persons, NAN])


def test_a_detector_is_never_fetched(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no preprocessor_config\.json"):
        load_detector(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="nothing is fetched"):
        load_detector(tmp_path)
