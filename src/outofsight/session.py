"""Session: a video that goes on chunk by chunk, with a memory of everything before.

session = pipe.session(context_video, context_cameras, "a dog walks ...", seed=7)
chunk = session.extend(cameras)     # chunk.frames, chunk.latents, chunk.trace, chunk.seconds; and so on

A clip is one :meth:`Session.extend` (``WorldModelPipeline.__call__``); a rollout and the player are several.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .cameras import CameraPath, relative_pose_vectors
from .errors import OutOfSightError, OutputError
from .framing import Framing
from .generation.codec import VideoGeometry, as_frames, decode_latents, denormalised, encode_video
from .generation.inputs import Clock, context_inputs, field_of_view, target_latents
from .generation.offloading import fetch, put_away
from .generation.stream import VideoDecoderStream
from .io import replacing
from .memory.bank import Bank
from .memory.trace import RetrievalTrace
from .models.conditioners import Conditions, square_intrinsics
from .records import read_object
from .sampling import DenoiseStep, SamplingOptions, denoise

if TYPE_CHECKING:
    from .models.cache import ContextCache
    from .pipeline import WorldModelPipeline

FILE, TENSORS = "session.json", "session.safetensors"
FORMAT = "outofsight session 1"
_DECODER = "decoder."


@dataclass
class Chunk:
    """What one :meth:`Session.extend` made.

    Args:
        frames: uint8 ``[f, h, w, 3]``; None where nothing was decoded.
        latents: normalised ``[1, c, n, h, w]``.
        numbers: latent-frame numbers in the session's time.
        trace: what was recalled, where it was asked for.
        seconds: wall-clock time of each part.
    """

    frames: np.ndarray | None
    latents: Tensor
    numbers: range
    trace: RetrievalTrace | None = None
    seconds: dict[str, float] = field(default_factory=dict)


class Session:
    """A video that goes on chunk by chunk.

    Args:
        pipe: a ``WorldModelPipeline``.
        context_video: uint8 ``[f, h, w, 3]``, what was seen so far.
        context_cameras: one pose for each context frame (or each ``frame_stride``-th).
        prompt: what the video shows; it can be changed between chunks.
        options: how it is sampled; None takes the model's own.
        seed: of the noise; that of chunk n is a function of the seed and n.
        trace: keep what was recalled.
        negative_prompt, height, width, horizontal_fov: as for the pipeline.

    Raises:
        GeometryError, VideoError, CameraError, PromptError: the inputs do not fit one another or the model; no network
            is run before :meth:`extend`.
    """

    def __init__(
        self,
        pipe: WorldModelPipeline,
        context_video: np.ndarray | Tensor,
        context_cameras: CameraPath,
        prompt: str,
        options: SamplingOptions | None = None,
        *,
        seed: int = 0,
        trace: bool = False,
        negative_prompt: str | None = None,
        height: int | None = None,
        width: int | None = None,
        horizontal_fov: float | None = None,
    ) -> None:
        self.pipe = pipe
        self.options = options or pipe.sampling_options()
        self.seed, self.trace = seed, trace
        self.geometry = VideoGeometry.of(pipe.vae, pipe.transformer)
        self.context = context_inputs(context_video, context_cameras, (height, width), horizontal_fov, self.geometry)
        self._given_fov = horizontal_fov
        self.negative_prompt = negative_prompt
        self.prompt = prompt
        self.bank = Bank()
        self.chunks = 0
        self._decoder: VideoDecoderStream | None = None
        self._pages: ContextCache | None = None  # encoded pages of models that stream
        self._recent = self.context.latent_frames  # latent frames that the others look back on
        self.sampled: Tensor | None = None  # latents of a chunk that was broken off after sampling
        self.seconds: dict[str, float] = {}

    @property
    def prompt(self) -> str:
        """What the next chunk shows; setting it raises PromptError for one that is too long."""
        return self._prompt

    @prompt.setter
    def prompt(self, prompt: str) -> None:
        unwanted = self.pipe.config.negative_prompt if self.negative_prompt is None else self.negative_prompt
        # without guidance nobody reads it, and a model of short texts may not hold the default one
        texts = (prompt, unwanted if self.options.guidance != 1.0 else "")
        self._tokens = [self.pipe.tokens(text) for text in texts]
        self._prompt = prompt

    # --- one chunk ----------------------------------------------------------------------------------------------

    def frames_of(self, latent_frames: int) -> int:
        """Video frames, and so poses, of a chunk of so many latent frames: the first chunk's begins with one frame."""
        return latent_frames * self.geometry.frame_stride - (0 if self.chunks else self.geometry.frame_stride - 1)

    def check(self, cameras: CameraPath, target_frames: int | None = None) -> int:
        """Check a chunk's cameras; returns its latent frames. Raises GeometryError, CameraError: what does not fit."""
        return self._checked(self._fitted(cameras), target_frames)

    def _fitted(self, cameras: CameraPath) -> CameraPath:
        """Target cameras with the lens of the frames that the model gets: after the crop that the context had."""
        if self._given_fov is not None:
            cameras = cameras.with_fov(self._given_fov)
        return self.context.framing.cameras(cameras)

    def _checked(self, cameras: CameraPath, target_frames: int | None) -> int:
        count = target_latents(cameras, target_frames, self.geometry, after=bool(self.chunks))
        fov = field_of_view(self.context.cameras, cameras, None, self.pipe.transformer.config)
        self.pipe.check_rendering(self.context.cameras, cameras, fov)
        self.context = replace(self.context, horizontal_fov=fov)
        return count

    @torch.no_grad()
    def extend(
        self,
        cameras: CameraPath,
        *,
        target_frames: int | None = None,
        noise: Tensor | None = None,
        start_step: int = 0,
        callback: Callable[[DenoiseStep], None] | None = None,
        progress: bool = False,
        decode: bool = True,
    ) -> Chunk:
        """Generate the frames that these cameras see, and remember them.

        Args:
            cameras: where the camera goes next, in the world of the context cameras: :meth:`frames_of` poses.
            target_frames: the first so many video frames of them; None takes all.
            noise: ``[1, c, n, h, w]`` to begin from, in place of the seed's; with ``start_step`` a run broken off.
            callback: called after every step.
            decode: False leaves the pixels out, and the session cannot go on.

        Raises:
            GeometryError, CameraError: the cameras do not fit; found before any network runs.
            KeyboardInterrupt: Ctrl-C; the session is as it was before this chunk.
        """
        pipe, clock = self.pipe, Clock()
        self.sampled, self.seconds = None, clock.seconds
        cameras = self._fitted(cameras)
        count = self._checked(cameras, target_frames)
        poses = self._latent_poses(cameras, count)
        device = pipe._execution_device
        dtype = torch.bfloat16 if self.options.numerics == "reference" else torch.float32
        recorder = RetrievalTrace() if self.trace else None
        with clock("encode_video"):
            self._begin(device, dtype, progress)
        rendered = None
        if pipe.renders:
            with clock("render"):
                rendered = pipe.rendered(self.context, cameras, count, device, progress)
        put_away(pipe, pipe.vae)
        with clock("encode_text"):
            text = pipe.embedded(self._tokens[0], device)
            negative = pipe.embedded(self._tokens[1], device) if self.options.guidance != 1.0 else None
        with clock("denoise"):
            fetch(pipe, pipe.transformer)
            source, context, target, cache = self._context_for(poses, device, dtype)
            shape = (1, source.shape[1], count, *self.context.grid)
            if noise is None:
                noise = chunk_noise(self.seed, self.chunks, shape)
            latents = denoise(
                pipe.transformer,
                source,
                noise.to(device, dtype),
                text,
                negative,
                context[None],
                target[None],
                options=self.options,
                conditions=self._conditions(len(context) + count, rendered),
                context_cache=cache,
                start_step=start_step,
                callback=callback,
                trace=recorder,
                progress=progress,
            )
        self.sampled = latents
        with clock("decode_video"):
            frames = self._decoded(latents, progress) if decode else None
        first = len(self.bank)
        self.bank.append(latents[0].float(), poses, None, True)
        if frames is not None:
            self._keep_pixels(frames, cameras)
        self.chunks += 1
        self.sampled = None
        return Chunk(frames, latents, range(first, first + count), recorder, clock.seconds)

    def _latent_poses(self, cameras: CameraPath, count: int) -> np.ndarray:
        """``[n, 4, 4]``: one pose per latent frame, that of its last video frame."""
        stride = self.geometry.frame_stride
        step = stride // cameras.frame_stride
        return cameras.c2w[(step - 1 if self.chunks else 0) :: step][:count]

    def _begin(self, device: torch.device, dtype: torch.dtype, progress: bool) -> None:
        """Put the context into the bank, once."""
        if len(self.bank):
            return
        latents = encode_video(self.pipe.vae, self.context.frames, device, dtype, progress=progress)
        path = self.context.cameras.subsample(self.geometry.frame_stride)
        self.bank.append(latents[0], path.c2w[: latents.shape[2]], None, False)

    def _context_for(
        self, target: np.ndarray, device: torch.device, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor, Tensor, ContextCache | None]:
        """Latents ``[1, c, fc, h, w]`` and pose vectors of what the model looks back on, the target's pose vectors,
        and, for models that stream, their context as it is encoded already."""
        model, known = self.pipe.transformer, len(self.bank)
        first = 0 if model.streams else max(0, known - self._recent)
        path = CameraPath(self.bank.c2w[first:], frame_stride=self.geometry.frame_stride)
        ahead = CameraPath(target, frame_stride=self.geometry.frame_stride)
        context, vectors = relative_pose_vectors(path, ahead, stride=self.geometry.frame_stride)
        if not model.streams or model.is_cache_enabled:
            return self.bank.latents(first)[None].to(device, dtype), context, vectors, None
        anchor = CameraPath(self.bank.c2w[:1], frame_stride=self.geometry.frame_stride)
        context, vectors = (
            relative_pose_vectors(some, anchor, stride=self.geometry.frame_stride)[0] for some in (path, ahead)
        )
        cache = self._encoded(context, device, dtype)
        return self.bank.latents(0, 1)[None].to(device, dtype), context, vectors, cache

    def _encoded(self, context: Tensor, device: torch.device, dtype: torch.dtype) -> ContextCache:
        """The whole bank, encoded: full pages once and for all, the open page again for each chunk."""
        model = self.pipe.transformer
        page, known = model.config.page_frames, len(self.bank)

        def append(past: ContextCache | None, frames: range) -> ContextCache:
            latents = self.bank.latents(frames.start, frames.stop)[None].to(device, dtype)
            poses = context[frames.start : frames.stop][None].to(device)
            conditions = self._conditions(len(frames), None).map(lambda x: x.to(device))
            made: ContextCache = model.append_context(
                past, latents, poses, conditions=conditions, numerics=self.options.numerics, plain=self.options.plain
            )
            return made

        done = 0 if self._pages is None else self._pages.context_poses.shape[1]
        if self._pages is not None:
            for block in self._pages.blocks:
                block.withdrawn()  # what was encoded of the open page, for the chunk before
        while done + page <= known:
            self._pages, done = append(self._pages, range(done, done + page)), done + page
        if done == known:
            assert self._pages is not None
            return self._pages
        return append(self._pages, range(done, known))

    def _conditions(self, frames: int, rendered: Tensor | None) -> Conditions:
        fov = self.context.horizontal_fov
        intrinsics = None if fov is None else square_intrinsics(fov, 1, frames, self.context.grid)
        return Conditions(intrinsics, {} if rendered is None else {"rendered": rendered})

    def _decoded(self, latents: Tensor, progress: bool) -> np.ndarray:
        """uint8 ``[f, h, w, 3]``; the VAE goes on where the chunk before ended."""
        truncate, vae = self.options.numerics == "reference", self.pipe.vae
        if not self.chunks and (vae.use_tiling or vae.use_slicing):
            return decode_latents(vae, latents, truncate=truncate, progress=progress)
        stream = VideoDecoderStream(vae) if self._decoder is None else self._decoder.fork()
        if stream.begun != bool(self.chunks):
            raise OutOfSightError(
                "this session's last chunk was not decoded, or in tiles, so the next one cannot be: extend("
                "decode=True) and vae.disable_tiling() from the first chunk on"
            )
        pixels = stream.decode(denormalised(vae, latents).to(vae.dtype))
        self._decoder = stream
        return as_frames(pixels, truncate=truncate)[0]

    def _keep_pixels(self, frames: np.ndarray, cameras: CameraPath) -> None:
        """For models that look at pixels, the last frames of context and chunks, as many as the context had."""
        if self.pipe.renders:
            video = np.concatenate([self.context.frames, frames])
            whole = np.concatenate([self.context.cameras.c2w, cameras.c2w[: len(frames)]])
            kept = len(self.context.frames)
            known = self.context.cameras
            path = CameraPath(whole[-kept:], fps=known.fps, frame_stride=known.frame_stride)
            self.context = replace(self.context, frames=video[-kept:], cameras=path)

    # --- branches, and files ------------------------------------------------------------------------------------

    def fork(self) -> Session:
        """Another session that goes on from here; what both have seen is shared."""
        other = Session.__new__(Session)
        other.__dict__.update(self.__dict__)
        other.bank = self.bank.fork()
        return other

    def save(self, folder: str | Path) -> Path:
        """Write the session to a folder, whole or not at all. Raises OutputError."""
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as cause:
            raise OutputError(f"{folder} cannot be made: {cause}") from cause
        kept = {} if self._decoder is None else self._decoder.saved()
        tensors = {f"{_DECODER}{i}": x.contiguous() for i, x in kept.items() if isinstance(x, Tensor)}
        tensors |= {
            "context.frames": torch.from_numpy(np.ascontiguousarray(self.context.frames)),
            "context.c2w": torch.from_numpy(self.context.cameras.c2w.copy()),
            "bank.c2w": torch.from_numpy(self.bank.c2w),
            "bank.generated": torch.from_numpy(self.bank.generated),
        }
        if len(self.bank):
            tensors["bank.latents"] = self.bank.latents().contiguous()
        record = {
            "format": FORMAT,
            "options": asdict(self.options),
            "seed": self.seed,
            "trace": self.trace,
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "chunks": self.chunks,
            "recent": self._recent,
            "horizontal_fov": self.context.horizontal_fov,
            "given_fov": self._given_fov,
            "framing": asdict(self.context.framing),
            "grid": list(self.context.grid),
            "fps": self.context.cameras.fps,
            "frame_stride": self.context.cameras.frame_stride,
            "decoder": {str(i): x for i, x in kept.items() if not isinstance(x, Tensor)},
        }
        from safetensors.torch import save

        content = save(tensors)
        # the record says by its hash which tensors it belongs to, so a kill between the two files is noticed
        record["tensors"] = f"{hashlib.sha256(content).hexdigest()}"
        name = folder / f"{self.chunks:06d}-{TENSORS}"
        with replacing(name) as beside:
            beside.write_bytes(content)
        record["file"] = name.name
        with replacing(folder / FILE) as beside:
            beside.write_text(json.dumps(record, indent=1), encoding="utf-8")
        for old in folder.glob(f"*-{TENSORS}"):
            if old != name:
                old.unlink(missing_ok=True)
        return folder

    @classmethod
    def load(cls, pipe: WorldModelPipeline, folder: str | Path) -> Session:
        """The session that :meth:`save` wrote; it goes on as if it had not been left.

        Raises:
            OutOfSightError: no session is there, or a damaged one.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        folder = Path(folder)
        record = read_object(folder / FILE, OutOfSightError, "save the session again")
        again = f"{folder} holds no whole session of this version ({FORMAT}): save it again"
        try:
            if record["format"] != FORMAT or "/" in record["file"]:
                raise OutOfSightError(again)
            content = (folder / record["file"]).read_bytes()
            if hashlib.sha256(content).hexdigest() != record["tensors"]:
                raise OutOfSightError(again)
            tensors = load(content)
            cameras = CameraPath(
                tensors["context.c2w"].numpy(),
                horizontal_fov=record["horizontal_fov"],
                fps=record["fps"],
                frame_stride=record["frame_stride"],
            )
            interval = tuple(record["options"]["guidance_interval"])
            options = SamplingOptions(**{**record["options"], "guidance_interval": interval})
            session = cls(
                pipe,
                tensors["context.frames"],
                cameras,
                record["prompt"],
                options,
                seed=record["seed"],
                trace=record["trace"],
                negative_prompt=record["negative_prompt"],
            )
            session.chunks, session._recent = int(record["chunks"]), int(record["recent"])
            framing: dict[str, Any] = {
                name: tuple(x) if isinstance(x, list) else x for name, x in record["framing"].items()
            }
            session.context = replace(session.context, framing=Framing(**framing))
            session._given_fov = record["given_fov"]
            words = {int(i): x for i, x in record["decoder"].items()}
        except (OSError, KeyError, TypeError, ValueError, AttributeError, SafetensorError) as cause:
            raise OutOfSightError(f"{again} ({cause})") from cause
        if "bank.latents" in tensors:
            own = int((~tensors["bank.generated"]).sum())
            latents, c2w = tensors["bank.latents"], tensors["bank.c2w"].numpy()
            session.bank.append(latents[:, :own], c2w[:own], None, False)
            session.bank.append(latents[:, own:], c2w[own:], None, True)
        if session.chunks:
            parts = {int(k.removeprefix(_DECODER)): x for k, x in tensors.items() if k.startswith(_DECODER)}
            session._decoder = VideoDecoderStream(pipe.vae)
            device = pipe._execution_device
            session._decoder.restore({**words, **{i: x.to(device) for i, x in parts.items()}}, bool(parts))
        return session


def chunk_noise(seed: int, chunk: int, shape: tuple[int, ...]) -> Tensor:
    """Standard normal noise of one chunk, drawn on the CPU; chunk 0's is the seed's own."""
    if chunk:
        digest = hashlib.sha256(f"{seed}:{chunk}".encode()).digest()
        seed = int.from_bytes(digest[:8], "big") >> 1
    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed), dtype=torch.float32)
