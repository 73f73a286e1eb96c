"""Draws one synthetic pedestrian as in a detection box of a surveillance camera.

A figure is drawn at twice the size into one channel of part numbers. Look-up tables map that
channel to colours, to a relief for the shading, and to the person's mask. Body lengths are
fractions of the body height; images are (height, width, 3) uint8, RGB. This module reads and writes
no files. Random generators in the same state give the same pixels.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import cos, hypot, pi, sin

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from gaaplib.datasets.synthetic.cameras import COLOURS, Camera, background, develop, smooth_noise, tone

BLOCK = 50  # part numbers of one figure; 0 is the scene
BEHIND, TARGET, FRONT, OBJECT = 0, BLOCK, 2 * BLOCK, 3 * BLOCK
RELIEF = {  # part -> height of its relief, 0-255
    "leg_far": 70, "leg_near": 120, "shin_far": 70, "shin_near": 120, "shoe_far": 80,
    "shoe_near": 130,
    "arm_far": 70, "arm_near": 200, "hand_far": 80, "hand_near": 205, "torso": 140, "neck": 105,
    "face": 170, "hair": 150, "mark": 170, "bag": 220, "strap": 165, "hat": 190, "skirt": 150,
    "inner": 125,
}  # fmt: skip
PARTS = {name: 2 * order for order, name in enumerate(RELIEF, 1)}  # the number after it: the part's second colour
JOINTS = (
    "head", "neck", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
    "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
"""The joints of a drawn person, in the order of its arrays."""

GARMENT = {"upper": ("torso", "arm_far", "arm_near"), "lower": ("leg_far", "leg_near", "skirt")}
SKIN = ((206, 164, 138), (190, 144, 116), (168, 122, 94), (130, 88, 66), (90, 62, 48))
HAIR = ((26, 22, 22), (42, 32, 28), (70, 48, 34), (112, 78, 48), (168, 134, 86), (128, 126, 124))


@dataclass(frozen=True)
class Look:
    """The fixed appearance of an identity. Lengths are fractions of the body height, colours RGB 0-255."""

    build: float
    head: float
    legs: float
    stride: float
    skin: tuple
    hair: tuple
    hair_style: str
    upper: tuple
    upper_accent: tuple
    upper_pattern: str
    lower: tuple
    lower_accent: tuple
    lower_pattern: str
    period: float
    sleeve: float
    hem: float
    skirt: bool
    leg_cover: float
    shoes: tuple
    bag: str
    bag_colour: tuple
    bag_side: int
    hat: tuple | None
    jacket_open: bool
    glasses: bool


@dataclass(frozen=True)
class Stance:
    """Position and pose of a figure, in pixels of the doubled image.

    x: of the body's axis. top: y of the head's top. size: the body's height. view: angle in
    radians, 0 faces the camera and pi / 2 walks to the right. phase, stride: of the step, in
    radians. lift: radians by which the right forearm is raised. tilt: how much the camera looks
    down, 0-1.
    """

    x: float
    top: float
    size: float
    view: float
    phase: float
    stride: float
    lift: float
    tilt: float

    def project(self, lateral: float, up: float, forward: float) -> tuple[float, float, float]:
        """(x, y, nearness) of a point in body coordinates (to the person's left, up, forward)."""
        near = forward * cos(self.view) - lateral * sin(self.view)
        across = lateral * cos(self.view) + forward * sin(self.view)
        return self.x + self.size * across, self.top + self.size * (1 - up + self.tilt * near), near

    def half_width(self, wide: float, deep: float) -> float:
        """Half the visible width, in pixels, of an upright elliptic cylinder with these half axes."""
        return self.size * hypot(wide * cos(self.view), deep * sin(self.view))


@dataclass(frozen=True)
class Drawing:
    """image (height, width, 3) uint8, mask (height, width) bool, keypoints (14, 3) float32.

    The mask has the visible pixels of the person. A row of key points is a joint of `JOINTS`: x and
    y in pixels, and 1 if that pixel is in the mask, 0 if it is outside the image or occluded.
    """

    image: np.ndarray
    mask: np.ndarray
    keypoints: np.ndarray


def make_look(rng: np.random.Generator) -> Look:
    """A random appearance for one identity."""
    weights = np.array([weight for _, weight in COLOURS], float)

    def cloth() -> tuple:
        colour = COLOURS[rng.choice(len(COLOURS), p=weights / weights.sum())][0]
        return tuple(int(c) for c in np.clip(np.array(colour) + rng.normal(0, 8, 3), 12, 235))

    def pick(options: dict):
        share = np.array(list(options.values()), float)
        return list(options)[rng.choice(len(options), p=share / share.sum())]

    skirt = bool(rng.random() < 0.16)
    coat = not skirt and rng.random() < 0.18
    return Look(
        build=rng.uniform(0.86, 1.2), head=rng.uniform(0.93, 1.08), legs=rng.uniform(0.95, 1.04),
        stride=rng.uniform(0.22, 0.42), skin=SKIN[rng.choice(5, p=[0.3, 0.3, 0.2, 0.12, 0.08])],
        hair=HAIR[rng.choice(6, p=[0.4, 0.24, 0.16, 0.09, 0.05, 0.06])],
        hair_style=pick({"short": 5, "bald": 0.4, "bob": 1.5, "long": 2, "tail": 1.6, "bun": 0.8}),
        upper=cloth(), upper_accent=cloth(),
        upper_pattern=pick({"plain": 5, "rows": 2, "columns": 1, "checks": 1.3, "logo": 1.7,
                            "halves": 1.4, "sleeves": 1.5, "spots": 0.8, "band": 1}),
        lower=cloth(), lower_accent=cloth(),
        lower_pattern=pick({"plain": 8, "side": 1, "checks": 0.4 + skirt, "spots": 0.2 + skirt}),
        period=rng.uniform(0.025, 0.055),
        sleeve=1.0 if coat else pick({1.0: 6, 0.5: 3, 0.0: 0.5}),
        hem=rng.uniform(0.3, 0.4) if coat else rng.uniform(0.46, 0.52), skirt=skirt,
        leg_cover=0.1 if skirt else pick({1.0: 7, 0.5: 1.5, 0.75: 0.7}), shoes=cloth(),
        bag=pick({"none": 4, "backpack": 3, "shoulder": 2, "hand": 1.2}), bag_colour=cloth(),
        bag_side=int(rng.choice([-1, 1])), hat=cloth() if rng.random() < 0.12 else None,
        jacket_open=bool(rng.random() < 0.3), glasses=bool(rng.random() < 0.15),
    )  # fmt: skip


def skeleton(look: Look, stance: Stance) -> dict[str, tuple[float, float, float]]:
    """``{joint: (x, y, nearness)}`` of a walking figure: `JOINTS`, `left_toe` and `right_toe`."""
    hip_up, shoulder_up, body = 0.525, 0.787, {"neck": (0, 0.848, 0.005), "head": (0, 0.925, 0.022)}
    for side, name in ((1, "left"), (-1, "right")):
        phase = stance.phase + (0 if side > 0 else pi)
        swing = stance.stride * sin(phase) + 0.05
        lower = swing - stance.stride * (0.2 + 1.5 * max(0.0, cos(phase + 0.3)))  # the knee bends
        hip = 0.046 * side * look.build
        knee = (hip, hip_up - 0.245 * look.legs * cos(swing), 0.245 * look.legs * sin(swing))
        ankle = (
            hip,
            knee[1] - 0.235 * look.legs * cos(lower),
            knee[2] + 0.235 * look.legs * sin(lower),
        )
        arm = -0.9 * stance.stride * sin(phase)
        flex = arm + 0.22 + 0.4 * max(0.0, sin(arm)) + (stance.lift if side < 0 else 0)
        across = 0.1 * side * look.build
        elbow = (1.22 * across, shoulder_up - 0.165 * cos(arm), 0.165 * sin(arm))
        wrist = (1.2 * across, elbow[1] - 0.15 * cos(flex), elbow[2] + 0.15 * sin(flex))
        chain = {
            "hip": (hip, hip_up, 0), "knee": knee, "ankle": ankle,
            "toe": (1.25 * hip, ankle[1] - 0.02, ankle[2] + 0.085),
            "shoulder": (across, shoulder_up, 0), "elbow": elbow, "wrist": wrist,
        }  # fmt: skip
        body |= {f"{name}_{joint}": where for joint, where in chain.items()}
    # The lower foot is on the ground, so the body rises and falls with each step.
    drop = min(body["left_ankle"][1], body["right_ankle"][1]) - 0.035
    return {name: stance.project(x, up - drop, forward) for name, (x, up, forward) in body.items()}


def _limb(pen, start, end, r0: float, r1: float, ink: int) -> None:
    """Draw a limb with round ends, of radius r0 at its start and r1 at its end."""
    (x0, y0), (x1, y1) = start[:2], end[:2]
    length = hypot(x1 - x0, y1 - y0) or 1.0
    nx, ny = (y0 - y1) / length, (x1 - x0) / length
    sides = ((x0 + nx * r0, y0 + ny * r0), (x1 + nx * r1, y1 + ny * r1))
    pen.polygon((*sides, (x1 - nx * r1, y1 - ny * r1), (x0 - nx * r0, y0 - ny * r0)), fill=ink)
    pen.ellipse((x0 - r0, y0 - r0, x0 + r0, y0 + r0), fill=ink)
    pen.ellipse((x1 - r1, y1 - r1, x1 + r1, y1 + r1), fill=ink)


def _between(a, b, share: float) -> tuple[float, float]:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def _draw_figure(pen, look: Look, stance: Stance, block: int) -> dict[str, tuple[float, float, float]]:
    """Draw a figure's part numbers, far parts first; returns its `skeleton`."""
    joints = skeleton(look, stance)
    ink = {name: block + number for name, number in PARTS.items()}
    who = (pen, look, stance, joints, ink)
    legs = sorted(("left", "right"), key=lambda side: joints[f"{side}_knee"][2])
    arms = sorted(("left", "right"), key=lambda side: joints[f"{side}_elbow"][2])
    from_behind = cos(stance.view) < 0.15
    if look.bag == "backpack" and not from_behind:
        _draw_backpack(*who)
    for side, place in zip(legs, ("far", "near"), strict=True):
        _draw_leg(*who, side, place)
    hidden = [joints[f"{side}_elbow"][2] < -0.03 for side in arms]
    for side, place, first in zip(arms, ("far", "near"), hidden, strict=True):
        if first:
            _draw_arm(*who, side, place)
    _draw_torso(*who)
    _draw_head(*who)
    if look.bag == "backpack" and from_behind:
        _draw_backpack(*who)
    for side, place, first in zip(arms, ("far", "near"), hidden, strict=True):
        if not first:
            _draw_arm(*who, side, place)
    _draw_carried(*who)
    return joints


def _draw_leg(pen, look, stance, joints, ink, side: str, place: str) -> None:
    hip, knee, ankle, toe = (joints[f"{side}_{part}"] for part in ("hip", "knee", "ankle", "toe"))
    size, cloth, skin = stance.size * look.build, ink[f"leg_{place}"], ink[f"shin_{place}"]
    _limb(pen, ankle, toe, 0.025 * stance.size, 0.018 * stance.size, ink[f"shoe_{place}"])
    if look.leg_cover < 1:
        _limb(pen, hip, knee, 0.045 * size, 0.033 * size, skin)
        _limb(pen, knee, ankle, 0.034 * size, 0.02 * size, skin)
    if look.leg_cover <= 0.5:
        _limb(pen, hip, _between(hip, knee, 1.8 * look.leg_cover), 0.06 * size, 0.05 * size, cloth)
    else:
        end = _between(knee, ankle, 2 * look.leg_cover - 1)
        _limb(pen, hip, knee, 0.066 * size, 0.049 * size, cloth)
        _limb(pen, knee, end, 0.049 * size, 0.036 * size, cloth)
        if look.lower_pattern == "side" and abs(sin(stance.view)) > 0.3:
            pen.line((hip[:2], knee[:2], end), fill=cloth + 1, width=max(2, int(0.018 * size)))


def _draw_arm(pen, look, stance, joints, ink, side: str, place: str) -> None:
    shoulder, elbow, wrist = (joints[f"{side}_{part}"] for part in ("shoulder", "elbow", "wrist"))
    size, skin = stance.size * look.build, ink[f"hand_{place}"]
    cloth = ink[f"arm_{place}"] + (look.upper_pattern == "sleeves")
    _limb(pen, wrist, _between(elbow, wrist, 1.2), 0.02 * size, 0.018 * size, skin)
    if look.sleeve < 1:
        _limb(pen, shoulder, elbow, 0.031 * size, 0.025 * size, skin)
        _limb(pen, elbow, wrist, 0.025 * size, 0.017 * size, skin)
    if look.sleeve == 1:
        _limb(pen, shoulder, elbow, 0.041 * size, 0.036 * size, cloth)
        _limb(pen, elbow, wrist, 0.037 * size, 0.028 * size, cloth)
    elif look.sleeve > 0:
        _limb(pen, shoulder, _between(shoulder, elbow, 0.75), 0.044 * size, 0.042 * size, cloth)


def _draw_torso(pen, look, stance, joints, ink) -> None:
    (x, y), size, build = joints["neck"][:2], stance.size, look.build
    flare = 1.12 if look.hem < 0.42 else 1.0
    outline = (  # height below the neck, half width, half depth
        (-0.008, 0.034, 0.034), (0.016, 0.074, 0.046), (0.04, 0.112, 0.06), (0.11, 0.114, 0.08),
        (0.24, 0.1, 0.078), (0.848 - look.hem, 0.108 * flare, 0.084 * flare),
    )  # fmt: skip
    half = [stance.half_width(wide * build, deep * build) for _, wide, deep in outline]
    rows = [y + down * size for down, _, _ in outline]
    if look.skirt:
        low, spread = y + 0.58 * size, 1.35 * half[5]
        skirt = (
            (x - half[4], rows[4]),
            (x + half[4], rows[4]),
            (x + spread, low),
            (x - spread, low),
        )
        pen.polygon(skirt, fill=ink["skirt"])
    _limb(pen, (x, y + 0.02 * size), joints["head"], 0.034 * size, 0.03 * size, ink["neck"])
    right = [(x + w, row) for w, row in zip(half, rows, strict=True)]
    left = [(x - w, row) for w, row in zip(half, rows, strict=True)]
    low = (x, rows[5] + 0.02 * size * (1 + stance.tilt))  # the hem is rounded
    pen.polygon((*right, low, *left[::-1]), fill=ink["torso"])
    facing, middle = cos(stance.view), x + 0.06 * size * sin(stance.view)
    if look.jacket_open and look.upper_pattern != "logo" and facing > 0.2:
        open_by = 0.032 * size * facing
        inner = (
            (middle - open_by, y),
            (middle + open_by, y),
            (middle + open_by, rows[5]),
            (middle, rows[5]),
        )
        pen.polygon(inner, fill=ink["inner"])
    elif facing > 0.1:  # collar
        collar = (middle - half[0], y - 0.02 * size, middle + half[0], y + 0.03 * size * facing)
        pen.ellipse(collar, fill=ink["neck"])
    if look.upper_pattern == "logo" and abs(facing) > 0.3:
        broad, top = half[3] * 0.42, y + 0.1 * size
        logo = (middle - broad, top, middle + broad, top + 0.07 * size)
        pen.rounded_rectangle(logo, 0.02 * size, fill=ink["torso"] + 1)


def _draw_head(pen, look, stance, joints, ink) -> None:
    (x, y), r = joints["head"][:2], 0.066 * stance.size * look.head
    facing, turn = cos(stance.view), sin(stance.view)
    hair, face, half = ink["hair"], ink["face"], r * (0.7 + 0.12 * abs(turn))
    drop = {"long": 2.1, "bob": 1.2}.get(look.hair_style, 0) * r
    locks = (
        x - half * 1.1 - turn * r * 0.3,
        y - r * 0.5,
        x + half * 1.1 - turn * r * 0.3,
        y + drop,
    )
    if drop and facing > -0.1:
        pen.rounded_rectangle(locks, int(r / 2), fill=hair)
    pen.ellipse((x - half, y - r, x + half, y + r), fill=hair if look.hair_style != "bald" else face)
    if facing > -0.75:  # the face moves across the head as it turns, and is hidden from behind
        fx, fw = x + turn * half * 0.4, half * (0.42 + 0.42 * min(1.0, (facing + 0.75) / 1.3))
        pen.ellipse((fx - fw, y - r * 0.5, fx + fw, y + r * 1.04), fill=face)
        if facing > -0.2:
            dot, apart, eyes = r * 0.09, half * 0.36 * max(0.3, facing), fx + turn * half * 0.25
            for px in (eyes - apart, eyes + apart):
                brow = (px - dot * 1.6, y - dot * 0.4, px + dot * 1.6, y + dot * 1.6)
                pen.ellipse(brow, fill=ink["mark"] if look.glasses else face + 1)
            lips = (eyes - dot * 1.6, y + r * 0.55, eyes + dot * 1.6, y + r * 0.67)
            pen.ellipse(lips, fill=face + 1)
    elif drop:
        pen.rounded_rectangle(locks, int(r / 2), fill=hair)
    back = x - turn * half * 0.9
    if look.hair_style == "tail" and facing < 0.6:
        _limb(pen, (back, y - r * 0.2), (back - turn * r * 0.3, y + r * 1.8), r * 0.28, r * 0.16, hair)
    elif look.hair_style == "bun":
        pen.ellipse((back - r * 0.4, y - r * 1.3, back + r * 0.4, y - r * 0.5), fill=hair)
    if look.hat is not None:
        pen.chord((x - half * 1.1, y - r * 1.15, x + half * 1.1, y + r * 0.55), 180, 360, fill=ink["hat"])
        if facing > -0.6:
            peak = x + turn * half * 0.9
            brim = (peak - half * 0.8, y - r * 0.46, peak + half * 0.8, y - r * 0.16)
            pen.ellipse(brim, fill=ink["hat"])


def _draw_backpack(pen, look, stance, joints, ink) -> None:
    size, y = stance.size, joints["neck"][1]
    x = joints["neck"][0] - 0.11 * size * sin(stance.view)
    half, top, low = stance.half_width(0.084, 0.052), y + 0.035 * size, y + 0.28 * size
    pen.rounded_rectangle((x - half, top, x + half, low), int(0.035 * size), fill=ink["bag"])
    if cos(stance.view) < 0.15:
        pocket = (x - half * 0.7, top + 0.14 * size, x + half * 0.7, low - 0.02 * size)
        pen.rounded_rectangle(pocket, int(0.02 * size), fill=ink["bag"] + 1)


def _draw_carried(pen, look, stance, joints, ink) -> None:
    """Draw straps, shoulder bag and hand bag, in front of the rest of the figure."""
    size = stance.size
    side, other = ("left", "right") if look.bag_side > 0 else ("right", "left")
    if look.bag == "backpack" and cos(stance.view) > 0.15:
        for name in ("left", "right"):
            x, y = _between(joints["neck"], joints[f"{name}_shoulder"], 0.62)
            pen.line((x, y, x, y + 0.16 * size), fill=ink["strap"], width=int(0.018 * size) + 1)
    elif look.bag == "shoulder":
        hip = joints[f"{side}_hip"]
        x = hip[0] + 1.1 * (joints[f"{side}_shoulder"][0] - joints["neck"][0])
        y, half = hip[1] - 0.02 * size, stance.half_width(0.03, 0.07)
        start = _between(joints["neck"], joints[f"{other}_shoulder"], 0.5)
        pen.line((start, (x, y - 0.04 * size)), fill=ink["strap"], width=int(0.014 * size) + 1)
        if hip[2] > -0.035:
            box = (x - half, y - 0.05 * size, x + half, y + 0.07 * size)
            pen.rounded_rectangle(box, int(0.025 * size), fill=ink["bag"])
    elif look.bag == "hand":
        (x, y), half = joints[f"{side}_wrist"][:2], stance.half_width(0.028, 0.065)
        pen.line((x, y, x, y + 0.06 * size), fill=ink["strap"], width=int(0.018 * size) + 1)
        box = (x - half, y + 0.05 * size, x + half, y + 0.15 * size)
        pen.rounded_rectangle(box, int(0.02 * size), fill=ink["bag"])


@lru_cache(maxsize=256)
def _weave(pattern: str, period: int, rows: int, columns: int) -> np.ndarray:
    """0/1 tile (rows, columns) of a pattern that repeats every `period` pixels."""
    y, x = np.mgrid[:rows, :columns] % period / period
    if pattern == "rows":
        weave = y < 0.45
    elif pattern == "columns":
        weave = x < 0.4
    elif pattern == "checks":
        weave = (y < 0.35) | (x < 0.3)
    else:
        weave = (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.07
    return weave.astype(np.uint8)


@lru_cache(maxsize=8)
def _belongs(block: int, garment: str) -> np.ndarray:
    """uint8 (256,): 1 for the part numbers that are cloth of this garment, else 0."""
    table = np.zeros(256, np.uint8)
    table[[block + PARTS[part] for part in GARMENT[garment]]] = 1
    return table


def _add_patterns(parts: np.ndarray, look: Look, stance: Stance, joints: dict, block: int) -> None:
    """Set the patterned pixels of a figure's garments to their second colour, in place."""
    x, y = joints["neck"][:2]
    rows, columns = parts.shape
    for garment, pattern in (("upper", look.upper_pattern), ("lower", look.lower_pattern)):
        if pattern in ("rows", "columns", "checks", "spots"):
            period = max(4, int(look.period * stance.size) * (2 if pattern == "checks" else 1))
            tile = _weave(pattern, period, rows + period, columns + period)
            top, left = int(-y) % period, int(-x) % period
            woven = tile[top : top + rows, left : left + columns]
            parts += _belongs(block, garment).take(parts) & woven
        elif pattern in ("halves", "band"):
            first = max(0, int(y + 0.15 * stance.size))
            last = max(0, int(y + (0.6 if pattern == "halves" else 0.2) * stance.size))
            parts[first:last] += _belongs(block, garment).take(parts[first:last])


@lru_cache(maxsize=4096)
def _palette(look: Look) -> np.ndarray:
    """(BLOCK, 3) uint8: the colours of a figure's part numbers."""
    skin, bag = look.skin, look.bag_colour
    pairs = {
        "leg": (look.lower, look.lower_accent), "skirt": (look.lower, look.lower_accent),
        "arm": (look.upper, look.upper_accent), "torso": (look.upper, look.upper_accent),
        "shoe": (look.shoes,) * 2, "bag": (bag, tone(bag, 0.75)), "strap": (tone(bag, 0.85),) * 2,
        "hat": (look.hat or look.hair,) * 2, "hair": (look.hair,) * 2, "mark": ((34, 32, 34),) * 2,
        "inner": (look.upper_accent,) * 2, "face": (skin, tone(skin, 0.6)),
        "neck": (tone(skin, 0.85),) * 2,
    }  # fmt: skip
    table = np.zeros((BLOCK, 3), np.uint8)
    for name, number in PARTS.items():
        shade = 0.8 if name.endswith("_far") else 1.0
        colours = pairs.get(name.split("_")[0], (skin, skin))
        table[number : number + 2] = [tone(colour, shade) for colour in colours]
    return table


def _draw_obstacle(pen, rng: np.random.Generator, wide: int, high: int) -> np.ndarray:
    """Draw an object between person and camera; returns its two colours (2, 3)."""
    kind, x = rng.integers(5), wide * rng.uniform(-0.1, 0.75)
    if kind == 0:  # pole
        x = wide * rng.uniform(0.05, 0.85)
        pen.rectangle((x, -2, x + wide * rng.uniform(0.1, 0.2), high + 2), fill=OBJECT)
    elif kind == 1:  # bin
        top, broad = high * rng.uniform(0.55, 0.75), wide * rng.uniform(0.4, 0.6)
        pen.rounded_rectangle((x, top, x + broad, high + 20), 8, fill=OBJECT)
        pen.rectangle((x - 4, top, x + broad + 4, top + 0.05 * high), fill=OBJECT + 1)
    elif kind == 2:  # suitcase
        top, broad = high * rng.uniform(0.62, 0.75), wide * rng.uniform(0.3, 0.45)
        pen.line((x + broad * 0.3, top - 0.1 * high, x + broad * 0.3, top), fill=OBJECT + 1, width=4)
        pen.rounded_rectangle((x, top, x + broad, high * 0.97), 10, fill=OBJECT)
        pen.line((x + broad / 2, top, x + broad / 2, high * 0.96), fill=OBJECT + 1, width=4)
    elif kind == 3:  # railing
        top = high * rng.uniform(0.5, 0.68)
        for y in (top, top + 0.3 * high):
            pen.rectangle((0, y, wide, y + 0.025 * high), fill=OBJECT)
        for post in range(int(x) % 30 - 30, wide, 30):
            pen.rectangle((post, top, post + 4, high), fill=OBJECT)
    else:  # planter, wall or bonnet
        top = high * rng.uniform(0.66, 0.8)
        pen.rounded_rectangle((x - wide * 0.4, top, x + wide * 0.8, high + 30), 24, fill=OBJECT)
        pen.rectangle((x - wide * 0.4, top + 0.06 * high, x + wide * 0.8, top + 0.08 * high), fill=OBJECT + 1)
    colour = COLOURS[rng.integers(len(COLOURS))][0]
    return np.array([colour, tone(colour, 0.65)])


def _by_number(of_figure: dict[int, dict[str, int]], scene: int, obstacle: int) -> np.ndarray:
    """uint8 (256,): a value for each part number, from the values of each figure's parts."""
    table = np.full(256, obstacle, np.uint8)
    table[:OBJECT] = scene
    for block, values in of_figure.items():
        for part, value in values.items():
            table[block + PARTS[part] : block + PARTS[part] + 2] = value
    return table


def _image(table: np.ndarray, parts: np.ndarray) -> Image.Image:
    """The table's values for the part numbers, as an image of the crop's size."""
    return Image.fromarray(table.take(parts)).reduce(2)


@lru_cache(maxsize=4)
def _folds(height: int) -> np.ndarray:
    """Creases of cloth (3 h, 3 h), deviation about 1; each image uses a random crop of them."""
    rng, side = np.random.default_rng(0), (3 * height, 3 * height)
    unit = max(1, round(height / 64))
    creases = smooth_noise(rng, side, (5 * unit, 3 * unit)) + smooth_noise(rng, side, (4 * unit, 9 * unit))
    return np.roll(creases, 1, axis=1) * 0.7


def _shaded(parts: np.ndarray, palette: np.ndarray, camera: Camera, rng) -> np.ndarray:
    """The figures on black, (height, width, 3) float32, with their relief and folds."""
    flat = Image.fromarray(parts)
    flat.putpalette(palette.tobytes())
    colour = np.asarray(flat.convert("RGB").reduce(2), np.float32)
    height, width = colour.shape[:2]
    step = max(1, height // 64)
    relief = _image(RELIEF_TABLE, parts).filter(ImageFilter.BoxBlur(1.7 * height / 128))
    slope = np.asarray(relief, np.float32) / 255
    shade = np.repeat(np.linspace(1.08, 0.9, height, dtype=np.float32)[:, None], width, axis=1)
    shade[:, step:-step] += 1.1 * camera.light * (slope[:, 2 * step :] - slope[:, : -2 * step])
    shade[step:-step] += 0.6 * (slope[2 * step :] - slope[: -2 * step])
    top, left = rng.integers(0, 2 * height, 2)
    shade += 0.06 * _folds(height)[top : top + height, left : left + width]
    return colour * np.clip(shade, 0.4, 1.5)[..., None]


def paint(
    look: Look | None,
    camera: Camera,
    stance: Stance,
    rng: np.random.Generator,
    size: tuple[int, int],
    *,
    place: float = 0.5,
    exposure: float = 1.0,
    behind: tuple[Look, Stance] | None = None,
    in_front: tuple[Look, Stance] | None = None,
    obstacle: bool = False,
) -> Drawing:
    """Draw one crop of `size` (height, width).

    look: the person's appearance; None: no person. place: position in the camera's scene, 0-1.
    exposure: factor on the light. behind, in_front: passers-by. obstacle: draw an object between
    person and camera.
    """
    height, width = size
    index = Image.new("L", (2 * width, 2 * height))
    pen = ImageDraw.Draw(index)
    palette = np.zeros((256, 3), np.uint8)
    figures = {BEHIND: behind, TARGET: look and (look, stance), FRONT: in_front}
    figures = {block: figure for block, figure in figures.items() if figure}
    joints = {block: _draw_figure(pen, *figure, block) for block, figure in figures.items()}
    if obstacle:
        palette[OBJECT : OBJECT + 2] = _draw_obstacle(pen, rng, 2 * width, 2 * height)
    parts = np.array(index)
    for block, figure in figures.items():
        palette[block : block + BLOCK] = np.maximum(palette[block : block + BLOCK], _palette(figure[0]))
        _add_patterns(parts, *figure, joints[block], block)
    alpha = _image(SOLID_TABLE, parts)
    mask = np.asarray(_image(TARGET_TABLE, parts)) > 127
    light = _shaded(parts, palette, camera, rng)
    foot = (stance.x / 2, stance.top / 2 + 0.4875 * stance.size) if look else None
    scene = background(camera, rng, place, alpha, foot)
    light += scene * (1 - np.asarray(alpha, np.float32)[..., None] / 255)
    keypoints = _keypoints(joints.get(TARGET), mask)
    return Drawing(develop(camera, rng, light, exposure), mask, keypoints)


def _keypoints(joints: dict | None, mask: np.ndarray) -> np.ndarray:
    table = np.zeros((len(JOINTS), 3), np.float32)
    for row, name in enumerate(JOINTS if joints else ()):
        # Rounded first, so that the rounded position of a visible joint is inside the image.
        x, y = round(joints[name][0] / 2, 1), round(joints[name][1] / 2, 1)
        inside = 0 <= x < mask.shape[1] and 0 <= y < mask.shape[0]
        table[row] = x, y, inside and mask[int(y), int(x)]
    return table


RELIEF_TABLE = _by_number(
    {
        BEHIND: {part: max(0, relief - 40) for part, relief in RELIEF.items()},
        TARGET: RELIEF,
        FRONT: {part: min(255, relief + 45) for part, relief in RELIEF.items()},
    },
    scene=20, obstacle=235,
)  # fmt: skip
SOLID_TABLE = _by_number({b: dict.fromkeys(PARTS, 255) for b in (BEHIND, TARGET, FRONT)}, 0, 255)
TARGET_TABLE = _by_number({TARGET: dict.fromkeys(PARTS, 255)}, 0, 0)
