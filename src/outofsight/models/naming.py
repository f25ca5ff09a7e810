"""Names of tensors in the released files and in diffusers and transformers: tables read in both directions.

A rule is a pair of module paths. The longest rule that fits a name is applied to its head, the rest is kept.
A ``*`` stands for the first number in a name, which both sides share. Names that no rule fits stay.

Sources of the names: docs/hydra.md ("Checkpoint") for the transformer; the public files ``Wan2.1_VAE.pth``
and ``models_t5_umt5-xxl-enc-bf16.pth`` for the other two.
"""

from __future__ import annotations

from collections.abc import Iterable


class NameMap:
    """A two-way renaming.

    Args:
        rules: pairs (released path, diffusers path), dot-separated parts, at most one ``*`` each.
    """

    def __init__(self, rules: Iterable[tuple[str, str]]) -> None:
        pairs = [(tuple(old.split(".")), tuple(new.split("."))) for old, new in rules]
        self._to_diffusers = dict(pairs)
        self._to_released = {new: old for old, new in pairs}
        if not len(pairs) == len(self._to_diffusers) == len(self._to_released):
            raise ValueError("a name stands twice on one side of the rules, so they cannot be inverted")

    def to_diffusers(self, name: str) -> str:
        """The diffusers name of a released tensor."""
        return _rename(name, self._to_diffusers)

    def to_released(self, name: str) -> str:
        """The released name of a diffusers tensor."""
        return _rename(name, self._to_released)


def _rename(name: str, table: dict[tuple[str, ...], tuple[str, ...]]) -> str:
    parts = tuple(name.split("."))
    at = next((i for i, part in enumerate(parts) if part.isdigit()), len(parts))
    starred = (*parts[:at], "*", *parts[at + 1 :])
    for length in range(len(parts), 0, -1):
        for head in (parts[:length], starred[:length]):
            if head in table:
                target = (parts[at] if part == "*" else part for part in table[head])
                return ".".join([*target, *parts[length:]])
    return name


def _attention(released: str, diffusers: str) -> list[tuple[str, str]]:
    projections = (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("o", "to_out.0"))
    # what else the module holds (norm_q, norm_k, a memory's own tensors) keeps its name
    return [(released, diffusers)] + [(f"{released}.{old}", f"{diffusers}.{new}") for old, new in projections]


TRANSFORMER_NAMES = NameMap(
    [
        ("text_embedding.0", "condition_embedder.text_embedder.linear_1"),
        ("text_embedding.2", "condition_embedder.text_embedder.linear_2"),
        ("time_embedding.0", "condition_embedder.time_embedder.linear_1"),
        ("time_embedding.2", "condition_embedder.time_embedder.linear_2"),
        ("time_projection.1", "condition_embedder.time_proj"),
        ("head.head", "proj_out"),
        ("head.modulation", "scale_shift_table"),
        ("blocks.*.modulation", "blocks.*.scale_shift_table"),
        ("blocks.*.cam_encoder_con", "blocks.*.conditioners.pose.context"),
        ("blocks.*.cam_encoder_tgt", "blocks.*.conditioners.pose.target"),
        *_attention("blocks.*.self_attn", "blocks.*.attn1"),
        *_attention("blocks.*.cross_attn", "blocks.*.attn2"),
        # Wan numbers its norms by age, diffusers by order of use
        ("blocks.*.norm2", "blocks.*.norm3"),
        ("blocks.*.norm3", "blocks.*.norm2"),
        ("blocks.*.ffn.0", "blocks.*.ffn.net.0.proj"),
        ("blocks.*.ffn.2", "blocks.*.ffn.net.2"),
    ]
)

TEXT_ENCODER_NAMES = NameMap(
    [
        ("token_embedding", "shared"),
        ("norm", "encoder.final_layer_norm"),
        ("blocks.*.norm1", "encoder.block.*.layer.0.layer_norm"),
        ("blocks.*.attn", "encoder.block.*.layer.0.SelfAttention"),
        ("blocks.*.pos_embedding.embedding", "encoder.block.*.layer.0.SelfAttention.relative_attention_bias"),
        ("blocks.*.norm2", "encoder.block.*.layer.1.layer_norm"),
        ("blocks.*.ffn.gate.0", "encoder.block.*.layer.1.DenseReluDense.wi_0"),
        ("blocks.*.ffn.fc1", "encoder.block.*.layer.1.DenseReluDense.wi_1"),
        ("blocks.*.ffn.fc2", "encoder.block.*.layer.1.DenseReluDense.wo"),
    ]
)


def _residual(released: str, diffusers: str) -> list[tuple[str, str]]:
    parts = (
        ("residual.0", "norm1"),
        ("residual.2", "conv1"),
        ("residual.3", "norm2"),
        ("residual.6", "conv2"),
        ("shortcut", "conv_shortcut"),
    )
    return [(f"{released}.{old}", f"{diffusers}.{new}") for old, new in parts]


def vae_names(levels: int, residual_blocks: int) -> NameMap:
    """The map of a Wan 2.1 VAE; it depends on the depth, since the released decoder numbers modules through.

    Args:
        levels: resolutions (length of ``dim_mult``).
        residual_blocks: residual blocks of each encoder level; decoder levels have one more.
    """
    rules = [("conv1", "quant_conv"), ("conv2", "post_quant_conv")]
    for half in ("encoder", "decoder"):
        rules += [
            (f"{half}.conv1", f"{half}.conv_in"),
            (f"{half}.head.0", f"{half}.norm_out"),
            (f"{half}.head.2", f"{half}.conv_out"),
            (f"{half}.middle.1", f"{half}.mid_block.attentions.0"),
            *_residual(f"{half}.middle.0", f"{half}.mid_block.resnets.0"),
            *_residual(f"{half}.middle.2", f"{half}.mid_block.resnets.1"),
        ]
    rules += [("encoder.downsamples.*", "encoder.down_blocks.*")]
    rules += _residual("encoder.downsamples.*", "encoder.down_blocks.*")
    stride = residual_blocks + 2  # the decoder's residual blocks and the upsampler after them
    for level in range(levels):
        block = f"decoder.up_blocks.{level}"
        for i in range(residual_blocks + 1):
            rules += _residual(f"decoder.upsamples.{level * stride + i}", f"{block}.resnets.{i}")
        if level < levels - 1:
            rules.append((f"decoder.upsamples.{level * stride + stride - 1}", f"{block}.upsamplers.0"))
    return NameMap(rules)
