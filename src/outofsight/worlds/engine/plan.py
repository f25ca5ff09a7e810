"""What a clip will show, decided on geometry alone, before anything is rendered.

`plan_clip` depends on nothing but its arguments: each clip has a generator of random numbers of its own, so that
clips are the same whatever the number of workers. Families, subjects, paths and shots are dealt from shuffled decks,
so that all of them come up equally often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ...errors import WorldsError
from .catalogue import Catalogue, SubjectSpec
from .framing import CARRIED, KINDS, LENS_HEIGHTS, Aim, camera_room, clear, frame_shot
from .motion import PATHS, Ground, Occupied, PathPlan, Track, follow, place
from .presets import WorldsPreset, preset_named
from .scene import SceneLayout, ground_height
from .shots import SHOTS, SHOTS_BY_NAME, CameraPlan, CameraTrack, Shot, poses, run
from .sighting import Verdict, occluded, sight, verdict

VERSION = 3
SPLITS = ("train", "test")
MOST_SUBJECTS = 3
_COUNT_SHARES = (0.5, 0.3, 0.2)  # of clips with 1, 2 and 3 subjects
_ROUNDS = 80
# rounds after which what was dealt is sampled again: the subjects and their paths, the shot, the family
_NEW_SUBJECTS, _NEW_SHOT, _NEW_FAMILY = 5, 14, 26
_SHOTS_A_TRACK, _WAYS_TO_JOIN = 2, 3  # draws of a camera for one track, and of a further subject's path
_LEAST_SEEN = 0.04  # share of the frames in which each subject of a clip is clearly visible
_ROUNDS_A_WORLD = 4  # that one scene is tried for
_HELD_OUT_FAMILIES, _HELD_OUT_SUBJECTS = slice(4, None, 6), slice(4, None, 5)
_OWN_WAY = ("circle", "pause-and-return")  # paths that, shown whole, leave a camera's view and come back by themselves


@dataclass(frozen=True)
class SubjectPlan:
    """One subject: its name in the catalogue, and its path."""

    name: str
    path: PathPlan


@dataclass(frozen=True)
class ClipRequest:
    """What is asked of a plan. kind: of clip ("re-entry" ...). attempt: how many plans of this clip were refused on
    pixels before."""

    version: int
    seed: int
    index: int
    attempt: int
    preset: str
    split: str
    kind: str

    @property
    def name(self) -> str:
        return f"{self.split}-{self.seed}-{self.index:06d}"


@dataclass(frozen=True)
class ClipPlan(ClipRequest):
    """All that a clip is made from; JSON-serialisable (`to_json`, `from_json`).

    subjects[0] is the one that the kind is about; returning: indices of subjects that leave and re-enter.
    """

    family: str
    scene_seed: int
    subjects: tuple[SubjectPlan, ...]
    camera: CameraPlan
    returning: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ClipPlan:
        """The inverse of `to_json`. Raises WorldsError for a plan of another version."""
        if content.get("version") != VERSION:
            raise WorldsError(f"a plan of version {content.get('version')}: this outofsight makes version {VERSION}")
        values = dict(content)
        values["subjects"] = tuple(
            SubjectPlan(entry["name"], PathPlan(**entry["path"])) for entry in content["subjects"]
        )
        values["camera"] = CameraPlan(**content["camera"])
        values["returning"] = tuple(content["returning"])
        return cls(**values)


@dataclass(frozen=True, eq=False)
class Staging:
    """A plan laid out over the raw frames.

    tracks, ground_z [F]: of each subject. camera, camera_z [F]; c2w [F,4,4]: OpenCV axes in the z-up world.
    """

    plan: ClipPlan
    preset: WorldsPreset
    layout: SceneLayout
    ground: Ground
    specs: tuple[SubjectSpec, ...]
    tracks: tuple[Track, ...]
    ground_z: tuple[np.ndarray, ...]
    camera: CameraTrack
    camera_z: np.ndarray

    @property
    def c2w(self) -> np.ndarray:
        return poses(self.camera, self.camera_z)

    @property
    def shot(self) -> Shot:
        return SHOTS_BY_NAME[self.plan.camera.shot]

    def visibility(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of one subject, [F] bool each, from geometry: clearly visible; perhaps in view; hidden by an obstacle."""
        spec, track, z = self.specs[index], self.tracks[index], self.ground_z[index]
        fov = np.asarray(self.plan.camera.fov)
        found = sight(self.camera, self.camera_z, fov, self.preset.aspect, track.positions, z, spec.radius, spec.height)
        share = occluded(self.ground, self.camera, self.camera_z, track.positions, z, spec.radius, spec.height)
        return found.seen & (share < 0.5), found.touched & (share < 1.0), found.touched & (share >= 1.0)

    def verdict(self, index: int) -> Verdict:
        seen, touched, _ = self.visibility(index)
        return verdict(seen, touched, self.preset.cut)


def lay_out(catalogue: Catalogue, plan: ClipPlan) -> Staging:
    """Evaluate a plan: the subjects' and the camera's poses in every raw frame."""
    layout = catalogue.layout_scene(plan.family, plan.scene_seed)
    preset = preset_named(plan.preset)
    tracks = tuple(follow(subject.path, preset.raw_frames, preset.fps) for subject in plan.subjects)
    specs = tuple(catalogue.subjects[subject.name] for subject in plan.subjects)
    return _staging(plan, preset, Ground(layout), specs, tracks)


def _staging(
    plan: ClipPlan, preset: WorldsPreset, ground: Ground, specs: tuple[SubjectSpec, ...], tracks: tuple[Track, ...]
) -> Staging:
    layout = ground.layout
    heights = tuple(np.asarray(ground_height(layout, track.positions)) for track in tracks)
    camera = run(plan.camera, preset.raw_frames, preset.fps, tracks[0].positions)
    camera_z = np.asarray(ground_height(layout, camera.positions)) + plan.camera.height
    return Staging(plan, preset, layout, ground, specs, tracks, heights, camera, camera_z)


def split_families(catalogue: Catalogue, split: str) -> tuple[str, ...]:
    """The scene families of a split; the test split's are in no other."""
    return _split(tuple(catalogue.families), _HELD_OUT_FAMILIES, split)


def split_subjects(catalogue: Catalogue, split: str) -> tuple[str, ...]:
    """The names of a split's subjects; the test split's are in no other."""
    return _split(tuple(catalogue.subjects), _HELD_OUT_SUBJECTS, split)


def _split(names: tuple[str, ...], held_out: slice, split: str) -> tuple[str, ...]:
    test = names[held_out]
    return test if _checked_split(split) == "test" else tuple(name for name in names if name not in test)


def _checked_split(split: str) -> str:
    if split not in SPLITS:
        raise WorldsError(f'no split "{split}"; expected one of {", ".join(SPLITS)}')
    return split


def parse_mix(text: str) -> dict[str, float]:
    """ "re-entry", or shares of several: "re-entry=8,occluded=1,never-visible=1" -> {kind: share}, shares summing to 1.

    Raises WorldsError for unknown kinds and shares that cannot be.
    """
    mix: dict[str, float] = {}
    for piece in text.split(","):
        kind, _, share = (part.strip() for part in piece.partition("="))
        if kind not in KINDS:
            raise WorldsError(f'mix "{text}": no kind of clip "{kind}"; expected some of {", ".join(KINDS)}')
        if kind in mix:
            raise WorldsError(f'mix "{text}": "{kind}" is named twice')
        try:
            mix[kind] = float(share) if share else 1.0
        except ValueError as cause:
            raise WorldsError(f'mix "{text}": the share of {kind} is "{share}", expected a number') from cause
    if any(not 0 <= share < float("inf") for share in mix.values()) or sum(mix.values()) <= 0:
        raise WorldsError(f'mix "{text}": expected shares of at least 0 that are not all 0, e.g. re-entry=8,occluded=2')
    total = sum(mix.values())
    return {kind: share / total for kind, share in mix.items()}


def plan_clip(
    catalogue: Catalogue,
    seed: int,
    index: int,
    preset: str = "tiny",
    split: str = "train",
    mix: str = "re-entry",
    subjects: int | None = None,
    *,
    attempt: int = 0,
) -> ClipPlan:
    """Plan clip number `index` of a seed: the same arguments give the same plan.

    subjects: how many (None: 1 to 3). attempt: 0, or how many plans of this clip the pixels have refused.
    Raises WorldsError for arguments that cannot be, or where no plan is found.
    """
    if seed < 0 or index < 0 or attempt < 0:
        raise WorldsError(f"seed {seed}, clip {index}, attempt {attempt}: expected numbers of at least 0")
    if subjects is not None and not 1 <= subjects <= MOST_SUBJECTS:
        raise WorldsError(f"{subjects} subjects: a world has room for 1 to {MOST_SUBJECTS}")
    size = preset_named(preset)
    shares = parse_mix(mix)
    place_in_split = SPLITS.index(_checked_split(split))
    kind = _dealt_kind(shares, seed, index)
    dealer = _Dealer(catalogue, ClipRequest(VERSION, seed, index, attempt, preset, split, kind), subjects)
    for tried in range(_ROUNDS):
        rng = np.random.default_rng([seed, index, place_in_split, attempt, tried])
        cast = dealer.deal(rng, tried + (_NEW_SUBJECTS if attempt > 2 else 0))
        found = _try(rng, cast, size)
        if found is not None:
            return found
    counted = f"{subjects} subject{'s' if subjects != 1 else ''}" if subjects else "1 to 3 subjects"
    raise WorldsError(
        f"clip {index} of seed {seed}: no {kind} clip with {counted} was found in {_ROUNDS} attempts; worlds of the "
        f"{split} split may have no room for it: try fewer --subjects or another --mix"
    )


@dataclass(frozen=True, eq=False)
class _Cast:
    """What is tried: a world, subjects with the names of their paths, a shot."""

    request: ClipRequest
    ground: Ground
    specs: tuple[SubjectSpec, ...]
    paths: tuple[str, ...]
    shot: Shot


class _Dealer:
    """Deals family, subjects, paths and shot for one clip: from decks at first, at random where that fails."""

    def __init__(self, catalogue: Catalogue, request: ClipRequest, count: int | None) -> None:
        self._catalogue, self._request, self._count = catalogue, request, count
        self._key = (request.seed, SPLITS.index(request.split), request.index)
        self._ground: Ground | None = None
        self._dealt: dict[int, str] = {}
        self.families = split_families(catalogue, request.split)
        self.subjects = split_subjects(catalogue, request.split)

    def _deal(self, deck: Sequence[str], which: int) -> str:
        """The card of this clip from a deck that is shuffled again each time it is used up."""
        if which not in self._dealt:
            seed, place_in_split, index = self._key
            cycle, position = divmod(index, len(deck))
            order = np.random.default_rng([seed, place_in_split, which, cycle]).permutation(len(deck))
            self._dealt[which] = deck[int(order[position])]
        return self._dealt[which]

    def deal(self, rng: np.random.Generator, tried: int) -> _Cast:
        def choose(deck: Sequence[str]) -> str:
            return deck[int(rng.integers(len(deck)))]

        shots = [shot.name for shot in _shots_for(self._request.kind)]
        family = choose(self.families) if tried >= _NEW_FAMILY else self._deal(self.families, 1)
        shot = SHOTS_BY_NAME[choose(shots) if tried >= _NEW_SHOT else self._deal(shots, 2)]
        paths = _paths_for(self._request.kind, shot)
        path = self._deal(PATHS, 3)
        if tried >= _NEW_SUBJECTS or path not in paths:
            path = choose(paths)
        first = choose(self.subjects) if tried >= _NEW_SUBJECTS else self._deal(self.subjects, 4)
        count = self._count or 1 + int(np.searchsorted(np.cumsum(_COUNT_SHARES)[:-1], rng.random(), side="right"))
        rest = [name for name in self.subjects if name != first]
        names = [first, *(rest[int(i)] for i in rng.permutation(len(rest))[: count - 1])]
        if len(names) < count:
            raise WorldsError(f"{count} subjects, but the {self._request.split} split holds {len(self.subjects)}")
        ways = (path, *(choose(PATHS) for _ in names[1:]))
        if tried % _ROUNDS_A_WORLD == 0 or self._ground is None or self._ground.layout.family != family:
            self._ground = Ground(self._catalogue.layout_scene(family, int(rng.integers(2**31))))
        specs = tuple(self._catalogue.subjects[name] for name in names)
        return _Cast(self._request, self._ground, specs, ways, shot)


def _dealt_kind(shares: dict[str, float], seed: int, index: int) -> str:
    """Kinds in their shares, spread evenly over the clips (a golden-ratio sequence)."""
    point = (0.5 + index * 0.6180339887498949 + seed * 0.7548776662466927) % 1.0
    kinds = [kind for kind, share in shares.items() if share > 0]
    return kinds[int(np.searchsorted(np.cumsum([shares[kind] for kind in kinds])[:-1], point, side="right"))]


def _shots_for(kind: str) -> tuple[Shot, ...]:
    if kind == "occluded":
        return (SHOTS_BY_NAME["hold"],)
    if kind == "always-visible":  # a wide look away loses the subjects
        return tuple(shot for shot in SHOTS if shot.degrees[0] <= 30 and not shot.tilts and shot.family != "double")
    return SHOTS


def _paths_for(kind: str, shot: Shot) -> tuple[str, ...]:
    if kind == "occluded":
        return ("straight", "crossing", "arc")
    if kind == "re-entry" and not shot.glances:
        return _OWN_WAY
    return PATHS


def _try(rng: np.random.Generator, cast: _Cast, preset: WorldsPreset) -> ClipPlan | None:
    """One attempt at a cast: all subjects' paths and the camera's, or None."""
    ground, main = cast.ground, cast.specs[0]
    found = _first(rng, cast, preset)
    if found is None:
        return None
    path, track, camera = found
    world, subjects = ground.layout, (SubjectPlan(main.name, path),)
    plan = ClipPlan(**vars(cast.request), family=world.family, scene_seed=world.seed, subjects=subjects, camera=camera)
    staging = _staging(plan, preset, ground, cast.specs[:1], (track,))
    # further subjects keep away from the camera too: a tall body fills the picture from farther away
    tallest = max(spec.height for spec in cast.specs)
    occupied = [Occupied(track.positions, main.radius + 0.2), Occupied(staging.camera.positions, 0.5 + 0.6 * tallest)]
    for spec, name in zip(cast.specs[1:], cast.paths[1:], strict=True):
        joined = _joined(rng, staging, spec, name, occupied)
        if joined is None:
            return None
        staging = joined
        occupied.append(Occupied(staging.tracks[-1].positions, spec.radius + 0.2))
    returning = _confirmed(staging)
    return None if returning is None else replace(staging.plan, returning=returning)


def _first(rng: np.random.Generator, cast: _Cast, preset: WorldsPreset) -> tuple[PathPlan, Track, CameraPlan] | None:
    """The path of the subject that the kind of clip is about, and a camera that shows it so; or None."""
    main, kind = cast.specs[0], cast.request.kind
    if kind == "occluded":
        return _hiding_place(rng, cast.ground, main, preset)
    placed = place(
        rng, cast.ground, cast.paths[0], speeds=(main.walk_speed, main.run_speed), radius=main.radius,
        frames=preset.raw_frames, fps=preset.fps,
    )  # fmt: skip
    if placed is None:
        return None
    path, track = placed
    aim = Aim(cast.shot, kind, track, path.name, main, preset)
    drawn = (frame_shot(rng, cast.ground, aim) for _ in range(_SHOTS_A_TRACK))
    camera = next((each for each in drawn if each is not None), None)
    return None if camera is None else (path, track, camera)


def _joined(
    rng: np.random.Generator, staging: Staging, spec: SubjectSpec, path: str, others: Sequence[Occupied]
) -> Staging | None:
    """The staging with one subject more, on a path of this name that shows it if it is to be seen; or None."""
    preset, plan = staging.preset, staging.plan
    main = staging.tracks[0].positions
    for _ in range(_WAYS_TO_JOIN):
        near = main[int(rng.integers(len(main)))]
        placed = place(
            rng, staging.ground, path, speeds=(spec.walk_speed, spec.run_speed), radius=spec.radius, others=others,
            near=near, frames=preset.raw_frames, fps=preset.fps,
        )  # fmt: skip
        if placed is None:
            continue
        more = replace(plan, subjects=(*plan.subjects, SubjectPlan(spec.name, placed[0])))
        specs, tracks = (*staging.specs, spec), (*staging.tracks, placed[1])
        joined = _staging(more, preset, staging.ground, specs, tracks)
        if plan.kind in ("never-visible", "always-visible") or joined.visibility(-1)[0].mean() >= _LEAST_SEEN:
            return joined
    return None


def _hiding_place(
    rng: np.random.Generator, ground: Ground, spec: SubjectSpec, preset: WorldsPreset
) -> tuple[PathPlan, Track, CameraPlan] | None:
    """A walk that passes behind an obstacle at the cut, and a camera on the obstacle's other side."""
    extents = ground.halves.max(axis=1) if len(ground.halves) else np.zeros(0)
    x0, y0, x1, y1 = ground.stage
    centres = ground.centres
    near = (centres[:, 0] > x0) & (centres[:, 0] < x1) & (centres[:, 1] > y0) & (centres[:, 1] < y1)
    tall = np.flatnonzero((ground.heights > 0.95 * spec.height) & (extents > 1.0 * spec.radius) & (extents < 5) & near)
    seconds = (preset.raw_frames - 1) / preset.fps
    for _ in range(6 if len(tall) else 0):
        box = int(tall[rng.integers(len(tall))])
        r = rng.random(8)
        facing = 2 * np.pi * r[0]
        reach = float(extents[box]) * 1.2 + spec.radius + 0.3 + 0.8 * r[1]
        speed = float(np.clip((2.5 + 2 * r[2] + 2 * extents[box]) / seconds, spec.walk_speed, spec.run_speed))
        heading = facing + np.pi / 2 * (1 if r[3] < 0.5 else -1)
        to_camera = np.array([np.cos(facing), np.sin(facing)])
        middle = ground.centres[box] - reach * to_camera
        start = middle - speed * seconds * (0.5 + 0.03 * (r[4] - 0.5)) * np.array([np.cos(heading), np.sin(heading)])
        path = PathPlan("straight", float(start[0]), float(start[1]), float(heading), speed, phase=float(r[5]))
        track = follow(path, preset.raw_frames, preset.fps)
        margin = spec.radius + 0.2
        if (ground.clearance(track.positions) < margin).any() or not ground.inside(track.positions, margin).all():
            continue
        away = float(extents[box]) + 2.5 + 3.5 * r[6]
        stand = ground.centres[box] + away * to_camera
        if not clear(ground, stand[None], camera_room(ground)) or not ground.inside(stand, 0.3):
            continue
        height = np.clip(spec.height * (CARRIED[0] + (CARRIED[1] - CARRIED[0]) * r[7]), *LENS_HEIGHTS)
        fov = 55 + 20 * float(rng.random())
        yaw = float(facing + np.pi + 0.1 * (rng.random() - 0.5))
        return path, track, CameraPlan("hold", float(stand[0]), float(stand[1]), yaw, float(height), fov, 0.0)
    return None


def _confirmed(staging: Staging) -> tuple[int, ...] | None:
    """The subjects that leave and re-enter, where the clip is of the kind that it is to be; else None."""
    kind, cut = staging.plan.kind, staging.preset.cut
    sights = [staging.visibility(index) for index in range(len(staging.specs))]
    verdicts = [verdict(seen, touched, cut) for seen, touched, _ in sights]
    returning = tuple(index for index, found in enumerate(verdicts) if found.returns)
    if kind == "never-visible":
        return None if any(touched.any() for _, touched, _ in sights) else ()
    if kind == "always-visible":
        return () if all(seen.mean() > 0.97 and touched.all() for seen, touched, _ in sights) else None
    # each subject is visible for a fair share of the frames
    if any(seen.mean() < _LEAST_SEEN for seen, _, _ in sights):
        return None
    if 0 not in returning:
        return None
    if kind == "occluded":
        left, back = verdicts[0].left, verdicts[0].returned
        return returning if sights[0][2][left:back].any() else None
    return returning
