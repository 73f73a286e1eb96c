"""Partial-iLIDS: 119 identities of i-LIDS, each with a cropped photograph as query and a whole one as gallery.

There is no training set; published methods train on Market-1501. The data set exists in four layouts, which ``TREE``
shows: three pairs of folders, and a pair of lists, ``Probe.txt`` (queries) and ``Gallery.txt``, with one path per line,
relative to the lists' folder.

A file name is the identity; in the first layout it also has the camera, and any characters may follow. In the other
layouts cameras are unknown. The layout is recognised by the folders inside the data set's folder, not by its name. If
both lists exist, only they are read, and the folders are ignored, because the lists name the images in them.

Source: W.-S. Zheng, S. Gong and T. Xiang, "Person Re-identification by Probabilistic Relative Distance Comparison",
CVPR 2011.
"""

import os
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import pandas as pd

from gaaplib.datasets.files import check_links, listed_image, named_images, names_in, one_home, read_text, refuse
from gaaplib.datasets.records import UNKNOWN_CAMERA, make_records, warn_if_counts_differ

TREE = """
One of these; the folder is the root, or directly in it:
PartialiLIDS/                 partial_ilids/             Partial_iLIDS/
    query/001_1.jpg               Probe/001.jpg              partial_body_images/001.jpg
    gallery/001_2.jpg             Gallery/001.jpg            whole_body_images/001.jpg
or two lists in such a folder, with lines such as Probe/001.jpg:
    Probe.txt
    Gallery.txt
"""

TRAINED_ON = "market1501"
"""Partial-iLIDS has no training set; published methods train on this data set."""

CLOSED_ON = "ilids"
"""Partial-iLIDS has two images per identity, too few for the closed protocol; the paper's counts are of this set."""

HOMES = ("partialilids", "partial_ilids", "partial-ilids")
"""Possible names of the data set's folder, in lower case."""

NAME = re.compile(r"(?P<pid>0*[1-9]\d{0,8})\.(?i:jpg|jpeg|png)", re.ASCII)
CAMERA_NAME = re.compile(r"(?P<pid>0*[1-9]\d{0,8})_(?P<camid>\d{1,9})(?:\D.*)?\.(?i:jpg|jpeg|png)", re.ASCII)
NAMINGS = {
    NAME: "<identity from 1>.jpg, such as 001.jpg",
    CAMERA_NAME: "<identity from 1>_<camera>.jpg, such as 001_1.jpg",
}
LISTS = ("Probe.txt", "Gallery.txt")
LAYOUTS = {
    ("query", "gallery"): CAMERA_NAME,
    ("Probe", "Gallery"): NAME,
    ("partial_body_images", "whole_body_images"): NAME,
    LISTS: NAME,
}
"""{(queries, gallery): naming}: the two folders or lists of each layout, and the pattern of their file names."""

EXPECTED = {"query": {"images": 119, "identities": 119}, "gallery": {"images": 119, "identities": 119}}
"""Counts of the published data set; cameras are not compared, because only one layout has them."""


def read(root: str | PathLike, expected: Mapping[str, Mapping[str, int]] | None = EXPECTED) -> pd.DataFrame:
    """Records of Partial-iLIDS in any of its layouts; no image is opened.

    Gives one UserWarning if the counts differ from the expected ones.

    Args:
        root: the folder with the two folders or the two lists; or its parent, if the folder's name is
            ``PartialiLIDS``, ``partial_ilids`` or ``Partial_iLIDS``.
        expected: the expected counts, in the form of ``EXPECTED``; None skips the comparison.

    Returns:
        Records as described in :mod:`gaaplib.datasets.records`; splits are "query" and "gallery", and cameras are
        unknown, except in the layout that has them.

    Raises:
        FileNotFoundError: none of the layouts was found.
        PermissionError: a folder or list may not be read.
        ValueError: more than one layout, one list without the other, an image whose name does not match, a folder or
            list without images, a listed path that is missing, repeated or outside the list's folder, or a link that
            leads out of the root.
    """
    root = Path(root).expanduser()
    home, layout = _find_layout(root)
    rows = []
    for split, part in zip(("query", "gallery"), layout, strict=True):
        for path, name in _images_of(home / part, root, LAYOUTS[layout]):
            camid = int(name.groupdict().get("camid", UNKNOWN_CAMERA))
            rows.append((path, int(name["pid"]), camid, split))
    records = make_records(rows)
    if expected is not None:
        warn_if_counts_differ(records, expected, "Partial-iLIDS")
    return records


def _find_layout(root: Path) -> tuple[Path, tuple[str, str]]:
    """The data set's folder and its layout, a key of ``LAYOUTS``."""
    parents = [name for name in names_in(root) if name.lower() in HOMES]
    homes = [root, *(root / name for name in parents)]
    found = [(home, layout) for home in homes for layout in _layouts(home)]
    places = [home / f"{query} and {gallery}" for home, (query, gallery) in found]
    # "Gallery" is right in one layout and wrong in another, so hints on case come from complete layouts only.
    lower = {name.lower() for home in homes for name in names_in(home)}
    meant = [name for layout in LAYOUTS if lower.issuperset(map(str.lower, layout)) for name in layout]
    one_home(places, root, "Partial-iLIDS", TREE, homes=parents, names=meant)
    return found[0]


def _layouts(home: Path) -> list[tuple[str, str]]:
    """The layouts that a folder has, or only the lists if both exist.

    Raises:
        ValueError: one list without the other, or a list whose name is in the wrong case.
    """
    lists = [name for name in names_in(home) if name.lower() in map(str.lower, LISTS)]
    if sorted(lists) == sorted(LISTS):
        return [LISTS]
    if lists:
        raise ValueError(
            f"{home} has {' and '.join(lists)}: the lists must be {' and '.join(LISTS)}, both; add or rename one, or "
            "move the lists elsewhere to read the folders"
        )
    return [layout for layout in LAYOUTS if all(os.path.isdir(home / name) for name in layout)]


def _images_of(part: Path, root: Path, pattern: re.Pattern) -> list[tuple[str, re.Match]]:
    """(path relative to the root, match of the file name) of each image in a folder or list."""
    if part.is_dir():
        return named_images(part, root, pattern, "Partial-iLIDS", NAMINGS[pattern])
    check_links(part, root)
    images, line_of, problems = [], {}, []
    for line, text in enumerate(read_text(part).splitlines(), 1):
        if not text.strip():
            continue
        try:
            path = listed_image(part.parent, text, root)
        except ValueError as error:
            problems.append(f"line {line}: {error}")
            continue
        name = pattern.fullmatch(Path(path).name)
        if name is None:
            problems.append(f"line {line}: {path!r} is not named as Partial-iLIDS's: expected {NAMINGS[pattern]}")
        elif path in line_of:
            problems.append(f"line {line}: {path!r} is in line {line_of[path]} too: remove one of the lines")
        images.append(((part.parent / path).relative_to(root).as_posix(), name))
        line_of.setdefault(path, line)
    refuse(part, problems)
    if not images:
        raise ValueError(f"{part} is empty: it must list images, one path per line")
    return images
