"""Synthetic twins of the data sets: generated pedestrians in each data set's own layout, so that its parser reads them.

``write(root, spec_for("market1501", 0.08))`` writes

    root/Market-1501-v15.09.15/{bounding_box_train,query,bounding_box_test}/0002_c1s1_000451_01.jpg
    root/masks/Market-1501-v15.09.15/...   PNGs of the person's visible pixels; the key points are in their text
    root/keypoints.csv                     the joints that were drawn, sorted by path
    root/keypoints.npz                     the same as COCO's key points, as a pose network writes them
    root/spec.json                         the spec, seed and version; written first
    root/synthetic.json                    the same and the counts; written last, so the data set is complete

and the same for the others, except that RAiD's masks are in its one file, RAiD_4Cams.mat. Paths in ``keypoints.csv``
and for :func:`mask` are those of the records that the parser reads from ``root``.

Every image has its own random generator, which depends only on (seed, identity, camera, index, data set). Images can
therefore be generated in any order, and an interrupted `write` resumes where it stopped. No two data sets share a
person, a scene or an image, except that Partial-iLIDS and i-LIDS have the same persons and cameras.
"""

import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from math import pi
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gaaplib.datasets import masks, raid
from gaaplib.datasets.synthetic import poses
from gaaplib.datasets.synthetic.cameras import Camera, make_camera
from gaaplib.datasets.synthetic.layouts import (
    LAYOUTS,
    PASSER_BY_CAMERAS,
    RAID_SIZE,
    STRANGERS,
    Item,
    is_query,
)
from gaaplib.datasets.synthetic.pedestrians import JOINTS, Drawing, Look, Stance, make_look, paint
from gaaplib.project import write_whole, written_whole

VERSION = 2  # raise it if a change of the code changes the generated files
# The first number of a generator's key is its purpose, so that no two purposes share random numbers.
LOOK, CAMERA, TRACK, IMAGE, PLAN = range(1, 6)
# The last number of a generator's key: the data set's persons and scenes. Market-1501, the first, has none.
WORLDS = {
    "market1501": (),
    "raid": (1,),
    "ilids": (2,),
    "partial_ilids": (2,),
    "rpifield": (3,),
    "cuhk03": (4,),
}


@dataclass(frozen=True)
class SyntheticSpec:
    """Specification of a synthetic data set: numbers of identities and images, and the images' difficulty.

    Attributes:
        dataset: a key of ``SPECS``.
        train_ids, train_images: numbers in the training split, or in the whole data set if it has no official split;
            without distractors.
        test_ids, queries, gallery: numbers in the official test split; `gallery` counts images of test identities only.
        distractors: number of further images without an identity, or of passers-by.
        passers_by: number of different persons on the distractors; 0: no fixed number.
        junk: number of gallery images that a parser drops.
        cameras, indoor: number of cameras; the first `indoor` of them are indoors.
        cameras_per_id: mean number of cameras that see an identity, without passers-by.
        height, width: size of an image, in pixels.
        occlusion, clutter, cut: shares of images with an object or person in front, with a passer-by behind, and with a
            box that cuts off a part of the person.
        query_occlusion: that share of the queries, if it differs; all other images stay the same.
        cast: how much the cameras differ in colour and exposure (0: not at all).
        quality: sharpness of the cameras, at most 1.

    Raises:
        ValueError: a value is out of bounds; the message has the field and its bounds.
    """

    dataset: str
    train_ids: int = 0
    train_images: int = 0
    test_ids: int = 0
    queries: int = 0
    gallery: int = 0
    distractors: int = 0
    passers_by: int = 0
    junk: int = 0
    cameras: int = 2
    indoor: int = 0
    cameras_per_id: float = 2
    height: int = 128
    width: int = 64
    occlusion: float = 0.2
    clutter: float = 0.25
    cut: float = 0.15
    cast: float = 1.0
    quality: float = 1.0
    query_occlusion: float | None = None

    def __post_init__(self) -> None:
        _check_name(self.dataset)
        for name, (low, high) in self._bounds().items():
            value = getattr(self, name)
            if value is None:
                continue
            if not low <= value <= high:
                raise ValueError(f"{name} is {value!r}, which should be from {low:g} to {high:g}")
            if name in WHOLE and value != int(value):
                raise ValueError(f"{name} is {value!r}, which should be a whole number")

    def _bounds(self) -> dict[str, tuple[float, float]]:
        full = SPECS[self.dataset]
        trains, tests = "train_ids" in full, "test_ids" in full
        # RPIfield's actors have labels up to 112, and each of its twelve cameras needs an actor.
        actors_or_ids = (12, 112) if self.dataset == "rpifield" else (1, 5000)
        # Each identity is in at least two cameras; only Partial-iLIDS has one query per identity.
        views = 2 if trains and tests else 1
        least_images = self.train_ids * self.cameras_per_id
        return {
            "cameras": (full["cameras"], full["cameras"]),
            "cameras_per_id": (2, self.cameras),
            "indoor": (0, self.cameras),
            "train_ids": actors_or_ids if trains else (0, 0),
            "test_ids": (1, 4999) if tests else (0, 0),
            "train_images": (least_images, 8 * self.train_ids if self.dataset == "ilids" else 999_999 * trains),
            "queries": (views * self.test_ids, self.cameras * self.test_ids if trains else self.test_ids),
            "gallery": (self.queries, 999_999 * tests if trains else self.queries),
            "passers_by": (1, 4999) if "passers_by" in full else (0, 0),
            "distractors": (self.passers_by * PASSER_BY_CAMERAS, 999_999 if "distractors" in full else 0),
            "junk": (0, 999_999 if "junk" in full else 0),
            "height": (RAID_SIZE[0],) * 2 if self.dataset == "raid" else (32, 512),
            "width": (RAID_SIZE[1],) * 2 if self.dataset == "raid" else (16, 512),
            "occlusion": (0, 1), "query_occlusion": (0, 1), "clutter": (0, 1), "cut": (0, 1), "cast": (0, 2),
            "quality": (0.1, 1),
        }  # fmt: skip

    @property
    def counts(self) -> dict[str, int]:
        """Number of images of each split, with distractors and junk; the split is "all" if there is no official one."""
        if not self.test_ids:
            return {"all": self.train_images + self.distractors}
        gallery = self.gallery + self.distractors + self.junk
        counts = {"train": self.train_images, "query": self.queries, "gallery": gallery}
        return {split: number for split, number in counts.items() if number}


def spec_for(dataset: str, scale: float, variant: str | None = None) -> SyntheticSpec:
    """The spec of a data set at `scale` times its published size; `variant` is one of its `VARIANTS`.

    The numbers of identities, distractors and junk are multiplied by `scale`; ``FLOORS`` has the least numbers of
    identities. With an official split, the number of images per identity stays the same. Without one, the number of
    images is multiplied by `scale` too, but each identity has at least two images in each of its cameras.

    Raises:
        ValueError: an unknown name or variant, or a scale outside (0, 1].

    Example:
        >>> spec_for("market1501", 1).counts
        {'train': 12936, 'query': 3368, 'gallery': 19732}
        >>> spec = spec_for("market1501", 0.08)
        >>> spec.train_ids, spec.counts
        (60, {'train': 1034, 'query': 269, 'gallery': 1579})
    """
    _check_name(dataset)
    if not 0 < scale <= 1:
        raise ValueError(f"scale is {scale!r}, which should be above 0 and at most 1")
    changes = {None: {}, **VARIANTS.get(dataset, {})}
    if variant not in changes:
        raise ValueError(f"variant {variant!r} of {dataset} is unknown; known: {', '.join(map(str, changes))}")
    full = SPECS[dataset]
    scaled = {name: round(full[name] * scale) for name in ("distractors", "junk") if name in full}
    for name in ("train_ids", "test_ids", "passers_by"):
        if name in full:
            scaled[name] = max(FLOORS[dataset][name], round(full[name] * scale))
    if "test_ids" in full:
        of_ids = {"train_images": "train_ids", "queries": "test_ids", "gallery": "test_ids"}
        for name, ids in of_ids.items():
            if name in full:
                scaled[name] = round(scaled[ids] * (full[name] / full[ids]))
    else:
        two_each = 2 * round(scaled["train_ids"] * full["cameras_per_id"])
        scaled["train_images"] = max(two_each, round(full["train_images"] * scale))
    if "passers_by" in full:
        two_each = 2 * round(scaled["passers_by"] * PASSER_BY_CAMERAS)
        scaled["distractors"] = max(two_each, scaled["distractors"])
    return SyntheticSpec(dataset=dataset, **full | scaled | changes[variant])


def num_images(dataset: str, scale: float) -> int:
    """The number of images of a synthetic data set; arguments and errors are those of :func:`spec_for`."""
    return sum(spec_for(dataset, scale).counts.values())


def draw(
    spec: SyntheticSpec, seed: int, pid: int, camid: int, index: int, visit: int = 0, part: bool = False
) -> Drawing:
    """Generate image `index` of identity `pid` (0 distractor, -1 junk) in camera `camid` (from 1).

    `visit` numbers the identity's appearances in this camera, from 0. With `part`, nothing is in front of the person,
    and the image is cropped to the upper, lower, left or right part of the body.
    """
    if not 1 <= camid <= spec.cameras:
        raise ValueError(f"camid is {camid!r}, which should be from 1 to {spec.cameras}")
    rng = _generator(spec.dataset, seed, IMAGE, pid + 1, camid, index)
    size, camera = (spec.height, spec.width), _camera(spec, seed, camid)
    look = _look(spec.dataset, seed, pid if pid > 0 else _stranger(rng))
    # Within a visit, direction, position and light are nearly constant. Visit 0 adds no number to the key.
    visits = (visit,) if visit else ()
    track = _generator(spec.dataset, seed, TRACK, pid, camid, *visits) if pid > 0 else rng
    view, place, phase = track.uniform(0, 2 * pi), track.uniform(), track.uniform(0, 2 * pi)
    exposure = 1 + spec.cast * track.uniform(-0.12, 0.12)
    lift = track.uniform(0.6, 1.9) if track.random() < 0.25 else 0.0
    gait = (view + rng.normal(0, 0.25), phase + 1.1 * index, look.stride, lift)
    stance = _stance(spec, camera, rng, gait)
    if pid < 1:
        stance = _misplaced(spec, stance, rng, junk=pid < 0)
        look = None if pid == 0 and rng.random() < 0.4 else look
    occluded, beside = rng.random() < spec.occlusion and not part, rng.random() < spec.clutter
    someone = occluded and rng.random() < 0.45
    drawing = paint(
        look, camera, stance, rng, size,
        place=float(np.clip(place + rng.normal(0, 0.03), 0, 1)),
        exposure=exposure * (1 + spec.cast * rng.normal(0, 0.05)),
        behind=_passer_by(spec, seed, camera, rng, nearer=False) if beside else None,
        in_front=_passer_by(spec, seed, camera, rng, nearer=True) if someone else None,
        obstacle=bool(occluded and not someone),
    )  # fmt: skip
    return _part_of(drawing, rng) if part else drawing


def write(root: str | Path, spec: SyntheticSpec, seed: int = 0, progress: bool = True) -> Path:
    """Generate the data set in `root`, unless it is complete already; returns `root` as a Path.

    Images left by an interrupted call are reused, except for RAiD, whose one file is written from the beginning.

    Raises:
        FileExistsError: the folder has other files, or a synthetic data set of another spec, seed or version.
    """
    root = Path(root)
    # What is None is not there, so that a new field leaves older folders as they are.
    given = {name: value for name, value in asdict(spec).items() if value is not None}
    marker = {"version": VERSION, "seed": seed, "spec": given}
    _claim(root, marker)
    if (root / "synthetic.json").exists():
        # A folder of an earlier version of this package may lack them.
        poses.write(root)
        return root
    layout, items = LAYOUTS[spec.dataset], plan(spec, seed)
    of_queries = spec
    if spec.query_occlusion is not None:
        of_queries = replace(spec, occlusion=spec.query_occlusion)
    joints_of_items = layout.store(
        root, items, lambda item: draw(of_queries if is_query(item) else spec, seed, *item[1:])
    )
    bar = tqdm(items, desc=f"generating {spec.dataset}", unit="image", disable=not progress)
    columns = [f"{joint}_{part}" for joint in JOINTS for part in ("x", "y", "visible")]
    with written_whole(root / "keypoints.csv") as part, part.open("w", newline="\n") as file:
        file.write(",".join(["path", *columns]) + "\n")
        # strict=True runs the generator to its end, which writes RAiD's file.
        file.writelines(f"{item.path},{joints}\n" for item, joints in zip(bar, joints_of_items, strict=True))
    if layout.finish is not None:
        layout.finish(root, items)
    poses.write(root)
    write_whole(root / "synthetic.json", json.dumps(marker | {"counts": spec.counts}, indent=1).encode())
    return root


def plan(spec: SyntheticSpec, seed: int) -> list[Item]:
    """All images of the data set as a list of :class:`Item`, sorted by path."""
    return sorted(LAYOUTS[spec.dataset].plan(spec, _generator(spec.dataset, seed, PLAN)))


def mask(root: str | Path, path: str) -> np.ndarray:
    """The mask of the person's visible pixels in an image.

    Args:
        root: the folder of a synthetic data set that :func:`write` generated.
        path: a path from the records that the data set's parser reads from `root`.

    Returns:
        bool (height, width).

    Raises:
        FileNotFoundError: there is no such image.
    """
    if "#" in path:  # an image inside RAiD's file
        return raid.mask(root, path)
    return masks.read(root, path)


def _check_name(dataset: str) -> None:
    if dataset not in SPECS:
        raise ValueError(f"dataset {dataset!r} is unknown; known: {', '.join(sorted(SPECS))}")


def _generator(dataset: str, seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng([seed, *key, *WORLDS[dataset]])


@lru_cache(maxsize=64)
def _camera(spec: SyntheticSpec, seed: int, camid: int) -> Camera:
    order = _generator(spec.dataset, seed, CAMERA).permutation(spec.cameras)[camid - 1]
    rng = _generator(spec.dataset, seed, CAMERA, camid)
    indoor = camid <= spec.indoor
    return make_camera(rng, int(order), spec.cameras, spec.height, spec.cast, spec.quality, indoor)


def _stranger(rng) -> int:
    """A random pid above those of all identities: a person who only passes by."""
    return STRANGERS + int(rng.integers(1000))


@lru_cache(maxsize=8192)
def _look(dataset: str, seed: int, pid: int) -> Look:
    return make_look(_generator(dataset, seed, LOOK, pid))


def _stance(spec, camera: Camera, rng, gait: tuple[float, float, float, float]) -> Stance:
    """A figure's position in its box: it nearly fills it, is slightly off centre, and sometimes cut at head or feet."""
    size = 2 * spec.height * rng.uniform(0.93, 1.0)
    top = (2 * spec.height - size) * rng.uniform(0.2, 0.8)
    if rng.random() < spec.cut:
        size *= rng.uniform(1.1, 1.35)
        top = rng.choice([0.01 * size, (2 * spec.height - size) * rng.uniform(0.6, 0.9)])
    x = spec.width * (1 + rng.normal(0, 0.07))
    return Stance(float(x), float(top), float(size), *gait, camera.tilt)


def _misplaced(spec, stance: Stance, rng, junk: bool) -> Stance:
    """The position for a false detection: junk overlaps its person badly; a distractor may show anyone."""
    near = junk or rng.random() < 0.4
    size = stance.size * (rng.uniform(1.4, 2.4) if near else rng.uniform(0.7, 1.1))
    top = (2 * spec.height - size) * rng.uniform(0, 1)
    x = stance.x + rng.uniform(-0.8, 0.8) * spec.width
    return replace(stance, x=x, top=float(top), size=float(size))


def _passer_by(spec, seed: int, camera: Camera, rng, nearer: bool) -> tuple[Look, Stance]:
    """Another person, partly hidden behind the person or, if `nearer`, hiding a part of the person."""
    look = _look(spec.dataset, seed, _stranger(rng))
    size = 1.84 * spec.height * (rng.uniform(1.0, 1.25) if nearer else rng.uniform(0.6, 0.95))
    feet = 2 * spec.height * (rng.uniform(0.98, 1.15) if nearer else rng.uniform(0.72, 0.9))
    x = spec.width * (1 + rng.choice([-1, 1]) * rng.uniform(0.45, 0.95))
    view, phase = rng.uniform(0, 2 * pi, 2)
    return look, Stance(x, feet - size, size, view, phase, look.stride, 0.0, camera.tilt)


def _part_of(drawing: Drawing, rng) -> Drawing:
    """The drawing cropped to the upper, lower, left or right part of the person."""
    height, width = drawing.mask.shape
    rows, columns = np.flatnonzero(drawing.mask.any(axis=1)), np.flatnonzero(drawing.mask.any(axis=0))
    top, bottom, left, right = 0, height, 0, width
    side, share = rng.choice(["upper", "lower", "left", "right"], p=[0.5, 0.2, 0.15, 0.15]), rng.uniform(0.4, 0.75)
    tall, wide = share * len(rows), share * len(columns)
    if side == "upper":
        bottom = int(rows[0] + tall)
    elif side == "lower":
        top = int(rows[-1] - tall)
    elif side == "left":
        right = int(columns[0] + wide)
    else:
        left = int(columns[-1] - wide)
    joints = drawing.keypoints - np.array([left, top, 0], np.float32)
    inside = (joints[:, :2] >= 0).all(axis=1) & (joints[:, :2] < (right - left, bottom - top)).all(axis=1)
    joints[:, 2] *= inside
    part = np.s_[top:bottom, left:right]
    return Drawing(drawing.image[part], drawing.mask[part], joints)


def _claim(root: Path, marker: dict) -> None:
    """Write ``spec.json`` to `root`, or raise FileExistsError if the folder has other content."""
    spec_file = root / "spec.json"
    if spec_file.exists():
        found = json.loads(spec_file.read_text())
        differing = sorted(key for key in marker if found.get(key) != marker[key])
        if differing:
            was = {key: found.get(key) for key in differing}
            raise FileExistsError(
                f"{root} has a data set of another {' and '.join(differing)}: {was}; remove it or give another folder"
            )
    elif root.exists() and any(root.iterdir()):
        raise FileExistsError(f"{root} has other files and no spec.json; give an empty or new folder")
    else:
        root.mkdir(parents=True, exist_ok=True)
        write_whole(spec_file, json.dumps(marker, indent=1).encode())


WHOLE = (
    "train_ids", "train_images", "test_ids", "queries", "gallery", "distractors", "passers_by", "junk", "cameras",
    "indoor", "height", "width",
)  # fmt: skip
VARIANTS = {"market1501": {"occluded": {"query_occlusion": 1.0}}}
"""What differs from a twin in its variants: in "occluded", luggage, street furniture or a person hides part of each
query's person."""

FLOORS = {
    "market1501": {"train_ids": 2, "test_ids": 2},
    "raid": {"train_ids": 43},
    "partial_ilids": {"test_ids": 60},
    "ilids": {"train_ids": 60},
    "rpifield": {"train_ids": 40, "passers_by": 5},
    "cuhk03": {"train_ids": 2, "test_ids": 2},
}
"""The least numbers of identities at any scale; with fewer, training and comparisons are meaningless."""

SPECS = {
    # 12,936 training images, 3,368 queries, a gallery of 13,120 + 2,793 + 3,819 = 19,732
    "market1501": {
        "train_ids": 751, "train_images": 12_936, "test_ids": 750, "queries": 3368, "gallery": 13_120,
        "distractors": 2793, "junk": 3819, "cameras": 6, "cameras_per_id": 3368 / 750,
    },
    # Posed walks, one person at a time; indoors and outdoors differ far more than Market-1501's six outdoor cameras.
    "raid": {
        "train_ids": 43, "train_images": 6920, "cameras": 4, "cameras_per_id": 170 / 43, "indoor": 2,
        "occlusion": 0.08, "clutter": 0.15, "cut": 0.1, "cast": 1.6, "quality": 0.9,
    },
    # The scenes of i-LIDS. Few whole persons are occluded, and partial images are cropped to their visible part.
    "partial_ilids": {
        "test_ids": 119, "queries": 119, "gallery": 119, "cameras": 2, "cameras_per_id": 2, "indoor": 2,
        "occlusion": 0.1, "clutter": 0.4, "cut": 0.1, "cast": 1.2, "quality": 0.6,
    },
    # A crowded arrival hall: people with luggage occlude each other, and the cameras are poor.
    "ilids": {
        "train_ids": 119, "train_images": 476, "cameras": 2, "cameras_per_id": 2, "indoor": 2,
        "occlusion": 0.6, "clutter": 0.6, "cut": 0.2, "cast": 1.2, "quality": 0.6,
    },
    # A detector's boxes of an outdoor crowd: small, blurred, and often misplaced.
    "rpifield": {
        "train_ids": 112, "train_images": 211_644, "distractors": 389_937, "passers_by": 3996, "cameras": 12,
        "cameras_per_id": 783 / 112, "height": 96, "width": 40,
        "occlusion": 0.25, "clutter": 0.4, "cut": 0.35, "quality": 0.55,
    },
    # Two cameras on a campus, of different colours; a detector's boxes, which cut off heads and feet.
    "cuhk03": {
        "train_ids": 767, "train_images": 7365, "test_ids": 700, "queries": 1400, "gallery": 5332, "cameras": 2,
        "cameras_per_id": 2, "occlusion": 0.15, "clutter": 0.2, "cut": 0.25, "cast": 1.3, "quality": 0.9,
    },
}  # fmt: skip
