"""The shapes that bodies are built from: proportions, colours and clothes of humans, quadrupeds and birds."""

from __future__ import annotations

from dataclasses import dataclass

from ...engine.catalogue import Colour

SKIRTS = ("none", "skirt", "dress", "coat", "robe")


@dataclass(frozen=True)
class HumanShape:
    """Proportions are fractions of the body height; girths are factors of an average adult's."""

    skin: Colour
    top: Colour
    bottom: Colour
    shoes: Colour = (0.13, 0.11, 0.10)
    hair: Colour = (0.16, 0.10, 0.07)
    hair_style: str = "short"  # short, bob, long, bun, ponytail, afro, bald, fringe (a ring of hair)
    head: float = 0.132  # head height: 0.132 an adult, 0.19 a small child
    shoulders: float = 1.0
    hips: float = 1.0
    girth: float = 1.0  # waist and chest
    belly: float = 0.0  # how far the belly stands out
    bust: float = 0.0
    limbs: float = 1.0
    stoop: float = 0.0  # radians that the upper back leans forward (the elderly)
    sleeve: str = "long"  # long, short, none
    legs: str = "trousers"  # trousers, shorts, bare (under a skirt), tights
    skirt: str = "none"
    skirt_colour: Colour | None = None  # the colour of the top where None
    pattern: str = "plain"  # plain, stripes, open (jacket over a shirt), band (one stripe), vest (hi-vis), apron, dots
    accent: Colour = (0.92, 0.92, 0.90)  # the second colour of the pattern
    belt: Colour | None = None
    hat: str = "none"  # none, cap, beanie, sunhat, helmet, headscarf, peaked, tophat, turban
    hat_colour: Colour = (0.2, 0.2, 0.2)
    backpack: Colour | None = None
    scarf: Colour | None = None
    beard: bool = False


@dataclass(frozen=True)
class QuadrupedShape:
    """Lengths in units of the height at the withers; the finished mesh is scaled to the subject's height."""

    coat: Colour
    belly: Colour  # underside
    legs: Colour  # lower legs
    feet: Colour
    length: float = 0.95  # shoulder to hip
    depth: float = 0.42  # of the chest
    width: float = 0.26
    tuck: float = 0.85  # depth of the loin, of the chest's
    rump: float = 0.0  # how much higher the hips stand than the withers
    leg: float = 1.0  # thickness of the legs
    neck: tuple[float, float] = (0.45, 0.9)  # length, elevation in radians
    neck_depth: float = 0.14  # half its depth at the middle
    head: float = 0.32  # length of the head
    skull: float = 0.10  # half its depth at the forehead
    muzzle: float = 0.055  # half its depth at the nose
    droop: float = 0.35  # how far the face points below the horizontal, radians
    ears: str = "point"  # point, flop, round, long, side, fan
    ear: float = 0.12  # their length
    tail: tuple[float, float, float] = (0.4, 0.035, -0.9)  # length, half thickness, elevation in radians
    tuft: float = 1.0  # thickness towards the tip of the tail, of its root's
    tail_tip: Colour | None = None
    horns: str = "none"  # none, short, swept, antlers
    mane: Colour | None = None
    hump: float = 0.0
    trunk: bool = False
    snout: bool = False  # a pig's
    fleece: bool = False
    face: Colour | None = None
    pattern: str = "plain"  # plain, patches, spots, saddle, stripes, socks
    accent: Colour = (0.95, 0.93, 0.90)
    hooves: bool = False
    gait: str = "trot"  # trot, pace, amble (never leaves the walk's footfall)


@dataclass(frozen=True)
class BirdShape:
    """Lengths in units of the body's length from breast to rump."""

    body: Colour
    wing: Colour
    breast: Colour
    head: Colour
    beak: Colour
    legs: Colour
    depth: float = 0.30  # half the depth of the body
    width: float = 0.26
    pitch: float = 0.25  # how far the breast is held above the rump, radians
    leg: float = 0.55  # length from hip to ground
    leg_thickness: float = 0.035
    neck: tuple[float, float] = (0.35, 1.1)  # length, elevation in radians
    neck_thickness: float = 0.10
    head_size: float = 0.13
    beak_size: tuple[float, float] = (0.14, 0.035)  # length, half thickness
    tail: tuple[float, float, float] = (0.45, 0.12, 0.0)  # length, half width, elevation
    tail_colour: Colour | None = None
    wing_tip: Colour | None = None  # a darker shade of the wing where None
    neck_colour: Colour | None = None
    comb: Colour | None = None
    crest: bool = False
    webbed: bool = False
    train: bool = False  # the peacock's
    pattern: str = "plain"  # plain, bars, speckles
