"""i-LIDS MCTS: 119 identities in an airport's arrival hall, 476 images.

``TREE`` shows the layout. A file name is the identity (4 digits) and the image's index (3 digits). The index is not a
camera: the cameras are not published, so they are unknown. There is no official split.

Source: W.-S. Zheng, S. Gong and T. Xiang, "Associating Groups of People", BMVC 2009.
"""

import os
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import pandas as pd

from gaaplib.datasets.files import images_in, named_images, one_home
from gaaplib.datasets.records import UNKNOWN_CAMERA, make_records, warn_if_counts_differ

TREE = """
i-LIDS_Pedestrian/                the root, or a folder in it
    Persons/0001001.jpg           or any folder of such images as root
"""

FOLDER = "i-LIDS_Pedestrian"
SUBFOLDER = "Persons"

EXPECTED = {"all": {"images": 476, "identities": 119, "cameras": 0}}
"""Counts of the published data set."""

NAME = re.compile(r"(?P<pid>(?!0000)\d{4})\d{3}\.(?i:jpg|jpeg|png)", re.ASCII)
NAMING = "<4-digit identity from 0001><3-digit index>.jpg, such as 0001001.jpg"


def read(root: str | PathLike, expected: Mapping[str, Mapping[str, int]] | None = EXPECTED) -> pd.DataFrame:
    """Records of i-LIDS MCTS; no image is opened.

    Gives one UserWarning if the counts differ from the expected ones.

    Args:
        root: the folder ``i-LIDS_Pedestrian``, its parent, or ``Persons`` under any name.
        expected: the expected counts, in the form of ``EXPECTED``; None skips the comparison.

    Returns:
        Records as described in :mod:`gaaplib.datasets.records`; cameras are unknown, and the split is "all".

    Raises:
        FileNotFoundError: there are no images of this naming.
        PermissionError: a folder may not be read.
        ValueError: two copies, an image whose name does not match, an empty ``Persons``, or a link that leads out of
            the root.
    """
    root = Path(root).expanduser()
    images = named_images(_find_home(root), root, NAME, "i-LIDS", NAMING)
    records = make_records((path, int(name["pid"]), UNKNOWN_CAMERA, "all") for path, name in images)
    if expected is not None:
        warn_if_counts_differ(records, expected, "i-LIDS")
    return records


def _find_home(root: Path) -> Path:
    """The folder that directly contains the images."""
    found = [home for home in (root / FOLDER / SUBFOLDER, root / SUBFOLDER) if os.path.isdir(home)]
    if os.path.isdir(root) and any(NAME.fullmatch(name) for name in images_in(root, root)):
        found.append(root)
    return one_home(found, root, "i-LIDS", TREE, homes=[FOLDER], names=[SUBFOLDER])
