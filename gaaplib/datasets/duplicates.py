"""Queries whose file is also in the gallery: every network retrieves such a copy, even an untrained one."""

import hashlib
from os import PathLike
from pathlib import Path

import pandas as pd


def same_bytes(root: str | PathLike, records: pd.DataFrame) -> pd.DataFrame:
    """Pairs of a query and a gallery image of the same identity whose files are identical, byte by byte.

    Only files of equal size are read. An image inside a larger file, such as ``RAiD_4Cams.mat#000123``, is not compared
    and is in no pair.

    Args:
        root: folder that ``records.path`` is relative to.
        records: as described in :mod:`gaaplib.datasets.records`, rows in any order. If there is a column ``role``, it
            decides which images are query and gallery; otherwise ``split`` does.

    Returns:
        One row per pair, sorted, with columns ``query`` and ``gallery`` (paths) and ``pid``. Empty if there are no
        copies or no queries.

    Raises:
        FileNotFoundError: an image is missing.
    """
    root = Path(root).expanduser()
    records = records[records["path"].map(lambda path: _has_file(root, path)).astype(bool)]
    role = records["role"] if "role" in records.columns else records["split"]
    sides = {}
    for side in ("query", "gallery"):
        images = records.loc[role == side, ["path", "pid"]].rename(columns={"path": side})
        sizes = [(root / path).stat().st_size for path in images[side]]
        sides[side] = images.assign(size=pd.Series(sizes, index=images.index, dtype="int64"))
    # Only images of one person and one size can be equal. Files, not pairs of them: there may be many of one size.
    alike = sides["query"][["pid", "size"]].merge(sides["gallery"][["pid", "size"]].drop_duplicates()).drop_duplicates()
    for side, images in sides.items():
        asked = images.merge(alike)
        sides[side] = asked.assign(digest=[_sha256(root / path) for path in asked[side]])
    pairs = sides["query"].merge(sides["gallery"], on=["pid", "digest"])
    return pairs[["query", "gallery", "pid"]].sort_values(["query", "gallery"], ignore_index=True)


def _has_file(root: Path, path: str) -> bool:
    """Whether the path is a separate file, and not an image inside a file ("container#number").

    A path with "#" whose file and container are both missing counts as a file, so that it is reported as missing.
    """
    container, sign, _ = path.rpartition("#")
    return not sign or (root / path).is_file() or not (root.is_file() or (root / container).is_file())


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
