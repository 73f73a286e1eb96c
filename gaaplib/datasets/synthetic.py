"""The embedded data set: synthetic pedestrians, written in the folder layout of a real data set.

`write(root, spec_for("market1501", 0.08))` makes

    root/Market-1501-v15.09.15/{bounding_box_train,query,bounding_box_test}/0002_c1s1_000451_01.jpg
    root/masks/<split folder>/<stem>.png   the person's visible pixels; its text: the key points
    root/keypoints.csv                     all key points, sorted by path
    root/spec.json                         what is being drawn, written first
    root/synthetic.json                    the same with the counts, written last: complete

Every image has its own generator, derived from (seed, identity, camera, index) alone, so images can
be drawn in any order and an interrupted `write` goes on where it stopped.
"""

import csv
import io
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from math import pi
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin
from tqdm import tqdm

from gaaplib.datasets.cameras import Camera, make_camera
from gaaplib.datasets.pedestrians import JOINTS, Drawing, Look, Stance, make_look, paint

VERSION = 1  # of the drawing and of the layout: a change of either makes other bytes
FOLDER = "Market-1501-v15.09.15"
SPLITS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
JPEG_QUALITY = 90
# The first number of a generator's key says what it draws, so that no two purposes share one.
LOOK, CAMERA, TRACK, IMAGE, PLAN = range(1, 6)


@dataclass(frozen=True)
class SyntheticSpec:
    """What to draw. The means per identity are numbers of images; sizes are pixels.

    `cameras_per_id` is the mean number of cameras in which an identity is seen, hence the mean
    number of queries of a test identity. `occlusion` is the share of images with something or
    somebody in front, `clutter` that with a passer-by behind, `cut` that with a box that cuts off a
    part. `cast` scales how differently the cameras see colours and light (0: all alike), `quality`
    <= 1 their sharpness.
    """

    dataset: str
    train_ids: int
    test_ids: int
    cameras: int
    images_per_id: float
    cameras_per_id: float
    gallery_per_id: float
    distractors: int
    junk: int
    height: int = 128
    width: int = 64
    occlusion: float = 0.2
    clutter: float = 0.25
    cut: float = 0.15
    cast: float = 1.0
    quality: float = 1.0

    def __post_init__(self) -> None:
        if self.dataset not in SPECS:
            raise ValueError(f"dataset {self.dataset!r} is unknown; known: {', '.join(sorted(SPECS))}")
        bounds = {
            "train_ids": (1, 5000), "test_ids": (1, 4999), "cameras": (2, 9),
            "distractors": (0, 30_000), "junk": (0, 30_000),
            "cameras_per_id": (2, self.cameras), "images_per_id": (self.cameras_per_id, 1000),
            "gallery_per_id": (self.cameras_per_id, 1000),
            "height": (32, 512), "width": (16, 512), "occlusion": (0, 1), "clutter": (0, 1),
            "cut": (0, 1), "cast": (0, 2), "quality": (0.1, 1),
        }  # fmt: skip
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value!r}, which should be from {low} to {high}")
            if name in WHOLE and value != int(value):
                raise ValueError(f"{name} is {value!r}, which should be a whole number")

    @property
    def counts(self) -> dict[str, int]:
        """Images in each split folder."""
        return {
            "train": round(self.train_ids * self.images_per_id),
            "query": round(self.test_ids * self.cameras_per_id),
            "gallery": round(self.test_ids * self.gallery_per_id) + self.distractors + self.junk,
        }


@dataclass(frozen=True)
class Item:
    """One image: split, identity (0 distractor, -1 junk), camera from 1, index there, file stem."""

    split: str
    pid: int
    camid: int
    index: int
    stem: str


def spec_for(dataset: str, scale: float) -> SyntheticSpec:
    """The spec of a data set with `scale` times its identities, distractors and junk images.

    The numbers per identity stay; at least two identities a side remain. An unknown name or a
    scale outside (0, 1] raises ValueError.
    """
    if dataset not in SPECS:
        raise ValueError(f"dataset {dataset!r} is unknown; known: {', '.join(sorted(SPECS))}")
    if not 0 < scale <= 1:
        raise ValueError(f"scale is {scale!r}, which should be above 0 and at most 1")
    full = dict(SPECS[dataset])
    for name, least in (("train_ids", 2), ("test_ids", 2), ("distractors", 0), ("junk", 0)):
        full[name] = max(least, round(full[name] * scale))
    return SyntheticSpec(dataset=dataset, **full)


def draw(spec: SyntheticSpec, seed: int, pid: int, camid: int, index: int) -> Drawing:
    """Draw image `index` of identity `pid` (0 distractor, -1 junk) in camera `camid` (from 1)."""
    if not 1 <= camid <= spec.cameras:
        raise ValueError(f"camid is {camid!r}, which should be from 1 to {spec.cameras}")
    rng = np.random.default_rng([seed, IMAGE, pid + 1, camid, index])
    size, camera = (spec.height, spec.width), _camera(spec, seed, camid)
    look = _look(seed, pid if pid > 0 else _stranger(rng))
    # An identity crosses a camera once: heading, place and light stay alike within one camera.
    track = np.random.default_rng([seed, TRACK, pid, camid]) if pid > 0 else rng
    view, place, phase = track.uniform(0, 2 * pi), track.uniform(), track.uniform(0, 2 * pi)
    exposure = 1 + spec.cast * track.uniform(-0.12, 0.12)
    lift = track.uniform(0.6, 1.9) if track.random() < 0.25 else 0.0
    gait = (view + rng.normal(0, 0.25), phase + 1.1 * index, look.stride, lift)
    stance = _stance(spec, camera, rng, gait)
    if pid < 1:
        stance = _misplaced(spec, stance, rng, junk=pid < 0)
        look = None if pid == 0 and rng.random() < 0.4 else look
    occluded, beside = rng.random() < spec.occlusion, rng.random() < spec.clutter
    someone = occluded and rng.random() < 0.45
    return paint(
        look, camera, stance, rng, size,
        place=float(np.clip(place + rng.normal(0, 0.03), 0, 1)),
        exposure=exposure * (1 + spec.cast * rng.normal(0, 0.05)),
        behind=_passer_by(spec, seed, camera, rng, nearer=False) if beside else None,
        in_front=_passer_by(spec, seed, camera, rng, nearer=True) if someone else None,
        obstacle=bool(occluded and not someone),
    )  # fmt: skip


def write(root: str | Path, spec: SyntheticSpec, seed: int = 0, progress: bool = True) -> Path:
    """Draw the data set under `root` and return it; a complete one is left alone.

    Files of an interrupted draw are kept. A folder that holds something else, or the same with
    another spec, seed or version, raises FileExistsError.
    """
    root = Path(root)
    marker = {"version": VERSION, "seed": seed, "spec": asdict(spec)}
    _claim(root, marker)
    if (root / "synthetic.json").exists():
        return root
    for folder in SPLITS.values():
        (root / FOLDER / folder).mkdir(parents=True, exist_ok=True)
        (root / "masks" / folder).mkdir(parents=True, exist_ok=True)
    items = plan(spec, seed)
    bar = tqdm(items, desc=f"drawing {spec.dataset}", unit="image", disable=not progress)
    rows = [[f"{SPLITS[item.split]}/{item.stem}.jpg", *_write_item(root, spec, seed, item)] for item in bar]
    columns = [f"{joint}_{part}" for joint in JOINTS for part in ("x", "y", "visible")]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["path", *columns], *sorted(rows)])
    _replace(root / "keypoints.csv", text.getvalue().encode())
    _replace(root / "synthetic.json", json.dumps(marker | {"counts": spec.counts}, indent=1).encode())
    return root


def plan(spec: SyntheticSpec, seed: int) -> list[Item]:
    """Every image of the data set: who is seen in which cameras, how often, and the file names."""
    rng = np.random.default_rng([seed, PLAN])
    ids = rng.permutation(np.arange(1, spec.train_ids + spec.test_ids + 1))
    train, test = np.sort(ids[: spec.train_ids]), np.sort(ids[spec.train_ids :])
    items = []
    for pid, camid, number in _sightings(spec, rng, train, spec.counts["train"]):
        items += [_item("train", pid, camid, index, rng) for index in range(number)]
    good = spec.counts["gallery"] - spec.distractors - spec.junk
    for pid, camid, number in _sightings(spec, rng, test, good):
        chosen = rng.integers(number + 1)
        for index in range(number + 1):
            items.append(_item("query" if index == chosen else "gallery", pid, camid, index, rng))
    for pid, number in ((0, spec.distractors), (-1, spec.junk)):
        for index in range(number):
            items.append(_item("gallery", pid, int(rng.integers(1, spec.cameras + 1)), index, rng))
    return items


def _sightings(spec, rng, pids: np.ndarray, images: int) -> Iterator[tuple[int, int, int]]:
    """Yield (pid, camid, number of images): two cameras or more each, one image or more in each."""
    seen = np.full(len(pids), 2)
    for _ in range(round(len(pids) * spec.cameras_per_id) - seen.sum()):
        seen[rng.choice(np.flatnonzero(seen < spec.cameras))] += 1
    pairs = [
        (int(pid), int(camid))
        for pid, number in zip(pids, seen, strict=True)
        for camid in np.sort(rng.choice(np.arange(1, spec.cameras + 1), number, replace=False))
    ]
    weights = rng.gamma(2.0, size=len(pairs))
    numbers = 1 + rng.multinomial(images - len(pairs), weights / weights.sum())
    for (pid, camid), number in zip(pairs, numbers, strict=True):
        yield pid, camid, int(number)


def _item(split: str, pid: int, camid: int, index: int, rng) -> Item:
    """Name an image as Market-1501 does; the frame grows with the index, so no name repeats."""
    frame, sequence = 25 * index + int(rng.integers(1, 25)), 1 + (7 * pid + camid) % 6
    start = (pid * 7919 + camid * 104_729) % 80_000 if pid > 0 else 0
    who = f"{pid:04d}" if pid >= 0 else "-1"
    box = int(rng.integers(1, 7)) if split != "query" else 0
    return Item(split, pid, camid, index, f"{who}_c{camid}s{sequence}_{start + frame:06d}_{box:02d}")


@lru_cache(maxsize=64)
def _camera(spec: SyntheticSpec, seed: int, camid: int) -> Camera:
    order = np.random.default_rng([seed, CAMERA]).permutation(spec.cameras)[camid - 1]
    rng = np.random.default_rng([seed, CAMERA, camid])
    return make_camera(rng, int(order), spec.cameras, spec.height, spec.cast, spec.quality)


def _stranger(rng) -> int:
    """A number above every identity's: one of the people who only pass by."""
    return 10_000 + int(rng.integers(1000))


@lru_cache(maxsize=8192)
def _look(seed: int, pid: int) -> Look:
    return make_look(np.random.default_rng([seed, LOOK, pid]))


def _stance(spec, camera: Camera, rng, gait: tuple[float, float, float, float]) -> Stance:
    """A figure in its box: nearly filling it, off a little, sometimes cut at head or feet."""
    size = 2 * spec.height * rng.uniform(0.93, 1.0)
    top = (2 * spec.height - size) * rng.uniform(0.2, 0.8)
    if rng.random() < spec.cut:
        size *= rng.uniform(1.1, 1.35)
        top = rng.choice([0.01 * size, (2 * spec.height - size) * rng.uniform(0.6, 0.9)])
    x = spec.width * (1 + rng.normal(0, 0.07))
    return Stance(float(x), float(top), float(size), *gait, camera.tilt)


def _misplaced(spec, stance: Stance, rng, junk: bool) -> Stance:
    """A false detection: junk overlaps its person badly, a distractor may hold anybody."""
    near = junk or rng.random() < 0.4
    size = stance.size * (rng.uniform(1.4, 2.4) if near else rng.uniform(0.7, 1.1))
    top = (2 * spec.height - size) * rng.uniform(0, 1)
    x = stance.x + rng.uniform(-0.8, 0.8) * spec.width
    return replace(stance, x=x, top=float(top), size=float(size))


def _passer_by(spec, seed: int, camera: Camera, rng, nearer: bool) -> tuple[Look, Stance]:
    """Somebody else, half hidden behind the person or (nearer) hiding a part of it."""
    look = _look(seed, _stranger(rng))
    size = 1.84 * spec.height * (rng.uniform(1.0, 1.25) if nearer else rng.uniform(0.6, 0.95))
    feet = 2 * spec.height * (rng.uniform(0.98, 1.15) if nearer else rng.uniform(0.72, 0.9))
    x = spec.width * (1 + rng.choice([-1, 1]) * rng.uniform(0.45, 0.95))
    view, phase = rng.uniform(0, 2 * pi, 2)
    return look, Stance(x, feet - size, size, view, phase, look.stride, 0.0, camera.tilt)


def _claim(root: Path, marker: dict) -> None:
    """Make `root` this draw's, or refuse it."""
    spec_file = root / "spec.json"
    if spec_file.exists():
        found = json.loads(spec_file.read_text())
        differing = sorted(key for key in marker if found.get(key) != marker[key])
        if differing:
            was = {key: found.get(key) for key in differing}
            raise FileExistsError(f"{root} holds a data set of another {' and '.join(differing)}: {was}")
    elif root.exists() and any(root.iterdir()):
        raise FileExistsError(f"{root} holds other files and no spec.json; give an empty or new folder")
    else:
        root.mkdir(parents=True, exist_ok=True)
        _replace(spec_file, json.dumps(marker, indent=1).encode())


def _write_item(root: Path, spec: SyntheticSpec, seed: int, item: Item) -> list[str]:
    """Draw and write one image unless it is there; returns its key points as text."""
    image_file = root / FOLDER / SPLITS[item.split] / f"{item.stem}.jpg"
    mask_file = root / "masks" / SPLITS[item.split] / f"{item.stem}.png"
    if image_file.exists() and mask_file.exists():  # each appears whole or not at all
        with Image.open(mask_file) as mask:
            return mask.text["keypoints"].split(",")
    drawing = draw(spec, seed, item.pid, item.camid, item.index)
    joints = [text for x, y, seen in drawing.keypoints.tolist() for text in (f"{x:.1f}", f"{y:.1f}", f"{seen:.0f}")]
    info = PngImagePlugin.PngInfo()
    info.add_text("keypoints", ",".join(joints))
    _replace(mask_file, _encoded(Image.fromarray(drawing.mask), "PNG", pnginfo=info))
    _replace(image_file, _encoded(Image.fromarray(drawing.image), "JPEG", quality=JPEG_QUALITY))
    return joints


def _encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    os.replace(temporary, path)


WHOLE = ("train_ids", "test_ids", "cameras", "distractors", "junk", "height", "width")
SPECS = {
    # 12,936 training images, 3,368 queries, a gallery of 13,120 + 2,793 + 3,819 = 19,732
    "market1501": {
        "train_ids": 751, "test_ids": 750, "cameras": 6, "images_per_id": 12_936 / 751,
        "cameras_per_id": 3368 / 750, "gallery_per_id": 13_120 / 750,
        "distractors": 2793, "junk": 3819,
    },
}  # fmt: skip
