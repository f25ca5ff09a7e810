"""The codec without a network: exact, streamed exactly, saved as a configuration alone."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan

from outofsight.components.codec import decode_latents, decode_videos, encode_video, encode_videos
from outofsight.components.hub import check_network, fill
from outofsight.components.video_codec import VideoCodec, codec_of
from outofsight.errors import CheckpointError, GeometryError, NumericsError, OutOfSightError
from outofsight.models.base_weights import describe_folder
from outofsight.models.codecs import build_codec, codec_class, has_weights, load_codec
from outofsight.models.patch_codec import PatchCodec
from outofsight.models.presets import PRESETS
from outofsight.training.hashes import vae_hash
from pipelines import small_pipeline


def video_of(codec: PatchCodec, latents: int, rows: int = 2, columns: int = 3, batch: int = 1) -> np.ndarray:
    """Noise of every grey level, ``[b, F, h, w, 3]``."""
    (high, wide), frames = codec.pixel_strides, codec.frame_stride * (latents - 1) + 1
    return np.random.default_rng(latents).integers(0, 256, (batch, frames, rows * high, columns * wide, 3), np.uint8)


KINDS: list[dict[str, Any]] = [
    {},
    {"frames": 1, "patch": (2, 2)},
    {"frames": 3, "patch": (4, 6), "mean": 0.5, "scale": 3.7},
    {"frames": 4, "patch": (1, 1), "mean": 0.0, "scale": 1.0},
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("latents", [1, 2, 5])
def test_a_video_comes_back_byte_for_byte(kind: dict[str, Any], latents: int) -> None:
    codec = PatchCodec(**kind)
    videos = video_of(codec, latents, batch=2)
    made = encode_videos(codec, torch.from_numpy(videos), "cpu")
    assert made.shape == (2, codec.channels, latents, 2, 3) and made.dtype == torch.float32
    assert np.array_equal(decode_videos(codec, made), videos)
    assert np.array_equal(decode_latents(codec, made[1:]), videos[1])
    stored = made.half().float()  # as encoded clips are stored
    assert np.array_equal(decode_videos(codec, stored), videos)
    again = encode_videos(codec, torch.from_numpy(decode_videos(codec, made)), "cpu")
    assert torch.equal(again, made)


def test_numbers_are_pixels_in_the_order_frame_colour_row_column() -> None:
    codec = PatchCodec(frames=3, patch=(2, 4), mean=0.45, scale=4.0)
    video = video_of(codec, 3)[0]
    made = encode_video(codec, video, "cpu")[0].numpy()
    assert codec.channels == 3 * 2 * 4 * 3 == len(made)
    for latent in range(3):
        for copy in range(3):
            frame = 0 if latent == 0 else 1 + (latent - 1) * 3 + copy
            for colour in range(3):
                for row in range(2):
                    for column in range(4):
                        number = ((copy * 3 + colour) * 2 + row) * 4 + column
                        pixels = video[frame, row::2, column::4, colour].astype(np.float64)
                        assert np.allclose(made[number, latent], (pixels / 255 - 0.45) * 4, atol=1e-5)


def test_the_first_frame_is_the_mean_of_its_copies_and_the_rest_is_clamped() -> None:
    codec = PatchCodec(frames=2, patch=(1, 1), mean=0.5, scale=2.0)
    latents = torch.zeros(1, 6, 2, 1, 1)
    latents[0, :3, 0], latents[0, 3:, 0] = 0.4, -0.8  # values 0.7 and 0.1 in 0..1
    latents[0, :3, 1], latents[0, 3:, 1] = 5.0, -5.0
    found = decode_latents(codec, latents)
    assert found[:, 0, 0, 0].tolist() == [round(0.4 * 255), 255, 0]
    pixels = codec.latents_to_pixels(latents)
    assert pixels.min() >= -1 and pixels.max() <= 1
    latents[0, 0, 1] = float("nan")
    with pytest.raises(NumericsError, match="NaN"):
        decode_latents(codec, latents)


@pytest.mark.parametrize("kind", KINDS[:3])
def test_streams_are_equal_to_one_call(kind: dict[str, Any]) -> None:
    codec = PatchCodec(**kind)
    stride = codec.frame_stride
    video = torch.from_numpy(video_of(codec, 6)).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    whole = codec.pixels_to_latents(video)
    encoder, at = codec.encoder_stream(), [0, 1, 1 + 2 * stride, 1 + 5 * stride]
    parts = [encoder.encode(video[:, :, start:end]) for start, end in itertools.pairwise(at)]
    assert [part.shape[2] for part in parts] == [1, 2, 3] and torch.equal(torch.cat(parts, dim=2), whole)
    noisy = whole + torch.randn(whole.shape, generator=torch.Generator().manual_seed(0))
    pixels = codec.latents_to_pixels(noisy)
    assert pixels.shape[2] == 1 + 5 * stride
    decoder, other = codec.decoder_stream(), codec.decoder_stream()
    first = decoder.decode(noisy[:, :, :2])
    fork, again = decoder.fork(), codec.decoder_stream()
    again.restore(json_again(fork.saved()))
    for stream in (decoder, fork, again):
        rest = stream.decode(noisy[:, :, 2:])
        assert rest.shape[2] == 4 * stride and torch.equal(torch.cat([first, rest], dim=2), pixels)
    assert other.saved() == {} and other.decode(noisy[:, :, :1]).shape[2] == 1


def json_again(kept: dict[int, Any]) -> dict[int, Any]:
    """What a session keeps comes back from a file."""
    return {int(number): word for number, word in json.loads(json.dumps(kept)).items()}


def test_what_does_not_fit_is_refused() -> None:
    codec = PatchCodec(frames=3, patch=(4, 6))
    with pytest.raises(GeometryError, match=r"3 video frames .* 3 n \+ 1"):
        codec.pixels_to_latents(torch.zeros(1, 3, 3, 8, 12))
    stream = codec.encoder_stream()
    stream.encode(torch.zeros(1, 3, 1, 8, 12))
    with pytest.raises(GeometryError, match="takes 3 n of them"):
        stream.encode(torch.zeros(1, 3, 4, 8, 12))
    with pytest.raises(GeometryError, match=r"8 x 10 .* patches of 4 x 6"):
        codec.pixels_to_latents(torch.zeros(1, 3, 1, 8, 10))
    with pytest.raises(GeometryError, match="16 channels, expected 216"):
        codec.latents_to_pixels(torch.zeros(1, 16, 1, 2, 2))
    with pytest.raises(OutOfSightError, match=r"leave tiling \(--vae-tiling\) out"):
        codec.enable_tiling()
    for wrong in ({"frames": 0}, {"patch": (6, 0)}, {"patch": (6,)}, {"patch": 6}, {"frames": 2.0}, {"frames": True}):
        with pytest.raises(GeometryError, match="whole numbers of at least 1"):
            PatchCodec(**wrong)
    for wrong in ({"scale": 0.0}, {"scale": float("inf")}, {"mean": float("nan")}, {"scale": "4"}):
        with pytest.raises(GeometryError, match="finite numbers, and a scale above 0"):
            PatchCodec(**wrong)


def test_a_folder_of_it_is_a_configuration_alone(tmp_path: Path) -> None:
    folder, codec = tmp_path / "vae", PatchCodec(frames=3, patch=(4, 6), mean=0.4, scale=5.0)
    codec.save_pretrained(folder, safe_serialization=True)
    assert [file.name for file in folder.iterdir()] == ["config.json"] and not has_weights(folder)
    found = [load_codec(folder), PatchCodec.from_pretrained(tmp_path, subfolder="vae"), check_network("vae", folder)]
    fill(found[2], folder, torch.bfloat16)
    for one in found:
        assert isinstance(one, PatchCodec) and codec_of(one).facts() == codec.facts() and not one.training
        assert one.device.type == "cpu" and list(one.parameters()) == [] and one.state_dict() == {}
    with pytest.raises(OSError, match="somebody/nothing"):
        PatchCodec.from_pretrained("somebody/nothing", local_files_only=True, cache_dir=tmp_path / "hub")
    described = describe_folder(tmp_path)
    assert described.layout == "diffusers" and described.parts["vae"].problem is None
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"\.safetensors"):
        check_network("vae", folder)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"_class_name": "os"}, "_class_name is 'os', expected one of AutoencoderKLWan, PatchCodec"),
        ({"_class_name": ["PatchCodec"]}, "expected one of"),
        ({"_class_name": "PatchCodec", "frames": 0}, "whole numbers of at least 1"),
        ({"_class_name": "PatchCodec", "patch": "66"}, "whole numbers"),
        ({"_class_name": "PatchCodec", "patch": 6}, "whole numbers"),
        ({"_class_name": "PatchCodec", "scale": "4"}, "scale='4': expected finite"),
    ],
)
def test_configurations_that_make_no_codec(settings: dict[str, Any], fault: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=fault):
        check_network("vae", tmp_path)
    with pytest.raises(CheckpointError):
        load_codec(tmp_path)


def test_which_class_a_configuration_is_of() -> None:
    assert codec_class({}, "here") is AutoencoderKLWan and codec_class({"_class_name": "PatchCodec"}, "") is PatchCodec
    with torch.device("meta"):
        built = build_codec({"_class_name": "PatchCodec", "frames": 3})
        assert isinstance(build_codec(PRESETS["debug"].vae), AutoencoderKLWan)
    assert isinstance(built, PatchCodec) and built.config.frames == 3 and built.device.type == "cpu"


def test_casting_changes_nothing() -> None:
    codec, video = PatchCodec(), video_of(PatchCodec(), 3)[0]
    for dtype in (torch.bfloat16, torch.float16):
        codec = codec.to(dtype)
        assert codec.dtype == torch.float32
        assert np.array_equal(decode_latents(codec, encode_video(codec, video, "cpu")), video)


def test_its_identity_is_of_its_numbers() -> None:
    usual = vae_hash(PatchCodec())
    assert usual == vae_hash(PatchCodec(2, (6, 6), 0.45, 4.0).to(torch.bfloat16))
    others = [{"frames": 1}, {"patch": (6, 4)}, {"patch": (4, 6)}, {"mean": 0.5}, {"scale": 2.0}]
    assert len({usual, *(vae_hash(PatchCodec(**other)) for other in others)}) == 6


def test_both_kinds_have_one_interface() -> None:
    vae = small_pipeline().vae
    wan, patches = codec_of(vae), codec_of(PatchCodec(3, (4, 6)))
    assert isinstance(wan, VideoCodec) and isinstance(patches, VideoCodec)
    assert (wan.frame_stride, wan.pixel_strides, wan.channels) == (4, (8, 8), 16)
    assert (patches.frame_stride, patches.pixel_strides, patches.channels) == (3, (4, 6), 216)
    assert wan.statistics == (vae.config.latents_mean, vae.config.latents_std)
    assert patches.statistics == ([0.45] * 216, [0.25] * 216)
    assert (wan.tiled, wan.whole, patches.tiled, patches.whole) == (False, True, False, True)
    wan.enable_tiling()
    assert vae.use_tiling and wan.tiled and not wan.whole
    vae.disable_tiling()
    vae.use_slicing = True
    assert not wan.tiled and not wan.whole
    assert patches.decode_bytes(7, 8, 12, 2) == 3 * (7 * 8 * 12 * 3) * 4
    with pytest.raises(TypeError, match="Linear is no codec"):
        codec_of(torch.nn.Linear(1, 1))
