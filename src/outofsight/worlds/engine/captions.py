"""One line of words for a clip, composed of what is truly in it; the wording varies with the seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .shots import SHOTS_BY_NAME

_WALKS = {
    "straight": ("{goes} straight ahead", "{goes} along in a straight line", "{goes} on in one direction"),
    "arc": ("{goes} in a wide curve", "{goes} along a gentle arc", "follows a long curve"),
    "turn": ("{goes} ahead and turns a corner", "changes direction on the way", "{goes} on and makes a turn"),
    "stop-and-go": ("{goes}, stops for a moment and goes on", "pauses on the way and then continues"),
    "circle": ("{goes} round in a circle", "makes a round", "circles once over the ground"),
    "crossing": ("{goes} across the view", "crosses in front of the camera"),
    "approach": ("comes towards the camera", "{goes} towards the viewer", "approaches"),
    "recede": ("{goes} away from the camera", "moves off into the distance"),
    "zigzag": ("{goes} in a zigzag", "weaves from side to side", "{goes} along a winding line"),
    "pause-and-return": ("{goes} off, stops and comes back", "{goes} out, pauses and returns the same way"),
}
_MOVES = {
    ("dolly", -1.0): ("the camera draws back", "the camera pulls backward"),
    ("dolly", 1.0): ("the camera moves forward", "the camera pushes in"),
    ("double", -1.0): ("the camera draws back",),
    ("double", 1.0): ("the camera moves forward",),
    ("truck", -1.0): ("the camera slides to the right",),
    ("truck", 1.0): ("the camera slides to the left",),
    ("orbit", -1.0): ("the camera circles clockwise",),
    ("orbit", 1.0): ("the camera circles counterclockwise",),
    ("follow", 0.0): ("the camera goes along", "the camera keeps pace"),
    ("tilt", 0.0): ("the camera stands", "the camera stays in place"),
    ("hold", 0.0): ("the camera holds still", "the camera stays where it is"),
}
_NUMBERS = {2: "twice"}
_ON = ("platform", "roof", "rooftop")  # places that one is on, not in


@dataclass(frozen=True)
class CaptionSubject:
    """What the caption of a clip says of one subject.

    words: the catalogue's ("who", "wearing"). seen: whether it is seen at all. returns: whether it leaves the view and
    comes back. hidden: whether it is an object that hides it then. path: its path's name. running: at its faster gait.
    """

    words: Mapping[str, str]
    path: str
    seen: bool
    returns: bool
    hidden: bool
    running: bool = False


def caption(place: Mapping[str, str], subjects: Sequence[CaptionSubject], shot: str, rng: np.random.Generator) -> str:
    """The caption of a clip: scene, subjects that are seen, what they do, what the camera does."""
    seen = [subject for subject in subjects if subject.seen]
    names = _names(seen)
    where = _join_words(place.get("place", "an open place"), place.get("light", ""))
    inside = f"{'on' if set(_ON) & set(where.split()) else 'in'} {where}"
    sentences = []
    for number, subject in enumerate(seen):
        full = names[number][0]
        doing = _does(subject, rng)
        if number == 0:
            sentences.append(_pick(rng, (f"{_upper(inside)}, {full} {doing}", f"{_upper(full)} {doing} {inside}")))
        else:
            sentences.append(f"{_upper(full)} {doing}")
    if not seen:
        sentences.append(_pick(rng, (f"{_upper(where)}, with nobody in sight", f"An empty scene: {where}")))
    sentences.append(_upper(_camera(shot, rng)))
    back = [subject for subject in seen if subject.returns]
    if back:
        again = [short for subject, (_, short) in zip(seen, names, strict=True) if subject.returns]
        sentences.append(_upper(_comes_back(back, again, rng)))
    return ". ".join(sentences) + "."


def _names(seen: Sequence[CaptionSubject]) -> list[tuple[str, str]]:
    """What each is called at first, and afterwards: with its clothes or coat where names are alike."""
    who = [subject.words.get("who", "someone") for subject in seen]
    names = []
    for number, (name, subject) in enumerate(zip(who, seen, strict=True)):
        full = _join_words(name, subject.words.get("wearing", ""))
        others = [*who[:number], *who[number + 1 :]]
        alike = any(other == name or other.startswith(f"{name} ") for other in others)
        short = _definite(full if alike else name)
        names.append((_another(full) if name in who[:number] else full, short))
    return names


def _another(name: str) -> str:
    first, _, rest = name.partition(" ")
    return f"another {rest}" if first in ("a", "an") and rest else name


def _does(subject: CaptionSubject, rng: np.random.Generator) -> str:
    goes = subject.words.get("motion_run" if subject.running else "motion_walk", "runs" if subject.running else "walks")
    return _pick(rng, _WALKS[subject.path]).format(goes=goes)


def _camera(name: str, rng: np.random.Generator) -> str:
    shot = SHOTS_BY_NAME[name]
    moves = _pick(rng, _MOVES[(shot.family, shot.travel)])
    if shot.bend:
        moves += " along a curve"
    if not shot.glances:
        return moves
    sides = ("up", "down") if shot.tilts else ("to the left", "to the right")
    first, last = (sides[0] if glance.turn > 0 else sides[1] for glance in (shot.glances[0], shot.glances[-1]))
    if len(shot.glances) > 1 and first == last:
        looks = f"looks {first} and back {_NUMBERS[len(shot.glances)]}"
    elif len(shot.glances) > 1:
        looks = f"looks {first}, then {last}, and back again"
    else:
        looks = _pick(rng, (f"looks {first} and back", f"turns {first} for a while and returns"))
        if shot.tilts:
            looks = f"tilts {first} and back"
    return f"{moves} and {looks}"


def _comes_back(back: Sequence[CaptionSubject], names: Sequence[str], rng: np.random.Generator) -> str:
    who = " and ".join(names) if len(names) < 3 else ", ".join(names[:-1]) + f" and {names[-1]}"
    many = len(names) > 1
    if all(subject.hidden for subject in back):
        verb = "are" if many else "is"
        return f"{who} {verb} hidden by an object for a while and {'come' if many else 'comes'} into sight again"
    leave, come = ("leave", "come") if many else ("leaves", "comes")
    return _pick(
        rng, (f"{who} {leave} the frame and {come} back into view", f"{who} {leave} the view and later {come} back")
    )


def _definite(name: str) -> str:
    first, _, rest = name.partition(" ")
    return f"the {rest}" if first in ("a", "an") and rest else name


def _join_words(*pieces: str) -> str:
    return " ".join(piece.strip() for piece in pieces if piece.strip())


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]
