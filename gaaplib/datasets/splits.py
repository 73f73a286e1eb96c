"""The evaluation protocol: which image trains, validates, tests, queries or is retrieved.

Identities are split first. Those of the official training split (or, without an official split, those outside the
fold) get the roles train, val and test, on which the *closed* protocol runs; the unseen ones get query and gallery, on
which *retrieval* runs. Every draw depends on the seed, the fold and the set of images alone, not on the order of the
rows.
"""

import numpy as np
import pandas as pd

from gaaplib.datasets.records import COLUMNS, DISTRACTOR, UNKNOWN_CAMERA, check_records

ROLES = ("train", "val", "test", "query", "gallery")


def protocol_split(records: pd.DataFrame, fold: int = 0, folds: int = 5, seed: int = 0) -> pd.DataFrame:
    """Give each image its one role in a fold.

    Where there is an official split it decides who is trained on, and the fold only redraws train / val / test. Where
    there is none (split "all"), fold f tests on the identities that :func:`identity_folds` puts in f and trains on the
    others; distractors are always gallery.

    Args:
        records: as described in :mod:`gaaplib.datasets.records`, rows in any order; further columns are carried along.
        fold: 0 .. folds - 1.
        folds: number of folds.
        seed: not negative.

    Returns:
        The records, sorted by path, and a column ``role``: "train", "val", "test", "query" or "gallery".

    Raises:
        ValueError: a fold out of range, records that are not well-formed, an identity of the official split that is
            both in training and in testing, fewer identities than folds.
    """
    if fold not in range(folds):
        raise ValueError(f"fold is {fold}: with {folds} folds it must be 0 .. {folds - 1}")
    records = records.sort_values("path", ignore_index=True)
    check_records(records[list(COLUMNS)])
    if (records["split"] == "all").all():
        fold_of_pid = identity_folds(records, folds, seed)
        unseen = records["pid"].map(fold_of_pid).eq(fold) | (records["pid"] == DISTRACTOR)
        retrieval_role = query_gallery(records[unseen], seed)
    else:
        unseen = records["split"] != "train"
        _check_official_split(records, unseen)
        retrieval_role = records.loc[unseen, "split"]
    roles = pd.concat([training_split(records[~unseen], fold, seed), retrieval_role])
    return records.assign(role=roles)


def training_split(records: pd.DataFrame, fold: int, seed: int) -> pd.Series:
    """Split the images of each identity 70 / 15 / 15 into "train", "val" and "test".

    Validation and test get 15 % each, rounded, but at least one image; an identity with fewer than three images only
    trains. Each fold draws anew.

    Returns:
        The role of each image, on the records' index.
    """
    images = records.groupby("pid")["path"].transform("size")
    position = _random_position(records, ["pid"], [seed, fold])
    # Whole numbers, because 0.15 * images is not exact: 0.15 * 10 must round up as 0.15 * 30.
    held_out = np.maximum(1, (15 * images + 50) // 100).where(images >= 3, 0)
    roles = pd.Series("train", index=records.index, name="role")
    return roles.mask(position < 2 * held_out, "val").mask(position < held_out, "test")


def identity_folds(records: pd.DataFrame, folds: int = 5, seed: int = 0) -> pd.Series:
    """Deal the identities, shuffled, out to the folds; sizes differ by at most one.

    Returns:
        The fold of each pid, indexed by pid; the distractor has none.

    Raises:
        ValueError: fewer than two folds, or fewer identities than folds.
    """
    pids = np.unique(records.loc[records["pid"] != DISTRACTOR, "pid"])
    if not 2 <= folds <= len(pids):
        raise ValueError(
            f"folds is {folds}: with {len(pids)} identities it must be 2 .. {len(pids)}, so that each fold has "
            "identities to train on and to test on"
        )
    shuffled = pids[np.argsort(np.random.default_rng(seed).random(len(pids)))]
    return pd.Series(np.arange(len(pids)) % folds, index=shuffled, name="fold").sort_index()


def query_gallery(records: pd.DataFrame, seed: int) -> pd.Series:
    """Choose one random image of each identity and camera as a query; the rest is gallery.

    Every query keeps a match in the gallery. With cameras that is an image of its identity from another camera, so an
    identity of which fewer than two cameras have an image to spare (two or more) gets no query from the camera with
    most images (the first of them): all of it is gallery if it has one camera only. Without cameras, an identity with
    two images or more has one query. Distractors are gallery.

    Returns:
        "query" or "gallery" for each image, on the records' index.
    """
    groups = records[records["pid"] != DISTRACTOR].groupby(["pid", "camid"]).size()
    to_spare = groups >= 2
    if (records["camid"] == UNKNOWN_CAMERA).all():
        asking = to_spare
    else:
        most_images = groups.index.isin(groups.groupby("pid").idxmax())
        asking = (to_spare.groupby("pid").transform("sum") >= 2) | ~most_images
    group_of_image = pd.MultiIndex.from_frame(records[["pid", "camid"]])
    chosen = _random_position(records, ["pid", "camid"], [seed]) == 0
    query = chosen & group_of_image.isin(asking.index[asking])
    return pd.Series(np.where(query, "query", "gallery"), index=records.index, name="role")


def _random_position(records: pd.DataFrame, group: list[str], seed: list[int]) -> pd.Series:
    """Position, from 0, of each image in a random order of its group."""
    by_path = records.sort_values("path")
    shuffled = by_path.iloc[np.argsort(np.random.default_rng(seed).random(len(by_path)))]
    return shuffled.groupby(group).cumcount().reindex(records.index)


def _check_official_split(records: pd.DataFrame, unseen: pd.Series) -> None:
    both = np.intersect1d(records.loc[unseen, "pid"], records.loc[~unseen, "pid"])
    if len(both):
        raise ValueError(
            f"pid {both[0]} is both in training and in query or gallery ({len(both)} such pids): "
            "retrieval is scored on identities never trained on"
        )
