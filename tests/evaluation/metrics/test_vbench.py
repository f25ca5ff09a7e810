"""VBench's consistencies against plain loops, through tiny random ViTs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from metric_clips import clip_vision, dino, noisy, texture
from numpy.testing import assert_allclose
from torch import Tensor

from outofsight.errors import CheckpointError, GeometryError
from outofsight.evaluation.metrics import (
    background_consistency,
    consistency,
    corpus_consistency,
    dino_extractor,
    load_clip_images,
    load_clip_patches,
    load_dino,
    subject_consistency,
)
from outofsight.evaluation.metrics.extractors import dino_positions
from outofsight.evaluation.metrics.preprocess import vbench_clip_pixels, vbench_dino_pixels

VIDEO = np.concatenate([noisy(texture(1, 48, 80), 10 * level, seed=level) for level in range(4)])


def plain_consistency(features: np.ndarray) -> list[float]:
    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float((a * b).sum() / ((a * a).sum() * (b * b).sum()) ** 0.5)

    values = []
    for t in range(1, len(features)):
        values.append((max(0, cosine(features[t - 1], features[t])) + max(0, cosine(features[0], features[t]))) / 2)
    return values


def plain_resize(frame: np.ndarray, height: int, width: int, cubic: bool) -> np.ndarray:
    """Pixel by pixel, half-pixel middles, edges repeated, no antialiasing; bicubic with a = -3/4, as torch's."""

    def weights(distance: float) -> float:
        d, a = abs(distance), -0.75
        if not cubic:
            return max(0.0, 1 - d)
        if d <= 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0.0

    def matrix(new: int, old: int) -> np.ndarray:
        taken = np.zeros((new, old))
        for i in range(new):
            place = (i + 0.5) * old / new - 0.5
            place = place if cubic else max(place, 0.0)
            for j in range(int(np.floor(place)) - 2, int(np.floor(place)) + 4):
                taken[i, min(max(j, 0), old - 1)] += weights(place - j)
        return taken

    return drawn(matrix(height, frame.shape[0]), matrix(width, frame.shape[1]), frame)


def drawn(down: np.ndarray, across: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """The picture ``[h, w, c]`` through a matrix for each axis."""
    return np.einsum("xk,ykc->yxc", across, np.einsum("yj,jkc->ykc", down, picture))


def test_preprocessing_pixel_by_pixel() -> None:
    frame = VIDEO[3:4]
    width = int(224 * 80 / 48)
    expected = (plain_resize(frame[0], 224, width, cubic=False) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert_allclose(vbench_dino_pixels(frame)[0].permute(1, 2, 0).numpy(), expected, atol=2e-4)
    left = round((width - 224) / 2)
    cropped = plain_resize(frame[0], 224, width, cubic=True)[:, left : left + 224]
    assert cropped.max() > 255 or cropped.min() < 0  # bicubic overshoots, and VBench lets it
    mean, deviation = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    expected = (cropped / 255 - mean) / deviation
    assert_allclose(vbench_clip_pixels(frame)[0].permute(1, 2, 0).numpy(), expected, atol=2e-4)


def test_portrait_videos() -> None:
    tall = VIDEO.transpose(0, 2, 1, 3)
    assert vbench_dino_pixels(tall).shape == (4, 3, 373, 224)
    assert_allclose(vbench_clip_pixels(tall), vbench_clip_pixels(VIDEO).transpose(2, 3), atol=1e-4)


def test_the_formula() -> None:
    features = torch.randn(6, 5)
    features[4] = -features[0]  # a negative cosine counts as none
    found = consistency(features)
    assert np.isnan(found[0])
    assert_allclose(found[1:], plain_consistency(features.double().numpy()), rtol=1e-6)
    assert consistency(torch.ones(3, 4))[1:].tolist() == pytest.approx([1, 1])
    with pytest.raises(GeometryError, match="two frames or more"):
        consistency(torch.randn(1, 4))


def test_the_corpus_weighs_frames_not_videos() -> None:
    videos = [np.array([np.nan, 1.0]), np.array([np.nan, 0.0, 0.0, 0.5])]
    assert corpus_consistency(videos) == pytest.approx(1.5 / 4)


def test_through_tiny_extractors(tmp_path: Path) -> None:
    vit, clip = dino(), clip_vision(32)
    subject = subject_consistency(VIDEO, dino_extractor(vit), batch=3)
    with torch.no_grad():
        one_by_one = [
            vit(vbench_dino_pixels(VIDEO[i : i + 1]), interpolate_pos_encoding=True).last_hidden_state[0, 0]
            for i in range(4)
        ]
    assert_allclose(subject[1:], plain_consistency(torch.stack(one_by_one).double().numpy()), rtol=1e-4)
    clip.save_pretrained(tmp_path)
    background = background_consistency(VIDEO, load_clip_images(tmp_path), batch=3)
    with torch.no_grad():
        images = clip.get_image_features(pixel_values=vbench_clip_pixels(VIDEO)).pooler_output
    assert_allclose(background[1:], plain_consistency(images.double().numpy()), rtol=1e-4)
    assert np.nanmin(subject) > 0 and np.nanmax(subject) < 1


def test_dino_positions_by_scale_factor() -> None:
    """Each new position of DINO's lies at (i + .5) * 14 / (n + .1) - .5 of the table."""
    table = torch.randn(1, 1 + 14 * 14, 3)
    found = dino_positions(table, 224, 373, 16)
    assert found.shape == (1, 1 + 14 * 23, 3) and torch.equal(found[:, 0], table[:, 0])
    grid = table[0, 1:].reshape(14, 14, 3).double().numpy()
    across = _cubic([(i + 0.5) * 14 / 23.1 - 0.5 for i in range(23)])
    down = _cubic([(i + 0.5) * 14 / 14.1 - 0.5 for i in range(14)])
    expected = drawn(down, across, grid)
    assert_allclose(found[0, 1:].reshape(14, 23, 3).numpy(), expected, atol=1e-4)
    # transformers' own places, by size, are others
    by_size = drawn(np.eye(14), _cubic([(i + 0.5) * 14 / 23 - 0.5 for i in range(23)]), grid)
    assert np.abs(by_size - expected).max() > 0.01
    # a square picture keeps the table; one that is not square does not, even where the patches are as many
    assert dino_positions(table, 224, 224, 16) is table
    assert not torch.allclose(dino_positions(table, 224, 230, 16), table, atol=1e-3)


def _cubic(places: list[float]) -> np.ndarray:
    taken = np.zeros((len(places), 14))
    for i, place in enumerate(places):
        for j in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            d = abs(place - j)
            weight = 1.25 * d**3 - 2.25 * d**2 + 1 if d <= 1 else -0.75 * (d**3 - 5 * d**2 + 8 * d - 4)
            taken[i, min(max(j, 0), 13)] += weight
    return taken


def test_loaded_folders_are_whole(tmp_path: Path) -> None:
    vit = dino()
    vit.save_pretrained(tmp_path / "dino")
    vit.config.layer_norm_eps = 1e-6
    pixels = torch.randn(2, 3, 224, 240)
    again = dino_extractor(type(vit).from_pretrained(tmp_path / "dino", add_pooling_layer=False, layer_norm_eps=1e-6))
    assert_allclose(load_dino(tmp_path / "dino")(pixels), again(pixels), atol=1e-5)
    with pytest.raises(CheckpointError, match=r"no folder with a config\.json.*nothing is fetched"):
        load_dino("facebook/dino-vitb16")
    # a CLIP is no DINO: transformers would fill what is missing with random numbers
    clip_vision(32).save_pretrained(tmp_path / "clip")
    with pytest.raises(CheckpointError, match=r"lacks .* tensors|cannot be loaded"):
        load_dino(tmp_path / "clip")
    with pytest.raises(CheckpointError, match=r"lacks .* tensors|cannot be loaded"):
        load_clip_patches(tmp_path / "dino")


def test_an_extractor_gives_one_feature_for_each_frame() -> None:
    def first_only(pixels: Tensor) -> Tensor:
        return pixels[:1].flatten(1)

    with pytest.raises(GeometryError, match="expected one each"):
        subject_consistency(VIDEO, first_only)
