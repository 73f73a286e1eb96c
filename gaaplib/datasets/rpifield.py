"""RPIfield: 112 actors who walked repeatedly through a crowd, twelve outdoor cameras, boxes from a detector.

``TREE`` shows the layout. A folder's name is the label and, from the person's second appearance in this camera on, the
number of the reappearance. A file name is the camera and the frame. Labels 1 to 112 are actors. Labels from 10001 on
are passers-by, who are distractors.

Each camera has an annotation: a MATLAB file with ``allimagenames`` (with backslashes), ``ids`` (the folders) and
``timestamps`` (frames). It is in ``Data_Info`` or in the same folder as the images' folders, and it is optional.

Source: M. Zheng et al., "RPIfield: A New Dataset for Temporally Evaluating Person Re-Identification", CVPR Workshops
2018.
"""

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from math import prod
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from gaaplib.datasets.files import (
    check_links,
    check_names,
    folders_in,
    found_in,
    images_in,
    one_home,
    read_matlab,
)
from gaaplib.datasets.records import DISTRACTOR, make_records, warn_if_counts_differ

TREE = """
Data/                             the root, or a folder in it; each of the twelve cameras:
    Cam_1/2/Cam_1f_44841.png
    Cam_1/2_1/Cam_1f_67001.png
    Cam_12/15107/Cam_12f_47445.png
Data_Info/
    Cam_1.mat                     may be missing
"""

FOLDER = "Data"
ANNOTATION_FOLDER = "Data_Info"
VARIABLES = ("allimagenames", "ids", "timestamps")
CAMERAS = range(1, 13)

EXPECTED = {"all": {"images": 601_581, "identities": 113, "cameras": 12}}
"""Counts of the published data set; the identities are the 112 actors and the distractor, counted as one."""

LAST_ACTOR, FIRST_DISTRACTOR = 112, 10_001
NAME = re.compile(
    r"(?P<label>[1-9]\d{0,8})(?:_(?P<reappearance>[1-9]\d{0,8}))?/Cam_(?P<camid>\d\d?)f_(?P<frame>\d{1,9})"
    r"\.(?i:jpg|jpeg|png)",
    re.ASCII,
)
RIGHT_NAME = (
    f"<label>[_<reappearance>]/Cam_<camera>f_<frame>.png with a label 1 to {LAST_ACTOR}, or from {FIRST_DISTRACTOR} on "
    "for a distractor, such as 2_1/Cam_1f_67001.png in camera 1"
)


def read(root: str | PathLike, expected: Mapping[str, Mapping[str, int]] | None = EXPECTED) -> pd.DataFrame:
    """Records of RPIfield from the folders of images; no image is opened.

    Gives one UserWarning if the counts differ from the expected ones, and one if there is an annotation and its number
    of images differs for a camera.

    Args:
        root: ``Data``, its parent, or any folder that directly contains ``Cam_1`` to ``Cam_12``.
        expected: the expected counts, in the form of ``EXPECTED``; None skips both comparisons.

    Returns:
        Records as described in :mod:`gaaplib.datasets.records`; cameras are 1 to 12, the split is "all", and the pid
        is an actor's label, or ``DISTRACTOR``.

    Raises:
        FileNotFoundError: one of the twelve folders is missing.
        PermissionError: a folder or file may not be read.
        ValueError: two copies, an image whose folder or name does not match, a camera without images, fewer than two
            actors, an annotation file that cannot be read, or a link that leads out of the root.
    """
    root = Path(root).expanduser()
    home = _find_home(root)
    rows = [row for camid in CAMERAS for row in _read_camera(root, home, camid)]
    records = make_records(rows)
    actors = np.setdiff1d(records["pid"], DISTRACTOR)
    if len(actors) < 2:
        raise ValueError(f"{home} has images of {len(actors)} actors (labels 1 to {LAST_ACTOR}): training needs two")
    if expected is not None:
        warn_if_counts_differ(records, expected, "RPIfield")
        _warn_if_annotation_differs(records, root)
    return records


def read_annotation(root: str | PathLike) -> pd.DataFrame:
    """The annotation of every box as a table; the images are not needed.

    Args:
        root: as for :func:`read`, or any folder that directly contains ``Cam_1.mat`` to ``Cam_12.mat``.

    Returns:
        One row per box, sorted by path, with columns

        - ``path``: POSIX, relative to ``Data``, such as ``Cam_1/2_1/Cam_1f_67001.png``;
        - ``label``: 1 to 112 for an actor, from 10001 on for a distractor;
        - ``reappearance``: the number in the folder's name, or 0 for the first appearance in this camera;
        - ``pid``, ``camid``: as in the records of :func:`read`;
        - ``frame``: from the file name; ``timestamp``: from the annotation; the two are equal in the published one.

    Raises:
        FileNotFoundError: one of the twelve files is missing.
        ValueError: a file that cannot be read, lacks a variable, or has names, ids and timestamps that do not agree.
    """
    root = Path(root).expanduser()
    files = _annotation_files(root)
    if len(files) < len(CAMERAS):
        missing = ", ".join(f"Cam_{camid}.mat" for camid in CAMERAS if camid not in files)
        raise FileNotFoundError(
            f"the annotation of RPIfield lacks {missing}: looked in {root}, its subfolders {FOLDER} and "
            f"{ANNOTATION_FOLDER}, and {ANNOTATION_FOLDER} in its parent; found in {root}: {found_in(root)}"
        )
    tables = read_matlab(list(files.values()), VARIABLES)
    boxes = pd.concat(_boxes(file, camid, table) for (camid, file), table in zip(files.items(), tables, strict=True))
    return boxes.sort_values("path", ignore_index=True)


def _find_home(root: Path) -> Path:
    """The folder that directly contains the twelve cameras' folders."""
    cameras = [f"Cam_{camid}" for camid in CAMERAS]
    found = [home for home in (root, root / FOLDER) if all(os.path.isdir(home / camera) for camera in cameras)]
    return one_home(found, root, "RPIfield", TREE, homes=[FOLDER], names=cameras)


def _read_camera(root: Path, home: Path, camid: int) -> list[tuple[str, int, int, str]]:
    folder = home / f"Cam_{camid}"
    labels = folders_in(folder, root)
    names = [f"{label}/{image}" for label in labels for image in images_in(folder / label, root)]
    names += images_in(folder, root)
    parts = [_parse(name, camid) for name in names]
    check_names(folder, names, parts, "RPIfield", RIGHT_NAME)
    start = folder.relative_to(root).as_posix()
    return [
        (f"{start}/{name}", label if label <= LAST_ACTOR else DISTRACTOR, camid, "all")
        for name, (label, _, _) in zip(names, parts, strict=True)
    ]


def _parse(name: str, camid: int) -> tuple[int, int, int] | None:
    """(label, reappearance, frame) from an image's path in its camera's folder; None if the path is not of RPIfield."""
    match = NAME.fullmatch(name)
    if match is None or int(match["camid"]) != camid or LAST_ACTOR < int(match["label"]) < FIRST_DISTRACTOR:
        return None
    return int(match["label"]), int(match["reappearance"] or 0), int(match["frame"])


def _annotation_files(root: Path) -> dict[int, Path]:
    """``{camid: annotation file}`` of the cameras that have one."""
    folders = (root, root / ANNOTATION_FOLDER, root / FOLDER, root.absolute().parent / ANNOTATION_FOLDER)
    files = {camid: [folder / f"Cam_{camid}.mat" for folder in folders] for camid in CAMERAS}
    existing = {camid: [file for file in files[camid] if os.path.isfile(file)] for camid in CAMERAS}
    used = {camid: files[0] for camid, files in existing.items() if files}
    for file in used.values():
        check_links(file, root if file.is_relative_to(root) else file.parent)
    return used


def _warn_if_annotation_differs(records: pd.DataFrame, root: Path) -> None:
    """Give the caller of :func:`read` one warning with the cameras whose images and annotation differ in number."""
    files = _annotation_files(root)
    shapes = read_matlab(list(files.values()), []) if files else []
    for file, found in zip(files.values(), shapes, strict=True):
        _check_variables(file, ["ids"], found)
    # A damaged header may give more boxes than an integer holds.
    annotated = {camid: min(prod(found["ids"]), 10**9) for camid, found in zip(files, shapes, strict=True)}
    table = pd.DataFrame({"found": records["camid"].value_counts(), "annotated": pd.Series(annotated, dtype="int64")})
    table = table.dropna().astype("int64").rename_axis("camera")
    if not table["found"].equals(table["annotated"]):
        warnings.warn(
            "RPIfield on disk differs from its annotation; unpack the images again\n"
            f"{table[table['found'] != table['annotated']].to_string()}",
            stacklevel=3,
        )


def _check_variables(file: Path, names: Sequence[str], found: Mapping) -> None:
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"{file} has no variable {missing[0]}; found: {', '.join(found) or 'nothing'}")


def _boxes(file: Path, camid: int, table: Mapping[str, list]) -> pd.DataFrame:
    """The boxes of one camera's annotation, which was read as ``table``."""
    _check_variables(file, VARIABLES, table)
    names, ids, timestamps = (table[name] for name in VARIABLES)
    names = [str(name).replace("\\", "/") for name in names]
    if not len(names) == len(ids) == len(timestamps) > 0:
        raise ValueError(
            f"{file} has {len(names)} names, {len(ids)} ids and {len(timestamps)} timestamps: expected equal "
            "numbers, one or more; download the annotation again"
        )
    if np.array(timestamps).dtype.kind not in "iuf":
        raise ValueError(f"{file} has timestamps that are not numbers: download the annotation again")
    parts = [_parse(name, camid) for name in names]
    wrong = [name for name, part in zip(names, parts, strict=True) if part is None]
    if wrong:
        raise ValueError(
            f"{len(wrong)} of {len(names)} names in {file} are not RPIfield's, first {', '.join(wrong[:3])}: expected "
            f"{RIGHT_NAME}; download the annotation again"
        )
    wrong = [(name, label) for name, label in zip(names, ids, strict=True) if name.split("/")[0] != label]
    if wrong:
        raise ValueError(
            f"{len(wrong)} of {len(names)} ids in {file} differ from the folder's name, first {wrong[0][1]!r} for "
            f"{wrong[0][0]}: download the annotation again"
        )
    label, reappearance, frame = np.array(parts, dtype=np.int64).T
    return pd.DataFrame(
        {
            "path": [f"Cam_{camid}/{name}" for name in names],
            "label": label,
            "reappearance": reappearance,
            "pid": np.where(label <= LAST_ACTOR, label, DISTRACTOR),
            "camid": np.int64(camid),
            "frame": frame,
            "timestamp": np.array(timestamps),
        }
    )
