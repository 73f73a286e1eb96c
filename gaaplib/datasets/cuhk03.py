"""CUHK03 in the new protocol: 1,467 identities on a campus, two cameras, 767 to train and 700 to test.

There are two variants, boxes from a detector ("detected") and boxes drawn by hand ("labeled"), and two layouts, which
``TREE`` shows.

In the first layout the folders are named as Market-1501's, and a file name starts with the identity and the camera (c1,
c2). In the second layout a MATLAB file, the configuration, lists the file names, their labels and cameras, and which
are for training, queries and gallery. Images that it does not list are ignored.

Sources: W. Li et al., "DeepReID: Deep Filter Pairing Neural Network for Person Re-identification", CVPR 2014; Z. Zhong
et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017.
"""

import os
import re
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from gaaplib.datasets.files import check_links, images_in, named_images, one_home, read_matlab
from gaaplib.datasets.records import make_records, warn_if_counts_differ

TREE = """
One of these, or with "labeled" instead of "detected"; root is any of these folders that is not itself a folder of
images, or the parent of cuhk03-np or cuhk03:
cuhk03-np/                                    cuhk03/
    detected/                                     cuhk03_new_protocol_config_detected.mat
        bounding_box_train/0001_c1_1.png          images_detected/1_001_1_01.png
        query/0003_c1_22.png
        bounding_box_test/0003_c1_21.png
"""

HOMES = ("cuhk03-np", "cuhk03")
CONFIG = "cuhk03_new_protocol_config_{}.mat"
IMAGES = "images_{}"
FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
VARIABLES = ("filelist", "labels", "camId", "train_idx", "query_idx", "gallery_idx")
IDENTITIES = 1_467

EXPECTED = {
    "detected": {
        "train": {"images": 7_365, "identities": 767, "cameras": 2},
        "query": {"images": 1_400, "identities": 700, "cameras": 2},
        "gallery": {"images": 5_332, "identities": 700, "cameras": 2},
    },
    "labeled": {
        "train": {"images": 7_368, "identities": 767, "cameras": 2},
        "query": {"images": 1_400, "identities": 700, "cameras": 2},
        "gallery": {"images": 5_328, "identities": 700, "cameras": 2},
    },
}
"""Counts of both variants of the published data set."""

VARIANTS = tuple(EXPECTED)

NAME = re.compile(r"(?P<pid>(?!0000)\d{4})_c(?P<camid>[12])(?:\D.*)?\.(?i:jpg|jpeg|png)", re.ASCII)
Reader = Callable[[Path, Path, str], list[tuple[str, int, int, str]]]
NAMING = "<4-digit identity from 0001>_c<camera 1 or 2>_<anything>.png, such as 0001_c1_1.png"


def read(
    root: str | PathLike,
    expected: Mapping[str, Mapping[str, Mapping[str, int]]] | None = EXPECTED,
    variant: str | None = None,
) -> pd.DataFrame:
    """Records of CUHK03 in the new protocol; no image is opened.

    Gives one UserWarning if the counts differ from the expected ones.

    Args:
        root: a folder that contains ``bounding_box_train``, ``query`` and ``bounding_box_test``; one that contains the
            configuration and ``images_detected`` or ``images_labeled``; or a parent as in ``TREE``.
        expected: the expected counts of each variant, in the form of ``EXPECTED``; None skips the comparison.
        variant: "detected" or "labeled". None takes the variant in the name of ``root``, otherwise "detected" if it
            exists, otherwise "labeled".

    Returns:
        Records as described in :mod:`gaaplib.datasets.records`; cameras are 1 and 2.

    Raises:
        FileNotFoundError: neither layout exists, or an image that the configuration lists is missing.
        PermissionError: a folder or file may not be read.
        ValueError: an unknown variant, both layouts at once, an image whose name does not match, an empty split, a
            configuration that cannot be read or contradicts itself, fewer than two training identities, or a link that
            leads out of the root.
    """
    root = Path(root).expanduser()
    variant, home, read_rows = _find_layout(root, variant)
    records = make_records(read_rows(home, root, variant))
    train_pids = records.loc[records["split"] == "train", "pid"].unique()
    if len(train_pids) < 2:
        raise ValueError(f"{home} trains on identity {train_pids[0]} only: training needs at least two identities")
    if expected is not None:
        warn_if_counts_differ(records, expected[variant], f"CUHK03 ({variant})")
    return records


def published(root: str | PathLike, variant: str | None = None) -> Mapping[str, Mapping[str, int]]:
    """Counts of the published data set in the variant that :func:`read` reads.

    Arguments are those of :func:`read`, and so are the errors if the data set is not found.
    """
    return EXPECTED[_find_layout(Path(root).expanduser(), variant)[0]]


def _find_layout(root: Path, variant: str | None) -> tuple[str, Path, Reader]:
    """The variant, its folder, and the function that reads its rows."""
    if variant is not None and variant not in VARIANTS:
        raise ValueError(f"variant is {variant!r}: it must be {' or '.join(VARIANTS)}, or None to take what exists")
    variants = [variant] if variant else sorted(VARIANTS, key=lambda name: name not in root.name)
    layouts = {name: _layouts(root, name) for name in variants}
    name = next((name for name, found in layouts.items() if found), variants[0])
    found = layouts[name]
    names = [*FOLDERS.values(), *(text.format(name) for text in (CONFIG, IMAGES) for name in variants)]
    owner = f"{name if found else ' or '.join(variants)} CUHK03"
    one_home([home for home, _ in found], root, owner, TREE, homes=[*HOMES, *variants], names=names)
    return name, *found[0]


def _layouts(root: Path, variant: str) -> list[tuple[Path, Reader]]:
    """Every complete layout of a variant: its folder, and the function that reads its rows."""
    bases = [root, *(root / name for name in HOMES)]
    homes = [home for base in bases for home in (base, base / variant)]
    folders = [home for home in homes if all(os.path.isdir(home / folder) for folder in FOLDERS.values())]
    configs = [
        base
        for base in bases
        if os.path.isfile(base / CONFIG.format(variant)) and os.path.isdir(base / IMAGES.format(variant))
    ]
    return [(home, _read_folders) for home in folders] + [(home, _read_config) for home in configs]


def _read_folders(home: Path, root: Path, variant: str) -> list[tuple[str, int, int, str]]:
    return [
        (path, int(name["pid"]), int(name["camid"]), split)
        for split, folder in FOLDERS.items()
        for path, name in named_images(home / folder, root, NAME, "CUHK03", NAMING)
    ]


def _read_config(home: Path, root: Path, variant: str) -> list[tuple[str, int, int, str]]:
    config, folder = home / CONFIG.format(variant), home / IMAGES.format(variant)
    check_links(config, root)
    table = _load(config)
    names = [str(name) for name in table["filelist"]]
    pids = _whole_numbers(config, "labels", table["labels"], IDENTITIES)
    camids = _whole_numbers(config, "camId", table["camId"], 2)
    if not len(names) == len(pids) == len(camids):
        raise ValueError(
            f"{config} has {len(names)} names in filelist, {len(pids)} labels and {len(camids)} camId: their numbers "
            "must be equal; download it again"
        )
    used = [
        (index - 1, split)
        for split in FOLDERS
        for index in _whole_numbers(config, f"{split}_idx", table[f"{split}_idx"], len(names))
    ]
    # Compared with the folder's own names, so that a name that leads out of the folder counts as missing.
    present = set(images_in(folder, root))
    missing = [names[index] for index, _ in used if names[index] not in present]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(used)} images that {config} lists are not in {folder}, first "
            f"{', '.join(missing[:3])}: the images must be named as in its filelist"
        )
    start = folder.relative_to(root).as_posix()
    return [(f"{start}/{names[index]}", int(pids[index]), int(camids[index]), split) for index, split in used]


def _load(config: Path) -> dict[str, list]:
    """The configuration's variables."""
    (table,) = read_matlab([config], VARIABLES)
    missing = [name for name in VARIABLES if name not in table]
    if missing:
        raise ValueError(f"{config} has no {', '.join(missing)}: it must have {', '.join(VARIABLES)}")
    return table


def _whole_numbers(config: Path, name: str, values: list, highest: int) -> np.ndarray:
    values = np.array(values)
    if not len(values):
        raise ValueError(f"{config} has an empty {name}: it needs at least one number")
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{config} has {name} of type {values.dtype}: it must be numbers")
    wrong = np.flatnonzero((values != np.round(values)) | ~(values >= 1) | ~(values <= highest))
    if len(wrong):
        raise ValueError(
            f"{config} has {values[wrong[0]]} as number {wrong[0] + 1} of {name}: it must be a whole number from 1 to "
            f"{highest}"
        )
    return values.astype(np.int64)
