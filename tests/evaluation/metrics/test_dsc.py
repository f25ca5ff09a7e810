"""ROI means and DSC against plain loops."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from metric_clips import clip_vision, noisy, texture
from numpy.testing import assert_allclose
from torch import Tensor

from outofsight.errors import GeometryError
from outofsight.evaluation.metrics import (
    dsc_mended,
    dsc_mended_context,
    dsc_released,
    load_clip_patches,
    patch_features,
    roi_mean,
    subject_features,
)
from outofsight.evaluation.metrics.dsc import boxes_in_cells
from outofsight.evaluation.metrics.preprocess import clip_processor_pixels

NAN = [np.nan] * 4


def plain_roi_align(features: np.ndarray, box: list[float], sampling: int | None) -> np.ndarray:
    """Aligned RoIAlign of 7x7 bins, sample by sample as its definition says, and the mean of the bins: ``[d]``."""
    d, height, width = features.shape
    x0, y0, x1, y1 = (edge - 0.5 for edge in box)

    def sample(y: float, x: float) -> np.ndarray:
        if y < -1 or y > height or x < -1 or x > width:
            return np.zeros(d)
        y, x = max(y, 0.0), max(x, 0.0)
        top, left = min(int(y), height - 1), min(int(x), width - 1)
        bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
        down, across = (0.0 if top == height - 1 else y - top), (0.0 if left == width - 1 else x - left)
        upper = features[:, top, left] * (1 - across) + features[:, top, right] * across
        lower = features[:, bottom, left] * (1 - across) + features[:, bottom, right] * across
        return upper * (1 - down) + lower * down

    bin_h, bin_w = (y1 - y0) / 7, (x1 - x0) / 7
    rows, columns = sampling or math.ceil((y1 - y0) / 7), sampling or math.ceil((x1 - x0) / 7)
    bins = np.zeros((7, 7, d))
    for i in range(7):
        for j in range(7):
            for r in range(rows):
                for c in range(columns):
                    bins[i, j] += sample(y0 + (i + (r + 0.5) / rows) * bin_h, x0 + (j + (c + 0.5) / columns) * bin_w)
            bins[i, j] /= rows * columns
    return bins.mean(axis=(0, 1))


@pytest.mark.parametrize("sampling", [None, 1, 3])
def test_roi_mean_is_roi_align(sampling: int | None) -> None:
    features = torch.randn(5, 4, 14, 14)
    # small, whole (adaptive sampling takes 2 by 2), wide and low, at two edges
    boxes = [[3.2, 4.1, 5.9, 8.0], [0, 0, 14, 14], [0.3, 6, 13.8, 6.4], [0, 0, 1.2, 2], [11, 12.5, 14, 14]]
    found = roi_mean(features, torch.tensor(boxes), sampling)
    expected = [plain_roi_align(one.numpy(), box, sampling) for one, box in zip(features, boxes, strict=True)]
    assert_allclose(found, expected, atol=1e-5)


def test_a_box_that_is_none() -> None:
    for box in ([3, 3, 3, 5], [5, 3, 4, 5], NAN):
        with pytest.raises(GeometryError, match="leave such frames out"):
            roi_mean(torch.randn(1, 2, 14, 14), torch.tensor([box], dtype=torch.float64))


def test_pixels_are_those_of_the_processor() -> None:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    for shape in ((48, 83), (83, 48), (300, 500)):
        frames = noisy(texture(2, *shape), 20)
        expected = CLIPImageProcessorPil()(list(frames), return_tensors="pt").pixel_values
        assert_allclose(clip_processor_pixels(frames), expected, atol=1e-5)


def test_boxes_move_to_the_crop_or_not() -> None:
    """At 832x480 the crop spans .21 to .79 of the width (spec/metrics.md)."""
    boxes = np.array([[416.0, 0, 832, 480], [0, 100, 100, 200], [830, 0, 832, 480], NAN])
    released = boxes_in_cells(boxes, 480, 832, 14, remap=False)
    assert_allclose(released[:2], [[7, 0, 14, 14], [0, 100 * 14 / 480, 100 * 14 / 832, 200 * 14 / 480]])
    assert np.isnan(released[3]).all() and not np.isnan(released[2]).any()
    mended = boxes_in_cells(boxes, 480, 832, 14, remap=True)
    assert_allclose(mended[0], [7, 0, 14, 14])  # the middle stays the middle; what lies outside is cut off
    assert np.isnan(mended[1:]).all()
    edge = boxes_in_cells(np.array([[0.211 * 832, 0, 0.789 * 832, 480]]), 480, 832, 14, remap=True)[0]
    assert edge == pytest.approx([0, 0, 14, 14], abs=0.05)


def test_whole_frames_against_a_plain_loop(tmp_path: Path) -> None:
    """Frames to numbers, with the network of a random CLIP ViT with 14x14 patches."""
    clip = clip_vision(16)
    clip.save_pretrained(tmp_path)
    extractor = load_clip_patches(tmp_path)
    prediction, reference = noisy(texture(3, 48, 80, seed=1), 10), texture(4, 48, 80, seed=2)
    boxes = np.array([[20.0, 10, 50, 40], NAN, [0, 0, 30, 48]])
    reference_boxes = np.array([[30.0, 5, 60, 30], [0, 0, 80, 48], NAN, [50, 20, 70, 45]])

    def plain(video: np.ndarray, boxes: np.ndarray) -> list[np.ndarray]:
        rows = []
        for frame, box in zip(video, boxes, strict=True):
            if np.isnan(box[0]):
                continue
            with torch.no_grad():
                hidden = clip.vision_model(clip_processor_pixels(frame[None])).last_hidden_state
            grid = hidden[0, 1:].double().numpy().T.reshape(-1, 14, 14)
            x0, y0, x1, y1 = box
            mean = plain_roi_align(grid, [x0 / 80 * 14, y0 / 48 * 14, x1 / 80 * 14, y1 / 48 * 14], None)
            rows.append(mean / (mean**2).sum() ** 0.5)
        return rows

    pairs = [
        float((a * b).sum()) for a in plain(prediction, boxes) for b in plain(reference, reference_boxes)
    ]  # 2 frames with a box against 3
    features = subject_features(patch_features(prediction, extractor, batch=2), boxes, remap=False)
    others = subject_features(patch_features(reference, extractor), reference_boxes, remap=False)
    found = dsc_released(features, others)
    assert np.isnan(found[1]) and len(pairs) == 6
    assert np.nanmean(found) == pytest.approx(np.mean(pairs), abs=1e-4)
    assert np.std(pairs) > 1e-3  # the features do differ


UNIT = np.eye(3)
TRUTH = UNIT[[0, 1, 2, 0]]


def test_mended_is_time_matched_and_the_missing_cost() -> None:
    returned = np.array([False, True, True, True])
    assert dsc_mended(TRUTH, TRUTH, returned)[1:].tolist() == [1, 1, 1]
    late = np.roll(TRUTH, 1, axis=0)
    assert dsc_mended(late, TRUTH, returned)[1:].tolist() == [0, 0, 0]
    assert np.nanmean(dsc_released(late, TRUTH)) == pytest.approx(np.nanmean(dsc_released(TRUTH, TRUTH)))
    gone = TRUTH.copy()
    gone[2] = np.nan
    found = dsc_mended(gone, TRUTH, returned)
    assert np.isnan(found[0]) and found[1:].tolist() == [1, 0, 1]
    # the released one drops the frame
    assert np.isnan(dsc_released(gone, TRUTH)).tolist() == [False, False, True, False]
    # where the truth cannot be seen, nothing is said
    assert np.isnan(dsc_mended(TRUTH, gone, returned)).tolist() == [True, False, True, False]


def test_mended_against_the_context() -> None:
    returned = np.array([False, True, True, True])
    context = np.stack([UNIT[1], UNIT[2], [np.nan] * 3])
    gone = TRUTH.copy()
    gone[2] = np.nan
    found = dsc_mended_context(gone, context, TRUTH, returned)
    assert np.isnan(found[0]) and found[1:].tolist() == [0.5, 0, 0]
    assert np.isnan(dsc_mended_context(TRUTH, context[2:], TRUTH, returned)).all()


def test_a_wrong_extractor() -> None:
    def tokens(pixels: Tensor) -> Tensor:
        return torch.randn(len(pixels), 196, 8)

    with pytest.raises(GeometryError, match="expected patch tokens"):
        patch_features(texture(1, 32, 32), tokens)
