"""The 49 subjects: 27 humans, 17 four-legged animals, 5 birds. Their order is fixed: append, never insert."""

from __future__ import annotations

from ...engine.catalogue import Colour, SubjectSpec
from .shapes import BirdShape, HumanShape, QuadrupedShape

# Skins and hairs that recur.
FAIR: Colour = (0.91, 0.74, 0.64)
ROSY: Colour = (0.86, 0.64, 0.53)
OLIVE: Colour = (0.76, 0.57, 0.43)
TAN: Colour = (0.64, 0.45, 0.32)
BROWN: Colour = (0.45, 0.30, 0.21)
DARK: Colour = (0.29, 0.19, 0.14)
BLACK_HAIR: Colour = (0.07, 0.06, 0.06)
BROWN_HAIR: Colour = (0.24, 0.15, 0.09)
AUBURN: Colour = (0.45, 0.19, 0.09)
BLOND: Colour = (0.80, 0.64, 0.36)
GREY: Colour = (0.62, 0.61, 0.60)
WHITE: Colour = (0.92, 0.92, 0.90)
# Cloth.
RED: Colour = (0.76, 0.12, 0.12)
NAVY: Colour = (0.11, 0.15, 0.33)
BLUE: Colour = (0.16, 0.36, 0.72)
DENIM: Colour = (0.26, 0.36, 0.52)
SKY: Colour = (0.52, 0.72, 0.88)
GREEN: Colour = (0.16, 0.48, 0.24)
TEAL: Colour = (0.08, 0.48, 0.48)
OCHRE: Colour = (0.80, 0.58, 0.16)
YELLOW: Colour = (0.95, 0.80, 0.16)
ORANGE: Colour = (0.93, 0.45, 0.10)
PINK: Colour = (0.92, 0.50, 0.62)
PURPLE: Colour = (0.42, 0.20, 0.52)
MAROON: Colour = (0.42, 0.09, 0.13)
BEIGE: Colour = (0.78, 0.69, 0.54)
KHAKI: Colour = (0.53, 0.50, 0.34)
COFFEE: Colour = (0.33, 0.23, 0.16)
CHARCOAL: Colour = (0.20, 0.20, 0.22)
BLACK: Colour = (0.08, 0.08, 0.09)
SILVER: Colour = (0.70, 0.71, 0.73)
LIME: Colour = (0.74, 0.90, 0.15)
CREAM: Colour = (0.93, 0.88, 0.76)


def _human(
    number: int,
    species: str,
    who: str,
    wearing: str,
    height: float,
    speeds: tuple[float, float],
    shape: HumanShape,
    verbs: tuple[str, str] = ("walks", "runs"),
) -> SubjectSpec:
    words = {"who": who, "wearing": wearing, "motion_walk": verbs[0], "motion_run": verbs[1]}
    radius = 0.22 * height**0.5 * max(shape.shoulders, 1.1 if shape.skirt in ("dress", "robe") else 1.0)
    return SubjectSpec(f"human_{number:02d}", "human", species, words, height, round(radius, 3), *speeds, shape)


def _woman(skin: Colour, top: Colour, bottom: Colour, **more: object) -> HumanShape:
    base: dict[str, object] = {"shoulders": 0.90, "hips": 1.04, "girth": 0.90, "bust": 0.022, "limbs": 0.92}
    return HumanShape(skin, top, bottom, **(base | more))  # type: ignore[arg-type]


def _man(skin: Colour, top: Colour, bottom: Colour, **more: object) -> HumanShape:
    base: dict[str, object] = {"shoulders": 1.10, "hips": 0.96, "girth": 1.02, "limbs": 1.04}
    return HumanShape(skin, top, bottom, **(base | more))  # type: ignore[arg-type]


def _child(skin: Colour, top: Colour, bottom: Colour, **more: object) -> HumanShape:
    base: dict[str, object] = {"head": 0.168, "shoulders": 0.95, "hips": 0.98, "girth": 1.02, "limbs": 1.04}
    return HumanShape(skin, top, bottom, **(base | more))  # type: ignore[arg-type]


_HUMANS = (
    _human(1, "woman", "a woman with long dark hair", "in a red coat and dark trousers", 1.70, (1.35, 3.2),
           _woman(FAIR, RED, CHARCOAL, hair=BROWN_HAIR, hair_style="long", skirt="coat", skirt_colour=RED, belt=BLACK)),
    _human(2, "man", "a tall man", "in a blue shirt and jeans", 1.90, (1.45, 3.6),
           _man(ROSY, BLUE, DENIM, hair=BROWN_HAIR, shoes=COFFEE, belt=COFFEE)),
    _human(3, "woman", "a woman with a ponytail", "in a yellow dress with white dots", 1.66, (1.30, 3.0),
           _woman(TAN, YELLOW, TAN, hair=BLACK_HAIR, hair_style="ponytail", skirt="dress", sleeve="short", legs="bare",
                  pattern="dots", accent=WHITE, shoes=WHITE), ("strolls", "runs")),
    _human(4, "man", "a broad man with a beard", "in a green jacket over a white shirt and brown trousers", 1.78,
           (1.30, 3.0), _man(ROSY, GREEN, COFFEE, hair=AUBURN, beard=True, girth=1.22, shoulders=1.18, limbs=1.14,
                             belly=0.018, pattern="open", accent=WHITE)),
    _human(5, "man", "a businessman", "in a charcoal suit with a white shirt", 1.82, (1.50, 3.4),
           _man(OLIVE, CHARCOAL, CHARCOAL, hair=BLACK_HAIR, pattern="open", accent=WHITE, shoes=BLACK, girth=0.95),
           ("strides", "hurries")),
    _human(6, "woman", "a runner", "in a pink vest and black tights", 1.68, (1.50, 4.0),
           _woman(BROWN, PINK, BLACK, hair=BLACK_HAIR, hair_style="bun", sleeve="none", legs="tights", shoes=LIME,
                  girth=0.85), ("walks briskly", "jogs")),
    _human(7, "man", "a hiker", "in an orange jacket and a navy hat, with a blue backpack", 1.76, (1.30, 2.9),
           _man(FAIR, ORANGE, KHAKI, hair=BROWN_HAIR, backpack=BLUE, hat="beanie", hat_colour=NAVY, shoes=COFFEE),
           ("hikes", "runs")),
    _human(8, "woman", "a woman in a headscarf", "in a long teal robe and a cream headscarf", 1.64, (1.15, 2.3),
           _woman(OLIVE, TEAL, TEAL, skirt="robe", hat="headscarf", hat_colour=CREAM)),
    _human(9, "man", "a man in a turban", "in a long white robe and a saffron turban", 1.75, (1.20, 2.4),
           _man(BROWN, WHITE, WHITE, hair=BLACK_HAIR, beard=True, skirt="robe", skirt_colour=WHITE, hat="turban",
                hat_colour=ORANGE, belt=OCHRE, shoulders=1.02)),
    _human(10, "man", "a construction worker", "in a lime jacket with silver bands and an orange helmet", 1.80,
           (1.35, 3.0), _man(TAN, LIME, NAVY, hair=BLACK_HAIR, pattern="vest", accent=SILVER, hat="helmet",
                             hat_colour=ORANGE, shoes=COFFEE, limbs=1.10)),
    _human(11, "woman", "a police officer", "in a navy uniform and a peaked cap", 1.72, (1.40, 3.4),
           _woman(FAIR, NAVY, NAVY, hair=BLOND, hair_style="bun", hat="peaked", hat_colour=NAVY, belt=BLACK,
                  shoes=BLACK, shoulders=0.96), ("strides", "runs")),
    _human(12, "woman", "an elderly woman", "in a purple coat and a pink scarf", 1.57, (0.85, 1.7),
           _woman(FAIR, PURPLE, CHARCOAL, hair=GREY, hair_style="bun", stoop=0.38, skirt="coat", skirt_colour=PURPLE,
                  legs="tights", scarf=PINK, girth=1.05, hips=1.12), ("shuffles", "hurries")),
    _human(13, "man", "an elderly man", "in a brown cardigan and grey trousers", 1.68, (0.85, 1.7),
           _man(FAIR, COFFEE, SILVER, hair=WHITE, hair_style="fringe", stoop=0.42, pattern="open", accent=SKY,
                shoulders=1.0, limbs=0.94, belly=0.012), ("shuffles", "hurries")),
    _human(14, "child", "a small boy", "in a striped green shirt and grey shorts", 1.12, (0.95, 2.4),
           _child(FAIR, GREEN, CHARCOAL, head=0.182, hair=BLOND, sleeve="short", legs="shorts", pattern="stripes",
                  shoes=RED), ("toddles", "scampers")),
    _human(15, "child", "a girl with a dark ponytail", "in a pink dress and white shoes", 1.22, (1.0, 2.6),
           _child(BROWN, PINK, BROWN, hair=BLACK_HAIR, hair_style="ponytail", skirt="dress", sleeve="short",
                  legs="bare", shoes=WHITE, belt=WHITE), ("skips along", "runs")),
    _human(16, "child", "a schoolboy", "in a navy jumper with a red backpack and a cap", 1.36, (1.15, 3.0),
           _child(TAN, NAVY, BEIGE, head=0.158, hair=BLACK_HAIR, backpack=RED, hat="cap", hat_colour=RED)),
    _human(17, "child", "a toddler", "in a yellow snowsuit and a bobble hat", 0.92, (0.65, 1.4),
           _child(FAIR, YELLOW, YELLOW, head=0.205, girth=1.28, limbs=1.25, hips=1.15, hat="beanie", hat_colour=TEAL,
                  hair=BLOND, shoes=TEAL), ("toddles", "scurries")),
    _human(18, "woman", "a woman with an afro", "in a white blouse and a red skirt", 1.73, (1.30, 3.0),
           _woman(DARK, WHITE, DARK, hair=BLACK_HAIR, hair_style="afro", skirt="skirt", skirt_colour=RED, legs="bare",
                  sleeve="short", shoes=BLACK), ("strolls", "runs")),
    _human(19, "man", "a heavy-set man", "in a maroon polo shirt and beige shorts", 1.75, (1.15, 2.5),
           _man(ROSY, MAROON, BEIGE, hair_style="bald", girth=1.42, hips=1.22, belly=0.042, limbs=1.24, sleeve="short",
                legs="shorts", shoes=WHITE), ("ambles", "jogs")),
    _human(20, "man", "a thin man", "in a black and white striped jumper", 1.85, (1.40, 3.3),
           _man(OLIVE, BLACK, DENIM, hair=BLACK_HAIR, pattern="stripes", girth=0.82, limbs=0.86, shoulders=1.0,
                hips=0.88, shoes=WHITE)),
    _human(21, "woman", "a gardener", "in a straw sunhat, a green blouse and dungarees", 1.63, (1.20, 2.6),
           _woman(ROSY, GREEN, DENIM, hair=AUBURN, hair_style="bob", hat="sunhat", hat_colour=(0.86, 0.74, 0.46),
                  pattern="apron", accent=DENIM, shoes=GREEN, hips=1.14, girth=1.02)),
    _human(22, "man", "a gentleman", "in a long black coat and a top hat", 1.88, (1.30, 2.8),
           _man(FAIR, BLACK, CHARCOAL, hair=GREY, beard=True, skirt="coat", skirt_colour=(0.12, 0.11, 0.14),
                pattern="open", accent=MAROON, hat="tophat", hat_colour=BLACK, shoes=BLACK), ("strides", "hurries")),
    _human(23, "man", "a footballer", "in an orange jersey with a white band and black shorts", 1.79, (1.50, 4.2),
           _man(DARK, ORANGE, BLACK, hair=BLACK_HAIR, sleeve="short", legs="shorts", pattern="band", accent=WHITE,
                girth=0.94, shoes=LIME), ("jogs", "sprints")),
    _human(24, "woman", "a student with a blond bob", "in an ochre jumper with a green backpack", 1.62, (1.30, 3.0),
           _woman(FAIR, OCHRE, DENIM, hair=BLOND, hair_style="bob", backpack=GREEN, shoes=WHITE)),
    _human(25, "man", "a monk", "in a saffron robe tied with a red cord", 1.70, (1.10, 2.1),
           _man(TAN, ORANGE, ORANGE, hair_style="bald", skirt="robe", skirt_colour=(0.88, 0.50, 0.12), belt=MAROON,
                sleeve="long", shoulders=1.0), ("walks slowly", "hurries")),
    _human(26, "woman", "a woman with red hair", "in a beige trench coat and a blue scarf", 1.76, (1.40, 3.2),
           _woman(FAIR, BEIGE, NAVY, hair=AUBURN, hair_style="long", skirt="coat", skirt_colour=BEIGE, scarf=BLUE,
                  belt=COFFEE, shoes=COFFEE), ("strides", "runs")),
    _human(27, "child", "a teenage girl", "in a purple top and black shorts", 1.52, (1.30, 3.3),
           _child(OLIVE, PURPLE, BLACK, head=0.147, hair=BROWN_HAIR, hair_style="long", legs="shorts", bust=0.010,
                  girth=0.88, limbs=0.94, shoes=WHITE)),
)  # fmt: skip


def _animal(
    name: str,
    who: str,
    coat: str,
    size: tuple[float, float],
    speeds: tuple[float, float],
    shape: QuadrupedShape,
    verbs: tuple[str, str] = ("walks", "trots"),
    species: str = "",
) -> SubjectSpec:
    words = {"who": who, "wearing": coat, "motion_walk": verbs[0], "motion_run": verbs[1]}
    return SubjectSpec(name, "quadruped", species or name, words, size[0], size[1], *speeds, shape)


_PINKISH: Colour = (0.88, 0.66, 0.60)
_HOOF: Colour = (0.20, 0.17, 0.15)

_QUADRUPEDS = (
    _animal("retriever", "a golden retriever", "with a golden coat", (0.78, 0.55), (1.1, 2.6),
        QuadrupedShape((0.80, 0.58, 0.30), (0.90, 0.76, 0.52), (0.82, 0.62, 0.36), (0.78, 0.58, 0.34), length=0.92,
            depth=0.46, width=0.17, neck=(0.34, 0.85), neck_depth=0.13, head=0.34, skull=0.115, muzzle=0.065,
            droop=0.18, ears="flop", ear=0.19, tail=(0.50, 0.05, 0.25), tuft=1.1, leg=1.05), species="dog"),
    _animal("dachshund", "a dachshund", "with a short russet coat", (0.36, 0.40), (0.7, 1.6),
        QuadrupedShape((0.48, 0.20, 0.09), (0.58, 0.30, 0.15), (0.50, 0.24, 0.12), (0.42, 0.20, 0.10), length=1.75,
            depth=0.62, width=0.24, tuck=0.80, neck=(0.48, 0.95), neck_depth=0.18, head=0.62, skull=0.17,
            muzzle=0.085, droop=0.12, ears="flop", ear=0.36, tail=(0.75, 0.05, 0.30), tuft=0.5, leg=1.7), ("waddles",
            "scurries"), "dog"),
    _animal("greyhound", "a greyhound", "with a sleek grey coat", (0.92, 0.55), (1.3, 3.6),
        QuadrupedShape((0.44, 0.45, 0.49), (0.58, 0.58, 0.60), (0.46, 0.47, 0.50), (0.40, 0.40, 0.42), length=0.88,
            depth=0.44, width=0.13, tuck=0.52, neck=(0.42, 1.0), neck_depth=0.08, head=0.34, skull=0.075,
            muzzle=0.038, droop=0.22, ears="round", ear=0.09, tail=(0.60, 0.022, -1.0), tuft=0.5, leg=0.80),
            ("strides", "sprints"), "dog"),
    _animal("tabby", "a tabby cat", "with a striped grey-brown coat", (0.36, 0.25), (0.7, 1.7),
        QuadrupedShape((0.52, 0.45, 0.36), (0.78, 0.72, 0.62), (0.52, 0.45, 0.37), (0.82, 0.77, 0.70), length=1.05,
            depth=0.46, width=0.20, tuck=0.90, neck=(0.26, 0.75), neck_depth=0.15, head=0.29, skull=0.185,
            muzzle=0.085, droop=0.15, ears="point", ear=0.17, tail=(0.85, 0.048, 0.75), tuft=0.85, pattern="stripes",
            accent=(0.24, 0.19, 0.14), leg=1.05), ("pads", "trots"), "cat"),
    _animal("horse", "a bay horse", "with a chestnut coat and a black mane", (2.15, 1.30), (1.6, 3.8),
        QuadrupedShape((0.42, 0.20, 0.10), (0.45, 0.24, 0.14), (0.10, 0.07, 0.06), _HOOF, length=0.86, depth=0.42,
            width=0.185, tuck=0.95, neck=(0.62, 0.92), neck_depth=0.125, head=0.40, skull=0.105, muzzle=0.062,
            droop=0.80, ears="point", ear=0.11, tail=(0.62, 0.050, -1.25), tuft=1.2, tail_tip=BLACK, mane=BLACK,
            hooves=True, pattern="socks", leg=0.95)),
    _animal("foal", "a foal", "with a pale dun coat", (1.35, 0.70), (1.2, 3.0),
        QuadrupedShape((0.70, 0.55, 0.38), (0.80, 0.70, 0.55), (0.62, 0.50, 0.36), _HOOF, length=0.70, depth=0.34,
            width=0.135, tuck=0.92, rump=0.03, neck=(0.46, 1.0), neck_depth=0.085, head=0.33, skull=0.095,
            muzzle=0.055, droop=0.65, ears="point", ear=0.12, tail=(0.36, 0.040, -1.2), tuft=0.8,
            mane=(0.34, 0.25, 0.17), hooves=True, leg=0.92), ("walks", "trots"), "horse"),
    _animal("cow", "a black and white cow", "with black patches on a white hide", (1.62, 1.40), (1.1, 2.4),
        QuadrupedShape(WHITE, (0.90, 0.84, 0.80), WHITE, _HOOF, length=1.06, depth=0.54, width=0.235, tuck=1.02,
            neck=(0.40, 0.42), neck_depth=0.165, head=0.42, skull=0.125, muzzle=0.088, droop=0.75, ears="side",
            ear=0.17, tail=(0.62, 0.024, -1.42), tuft=1.9, horns="short", face=_PINKISH, pattern="patches",
            accent=BLACK, hooves=True, leg=1.15), ("plods", "trots")),
    _animal("sheep", "a woolly sheep", "with a cream fleece and a black face", (0.92, 0.65), (0.8, 2.0),
        QuadrupedShape(CREAM, CREAM, BLACK, _HOOF, length=0.86, depth=0.58, width=0.275, tuck=1.02, neck=(0.30, 0.75),
            neck_depth=0.155, head=0.34, skull=0.115, muzzle=0.066, droop=0.65, ears="side", ear=0.16,
            tail=(0.24, 0.07, -1.1), fleece=True, face=BLACK, hooves=True, leg=0.92)),
    _animal("goat", "a goat", "with a grey coat and swept horns", (1.15, 0.55), (0.9, 2.3),
        QuadrupedShape((0.55, 0.50, 0.44), (0.76, 0.72, 0.66), (0.25, 0.22, 0.20), _HOOF, length=0.84, depth=0.44,
            width=0.185, neck=(0.40, 0.95), neck_depth=0.10, head=0.34, skull=0.095, muzzle=0.058, droop=0.60,
            ears="side", ear=0.16, tail=(0.16, 0.040, 0.70), horns="swept", pattern="saddle",
            accent=(0.24, 0.20, 0.17), hooves=True, leg=0.85)),
    _animal("pig", "a pink pig", "with a pink hide", (0.80, 0.75), (0.7, 1.8),
        QuadrupedShape(_PINKISH, (0.90, 0.70, 0.64), _PINKISH, (0.46, 0.34, 0.30), length=1.20, depth=0.70,
            width=0.33, tuck=1.0, neck=(0.24, 0.10), neck_depth=0.25, head=0.48, skull=0.20, muzzle=0.115, snout=True,
            droop=0.35, ears="point", ear=0.24, tail=(0.22, 0.026, 0.4), tuft=0.5, hooves=True, leg=1.20),
            ("trundles", "trots")),
    _animal("stag", "a red deer stag", "with a russet coat and branching antlers", (1.95, 0.90), (1.3, 3.6),
        QuadrupedShape((0.50, 0.28, 0.15), (0.72, 0.58, 0.44), (0.42, 0.26, 0.16), _HOOF, length=0.84, depth=0.40,
            width=0.16, tuck=0.82, neck=(0.55, 1.05), neck_depth=0.11, head=0.36, skull=0.090, muzzle=0.052,
            droop=0.42, ears="side", ear=0.16, tail=(0.14, 0.045, -0.8), tail_tip=CREAM, horns="antlers", hooves=True,
            leg=0.80), ("steps", "trots"), "deer"),
    _animal("fox", "a red fox", "with an orange coat, black legs and a white-tipped tail", (0.48, 0.45), (0.9, 2.2),
        QuadrupedShape((0.82, 0.38, 0.12), (0.93, 0.90, 0.86), BLACK, BLACK, length=1.00, depth=0.42, width=0.165,
            tuck=0.78, neck=(0.30, 0.80), neck_depth=0.13, head=0.40, skull=0.125, muzzle=0.042, droop=0.18,
            ears="point", ear=0.20, tail=(0.95, 0.105, -0.35), tuft=1.15, tail_tip=WHITE, leg=0.90)),
    _animal("wolf", "a grey wolf", "with a thick grey coat and a dark saddle", (1.00, 0.75), (1.2, 3.2),
        QuadrupedShape((0.58, 0.56, 0.53), (0.82, 0.80, 0.76), (0.66, 0.63, 0.58), (0.55, 0.52, 0.48), length=0.92,
            depth=0.47, width=0.175, tuck=0.76, neck=(0.34, 0.60), neck_depth=0.155, head=0.40, skull=0.120,
            muzzle=0.060, droop=0.15, ears="point", ear=0.14, tail=(0.55, 0.065, -1.05), tuft=1.0, pattern="saddle",
            accent=(0.26, 0.26, 0.27), leg=1.0), ("prowls", "lopes")),
    _animal("bear", "a brown bear", "with dark brown fur", (1.30, 1.10), (1.1, 2.8),
        QuadrupedShape((0.29, 0.18, 0.11), (0.25, 0.16, 0.10), (0.22, 0.14, 0.09), (0.17, 0.11, 0.08), length=0.98,
            depth=0.60, width=0.28, tuck=1.0, rump=-0.03, neck=(0.32, 0.35), neck_depth=0.21, head=0.40, skull=0.175,
            muzzle=0.085, droop=0.30, ears="round", ear=0.13, tail=(0.08, 0.05, -0.8), face=(0.45, 0.31, 0.20),
            leg=2.0), ("lumbers", "lopes")),
    _animal("donkey", "a donkey", "with a grey coat and long ears", (1.42, 0.85), (1.1, 2.5),
        QuadrupedShape((0.47, 0.44, 0.42), (0.80, 0.77, 0.73), (0.50, 0.47, 0.45), _HOOF, length=0.88, depth=0.44,
            width=0.185, tuck=1.0, neck=(0.44, 0.80), neck_depth=0.125, head=0.42, skull=0.112, muzzle=0.070,
            droop=0.72, ears="long", ear=0.27, tail=(0.55, 0.028, -1.38), tuft=1.5, tail_tip=(0.16, 0.14, 0.13),
            mane=(0.17, 0.15, 0.14), face=(0.82, 0.79, 0.75), hooves=True, leg=0.95), ("plods", "trots")),
    _animal("camel", "a camel", "with a sandy coat and one hump", (2.25, 1.65), (1.4, 3.2),
        QuadrupedShape((0.74, 0.56, 0.35), (0.66, 0.48, 0.30), (0.72, 0.55, 0.36), (0.52, 0.40, 0.27), length=0.80,
            depth=0.44, width=0.20, tuck=0.72, neck=(0.68, 0.70), neck_depth=0.085, head=0.33, skull=0.088,
            muzzle=0.058, droop=0.25, ears="round", ear=0.06, tail=(0.38, 0.022, -1.35), tuft=1.6, hump=0.26,
            gait="pace", leg=1.05), ("sways along", "paces")),
    _animal("elephant", "an elephant calf", "with grey skin", (1.30, 0.85), (0.9, 1.5),
        QuadrupedShape((0.48, 0.45, 0.44), (0.44, 0.41, 0.40), (0.45, 0.42, 0.41), (0.38, 0.35, 0.34), length=0.78,
            depth=0.60, width=0.29, tuck=1.0, neck=(0.20, 0.55), neck_depth=0.24, head=0.42, skull=0.225,
            muzzle=0.125, droop=0.60, ears="fan", ear=0.36, tail=(0.42, 0.022, -1.35), tuft=0.9, tail_tip=BLACK,
            trunk=True, gait="amble", leg=1.75), ("lumbers", "ambles quickly")),
)  # fmt: skip


def _bird(
    name: str,
    who: str,
    plumage: str,
    size: tuple[float, float],
    speeds: tuple[float, float],
    shape: BirdShape,
    verbs: tuple[str, str],
) -> SubjectSpec:
    words = {"who": who, "wearing": plumage, "motion_walk": verbs[0], "motion_run": verbs[1]}
    return SubjectSpec(name, "bird", name, words, size[0], size[1], *speeds, shape)


_BIRDS = (
    _bird("pigeon", "a grey pigeon", "with grey plumage and a green neck", (0.33, 0.20), (0.40, 0.95),
        BirdShape((0.50, 0.53, 0.58), (0.62, 0.65, 0.70), (0.46, 0.42, 0.52), (0.34, 0.38, 0.45), (0.25, 0.23, 0.22),
            (0.80, 0.30, 0.28), depth=0.29, width=0.27, pitch=0.32, leg=0.36, leg_thickness=0.028, neck=(0.30, 1.15),
            neck_thickness=0.120, head_size=0.135, beak_size=(0.13, 0.032), tail=(0.40, 0.12, -0.05),
            tail_colour=(0.30, 0.32, 0.37), neck_colour=(0.20, 0.48, 0.40)), ("struts", "scurries")),
    _bird("hen", "a brown hen", "with russet plumage and a red comb", (0.48, 0.25), (0.45, 1.2),
        BirdShape((0.58, 0.29, 0.12), (0.46, 0.22, 0.10), (0.68, 0.38, 0.17), (0.62, 0.33, 0.15), (0.88, 0.70, 0.32),
            (0.88, 0.68, 0.28), depth=0.34, width=0.30, pitch=0.22, leg=0.44, leg_thickness=0.034, neck=(0.36, 1.2),
            neck_thickness=0.130, head_size=0.125, beak_size=(0.11, 0.040), tail=(0.42, 0.10, 1.0),
            tail_colour=(0.22, 0.12, 0.08), comb=(0.82, 0.10, 0.10), pattern="bars"), ("struts", "scurries")),
    _bird("ostrich", "an ostrich", "with black and white plumage on long bare legs", (2.35, 0.75), (1.4, 4.2),
        BirdShape((0.09, 0.08, 0.08), (0.12, 0.11, 0.11), (0.11, 0.10, 0.10), (0.80, 0.64, 0.56), (0.76, 0.56, 0.44),
            (0.82, 0.62, 0.54), depth=0.33, width=0.32, pitch=0.10, leg=1.00, leg_thickness=0.046, neck=(0.98, 1.35),
            neck_thickness=0.058, head_size=0.098, beak_size=(0.13, 0.040), tail=(0.50, 0.17, 0.20), wing_tip=WHITE,
            tail_colour=WHITE, neck_colour=(0.80, 0.64, 0.56)), ("strides", "races")),
    _bird("peacock", "a peacock", "with a blue breast and a long green train", (1.00, 1.00), (0.60, 1.6),
        BirdShape((0.10, 0.34, 0.34), (0.52, 0.46, 0.36), (0.06, 0.20, 0.62), (0.07, 0.22, 0.66), (0.55, 0.52, 0.48),
            (0.48, 0.43, 0.38), depth=0.28, width=0.25, pitch=0.25, leg=0.55, leg_thickness=0.030, neck=(0.60, 1.25),
            neck_thickness=0.080, head_size=0.098, beak_size=(0.10, 0.028), tail=(1.60, 0.26, -0.17),
            tail_colour=(0.08, 0.42, 0.22), crest=True, train=True), ("struts", "scurries")),
    _bird("goose", "a white goose", "with white plumage and an orange beak", (0.80, 0.40), (0.55, 1.3),
        BirdShape(WHITE, (0.86, 0.87, 0.88), WHITE, WHITE, ORANGE, ORANGE, depth=0.31, width=0.28, pitch=0.15,
            leg=0.36, leg_thickness=0.032, neck=(0.66, 1.25), neck_thickness=0.085, head_size=0.125,
            beak_size=(0.15, 0.052), tail=(0.24, 0.14, 0.15), webbed=True), ("waddles", "scurries")),
)  # fmt: skip

SUBJECTS: tuple[SubjectSpec, ...] = (*_HUMANS, *_QUADRUPEDS, *_BIRDS)
SUBJECTS_BY_NAME: dict[str, SubjectSpec] = {subject.name: subject for subject in SUBJECTS}
