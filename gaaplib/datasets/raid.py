"""RAiD: 43 persons, two indoor and two outdoor cameras, in one MATLAB file.

The file has MATLAB's format v7.3, which is HDF5. Its struct ``dataset`` has ``images`` (128 x 64 x 3 x 6,920, uint8),
``masks`` (128 x 64 x 6,920, the person's foreground), and one ``cam`` (1 to 4) and ``personID`` per image. In HDF5 the
axes are reversed: ``images`` is (6920, 3, 64, 128). Person 8 is not in camera 3, and person 34 is not in camera 4.

The path of an image is the file's name, "#", and the image's number from 0: ``RAiD_4Cams.mat#000123``.

Source: A. Das et al., "Consistent Re-identification in a Camera Network", ECCV 2014.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from PIL import Image

from gaaplib.datasets.files import check_links, is_archive, one_home, permitted
from gaaplib.datasets.records import make_records, warn_if_counts_differ

TREE = """
RAiD_4Cams.mat                    the root, under any name, or a file in it
"""

FILE = "RAiD_4Cams.mat"

EXPECTED = {"all": {"images": 6_920, "identities": 43, "cameras": 4}}
"""Counts of the published data set; the GAAP paper prints 6,290 images."""

CAMERAS = (1, 2, 3, 4)
AXES = {"images": (3, 64, 128), "masks": (64, 128)}
FIELDS = ("images", "masks", "cam", "personID")
MEMBER = re.compile(r"(?P<file>[^/#]+)#(?P<number>\d{6})", re.ASCII)
CHUNK = 256
LAST_PERSON = 999_999_999
MOST = 1_000_000
"""No more images, because a member's number has six digits."""


def read(root: str | PathLike, expected: Mapping[str, Mapping[str, int]] | None = EXPECTED) -> pd.DataFrame:
    """Records of RAiD; no pixel is read.

    Gives one UserWarning if the counts differ from the expected ones.

    Args:
        root: the file ``RAiD_4Cams.mat``, under any name, or the folder that directly contains it.
        expected: the expected counts, in the form of ``EXPECTED``; None skips the comparison.

    Returns:
        Records as described in :mod:`gaaplib.datasets.records`; cameras are 1 to 4, the split is "all", and row n is
        image n of the file. Paths are relative to the file's folder; :func:`image` opens them.

    Raises:
        FileNotFoundError: the file is missing, or still in an archive.
        PermissionError: it may not be read.
        ValueError: a file of another format, a damaged one, fields that are missing or of another shape than RAiD's, a
            camera or person number out of range, fewer than two identities, or a link that leads out of the root.
    """
    with _open(root) as (file, dataset):
        camids, pids = (dataset[name][()].ravel() for name in ("cam", "personID"))
    _refuse(~np.isin(camids, CAMERAS), camids, file, "cam", "a camera 1 to 4")
    whole = (pids == np.floor(pids)) & (pids >= 1) & (pids <= LAST_PERSON)
    _refuse(~whole, pids, file, "personID", f"a whole number from 1 to {LAST_PERSON}")
    if len(np.unique(pids)) < 2:
        raise ValueError(f"{file} has images of person {int(pids[0])} only: training needs at least two identities")
    people = zip(pids, camids, strict=True)
    rows = ((f"{file.name}#{number:06d}", int(pid), int(camid), "all") for number, (pid, camid) in enumerate(people))
    records = make_records(rows)
    if expected is not None:
        warn_if_counts_differ(records, expected, "RAiD")
    return records


def image(root: str | PathLike, path: str) -> Image.Image:
    """One image; for many, :func:`images` is faster.

    Args:
        root: as for :func:`read`.
        path: a path from the records.

    Returns:
        The image, RGB, 128 pixels high and 64 wide.

    Raises:
        FileNotFoundError, PermissionError, ValueError: as :func:`read`, or the path is not of an image in this file.
    """
    return next(images(root, [path]))


def images(root: str | PathLike, paths: Iterable[str]) -> Iterator[Image.Image]:
    """Yield the images of these paths in their order; the file is opened once and read in chunks.

    The order of the records is the fastest. Arguments and errors are those of :func:`image`; errors are raised when the
    first image is taken.
    """
    for pixels in _members(root, paths, "images"):
        yield Image.fromarray(pixels)


def mask(root: str | PathLike, path: str) -> np.ndarray:
    """The foreground of one image: bool (128, 64), True on the person.

    Arguments and errors are those of :func:`image`.
    """
    return next(masks(root, [path]))


def masks(root: str | PathLike, paths: Iterable[str]) -> Iterator[np.ndarray]:
    """Yield the foregrounds of these paths in their order, as :func:`mask` and :func:`images` do."""
    for found in _members(root, paths, "masks"):
        yield found != 0


def _members(root: str | PathLike, paths: Iterable[str], field: str) -> Iterator[np.ndarray]:
    """Yield a field's value for each path, with the axes in MATLAB's order."""
    with _open(root) as (file, dataset):
        stored = dataset[field]
        numbers = [_number(path, file, len(stored)) for path in paths]
        for start in range(0, len(numbers), CHUNK):
            wanted, position = np.unique(numbers[start : start + CHUNK], return_inverse=True)
            contiguous = wanted[-1] - wanted[0] + 1 == len(wanted)
            chunk = stored[wanted[0] : wanted[-1] + 1] if contiguous else stored[wanted]
            for row in position:
                yield np.ascontiguousarray(chunk[row].T)


def _number(path: str, file: Path, images: int) -> int:
    member = MEMBER.fullmatch(path)
    if member is None or member["file"] != file.name or int(member["number"]) >= images:
        raise ValueError(
            f"{path!r} is not an image in {file}: its {images} images are {file.name}#000000 to "
            f"{file.name}#{images - 1:06d}"
        )
    return int(member["number"])


@contextmanager
def _open(root: str | PathLike) -> Iterator[tuple[Path, h5py.Group]]:
    """The file and its struct ``dataset``, whose fields have been checked; names the file in all errors inside it."""
    file = _find_file(Path(root).expanduser())
    with permitted(file), file.open("rb") as opened:
        start = opened.read(19)
    if not h5py.is_hdf5(file):
        old = start.startswith(b"MATLAB 5.0")
        raise ValueError(
            f"{file} is not an HDF5 file, which MATLAB's format v7.3 is, but begins with {start!r}: "
            + ("load it in MATLAB and save it with '-v7.3', or " if old else "")
            + "download the data set again"
        )
    try:
        with h5py.File(file, "r") as opened:
            dataset = opened.get("dataset")
            if not isinstance(dataset, h5py.Group):
                raise ValueError(f"{file} has no struct 'dataset', but {_listed(opened)}: expected RAiD's {FILE}")
            _check_fields(file, dataset)
            yield file, dataset
    # On damaged files h5py raises errors of many types, when it opens one and when it reads: OSError, KeyError,
    # RuntimeError, MemoryError and others. Errors of this module have the file's name.
    except Exception as error:
        if isinstance(error, ValueError) and str(file) in str(error):
            raise
        raise ValueError(f"{file} cannot be read ({error}): it may be damaged; download the data set again") from error


def _find_file(root: Path) -> Path:
    found = [file for file in (root, root / FILE) if os.path.isfile(file) and not is_archive(file.name)]
    file = one_home(found, root, "RAiD", TREE, names=[FILE])
    check_links(file, root)
    return file


def _check_fields(file: Path, dataset: h5py.Group) -> None:
    missing = [name for name in FIELDS if not isinstance(dataset.get(name), h5py.Dataset)]
    if missing:
        raise ValueError(f"the struct 'dataset' in {file} has no {', '.join(missing)}; found there: {_listed(dataset)}")
    fields = {name: dataset[name] for name in FIELDS}
    for name, field in fields.items():
        _check_field(file, name, field)
    lengths = {name: len(field) if name in AXES else field.size for name, field in fields.items()}
    if len(set(lengths.values())) != 1 or not 1 <= lengths["images"] <= MOST:
        raise ValueError(
            f"the fields in {file} have {lengths} entries: expected equal numbers, one or more and at most {MOST}; "
            "download the data set again"
        )


def _check_field(file: Path, name: str, field: h5py.Dataset) -> None:
    if name in AXES:
        fits = field.shape[1:] == AXES[name]
        right = f"(images, {', '.join(map(str, AXES[name]))}), which is MATLAB's reversed"
    else:
        fits = field.shape in ((1, field.size), (field.size, 1))
        right = "(1, images) or (images, 1)"
    if not fits:
        raise ValueError(f"{name} in {file} has shape {field.shape}: expected {right}")
    fits = field.dtype == np.uint8 if name == "images" else field.dtype.kind in "buif"
    if not fits:
        right = "uint8" if name == "images" else "numbers"
        raise ValueError(f"{name} in {file} has type {field.dtype}: expected {right}")


def _refuse(wrong: np.ndarray, values: np.ndarray, file: Path, field: str, right: str) -> None:
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"{field} of image {first:06d} in {file} is {values[first]:g} ({wrong.sum()} such): it must be {right}"
        )


def _listed(names: Iterable[str]) -> str:
    names = sorted(names)
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "") or "nothing"
