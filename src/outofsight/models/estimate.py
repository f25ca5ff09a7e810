"""What a model costs, computed from its sizes: operations, parameters, memory, and seconds at a given speed.

Nothing here is measured. Operations count a multiply and an add as two; the keys that each frame attends to
are taken from the memory's own plan, so every mechanism is counted as it works.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..memory import FrameLayout, make_layout, make_memory
from .conditioners import ModelShape, make_conditioners, square_intrinsics
from .conditioners.reprojection import ReprojectionConditioner, reprojection_channels

_ANY_FOV = 90.0  # for memories that choose frames by view: how many they take does not depend on it
_VAE_FEATURES = 8  # held at once in a residual block: input, norm, activation, convolution and their caches


@dataclass(frozen=True)
class TransformerCost:
    """One forward pass of the transformer, and a whole sampling run. All numbers are computed, none measured.

    Args:
        tokens: of the whole sequence (context and target).
        attention, feed_forward, rest: floating-point operations of one block.
        blocks: how many there are.
        outside: operations of patch embedding, text embedding and head.
        forwards: whole forward passes of a sampling run.
        once: operations done once a run (the context, where it is cached).
        activation_bytes: most memory beside the weights in one forward.
        cache_bytes: kept of a cached context over all steps.
    """

    tokens: int
    attention: float
    feed_forward: float
    rest: float
    blocks: int
    outside: float
    forwards: int
    once: float
    activation_bytes: int
    cache_bytes: int

    @property
    def block(self) -> float:
        return self.attention + self.feed_forward + self.rest

    @property
    def forward(self) -> float:
        return self.blocks * self.block + self.outside

    @property
    def total(self) -> float:
        """Operations of the whole run."""
        return self.once + self.forwards * self.forward

    def seconds(self, tflops: float) -> float:
        """Time of a run at ``tflops`` sustained; raises ValueError for a speed that is not positive."""
        if tflops <= 0:
            raise ValueError(f"a speed of {tflops} TFLOP/s: expected a positive number")
        return self.total / (tflops * 1e12)


@dataclass(frozen=True)
class _Counts:
    """Tokens and keys of a pass over some query frames."""

    queries: int  # query tokens
    text_queries: int  # of them, those that attend to the text
    pairs: int  # query-key pairs of self-attention
    bank: int  # tokens that are compressed
    memory: int  # memory tokens made of them
    gathered: int  # memory tokens as laid side by side for the queries


def estimate_transformer(
    config: Mapping[str, Any],
    *,
    context_frames: int,
    target_frames: int,
    latent_height: int,
    latent_width: int,
    steps: int = 50,
    branches: int = 2,
    text_tokens: int = 512,
    cache_context: bool | None = None,
    bytes_per_value: int = 2,
) -> TransformerCost:
    """Cost of sampling with a transformer of this configuration.

    Args:
        config: a ``WorldTransformer3DModel``'s config (or its constructor's arguments, all of them).
        context_frames, target_frames, latent_height, latent_width: latent sizes.
        branches: forward passes per step: 2 with guidance, 1 without.
        cache_context: None counts a cached context where the model allows one.
        bytes_per_value: of activations: 2 for bfloat16, 4 for float32.

    Raises:
        MemoryOptionError: an unknown memory or options that contradict one another.
    """
    dim = config["num_attention_heads"] * config["attention_head_dim"]
    patch = config["patch_size"]
    grid = (latent_height // patch[1], latent_width // patch[2])
    cacheable = config["context_timestep"] == "clean" and config["context_attention"] == "context_only"
    cached = cacheable if cache_context is None else cache_context
    layout = _layout(config, grid, context_frames, target_frames)
    cut = layout.context_frames
    whole = _count(config, layout, range(layout.frames))
    step = _count(config, layout, range(cut, layout.frames)) if cached else whole
    if cached:  # the memory tokens are made once, with the context
        step = _Counts(step.queries, step.text_queries, step.pairs, 0, 0, step.gathered)

    def cost(counts: _Counts) -> tuple[float, float, float, float]:
        attention = 4.0 * counts.pairs * dim
        feed_forward = 4.0 * counts.queries * dim * config["ffn_dim"]
        channels = config["in_channels"] + config["out_channels"]
        outside = 2.0 * counts.queries * dim * channels * patch[0] * patch[1] * patch[2]
        kinds = make_conditioners(
            config["conditioners"], ModelShape(dim, config["num_attention_heads"], config["in_channels"], (1, 1, 1))
        )
        if isinstance(kind := kinds.get("reprojection"), ReprojectionConditioner):
            read = reprojection_channels(config["in_channels"], len(kind.disparities))
            targets = min(counts.queries, layout.target_frames * layout.tokens_per_frame)
            outside += 2.0 * targets * dim * read * patch[0] * patch[1] * patch[2]
        if counts.text_queries:  # a context encoded alone takes no text
            outside += 2.0 * text_tokens * dim * (config["text_dim"] + dim)
        return attention, feed_forward, _rest(config, counts, dim, text_tokens), outside

    attention, feed_forward, rest, outside = cost(step)
    once = 0.0
    if cached:
        context = _count(config, layout, range(cut))
        parts = cost(context)
        once = config["num_layers"] * sum(parts[:3]) + parts[3]
    return TransformerCost(
        tokens=whole.queries,
        attention=attention,
        feed_forward=feed_forward,
        rest=rest,
        blocks=config["num_layers"],
        outside=outside,
        forwards=steps * branches,
        once=once,
        activation_bytes=_activations(step, whole, dim, config["ffn_dim"], bytes_per_value),
        cache_bytes=2 * dim * (cut * grid[0] * grid[1] + whole.memory) * config["num_layers"] * bytes_per_value
        if cached
        else 0,
    )


def _layout(config: Mapping[str, Any], grid: tuple[int, int], context: int, target: int) -> FrameLayout:
    """A layout of cameras that stand still; a memory that chooses frames by pose has chosen."""
    poses = torch.eye(4)[:3].reshape(1, 1, 12)
    layout = make_layout(
        grid,
        poses.expand(1, context, 12),
        poses.expand(1, target, 12),
        torch.zeros(1, context + target),
        square_intrinsics(_ANY_FOV, 1, context + target, grid),
    )
    selection = _memory(config).select_frames(layout)
    return layout if selection is None else layout.keep_context(selection.indices)


def _memory(config: Mapping[str, Any]) -> Any:
    return make_memory(config["memory"], config.get("memory_options"), config["context_attention"])


def _count(config: Mapping[str, Any], layout: FrameLayout, queries: range) -> _Counts:
    plan = _memory(config).plan(layout, config["attention_head_dim"], torch.device("cpu"), queries)
    cells = layout.tokens_per_frame
    widths = plan.windows[:, 1] - plan.windows[:, 0] + 1
    recalled = int(plan.counts.sum())
    cut = layout.context_frames if config["context_attention"] == "context_only" else 0
    texts = len(range(max(queries.start, cut), queries.stop)) * cells
    if plan.memory is None:
        return _Counts(len(queries) * cells, texts, cells * cells * int(widths.sum()), 0, 0, 0)
    inside = plan.memory.grid[0] * plan.memory.grid[1]
    return _Counts(
        queries=len(queries) * cells,
        text_queries=texts,
        pairs=cells * (cells * int(widths.sum()) + inside * recalled),
        bank=plan.memory.frames * cells,
        memory=plan.memory.count * inside,
        gathered=inside * recalled,
    )


def _rest(config: Mapping[str, Any], counts: _Counts, dim: int, text_tokens: int) -> float:
    """Projections, projector, text attention and memory tokens of one block."""
    self_attention = 4 * 2.0 * counts.queries * dim**2  # query, key, value, output
    projector = 2.0 * counts.queries * dim**2
    text = 2 * 2.0 * counts.text_queries * dim**2  # query, output
    if counts.text_queries:
        text += 2 * 2.0 * text_tokens * dim**2 + 4.0 * counts.text_queries * text_tokens * dim
    compressed = 2.0 * counts.bank * dim**2 if counts.memory else 0.0  # every token once through the convolution
    memory = 2 * 2.0 * counts.memory * dim**2  # key, value
    cameras = 2.0 * counts.queries * dim * (3 if "rays" in config["conditioners"] else 0)
    return self_attention + projector + text + compressed + memory + cameras


def _activations(step: _Counts, whole: _Counts, dim: int, ffn_dim: int, size: int) -> int:
    """The larger of the two peaks of a block: at the attention and in the feed-forward.

    At the attention: the residual stream, the normed input, queries, keys, values and output, memory keys and
    values and their gathered copies. In the feed-forward: stream, normed input (float32), two hidden layers.
    """
    memory = 2 * dim * (whole.memory + step.gathered) * size
    attention = (3 * step.queries + 3 * whole.queries) * dim * size + memory
    feed_forward = step.queries * (dim * (2 * size + 4) + 2 * ffn_dim * size)
    return max(attention, feed_forward)


def count_parameters(model: torch.nn.Module) -> int:
    """Parameters of a model, which may be on the meta device."""
    return sum(parameter.numel() for parameter in model.parameters())


def vae_decode_bytes(config: Mapping[str, Any], height: int, width: int, bytes_per_value: int = 2) -> int:
    """Most memory of decoding without tiles: some eight features of one chunk of frames at full size.

    Wan's decoder goes through a video one latent frame at a time, so its length does not enter beside the frames.
    """
    frames = 2 ** sum(map(bool, config["temperal_downsample"]))
    features = _VAE_FEATURES * config["base_dim"] * config["dim_mult"][0]
    return features * frames * height * width * bytes_per_value
