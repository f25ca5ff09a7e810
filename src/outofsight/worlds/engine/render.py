"""The renderer: colour, instance ids and depth of a scene and its bodies, with OpenGL on a GPU or on the CPU.

It draws off screen through EGL; without a graphics card Mesa's llvmpipe runs the same programs. The static world
is one draw, each body one. Shadows of the static world are drawn once per scene; each body has a small shadow map
of its own, so that leaving a body out changes nothing but the body and its shadow.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import WorldsError
from . import shaders
from .noise import noise
from .scene import Scene

NEAR, FAR = 0.1, 600.0  # metres
CELL = 7.0  # metres; the world is sorted and left out by squares of this size
MAX_BODIES = 8
MAX_LAMPS = 8
BODY_SHADOW = 192  # texels along the shadow map of one body
Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(eq=False)
class Frame:
    """One frame and its ground truth.

    colour: [H,W,3] uint8 sRGB, anti-aliased. ids: [H,W] uint8, 0 for world and sky, i + 1 for body i. depth: [H,W]
    float32, metres along the camera's z axis, inf in the sky. Ids and depth are those of the surface at each
    pixel's centre, (column + 0.5, row + 0.5).
    """

    colour: np.ndarray
    ids: np.ndarray
    depth: np.ndarray


class Renderer(AbstractContextManager["Renderer"]):
    """One OpenGL context that draws scenes at one size; use it as a context manager.

    Args:
        width, height: of the pictures, pixels.
        supersample: 1 = none; 2 = four samples per pixel, each edge drawn four times finer but surfaces shaded
            once (multisampling, textures filtered by mipmaps); 3 or more = n x n shaded samples per pixel.
        shadow_size: texels along the static shadow map.

    Raises:
        WorldsError: there is no EGL, or it cannot do OpenGL 3.3.
    """

    def __init__(self, width: int, height: int, *, supersample: int = 2, shadow_size: int = 1024) -> None:
        if width < 1 or height < 1 or supersample < 1 or shadow_size < 16:
            raise WorldsError(
                f"a renderer of {width}x{height}, supersample {supersample}, shadow_size {shadow_size}: expected "
                "positive sizes (shadow_size at least 16)"
            )
        self.width, self.height = int(width), int(height)
        self._context = gl = _open_context()
        self._programs: dict[tuple[int, int], Any] = {}
        self._loaded: _Loaded | None = None
        self._multisample = supersample == 2 and gl.max_samples >= 4
        factor = 1 if self._multisample else supersample
        size = (self.width * factor, self.height * factor)
        samples = 4 if self._multisample else 0
        # GL_RGB10_A2: ten bits of the square root of linear light
        self._shaded = gl.texture(size, 4, samples=samples, dtype="f1", internal_format=0x8059)
        self._shaded_target = gl.framebuffer([self._shaded], gl.depth_renderbuffer(size, samples=samples))
        self._found = gl.texture((self.width, self.height), 2, dtype="f4")
        self._found_target = gl.framebuffer([self._found], gl.depth_renderbuffer((self.width, self.height)))
        self._packed = gl.texture((self.width, self.height), 2, dtype="u4")
        self._packed_target = gl.framebuffer([self._packed])
        self._sun_depth = gl.depth_texture((shadow_size, shadow_size))
        self._sun_target = gl.framebuffer(depth_attachment=self._sun_depth)
        self._clouds = gl.texture((256, 256), 3, _cloud_noise())
        self._clouds.build_mipmaps()
        corners = gl.buffer(np.array([-1, -1, 3, -1, -1, 3], dtype="f4").tobytes())
        self._sky = shaders.program(gl, "sky")
        self._sky_array = gl.vertex_array(self._sky, [(corners, "2f", "in_corner")])
        self._depth_program = shaders.program(gl, "depth")
        self._id_program = shaders.program(gl, "id")
        self._resolve = shaders.program(gl, "resolve", MULTISAMPLE=int(self._multisample), SAMPLES=samples or factor)
        self._resolve["shaded"], self._resolve["found"], self._resolve["height"] = 0, 1, self.height
        self._resolve_array = gl.vertex_array(self._resolve, [(corners, "2f", "in_corner")])
        self._pixels = np.empty((self.height, self.width, 2), dtype=np.uint32)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the context and everything in it."""
        self._context.release()

    def load(self, scene: Scene, bodies: Sequence[Arrays] = ()) -> None:
        """Uploads what stays the same over a clip: the scene, and per body (faces int [T,3], colours [V,3]).

        Raises:
            WorldsError: more bodies or lamps than can be drawn.
        """
        if len(bodies) > MAX_BODIES:
            raise WorldsError(f"{len(bodies)} bodies in one clip: the renderer draws at most {MAX_BODIES}")
        if len(scene.lamps) > MAX_LAMPS:
            raise WorldsError(f"{len(scene.lamps)} lamps in one scene: the renderer draws at most {MAX_LAMPS}")
        with self._context:  # of several renderers each draws on its own
            self._upload(scene, bodies)

    def _upload(self, scene: Scene, bodies: Sequence[Arrays]) -> None:
        if self._loaded is not None:
            self._loaded.release()
        key = (max(1, len(bodies)), len(scene.lamps))
        if key not in self._programs:
            self._programs[key] = shaders.program(self._context, "surface", BODIES=key[0], LAMPS=key[1])
        self._loaded = _Loaded(self._context, self._programs[key], self._depth_program, self._id_program, scene, bodies)
        self._set_light(scene)
        self._draw_static_shadow(scene)

    def frame(self, c2w: np.ndarray, horizontal_fov_degrees: float, bodies: Sequence[Arrays | None] = ()) -> Frame:
        """Draws one frame.

        Args:
            c2w: [4,4] camera-to-world, OpenCV axes (x right, y down, z forward) in the z-up world.
            horizontal_fov_degrees: of the whole picture.
            bodies: per loaded body its (positions [V,3], normals [V,3]), or None where it is absent.

        Raises:
            WorldsError: nothing is loaded, or other bodies than those loaded.
        """
        loaded = self._loaded
        if loaded is None:
            raise WorldsError("nothing to draw: call load(scene, bodies) before frame()")
        if len(bodies) != len(loaded.bodies):
            raise WorldsError(f"{len(bodies)} bodies for a frame, but {len(loaded.bodies)} were loaded")
        with self._context:
            return self._draw(loaded, c2w, horizontal_fov_degrees, bodies)

    def _draw(
        self, loaded: _Loaded, c2w: np.ndarray, horizontal_fov_degrees: float, bodies: Sequence[Arrays | None]
    ) -> Frame:
        gl = self._context
        view = _view(c2w)
        projection = _projection(horizontal_fov_degrees, self.width / self.height)
        full = projection @ view
        present = [body for body, pose in zip(loaded.bodies, bodies, strict=True) if body.place(pose)]
        loaded.choose(full, np.asarray(c2w, dtype=np.float64)[:3, 3])
        self._draw_body_shadows(loaded)
        self._test_depth()

        self._found_target.use()
        self._found_target.clear(0.0, float("inf"))
        _set_matrix(self._id_program["view_projection"], full)
        self._id_program["instance"] = 0.0
        gl.enable(gl.CULL_FACE)
        loaded.found_array.render(vertices=loaded.drawn)
        gl.disable(gl.CULL_FACE)
        for body in present:
            self._id_program["instance"] = float(body.number)
            body.found_array.render()

        program = loaded.program
        self._shaded_target.use()
        self._shaded_target.clear()
        _set_matrix(program["view_projection"], full)
        _set(program, "eye", np.asarray(c2w)[:3, 3])
        loaded.textures.use(0)
        self._sun_depth.use(1)
        loaded.body_depth.use(2)
        for body in present:
            body.shaded_array.render()
        gl.enable(gl.CULL_FACE)
        loaded.shaded_array.render(vertices=loaded.drawn)
        gl.disable(gl.CULL_FACE)
        self._clouds.use(0)
        _set_matrix(self._sky["unproject"], _unproject(c2w, projection))
        self._sky_array.render()

        gl.disable(gl.DEPTH_TEST)
        self._packed_target.use()
        self._shaded.use(0)
        self._found.use(1)
        self._resolve_array.render()
        self._packed_target.read_into(self._pixels, components=2, dtype="u4", alignment=1)
        bytes_ = self._pixels.view(np.uint8).reshape(self.height, self.width, 8)
        return Frame(
            colour=np.ascontiguousarray(bytes_[..., :3]),
            ids=np.ascontiguousarray(bytes_[..., 3]),
            depth=np.ascontiguousarray(self._pixels[..., 1]).view(np.float32),
        )

    def _test_depth(self) -> None:
        self._context.enable_only(self._context.DEPTH_TEST)
        self._context.depth_func = "<="

    def _set_light(self, scene: Scene) -> None:
        assert self._loaded is not None
        program = self._loaded.program
        fog, horizon, top = (_linear(c) for c in (scene.fog_colour, scene.sky_horizon, scene.sky_top))
        ambient = np.asarray(scene.ambient, dtype=np.float64)
        bounce = ambient * np.array([0.62, 0.56, 0.48])  # light from below: what the ground gives back
        shared = {"sun": scene.sun, "sun_colour": scene.sun_colour, "fog_colour": fog}
        for name, value in {**shared, "ambient": ambient, "bounce": bounce}.items():
            _set(program, name, value)
        for name, value in {**shared, "sky_top": top, "sky_horizon": horizon}.items():
            _set(self._sky, name, value)
        program["fog_density"] = float(scene.fog_density)
        program["textures"], program["sun_depth"], program["body_depth"] = 0, 1, 2
        if scene.lamps:
            places = [(*lamp.position, 1.0 / lamp.reach**2) for lamp in scene.lamps]
            program["lamp_place"].write(np.array(places, dtype="f4").tobytes())
            program["lamp_colour"].write(np.array([lamp.colour for lamp in scene.lamps], dtype="f4").tobytes())
        self._sky["clouds"] = float(scene.clouds)
        self._sky["stars"] = 0.5 if scene.layout.light == "night" else 0.0
        self._sky["cloud_noise"] = 0

    def _draw_static_shadow(self, scene: Scene) -> None:
        """The world's own shadows: once per scene, over the stage and some way beyond."""
        loaded = self._loaded
        assert loaded is not None
        x0, y0, x1, y1 = scene.layout.stage
        centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2, 1.5])
        matrix = _sun_matrix(scene.sun, centre, 0.5 * float(np.hypot(x1 - x0, y1 - y0)) + 8.0, 120.0)
        _set_matrix(loaded.program["sun_matrix"], matrix)
        loaded.program["shadow_texel"] = 1.0 / self._sun_depth.size[0]
        self._sun_depth.compare_func = "<="
        self._test_depth()
        self._sun_target.use()
        self._sun_target.clear(depth=1.0)
        _set_matrix(self._depth_program["sun_matrix"], matrix)
        loaded.shadow_array.render()

    def _draw_body_shadows(self, loaded: _Loaded) -> None:
        self._test_depth()
        loaded.body_target.use()
        loaded.body_target.viewport = (0, 0, loaded.body_depth.size[0], BODY_SHADOW)
        loaded.body_target.clear(depth=1.0)
        matrices = np.zeros((max(1, len(loaded.bodies)), 4, 4))
        matrices[:, 0, 3] = 10.0  # outside: no shadow
        matrices[:, 3, 3] = 1.0
        for index, body in enumerate(loaded.bodies):
            if body.bounds is None:
                continue
            centre, radius = body.bounds
            matrices[index] = _sun_matrix(loaded.sun, centre, radius, radius)
            _set_matrix(self._depth_program["sun_matrix"], matrices[index])
            loaded.body_target.viewport = (index * BODY_SHADOW, 0, BODY_SHADOW, BODY_SHADOW)
            body.shadow_array.render()
        loaded.program["body_sun"].write(np.ascontiguousarray(matrices.transpose(0, 2, 1), dtype="f4").tobytes())


class _Body:
    """Buffers of one body: what changes per frame (positions, normals) and what stays."""

    def __init__(
        self, gl: Any, programs: tuple[Any, Any, Any], number: int, faces: np.ndarray, colours: np.ndarray, white: int
    ) -> None:
        self.number = number
        self.bounds: tuple[np.ndarray, float] | None = None
        self._count = len(colours)
        fixed = np.zeros(self._count, dtype=[("colour", "u1", 4), ("uv", "f4", 3)])
        fixed["colour"][:, :3] = _root(np.clip(colours, 0, 1))
        fixed["uv"][:, 2] = white
        self._moving = gl.buffer(reserve=24 * self._count, dynamic=True)
        self._staging = np.empty((self._count, 6), dtype=np.float32)
        still = gl.buffer(fixed.tobytes())
        index = gl.buffer(np.ascontiguousarray(faces, dtype="i4").tobytes())
        shaded, depth, found = programs
        layout = [(self._moving, "3f 3f", "in_position", "in_normal"), (still, "4f1 3f", "in_colour", "in_uv")]
        self.shaded_array = gl.vertex_array(shaded, layout, index)
        self.shadow_array = gl.vertex_array(depth, [(self._moving, "3f 12x", "in_position")], index)
        self.found_array = gl.vertex_array(found, [(self._moving, "3f 12x", "in_position")], index)
        self.owned = [self._moving, still, index, self.shaded_array, self.shadow_array, self.found_array]

    def place(self, pose: Arrays | None) -> bool:
        """Uploads this frame's pose; False where the body is absent."""
        if pose is None:
            self.bounds = None
            return False
        positions, normals = pose
        if len(positions) != self._count or len(normals) != self._count:
            raise WorldsError(
                f"body {self.number - 1}: {len(positions)} positions and {len(normals)} normals for a frame, but "
                f"{self._count} vertices were loaded"
            )
        self._staging[:, :3], self._staging[:, 3:] = positions, normals
        low, high = self._staging[:, :3].min(axis=0), self._staging[:, :3].max(axis=0)
        self.bounds = (low + high).astype(np.float64) / 2, 0.52 * float(np.linalg.norm(high - low)) + 0.02
        self._moving.write(self._staging)
        return True


class _Loaded:
    """What is on the device for one clip."""

    def __init__(self, gl: Any, program: Any, depth: Any, found: Any, scene: Scene, bodies: Sequence[Arrays]) -> None:
        self.program = program
        self.sun = np.asarray(scene.sun, dtype=np.float64)
        surface = scene.surface
        layers = len(scene.textures)
        self.textures = gl.texture_array((256, 256, layers + 1), 3, _texture_bytes(scene.textures))
        self.textures.build_mipmaps()
        self.textures.filter = (gl.LINEAR_MIPMAP_LINEAR, gl.LINEAR)
        count = len(surface.positions)
        kinds = [("position", "f4", 3), ("normal", "f4", 3), ("colour", "u1", 4), ("uv", "f4", 3)]
        vertices = np.zeros(count, dtype=kinds)
        vertices["position"], vertices["normal"] = surface.positions, surface.normals
        vertices["colour"][:, :3] = _root(surface.colours)
        vertices["colour"][:, 3] = np.rint(np.clip(surface.glow, 0, 1) * 255)
        vertices["uv"][:, :2] = surface.uvs
        vertices["uv"][:, 2] = np.where(surface.layers < 0, layers, surface.layers)
        buffer = gl.buffer(vertices.tobytes())
        self._faces, self._starts, self._low, self._high = _cells(surface.positions, surface.faces)
        everything = gl.buffer(self._faces.tobytes())
        self._index = gl.buffer(reserve=self._faces.nbytes, dynamic=True)
        self.drawn = 0
        layout = [(buffer, "3f 3f 4f1 3f", "in_position", "in_normal", "in_colour", "in_uv")]
        self.shaded_array = gl.vertex_array(program, layout, self._index)
        self.found_array = gl.vertex_array(found, [(buffer, "3f 28x", "in_position")], self._index)
        self.shadow_array = gl.vertex_array(depth, [(buffer, "3f 28x", "in_position")], everything)
        self.bodies = [
            _Body(gl, (program, depth, found), number + 1, faces, colours, layers)
            for number, (faces, colours) in enumerate(bodies)
        ]
        self.body_depth = gl.depth_texture((BODY_SHADOW * max(1, len(bodies)), BODY_SHADOW))
        self.body_depth.compare_func = "<="
        self.body_target = gl.framebuffer(depth_attachment=self.body_depth)
        self._owned = [self.textures, buffer, everything, self._index, self.shaded_array, self.found_array]
        self._owned += [self.shadow_array, self.body_target, self.body_depth]

    def choose(self, view_projection: np.ndarray, eye: np.ndarray) -> None:
        """Puts the cells that the camera may see into the index buffer, nearest first."""
        planes = np.stack([view_projection[3] + sign * view_projection[axis] for axis in (0, 1, 2) for sign in (1, -1)])
        normal = planes[:, None, :3]
        furthest = np.where(normal > 0, self._high, self._low)  # the corner most inside each plane
        seen = np.flatnonzero(((furthest * normal).sum(-1) + planes[:, 3:] >= 0).all(axis=0))
        gap = np.maximum(np.maximum(self._low[seen] - eye, eye - self._high[seen]), 0)
        order = seen[np.argsort((gap**2).sum(-1), kind="stable")]
        parts = [self._faces[self._starts[cell] : self._starts[cell + 1]] for cell in order]
        if parts:
            chosen = np.concatenate(parts)
            self._index.write(chosen)
        self.drawn = 3 * sum(map(len, parts))

    def release(self) -> None:
        for item in self._owned + [item for body in self.bodies for item in body.owned]:
            item.release()


def _cells(positions: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Faces sorted by ground square: faces [T,3], where each square starts [C+1], its bounds [C,3] and [C,3]."""
    corners = positions[faces].astype(np.float64)
    middle = corners.mean(axis=1)[:, :2]
    square = np.floor(middle / CELL).astype(np.int64)
    # what is large would spoil the bounds of its square: it gets one of its own per 4 squares of ground
    large = np.ptp(corners, axis=1)[:, :2].max(axis=1) > 1.5 * CELL
    square[large] = square[large] // 4 + 100_000
    key = square[:, 0] * 1_000_000 + square[:, 1]
    order = np.argsort(key, kind="stable")
    _, starts = np.unique(key[order], return_index=True)
    low = np.minimum.reduceat(corners.min(axis=1)[order], starts)
    high = np.maximum.reduceat(corners.max(axis=1)[order], starts)
    return np.ascontiguousarray(faces[order], dtype=np.int32), np.append(starts, len(faces)), low, high


def _open_context() -> Any:
    import moderngl

    try:
        context = moderngl.create_context(standalone=True, require=330, backend="egl")  # type: ignore[arg-type]
    except Exception as cause:  # glcontext raises nothing narrower
        raise WorldsError(
            f"no off-screen OpenGL 3.3: {cause}. Worlds are drawn through EGL; on Debian or Ubuntu install it with "
            "`apt install libegl1 libgl1-mesa-dri` (the latter draws on the CPU where there is no graphics card)"
        ) from cause
    return context


def _view(c2w: np.ndarray) -> np.ndarray:
    """World to OpenGL eye space (x right, y up, looking along -z)."""
    pose = np.asarray(c2w, dtype=np.float64)
    turn = pose[:3, :3] @ np.diag([1.0, -1.0, -1.0])
    view = np.eye(4)
    view[:3, :3] = turn.T
    view[:3, 3] = -turn.T @ pose[:3, 3]
    return view


def _projection(horizontal_fov_degrees: float, aspect: float) -> np.ndarray:
    if not 0 < horizontal_fov_degrees < 180:
        raise WorldsError(f"horizontal field of view {horizontal_fov_degrees}: expected degrees between 0 and 180")
    focal = 1.0 / np.tan(np.radians(horizontal_fov_degrees) / 2)
    projection = np.zeros((4, 4))
    projection[0, 0], projection[1, 1] = focal, focal * aspect
    projection[2, 2], projection[2, 3] = -(FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)
    projection[3, 2] = -1.0
    return projection


def _unproject(c2w: np.ndarray, projection: np.ndarray) -> np.ndarray:
    """Corner of the picture (x, y, 0, 1) to a ray in the world."""
    turn = np.asarray(c2w, dtype=np.float64)[:3, :3]
    rays = np.zeros((4, 4))
    rays[:3, 0], rays[:3, 1], rays[:3, 3] = turn[:, 0] / projection[0, 0], -turn[:, 1] / projection[1, 1], turn[:, 2]
    rays[3, 3] = 1.0
    return rays


def _sun_matrix(sun: np.ndarray, centre: np.ndarray, radius: float, deep: float) -> np.ndarray:
    """World to the clip space of parallel light: ``radius`` to each side of ``centre``, ``deep`` before and behind."""
    forward = -np.asarray(sun, dtype=np.float64)
    forward /= np.linalg.norm(forward)
    helper = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.99 else np.array([0.0, 1.0, 0.0])
    right = np.cross(forward, helper)
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    matrix = np.eye(4)
    for row, (axis, size) in enumerate(((right, radius), (up, radius), (forward, deep))):
        matrix[row, :3] = axis / size
        matrix[row, 3] = -(axis @ centre) / size
    return matrix


def _linear(colour: np.ndarray) -> np.ndarray:
    value = np.asarray(colour, dtype=np.float64)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _root(colours: np.ndarray) -> np.ndarray:
    """sRGB 0..1 to bytes of the square root of linear light, which the shader squares."""
    return np.rint(np.asarray(colours, dtype=np.float64) ** 1.1 * 255)


def _texture_bytes(textures: np.ndarray) -> bytes:
    """Square roots of linear light, rows from the bottom, and a last layer of white for untextured surfaces."""
    table = np.rint(np.sqrt(_linear(np.arange(256) / 255.0)) * 255).astype(np.uint8)
    white = np.full((1, 256, 256, 3), 255, dtype=np.uint8)
    flipped = textures[:, ::-1].reshape(-1, 256, 256, 3)
    return np.concatenate([table[flipped], white]).tobytes()


def _cloud_noise() -> bytes:
    channels = [noise(901, 2.0), noise(902, 1.5), noise(903, 0.4, low=8)]
    spread = (0.18, 0.18, 0.16)
    levels = [np.rint(np.clip(0.5 + s * c, 0, 1) * 255) for c, s in zip(channels, spread, strict=True)]
    return np.stack(levels, axis=-1).astype(np.uint8).tobytes()


def _set(program: Any, name: str, value: np.ndarray) -> None:
    # a uniform that the compiler found unused has no place
    if name in program:
        program[name].write(np.asarray(value, dtype="f4").tobytes())


def _set_matrix(uniform: Any, matrix: np.ndarray) -> None:
    uniform.write(np.ascontiguousarray(matrix.T, dtype="f4").tobytes())
