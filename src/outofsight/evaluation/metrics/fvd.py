"""Frechet distance between two sets of clips' features (FVD with I3D's, but any will do).

|mu - mu'|^2 + Tr(S + S' - 2 (S S')^1/2), in float64, of the sets' means and covariances (divided by n - 1).

Of the trace of the square root: S = A^T A with A the centred features by sqrt(n - 1), and the eigenvalues of S S' are
the squared singular values of A A'^T; so the trace is the sum of those singular values. scipy's sqrtm of S S' is not
used: with fewer clips than features the product is singular, and sqrtm then returns complex noise of the order of the
root of the rounding error, or fails. A is first turned into the triangle of its QR decomposition, which has the same
A^T A, so the cost does not grow with the number of clips beyond that.

Source: Unterthiner et al. 2018, "Towards Accurate Generative Models of Video"; Dowson and Landau 1982 for the distance.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import GeometryError
from ..metric import Metric, Value, register_metric

if TYPE_CHECKING:
    from ..measure import Sample


@dataclass(frozen=True)
class Frechet:
    """The distance; of how many clips and of how many features; note: what spoils it, in words, or None."""

    distance: float
    clips: int
    reference_clips: int
    features: int
    note: str | None


def frechet_distance(features: np.ndarray, reference: np.ndarray) -> Frechet:
    """Distance between the features ``[n, d]`` of predictions and those ``[m, d]`` of true clips.

    Warns, and notes it in the result, where there are no more clips than features: the covariances are then singular,
    and the distance depends on the number of clips more than on the clips (400 I3D logits want more than 400 clips).

    Raises:
        GeometryError: fewer than two clips, other widths, or numbers that are not finite.
    """
    both = [np.asarray(values, dtype=np.float64) for values in (features, reference)]
    shapes = [values.shape for values in both]
    if any(len(shape) != 2 or shape[0] < 2 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise GeometryError(f"features are {shapes[0]} and {shapes[1]}: expected [n, d] and [m, d], n and m 2 or more")
    if not all(np.isfinite(values).all() for values in both):
        raise GeometryError("some features are NaN or infinite; leave those clips out, and note it")
    (mean, triangle), (mean_of, triangle_of) = (_moments(values) for values in both)
    common = np.linalg.svd(triangle @ triangle_of.T, compute_uv=False).sum()
    spread = (triangle**2).sum() + (triangle_of**2).sum()
    distance = float(((mean - mean_of) ** 2).sum() + spread - 2 * common)
    note = None
    if min(len(values) for values in both) <= shapes[0][1]:
        note = (
            f"{len(both[0])} against {len(both[1])} clips for {shapes[0][1]} features: the covariances are singular; "
            f"compare only numbers of as many clips, and better take more than {shapes[0][1]}"
        )
        warnings.warn(note, stacklevel=2)
    return Frechet(max(distance, 0.0), len(both[0]), len(both[1]), shapes[0][1], note)


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean ``[d]``, and a triangle ``[min(n, d), d]`` R with R^T R the covariance."""
    mean = values.mean(axis=0)
    triangle = np.linalg.qr((values - mean) / np.sqrt(len(values) - 1), mode="r")
    return mean, np.asarray(triangle)


def _features(sample: Sample) -> Value:
    assert sample.networks.video_features is not None
    found = np.asarray(sample.networks.video_features(sample.frames), np.float64)
    return Value({}, features=tuple(found.ravel().tolist()))


def _of_set(row: Mapping[str, Value], truth: Mapping[str, Value]) -> dict[str, Any]:
    both = [clip for clip in row if clip in truth and row[clip].features and truth[clip].features]
    if len(both) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # its text stays in the note
        mine, theirs = (np.array([group[clip].features for clip in both]) for group in (row, truth))
        return {"fvd": asdict(frechet_distance(mine, theirs))}


register_metric(Metric(
    "fvd", frozenset({"truth", "video-features"}), "", "lower", _features,
    "Frechet distance of injected clip features: means and covariances (n - 1), float64", "set", over_clips=_of_set,
))  # fmt: skip
