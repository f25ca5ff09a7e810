"""PSNR and SSIM against torchmetrics, and by region."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from metric_clips import noisy, texture
from numpy.testing import assert_allclose
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from outofsight.errors import GeometryError
from outofsight.evaluation.metrics import frame_psnr, frame_ssim, ssim_maps

TRUTH = texture(5, 33, 46)
PREDICTION = noisy(TRUTH, 20)
PREDICTION[2] = TRUTH[2]
PREDICTION[3] = 90  # flat, where variances are zero


def on_one(video: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(video).permute(0, 3, 1, 2).double() / 255


def test_ssim_is_torchmetrics() -> None:
    """Other edges, another window, sample variances or pooled frames would all show here."""
    expected, maps = structural_similarity_index_measure(
        on_one(PREDICTION), on_one(TRUTH), data_range=1.0, reduction="none", return_full_image=True
    )
    assert_allclose(frame_ssim(PREDICTION, TRUTH), expected.numpy(), atol=2e-6)
    assert_allclose(ssim_maps(PREDICTION, TRUTH), maps.mean(dim=1).numpy(), atol=1e-4)  # float32 here
    assert frame_ssim(TRUTH, TRUTH) == pytest.approx(np.ones(5))


def test_psnr_is_torchmetrics() -> None:
    there = [0, 1, 3, 4]  # equal frames are infinite there, and count 100 here
    expected = [peak_signal_noise_ratio(on_one(PREDICTION)[i], on_one(TRUTH)[i], data_range=1.0).item() for i in there]
    found = frame_psnr(PREDICTION, TRUTH)
    assert_allclose(found[there], expected, rtol=1e-6)
    assert found[2] == 100


def test_ssim_where() -> None:
    where = np.zeros(TRUTH.shape[:3], bool)
    where[0, 3, 4] = where[1] = True
    found = frame_ssim(PREDICTION, TRUTH, where)
    maps = ssim_maps(PREDICTION, TRUTH)
    assert found[0] == pytest.approx(maps[0, 3, 4]) and found[1] == pytest.approx(maps[1].mean(), rel=1e-5)
    assert np.isnan(found[2:]).all()


def test_what_cannot_be_compared() -> None:
    with pytest.raises(GeometryError, match="expected one shape"):
        frame_ssim(TRUTH, TRUTH[:4])
    with pytest.raises(GeometryError, match="expected uint8"):
        frame_ssim(TRUTH.astype(np.float32), TRUTH)
    with pytest.raises(GeometryError, match="too small"):
        frame_ssim(TRUTH[:, :5], TRUTH[:, :5])
