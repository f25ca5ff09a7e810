"""Camera paths: poses, lens, conventions, files and the pose mini-language.

Poses are camera-to-world matrices in OpenCV axes (x right, y down, z forward) and metres. The world is
right-handed with y down (determinant +1), or, where the poses come from Unreal, left-handed with z up
(determinant -1): poses relative to one another are the same kind of rotation in both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex, overload

import numpy as np

from ..errors import CameraError
from . import language
from .files import LATENT_STRIDE, CameraArrays, read_camera_arrays
from .geometry import SAME_FOV, checked_intrinsics, degrees_in_words, fov_from_intrinsics, square_intrinsics
from .poses import check_one_world, handedness, opencv_to_unreal, pose_fault, right_handed, unreal_to_opencv, world_down

if TYPE_CHECKING:
    import os

    import torch

__all__ = ["CameraPath", "load_camera_file", "relative_pose_vectors"]

MOST_FPS = 1000  # video files hold fewer


@dataclass(frozen=True, eq=False)
class CameraPath:
    """A camera over time.

    c2w: [F,4,4] float64, camera-to-world, OpenCV axes, metres; read-only. fps: video frames per second.
    frame_stride: one pose per this many video frames (4 for files that hold latent-rate vectors).

    The lens is given in one of two ways, or not at all. horizontal_fov alone: degrees, the same in all frames, square
    pixels, the principal point in the centre. intrinsics: [F,4] float64 (or [4] for all frames), fx and cx as shares
    of the picture's width, fy and cy of its height, so that scaling a picture leaves them as they are (read-only);
    `intrinsics_for` gives them for either way. Where intrinsics are given, horizontal_fov is what follows from fx:
    2 atan(0.5 / fx) in degrees where that is the same in all frames, None where the lens zooms.

    Raises CameraError, which names the first bad frame and what is wrong with it.
    """

    c2w: np.ndarray
    horizontal_fov: float | None = None
    fps: float = 15.0
    frame_stride: int = 1
    intrinsics: np.ndarray | None = None

    def __post_init__(self) -> None:
        try:
            c2w = np.array(self.c2w, dtype=np.float64)
        except (TypeError, ValueError) as cause:
            raise CameraError(f"camera poses: expected numbers [F,4,4] ({cause})") from cause
        if c2w.ndim != 3 or c2w.shape[1:] != (4, 4) or len(c2w) == 0:
            raise CameraError(f"camera poses of shape {list(c2w.shape)}: expected [F,4,4] with at least one frame")
        fault = pose_fault(c2w)
        if fault is not None:
            raise CameraError(f"camera pose of frame {fault[0]} (of {len(c2w)}): {fault[1]}")
        if self.horizontal_fov is not None and not 0 < self.horizontal_fov < 180:
            raise CameraError(f"horizontal_fov {self.horizontal_fov}: expected degrees between 0 and 180, or None")
        if not 0 < self.fps < MOST_FPS:
            shown = f"{self.fps}" if self.fps < 1e300 else "larger than any rate"
            raise CameraError(f"fps {shown}: expected a positive number of video frames per second, below {MOST_FPS}")
        if self.frame_stride != int(self.frame_stride) or self.frame_stride < 1:
            raise CameraError(f"frame_stride {self.frame_stride}: expected a whole number of at least 1")
        c2w.flags.writeable = False
        object.__setattr__(self, "c2w", c2w)
        if self.intrinsics is not None:
            self._set_intrinsics(checked_intrinsics(self.intrinsics, len(c2w)))

    def _set_intrinsics(self, intrinsics: np.ndarray) -> None:
        fov = fov_from_intrinsics(intrinsics)
        same = bool(np.ptp(fov) <= SAME_FOV)
        if self.horizontal_fov is not None and not (same and abs(self.horizontal_fov - fov[0]) <= SAME_FOV):
            raise CameraError(
                f"horizontal_fov {self.horizontal_fov:g} and intrinsics of {degrees_in_words(fov)} degrees are both "
                "given and differ; give one of them, or path.with_fov(degrees) for another lens"
            )
        if self.horizontal_fov is None:
            object.__setattr__(self, "horizontal_fov", float(fov[0]) if same else None)
        object.__setattr__(self, "intrinsics", intrinsics)

    def __repr__(self) -> str:
        return f"CameraPath({len(self)} poses, {self.lens}, {self.fps:g} fps, frame_stride={self.frame_stride})"

    @property
    def lens(self) -> str:
        """The field of view in words: "60 degrees", "40 to 60 degrees" of a zoom, "no field of view"."""
        if self.intrinsics is not None:
            return f"{degrees_in_words(fov_from_intrinsics(self.intrinsics))} degrees"
        return "no field of view" if self.horizontal_fov is None else f"{self.horizontal_fov:g} degrees"

    @property
    def has_lens(self) -> bool:
        """Whether the field of view is known, of one lens or of a zoom."""
        return self.intrinsics is not None or self.horizontal_fov is not None

    def intrinsics_for(self, height: float, width: float) -> np.ndarray:
        """[F,4] float64: fx, cx as shares of the width, fy, cy of the height of a picture of this size.

        The size counts only where a horizontal_fov alone is known, whose pixels are square. Raises CameraError where
        the path has no lens.
        """
        if self.intrinsics is not None:
            return self.intrinsics
        if self.horizontal_fov is None:
            raise CameraError(
                "the cameras have no field of view, and none is guessed: give horizontal_fov in degrees "
                "(path.with_fov(degrees)), or intrinsics"
            )
        return np.tile(square_intrinsics(self.horizontal_fov, height, width), (len(self), 1))

    def with_fov(self, horizontal_fov: float | None) -> CameraPath:
        """The same path with another lens: degrees over square pixels, None for a lens that is not known."""
        return replace(self, horizontal_fov=horizontal_fov, intrinsics=None)

    def with_intrinsics(self, intrinsics: np.ndarray) -> CameraPath:
        """The same path with another lens: [F,4], or [4] for all frames."""
        return replace(self, horizontal_fov=None, intrinsics=intrinsics)

    def __len__(self) -> int:
        return len(self.c2w)

    @overload
    def __getitem__(self, index: slice) -> CameraPath: ...
    @overload
    def __getitem__(self, index: SupportsIndex) -> np.ndarray: ...
    def __getitem__(self, index: slice | SupportsIndex) -> CameraPath | np.ndarray:
        """`path[a:b]`: a CameraPath (`path[a:b:k]` has k times the frame stride); `path[i]`: [4,4]."""
        if not isinstance(index, slice):
            return self.c2w[index]
        step = 1 if index.step is None else int(index.step)
        if step < 1:
            raise CameraError(f"slice step {step}: a camera path runs forward in time only")
        c2w = self.c2w[index]
        if len(c2w) == 0:
            raise CameraError(f"slice {index.start}:{index.stop} of {len(self)} poses is empty")
        path = replace(self, c2w=c2w, intrinsics=None, frame_stride=self.frame_stride * step)
        return path if self.intrinsics is None else path.with_intrinsics(self.intrinsics[index])

    def subsample(self, stride: int) -> CameraPath:
        """Every `stride`-th video frame, ceil(F / stride) poses; a path that is at this rate already is
        itself.

        Raises CameraError where the path's own frame_stride does not divide `stride`.
        """
        if stride < 1 or stride % self.frame_stride:
            raise CameraError(
                f"cannot take every {stride}th video frame of a path with one pose per {self.frame_stride}; "
                f"give a multiple of {self.frame_stride}"
            )
        return self[:: stride // self.frame_stride]

    @classmethod
    def from_unreal(
        cls,
        matrices: np.ndarray,
        *,
        horizontal_fov: float | None = None,
        fps: float = 15.0,
        frame_stride: int = 1,
    ) -> CameraPath:
        """From Unreal's camera-to-world [F,4,4]: columns forward, right, up, translation in centimetres.

        Only the camera's axes are exchanged (columns 1, 2, 0, 3 with column 1 negated) and the unit: the
        world stays Unreal's left-handed one, so the determinant is -1 (spec/hm_world.md).
        """
        array = np.asarray(matrices, dtype=np.float64)
        if array.ndim != 3 or array.shape[1:] != (4, 4):
            raise CameraError(f"Unreal camera matrices of shape {list(array.shape)}: expected [F,4,4]")
        return cls(unreal_to_opencv(array), horizontal_fov, fps, frame_stride)

    def to_unreal(self) -> np.ndarray:
        """The inverse of `from_unreal`: [F,4,4] in centimetres, in this path's own world."""
        return opencv_to_unreal(self.c2w)

    @classmethod
    def from_string(
        cls,
        text: str,
        *,
        start: CameraPath | None = None,
        speed: float = 0.25,
        angle: float = 3.75,
        stride: int = LATENT_STRIDE,
        fps: float | None = None,
        horizontal_fov: float | None = None,
    ) -> CameraPath:
        """A path in words: "right-8, wait-4, left-8" turns right for 8 latent frames, waits 4, turns back.

        Comma-separated `action-count`, the count in latent frames of `stride` video frames. Actions: forward,
        backward, slide_left, slide_right, rise, sink (`speed` metres per latent frame along the camera's own
        axes), left, right (`angle` degrees about the world's vertical), up, down (degrees about the camera's
        x axis), wait. `forward+right-8` does both at once; `right-8@5` sets the degrees or metres of one
        piece.

        N latent frames in all give F = stride (N - 1) + 1 video frames. Frame f stands at progress (f + 1) N
        / F after `start`'s last pose (identity without `start`), so the path continues the context without
        a repeated frame and ends at exactly the sum of its steps. fps and the lens (of its last frame) come from
        `start` where they are not given. The vertical is y in a right-handed world, z in Unreal's: in a path whose
        world is a camera that is not level (relative vectors), yaw turns about that camera's own y axis.
        Raises CameraError, which points at the piece that cannot be read and lists the actions.
        """
        for name, value in (("speed", speed), ("angle", angle)):
            if not 0 < value < float("inf"):
                raise CameraError(f"{name} {value}: expected a positive number")
        if stride < 1:
            raise CameraError(f"stride {stride}: expected at least 1 video frame per latent frame")
        pose = np.eye(4)[None] if start is None else start.c2w[-1:]
        segments = language.parse(text)
        down = world_down(pose)
        c2w = language.walk(pose[0], segments, down=down, speed=speed, angle=angle, stride=stride)
        intrinsics = None
        if start is not None:
            fps = start.fps if fps is None else fps
            if horizontal_fov is None:
                last = start[len(start) - 1 :]
                horizontal_fov, intrinsics = last.horizontal_fov, last.intrinsics
        return cls(
            c2w,
            horizontal_fov,
            15.0 if fps is None else fps,
            intrinsics=None if intrinsics is None else intrinsics[0],
        )

    def relative_to(self, pose: np.ndarray) -> CameraPath:
        """inv(pose) @ c2w for every frame: this path in the axes of the camera `pose` [4,4].

        A proper rotation in every world. Raises CameraError where `pose` is no pose or of the other
        handedness.
        """
        reference = CameraPath(np.asarray(pose, dtype=np.float64)[None])
        check_one_world(self.c2w, reference.c2w)
        # The difference first: far from the origin, the inverse alone would lose digits of the position.
        c2w = self.c2w.copy()
        c2w[:, :3, 3] -= reference.c2w[0, :3, 3]
        c2w[:, :3] = np.linalg.solve(reference.c2w[0, :3, :3], c2w[:, :3])
        return replace(self, c2w=c2w)

    def concatenate(self, other: CameraPath) -> CameraPath:
        """This path, then `other`. Lenses may differ where both paths have intrinsics.

        Raises CameraError where world, fps, frame_stride or another lens differ.
        """
        check_one_world(self.c2w, other.c2w)
        zooms = self.intrinsics is not None and other.intrinsics is not None
        for name in ("fps", "frame_stride") if zooms else ("horizontal_fov", "fps", "frame_stride"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise CameraError(f"cannot join camera paths of {name} {mine} and {theirs}")
        c2w = np.concatenate([self.c2w, other.c2w])
        if self.intrinsics is None and other.intrinsics is None:
            return replace(self, c2w=c2w)
        if self.intrinsics is None or other.intrinsics is None:
            raise CameraError(
                "cannot join camera paths of which one has intrinsics and the other a horizontal_fov alone; give both "
                "path.with_intrinsics(path.intrinsics_for(height, width))"
            )
        joint = replace(self, c2w=c2w, horizontal_fov=None, intrinsics=None)
        return joint.with_intrinsics(np.concatenate([self.intrinsics, other.intrinsics]))

    def right_handed(self) -> CameraPath:
        """The same cameras in a right-handed world with y down; relative poses do not change."""
        return replace(self, c2w=right_handed(self.c2w))


def load_camera_file(
    path: str | os.PathLike[str], *, frames: int | None = None, camera: str | None = None
) -> tuple[CameraPath, CameraPath]:
    """Read an HM-World camera file: (context, target).

    Three forms, told apart by their keys (spec/hm_world.md): cond_cam/tgt_cam or context_camera/video_camera
    with Unreal matrices; context_camera/video_camera with [n,12] relative vectors at latent rate
    (frame_stride 4, the world is the camera that they are relative to); raw frames as strings, which are
    split into halves and padded as the release does. Frame counts are the file's. `frames` asks for that many
    video frames in each half; `camera` chooses one of a Hemi8 file ("C_01_20mm"). The files state no lens, so
    it is not known, unless outofsight wrote them ("horizontal_fov", "intrinsics"). Raises CameraError naming file,
    frame, what was found and what was expected.
    """
    file = Path(path)
    arrays = read_camera_arrays(file, camera)
    lenses = arrays.intrinsics or (None, None)
    context, target = (
        _to_path(file, arrays, half, lens) for half, lens in zip((arrays.context, arrays.target), lenses, strict=True)
    )
    for name, half in (("context", context), ("target", target)):
        if frames is not None and len(half) != -(-frames // half.frame_stride):
            raise CameraError(
                f"{file}: the {name} has {len(half)} poses, one per {half.frame_stride} video frames; "
                f"expected {-(-frames // half.frame_stride)} for {frames} video frames"
            )
    if handedness(context.c2w) != handedness(target.c2w):
        raise CameraError(f"{file}: context and target differ in handedness, so one of them is mirrored")
    return context, target


def _to_path(file: Path, arrays: CameraArrays, poses: np.ndarray, intrinsics: np.ndarray | None) -> CameraPath:
    fps = 15.0 if arrays.fps is None else arrays.fps
    c2w = unreal_to_opencv(poses) if arrays.unreal else poses
    try:
        return CameraPath(c2w, arrays.horizontal_fov, fps, arrays.frame_stride, intrinsics)
    except CameraError as cause:
        raise CameraError(f"{file}: {cause}") from cause


def relative_pose_vectors(
    context: CameraPath, target: CameraPath, stride: int = LATENT_STRIDE
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pose vectors of the model: ([Fc,12], [Ft,12]) float32, relative to the first target frame.

    Each is the upper 3x4 of inv(c2w of the first target frame) @ c2w, row-major, for every `stride`-th video
    frame: ceil(F / stride) of them (77 and 75 video frames give 20 and 19). Paths that are at this rate
    already are taken whole. Vectors from a file that were relative to another camera become relative to this
    one. Raises CameraError where the two paths lie in different worlds or the rates do not fit.
    """
    import torch

    check_one_world(context.c2w, target.c2w)
    # Float32 from the matrices on, as the release computes it: its rounding (some 1e-5 m at 200 m from the
    # origin) is part of the numbers that its weights were trained and measured on. `relative_to` has the
    # exact ones.
    to_first = torch.linalg.inv(torch.from_numpy(target[0].astype(np.float32)))
    vectors = []
    for path in (context, target):
        c2w = torch.from_numpy(path.subsample(stride).c2w.astype(np.float32))
        vectors.append((to_first @ c2w)[:, :3].reshape(-1, 12))
    return vectors[0], vectors[1]


def rebase_poses(context_poses: torch.Tensor, target_poses: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pose vectors ``[b, fc, 12]``, ``[b, ft, 12]`` of any one world, relative to the first context frame.

    For models whose anchor is the session's first frame. Raises CameraError where there is no context frame.
    """
    import torch

    if context_poses.shape[1] == 0:
        raise CameraError("there is no context frame that poses could be relative to: give at least one")
    poses = torch.cat([context_poses, target_poses], dim=1).unflatten(-1, (3, 4))
    rotation, place = poses[:, :1, :, :3], poses[:, :1, :, 3:]
    moved = torch.cat([poses[..., :3], poses[..., 3:] - place], dim=-1)
    based = (rotation.transpose(-1, -2) @ moved).flatten(-2)
    return based[:, : context_poses.shape[1]], based[:, context_poses.shape[1] :]
