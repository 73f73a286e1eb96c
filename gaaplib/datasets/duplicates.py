"""Copies of one file among the queries and the gallery, which are found whatever the network learnt."""

import hashlib
from os import PathLike
from pathlib import Path

import pandas as pd


def same_bytes(root: str | PathLike, records: pd.DataFrame) -> pd.DataFrame:
    """Pairs of a query and a gallery image of one identity whose files are the same, byte by byte.

    Only files of the same size are read. An image that is a member of a file, such as ``RAiD_4Cams.mat#000123``, has no
    file of its own to compare, and is in no pair.

    Args:
        root: folder that ``records.path`` is relative to.
        records: as described in :mod:`gaaplib.datasets.records`, rows in any order; a column ``role``, if there is one,
            says who is query and gallery instead of the split.

    Returns:
        One row a pair, sorted, with columns ``query`` and ``gallery`` (paths) and ``pid``; none if no file is there
        twice or if there are no queries.

    Raises:
        FileNotFoundError: an image that is not there.
    """
    root = Path(root).expanduser()
    records = records[records["path"].map(lambda path: _has_file(root, path)).astype(bool)]
    role = records["role"] if "role" in records.columns else records["split"]
    sides = {}
    for side in ("query", "gallery"):
        images = records.loc[role == side, ["path", "pid"]].rename(columns={"path": side})
        sizes = [(root / path).stat().st_size for path in images[side]]
        sides[side] = images.assign(size=pd.Series(sizes, index=images.index, dtype="int64"))
    pairs = sides["query"].merge(sides["gallery"], on=["pid", "size"])
    digests = {path: _sha256(root / path) for path in {*pairs["query"], *pairs["gallery"]}}
    same = pairs["query"].map(digests).eq(pairs["gallery"].map(digests))
    return pairs.loc[same, ["query", "gallery", "pid"]].sort_values(["query", "gallery"], ignore_index=True)


def _has_file(root: Path, path: str) -> bool:
    """Whether an image is to be a file of its own: it is, or the file that it would be a member of is not there."""
    container, sign, _ = path.rpartition("#")
    return not sign or (root / path).is_file() or not (root.is_file() or (root / container).is_file())


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
