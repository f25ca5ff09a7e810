"""WorldModelPipeline: a context video, two camera paths and a prompt in, the target video out.

pipe = WorldModelPipeline.from_pretrained("folder-or-hub-id", torch_dtype=torch.bfloat16).to("cuda")
out = pipe(context_video, context_cameras, target_cameras, "a dog walks ...", seed=7)
out.frames  # uint8 [F, H, W, 3]
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase, UMT5EncoderModel

from .cameras import CameraPath
from .components.codec import decode_latents, encode_video
from .components.hub import check_folder, fill, is_quantised, outline_parts, resolve_model
from .components.inputs import check_numerics, noise_source
from .components.prompts import WAN_NEGATIVE_PROMPT, WAN_TEXT_TOKENS, encode_tokens, no_tokens, tokenize
from .components.results import GenerationInterrupted, PartialRun, WorldModelOutput, interrupted
from .components.video_codec import VideoCodec, codec_of
from .errors import CheckpointError
from .models.conditioners import Seen
from .models.presets import PRESETS
from .models.transformer import WorldTransformer3DModel
from .sampling import DenoiseStep, SamplingOptions
from .session import Session

_PROMPTS_KEPT = 4


class WorldModelPipeline(DiffusionPipeline):
    """Continues a video along a camera path (HyDRA's sampling on diffusers' Wan components).

    Args:
        tokenizer, text_encoder: umT5's, or smaller ones of its kind; None for a model that is conditioned on no text.
        vae: diffusers' ``AutoencoderKLWan`` at any width, or a ``PatchCodec``: whatever :func:`codec_of` knows.
        transformer: our ``WorldTransformer3DModel``.
        finder: finds subjects, for transformers with a conditioner that looks at pixels; else None.
        max_text_tokens: prompts are padded to it; longer ones are an error. 512 in the released model.
        num_inference_steps, guidance_scale, shift, negative_prompt: of a call that does not say; by default the
            released model's.
    """

    model_cpu_offload_seq = "text_encoder->transformer->vae"
    _exclude_from_cpu_offload = ["finder"]  # noqa: RUF012
    _optional_components = ["tokenizer", "text_encoder", "finder"]  # noqa: RUF012  (diffusers' name and kind)

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase | None,
        text_encoder: UMT5EncoderModel | None,
        vae: ModelMixin,
        transformer: WorldTransformer3DModel,
        finder: nn.Module | None = None,
        max_text_tokens: int = WAN_TEXT_TOKENS,
        num_inference_steps: int = 50,
        guidance_scale: float = 5.0,
        shift: float = 5.0,
        negative_prompt: str = WAN_NEGATIVE_PROMPT,
    ) -> None:
        super().__init__()
        self.register_modules(
            tokenizer=tokenizer, text_encoder=text_encoder, vae=vae, transformer=transformer, finder=finder
        )
        self.register_to_config(
            max_text_tokens=max_text_tokens,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            shift=shift,
            negative_prompt=negative_prompt,
        )
        self._prompts_of: tuple[Any, list[int]] | None = None
        self._prompts: OrderedDict[tuple[Any, ...], Tensor] = OrderedDict()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> WorldModelPipeline:
        """Load a folder in diffusers' layout, a model shipped with the package, or a hub id.

        Only safetensors are read (no pickle); a component whose tensors do not fit its config is an error.
        Other keywords (``torch_dtype``, ``revision``, ``local_files_only``, components ...) are diffusers'.

        Raises:
            CheckpointError: no such model, or weights that are missing, truncated or another model's.
        """
        folder = _resolve(pretrained_model_name_or_path, kwargs)
        dtype = kwargs.get("torch_dtype") or torch.float32
        if kwargs.keys() <= {"torch_dtype"} and isinstance(dtype, torch.dtype) and not is_quantised(folder):
            pipe = cls(**outline_parts(folder))
            pipe.load_weights(folder, dtype)
            return pipe
        check_folder(folder, skip=frozenset(kwargs))
        kwargs.setdefault("use_safetensors", True)
        return super().from_pretrained(folder, **kwargs)

    def load_weights(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Give the parts of an :meth:`outline` the weights of its folder.

        Raises:
            CheckpointError: weights that are missing or damaged.
        """
        for name in ("vae", "transformer", *(("finder",) if self.finder is not None else ())):
            fill(getattr(self, name), folder / name, dtype)
        if self.tokenizer is None:
            return
        encoder = UMT5EncoderModel.from_pretrained(
            folder / "text_encoder", dtype=dtype, use_safetensors=True, trust_remote_code=False, local_files_only=True
        )
        self.register_modules(text_encoder=encoder)

    @classmethod
    def outline(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> WorldModelPipeline:
        """The pipeline of :meth:`from_pretrained` without its weights: enough for :meth:`check_inputs`."""
        return cls(**outline_parts(_resolve(pretrained_model_name_or_path, kwargs)))

    @classmethod
    def from_preset(cls, name: str, *, seed: int = 0, **kwargs: Any) -> WorldModelPipeline:
        """A pipeline of a preset's sizes with random weights: it runs and has learned nothing.

        Raises:
            CheckpointError: no such preset, or it cannot be built without released files.
        """
        if name not in PRESETS:
            raise CheckpointError(f"no preset {name!r}; there are {', '.join(PRESETS)}")
        preset = PRESETS[name]
        return cls(
            **preset.build(seed=seed, **kwargs),
            max_text_tokens=preset.max_text_tokens,
            num_inference_steps=preset.steps,
            guidance_scale=preset.guidance,
            shift=preset.shift,
        )

    @torch.no_grad()
    def __call__(
        self,
        context_video: np.ndarray | Tensor,
        context_cameras: CameraPath,
        target_cameras: CameraPath,
        prompt: str,
        *,
        negative_prompt: str | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        shift: float | None = None,
        guidance_interval: tuple[float, float] = (0.0, 1.0),
        batched_guidance: bool = False,
        numerics: str = "accurate",
        seed: int | None = None,
        generator: torch.Generator | None = None,
        height: int | None = None,
        width: int | None = None,
        target_frames: int | None = None,
        horizontal_fov: float | None = None,
        trace: bool = False,
        callback: Callable[[DenoiseStep], None] | None = None,
        progress: bool = True,
        cache_context: bool | None = None,
        output_type: str = "uint8",
        resume: PartialRun | None = None,
    ) -> WorldModelOutput:
        """Generate the target video.

        Args:
            context_video: uint8 ``[f, h, w, 3]``, what was seen so far.
            context_cameras: one pose for each context frame (or each ``frame_stride``-th).
            target_cameras: where the camera goes next; its length is the length of the output.
            negative_prompt, num_inference_steps, guidance_scale, shift: None takes the model's own.
            guidance_interval: sigmas between which guidance is applied; outside it one branch is computed.
            batched_guidance: both branches in one forward (faster where memory allows).
            numerics: "accurate" computes as the weights were loaded, with float32 latents and timesteps;
                "reference" as the release does, everything in bfloat16 (``pipe.to(torch.bfloat16)`` first).
            seed: of the noise, drawn where None; the noise is drawn on the CPU, so a seed holds on any device.
            height, width: the frames are scaled to cover and cropped to it; None keeps their size.
            target_frames: the first so many of the target cameras; None takes all.
            horizontal_fov: degrees; None takes the cameras' own.
            trace: also return what was recalled.
            cache_context: None caches where the model allows it.
            output_type: "uint8" or "latent" (not decoded).
            resume: a run that Ctrl-C broke off; the other arguments must be the same.

        Raises:
            GeometryError, VideoError, CameraError, PromptError: the inputs do not fit one another or the model;
                found before any network runs.
            GenerationInterrupted: Ctrl-C while denoising; carries what a resumed run needs.
        """
        if output_type not in ("uint8", "latent"):
            raise ValueError(f"output_type is {output_type!r}, expected 'uint8' or 'latent'")
        options = self.sampling_options(
            steps=num_inference_steps,
            guidance=guidance_scale,
            shift=shift,
            guidance_interval=guidance_interval,
            batched_guidance=batched_guidance,
            numerics=numerics,
            cache_context=cache_context,
        )
        session = Session(
            self,
            context_video,
            context_cameras,
            prompt,
            options,
            negative_prompt=negative_prompt,
            height=height,
            width=width,
            horizontal_fov=horizontal_fov,
        )
        ahead = session.check(target_cameras, target_frames)
        seed, generator = noise_source(seed, generator, resume)
        shape = (1, self.codec.channels, ahead.latents, *session.context.grid)
        # always drawn, so that a generator passed in moves on alike in a fresh and in a resumed run
        noise = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float32)
        if resume is not None:
            noise = resume.checked(shape, options.steps)
        session.trace = trace
        try:
            chunk = session.extend(
                ahead,
                noise=noise,
                start_step=resume.step if resume else 0,
                callback=callback,
                progress=progress,
                decode=output_type == "uint8",
            )
        except KeyboardInterrupt as stop:
            raise interrupted(stop, session.sampled, options.steps, seed, session.seconds) from stop
        finally:
            self.maybe_free_model_hooks()
        return WorldModelOutput(chunk.frames, chunk.latents, chunk.trace, seed, chunk.seconds)

    def session(
        self,
        context_video: np.ndarray | Tensor,
        context_cameras: CameraPath,
        prompt: str,
        options: SamplingOptions | None = None,
        **settings: Any,
    ) -> Session:
        """A video that goes on chunk by chunk; ``settings`` (seed, trace ...) are those of :class:`Session`."""
        return Session(self, context_video, context_cameras, prompt, options, **settings)

    def sampling_options(self, **given: Any) -> SamplingOptions:
        """How this model samples, where nothing else is ``given`` (a value of None is not).

        Raises GeometryError for options out of their range, OutOfSightError for numerics that its parts cannot do.
        """
        own = {
            "steps": self.config.num_inference_steps,
            "guidance": self.config.guidance_scale,
            "shift": self.config.shift,
        }
        options = SamplingOptions(**{**own, **{name: value for name, value in given.items() if value is not None}})
        check_numerics(self.components, options.numerics)
        return options

    def check_inputs(
        self,
        context_video: np.ndarray | Tensor,
        context_cameras: CameraPath,
        target_cameras: CameraPath,
        prompt: str,
        *,
        options: SamplingOptions | None = None,
        negative_prompt: str | None = None,
        height: int | None = None,
        width: int | None = None,
        target_frames: int | None = None,
        horizontal_fov: float | None = None,
    ) -> Session:
        """Check the inputs of a run against one another and the model; runs no network (see :meth:`outline`).

        Returns the session that is ready to be extended. Raises GeometryError, VideoError, CameraError, PromptError:
        what does not fit.
        """
        session = Session(
            self,
            context_video,
            context_cameras,
            prompt,
            options,
            negative_prompt=negative_prompt,
            height=height,
            width=width,
            horizontal_fov=horizontal_fov,
        )
        session.check(target_cameras, target_frames)
        return session

    def tokens(self, text: str) -> tuple[Tensor, Tensor]:
        """Token ids and mask ``[1, l]`` of a prompt, none for a model without text. Raises PromptError: too long."""
        if self.tokenizer is None:
            if text.strip():
                warnings.warn("this model is conditioned on no text: its prompt changes nothing", stacklevel=4)
            return no_tokens()
        return tokenize(self.tokenizer, text, self.config.max_text_tokens)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> np.ndarray:
        """uint8 frames ``[f, h, w, 3]`` of normalised latents ``[1, c, ft, h, w]``."""
        try:
            return decode_latents(self.vae, latents.to(self._execution_device, torch.float32))
        finally:
            self.maybe_free_model_hooks()

    def compile(self, **options: Any) -> None:
        """Compile the transformer's repeated blocks; ``options`` are ``torch.compile``'s."""
        self.transformer.compile_repeated_blocks(**options)

    def set_attention_backend(self, backend: str) -> None:
        """Serve attention by another of diffusers' backends ("native", "flash", "sage", "flex", ...)."""
        self.transformer.set_attention_backend(backend)

    @property
    def codec(self) -> VideoCodec:
        """What turns video into latents and back: the component ``vae``, by the interface that all have."""
        return codec_of(self.vae)

    def enable_vae_tiling(self, **options: Any) -> None:
        """Encode and decode in overlapping tiles: less memory, faint differences at the seams.

        Raises OutOfSightError where the codec has no tiles.
        """
        self.codec.enable_tiling(**options)

    @property
    def looks(self) -> bool:
        """Whether the transformer has a conditioner that looks at the context's pixels."""
        return any("pixels" in kind.needs for kind in self.transformer.conditioning.values())

    def check_pixels(self, context: CameraPath, target: CameraPath, horizontal_fov: float | None) -> None:
        """Raises CameraError or CheckpointError where a conditioner that looks at pixels cannot work with these."""
        for kind in self.transformer.conditioning.values():
            if "pixels" not in kind.needs:
                continue
            kind.check_cameras(context, target, horizontal_fov)
            if self.finder is None:
                raise CheckpointError(
                    f"conditioner {kind.name!r} of this model looks at pixels and the pipeline has no finder: give its "
                    "folder the finder/ of its parts (python -m outofsight.training.assemble does)"
                )

    def look(self, seen: Seen, device: torch.device, progress: bool = False) -> dict[str, Tensor]:
        """Extra inputs ``[1, channels, ft, h, w]`` by name, of conditioners that look at pixels."""

        def encode(video: Tensor) -> Tensor:
            return encode_video(self.vae, video, device, progress=progress)[0].cpu()

        kinds = self.transformer.conditioning.items()
        return {name: kind.look(seen, self.finder, encode)[None] for name, kind in kinds if "pixels" in kind.needs}

    def embedded(self, tokens: tuple[Tensor, Tensor], device: torch.device) -> Tensor:
        """Text embeddings in the transformer's dtype; the last few prompts are kept."""
        ids, mask = tokens
        if self.text_encoder is None:
            return torch.zeros(1, 1, self.transformer.config.text_dim, device=device, dtype=self.transformer.dtype)
        key = (ids.numpy().tobytes(), mask.numpy().tobytes(), self.text_encoder.dtype, device)
        encoder = (self.text_encoder, [p._version for p in self.text_encoder.parameters() if not p.is_inference()])
        if encoder != self._prompts_of:  # another encoder, or its weights were changed in place
            self._prompts.clear()
            self._prompts_of = encoder
        if key not in self._prompts:
            self._prompts[key] = encode_tokens(self.text_encoder, ids, mask, device)
            while len(self._prompts) > _PROMPTS_KEPT:
                self._prompts.popitem(last=False)
        self._prompts.move_to_end(key)
        return self._prompts[key].to(self.transformer.dtype)


def _resolve(model: str | Path, kwargs: dict[str, Any]) -> Path:
    """The model's folder; takes the keywords that say where to look out of ``kwargs``."""
    where = {
        name: kwargs.pop(name) for name in ("local_files_only", "revision", "token", "cache_dir") if name in kwargs
    }
    return resolve_model(model, **where)


__all__ = ["GenerationInterrupted", "PartialRun", "WorldModelOutput", "WorldModelPipeline"]
