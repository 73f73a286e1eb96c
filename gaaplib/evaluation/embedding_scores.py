"""Scores of saved embeddings, with the conventions of :mod:`gaaplib.metrics`, and their report in words."""

import warnings

import numpy as np

from gaaplib import metrics
from gaaplib.evaluation import reranking, statistics
from gaaplib.evaluation.collapse import collapsed
from gaaplib.evaluation.embedding_files import JUNK, Side

RANKS = (1, 5, 10, 20)


def evaluate(
    query: Side, gallery: Side, *, metric: str = "cosine", ap: str = "step", rerank: bool = False, cameras: bool = True
) -> dict:
    """Scores, their 95 % intervals, chance level, counts and conventions, as a JSON-serialisable dictionary.

    The intervals are bootstraps over the valid queries that resample whole identities
    (:func:`gaaplib.evaluation.statistics.bootstrap_mean`). An image never finds itself: if both sides are one file, or
    a query and a gallery image have one name and one embedding, that gallery image is left out for that query. A
    UserWarning counts queries that equal a gallery image of another name.

    Args:
        query, gallery: from :func:`gaaplib.evaluation.embedding_files.read_npz` or
            :func:`gaaplib.evaluation.embedding_files.read_mat`. Gallery images of the identity -1 are left out.
        metric, ap: as in :func:`gaaplib.metrics.evaluate_embeddings`.
        rerank: whether to apply k-reciprocal re-ranking with its authors' parameters
            (:func:`gaaplib.evaluation.reranking.rerank`), after junk is left out. It takes memory for all distances:
            290 MB at Market-1501's size (3,368 x 15,913), 800 MB if the embeddings are float64.
        cameras: whether gallery images with the query's identity and camera are left out. If neither side has
            cameras, none are left out.

    Returns:
        ``scores`` and ``chance`` by name (``mAP``, ``mINP``, ``cmc1``, ...), fractions; ``intervals`` by the same
        names, each (low, high), or None if the valid queries are of fewer than ten identities; ``counts``;
        ``conventions``.

    Raises:
        ValueError: dimensions that differ, cameras of one side only, a query of the identity -1, no query with a match,
            an embedding of zeros for ``"cosine"``, embeddings that have collapsed
            (:func:`gaaplib.evaluation.collapse.collapsed`), or re-ranking with images that are on both sides.

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
    _check_collapse(query, gallery, metric)
    itself = _itself(query, gallery)
    options = {"itself": itself, "ap": ap, "max_rank": max(RANKS)}
    chance = _chance(labels, options, query, gallery)
    _warn_of_copies(query, gallery, metrics.Identities(*labels, itself))
    if rerank:
        if (itself >= 0).any():
            raise ValueError(
                f"{int((itself >= 0).sum())} images of {query.source} are in {gallery.source} too, so re-ranking would "
                "make neighbours of copies: save queries and gallery apart"
            )
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
            "itself": int((itself >= 0).sum()),
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
        f"{counts['identities']} identities; {counts['gallery']} gallery images, {counts['junk']} junk images "
        "(identity -1) left out",
    ]
    if counts["itself"]:
        lines.append(f"{counts['itself']} queries are gallery images too: each is left out of its own ranking")
    lines += ["", f"{'':8}{'score':>7}  {'95 % interval':<16}{'chance':>7}"]
    for name, score in report["scores"].items():
        title = name.replace("cmc", "CMC@")
        interval = report["intervals"][name]
        shown = f"[{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "-"
        lines.append(f"{title:8}{score:7.3f}  {shown:<16}{report['chance'][name]:7.3f}")
    few = f"none, as {counts['identities']} identities are too few ({statistics.MIN_GROUPS} are needed)"
    intervals = conventions["intervals"] if report["intervals"]["mAP"] else few
    cameras = "same identity and camera left out" if conventions["cameras"] else "cameras not used, nothing left out"
    lines += [
        "",
        f"Distance: {conventions['metric']}; re-ranking: {conventions['reranking'] or 'none'}.",
        f"AP: {conventions['ap']}; {cameras}; queries without a match left out.",
        f"Intervals: {intervals}.",
    ]
    return "\n".join(lines)


def _check_collapse(query: Side, gallery: Side, metric: str) -> None:
    precision = "float16" if np.float16 in (query.embeddings.dtype, gallery.embeddings.dtype) else "float32"
    reason = collapsed([query.embeddings, gallery.embeddings], len(np.unique(gallery.pids)), precision, metric)
    if reason:
        raise ValueError(
            f"{query.source} and {gallery.source} have collapsed embeddings: {reason}; a ranking by them says nothing "
            "about identities, so there are no scores"
        )


def _itself(query: Side, gallery: Side) -> np.ndarray:
    """The gallery index of each query, -1 if it is not in the gallery."""
    if query.embeddings.shape == gallery.embeddings.shape and np.array_equal(query.embeddings, gallery.embeddings):
        return np.where(query.pids == gallery.pids, np.arange(len(query.pids)), -1)
    found = np.full(len(query.pids), -1)
    if query.names is not None and gallery.names is not None:
        places = {name: place for place, name in enumerate(gallery.names.tolist())}
        for row, name in enumerate(query.names.tolist()):
            place = places.get(name)
            if place is not None and np.array_equal(query.embeddings[row], gallery.embeddings[place]):
                found[row] = place if query.pids[row] == gallery.pids[place] else -1
    return found


def _warn_of_copies(query: Side, gallery: Side, identities) -> None:
    """Count queries whose embedding is, number by number, that of a gallery image that is ranked for them."""
    rows = {}
    # The first number tells nearly all embeddings apart, so few are compared whole.
    for place in np.flatnonzero(np.isin(gallery.embeddings[:, 0], query.embeddings[:, 0])):
        rows.setdefault(gallery.embeddings[place].tobytes(), []).append(place)
    copies = 0
    for row, embedding in enumerate(query.embeddings.astype(gallery.embeddings.dtype)):
        own, left_out = identities.of(row)
        copies += bool({*rows.get(embedding.tobytes(), ())} - {*own[left_out].tolist()})
    if copies:
        warnings.warn(
            f"{copies} queries of {query.source} have the embedding of an image of {gallery.source}, number by number: "
            "if that is the same photograph, remove it from one of them, as any model finds it first",
            stacklevel=3,
        )


def _by_name(scores) -> dict[str, float]:
    cmc = {f"cmc{rank}": float(scores.cmc[rank - 1]) for rank in RANKS}
    return {"mAP": scores.mAP, "mINP": scores.mINP, **cmc}


def _intervals(scores, pids) -> dict[str, tuple[float, float] | None]:
    values = {"mAP": scores.ap, "mINP": scores.inp, **{f"cmc{rank}": scores.first_hit <= rank for rank in RANKS}}
    groups = pids[scores.valid]
    found = {name: statistics.bootstrap_mean(value[scores.valid], groups) for name, value in values.items()}
    return {name: None if np.isnan(each.low) else (each.low, each.high) for name, each in found.items()}


def _chance(labels, options, query: Side, gallery: Side):
    """Scores expected by chance; raises a ValueError if no query has a match, before any distance is computed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chance = metrics.expected_by_chance(*labels, **options)
    if not chance.num_valid_queries:
        other = " with another camera (are the cameras right? cameras=False or --no-cameras ignores them)"
        raise ValueError(
            f"no query has a match: no identity of {query.source} (such as {_some(query)}) is in {gallery.source} "
            f"(such as {_some(gallery)}){other if labels[2] is not None else ''}"
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
    camids, names = (values if values is None else values[not_junk] for values in (gallery.camids, gallery.names))
    kept = Side(gallery.source, gallery.embeddings[not_junk], gallery.pids[not_junk], camids, names, gallery.persons)
    return kept, int(np.sum(~not_junk))


def _cameras_known(query: Side, gallery: Side) -> bool:
    without = [side.source for side in (query, gallery) if side.camids is None]
    if len(without) == 1:
        raise ValueError(
            f"{without[0]} has no cameras, but the other side has: give the cameras of both sides, or ignore them "
            "(cameras=False or --no-cameras)"
        )
    return not without


def _some(side: Side) -> str:
    return ", ".join(map(side.person, np.unique(side.pids)[:3]))
