"""Scores of embeddings that any framework has saved to files, with the conventions of :mod:`gaaplib.metrics`.

Each side (query, gallery) is an ``.npz`` file of three arrays, as ``numpy.savez("gallery.npz", embeddings=...,
pids=..., camids=...)`` writes it; ``camids`` is optional. ``NAMES`` lists other accepted array names. Alternatively,
one ``.mat`` file holds both sides, with the array names of https://github.com/layumi/Person_reID_baseline_pytorch.
Files are never unpickled.

The identity -1 is junk, as in Market-1501: such gallery images are left out and counted. The identity 0 has no special
meaning: Market-1501's distractors have it, and no query does.
"""

import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from gaaplib import metrics
from gaaplib.evaluation import reranking, statistics

NAMES = {
    "embeddings": ("embeddings", "features", "feats", "feat"),
    "pids": ("pids", "labels", "ids"),
    "camids": ("camids", "cameras", "cams"),
}
"""Accepted names of the arrays in an ``.npz`` file; the first is the library's own."""

JUNK = -1
RANKS = (1, 5, 10, 20)


@dataclass(frozen=True, eq=False)
class Side:
    """The query or the gallery images.

    Attributes:
        source: the file, for messages.
        embeddings: (n, dim), finite.
        pids: integers (n,).
        camids: integers (n,), or None if the cameras are unknown.
    """

    source: str
    embeddings: np.ndarray
    pids: np.ndarray
    camids: np.ndarray | None


def read_npz(path) -> Side:
    """One side from an ``.npz`` file: ``embeddings`` (n, dim), ``pids`` (n,) and, if known, ``camids`` (n,).

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an ``.npz`` file, an array that is missing or present under two names, pickled objects, shapes
            that do not agree, a value that is NaN or infinite, identities or cameras that are not integers.

    Example:
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "query.npz")
        ...     np.savez(path, embeddings=[[1.0, 0.0], [0.0, 1.0]], pids=[7, 8], camids=[0, 1])
        ...     side = read_npz(path)
        >>> side.embeddings.shape, side.pids.tolist(), side.camids.tolist()
        ((2, 2), [7, 8], [0, 1])
    """
    path = _existing(path)
    with open(path, "rb") as file:
        if file.read(6) == b"\x93NUMPY":
            raise ValueError(
                f"{path} is a single array (.npy): save the embeddings together with their labels, by {_how_to_save()}"
            )
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not an .npz file: write one with {_how_to_save()}")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            values = {name: _find(arrays, name, path) for name in NAMES}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}; is the file complete?") from error
    return _side(str(path), values["embeddings"], values["pids"], values["camids"])


def read_mat(path) -> tuple[Side, Side]:
    """Query and gallery from a ``pytorch_result.mat`` of Person_reID_baseline_pytorch.

    Its arrays are ``query_f`` and ``gallery_f`` (n, dim), ``query_label``, ``gallery_label`` and, if known,
    ``query_cam`` and ``gallery_cam``, of n entries each.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a ``.mat`` file, a ``.mat`` file of version 7.3, or contents that :func:`read_npz` refuses too.
    """
    path = _existing(path)
    if h5py.is_hdf5(path):
        raise ValueError(
            f"{path} is a .mat file of version 7.3 (HDF5): save it in MATLAB with '-v7', or read it with h5py (its "
            f"axes are reversed) and write an .npz file for each side, with {_how_to_save()}"
        )
    try:
        from scipy.io import loadmat  # only here: its import takes as long as all others

        arrays = loadmat(path)
    except Exception as error:
        # On damaged files SciPy raises many kinds of errors: TypeError, zlib.error, MemoryError and others.
        raise ValueError(f"{path} cannot be read as a .mat file: {error}") from error
    sides = []
    for side in ("query", "gallery"):
        missing = [name for name in (f"{side}_f", f"{side}_label") if name not in arrays]
        if missing:
            names = ", ".join(sorted(name for name in arrays if not name.startswith("__")))
            raise ValueError(f"{path} has no {' and no '.join(missing)}; it has: {names or 'no arrays'}")
        source = f"{path} ({side})"
        sides.append(_side(source, *(arrays.get(f"{side}_{name}") for name in ("f", "label", "cam"))))
    return tuple(sides)


def evaluate(
    query: Side, gallery: Side, *, metric: str = "cosine", ap: str = "step", rerank: bool = False, cameras: bool = True
) -> dict:
    """Scores, their 95 % intervals, chance level, counts and conventions, as a JSON-serialisable dictionary.

    The intervals are bootstraps over the valid queries that resample whole identities
    (:func:`gaaplib.evaluation.statistics.bootstrap_mean`).

    Args:
        query, gallery: from :func:`read_npz` or :func:`read_mat`. Gallery images of the identity -1 are left out.
        metric, ap: as in :func:`gaaplib.metrics.evaluate_embeddings`.
        rerank: whether to apply k-reciprocal re-ranking with its authors' parameters
            (:func:`gaaplib.evaluation.reranking.rerank`), after junk is left out.
        cameras: whether gallery images with the query's identity and camera are left out. If neither side has
            cameras, none are left out.

    Returns:
        ``scores`` and ``chance`` by name (``mAP``, ``mINP``, ``cmc1``, ...), fractions; ``intervals`` by the same
        names, each (low, high), or None if all valid queries are of one identity; ``counts``; ``conventions``.

    Raises:
        ValueError: dimensions that differ, cameras of one side only, a query of the identity -1, no query with a match,
            an embedding of zeros for ``"cosine"``.

    Example:
        >>> query = Side("query", np.eye(2), pids=np.array([7, 8]), camids=None)
        >>> gallery = Side("gallery", np.array([[1, 0.1], [0.8, 1], [0.9, 0.7]]), np.array([7, 8, -1]), camids=None)
        >>> report = evaluate(query, gallery)
        >>> report["scores"]["mAP"], report["chance"]["mAP"], report["counts"]["junk"]
        (1.0, 0.75, 1)
    """
    gallery, junk = _without_junk(query, gallery, metric)
    known = cameras and _cameras_known(query, gallery)
    labels = (query.pids, gallery.pids, *((query.camids, gallery.camids) if known else (None, None)))
    options = {"ap": ap, "max_rank": max(RANKS)}
    chance = _chance(labels, options, query, gallery)
    if rerank:
        distances = reranking.rerank(query.embeddings, gallery.embeddings, metric=metric)
        scores = metrics.evaluate_distances(distances, *labels, **options)
    else:
        scores = metrics.evaluate_embeddings(query.embeddings, gallery.embeddings, *labels, metric=metric, **options)
    return {
        "scores": _by_name(scores),
        "intervals": _intervals(scores, query.pids),
        "chance": _by_name(chance),
        "counts": {
            "queries": len(query.pids),
            "valid_queries": scores.num_valid_queries,
            "identities": len(np.unique(query.pids[scores.valid])),
            "gallery": len(gallery.pids),
            "junk": junk,
        },
        "conventions": {
            "metric": metric,
            "reranking": "k-reciprocal, k1=20, k2=6, lambda=0.3" if rerank else None,
            "ap": ap,
            "cameras": known,
            "queries_without_match": "left out",
            "intervals": "95 % bootstrap over queries, whole identities resampled",
        },
    }


def describe(report: dict) -> str:
    """The result of :func:`evaluate` as a few lines of text."""
    counts, conventions = report["counts"], report["conventions"]
    lines = [
        f"{counts['queries']} queries, {counts['valid_queries']} of them valid (with a match), of "
        f"{counts['identities']} identities; {counts['gallery']} gallery images, {counts['junk']} junk images left out",
        "",
        f"{'':8}{'score':>7}  {'95 % interval':<16}{'chance':>7}",
    ]
    for name, score in report["scores"].items():
        title = name.replace("cmc", "CMC@")
        interval = report["intervals"][name]
        shown = f"[{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "-"
        lines.append(f"{title:8}{score:7.3f}  {shown:<16}{report['chance'][name]:7.3f}")
    intervals = conventions["intervals"] if counts["identities"] > 1 else "none, as they need at least two identities"
    cameras = "same identity and camera left out" if conventions["cameras"] else "cameras not used, nothing left out"
    lines += [
        "",
        f"Distance: {conventions['metric']}; re-ranking: {conventions['reranking'] or 'none'}.",
        f"AP: {conventions['ap']}; {cameras}; queries without a match left out.",
        f"Intervals: {intervals}.",
    ]
    return "\n".join(lines)


# -- scores ------------------------------------------------------------------------------------------------------------


def _by_name(scores) -> dict[str, float]:
    cmc = {f"cmc{rank}": float(scores.cmc[rank - 1]) for rank in RANKS}
    return {"mAP": scores.mAP, "mINP": scores.mINP, **cmc}


def _intervals(scores, pids) -> dict[str, tuple[float, float] | None]:
    values = {"mAP": scores.ap, "mINP": scores.inp, **{f"cmc{rank}": scores.first_hit <= rank for rank in RANKS}}
    groups = pids[scores.valid]
    if len(np.unique(groups)) < 2:
        return dict.fromkeys(values)
    intervals = {name: statistics.bootstrap_mean(value[scores.valid], groups) for name, value in values.items()}
    return {name: (interval.low, interval.high) for name, interval in intervals.items()}


def _chance(labels, options, query: Side, gallery: Side):
    """Scores expected by chance; raises a ValueError if no query has a match, before any distance is computed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chance = metrics.expected_by_chance(*labels, **options)
    if not chance.num_valid_queries:
        other = " with another camera (are the cameras right? cameras=False or --no-cameras ignores them)"
        raise ValueError(
            f"no query has a match: no identity of {query.source} (such as {_some(query.pids)}) is in {gallery.source} "
            f"(such as {_some(gallery.pids)}){other if labels[2] is not None else ''}"
        )
    return chance


def _without_junk(query: Side, gallery: Side, metric: str) -> tuple[Side, int]:
    """The gallery without junk, and the number of junk images. Rows are checked here, so messages give the file's."""
    junk_queries = np.flatnonzero(query.pids == JUNK)
    if junk_queries.size:
        raise ValueError(
            f"{query.source} has the identity {JUNK} (junk) at row {junk_queries[0]} ({junk_queries.size} such rows): "
            "leave these queries out"
        )
    not_junk = gallery.pids != JUNK
    if not not_junk.any():
        raise ValueError(f"{gallery.source} has no image whose identity is not {JUNK} (junk)")
    if query.embeddings.shape[1] != gallery.embeddings.shape[1]:
        raise ValueError(
            f"{query.source} has embeddings of {query.embeddings.shape[1]} dimensions and {gallery.source} of "
            f"{gallery.embeddings.shape[1]}: both must come from the same model"
        )
    for side, used in ((query, np.ones(len(query.pids), bool)), (gallery, not_junk)):
        zero = np.flatnonzero(used & ~side.embeddings.any(axis=1))
        if metric == "cosine" and zero.size:
            raise ValueError(
                f"{side.source} has an embedding of zeros at row {zero[0]} ({zero.size} such rows): it has no "
                "direction, so no cosine distance; leave it out, or use the metric 'euclidean'"
            )
    camids = None if gallery.camids is None else gallery.camids[not_junk]
    return Side(gallery.source, gallery.embeddings[not_junk], gallery.pids[not_junk], camids), int(np.sum(~not_junk))


def _cameras_known(query: Side, gallery: Side) -> bool:
    without = [side.source for side in (query, gallery) if side.camids is None]
    if len(without) == 1:
        raise ValueError(
            f"{without[0]} has no cameras, but the other side has: give the cameras of both sides, or ignore them "
            "(cameras=False or --no-cameras)"
        )
    return not without


def _some(pids) -> str:
    return ", ".join(map(str, np.unique(pids)[:3]))


# -- files -------------------------------------------------------------------------------------------------------------


def _existing(path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    return path


def _how_to_save() -> str:
    return f"numpy.savez(path, {', '.join(f'{name}=...' for name in NAMES)})"


def _find(arrays: Mapping, name: str, path) -> np.ndarray | None:
    """The array under any of its accepted names; None if it is ``camids`` and missing."""
    present = [alias for alias in NAMES[name] if alias in arrays]
    if len(present) > 1:
        raise ValueError(f"{path} has both {present[0]} and {present[1]}: keep only the one that holds the {name}")
    if present:
        try:
            return arrays[present[0]]
        except ValueError as error:
            raise ValueError(
                f"{path}: {present[0]} cannot be read ({error}); pickled objects are refused, so save an array of "
                "numbers"
            ) from error
    if name == "camids":
        return None
    raise ValueError(
        f"{path} has no {name} (accepted names: {', '.join(NAMES[name])}); it has: {', '.join(arrays) or 'no arrays'}"
    )


def _side(source: str, embeddings, pids, camids) -> Side:
    if embeddings.ndim != 2 or embeddings.dtype.kind not in "fiu" or embeddings.size == 0:
        raise ValueError(
            f"{source}: the embeddings have shape {embeddings.shape} and dtype {embeddings.dtype}: they must be a "
            "matrix of real numbers (n, dim), with one row per image and at least one row"
        )
    bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if bad.size:
        raise ValueError(
            f"{source}: the embedding at row {bad[0]} has NaN or infinite values ({bad.size} such rows): leave these "
            "images out, or find out why the model produces them"
        )
    n = len(embeddings)
    camids = None if camids is None else _integers(camids, n, f"{source}: the cameras")
    return Side(source, embeddings, _integers(pids, n, f"{source}: the identities"), camids)


def _integers(values, n: int, what: str) -> np.ndarray:
    """(n,) integers; also accepts (1, n), (n, 1) and whole floats, as MATLAB writes them."""
    if values.shape not in ((n,), (1, n), (n, 1)):
        raise ValueError(f"{what} have shape {values.shape}: with {n} embeddings the shape must be {(n,)}")
    values = values.reshape(n)
    whole = values.dtype.kind == "f" and np.array_equal(values, np.round(values)) and np.abs(values).max() < 2**53
    if not whole and values.dtype.kind not in "iu":
        raise ValueError(f"{what} have dtype {values.dtype} and are not whole numbers: they must be integers")
    return values.astype(np.int64)
