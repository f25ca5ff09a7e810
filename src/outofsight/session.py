"""Session: a video that goes on chunk by chunk, with a memory of everything before.

session = pipe.session(context_video, context_cameras, "a dog walks ...", seed=7)
chunk = session.extend(cameras)     # chunk.frames, chunk.latents, chunk.trace, chunk.seconds; and so on

A clip is one :meth:`Session.extend` (``WorldModelPipeline.__call__``); a rollout and the player are several.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .cameras import CameraPath, relative_pose_vectors
from .components.codec import VideoGeometry, as_frames, decode_latents, denormalised, encode_video
from .components.inputs import Clock, check_seed, context_inputs, covered_frames, field_of_view, target_latents
from .components.offloading import fetch, put_away
from .components.results import Ahead, Chunk
from .components.saved import SavedSession, read_saved, write_saved
from .components.video_codec import DecoderStream
from .errors import CameraError, GeometryError, OutOfSightError
from .fingerprints import value_seed
from .memory.bank import Bank
from .memory.trace import RetrievalTrace
from .models.conditioners import Conditions, Seen, square_intrinsics
from .records import fitted
from .sampling import DenoiseStep, SamplingOptions, denoise

if TYPE_CHECKING:
    from .models.cache import ContextCache
    from .pipeline import WorldModelPipeline

FORMAT = "outofsight session 2"
_DECODER = "decoder."
_NOT_DECODED = "this session's last chunk was not decoded"
_DECODE = "extend(decode=True) and vae.disable_tiling() from the first chunk on"


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
        OutOfSightError: a seed out of range.
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
        check_seed(seed)
        self.options = options or pipe.sampling_options()
        self.seed, self.trace, self.geometry = seed, trace, VideoGeometry.of(pipe.vae, pipe.transformer)
        self.context = context_inputs(context_video, context_cameras, (height, width), horizontal_fov, self.geometry)
        self._given_fov, self.negative_prompt = horizontal_fov, negative_prompt
        self.prompt = prompt
        self.bank, self.chunks, self._undecoded = Bank(), 0, False
        self._decoder: DecoderStream | None = None
        self._pages: ContextCache | None = None  # encoded pages of models that stream
        self._context_frames = len(self.context.frames)  # video frames that the others look back on
        self.sampled: Tensor | None = None  # latents of the newest chunk, from the end of its sampling on
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

    @property
    def streams(self) -> bool:
        """Whether each chunk goes on in the latents of the one before, as models do whose context is appended to.

        The others are given a clip of the kind they were trained on for each chunk: the latest video frames, as many as
        the first context had, encoded anew.
        """
        return bool(self.pipe.transformer.streams) and not self.pipe.looks

    @property
    def looks_back(self) -> int:
        """Latent frames that a chunk looks back on, where the model does not stream."""
        return self.geometry.latent_frames(self._context_frames)

    def frames_of(self, latent_frames: int, chunk: int | None = None) -> int:
        """Video frames, and so poses, of a chunk of so many latent frames (the next one, or number ``chunk``).

        A clip's first latent frame has one video frame, and so has each chunk's of a model that does not stream.
        """
        begins = not self.streams or (self.chunks if chunk is None else chunk) == 0
        return latent_frames * self.geometry.frame_stride - (self.geometry.frame_stride - 1 if begins else 0)

    def check(self, cameras: CameraPath, target_frames: int | None = None) -> Ahead:
        """Check the next chunk's cameras, or the first ``target_frames`` video frames of them.

        Raises:
            GeometryError, CameraError: what does not fit one another or the model.
        """
        return self._ahead(self._framed(cameras), target_frames)

    def check_rollout(self, cameras: CameraPath, latent_frames: int, target_frames: int | None = None) -> list[Ahead]:
        """Check a new session's whole path and cut it into chunks of ``latent_frames``; the last may be shorter.

        Raises:
            GeometryError, CameraError: what does not fit one another or the model.
        """
        path = self._framed(cameras)
        count = target_latents(path, target_frames, self.geometry)
        if count <= latent_frames:
            return [self._ahead(path, target_frames)]
        frames = self.geometry.video_frames(count)
        done = self.frames_of(latent_frames, 0)
        made = [self._ahead(path, done)]
        while done < frames:
            more = min(self.frames_of(latent_frames, len(made)), frames - done)
            made.append(self._after(path, done, done + more))
            done += more
        return made

    def check_decoder(self, tiling: bool) -> None:
        """Raises GeometryError where chunks are decoded one after the other and the VAE is to work in tiles."""
        if self.streams and tiling:
            raise GeometryError(
                "this model's chunks are decoded as one video, and a VAE that works in tiles (--vae-tiling) cannot go "
                "on from the chunk before: switch it off, or make the video in one chunk (--chunk)"
            )

    def _framed(self, cameras: CameraPath) -> CameraPath:
        """Target cameras with the lens of the frames that the model gets: after the crop that the context had."""
        if self._given_fov is not None:
            cameras = cameras.with_fov(self._given_fov)
        return self.context.framing.cameras(cameras)

    def _ahead(self, path: CameraPath, target_frames: int | None) -> Ahead:
        fov = field_of_view(self.context.cameras, path, None, self.pipe.transformer.config)
        self.pipe.check_pixels(self.context.cameras, path, fov)
        self.context = replace(self.context, horizontal_fov=fov)
        if self.chunks and not self.streams:
            new = covered_frames(path) if target_frames is None else target_frames
            known = covered_frames(self.context.cameras)
            return self._after(self._joined(path), known, known + new)
        count = target_latents(path, target_frames, self.geometry, after=bool(self.chunks))
        frames = self.frames_of(count)
        return Ahead(path[: -(-frames // path.frame_stride)], count)

    def _joined(self, path: CameraPath) -> CameraPath:
        """What was seen, then a path of the same lens (checked by now), at the context's rate."""
        fov, known = self.context.horizontal_fov, self.context.cameras
        return known.with_fov(fov).concatenate(replace(path.with_fov(fov), fps=known.fps))

    def _after(self, path: CameraPath, start: int, end: int) -> Ahead:
        """A later chunk: the video frames from ``start`` to ``end`` of a path."""
        stride = self.geometry.frame_stride
        if self.streams:
            count, step = (end - start) // stride, path.frame_stride
            first = -(-start // step)
            return Ahead(path[first : first + (end - start) // step], count)
        if path.frame_stride != 1 or self.context.cameras.frame_stride != 1:
            raise CameraError(
                "this model is given a clip of its own for each chunk, which needs a pose for every video frame, and "
                f"the cameras hold one every {max(path.frame_stride, self.context.cameras.frame_stride)}: give all "
                "poses, or make the video in one chunk (--chunk)"
            )
        unit = stride * self.geometry.patch[0]
        overlap = next(n for n in range(unit) if self.geometry.admits(end - start + n))
        return Ahead(path[start - overlap : end], self.geometry.latent_frames(end - start + overlap), overlap)

    @torch.no_grad()
    def extend(
        self,
        cameras: CameraPath | Ahead,
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
            cameras: where the camera goes next, in the world of the context cameras: :meth:`frames_of` poses; or what
                :meth:`check` made of them.
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
        if decode and self.chunks:
            self.check_decoder(pipe.codec.tiled)
        if self._undecoded and not self.streams:
            raise OutOfSightError(f"{_NOT_DECODED}, so there are no frames to look back on: {_DECODE}")
        ahead = cameras if isinstance(cameras, Ahead) else self.check(cameras, target_frames)
        cameras, count = ahead.cameras, ahead.latents
        poses = self._latent_poses(cameras, count)
        device = pipe._execution_device
        dtype = torch.bfloat16 if self.options.numerics == "reference" else torch.float32
        recorder = RetrievalTrace() if self.trace else None
        window = self._window(ahead.overlap)
        with clock("encode_video"):
            recent = self._encode_window(window, device, dtype, progress)
        extra: dict[str, Tensor] = {}
        if pipe.looks:
            with clock("look"):
                starts = tuple(self.geometry.first_frames(count))
                seen = Seen(window[0], window[1], cameras, self.context.horizontal_fov, starts)
                extra = pipe.look(seen, device, progress)
        put_away(pipe, pipe.vae)
        with clock("encode_text"):
            text = pipe.embedded(self._tokens[0], device)
            negative = pipe.embedded(self._tokens[1], device) if self.options.guidance != 1.0 else None
        with clock("denoise"):
            fetch(pipe, pipe.transformer)
            source, context, target, cache = self._context_for(recent, window[1], poses, device, dtype)
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
                conditions=self._conditions(len(context) + count, extra),
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
        self._undecoded = frames is None
        if frames is not None:
            frames = frames[ahead.overlap :]
            self._keep_pixels(frames, cameras[ahead.overlap // cameras.frame_stride :])
        self.chunks += 1
        return Chunk(frames, latents, range(first, first + count), recorder, clock.seconds)

    def _latent_poses(self, cameras: CameraPath, count: int) -> np.ndarray:
        """``[n, 4, 4]``: one pose per latent frame, that of its last video frame."""
        step = self.geometry.frame_stride // cameras.frame_stride
        goes_on = self.streams and bool(self.chunks)
        return cameras.c2w[(step - 1 if goes_on else 0) :: step][:count]

    def _window(self, overlap: int) -> tuple[np.ndarray, CameraPath]:
        """What the next chunk looks back on: as many video frames as the first context had, and their cameras."""
        frames, cameras = self.context.frames, self.context.cameras
        end = len(frames) - overlap
        first = end - self._context_frames
        if first == 0 and overlap == 0:
            return frames, cameras
        return frames[first:end], cameras[first:end]

    def _encode_window(
        self, window: tuple[np.ndarray, CameraPath], device: torch.device, dtype: torch.dtype, progress: bool
    ) -> Tensor | None:
        """Latents ``[1, c, f, h, w]`` of the video that a chunk looks back on; None where the bank holds them."""
        if self.streams and len(self.bank):
            return None
        latents = encode_video(self.pipe.vae, window[0], device, dtype, progress=progress)
        if not len(self.bank):
            poses = window[1].subsample(self.geometry.frame_stride).c2w[: latents.shape[2]]
            self.bank.append(latents[0], poses, None, False)
        return latents

    def _context_for(
        self,
        recent: Tensor | None,
        cameras: CameraPath,
        target: np.ndarray,
        device: torch.device,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor, ContextCache | None]:
        """Latents ``[1, c, fc, h, w]`` and pose vectors of what the model looks back on, the target's pose vectors,
        and, for models that stream, their context as it is encoded already."""
        model, stride = self.pipe.transformer, self.geometry.frame_stride
        ahead = CameraPath(target, frame_stride=stride)
        if not self.streams:
            assert recent is not None
            context, vectors = relative_pose_vectors(cameras, ahead, stride=stride)
            return recent, context[: recent.shape[2]], vectors, None
        path = CameraPath(self.bank.c2w, frame_stride=stride)
        if model.is_cache_enabled:
            context, vectors = relative_pose_vectors(path, ahead, stride=stride)
            return self.bank.latents()[None].to(device, dtype), context, vectors, None
        anchor = CameraPath(self.bank.c2w[:1], frame_stride=stride)
        context, vectors = (relative_pose_vectors(some, anchor, stride=stride)[0] for some in (path, ahead))
        cache = self._encoded(context, device, dtype)
        return self.bank.latents(0, 1)[None].to(device, dtype), context, vectors, cache

    def _encoded(self, context: Tensor, device: torch.device, dtype: torch.dtype) -> ContextCache:
        """The whole bank, encoded: full pages once and for all, the open page again for each chunk."""
        model = self.pipe.transformer
        page, known = model.config.page_frames, len(self.bank)

        def append(past: ContextCache | None, frames: range) -> ContextCache:
            latents = self.bank.latents(frames.start, frames.stop)[None].to(device, dtype)
            poses = context[frames.start : frames.stop][None].to(device)
            conditions = self._conditions(len(frames), {}).map(lambda x: x.to(device))
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

    def _conditions(self, frames: int, extra: dict[str, Tensor]) -> Conditions:
        fov = self.context.horizontal_fov
        return Conditions(None if fov is None else square_intrinsics(fov, 1, frames, self.context.grid), extra)

    def _decoded(self, latents: Tensor, progress: bool) -> np.ndarray:
        """uint8 ``[f, h, w, 3]``; where the model streams, the VAE goes on where the chunk before ended."""
        truncate, vae, codec = self.options.numerics == "reference", self.pipe.vae, self.pipe.codec
        if not self.streams or not (self.chunks or codec.whole):
            return decode_latents(vae, latents, truncate=truncate, progress=progress)
        stream = codec.decoder_stream() if self._decoder is None else self._decoder.fork()
        if stream.begun != bool(self.chunks):
            raise OutOfSightError(f"{_NOT_DECODED}, or in tiles, so the next one cannot be: {_DECODE}")
        frames = as_frames(stream.decode(denormalised(vae, latents).to(codec.dtype)), truncate=truncate)[0]
        self._decoder = stream
        return frames

    def _keep_pixels(self, frames: np.ndarray, cameras: CameraPath) -> None:
        """For models that look back on the latest frames: as many as the context had, and an overlap."""
        if self.streams:
            return
        known = self.context.cameras
        if known.frame_stride != 1 or cameras.frame_stride != 1:
            return  # :meth:`_after` refuses to go on
        kept = self._context_frames + self.geometry.frame_stride * self.geometry.patch[0]
        video = np.concatenate([self.context.frames, frames])
        whole = self._joined(cameras[: len(frames)])
        self.context = replace(self.context, frames=video[-kept:], cameras=whole[-kept:])

    def fork(self) -> Session:
        """Another session that goes on from here; what both have seen is shared."""
        other = Session.__new__(Session)
        other.__dict__.update(self.__dict__)
        other.bank = self.bank.fork()
        return other

    def save(self, folder: str | Path) -> Path:
        """Write the session to a folder, whole or not at all. Raises OutputError."""
        kept = {} if self._decoder is None else self._decoder.saved()
        tensors = {f"{_DECODER}{i}": x for i, x in kept.items() if isinstance(x, Tensor)}
        tensors |= {
            "context.frames": torch.from_numpy(np.ascontiguousarray(self.context.frames)),
            "context.c2w": torch.from_numpy(self.context.cameras.c2w.copy()),
            "bank.c2w": torch.from_numpy(self.bank.c2w),
            "bank.generated": torch.from_numpy(self.bank.generated),
        }
        if len(self.bank):
            tensors["bank.latents"] = self.bank.latents()
        record = {
            "format": FORMAT,
            "options": asdict(self.options),
            "seed": self.seed,
            "trace": self.trace,
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "chunks": self.chunks,
            "undecoded": self._undecoded,
            "context_frames": self._context_frames,
            "horizontal_fov": self.context.horizontal_fov,
            "given_fov": self._given_fov,
            "framing": asdict(self.context.framing),
            "fps": self.context.cameras.fps,
            "frame_stride": self.context.cameras.frame_stride,
            "decoder": {str(i): x for i, x in kept.items() if not isinstance(x, Tensor)},
        }
        write_saved(Path(folder), f"{self.chunks:06d}", record, tensors)
        return Path(folder)

    @classmethod
    def load(cls, pipe: WorldModelPipeline, folder: str | Path) -> Session:
        """The session that :meth:`save` wrote; it goes on as if it had not been left.

        Raises:
            OutOfSightError: no session is there, or a damaged one.
        """
        record, tensors = read_saved(Path(folder), FORMAT)
        saved: SavedSession = fitted(
            SavedSession, record, f"{folder} holds no whole session", OutOfSightError, "save it again"
        )
        try:
            return cls._restored(pipe, saved, tensors)
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as cause:
            raise OutOfSightError(f"{folder} holds no whole session ({cause}): save it again") from cause

    @classmethod
    def _restored(cls, pipe: WorldModelPipeline, record: SavedSession, tensors: dict[str, Tensor]) -> Session:
        cameras = CameraPath(
            tensors["context.c2w"].numpy(),
            horizontal_fov=record["horizontal_fov"],
            fps=record["fps"],
            frame_stride=record["frame_stride"],
        )
        frames, looked_at = tensors["context.frames"], record["context_frames"]
        spare = len(frames) - looked_at
        if covered_frames(cameras) != len(frames) or spare < 0 or (spare and cameras.frame_stride != 1):
            raise CameraError(f"{len(frames)} frames, of them {looked_at} looked at, and {cameras}")
        session = cls(
            pipe,
            frames[spare:],
            cameras[spare:],
            record["prompt"],
            SamplingOptions(**record["options"]),
            seed=record["seed"],
            trace=record["trace"],
            negative_prompt=record["negative_prompt"],
        )
        framing, size = record["framing"], tuple(frames.shape[1:3])
        if framing.size != size or min(*framing.source, *framing.scaled) < 1:
            raise GeometryError(f"frames of {size} and a {framing}")
        # the first frames that were kept may be no clip that the VAE takes: they are seen in an overlap alone
        session.context = replace(session.context, framing=framing, frames=frames.numpy(), cameras=cameras)
        session.chunks, session._given_fov = record["chunks"], record["given_fov"]
        session._undecoded = record["undecoded"]
        if record["chunks"] or "bank.latents" in tensors:
            shape = (pipe.codec.channels, len(tensors["bank.generated"]), *session.context.grid)
            if tuple(tensors["bank.latents"].shape) != shape or tensors["bank.generated"].dtype != torch.bool:
                raise GeometryError(f"a bank of {tuple(tensors['bank.latents'].shape)}, expected {shape}")
            own = int((~tensors["bank.generated"]).sum())
            latents, c2w = tensors["bank.latents"], tensors["bank.c2w"].numpy()
            session.bank.append(latents[:, :own], c2w[:own], None, False)
            session.bank.append(latents[:, own:], c2w[own:], None, True)
        kept: dict[int, Any] = {int(i): x for i, x in record["decoder"].items()}
        parts = {int(k.removeprefix(_DECODER)): x for k, x in tensors.items() if k.startswith(_DECODER)}
        if session.chunks and session.streams:
            session._decoder = pipe.codec.decoder_stream()
            device = pipe._execution_device
            session._decoder.restore({**kept, **{i: x.to(device) for i, x in parts.items()}})
        return session


def chunk_noise(seed: int, chunk: int, shape: tuple[int, ...]) -> Tensor:
    """Standard normal noise of one chunk, drawn on the CPU; chunk 0's is the seed's own."""
    if chunk:
        seed = value_seed(f"{seed}:{chunk}")
    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed), dtype=torch.float32)
