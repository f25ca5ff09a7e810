"""Which of HM-World's layouts a folder has, the names of its clips, and their captions.

- released: `HM-World/<sample>/` with cond.mp4, tgt.mp4 and camera.json, perhaps with cond_mask.mp4,
  tgt_mask.mp4, character.json, check.json; `HM-World/caption.txt` with lines `<path>.mp4<TAB><caption>`.
- raw: `<sample>/videos/<name>.mp4` and `<name>M_CustomDepth.mp4`; `<sample>.json`, `<sample>_check.json` and
  `<sample>_character.json` in `<sample>/` or beside it; captions.txt as above.
- example: 1.mp4, cam1.json and so on; caption.txt with one line per clip: the context half alone.

Source: spec/hm_world.md and, for the examples, infer_hydra.py.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import LayoutError
from .base import LayoutReport, listing

DATA_FOLDER = "HM-World"
CAPTION_FILES = ("caption.txt", "captions.txt")
MASK_SUFFIX = "M_CustomDepth"


def find_released(root: Path) -> LayoutReport | None:
    if _is_sample(root):
        return LayoutReport("released", root.parent, (root.name,))
    base = root / DATA_FOLDER if (root / DATA_FOLDER).is_dir() else root
    names = [folder.name for folder in _folders(base) if _is_sample(folder)]
    return LayoutReport("released", base, _ordered(names)) if names else None


def _is_sample(folder: Path) -> bool:
    return any((folder / f"{half}.mp4").exists() for half in ("cond", "tgt"))


def find_raw(root: Path) -> LayoutReport | None:
    single = (root / "videos").is_dir()
    samples = [root] if single else [folder for folder in _folders(root) if (folder / "videos").is_dir()]
    names = []
    for sample in samples:
        videos = [file.stem for file in (sample / "videos").glob("*.mp4") if not file.stem.endswith(MASK_SUFFIX)]
        names += [sample.name] if len(videos) == 1 else [f"{sample.name}/{video}" for video in videos]
    return LayoutReport("raw", root.parent if single else root, _ordered(names)) if names else None


def find_examples(root: Path) -> LayoutReport | None:
    names = [file.stem for file in root.glob("*.mp4") if (root / f"cam{file.stem}.json").exists()]
    return LayoutReport("example", root, _ordered(names)) if names else None


def _folders(root: Path) -> list[Path]:
    # A leading dot marks a sample that is being written.
    return [Path(entry) for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith(".")]


def _ordered(names: list[str]) -> tuple[str, ...]:
    """Numbers by value: clip 2 before clip 10."""
    return tuple(sorted(names, key=lambda name: [part.zfill(20) for part in re.split(r"(\d+)", name)]))


@dataclass(frozen=True)
class Captions:
    """A caption file: whole lines, and captions by every part of the paths they are given for."""

    file: Path | None
    lines: tuple[str, ...] = ()
    by_part: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def beside(cls, root: Path) -> Captions:
        file = next((root / name for name in CAPTION_FILES if (root / name).is_file()), None)
        if file is None:
            return cls(None)
        try:
            lines = tuple(file.read_text(encoding="utf-8-sig").splitlines())
        except (OSError, UnicodeDecodeError) as cause:
            raise LayoutError(f"{file}: cannot be read as UTF-8 text ({cause})") from cause
        by_part: dict[str, dict[str, str]] = {}
        for path, tab, caption in (line.partition("\t") for line in lines):
            if tab and caption.strip():
                for part in {*Path(path).parts, Path(path).stem}:
                    by_part.setdefault(part, {})[path] = caption.strip()  # a path's last line counts
        return cls(file, lines, by_part)

    def find(self, clip: str, keys: tuple[str, ...], root: Path) -> tuple[str, tuple[str, ...]]:
        """The caption of the first key that some line's path names, and a note where lines disagree."""
        if self.file is None:
            raise LayoutError(f'clip "{clip}": no caption file; expected {" or ".join(CAPTION_FILES)} in {root}')
        for key in keys:
            lines = self.by_part.get(key, {})
            if lines:
                path, caption = next(iter(lines.items()))
                differ = len(set(lines.values())) > 1
                note = f"{self.file.name}: {len(lines)} lines name this clip and differ; {path} is used"
                return caption, ((note,) if differ else ())
        raise LayoutError(
            f'{self.file}: no caption for clip "{clip}" among {len(self.lines)} lines; expected a line '
            f'"{keys[0]}.mp4<TAB><caption>"'
        )

    def numbered(self, clip: str, root: Path) -> str:
        """The caption of clip "1", "2", ... by its line."""
        if self.file is None:
            raise LayoutError(f'clip "{clip}": no caption file; expected {CAPTION_FILES[0]} in {root}')
        index = int(clip) - 1 if clip.isascii() and clip.isdecimal() else -1
        if not 0 <= index < len(self.lines) or not self.lines[index].strip():
            raise LayoutError(
                f'{self.file}: no caption for clip "{clip}": it has {len(self.lines)} lines, and the line '
                "of a clip is its number"
            )
        return self.lines[index].strip()


def need(folder: Path, files: tuple[str, ...]) -> None:
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise LayoutError(
            f"{folder}: {', '.join(missing)} missing; a released sample needs {', '.join(files)}; "
            f"it holds {listing(folder)}"
        )
