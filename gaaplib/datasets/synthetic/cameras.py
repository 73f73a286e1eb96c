"""The synthetic data sets' cameras: each has its own scene, resolution, blur, colours, tone curve and grain.

`background` crops the background of a person from a camera's scene. `develop` applies the camera's
resolution, blur, colours, tone curve and grain to the finished picture. Images are
(height, width, 3), RGB.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import pi

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

# ((red, green, blue), weight) of clothes, bags and cars: mostly dark, denim, grey and white
COLOURS = (
    ((28, 28, 32), 16), ((58, 60, 66), 9), ((34, 42, 72), 9), ((62, 84, 124), 9),
    ((120, 122, 126), 7),
    ((172, 174, 176), 6), ((220, 220, 216), 10), ((196, 178, 146), 4), ((116, 88, 62), 3),
    ((84, 90, 60), 3), ((106, 36, 46), 3), ((178, 46, 46), 4), ((214, 146, 160), 3),
    ((206, 116, 54), 2),
    ((216, 184, 72), 2), ((132, 168, 206), 4), ((44, 98, 172), 4), ((50, 118, 116), 2),
    ((62, 118, 70), 2),
    ((108, 74, 132), 2),
)  # fmt: skip
HORIZON = 0.34  # share of a scene's height that is wall; the rest is ground
SCENES = (  # (wall, its colour, ground, its colour), one per camera in turn
    ("windows", (104, 114, 124), "slabs", (138, 136, 134)),
    ("hedge", (82, 94, 70), "lawn", (118, 126, 100)),
    ("panels", (140, 130, 118), "road", (116, 116, 118)),
    ("bricks", (124, 98, 86), "leaves", (130, 122, 112)),
    ("panels", (158, 154, 146), "slabs", (128, 124, 118)),
    ("cars", (130, 134, 138), "road", (108, 110, 114)),
)
INDOOR_SCENES = (  # the same for indoor cameras: walls with doors and posters, tiles
    ("panels", (176, 160, 132), "slabs", (150, 136, 116)),
    ("windows", (150, 156, 160), "slabs", (166, 166, 162)),
    ("panels", (126, 138, 150), "slabs", (112, 116, 122)),
    ("windows", (138, 122, 104), "slabs", (134, 122, 106)),
)


@dataclass(frozen=True)
class Camera:
    """The fixed properties of a camera. `matrix` is Pillow's colour matrix, a 12-tuple; `light` > 0: from the left."""

    scene: Image.Image
    matrix: tuple
    brightness: float
    contrast: float
    gamma: float
    resolution: float
    blur: float
    grain: float
    light: float
    sun: float
    tilt: float


def make_camera(
    rng: np.random.Generator,
    order: int,
    cameras: int,
    height: int,
    cast: float,
    quality: float,
    indoor: bool = False,
) -> Camera:
    """A random camera; its number `order`, of `cameras`, decides its scene and the hue of its colour cast.

    `height` is the height of its crops in pixels. `cast` scales how far its colours and exposure
    are from neutral (0: neutral). `quality` below 1 adds blur and grain and lowers the resolution.
    `indoor` gives it an indoor scene, with weak shadows.
    """
    scenes = INDOOR_SCENES if indoor else SCENES
    hue = 2 * pi * order / cameras + rng.uniform(-0.3, 0.3)
    gains = 1 + cast * rng.uniform(0.035, 0.065) * np.cos(hue + np.array([0, 2, 4]) * pi / 3)
    saturation = 1 + cast * rng.uniform(-0.3, 0.1)
    colour = gains[:, None] * (np.eye(3) * saturation + np.array([0.3, 0.59, 0.11]) * (1 - saturation))
    poor = 2 - quality
    return Camera(
        scene=make_scene(rng, height, *scenes[order % len(scenes)], indoor=indoor),
        matrix=tuple(np.hstack([colour, np.zeros((3, 1))]).ravel().tolist()),
        brightness=1 + cast * rng.uniform(-0.13, 0.13),
        contrast=1 + cast * rng.uniform(-0.12, 0.18),
        gamma=1 + cast * rng.uniform(-0.15, 0.15),
        resolution=float(np.clip(rng.uniform(0.6, 1.0) / poor, 0.3, 1)),
        blur=rng.uniform(0.1, 0.5) * poor * height / 128,
        grain=rng.uniform(1.0, 4.5) * poor,
        light=float(rng.choice([-1, 1])) * rng.uniform(0.6, 1.2),
        sun=rng.uniform(0.15, 0.6) * (0.4 if indoor else 1),
        tilt=rng.uniform(0.12, 0.38),
    )


def smooth_noise(rng: np.random.Generator, size: tuple[int, int], cell: tuple[int, int]) -> np.ndarray:
    """Noise (height, width) with mean 0 and deviation about 1, smooth over `cell` pixels; sizes are (width, height)."""
    shape = size[1] // cell[1] + 2, size[0] // cell[0] + 2
    coarse = Image.fromarray(rng.normal(0, 1.3, shape).astype(np.float32))
    return np.asarray(coarse.resize(size, Image.Resampling.BICUBIC))


def tone(rgb, factor: float) -> tuple[int, int, int]:
    """The colour times a factor: above 1 lighter, below 1 darker."""
    return tuple(int(min(255, max(0, c * factor))) for c in rgb)


def make_scene(
    rng: np.random.Generator,
    height: int,
    wall: str,
    wall_rgb: tuple,
    ground: str,
    ground_rgb: tuple,
    indoor: bool = False,
) -> Image.Image:
    """A camera's scene, 4 crop heights wide and 2 high: wall above `HORIZON`, ground below; no bicycles if `indoor`."""
    wide, high = 8 * height, 4 * height  # drawn at twice the size
    base, unit = int(HORIZON * high), max(2, height // 16)
    picture = Image.new("RGB", (wide, high), ground_rgb)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 0, wide, base), fill=wall_rgb)
    _draw_wall(pen, rng, wall, wall_rgb, (wide, base), unit)
    _draw_ground(pen, rng, ground, ground_rgb, (wide, base, high), unit)
    for _ in range(9):
        foot = rng.uniform(base + unit, 0.6 * high)
        _draw_furniture(pen, rng, rng.uniform(0, wide), foot, unit, indoor)
    pixels = np.asarray(picture.filter(ImageFilter.GaussianBlur(height / 110)).reduce(2), np.float32)
    size = (wide // 2, high // 2)
    rough = {"lawn": 0.12, "leaves": 0.14}.get(ground, 0.035)
    broad = 0.17 * smooth_noise(rng, size, (height // 2, height // 4))
    broad += 0.04 * smooth_noise(rng, size, (17, 9))
    fine = 0.3 * rng.normal(size=(size[1], size[0], 3)) + rng.normal(size=(size[1], size[0], 1))
    fine[: base // 2] *= 0.3
    texture = np.clip(1 + broad[..., None] + rough * fine, 0.4, 1.6)
    return Image.fromarray(np.clip(pixels * texture, 0, 255).astype(np.uint8))


def _any_colour(rng, factor: float = 1.0) -> tuple[int, int, int]:
    return tone(COLOURS[rng.integers(len(COLOURS))][0], factor)


def _draw_wall(pen, rng, kind: str, rgb: tuple, extent: tuple[int, int], unit: int) -> None:
    wide, base = extent
    if kind == "bricks":
        for row, y in enumerate(range(0, base, unit)):
            for x in range(-(row % 2) * unit, wide, 2 * unit):
                brick = (x, y, x + 2 * unit - 2, y + unit - 2)
                pen.rectangle(brick, fill=tone(rgb, rng.uniform(0.85, 1.12)))
        for x in range(0, wide, 2 * unit):  # railings
            pen.line((x, base - 6 * unit, x, base), fill=(40, 44, 46), width=unit // 4 + 1)
        pen.line((0, base - 6 * unit, wide, base - 6 * unit), fill=(40, 44, 46), width=unit // 3 + 1)
    elif kind == "hedge":
        for _ in range(1600):
            x, y, r = rng.uniform(0, wide), rng.uniform(0, base), rng.uniform(0.3, 1.1) * unit
            pen.ellipse((x - r, y - r, x + r, y + r), fill=tone(rgb, rng.uniform(0.55, 1.5)))
        for x in rng.uniform(0, wide, 7):  # trunks
            pen.rectangle((x, 0, x + unit * rng.uniform(1, 2), base + unit), fill=(66, 54, 44))
    elif kind == "cars":
        pen.rectangle((0, base - 4 * unit, wide, base), fill=tone(rgb, 0.75))
        for x in range(-2 * unit, wide, 19 * unit):
            glass = (x + 4 * unit, base - 9 * unit, x + 13 * unit, base)
            pen.rounded_rectangle(glass, 2 * unit, (52, 60, 68))
            body = (x, base - 6 * unit, x + 17 * unit, base + unit)
            pen.rounded_rectangle(body, 2 * unit, _any_colour(rng))
            for wheel in (x + 2 * unit, x + 12 * unit):
                pen.ellipse((wheel, base - 2 * unit, wheel + 3 * unit, base + unit), fill=(24, 24, 26))
    else:  # windows, or wider panels: doors, shop windows, posters
        step, top = (6 * unit, 0) if kind == "windows" else (13 * unit, base - 13 * unit)
        for x in range(0, wide, step):
            shade = (84, 98, 112) if kind == "windows" else tone(rgb, 0.8)
            panel = (x + unit, top, x + step - unit // 2, base - unit)
            pen.rectangle(panel, fill=tone(shade, rng.uniform(0.5, 1.25)))
            if kind == "panels" and rng.random() < 0.4:
                sign = (x + 2 * unit, top + unit, x + step - 2 * unit, top + 4 * unit)
                pen.rectangle(sign, fill=_any_colour(rng))
    pen.rectangle((0, base - unit // 2, wide, base), fill=tone(rgb, 0.55))


def _draw_ground(pen, rng, kind: str, rgb: tuple, extent: tuple[int, int, int], unit: int) -> None:
    wide, base, high = extent
    for x in range(-wide, 2 * wide, 5 * unit if kind == "slabs" else 55 * unit):
        far = wide / 2 + (x - wide / 2) * 0.6  # lines run towards a far point
        ink = tone(rgb, 0.85) if kind == "slabs" else tone(rgb, 1.5)
        if kind in ("slabs", "road"):
            pen.line((far, base, x, high), fill=ink, width=2 if kind == "slabs" else unit // 2)
    if kind == "slabs":
        y, gap = base, 2.0 * unit
        while y < high:
            pen.line((0, y, wide, y), fill=tone(rgb, 0.85), width=2)
            y, gap = y + gap, gap * 1.12
    elif kind == "road":
        pen.rectangle((0, base, wide, base + 4 * unit), fill=tone(rgb, 1.3))
        pen.line((0, base + 4 * unit, wide, base + 4 * unit), fill=tone(rgb, 0.65), width=unit // 2 + 1)
    else:
        path = ((0, base + 16 * unit), (wide, base + 8 * unit), (wide, base + 20 * unit), (0, high))
        pen.polygon(path, fill=(150, 138, 120))
        for _ in range(2500):
            x, y, r = rng.uniform(0, wide), rng.uniform(base, high), rng.uniform(0.15, 0.5) * unit
            leaf = (150, 96, 58) if kind == "leaves" and rng.random() < 0.5 else rgb
            pen.ellipse((x - r, y - r / 2, x + r, y + r / 2), fill=tone(leaf, rng.uniform(0.6, 1.35)))


def _draw_furniture(pen, rng, x: float, foot: float, unit: int, indoor: bool) -> None:
    ink, kind = _any_colour(rng, 0.9), rng.integers(4)
    if kind == 0:  # pole
        pen.rectangle((x, 0, x + unit, foot), fill=tone((110, 112, 112), rng.uniform(0.5, 1.3)))
    elif kind == 1:  # bin
        pen.rounded_rectangle((x, foot - 7 * unit, x + 4 * unit, foot), unit, fill=ink)
        pen.rectangle((x - 3, foot - 7 * unit, x + 4 * unit + 3, foot - 6 * unit), fill=tone(ink, 0.6))
    elif kind == 2 and not indoor:  # bicycle
        for wheel in (x, x + 7 * unit):
            pen.ellipse((wheel, foot - 5 * unit, wheel + 5 * unit, foot), outline=(30, 30, 32), width=3)
        frame = ((2.5, 2.5), (4, 6), (9, 6), (9.5, 2.5))
        pen.line([(x + a * unit, foot - b * unit) for a, b in frame], fill=ink, width=5)
    else:  # bench
        pen.rectangle((x, foot - 4 * unit, x + 14 * unit, foot - 3 * unit), fill=(112, 84, 56))
        for leg in (x + unit, x + 12 * unit):
            pen.rectangle((leg, foot - 3 * unit, leg + unit // 2, foot), fill=(48, 48, 50))


def background(
    camera: Camera,
    rng: np.random.Generator,
    place: float,
    alpha: Image.Image,
    foot: tuple[float, float] | None,
) -> np.ndarray:
    """The background of a crop, (height, width, 3) float32, with the person's shadow.

    place: position in the scene, 0-1. alpha: image of mode L, the figures' opacity.
    foot: (x, y) of the point where the person stands; None if there is no person and no shadow.
    """
    width, height = alpha.size
    zoom = rng.uniform(0.9, 1.15)
    wide, high = camera.scene.width - zoom * width, camera.scene.height - zoom * height
    top = HORIZON * camera.scene.height - zoom * height * (0.36 * (1 - (place * 3) % 1) - 0.04)
    top = min(max(top, 0), high)
    left = min(max((place + rng.normal(0, 0.03)) * wide, 0), wide)
    box = (left, top, left + zoom * width, top + zoom * height)
    scene = camera.scene.resize((width, height), Image.Resampling.BILINEAR, box=box)
    if foot is None:
        return np.asarray(scene, np.float32)
    # The shadow is the silhouette projected onto the ground, away from the light.
    x, feet = foot
    flat, lean = 0.3, 0.8 if camera.light > 0 else -0.8
    lying = (1, lean / flat, -lean * feet / flat, 0, 1 / flat, feet * (1 - 1 / flat))
    shadow = alpha.transform((width, height), Image.Transform.AFFINE, lying, Image.Resampling.BILINEAR)
    reach = 0.1 * height
    under = (x - reach, feet - 0.2 * reach, x + reach, feet + 0.25 * reach)
    ImageDraw.Draw(shadow).ellipse(under, fill=255)
    shadow = shadow.filter(ImageFilter.BoxBlur(1.8 * height / 128))
    dark = 1 - np.asarray(shadow, np.float32) * (camera.sun / 255)
    return np.asarray(scene, np.float32) * dark[..., None]


@lru_cache(maxsize=4)
def _grain(height: int) -> np.ndarray:
    """Noise (3 h, 3 h, 3) with deviation 1; each image uses a random crop of it."""
    side = (3 * height, 3 * height)
    return np.random.default_rng(0).normal(size=(*side, 3)).astype(np.float32)


def develop(camera: Camera, rng: np.random.Generator, light: np.ndarray, exposure: float) -> np.ndarray:
    """The camera's image, uint8 (height, width, 3), of `light` (height, width, 3) times `exposure`."""
    height, width = light.shape[:2]
    image = Image.fromarray(np.clip(light, 0, 255).astype(np.uint8))
    if camera.resolution < 0.95:
        coarse = (
            max(8, round(width * camera.resolution)),
            max(16, round(height * camera.resolution)),
        )
        image = image.resize(coarse, Image.Resampling.BILINEAR)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    if camera.blur > 0.2:
        image = image.filter(ImageFilter.BoxBlur(camera.blur))
    curve = np.arange(256, dtype=np.float32) / 255 * (camera.brightness * exposure)
    curve = (curve**camera.gamma - 0.45) * camera.contrast + 0.45
    bright = 0.7 + 0.3 * np.tanh((curve - 0.7) / 0.3)  # highlights are compressed, not clipped
    curve = 255 * np.clip(np.where(curve > 0.7, bright, curve), 0.02, 1)
    image = image.convert("RGB", camera.matrix)
    top, left = rng.integers(0, 2 * height, 2)
    noise = camera.grain * _grain(height)[top : top + height, left : left + width]
    return np.clip(curve.take(np.asarray(image)) + noise, 0, 255).astype(np.uint8)
