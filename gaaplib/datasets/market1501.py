"""Market-1501: 1,501 identities before a supermarket, six cameras, boxes of a detector.

On disk::

    Market-1501-v15.09.15/
        bounding_box_train/0002_c1s1_000451_03.jpg
        query/0001_c1s1_001051_00.jpg
        bounding_box_test/0000_c1s1_000151_01.jpg

A name is identity, camera (c1..c6) and sequence, frame, and box. Identity 0000 is a distractor, in the gallery only; -1
is junk, which the official evaluation ignores, and is dropped here.

Source: L. Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015.
"""

import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import pandas as pd

from gaaplib.datasets.files import found_in, images_in
from gaaplib.datasets.records import make_records, warn_if_counts_differ

FOLDER = "Market-1501-v15.09.15"
FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}

EXPECTED = {
    "train": {"images": 12_936, "identities": 751, "cameras": 6},
    "query": {"images": 3_368, "identities": 750, "cameras": 6},
    "gallery": {"images": 15_913, "identities": 751, "cameras": 6},
}
"""Counts of the published data set without junk; the gallery's include the distractor."""

NAME = re.compile(r"(?P<pid>-1|\d{4})_c(?P<camid>[1-6])s\d+_\d+_\d+\.(?:jpg|jpeg|png)", re.ASCII | re.IGNORECASE)
JUNK = -1


def read(root: str | PathLike, expected: Mapping[str, Mapping[str, int]] | None = EXPECTED) -> pd.DataFrame:
    """Records of Market-1501; no image is opened.

    One UserWarning is given if the counts are not as expected.

    Args:
        root: the folder ``Market-1501-v15.09.15``, its parent, or any folder that directly has ``bounding_box_train``,
            ``query`` and ``bounding_box_test``.
        expected: counts to compare with, as ``EXPECTED``; None compares with nothing.

    Returns:
        Records as described in :mod:`gaaplib.datasets.records`; cameras are 1 to 6.

    Raises:
        FileNotFoundError: the three folders are not there.
        ValueError: an image whose name does not match, an empty split, a distractor in training or among the queries,
            fewer than two training identities.
    """
    root = Path(root).expanduser()
    home = _find_home(root)
    rows = [row for split in FOLDERS for row in _read_split(root, home, split)]
    records = make_records(rows)
    train_pids = records.loc[records["split"] == "train", "pid"].unique()
    if len(train_pids) < 2:
        raise ValueError(
            f"{home / FOLDERS['train']} has images of identity {train_pids[0]} only: training needs at "
            "least two identities"
        )
    if expected is not None:
        warn_if_counts_differ(records, expected, "Market-1501")
    return records


def _find_home(root: Path) -> Path:
    """The folder that directly has the three splits' folders."""
    for home in (root, root / FOLDER):
        if all((home / folder).is_dir() for folder in FOLDERS.values()):
            return home
    raise FileNotFoundError(
        f"no Market-1501 in {root}: looked for the folders {', '.join(FOLDERS.values())} there and in its subfolder "
        f"{FOLDER}; found there: {found_in(root)}"
    )


def _read_split(root: Path, home: Path, split: str) -> list[tuple[str, int, int, str]]:
    folder = home / FOLDERS[split]
    images = images_in(folder)
    names = [NAME.fullmatch(file.name) for file in images]
    wrong = [file.name for file, name in zip(images, names, strict=True) if name is None]
    if wrong:
        raise ValueError(
            f"{len(wrong)} of {len(images)} images in {folder} are not named as Market-1501's, first "
            f"{', '.join(wrong[:3])}: expected <4-digit identity or -1>_c<camera 1-6>s<sequence>_<frame>_<box>.jpg, "
            "such as 0002_c1s1_000451_03.jpg; move other images out of the folder, or unpack the data set anew"
        )
    rows = [
        (file.relative_to(root).as_posix(), int(name["pid"]), int(name["camid"]), split)
        for file, name in zip(images, names, strict=True)
        if int(name["pid"]) != JUNK
    ]
    if not rows:
        raise ValueError(f"{folder} has no image besides junk (identity -1): split {split!r} needs at least one")
    return rows
