"""python benchmarks/worlds_truth.py DIR ... --every 10     how true written clips are, measured on their files

Events are checked on every clip from its files alone. Of every so many-th clip, and of one of each scene family, the
pictures are rendered again: at the clip's size, where they must show the written ids, and several times finer.

events   exits and entries, counts and flags against the transitions in instance_masks.npz.
points   body points against the box of the mask, dilated by 2 pixels. A point counts where the fine picture shows it
         or has nothing before it; by the clip's own depth, where that has nothing before it. Joints lie in flesh,
         vertices are all of the surface. A point is in a wide part where what is seen around it holds a square
         of one pixel: any such square has a pixel's centre in it, and only such parts are sure to be in a mask.
surface  centres of pixels of the static world, unprojected from one frame by depth and world.json, projected into
         another by camera.json, against the depth there.
vanished the renders with and without those whom the fates befall. A pixel may differ within 1 pixel of what the
         fine picture shows of them, or where a surface within it has them between itself and the sun.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import binary_dilation, binary_opening
from scipy.spatial import cKDTree

from outofsight.worlds.catalogue import CATALOGUE
from outofsight.worlds.content.subjects import build_body
from outofsight.worlds.engine.plan import ClipPlan, lay_out
from outofsight.worlds.engine.presets import WorldsPreset
from outofsight.worlds.engine.render import BODY_SHADOW, Frame, Renderer
from outofsight.worlds.generate import DATA, posed
from outofsight.worlds.manifest import listed_rows

SQUARE = np.ones((3, 3), dtype=bool)
MARGIN = 2  # pixels that the box of a mask is dilated by
TOUCHING = 0.05  # metres: depths of one place
ENOUGH = 25  # pixels from which on a subject is more than a speck


# --- what is written --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lens:
    focal: float
    width: int
    height: int

    def project(self, points: np.ndarray, c2w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points ``[n, 3]`` to places in the picture, pixels ``[n, 2]``, and depths ``[n]``; OpenCV axes."""
        local = (points - c2w[:3, 3]) @ c2w[:3, :3]
        with np.errstate(divide="ignore", invalid="ignore"):
            return local[:, :2] / local[:, 2:] * self.focal + (self.width / 2, self.height / 2), local[:, 2]

    def unproject(self, places: np.ndarray, depth: np.ndarray, c2w: np.ndarray) -> np.ndarray:
        local = np.concatenate(
            [(places - (self.width / 2, self.height / 2)) / self.focal, np.ones((len(places), 1))], 1
        )
        return (local * depth[:, None]) @ c2w[:3, :3].T + c2w[:3, 3]

    def holds(self, places: np.ndarray, depth: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            inside = (places >= 0).all(axis=1) & (places < (self.width, self.height)).all(axis=1)
        return inside & (depth > 0.1)


class Written:
    """The files of one clip, read with json and numpy alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = self._json("world.json")
        with np.load(folder / "instance_masks.npz") as archive:
            self.ids: np.ndarray = archive["ids"]
        lens = self.world["lens"]
        self.lens = Lens(lens["fx"], *self.ids.shape[:0:-1])
        assert (lens["cx"], lens["cy"], lens["fx"]) == (self.lens.width / 2, self.lens.height / 2, lens["fy"])
        cameras = self.world["cameras"]
        self.c2w = np.array(cameras["context"] + cameras["target"])

    def _json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def unreal_c2w(self) -> np.ndarray:
        """camera.json's poses (columns forward, right, up; centimetres) with OpenCV's columns and metres."""
        cameras = self._json("camera.json")
        halves = [
            [half[str(frame)] for frame in range(len(half))] for half in (cameras["cond_cam"], cameras["tgt_cam"])
        ]
        poses = np.array(halves[0] + halves[1])[..., [1, 2, 0, 3]] * (1, -1, 1, 1)
        poses[:, :3, 3] /= 100
        return poses

    def events(self) -> Counter[str]:
        """Disagreements between the masks and everything that is said of visibility."""
        names = [subject["id"] for subject in self._json("character.json")["outofsight"]["subjects"]]
        tracks = {subject["id"]: subject for subject in self._json("character.json")["outofsight"]["subjects"]}
        checks = self._json("check.json")
        said = {(event["subject"], event["kind"], event["frame"]) for event in self.world["events"]}
        seen = {name: [bool((frame == number).any()) for frame in self.ids] for number, name in enumerate(names, 1)}
        found = {
            (name, "entry" if flags[frame] else "exit", frame)
            for name, flags in seen.items()
            for frame in range(1, len(flags))
            if flags[frame] != flags[frame - 1]
        }
        wrong: Counter[str] = Counter(clips=1, events=len(found), wrong_events=len(found ^ said))
        for number, name in enumerate(names, 1):
            counts = [int((frame == number).sum()) for frame in self.ids]
            flags = [entry["inFrame"] for half in ("cond_check", "tgt_check") for entry in checks[half][name][name]]
            wrong["wrong_counts"] += int(counts != tracks[name]["visible_pixels"])
            wrong["wrong_flags"] += int(flags != seen[name])
        wrong["wrong_clips"] = int(any(wrong[key] for key in ("wrong_events", "wrong_counts", "wrong_flags")))
        return wrong


# --- the same, rendered again -----------------------------------------------------------------------------------


class Painter:
    """Two renderers of one preset: the clip's own, and a finer one that knows what lies between pixel centres."""

    def __init__(self, preset: WorldsPreset) -> None:
        self.preset = preset
        self.times = 6 if preset.width <= 300 else 3
        size = preset.width, preset.height
        self.plain = Renderer(*size)
        self.fine = Renderer(size[0] * self.times, size[1] * self.times, supersample=1)


class Again:
    """A written clip, laid out from its plan and ready to be drawn."""

    def __init__(self, written: Written, painter: Painter) -> None:
        self.written, self.painter, self.lens = written, painter, written.lens
        staging = lay_out(CATALOGUE, ClipPlan.from_json(written.world["plan"]))
        self.staging = staging
        self.raw = np.concatenate(staging.preset.halves())
        self.bodies = posed(staging)
        self.meshes = [build_body(CATALOGUE.subjects[subject.name]) for subject in staging.plan.subjects]
        scene = CATALOGUE.build_scene(staging.layout)
        self.sun = np.asarray(scene.sun, dtype=np.float64)
        for renderer in (painter.plain, painter.fine):
            renderer.load(scene, [(mesh.faces, mesh.colours) for mesh in self.meshes])

    def draw(self, renderer: Renderer, frame: int, gone: tuple[int, ...] = ()) -> Frame:
        raw = self.raw[frame]
        shown = [
            None if number in gone else (body.positions[raw], body.normals[raw])
            for number, body in enumerate(self.bodies, 1)
        ]
        return renderer.frame(self.staging.c2w[raw], self.staging.plan.camera.fov, shown)

    def frames(self, most: int, first: int = 0) -> np.ndarray:
        """At most so many clip frames, spread evenly, no raw frame twice."""
        _, frames = np.unique(self.raw[first:], return_index=True)
        return first + frames[:: -(-len(frames) // most)]

    # points

    def points(self, most: int) -> Counter[str]:
        found: Counter[str] = Counter()
        for frame in self.frames(most):
            ids = self.written.ids[frame]
            present = [number for number in range(1, len(self.bodies) + 1) if (ids == number).any()]
            if not present:
                continue
            plain = self.draw(self.painter.plain, frame)
            found["drifted"] += int((plain.ids != ids).any())
            fine = None
            for number in present:
                large = int((ids == number).sum() >= ENOUGH)
                wrong: Counter[str] = Counter()
                for name, (places, depth) in self._outside(frame, number).items():
                    if len(places):
                        fine = fine or self.draw(self.painter.fine, frame)
                        column, row = places.astype(int).T
                        wrong[f"{name}_by_depth"] = int((plain.depth[row, column] > depth - TOUCHING).any())
                        wrong += self._missed(name, places, depth, fine, number)
                found += Counter(seen=1, large=large)
                for name, value in wrong.items():
                    found += Counter({name: min(value, 1), f"{name}_large": min(value, large)})
        return found

    def _outside(self, frame: int, number: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Joints and vertices in the picture that are out of the dilated box: places and depths."""
        rows, columns = np.nonzero(self.written.ids[frame] == number)
        low = np.array([columns.min(), rows.min()]) - MARGIN
        high = np.array([columns.max(), rows.max()]) + 1 + MARGIN
        body, raw, found = self.bodies[number - 1], self.raw[frame], {}
        for name, points in (("joints", body.joints[raw]), ("vertices", body.positions[raw])):
            places, depth = self.lens.project(points, self.staging.c2w[raw])
            inside = self.lens.holds(places, depth)
            places, depth = places[inside], depth[inside]
            out = ((places < low) | (places > high)).any(axis=1)
            found[name] = places[out], depth[out]
        return found

    def _missed(self, name: str, places: np.ndarray, depth: np.ndarray, fine: Frame, number: int) -> Counter[str]:
        """Points out of the box: how many are in sight after all, and in parts at least a pixel wide."""
        times, mask = self.painter.times, fine.ids == number
        wide = binary_dilation(binary_opening(mask, np.ones((times, times), dtype=bool)), SQUARE)
        column, row = (places * times).astype(int).T
        shown, free = np.zeros(len(places), dtype=bool), np.ones(len(places), dtype=bool)
        for down, right in np.argwhere(SQUARE) - 1:
            at = np.clip(row + down, 0, len(mask) - 1), np.clip(column + right, 0, mask.shape[1] - 1)
            there = fine.depth[at]
            # a joint lies in flesh: the body is before it
            shown |= mask[at] & ((name == "joints") | (np.abs(there - depth) < TOUCHING))
            free &= there > depth - TOUCHING
        return Counter({name: int((shown | free).sum()), "wide": int((shown & wide[row, column]).sum())})

    # surface

    def surface(self, starts: int) -> Counter[str]:
        found: Counter[str] = Counter()
        there_c2w, last = self.written.unreal_c2w(), len(self.raw) - 1
        found["cameras_differ"] = int(np.abs(there_c2w - self.written.c2w).max() > 1e-6)
        for start in np.linspace(0, last, starts).astype(int):
            here = self.draw(self.painter.plain, start)
            for gap in (2, 9, last // 3):
                other = start + gap if start + gap <= last else start - gap
                there = self.draw(self.painter.plain, other)
                found += landed(here, self.written.c2w[start], there, there_c2w[other], self.lens)
        return found

    # vanished

    def vanished(self, most: int) -> Counter[str]:
        names = [subject["subject"] for subject in self.written.world["re-entries"]]
        all_names = [subject.name for subject in self.staging.plan.subjects]
        gone = tuple(number for number, name in enumerate(all_names, 1) if name in names or not names)
        found: Counter[str] = Counter()
        for frame in self.frames(most, first=len(self.raw) // 2):
            true, without = self.draw(self.painter.plain, frame), self.draw(self.painter.plain, frame, gone)
            fine, behind = self.draw(self.painter.fine, frame), self.draw(self.painter.fine, frame, gone)
            own = np.isin(true.ids, gone)
            found["truth_differs"] += int((((true.depth != without.depth) | (true.ids != without.ids)) & ~own).sum())
            height, width, times = *own.shape, self.painter.times
            shown = np.isin(fine.ids, gone).reshape(height, times, width, times).any(axis=(1, 3))
            differs = (true.colour != without.colour).any(axis=-1)
            outside = differs & ~binary_dilation(shown, SQUARE)
            found += Counter(frames=1, differ=int(differs.sum()), outside=int(outside.sum()))
            if outside.any():
                raw = self.raw[frame]
                samples = [self._samples(number, raw) for number in gone]
                for step in (2, 1):  # most are found by a part of their places
                    if outside.any():
                        outside[outside] = ~self._shadowed(outside, behind.depth, self.staging.c2w[raw], samples, step)
                found["unexplained"] += int(outside.sum())
        return found

    def _samples(self, number: int, raw: int) -> tuple[np.ndarray, float]:
        """Points all over a body's surface, and how near to one a shadow's ray passes, in metres."""
        body, faces = self.bodies[number - 1].positions[raw].astype(np.float64), self.meshes[number - 1].faces
        parts = 4
        shares = np.array([(i, j, parts - i - j) for i in range(parts + 1) for j in range(parts + 1 - i)]) / parts
        points = np.einsum("sk,tkc->tsc", shares, body[faces]).reshape(-1, 3)
        longest = np.linalg.norm(body[faces] - body[np.roll(faces, 1, axis=1)], axis=-1).max()
        texel = 1.1 * np.linalg.norm(np.ptp(body, axis=0)) / BODY_SHADOW
        return points, float(2 * texel + 0.6 * longest / parts)

    def _shadowed(
        self,
        pixels: np.ndarray,
        depth: np.ndarray,
        c2w: np.ndarray,
        samples: list[tuple[np.ndarray, float]],
        step: int,
    ) -> np.ndarray:
        """Of each such pixel, whether a surface in it or next to it has one of the bodies on its way to the sun.

        A pixel shades the surface at its centre and at the samples that a nearer one leaves.
        """
        times = self.painter.times
        rows, columns = np.nonzero(pixels)
        offsets = np.arange(-times, 2 * times, step)
        down, right = (grid.ravel() for grid in np.meshgrid(offsets, offsets))
        row = np.clip(rows[:, None] * times + down, 0, depth.shape[0] - 1)
        column = np.clip(columns[:, None] * times + right, 0, depth.shape[1] - 1)
        away = depth[row, column].ravel()
        places = (np.stack([column, row], axis=-1).reshape(-1, 2) + 0.5) / times
        solid = np.isfinite(away)
        points = self.lens.unproject(places, np.where(solid, away, 0.0), c2w)
        side = np.cross(self.sun, (0.0, 0.0, 1.0) if abs(self.sun[2]) < 0.99 else (0.0, 1.0, 0.0))
        axes = np.stack([side, np.cross(side, self.sun)]).T / np.linalg.norm(side)
        dark = np.zeros(len(points), dtype=bool)
        for body, near in samples:
            tree, sunward = cKDTree(body @ axes), body @ self.sun
            _, found = tree.query(points @ axes, k=16, distance_upper_bound=near)
            reach = np.append(sunward, -np.inf)[found].max(axis=1)
            dark |= solid & (reach > points @ self.sun - TOUCHING)
        return np.asarray(dark.reshape(len(rows), -1).any(axis=1))


def landed(here: Frame, here_c2w: np.ndarray, there: Frame, there_c2w: np.ndarray, lens: Lens) -> Counter[str]:
    """Where the static surface of one frame lands in another.

    A point agrees where, from one of the four pixel centres around its landing place, the surface there (its inverse
    depth continued by its slope; a plane's is linear) meets the point's depth within a step of 1 pixel. It is hidden
    where it agrees with none and one of the four is nearer; else the frames disagree.
    """
    height, width = here.ids.shape
    rows, columns = np.nonzero((here.ids == 0) & np.isfinite(here.depth))
    points = lens.unproject(np.stack([columns, rows], axis=-1) + 0.5, here.depth[rows, columns], here_c2w)
    places, depth = lens.project(points, there_c2w)
    kept = lens.holds(places, depth) & (places >= 1.5).all(axis=1) & (places < (width - 1.5, height - 1.5)).all(axis=1)
    places, depth = places[kept], depth[kept]
    inverse = 1.0 / there.depth.astype(np.float64)  # 0 in the sky
    slopes = [slope(inverse, axis) for axis in (1, 0)]
    corner = np.floor(places - 0.5).astype(int)
    agrees, hidden = np.zeros(len(depth), dtype=bool), np.zeros(len(depth), dtype=bool)
    for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column, row = (corner + np.array((right, down))).T
        across, along = slopes[0][row, column], slopes[1][row, column]
        off = places - np.stack([column, row], axis=-1) - 0.5
        continued = inverse[row, column] + across * off[:, 0] + along * off[:, 1]
        allowed = np.hypot(across, along) + 0.002 / depth
        agrees |= np.abs(continued - 1.0 / depth) <= allowed
        hidden |= inverse[row, column] > 1.005 / depth
    return Counter(samples=len(depth), agree=int(agrees.sum()), hidden=int((hidden & ~agrees).sum()))


def slope(values: np.ndarray, axis: int) -> np.ndarray:
    """Per pixel the lesser of the steps to its two neighbours: that of its own surface where it borders another."""
    steps = np.diff(values, axis=axis)
    edge = [(0, 0), (0, 0)]
    edge[axis] = (1, 0)
    before = np.pad(steps, edge, mode="edge")
    edge[axis] = (0, 1)
    after = np.pad(steps, edge, mode="edge")
    return np.where(np.abs(before) < np.abs(after), before, after)


# --- the table --------------------------------------------------------------------------------------------------


def chosen(roots: list[Path], every: int) -> Iterator[tuple[Path, bool]]:
    """All clips of the folders, and whether to render each again."""
    families: set[str] = set()
    for root in roots:
        for place, row in enumerate(listed_rows(root).values()):
            again = place % every == 0 or row["family"] not in families
            families |= {str(row["family"])} if again else set()
            yield root / DATA / str(row["name"]), again


def share(part: int, whole: int) -> str:
    return f"{whole - part} of {whole} ({1 - part / max(whole, 1):.3%})"


def report(clips: Counter[str], looked: Counter[str], families: dict[str, Counter[str]]) -> None:
    seen, large = looked["seen"], looked["large"]
    open_ = looked["samples"] - looked["hidden"]
    rows = [
        ("clips whose events, counts and flags are those of the masks", share(clips["wrong_clips"], clips["clips"])),
        ("events in them", f"{clips['events']}, wrong {clips['wrong_events']}"),
        ("clips rendered again; frames whose ids are not the written ones", f"{looked['again']}; {looked['drifted']}"),
        ("subject-frames whose points are in the box: in parts at least a pixel wide", share(looked["wide"], seen)),
        ("joints not hidden by the clip's own depth", share(looked["joints_by_depth"], seen)),
        ("joints in sight", share(looked["joints"], seen)),
        ("vertices not hidden by the clip's own depth", share(looked["vertices_by_depth"], seen)),
        ("vertices in sight", share(looked["vertices"], seen)),
        (f"joints in sight, subjects of {ENOUGH} pixels or more", share(looked["joints_large"], large)),
        (f"vertices in sight, subjects of {ENOUGH} pixels or more", share(looked["vertices_large"], large)),
        ("static surface points that land on their surface", share(open_ - looked["agree"], open_)),
        ("hidden ones, left out", f"{looked['hidden']}"),
        ("clips whose two camera files differ", f"{looked['cameras_differ']}"),
        ("pixels that differ, true against vanished", f"{looked['differ']} in {looked['frames']} frames"),
        ("outside the subject", f"{looked['outside']}"),
        ("outside the subject and its shadow", str(looked["unexplained"])),
        ("pixels of others whose id or depth differs", f"{looked['truth_differs']}"),
    ]
    print("| what | figure |\n|---|---|")
    for what, figure in rows:
        print(f"| {what} | {figure} |")
    worst = {name: one["agree"] / max(one["samples"] - one["hidden"], 1) for name, one in families.items()}
    print(f"\nsurface, by family ({len(worst)}), least first: ", end="")
    print(", ".join(f"{name} {value:.2%}" for name, value in sorted(worst.items(), key=lambda item: item[1])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--every", type=int, default=10, help="render every so many-th clip again")
    parser.add_argument("--frames", type=int, default=66, help="frames of each clip to look at, at most")
    options = parser.parse_args()
    clips: Counter[str] = Counter()
    looked: Counter[str] = Counter()
    families: dict[str, Counter[str]] = {}
    painter: Painter | None = None
    for folder, rendered in chosen(options.folders, options.every):
        written = Written(folder)
        clips += written.events()
        if not rendered:
            continue
        preset = WorldsPreset(**written.world["preset"])
        if painter is None or painter.preset != preset:
            painter = Painter(preset)
        again = Again(written, painter)
        found = again.surface(4)
        families.setdefault(written.world["scene"]["family"], Counter()).update(found)
        found += again.points(options.frames) + again.vanished(-(-options.frames // 6))
        looked += found + Counter(again=1)
        if found["drifted"]:
            print(f"{folder}: {found['drifted']} frames are not as written: was it made by another version?")
        if any(found[wrong] for wrong in ("wide", "unexplained", "truth_differs", "cameras_differ")):
            print(f"{folder}: {dict(found)}")
    report(clips, looked, families)


if __name__ == "__main__":
    main()
