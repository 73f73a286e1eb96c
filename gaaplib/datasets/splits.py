"""The evaluation protocol: assigns each image to train, val, test, query or gallery.

Identities are split first. The training identities are those of the official training split or, without an official
split, those outside the fold. Their images get the roles train, val and test, which the *closed* protocol uses; or, as
in most of the literature, all of them get train, and there is no closed protocol. The images of the unseen identities
get query and gallery, which *retrieval* uses. The random choices depend only on the seed, the fold and the set of
images, not on the order of the rows.
"""

import numpy as np
import pandas as pd

from gaaplib.datasets.records import COLUMNS, DISTRACTOR, UNKNOWN_CAMERA, check_records

ROLES = ("train", "val", "test", "query", "gallery")
FOLDS = 5


def protocol_split(
    records: pd.DataFrame, fold: int = 0, folds: int = FOLDS, seed: int = 0, training_images: str = "split"
) -> pd.DataFrame:
    """The records of a fold, with the role of each image.

    An official split decides which identities are trained on, and the fold only changes the split into train, val and
    test. Without one (split "all"), fold f tests on the identities that :func:`identity_folds` assigns to f and trains
    on the others. Distractors are always gallery. So with an official split and all images for training, the folds are
    equal.

    Args:
        records: as described in :mod:`gaaplib.datasets.records`, rows in any order; further columns are kept.
        fold: 0 .. folds - 1.
        folds: number of folds; with fewer identities, there are as many folds as identities.
        seed: not negative.
        training_images: "split" for :func:`training_split`, or "all" to train on all images of the training identities.

    Returns:
        The records, sorted by path, with a further column ``role``: "train", "val", "test", "query" or "gallery".

    Raises:
        ValueError: a fold out of range, an unknown ``training_images``, malformed records, an identity that is in both
            parts of the official split, or fewer than two identities.

    Example:
        >>> from gaaplib.datasets.records import make_records
        >>> records = make_records((f"{pid}/{i}.jpg", pid, i % 2, "all") for pid in range(1, 6) for i in range(8))
        >>> split = protocol_split(records, fold=0)
        >>> split.groupby("role")["pid"].nunique().to_dict()  # identities
        {'gallery': 1, 'query': 1, 'test': 4, 'train': 4, 'val': 4}
        >>> split.groupby("role")["pid"].size().to_dict()  # images
        {'gallery': 6, 'query': 2, 'test': 4, 'train': 24, 'val': 4}
    """
    if fold not in range(folds):
        raise ValueError(f"fold is {fold}: with {folds} folds it must be 0 .. {folds - 1}")
    if training_images not in ("split", "all"):
        raise ValueError(f"training_images={training_images!r} is not known; known: split, all")
    records = records.sort_values("path", ignore_index=True)
    check_records(records[list(COLUMNS)])
    if (records["split"] == "all").all():
        fold_of_pid = identity_folds(records, folds, seed)
        if fold not in fold_of_pid.to_numpy():
            few = len(fold_of_pid)
            raise ValueError(f"fold is {fold}: {few} identities have {few} folds, 0 to {few - 1}")
        unseen = records["pid"].map(fold_of_pid).eq(fold) | (records["pid"] == DISTRACTOR)
        retrieval_role = query_gallery(records[unseen], seed)
    else:
        unseen = records["split"] != "train"
        _check_official_split(records, unseen)
        retrieval_role = records.loc[unseen, "split"]
    seen = records[~unseen]
    trained = pd.Series("train", index=seen.index) if training_images == "all" else training_split(seen, fold, seed)
    roles = pd.concat([trained, retrieval_role])
    return records.assign(role=roles)


def training_split(records: pd.DataFrame, fold: int, seed: int) -> pd.Series:
    """Split the images of each identity 70 / 15 / 15 into "train", "val" and "test".

    Validation and test get 15 % each, rounded, but at least one image. If an identity has fewer than three images, all
    of them are for training. Each fold has its own random split.

    Returns:
        The role of each image, on the records' index.
    """
    images = records.groupby("pid")["path"].transform("size")
    position = _random_position(records, ["pid"], [seed, fold])
    # Integer arithmetic, because 0.15 * images is not exact: 0.15 * 10 and 0.15 * 30 must both round up.
    held_out = np.maximum(1, (15 * images + 50) // 100).where(images >= 3, 0)
    roles = pd.Series("train", index=records.index, name="role")
    return roles.mask(position < 2 * held_out, "val").mask(position < held_out, "test")


def identity_folds(records: pd.DataFrame, folds: int = FOLDS, seed: int = 0) -> pd.Series:
    """Assign the shuffled identities to folds in turn; the folds' sizes differ by at most one.

    With fewer identities than folds, each identity has a fold of its own.

    Returns:
        The fold of each pid, indexed by pid, without the distractor.

    Raises:
        ValueError: fewer than two folds or identities.
    """
    pids = np.unique(records.loc[records["pid"] != DISTRACTOR, "pid"])
    if folds < 2:
        raise ValueError(f"folds is {folds}: it must be at least 2, one to test on and others to train on")
    if len(pids) < 2:
        raise ValueError(
            f"{len(pids)} identities are too few: each fold is tested on identities of its own and trained on the "
            "others; add identities, or give every image a split: train, query or gallery"
        )
    shuffled = pids[np.argsort(np.random.default_rng(seed).random(len(pids)))]
    return pd.Series(np.arange(len(pids)) % folds, index=shuffled, name="fold").sort_index()


def query_gallery(records: pd.DataFrame, seed: int) -> pd.Series:
    """Choose one random image per identity and camera as a query; the other images are gallery.

    Every query must have a match in the gallery. If cameras are known, that is an image of its identity from another
    camera. So if fewer than two cameras have at least two images of an identity, its camera with most images (the first
    of them if several are equal) gets no query. An identity seen by one camera only is therefore all gallery. If
    cameras are unknown, each identity with at least two images has one query. Distractors are gallery.

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


def no_match(table: pd.DataFrame) -> str | None:
    """Why no query has a match in the gallery, as a sentence; None if one has.

    Without any, there is nothing to score: a match is a gallery image of the query's identity and, if cameras are
    known, of another camera.

    Args:
        table: records with ``role``, from :func:`protocol_split`.
    """
    query, gallery = (table[table["role"] == role] for role in ("query", "gallery"))
    if query.empty and (table["split"] == "all").all():
        people = gallery.loc[gallery["pid"] != DISTRACTOR, "pid"].nunique()
        return (
            f"none of the {people} identities to be tested on has enough images for a query: it needs two, from two "
            "cameras if cameras are known; add images, or try another fold or seed"
        )
    for role, part in (("query", query), ("gallery", gallery)):
        if part.empty:
            return f"no image has the split {role!r}: retrieval ranks a gallery for each query, so it needs both"
    # Each camera of a person once: of thousands of images the pairs would fill the memory.
    pairs = query[["pid", "camid"]].drop_duplicates().merge(gallery[["pid", "camid"]].drop_duplicates(), on="pid")
    if pairs.empty:
        return (
            f"no identity of the {len(query)} queries (such as {query['pid'].iloc[0]}) is in the gallery: give each "
            "query another image of its identity there"
        )
    cameras = np.unique(pairs["camid_x"])
    if UNKNOWN_CAMERA not in cameras and (pairs["camid_x"] == pairs["camid_y"]).all():
        few = f"all are of camera {cameras[0]}" if len(cameras) == 1 else "each identity has one camera only"
        return (
            f"no query has a match of another camera ({few}), and those of its own camera are left out: add images of "
            "a second camera, or leave out the cameras if they are not known"
        )
    return None


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
            "retrieval must be scored on identities that are not trained on"
        )
