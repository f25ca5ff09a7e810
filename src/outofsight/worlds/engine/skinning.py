"""Bodies and their linear blend skinning over many frames at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ...errors import WorldsError
from .catalogue import SubjectSpec
from .gait import Rig, move
from .mesh import vertex_normals
from .tubes import BodyBuilder


@dataclass(eq=False)
class Body:
    """A skinned mesh at rest: facing +x, feet on z = 0, origin under its centre; metres, sRGB."""

    spec: SubjectSpec
    positions: np.ndarray  # f32 [V,3]
    normals: np.ndarray  # f32 [V,3]
    colours: np.ndarray  # f32 [V,3]
    faces: np.ndarray  # i32 [T,3]
    bones: np.ndarray  # i32 [V,4]
    weights: np.ndarray  # f32 [V,4]
    rest_joints: np.ndarray  # f32 [J,3]
    parents: tuple[int, ...]
    rig: Rig

    def stride(self, speed: np.ndarray | float) -> np.ndarray:
        """Metres travelled in one full gait cycle at `speed`."""
        return self.rig.stride_length(speed)

    @cached_property
    def basis(self) -> tuple[np.ndarray, np.ndarray]:
        """Skinning as two matrices: [V, 4J] (weighted homogeneous places) and [V, 3J] (weighted normals).

        Blending bone transforms by weights is linear in the transforms, so each frame is one matrix product.
        """
        count, joints = len(self.positions), len(self.rest_joints)
        dense = np.zeros((count, joints))
        np.put_along_axis(dense, self.bones.astype(np.int64), self.weights.astype(np.float64), axis=1)
        away = self.positions[:, None] - self.rest_joints[None]
        places = dense[..., None] * np.concatenate([away, np.ones((count, joints, 1))], axis=-1)
        normals = dense[..., None] * self.normals[:, None]
        return (
            np.ascontiguousarray(places.reshape(count, -1), dtype=np.float32),
            np.ascontiguousarray(normals.reshape(count, -1), dtype=np.float32),
        )


@dataclass(eq=False)
class PosedBody:
    """A body over F frames, in world coordinates."""

    positions: np.ndarray  # f32 [F,V,3]
    normals: np.ndarray  # f32 [F,V,3]
    joints: np.ndarray  # f32 [F,J,3]


def assemble(spec: SubjectSpec, builder: BodyBuilder, rig: Rig) -> Body:
    """The body of a finished mesh, scaled with its rig so that it is spec.height tall."""
    places, colours, faces, bones, weights = builder.finish()
    places[:, 2] = np.maximum(places[:, 2], 0.0)  # flat soles
    scale = spec.height / places[:, 2].max()
    places *= scale
    normals = vertex_normals(places, faces)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(length > 1e-14, normals / np.maximum(length, 1e-14), [0.0, 0.0, 1.0])
    legs = tuple(replace(leg, heel=leg.heel * scale, toes=leg.toes * scale) for leg in rig.legs)
    rig = replace(rig, joints=rig.joints * scale, legs=legs)
    return Body(
        spec=spec,
        positions=places.astype(np.float32),
        normals=normals.astype(np.float32),
        colours=colours.astype(np.float32),
        faces=faces.astype(np.int32),
        bones=bones.astype(np.int32),
        weights=weights.astype(np.float32),
        rest_joints=rig.joints.astype(np.float32),
        parents=rig.parents,
        rig=rig,
    )


def pose_body(
    body: Body, x: np.ndarray, y: np.ndarray, z: np.ndarray, heading: np.ndarray, phase: np.ndarray, speed: np.ndarray
) -> PosedBody:
    """The body at F places (metres), headings (radians), phases (cycles) and speeds (metres per second), all [F].

    Phase is the travelled distance divided by body.stride(speed), accumulated, plus any offset: then feet do not
    slide. At speed 0 the body stands; phase is then the clock of its breathing (a quarter cycle per second will do).

    Raises WorldsError where the arrays differ in length or hold numbers that are not finite.
    """
    given = [np.atleast_1d(np.asarray(a, dtype=np.float64)) for a in (x, y, z, heading, phase, speed)]
    if len({a.shape for a in given}) != 1 or given[0].ndim != 1:
        raise WorldsError(
            f"pose_body: x, y, z, heading, phase and speed must all be [F]; got {[a.shape for a in given]}"
        )
    if not all(np.isfinite(a).all() for a in given):
        raise WorldsError(f"pose_body: a place, heading, phase or speed of {body.spec.name} is not finite")
    x, y, z, heading, phase, speed = given
    rotation, place = move(body.rig, phase, np.maximum(speed, 0.0))
    facing = np.zeros((len(x), 3, 3))
    facing[:, 0, 0] = facing[:, 1, 1] = np.cos(heading)
    facing[:, 1, 0] = np.sin(heading)
    facing[:, 0, 1] = -facing[:, 1, 0]
    facing[:, 2, 2] = 1.0
    rotation = facing[:, None] @ rotation
    place = place @ facing.transpose(0, 2, 1)

    # Rows of the products are weighted places times transposed turns, so the turns go in transposed.
    turned = rotation.transpose(0, 1, 3, 2).astype(np.float32)
    moved = np.concatenate([turned, place[:, :, None].astype(np.float32)], axis=2)
    frames, joints = place.shape[:2]
    places_basis, normals_basis = body.basis
    positions = places_basis @ moved.reshape(frames, 4 * joints, 3)
    normals = normals_basis @ turned.reshape(frames, 3 * joints, 3)
    normals /= np.sqrt(np.maximum(np.einsum("fvc,fvc->fv", normals, normals), 1e-12))[..., None]
    origin = np.stack([x, y, z], axis=-1)
    positions += origin[:, None].astype(np.float32)
    return PosedBody(positions, normals, (place + origin[:, None]).astype(np.float32))
