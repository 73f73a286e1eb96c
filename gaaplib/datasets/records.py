"""The table of records that every data set's parser returns: one row per image.

It has exactly these columns, in this order:

- ``path``: str, POSIX, relative to the root that the parser was given, unique;
- ``pid``: int64, the identity; ``DISTRACTOR`` (0) is not an identity: it is never a query and never trained on;
- ``camid``: int64, the camera, or ``UNKNOWN_CAMERA`` (-1) in all rows;
- ``split``: "train", "query" or "gallery", or "all" in all rows if the data set has no official split.

Rows are sorted by path, and the index counts them from 0. If persons have names, ``attrs["persons"]`` is
``{pid: name}``; :func:`person` reads it.
"""

import warnings
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

COLUMNS = ("path", "pid", "camid", "split")
SPLITS = ("train", "query", "gallery", "all")
DISTRACTOR = 0
UNKNOWN_CAMERA = -1


def make_records(rows: Iterable[tuple[str, int, int, str]]) -> pd.DataFrame:
    """A checked table of records, sorted by path.

    Args:
        rows: (path, pid, camid, split) of each image, in any order.

    Raises:
        ValueError: as :func:`check_records`.

    Example:
        >>> rows = [("query/0002.jpg", 2, 1, "query"), ("gallery/0001.jpg", 2, 3, "gallery")]
        >>> print(make_records(rows))
                       path  pid  camid    split
        0  gallery/0001.jpg    2      3  gallery
        1    query/0002.jpg    2      1    query
    """
    records = pd.DataFrame(list(rows), columns=list(COLUMNS))
    _check_rows(records)
    return records.sort_values("path", ignore_index=True)


def check_records(records: pd.DataFrame) -> None:
    """Check that a table is as this module describes it.

    Raises:
        ValueError: it is not; the message has the first wrong row.
    """
    if tuple(records.columns) != COLUMNS:
        raise ValueError(f"the columns are {list(records.columns)}: they must be {list(COLUMNS)}")
    _check_rows(records)
    in_order = records["path"].is_monotonic_increasing
    if not in_order or not records.index.equals(pd.RangeIndex(len(records))):
        raise ValueError(
            "the records are not sorted by path with an index from 0: build them by make_records, or call "
            ".sort_values('path', ignore_index=True)"
        )


def person(records: pd.DataFrame, pid: int) -> str:
    """The name of a person, or the number if there is no name.

    Example:
        >>> records = make_records([("a.jpg", 1, -1, "all")])
        >>> records.attrs["persons"] = {1: "anna"}
        >>> person(records, 1), person(records, 2)
        ('anna', '2')
    """
    return records.attrs.get("persons", {}).get(int(pid), str(pid))


def counts(records: pd.DataFrame) -> pd.DataFrame:
    """Images, identities and cameras of each split.

    Returns:
        A table with one row per split, in the order of ``SPLITS``, and columns ``images``, ``identities`` (distinct
        pids, the distractor counted as one) and ``cameras`` (0 if they are unknown).
    """
    known = records["camid"].where(records["camid"] != UNKNOWN_CAMERA)
    groups = records.assign(camid=known).groupby("split")
    table = pd.DataFrame(
        {
            "images": groups.size(),
            "identities": groups["pid"].nunique(),
            "cameras": groups["camid"].nunique(),
        }
    )
    return table.reindex([split for split in SPLITS if split in table.index])


def totals(table: pd.DataFrame) -> pd.Series:
    """Images, identities and cameras of a whole data set, from the counts of its splits.

    With an official split, the identities are those of training and query together, because the gallery's are the
    queries' and the distractor. The number of cameras is that of the split with most.

    Args:
        table: as returned by :func:`counts`, or published counts in that form.
    """
    has_split = "all" not in table.index
    people = table.reindex([split for split in ("train", "query") if split in table.index]) if has_split else table
    cameras = table["cameras"].max() if "cameras" in table else 0
    values = {"images": table["images"].sum(), "identities": people["identities"].sum(), "cameras": cameras}
    return pd.Series(values, dtype="int64")


def sample(records: pd.DataFrame, identities: int, images: int) -> pd.DataFrame:
    """Rows for a contact sheet: some identities, evenly spaced among those with enough images.

    Args:
        records: a table of records; further columns are kept.
        identities: number of identities; all of them if there are fewer.
        images: number of images per identity, at equal steps through its cameras; if no identity has so many, the
            number of the largest one.

    Returns:
        The rows, identity by identity, with the same number of images each; distractors are left out.
    """
    people = records[records["pid"] != DISTRACTOR].sort_values(["pid", "camid", "path"])
    sizes = people.groupby("pid").size()
    images = min(images, sizes.max())
    enough = sizes.index[sizes >= images]
    chosen = enough[_even(len(enough), min(identities, len(enough)))]
    groups = people.groupby("pid")
    steps = [groups.get_group(pid).iloc[_even(sizes[pid], images)] for pid in chosen]
    return pd.concat(steps)


def _even(size: int, number: int) -> np.ndarray:
    return np.linspace(0, size - 1, number).astype(int)


def warn_if_counts_differ(records: pd.DataFrame, expected: Mapping[str, Mapping[str, int]], name: str) -> None:
    """Give one UserWarning with both counts side by side if they differ from the expected ones.

    To be called by a parser's ``read``: the warning points to the caller of ``read``.

    Args:
        records: the table of records.
        expected: numbers for some or all columns of :func:`counts`, ``{"train": {"images": 12936, "identities": 751},
            ...}``; a split that is left out is expected to have no records.
        name: the data set's name, for the message.
    """
    both = beside_expected(records, expected)
    if not both["found"].equals(both["expected"]):
        warnings.warn(
            f"{name} on disk differs from the published data set; results are not comparable with published ones\n"
            f"{both.to_string()}",
            stacklevel=3,
        )


def beside_expected(records: pd.DataFrame, expected: Mapping[str, Mapping[str, int]]) -> pd.DataFrame:
    """Found and expected counts, side by side.

    Args:
        records: the table of records.
        expected: as for :func:`warn_if_counts_differ`.

    Returns:
        A table with one row per split of either. Under "found" and under "expected" it has the columns of
        ``expected``; missing counts are 0.
    """
    expected = pd.DataFrame.from_dict(expected, orient="index")
    found = counts(records)[list(expected.columns)]
    both = pd.concat({"found": found, "expected": expected}, axis=1)
    return both.reindex([split for split in SPLITS if split in both.index]).fillna(0).astype("int64")


def _check_rows(records: pd.DataFrame) -> None:
    """All checks of :func:`check_records` except for the columns and the order."""
    if records.empty:
        raise ValueError("there are no records: give at least one image")
    _check_dtypes(records)
    paths, pids, camids, splits = (records[column] for column in COLUMNS)
    unknown_camera, no_split = camids == UNKNOWN_CAMERA, splits == "all"
    rules = (
        (paths.duplicated(), "its path occurs before: each image must occur once"),
        (
            paths.str.startswith("/") | paths.str.contains("\\", regex=False),
            "its path must be relative to the data set's root, with forward slashes",
        ),
        (~splits.isin(SPLITS), f"its split must be one of {', '.join(SPLITS)}"),
        (
            no_split & (not no_split.all()),
            "its split is 'all' while others have an official split: give all of them one or none",
        ),
        (pids < 0, f"its pid must be positive, or {DISTRACTOR} for a distractor"),
        (
            (pids == DISTRACTOR) & splits.isin(("train", "query")),
            f"pid {DISTRACTOR} is a distractor, which belongs to the gallery only: remove the image, "
            "or give it the identity that it shows",
        ),
        (camids < UNKNOWN_CAMERA, f"its camid must be 0 or more, or {UNKNOWN_CAMERA} if cameras are unknown"),
        (
            unknown_camera & (not unknown_camera.all()),
            "its camera is unknown while others are known: give all cameras or none",
        ),
    )
    for wrong, why in rules:
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            path, pid, camid, split = records.iloc[row]
            raise ValueError(f"row {row} (path {path!r}, pid {pid}, camid {camid}, split {split!r}): {why}")


def _check_dtypes(records: pd.DataFrame) -> None:
    for column in ("pid", "camid"):
        if records[column].dtype != "int64":
            raise ValueError(f"column {column} has dtype {records[column].dtype}: it must be int64")
    for column in ("path", "split"):
        not_strings = records[column].map(lambda value: not isinstance(value, str)).to_numpy()
        if not_strings.any():
            row = int(np.flatnonzero(not_strings)[0])
            value = records[column].iloc[row]
            raise ValueError(f"row {row} has {value!r} in column {column}: it must be a string")


def known_cameras(*camids):
    """Cameras of several tables as arrays if all are known; otherwise None for each.

    With a placeholder instead of None, every match would seem to be from the query's own camera and be left out.
    """
    arrays = tuple(np.asarray(values) for values in camids)
    known = all((values != UNKNOWN_CAMERA).all() for values in arrays)
    return arrays if known else (None,) * len(arrays)
