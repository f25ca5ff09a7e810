"""Gaits: from phase and speed to the place and turn of every joint, for any creature that walks on two or four legs.

A leg has four joints: hip, knee, ankle and toe (of a horse's hind leg: hip, stifle, hock and fetlock). Its foot is
led along a path that stands still on the ground during the stance, and the upper two bones follow by inverse
kinematics, so feet do not slide. Everything above the legs swings by waves: cosines of the phase.

Axes of the body: x ahead, y to its left, z up. A positive turn about y tips what stands up forward, and swings what
hangs down backward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .noise import smoothstep

GRAVITY = 9.81
REACH = 0.992  # of a leg's full length: knees never lock
SWAY = 0.012  # leg lengths: lateral sway of a standing body
IDLE, WALK, RUN = 0, 1, 2
ByPace = tuple[float, float, float]
"""A number while standing, walking and running."""


@dataclass(frozen=True)
class Wave:
    """angle = bias + swing * cos(2 pi (harmonic * phase - shift)) of one joint about one axis (0 x, 1 y, 2 z)."""

    joint: str
    axis: int
    swing: ByPace
    bias: ByPace = (0.0, 0.0, 0.0)
    harmonic: int = 1
    shift: float = 0.0


def limb(name: str) -> tuple[str, str, str, str]:
    """The joints of the leg of this name."""
    return f"{name}_hip", f"{name}_knee", f"{name}_ankle", f"{name}_toe"


@dataclass(frozen=True)
class Leg:
    """Angles in radians: how far the foot's bone tips back at touch-down, forward at take-off, folds in swing."""

    joints: tuple[str, str, str, str]
    parent: str
    phase: tuple[float, float]  # walking, running: touch-down is where phase + this is whole
    strike: tuple[float, float]
    push: tuple[float, float]
    fold: tuple[float, float]
    lift: tuple[float, float]  # height of the toe in swing, in leg lengths
    narrow: float = 0.0  # how far feet are set towards the middle when walking, of their lateral offset
    trail: tuple[float, float] = (0.0, 0.0)  # how far the middle of the stance lies behind the rest place, in strides
    toes: float = 0.0  # length of what lies ahead of the toe joint: kept clear of the ground in swing
    heel: float = 0.0  # length from toe joint back to the heel, where the foot lands on it (humans)


@dataclass(frozen=True, eq=False)
class Rig:
    """A skeleton and how it moves. Joints come after their parents; joint 0 is the root and carries the body."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    joints: np.ndarray  # [J,3] rest
    legs: tuple[Leg, ...]
    waves: tuple[Wave, ...]
    walk_speed: float
    run_speed: float
    duty: tuple[float, float]  # share of the cycle that a foot stands, walking and running
    bounce: tuple[float, float]  # rise and fall of the body, in leg lengths
    crouch: tuple[float, float]  # how much lower the body is carried, in leg lengths
    stride: tuple[float, float]  # stride / leg length = a + b * speed / sqrt(g * leg length)

    @property
    def leg_length(self) -> float:
        """Metres from hip to ground, of the longest leg."""
        return float(max(self.joints[self.names.index(leg.joints[0]), 2] for leg in self.legs))

    def stride_length(self, speed: np.ndarray | float) -> np.ndarray:
        """Metres per full cycle at `speed` (metres per second), growing with it."""
        length = self.leg_length
        first, slope = self.stride
        return length * (first + slope * np.asarray(speed, dtype=np.float64) / np.sqrt(GRAVITY * length))


def turns(angles: np.ndarray) -> np.ndarray:
    """Rotations [...,3,3] = Rz Ry Rx of angles [...,3] about x, y, z."""
    (cx, cy, cz), (sx, sy, sz) = (np.moveaxis(f(angles), -1, 0) for f in (np.cos, np.sin))
    out = np.empty((*angles.shape, 3))
    out[..., 0, 0], out[..., 0, 1], out[..., 0, 2] = cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx
    out[..., 1, 0], out[..., 1, 1], out[..., 1, 2] = sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx
    out[..., 2, 0], out[..., 2, 1], out[..., 2, 2] = -sy, cy * sx, cy * cx
    return out


def move(rig: Rig, phase: np.ndarray, speed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """phase, speed [F] -> turns [F,J,3,3] (rest is the identity) and places [F,J,3] in the body's own frame."""
    going = smoothstep(speed / (0.25 * rig.walk_speed))
    middle = 0.5 * (rig.walk_speed + rig.run_speed)
    running = smoothstep((speed - 0.5 * (rig.walk_speed + middle)) / (middle - rig.walk_speed + 1e-9))
    shares = np.stack([1 - going, going * (1 - running), going * running], axis=-1)
    frames, count = len(phase), len(rig.names)
    local = turns(_wave_angles(rig, phase, shares))
    steps = [_step(rig, leg, phase, speed, going, running) for leg in rig.legs]
    rise = _rise(rig, steps, phase, going, running)

    rotation = np.empty((frames, count, 3, 3))
    place = np.empty((frames, count, 3))
    rotation[:, 0] = local[:, 0]
    place[:, 0] = rig.joints[0]
    place[:, 0, 1] += SWAY * rig.leg_length * (1 - going) * np.sin(2 * np.pi * phase)
    place[:, 0, 2] += rise
    on_legs = {rig.names.index(name) for leg in rig.legs for name in leg.joints}
    for joint in range(1, count):
        if joint not in on_legs:
            parent = rig.parents[joint]
            rotation[:, joint] = rotation[:, parent] @ local[:, joint]
            place[:, joint] = place[:, parent] + rotation[:, parent] @ (rig.joints[joint] - rig.joints[parent])
    for leg, step in zip(rig.legs, steps, strict=True):
        _place_leg(rig, leg, step, rotation, place)
    return rotation, place


def _wave_angles(rig: Rig, phase: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Angles [F,J,3] of all joints, from the waves."""
    out = np.zeros((len(phase), len(rig.names), 3))
    for wave in rig.waves:
        swing = np.cos(2 * np.pi * (wave.harmonic * phase - wave.shift))
        out[:, rig.names.index(wave.joint), wave.axis] += shares @ wave.bias + (shares @ wave.swing) * swing
    return out


@dataclass(frozen=True, eq=False)
class _Step:
    """Where one leg's foot is: toe and ankle [F,3]; tips of the foot's bone and of the toes [F], about y;
    how far short of its place the foot may stay, being in the air [F], metres."""

    toe: np.ndarray
    ankle: np.ndarray
    foot_tip: np.ndarray
    toe_tip: np.ndarray
    loose: np.ndarray


def _mix(pair: tuple[float, float], running: np.ndarray) -> np.ndarray:
    return pair[0] + (pair[1] - pair[0]) * running


def _step(rig: Rig, leg: Leg, phase: np.ndarray, speed: np.ndarray, going: np.ndarray, running: np.ndarray) -> _Step:
    """The path of one foot, in the body's frame."""
    _, _, ankle0, toe0 = (rig.joints[rig.names.index(name)] for name in leg.joints)
    length = rig.leg_length
    duty = _mix(rig.duty, running)
    cycle = np.mod(phase + _mix(leg.phase, running), 1.0)
    standing = cycle < duty
    stance = np.minimum(cycle / duty, 1.0)
    swing = np.clip((cycle - duty) / (1 - duty), 0.0, 1.0)
    stride = rig.stride_length(speed)
    # In stance the foot recedes at the body's speed. In swing a cubic takes it ahead, leaving and arriving at that
    # same speed, so that there is no jerk at take-off and touch-down.
    half, slope = 0.5 * duty, -(1 - duty)
    cubic = swing * swing * (3 - 2 * swing)
    ahead = np.where(standing, half - cycle, half * (2 * cubic - 1) + slope * (swing - 3 * swing**2 + 2 * swing**3))
    bump = np.where(standing, 0.0, np.sin(np.pi * swing**0.8) ** 2)
    strike, push, fold = (_mix(pair, running) for pair in (leg.strike, leg.push, leg.fold))
    landing, leaving = smoothstep(stance / 0.25), smoothstep((stance - 0.45) / 0.55)
    tip = np.where(
        standing,
        push * leaving - strike * (1 - landing),
        push * (1 - smoothstep(swing / 0.6)) - strike * smoothstep((swing - 0.4) / 0.6) + fold * bump,
    )
    tip = tip * going
    toe = np.empty((len(phase), 3))
    toe[:, 0] = toe0[0] + (ahead - _mix(leg.trail, running)) * stride * going
    toe[:, 1] = toe0[1] * (1 - leg.narrow * going)
    toe[:, 2] = toe0[2] + _mix(leg.lift, running) * length * bump * going
    toe_tip = np.maximum(tip, 0.0) * bump
    toe[:, 2] += leg.toes * np.sin(toe_tip)
    if leg.heel:
        raised = np.minimum(tip, 0.0)
        toe[:, 0] -= leg.heel * (1 - np.cos(raised))
        toe[:, 2] -= leg.heel * np.sin(raised)
        toe_tip = toe_tip + raised
    offset = ankle0 - toe0
    along = offset[0] * np.cos(tip) + offset[2] * np.sin(tip)
    upward = offset[2] * np.cos(tip) - offset[0] * np.sin(tip)
    ankle = toe + np.stack([along, np.full_like(tip, offset[1]), upward], axis=-1)
    return _Step(toe, ankle, tip, toe_tip, 0.4 * length * running * np.sqrt(bump))


def _rise(rig: Rig, steps: Sequence[_Step], phase: np.ndarray, going: np.ndarray, running: np.ndarray) -> np.ndarray:
    """How much higher than at rest the body is carried [F]: bounce and crouch, as low as every leg can reach."""
    length = rig.leg_length
    beat = -np.cos(4 * np.pi * (phase - 0.5 * _mix(rig.duty, running)))
    wanted = going * length * (_mix(rig.bounce, running) * beat - _mix(rig.crouch, running))
    limits = [wanted]
    for leg, step in zip(rig.legs, steps, strict=True):
        hip, knee, ankle, _ = (rig.joints[rig.names.index(name)] for name in leg.joints)
        full = REACH * (np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee)) + step.loose
        away = step.ankle - hip
        limits.append(step.ankle[:, 2] + np.sqrt(np.maximum(full**2 - away[:, 0] ** 2 - away[:, 1] ** 2, 0)) - hip[2])
    # A smooth minimum: the least of them, less a little where several are near.
    sharp = 120.0 / length
    stack = np.stack(limits)
    least = stack.min(axis=0)
    return least - np.log(np.exp(-sharp * (stack - least)).sum(axis=0)) / sharp


def _place_leg(rig: Rig, leg: Leg, step: _Step, rotation: np.ndarray, place: np.ndarray) -> None:
    """Two-bone inverse kinematics from hip to ankle; writes the leg's four joints."""
    hip, knee, ankle, toe = (rig.names.index(name) for name in leg.joints)
    parent = rig.names.index(leg.parent)
    upper, lower = rig.joints[knee] - rig.joints[hip], rig.joints[ankle] - rig.joints[knee]
    long_upper, long_lower = np.linalg.norm(upper), np.linalg.norm(lower)
    rest_upper, rest_lower = np.arctan2(upper[0], -upper[2]), np.arctan2(lower[0], -lower[2])
    side = 1.0 if rest_upper >= rest_lower else -1.0  # knees bend ahead, elbows back

    start = place[:, parent] + rotation[:, parent] @ (rig.joints[hip] - rig.joints[parent])
    way = step.ankle - start
    reach = np.linalg.norm(way, axis=1)
    reach = np.clip(reach, 1.02 * abs(long_upper - long_lower), 0.9995 * (long_upper + long_lower))
    roll = np.arctan2(way[:, 1], -way[:, 2])
    pitch = np.arctan2(way[:, 0], np.hypot(way[:, 1], way[:, 2]))
    at_hip = np.arccos(np.clip((long_upper**2 + reach**2 - long_lower**2) / (2 * long_upper * reach), -1, 1))
    at_ankle = np.arccos(np.clip((long_lower**2 + reach**2 - long_upper**2) / (2 * long_lower * reach), -1, 1))
    none = np.zeros_like(roll)
    rotation[:, hip] = _rolled(roll, rest_upper - (pitch + side * at_hip))
    rotation[:, knee] = _rolled(roll, rest_lower - (pitch - side * at_ankle))
    rotation[:, ankle] = _rolled(none, step.foot_tip)
    rotation[:, toe] = _rolled(none, step.toe_tip)
    place[:, hip] = start
    place[:, knee] = start + rotation[:, hip] @ upper
    place[:, ankle] = place[:, knee] + rotation[:, knee] @ lower
    place[:, toe] = place[:, ankle] + rotation[:, ankle] @ (rig.joints[toe] - rig.joints[ankle])


def _rolled(roll: np.ndarray, tip: np.ndarray) -> np.ndarray:
    """Rx(roll) Ry(tip) [F,3,3]."""
    none = np.zeros_like(roll)
    return turns(np.stack([roll, none, none], -1)) @ turns(np.stack([none, tip, none], -1))
