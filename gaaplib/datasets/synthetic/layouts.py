"""The layout on disk of each synthetic data set: its images, their names, and further files.

A layout plans every image (:class:`Item`), stores the generated images, and writes the data set's other files. The
content of the images is defined in :mod:`gaaplib.datasets.synthetic.generate`.
"""

import io
import itertools
import posixpath
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from PIL import Image, PngImagePlugin

from gaaplib.datasets import masks
from gaaplib.datasets.synthetic.pedestrians import Drawing
from gaaplib.project import write_whole, written_whole

JPEG_QUALITY = 90
STRANGERS, PASSERS_BY = 10_000, 11_000
"""First pid of people who appear beside another person, and of passers-by who have images of their own."""

SPLIT_FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
RAID_FILE = "RAiD_4Cams.mat"
RAID_MISSING = {(8, 3), (34, 4)}  # (person, camera)
RAID_SIZE = (128, 64)
LONE_ACTOR = 89  # RPIfield's actor who is in one camera only
PASSER_BY_CAMERAS = 4988 / 3996  # RPIfield: mean number of cameras per passer-by


class Item(NamedTuple):
    """One image to generate; items sort by path.

    Attributes:
        path: the path in the parser's records, relative to the data set's root.
        pid: an identity from 1, a passer-by from ``PASSERS_BY``, 0 for a distractor with any person or none, -1 junk.
        camid: the camera from 1, even if the path does not have it.
        index: number of the image, unique within its pid and camera.
        visit: number of the person's appearance in this camera, from 0.
        part: the image is cropped to a part of the person.
    """

    path: str
    pid: int
    camid: int
    index: int
    visit: int = 0
    part: bool = False


class Layout(NamedTuple):
    """The layout of one data set.

    Attributes:
        plan: (spec, random generator) -> items in any order.
        store: (root, items, draw) -> iterator over the text of each item's key points. It generates and stores the
            images; an image is on disk when its text is returned, or when the iterator ends.
        finish: (root, items) -> None; writes the data set's other files.
    """

    plan: Callable[..., Iterator[Item]]
    store: Callable[[Path, list[Item], Callable[[Item], Drawing]], Iterator[str]]
    finish: Callable[[Path, list[Item]], None] | None = None


# -- storing -----------------------------------------------------------------------------------------------------------


def is_query(item: Item) -> bool:
    """Whether an image is a query of the official split."""
    return posixpath.basename(posixpath.dirname(item.path)) == SPLIT_FOLDERS["query"]


def store_files(root: Path, items: list[Item], draw: Callable[[Item], Drawing]) -> Iterator[str]:
    """Store each image and its mask in two files; existing pairs are reused."""
    for folder in sorted({posixpath.dirname(item.path) for item in items}):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / "masks" / folder).mkdir(parents=True, exist_ok=True)
    for item in items:
        file, of_mask = root / item.path, masks.file_of(root, item.path)
        joints = _stored(file, of_mask)
        if joints is not None:
            yield joints
            continue
        drawing = draw(item)
        joints = _joints_text(drawing)
        info = PngImagePlugin.PngInfo()
        info.add_text("keypoints", joints)
        write_whole(of_mask, _encoded(drawing.mask, "PNG", pnginfo=info), sync=False)
        options = {} if file.suffix == ".png" else {"quality": JPEG_QUALITY}
        write_whole(file, _encoded(drawing.image, "JPEG" if options else "PNG", **options), sync=False)
        yield joints


def _stored(file: Path, of_mask: Path) -> str | None:
    """The key points in a mask if it and its image are there; None if one is missing, or empty after a power cut."""
    if not (file.exists() and file.stat().st_size and of_mask.exists()):
        return None
    try:
        with Image.open(of_mask) as mask:
            return mask.text["keypoints"]
    except (OSError, KeyError):
        return None


def store_raid(root: Path, items: list[Item], draw: Callable[[Item], Drawing]) -> Iterator[str]:
    """Store all images in RAiD's one file, which is put in its place after the last image."""
    (height, width), images = RAID_SIZE, len(items)
    with written_whole(root / RAID_FILE) as temporary:
        # MATLAB's format v7.3 is HDF5 after a header of 512 bytes, with the axes reversed.
        with h5py.File(temporary, "w", userblock_size=512) as file:
            struct = file.create_group("dataset")
            struct.attrs["MATLAB_class"] = np.bytes_("struct")
            pixels = _matlab_field(struct, "images", "uint8", (images, 3, width, height), np.uint8)
            chunks = {"chunks": (min(32, images), width, height), "compression": "gzip"}
            persons = _matlab_field(struct, "masks", "logical", (images, width, height), np.uint8, **chunks)
            persons.attrs["MATLAB_int_decode"] = np.int32(1)
            for number, item in enumerate(items):
                drawing = draw(item)
                pixels[number], persons[number] = drawing.image.T, drawing.mask.T
                yield _joints_text(drawing)
            numbers = {
                "cam": [item.camid for item in items],
                "personID": [item.pid for item in items],
                "personSubsetImageIndex": [item.index + 1 for item in items],
            }
            for name, values in numbers.items():
                _matlab_field(struct, name, "double", (1, images), np.float64)[:] = values
        with temporary.open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file, synthetic".ljust(116) + bytes(8) + b"\x00\x02IM")


def _matlab_field(struct, name: str, matlab_class: str, shape: tuple, dtype, **options) -> h5py.Dataset:
    # Without timestamps, so that equal images give equal files.
    field = struct.create_dataset(name, shape, dtype, track_times=False, **options)
    field.attrs["MATLAB_class"] = np.bytes_(matlab_class)
    return field


def _joints_text(drawing: Drawing) -> str:
    return ",".join(f"{x:.1f},{y:.1f},{seen:.0f}" for x, y, seen in drawing.keypoints.tolist())


def _encoded(pixels: np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


# -- distributing images -----------------------------------------------------------------------------------------------


def _dealt(rng: np.random.Generator, least: np.ndarray, most: int, total: int) -> np.ndarray:
    """Whole numbers with sum ``total``: ``least``, and the rest added at random, up to ``most`` each."""
    numbers = least.copy()
    for _ in range(total - numbers.sum()):
        numbers[rng.choice(np.flatnonzero(numbers < most))] += 1
    return numbers


def _spread(rng: np.random.Generator, total: int, weights: np.ndarray, least: int) -> np.ndarray:
    """Whole numbers with sum ``total``, about in proportion to the weights; at least ``least`` if there are enough."""
    least = min(least, total // len(weights))
    return least + rng.multinomial(total - least * len(weights), weights / weights.sum())


def _sightings(spec, rng, pids: np.ndarray, views: int, images: int, least: int) -> Iterator[tuple[int, int, int]]:
    """Yield (pid, camid, number of images): at least two cameras per pid, ``views`` pairs of pid and camera in all."""
    seen = _dealt(rng, np.full(len(pids), 2), spec.cameras, views)
    pairs = [
        (int(pid), int(camid))
        for pid, number in zip(pids, seen, strict=True)
        for camid in np.sort(rng.choice(np.arange(1, spec.cameras + 1), number, replace=False))
    ]
    numbers = _spread(rng, images, rng.gamma(2.0, size=len(pairs)), least)
    for (pid, camid), number in zip(pairs, numbers, strict=True):
        yield pid, camid, int(number)


def _official_split(spec, rng, least: int) -> Iterator[tuple[str, int, int, int]]:
    """Yield (split, pid, camid, index); each test identity has one query per camera that sees it."""
    ids = rng.permutation(np.arange(1, spec.train_ids + spec.test_ids + 1))
    train, test = np.sort(ids[: spec.train_ids]), np.sort(ids[spec.train_ids :])
    views = round(spec.train_ids * spec.cameras_per_id)
    for pid, camid, number in _sightings(spec, rng, train, views, spec.train_images, least):
        for index in range(number):
            yield "train", pid, camid, index
    for pid, camid, number in _sightings(spec, rng, test, spec.queries, spec.gallery, 1):
        chosen = rng.integers(number + 1)
        for index in range(number + 1):
            yield "query" if index == chosen else "gallery", pid, camid, index


# -- the data sets -----------------------------------------------------------------------------------------------------


def _plan_market1501(spec, rng) -> Iterator[Item]:
    for split, pid, camid, index in _official_split(spec, rng, least=1):
        yield _market_item(split, pid, camid, index, rng)
    for pid, number in ((0, spec.distractors), (-1, spec.junk)):
        for index in range(number):
            yield _market_item("gallery", pid, int(rng.integers(1, spec.cameras + 1)), index, rng)


def _market_item(split: str, pid: int, camid: int, index: int, rng) -> Item:
    """An item of Market-1501. The frame number grows with the index, so names are unique."""
    frame, sequence = 25 * index + int(rng.integers(1, 25)), 1 + (7 * pid + camid) % 6
    start = (pid * 7919 + camid * 104_729) % 80_000 if pid > 0 else 0
    who = f"{pid:04d}" if pid >= 0 else "-1"
    box = int(rng.integers(1, 7)) if split != "query" else 0
    name = f"{who}_c{camid}s{sequence}_{start + frame:06d}_{box:02d}.jpg"
    return Item(f"Market-1501-v15.09.15/{SPLIT_FOLDERS[split]}/{name}", pid, camid, index)


def _plan_cuhk03(spec, rng) -> Iterator[Item]:
    for split, pid, camid, index in _official_split(spec, rng, least=2):
        name = f"{pid:04d}_c{camid}_{index + 1}.png"
        yield Item(f"cuhk03-np/detected/{SPLIT_FOLDERS[split]}/{name}", pid, camid, index)


def _plan_raid(spec, rng) -> Iterator[Item]:
    everywhere = itertools.product(range(1, spec.train_ids + 1), range(1, spec.cameras + 1))
    pairs = [pair for pair in everywhere if pair not in RAID_MISSING]
    numbers = _spread(rng, spec.train_images, rng.gamma(6.0, size=len(pairs)), least=2)
    images = ((*pair, index) for pair, number in zip(pairs, numbers, strict=True) for index in range(number))
    for number, (pid, camid, index) in enumerate(images):
        yield Item(f"{RAID_FILE}#{number:06d}", pid, camid, index)


def _plan_ilids(spec, rng) -> Iterator[Item]:
    """Two to eight images per person, the first half from one camera and the rest from the other."""
    numbers = _dealt(rng, np.full(spec.train_ids, 2), 8, spec.train_images)
    for pid, number in enumerate(numbers.tolist(), 1):
        first = int(rng.integers(2))
        for index in range(number):
            camid = 1 + (first + (2 * index >= number)) % 2
            yield Item(f"i-LIDS_Pedestrian/Persons/{pid:04d}{index + 1:03d}.jpg", pid, camid, index)


def _plan_partial_ilids(spec, rng) -> Iterator[Item]:
    for pid in range(1, spec.test_ids + 1):
        query_camera = int(rng.integers(1, 3))
        # Index 8 is above all indices of i-LIDS: the same persons, but other images.
        yield Item(f"Partial_iLIDS/partial_body_images/{pid:03d}.jpg", pid, query_camera, 8, part=True)
        yield Item(f"Partial_iLIDS/whole_body_images/{pid:03d}.jpg", pid, 3 - query_camera, 8)


def _plan_rpifield(spec, rng) -> Iterator[Item]:
    # An actor is in 7 of 12 cameras (deviation 2.2) on average, twice in each; a passer-by appears once per camera.
    few = np.clip(np.rint(rng.normal(5, 2, spec.train_ids)), 2, spec.cameras).astype(int)
    actor_cameras = _dealt(rng, few, spec.cameras, round(spec.train_ids * spec.cameras_per_id))
    actor_cameras[LONE_ACTOR - 1 : LONE_ACTOR] = 1
    once = np.ones(spec.passers_by, int)
    passer_by_cameras = _dealt(rng, once, spec.cameras, round(spec.passers_by * PASSER_BY_CAMERAS))
    for first, cameras, images, most_visits in (
        (1, actor_cameras, spec.train_images, 8),
        (PASSERS_BY, passer_by_cameras, spec.distractors, 1),
    ):
        pairs = [
            (label, camid)
            for label, number in enumerate(cameras.tolist(), first)
            for camid in _some_cameras(rng, spec.cameras, label, number)
        ]
        visits = np.minimum(rng.geometric(0.5, len(pairs)), most_visits)
        lengths = [rng.lognormal(0, 0.8, number) for number in visits]
        numbers = _spread(rng, images, np.array([length.sum() for length in lengths]), least=2)
        for (label, camid), length, number in zip(pairs, lengths, numbers.tolist(), strict=True):
            yield from _visits(rng, label, camid, length, number)


def _some_cameras(rng, cameras: int, label: int, number: int) -> list[int]:
    """Sorted cameras of one person. One of them follows from the label, so that every camera has images."""
    certain = 1 + label % cameras
    others = [camid for camid in range(1, cameras + 1) if camid != certain]
    return sorted([certain, *rng.permutation(others)[: number - 1].tolist()])


def _visits(rng, label: int, camid: int, length: np.ndarray, number: int) -> Iterator[Item]:
    """The images of one person in one camera, visit by visit; there are at most as many visits as images."""
    index = itertools.count()
    for visit, boxes in enumerate(_spread(rng, number, length[:number], least=1).tolist()):
        folder = f"Data/Cam_{camid}/{label}" + (f"_{visit}" if visit else "")
        start = 33_000 * visit + int(rng.integers(25_000))
        for frame in (start + np.cumsum(rng.integers(1, 5, boxes))).tolist():
            yield Item(f"{folder}/Cam_{camid}f_{frame}.png", label, camid, next(index), visit)


def _annotate_rpifield(root: Path, items: list[Item]) -> None:
    """Write the annotation of each camera as a MATLAB file; names of images are relative to ``Cam_<camera>``."""
    from scipy.io import savemat  # only here: its import takes as long as all others

    folder = root / "Data_Info"
    folder.mkdir(exist_ok=True)
    names = {}
    for item in items:
        names.setdefault(item.camid, []).append(item.path.split("/")[2:])
    for camid, parts in sorted(names.items()):
        variables = {
            "allimagenames": _cells("\\".join(part) for part in parts),
            "ids": _cells(label for label, _ in parts),
            "timestamps": np.array([[float(name.split("_")[-1].removesuffix(".png"))] for _, name in parts]),
        }
        content = io.BytesIO()
        savemat(content, variables, do_compression=True)
        content.seek(0)
        content.write(b"MATLAB 5.0 MAT-file, synthetic".ljust(116))  # replaces the date
        write_whole(folder / f"Cam_{camid}.mat", content.getvalue())


def _cells(texts: Iterator[str]) -> np.ndarray:
    """A MATLAB cell array (1, n) of strings."""
    return np.array([list(texts)], dtype=object)


LAYOUTS = {
    "market1501": Layout(_plan_market1501, store_files),
    "raid": Layout(_plan_raid, store_raid),
    "partial_ilids": Layout(_plan_partial_ilids, store_files),
    "ilids": Layout(_plan_ilids, store_files),
    "rpifield": Layout(_plan_rpifield, store_files, _annotate_rpifield),
    "cuhk03": Layout(_plan_cuhk03, store_files),
}
