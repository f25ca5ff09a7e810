"""Feet followed over frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from flatland import FOV, HEIGHT, WIDTH, camera, walker

from outofsight.cameras import CameraPath
from outofsight.clips import Clip, SubjectTrack
from outofsight.experiments.rendered import SubjectFinder, render, renderer
from outofsight.experiments.rendered import pursuits as training_pursuits
from outofsight.experiments.rendered.follower import (
    Followed,
    Follower,
    _fits,
    _template,
    _windows,
    follow,
    follow_twice,
    pixels_a_metre,
)
from outofsight.experiments.rendered.motion import go_on, world_up
from outofsight.experiments.rendered.sighting import Sighting
from outofsight.experiments.rendered.sweep import SweepOptions
from outofsight.experiments.rendered.tracks import ACROSS, ALONG, SubjectPath, paths_in, project
from outofsight.experiments.rendered.train_follower import collate, missed, shown

HALF = float(np.tan(np.deg2rad(FOV) / 2))
FRAMES = 12


def scene(tall: float = 1.7) -> tuple[np.ndarray, np.ndarray, torch.Tensor, Sighting]:
    """Cameras that turn; where somebody walks; what they see, and what a perfect finder says."""
    cameras = np.stack([camera(yaw=0.02 * i) for i in range(FRAMES)])
    t = np.arange(FRAMES)[:, None]
    positions = np.concatenate([-0.5 + 0.08 * t, 0.9 + 0 * t, 3.0 + 0 * t], axis=1)
    return cameras, positions, *walker(cameras, positions, tall)


def path_in(sighting: Sighting, cameras: np.ndarray) -> SubjectPath:
    (path,) = paths_in(sighting, cameras, HALF, world_up(cameras), levelled=False)
    return path


def follower(*says: float) -> Follower:
    """One that says the same of everybody."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Follower((8, 8, 8), 16).eval()
    made.say.bias.data[: len(says)] = torch.tensor(says)
    return made


class Onesided(Follower):
    """One that finds bodies 0.2 m to the side on which they are red, in a mirror too."""

    def forward(
        self, pictures: torch.Tensor, feet: torch.Tensor, scale: torch.Tensor, seen: torch.Tensor, passes: int = 2
    ) -> list[Followed]:
        half = pictures.shape[-1] // 2
        halves = pictures[:, :, 0].mean(dim=2)
        side = torch.where(halves[..., half:].sum(dim=(1, 2)) > halves[..., :half].sum(dim=(1, 2)), 1.0, -1.0)
        doubts = torch.tensor([ACROSS * np.e, ALONG / np.e]).float() * torch.exp(side)[:, None, None]
        return [Followed(0.2 * side[:, None] * seen, 0.2 * seen, doubts * seen[..., None])]


def test_a_new_one_changes_nothing() -> None:
    cameras, _, pictures, sighting = scene()
    path = path_in(sighting, cameras)
    after = follow(follower(), path, pictures, cameras, HALF)
    assert len(after.bodies) == FRAMES
    for one, other in zip(path.bodies, after.bodies, strict=True):
        np.testing.assert_allclose(other.foot, one.foot)
        np.testing.assert_allclose(other.position, one.position)
        assert other.depth == one.depth and other.doubt == pytest.approx((ACROSS, ALONG))


def test_what_is_said_is_done_and_feet_stay_on_their_lines_of_sight() -> None:
    cameras, _, pictures, sighting = scene()
    path = path_in(sighting, cameras)
    after = follow(Onesided(), path, pictures, cameras, HALF)
    side = np.sign(after.bodies[0].foot[0] - path.bodies[0].foot[0])
    for c2w, one, other in zip(cameras, path.bodies, after.bodies, strict=True):
        aside = side * 0.2 * pixels_a_metre(one.depth, WIDTH, HALF)
        assert other.foot[0] - one.foot[0] == pytest.approx(aside, rel=1e-5) and aside != 0
        assert other.depth == pytest.approx(one.depth * np.exp(0.2), rel=1e-5)
        foot, depth = project(c2w, other.position, (HEIGHT, WIDTH), HALF)
        np.testing.assert_allclose(foot, other.foot, atol=1e-6)
        assert depth == pytest.approx(other.depth)
        assert other.doubt == pytest.approx((ACROSS * np.e, ALONG / np.e), rel=1e-5)


def windows(feet_off: dict[int, float]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Windows around a walker's feet, moved to the right by metres in some frames; whether in the picture; scale."""
    cameras, positions, pictures, sighting = scene()
    told = torch.cat([pictures, sighting.subject.sigmoid()[:, None]], dim=1)[None]
    seen = [project(c2w, at, (HEIGHT, WIDTH), HALF) for c2w, at in zip(cameras, positions, strict=True)]
    scale = torch.tensor([[pixels_a_metre(depth, WIDTH, HALF) for _, depth in seen]])
    feet = torch.tensor(np.array([[foot for foot, _ in seen]]), dtype=torch.float32)
    for frame, off in feet_off.items():
        feet[0, frame, 0] += off * scale[0, frame]
    return *_windows(told, feet, scale), scale


def test_a_window_shows_the_body_above_its_foot() -> None:
    shown, inside, _ = windows({})
    assert shown.shape == (1, FRAMES, 4, 48, 32) and inside[0, :, 0, 30:, :].all()
    body = shown[0, :, 3] > 0.5
    rows, columns = body[4].any(dim=1).nonzero()[:, 0], body[4].any(dim=0).nonzero()[:, 0]
    # samples of 5 cm, 0.3 m of them below the foot; 1.7 m tall, and half as wide
    assert int(rows.max()) == pytest.approx(41, abs=1) and int(rows.min()) == pytest.approx(41 - 34, abs=1)
    assert float(columns.float().mean()) == pytest.approx(15.5, abs=0.6) and len(columns) == pytest.approx(17, abs=1)


@pytest.mark.parametrize("off", [0.2, -0.15])
def test_windows_fit_best_where_the_body_is(off: float) -> None:
    shown, inside, _ = windows({5: off})
    mean, steady = _template(shown, torch.ones(1, FRAMES))
    fits = _fits(shown, inside, mean, steady)
    assert fits.shape == (1, FRAMES, 28)
    best = torch.stack([fits[0, :, :13].argmin(dim=1), fits[0, :, 14:27].argmin(dim=1)]) - 6
    expected = torch.zeros(FRAMES)
    expected[5] = -off / 0.05  # the body stands to the left of a foot that was put too far to the right
    assert (best - expected).abs().max() <= 1


def test_what_changes_in_the_body_tells_little() -> None:
    shown, _, _ = windows({})
    legs = shown.clone()
    legs[:, ::2, :3, 30:40] = 0.2  # below, and in every other frame
    _, steady = _template(legs, torch.ones(1, FRAMES))
    body = shown[0, 4, 3] > 0.9
    above, below = steady[0, 0, 0, 10:28][body[10:28]], steady[0, 0, 0, 31:39][body[31:39]]
    assert below.mean() < 0.2 * above.mean() and steady[0, 0, 0][:, 0].max() < 0.01


def test_frames_in_which_nobody_was_seen_count_for_nothing() -> None:
    cameras, _, pictures, sighting = scene()
    made = follower()
    torch.nn.init.normal_(made.say.weight, generator=torch.Generator().manual_seed(1))
    path = SubjectPath([body for body in path_in(sighting, cameras).bodies if body.frame != 6])
    first = follow(made, path, pictures, cameras, HALF)
    pictures = pictures.clone()
    pictures[6] = 0.7
    for one, other in zip(first.bodies, follow(made, path, pictures, cameras, HALF).bodies, strict=True):
        np.testing.assert_array_equal(one.position, other.position)
    pictures[7] = 0.7
    moved = follow(made, path, pictures, cameras, HALF)
    assert max(abs(one.foot - other.foot).max() for one, other in zip(first.bodies, moved.bodies, strict=True)) > 1e-4


def test_rendering_takes_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    cameras, _, pictures, sighting = scene()
    monkeypatch.setattr(renderer, "look", lambda *_: sighting)
    finder = SubjectFinder((8, 8), follower_widths=(8, 8, 8)).eval()
    options = SweepOptions(planes=5, nearest=0.5, around=5, coarse=1)
    found = []
    for says in (0.0, 2.0):
        assert finder.follower is not None
        finder.follower.say.bias.data[1] = says
        found.append(render(finder, pictures, cameras, cameras[-3:], FOV, options=options))
    depths = [np.array([body.depth for body in made.paths[0].bodies]) for made in found]
    np.testing.assert_allclose(depths[1] / depths[0], np.exp(0.2), rtol=1e-4)
    assert np.linalg.norm(found[1].places[0] - found[0].places[0], axis=1).min() > 0.1


def test_training_goes_on_as_rendering_does(monkeypatch: pytest.MonkeyPatch) -> None:
    world = np.eye(4)
    world[:3, :3], world[:3, 3] = camera(yaw=0.7)[:3, :3], [40.0, 2.0, -7.0]
    cameras = np.stack([world @ camera(0.03 * i, yaw=0.02 * i) for i in range(2 * FRAMES)])
    t = np.arange(2 * FRAMES)[:, None]
    positions = np.concatenate([-0.5 + 0.08 * t, 0.9 + 0 * t, 3.0 + 0.001 * t**2], axis=1) @ world[:3, :3].T
    positions += world[:3, 3]
    pictures, sighting = walker(cameras, positions, 1.7)
    ids = (sighting.subject > 0).byte().numpy()
    paths = [CameraPath(part, horizontal_fov=FOV, fps=8) for part in (cameras[:FRAMES], cameras[FRAMES:])]
    frames = (pictures * 255).round().byte().permute(0, 2, 3, 1).numpy()
    track = SubjectTrack("walker", positions=positions)
    clip = Clip("clip", "", paths[0], paths[1], frames[:FRAMES], frames[FRAMES:], (track,), masks=ids, fps=8)
    off = torch.linspace(-1, 2, FRAMES)[:, None, None]
    told = Sighting(sighting.subject[:FRAMES], sighting.foot[:FRAMES].clone(), 1.1 * sighting.depth[:FRAMES])
    told.foot[:, 0] += off
    monkeypatch.setattr(training_pursuits, "look", lambda *_: told)
    batch = collate(training_pursuits.pursuits(SubjectFinder((8, 8)), clip))
    near, far = (np.linalg.inv(cameras[FRAMES]) @ part for part in (cameras[:FRAMES], cameras[FRAMES:]))
    (path,) = paths_in(told, near, HALF, world_up(near))
    after = follow(Onesided(), path, pictures[:FRAMES], near, HALF)
    places = go_on(after, near, np.arange(FRAMES, 2 * FRAMES), world_up(near))
    true = (positions[FRAMES:] - cameras[FRAMES, :3, 3]) @ cameras[FRAMES, :3, :3]
    sight = [(at - far[:, :3, 3])[:, [0, 2]] for at in (places, true)]
    sine = np.abs(sight[0][:, 0] * sight[1][:, 1] - sight[0][:, 1] * sight[1][:, 0])
    sine /= np.linalg.norm(sight[0], axis=1) * np.linalg.norm(sight[1], axis=1)
    said = follow_twice(Onesided(), *shown(batch))
    shares = missed(said, batch)[0] * batch.sizes[0]
    assert (batch.sizes[0] > 0).sum() > 5
    np.testing.assert_allclose(shares[batch.sizes[0] > 0], sine[(batch.sizes[0] > 0).numpy()], atol=1e-4)
    mended = replace(said, aside=batch.gaps, farther=batch.farther)
    assert missed(mended, batch).max() < 0.5 * missed(said, batch).max()
