"""Facts about camera-to-world matrices, on plain arrays: what a pose is, and Unreal's axes against OpenCV's.

Source of the axes: spec/hm_world.md, "Camera files".
"""

from __future__ import annotations

import numpy as np

from ..errors import CameraError

FARTHEST = 1e9  # metres or centimetres: what is further off is no place, and float32 cannot hold it
ROTATION_TOLERANCE = 1e-3  # the public files hold float32 matrices that are orthonormal to about 1e-6

# Unreal's columns are forward, right, up; OpenCV's are right, down, forward.
_OPENCV_FROM_UNREAL = [1, 2, 0, 3]
_UNREAL_FROM_OPENCV = [2, 0, 1, 3]
_CENTIMETRES = 100.0

# Takes coordinates of Unreal's left-handed world (x forward, y right, z up) to a right-handed one (x right,
# y down, z forward). Its determinant is -1, which is what mends the handedness.
_RIGHT_HANDED_WORLD = np.array([[0, 1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=np.float64)


def unreal_to_opencv(matrices: np.ndarray) -> np.ndarray:
    """[..., 4, 4] Unreal camera-to-world in centimetres -> OpenCV camera axes in metres, in the same world.

    Only the camera's axes change, so the determinant becomes -1: the world stays left-handed.
    """
    c2w = np.array(matrices, dtype=np.float64)[..., _OPENCV_FROM_UNREAL]
    c2w[..., :, 1] *= -1.0
    c2w[..., :3, 3] /= _CENTIMETRES
    return c2w


def opencv_to_unreal(c2w: np.ndarray) -> np.ndarray:
    """The inverse of `unreal_to_opencv`: [..., 4, 4] in metres -> [..., 4, 4] in centimetres."""
    matrices = np.array(c2w, dtype=np.float64)
    matrices[..., :, 1] *= -1.0
    matrices[..., :3, 3] *= _CENTIMETRES
    return matrices[..., _UNREAL_FROM_OPENCV]


def handedness(c2w: np.ndarray) -> int:
    """+1 for poses [F,4,4] in a right-handed world, -1 in a left-handed one (Unreal's)."""
    return 1 if np.linalg.det(c2w[0, :3, :3]) > 0 else -1


def check_one_world(first: np.ndarray, second: np.ndarray) -> None:
    """Raises CameraError where poses [F,4,4] lie in worlds of different handedness."""
    if handedness(first) != handedness(second):
        raise CameraError(
            "one camera path lies in Unreal's left-handed world, the other in a right-handed one, so they "
            "cannot be related; give both in one world"
        )


def right_handed(c2w: np.ndarray) -> np.ndarray:
    """The same cameras [F,4,4] in a right-handed world with y down; relative poses stay as they are."""
    return c2w if handedness(c2w) > 0 else _RIGHT_HANDED_WORLD @ c2w


def world_down(c2w: np.ndarray) -> np.ndarray:
    """The direction [3] of gravity by convention: +y in a right-handed world, -z in Unreal's."""
    return np.array([0.0, 1.0, 0.0]) if handedness(c2w) > 0 else np.array([0.0, 0.0, -1.0])


def pose_fault(c2w: np.ndarray) -> tuple[int, str] | None:
    """The first bad frame of poses [F,4,4] and what is wrong with it; None where all are rigid."""
    finite = np.isfinite(c2w).all(axis=(1, 2))
    numbers = np.where(finite[:, None, None], c2w, np.eye(4))
    rotation = numbers[:, :3, :3]
    row = np.abs(numbers[:, 3] - [0.0, 0.0, 0.0, 1.0]).max(axis=1) > ROTATION_TOLERANCE
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = np.abs(rotation.transpose(0, 2, 1) @ rotation - np.eye(3)).max(axis=(1, 2))
    skewed = ~(deviation <= ROTATION_TOLERANCE)
    signs = np.linalg.det(np.where(skewed[:, None, None], np.eye(3), rotation)) > 0
    reference = signs[np.argmin(skewed)]
    far = np.abs(numbers[:, :3, 3]).max(axis=1) > FARTHEST
    bad = ~finite | row | skewed | far | (signs != reference)
    if not bad.any():
        return None
    frame = int(np.argmax(bad))
    if not finite[frame]:
        return frame, "it holds NaN or infinite numbers"
    if row[frame]:
        return frame, _row_fault(numbers[frame])
    if far[frame]:
        return frame, f"its position is {_row(numbers[frame, :3, 3])}; at most {FARTHEST:g} is allowed"
    if skewed[frame]:
        return frame, (
            f"its 3x3 part is not a rotation (R^T R differs from the identity by {deviation[frame]:.3g}; "
            f"at most {ROTATION_TOLERANCE:g} is allowed)"
        )
    return frame, (
        f"its determinant is {'+1' if signs[frame] else '-1'}, that of the frames before it "
        f"{'+1' if reference else '-1'}: all poses must be of one handedness"
    )


def _row_fault(matrix: np.ndarray) -> str:
    fault = f"its last row is {_row(matrix[3])}, expected 0 0 0 1"
    if np.allclose(matrix[:, 3], [0, 0, 0, 1], atol=ROTATION_TOLERANCE):
        fault += " (the matrix looks transposed: the translation belongs in the last column)"
    return fault


def _row(values: np.ndarray) -> str:
    return " ".join(f"{value:g}" for value in values)
