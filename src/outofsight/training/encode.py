"""Clips to latents, once: video through the VAE, captions through the text encoder, poses, subjects and phases.

Shard n holds clips n k ... n k + k - 1 of the folders in order, whoever makes it and whenever, so that a run that
was killed resumes where it stopped and ends in the same files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from ..clips import Clip
from ..components.video_codec import codec_of
from ..errors import DatasetError
from ..framing import Framing, framing_note
from ..io import locked
from ..processes import in_processes
from ..records import WeightDtype
from .parts import Parts
from .prepare import naming
from .shard_encoder import EncodeOptions, Job, ShardDone, ShardEncoder
from .shards import STORED_DTYPES, LatentSettings, read_shard, shard_name, stored_strides, write_index
from .sources import list_clips, read_sources

_SHARD_BYTES, _SHARD_CLIPS = 32 << 20, 32


@dataclass
class Outcome:
    """What a run came to: clips in the folder, those kept from before, and those without masks or visibility.

    framing: what was done to the first clip's pictures and to their field of view, in words; None: nothing.
    """

    clips: int = 0
    kept: int = 0
    unannotated: int = 0
    framing: str | None = None


def encode_clips(
    folders: Sequence[Path],
    out: Path,
    options: EncodeOptions,
    *,
    workers: int = 1,
    report: Callable[[ShardDone, int], None] | None = None,
) -> Outcome:
    """Encode every clip of these data folders into ``out``, resuming with what is there.

    Args:
        workers: processes, each with coding parts of its own. On a CPU the networks run on one thread in each, for
            the last bits of a sum depend on how many share it, and the files must not depend on ``workers``.
        report: called with each finished shard and the number of clips there are in all.

    Raises:
        DatasetError: ``out`` was made with other settings, or a clip's files are not those of its manifest.
        OutOfSightError: clips that cannot be read or do not fit the model (the clip is named), a full disk ...
    """
    sources = list_clips(folders)
    with locked(out):
        parts = options.load_parts()
        first = next(iter(read_sources(sources[:1])))
        settings = _settings(parts, options, first)
        _refuse_other_settings(out, settings)
        for leftover in ("shard-*", "index.*", "tmp*"):  # of a run that was killed while writing; tmp is safetensors'
            for file in out.glob(f".{leftover}"):
                file.unlink()
        size = options.clips_per_shard or _clips_per_shard(settings, first)
        cuts = [tuple(sources[start : start + size]) for start in range(0, len(sources), size)]
        names = [shard_name(number) for number in range(len(cuts))]
        outcome = Outcome(framing=_framing(first, options.size))
        jobs = list(zip(names, cuts, strict=True))
        for done in _run(jobs, out, options, settings, parts, min(workers, len(cuts))):
            outcome.clips += done.clips
            outcome.kept += done.clips if done.kept else 0
            outcome.unannotated += done.unannotated
            if report is not None:
                report(done, len(sources))
        for stray in set(out.glob("shard-*.safetensors")) - {out / name for name in names}:
            stray.unlink()
        write_index(out, settings, names, [str(folder.resolve()) for folder in folders], _model_name(options.model))
    return outcome


def _run(
    jobs: list[Job],
    out: Path,
    options: EncodeOptions,
    settings: LatentSettings,
    parts: Parts,
    workers: int,
) -> Iterator[ShardDone]:
    if workers > 1:
        yield from in_processes(_work, jobs, workers, _start, (out, options, settings))
        return
    encoder = ShardEncoder(out, options, settings, parts)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        for job in jobs:
            yield encoder(job)
    finally:
        torch.set_num_threads(threads)


_encoder: ShardEncoder | None = None


def _start(out: Path, options: EncodeOptions, settings: LatentSettings) -> None:
    global _encoder
    torch.set_num_threads(1)
    _encoder = ShardEncoder(out, options, settings, None)


def _work(job: Job) -> ShardDone:
    assert _encoder is not None
    return _encoder(job)


def _framing(clip: Clip, size: tuple[int, int] | None) -> str | None:
    if size is None:
        return None
    framing = Framing.cover(clip.context_video().size, size)
    cameras = clip.context_cameras, clip.target_cameras
    return framing_note(framing, cameras, [framing.cameras(path) for path in cameras])


def _settings(parts: Parts, options: EncodeOptions, clip: Clip) -> LatentSettings:
    """Of a folder that begins with this clip; the size is its own unless one is asked for."""
    if options.stored not in STORED_DTYPES or options.precision not in STORED_DTYPES:
        raise DatasetError(
            f"stored as {options.stored}, computed in {options.precision}: expected {', '.join(STORED_DTYPES)}"
        )
    if options.true_places and parts.finder is None:
        raise DatasetError(
            "--true-places sets where rendered targets show subjects, and nothing is rendered: give a model that has a "
            "finder, and no --no-render"
        )
    geometry = parts.geometry
    with naming(clip):
        height, width = options.size or clip.context_video().size
        size = geometry.latent_size(height, width)
    return LatentSettings(
        **parts.hashes(),
        frame_stride=geometry.frame_stride,
        pixel_stride=stored_strides(geometry.pixel_strides),
        channels=codec_of(parts.vae).channels,
        size=size,
        text_tokens=parts.text_tokens,
        text_dim=parts.text_dim,
        dtype=cast(WeightDtype, options.stored),
        precision=cast(WeightDtype, options.precision),
        true_places=options.true_places,
    )


def _model_name(model: str) -> str:
    """As another directory understands it: folders absolute, names as they are."""
    folder = Path(model).expanduser()
    return str(folder.resolve()) if folder.is_dir() else model


def _clips_per_shard(settings: LatentSettings, clip: Clip) -> int:
    frames = clip.context_frames + clip.target_frames
    cells = settings.channels * settings.size[0] * settings.size[1] * frames // settings.frame_stride
    return max(1, min(_SHARD_CLIPS, _SHARD_BYTES // (cells * STORED_DTYPES[settings.dtype].itemsize)))


def _refuse_other_settings(out: Path, settings: LatentSettings) -> None:
    """Raises DatasetError where ``out`` holds shards of other settings, or files of another kind."""
    shards = sorted(out.glob("shard-*.safetensors"))
    others = [entry.name for entry in out.iterdir() if not entry.name.startswith(".")]
    if others and not shards:
        raise DatasetError(
            f"{out} is not empty and holds no encoded clips ({', '.join(others[:4])}): give another --out"
        )
    for shard in shards:
        try:
            theirs, _ = read_shard(shard, verify=False)
        except DatasetError:
            continue  # broken: it is made anew
        if told := theirs.differences(settings):
            raise DatasetError(
                f"{out} was encoded with other settings, and clips of two kinds do not mix. There: {'; '.join(told)}. "
                "Give another --out, or the same settings to resume it"
            )


__all__ = ["EncodeOptions", "Outcome", "ShardDone", "encode_clips"]
