"""RPIfield: 112 actors who came by again and again in a crowd, twelve outdoor cameras, boxes of a detector.

On disk it is as ``TREE`` shows. A folder is a label and, from the second time that the person is in this camera on, the
number of the reappearance; a name is camera and frame. Labels 1 to 112 are actors; those from 10001 are passers-by, who
are distractors. The annotation of each camera, a MATLAB file with ``allimagenames`` (with backslashes), ``ids`` (the
folders) and ``timestamps`` (frames), lies in ``Data_Info`` or beside the images' folders, and is not needed to read the
images.

Source: M. Zheng et al., "RPIfield: A New Dataset for Temporally Evaluating Person Re-Identification", CVPR Workshops
2018.
"""

import os
import re
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.io import loadmat, whosmat
from scipy.io.matlab import MatReadError

from gaaplib.datasets.files import check_links, check_names, folders_in, found_in, images_in, one_home, permitted
from gaaplib.datasets.records import DISTRACTOR, make_records, warn_if_counts_differ

TREE = """
Data/                             the root, or directly in it; each of the twelve cameras:
    Cam_1/2/Cam_1f_44841.png
    Cam_1/2_1/Cam_1f_67001.png
    Cam_12/15107/Cam_12f_47445.png
Data_Info/
    Cam_1.mat                     may be missing
"""

FOLDER = "Data"
ANNOTATION_FOLDER = "Data_Info"
CAMERAS = range(1, 13)

EXPECTED = {"all": {"images": 601_581, "identities": 113, "cameras": 12}}
"""Counts of the published data set; the identities are 112 actors and, as one, the distractor."""

LAST_ACTOR, FIRST_DISTRACTOR = 112, 10_001
NAME = re.compile(
    r"(?P<label>[1-9]\d*)(?:_(?P<reappearance>[1-9]\d*))?/Cam_(?P<camid>\d+)f_(?P<frame>\d+)\.(?i:jpg|jpeg|png)",
    re.ASCII,
)
RIGHT_NAME = (
    f"<label>[_<reappearance>]/Cam_<camera>f_<frame>.png with a label 1 to {LAST_ACTOR}, or from {FIRST_DISTRACTOR} on "
    "for a distractor, such as 2_1/Cam_1f_67001.png in camera 1"
)


def read(root: str | PathLike, expected: Mapping[str, Mapping[str, int]] | None = EXPECTED) -> pd.DataFrame:
    """Records of RPIfield from the folders of images; no image is opened.

    One UserWarning is given if the counts are not as expected, and one if annotation is there and lists more or fewer
    images of a camera.

    Args:
        root: the folder that has ``Data``, ``Data`` itself, or any folder that directly has ``Cam_1`` to ``Cam_12``.
        expected: counts to compare with, as ``EXPECTED``; None compares with nothing, the annotation neither.

    Returns:
        Records as described in :mod:`gaaplib.datasets.records`; cameras are 1 to 12, the split is "all", the pid is an
        actor's label, and that of all distractors ``DISTRACTOR``.

    Raises:
        FileNotFoundError: the twelve folders are not there.
        PermissionError: a folder or file may not be read.
        ValueError: two copies, an image whose folder or name does not match, a camera without images, fewer than two
            actors, an annotation file that cannot be read, a link that leads out of the root.
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
    """What the annotation says of every box; no image is needed.

    Args:
        root: as for :func:`read`, or any folder that directly has ``Cam_1.mat`` to ``Cam_12.mat``.

    Returns:
        One row a box, sorted by path, with columns

        - ``path``: POSIX, relative to ``Data``, such as ``Cam_1/2_1/Cam_1f_67001.png``;
        - ``label``: the actor 1 to 112, or the distractor from 10001 on;
        - ``reappearance``: the folder's number, or 0 without one, which is the first time in this camera;
        - ``pid``, ``camid``: as :func:`read` has them;
        - ``frame``: of the file's name; ``timestamp``: the same number, in the published annotation.

    Raises:
        FileNotFoundError: the twelve files are not there.
        ValueError: a file that cannot be read, lacks a variable, or has names, ids and timestamps that do not agree.
    """
    root = Path(root).expanduser()
    files = _annotation_files(root)
    if len(files) < len(CAMERAS):
        missing = ", ".join(f"Cam_{camid}.mat" for camid in CAMERAS if camid not in files)
        raise FileNotFoundError(
            f"the annotation of RPIfield lacks {missing}: looked in {root}, its subfolders {FOLDER} and "
            f"{ANNOTATION_FOLDER}, and {ANNOTATION_FOLDER} beside it; found in {root}: {found_in(root)}"
        )
    boxes = pd.concat(_read_annotation_file(file, camid) for camid, file in files.items())
    return boxes.sort_values("path", ignore_index=True)


def annotation_counts(annotation: pd.DataFrame) -> pd.DataFrame:
    """How much there is in each camera, as the data set's own table has it.

    Args:
        annotation: as :func:`read_annotation` answers it.

    Returns:
        A row for each camera and the row "all", and columns ``boxes``, ``actor_boxes``, ``actors`` and ``distractors``
        (labels that occur) and ``sequences`` (folders).
    """
    cameras = {camid: _count(boxes) for camid, boxes in annotation.groupby("camid")}
    return pd.DataFrame.from_dict(cameras | {"all": _count(annotation)}, orient="index")


def _count(boxes: pd.DataFrame) -> dict[str, int]:
    labels, is_actor = boxes["label"], boxes["pid"] != DISTRACTOR
    return {
        "boxes": len(boxes),
        "actor_boxes": int(is_actor.sum()),
        "actors": labels[is_actor].nunique(),
        "distractors": labels[~is_actor].nunique(),
        "sequences": len(boxes[["camid", "label", "reappearance"]].drop_duplicates()),
    }


def _find_home(root: Path) -> Path:
    """The folder that directly has the twelve cameras' folders."""
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
    """Label, reappearance and frame of an image, by its path in its camera's folder; None if that is none of theirs."""
    match = NAME.fullmatch(name)
    if match is None or int(match["camid"]) != camid or LAST_ACTOR < int(match["label"]) < FIRST_DISTRACTOR:
        return None
    return int(match["label"]), int(match["reappearance"] or 0), int(match["frame"])


def _annotation_files(root: Path) -> dict[int, Path]:
    """The annotation that there is of each camera."""
    folders = (root, root / ANNOTATION_FOLDER, root / FOLDER, root.absolute().parent / ANNOTATION_FOLDER)
    files = {camid: [folder / f"Cam_{camid}.mat" for folder in folders] for camid in CAMERAS}
    there = {camid: [file for file in files[camid] if os.path.isfile(file)] for camid in CAMERAS}
    used = {camid: files[0] for camid, files in there.items() if files}
    for file in used.values():
        check_links(file, root if file.is_relative_to(root) else file.parent)
    return used


def _warn_if_annotation_differs(records: pd.DataFrame, root: Path) -> None:
    """Warn the caller of :func:`read`, once, of the cameras that have more or fewer images than annotation."""
    annotated = {camid: _size(file, "ids") for camid, file in _annotation_files(root).items()}
    table = pd.DataFrame({"found": records["camid"].value_counts(), "annotated": pd.Series(annotated, dtype="int64")})
    table = table.dropna().astype("int64").rename_axis("camera")
    if not table["found"].equals(table["annotated"]):
        warnings.warn(
            "RPIfield on disk differs from its annotation; unpack the images anew\n"
            f"{table[table['found'] != table['annotated']].to_string()}",
            stacklevel=3,
        )


def _read_annotation_file(file: Path, camid: int) -> pd.DataFrame:
    names = [str(name).replace("\\", "/") for name in _load(file, "allimagenames")]
    ids, timestamps = _load(file, "ids"), _load(file, "timestamps")
    if not len(names) == len(ids) == len(timestamps) > 0:
        raise ValueError(
            f"{file} has {len(names)} names, {len(ids)} ids and {len(timestamps)} timestamps: expected equally many, "
            "one or more; download the annotation anew"
        )
    parts = [_parse(name, camid) for name in names]
    wrong = [name for name, part in zip(names, parts, strict=True) if part is None]
    if wrong:
        raise ValueError(
            f"{len(wrong)} of {len(names)} names in {file} are not RPIfield's, first {', '.join(wrong[:3])}: expected "
            f"{RIGHT_NAME}; download the annotation anew"
        )
    wrong = [(name, label) for name, label in zip(names, ids, strict=True) if name.split("/")[0] != label]
    if wrong:
        raise ValueError(
            f"{len(wrong)} of {len(names)} ids in {file} are not the folder's name, first {wrong[0][1]!r} for "
            f"{wrong[0][0]}: download the annotation anew"
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


def _load(file: Path, variable: str) -> list:
    """The elements of one variable; not of all at once, because each cell takes an array of its own."""
    _size(file, variable)
    with _readable(file):
        cells = loadmat(file, variable_names=[variable])[variable].ravel()
        return [cell.item() for cell in cells] if cells.dtype == object else cells.tolist()


def _size(file: Path, variable: str) -> int:
    """The number of elements of a variable, which is not read."""
    with _readable(file):
        shapes = {name: shape for name, shape, _ in whosmat(file)}
    if variable not in shapes:
        raise ValueError(f"{file} has no variable {variable}; found there: {', '.join(shapes) or 'nothing'}")
    return prod(shapes[variable])


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        with permitted(file):
            yield
    except PermissionError:
        raise
    except (MatReadError, NotImplementedError, ValueError, TypeError, LookupError, OSError, zlib.error) as error:
        raise ValueError(f"{file} is no whole MATLAB file of format v5 ({error}): download it anew") from error
