"""Retrieval and classification scores: distances and scores in, CMC / mAP / mINP / mRA out.

Two protocols, never mixed in one number:

- *retrieval*: the gallery is ranked by its distance to each query, of identities never trained on.
  :func:`evaluate_distances`, :func:`evaluate_embeddings`; by luck alone :func:`expected_by_chance`.
- *closed*: softmax scores over the identities trained on.
  :func:`evaluate_classification`; by luck alone :func:`expected_classification_by_chance`.

For one query, let N gallery images be ranked once the junk is left out, R of them of the query's identity (the hits),
at ranks r_1 < ... < r_R, all counted from 1. Then

- CMC(k) is 1 if r_1 <= k, else 0;
- AP is the mean of the precision h / r_h over the hits h = 1..R ("step"), or of the precision just before and at the
  hit, averaged ("trapezoid"; see ``AP_CONVENTIONS``);
- INP is R / r_R, the share of the ranking down to the last hit that is hits.

CMC, mAP and mINP are their means over the valid queries, those with R > 0. Junk is a gallery image with the query's
identity *and* camera: the same moment seen twice, no re-identification.

Sources: L. Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015 (CMC, mAP, junk); M. Ye et al.,
"Deep Learning for Person Re-identification: A Survey and Outlook", TPAMI 2022 (INP).
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

CHUNK_ELEMENTS = 2**22
"""Queries x gallery entries worked on at once, at some 30 bytes each."""


@dataclass(frozen=True, eq=False)
class RetrievalScores:
    """Scores of one retrieval evaluation, all as fractions.

    Attributes:
        mAP, mINP: means over the valid queries; NaN if there is none.
        cmc: (max_rank,); ``cmc[k - 1]`` is CMC(k), the share of valid queries with a hit among the first k. Past the
            gallery's length the last value is carried on.
        num_queries, num_valid_queries: all queries, and those with a match in the gallery once the junk is left out.
        ap_convention: which average precision ``mAP`` and ``ap`` are: a key of ``AP_CONVENTIONS``.
        ap, inp, first_hit: floats (num_queries,), in the order of the queries, NaN where ``valid`` is False;
            ``first_hit`` is the rank of the first hit, from 1.
        valid: booleans (num_queries,).
    """

    mAP: float
    mINP: float
    cmc: np.ndarray
    num_queries: int
    num_valid_queries: int
    ap_convention: str
    ap: np.ndarray = field(repr=False)
    inp: np.ndarray = field(repr=False)
    first_hit: np.ndarray = field(repr=False)
    valid: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class ClassificationScores:
    """Scores of one closed-set evaluation, all as fractions.

    Attributes:
        mRA: top-1 accuracy averaged over the identities present (macro accuracy).
        micro_accuracy: top-1 accuracy over the images; the same as CMC(1).
        mAP: mean of 1 / rank of the right class: the AP of a ranking with one right answer.
        cmc: (max_rank,); ``cmc[k - 1]`` is CMC(k), the share of images whose identity is among the k best classes.
            Past the number of classes the last value is carried on.
        num_images, num_identities, num_classes: images scored, identities among their labels, columns of the scores.
        rank: (num_images,), the rank of the right class of each image, from 1.
    """

    mRA: float
    micro_accuracy: float
    mAP: float
    cmc: np.ndarray
    num_images: int
    num_identities: int
    num_classes: int
    rank: np.ndarray = field(repr=False)

    @property
    def macro_accuracy(self) -> float:
        """The usual name of ``mRA``."""
        return self.mRA


# -- retrieval ---------------------------------------------------------------------------------------------------------


def evaluate_distances(
    distances, query_pids, gallery_pids, query_camids=None, gallery_camids=None, *, ap: str = "step", max_rank: int = 50
) -> RetrievalScores:
    """Score the rankings that a matrix of distances gives.

    Each query's gallery is sorted by ascending distance, ties in gallery order. With cameras, gallery images with the
    query's identity and camera (junk) are left out; without, nothing is. A query without a match is counted in
    ``num_queries`` and left out of every mean. If no query has one, the scores are NaN and there is one UserWarning.

    Args:
        distances: (num_queries, num_gallery), any real dtype, any memory layout; smaller is more alike.
        query_pids, gallery_pids: identities, (num_queries,) and (num_gallery,).
        query_camids, gallery_camids: cameras, as many, both or neither. Where cameras are unknown give neither: a
            placeholder shared by all images would make every match junk.
        ap: convention of the average precision. ``"step"`` is scikit-learn's; ``"trapezoid"`` is that of Market-1501's
            official evaluation and never the higher of the two.
        max_rank: length of ``cmc``.

    Raises:
        ValueError: lengths that do not agree, an empty gallery, one camera array missing, a distance that is NaN or
            infinite, an unknown ``ap``, ``max_rank`` below 1.
    """
    distances = np.asarray(distances)
    labels = _checked_labels(query_pids, gallery_pids, query_camids, gallery_camids)
    expected = (len(labels[0]), len(labels[1]))
    if distances.shape != expected:
        raise ValueError(
            f"distances has shape {distances.shape}: with {expected[0]} query_pids and {expected[1]} gallery_pids "
            f"it must be a matrix of shape {expected}"
        )
    return _summarise(*_score_queries(lambda rows: distances[rows], labels, ap, max_rank), ap)


def evaluate_embeddings(
    query,
    gallery,
    query_pids,
    gallery_pids,
    query_camids=None,
    gallery_camids=None,
    *,
    metric: str = "cosine",
    ap: str = "step",
    max_rank: int = 50,
) -> RetrievalScores:
    """Score the rankings that embeddings give.

    The distances are computed for a chunk of queries at a time, so that memory stays bounded by ``CHUNK_ELEMENTS``
    (some 130 MB) plus a copy of the embeddings, however many queries there are.

    Args:
        query, gallery: (num_queries, dim) and (num_gallery, dim).
        metric: ``"cosine"`` or ``"euclidean"``; see :func:`pairwise_distances`.

    The other arguments, the errors and the warning are those of :func:`evaluate_distances`; the embeddings' errors are
    those of :func:`pairwise_distances`, and numbers of embeddings and identities that do not agree.
    """
    labels = _checked_labels(query_pids, gallery_pids, query_camids, gallery_camids)
    distance_rows = _prepare_distances(query, gallery, metric)
    for name, rows, pids in (("query", query, labels[0]), ("gallery", gallery, labels[1])):
        if len(rows) != len(pids):
            raise ValueError(f"{name} has {len(rows)} embeddings but {name}_pids has {len(pids)} entries: give as many")
    return _summarise(*_score_queries(distance_rows, labels, ap, max_rank), ap)


def expected_by_chance(
    query_pids, gallery_pids, query_camids=None, gallery_camids=None, *, ap: str = "step", max_rank: int = 50
) -> RetrievalScores:
    """Exact expectation of every score when each ranking is uniformly random.

    With N ranked gallery images of which R are hits, and H_N the N-th harmonic number:

    - AP, step: (H_N + (N - H_N) (R - 1) / (N - 1)) / N; a hit at rank k has k - 1 images before it, each a hit with
      probability (R - 1) / (N - 1).
    - AP, trapezoid: the mean of that and R / N, the expectation with the precision before the hit.
    - CMC(k): 1 - C(N - R, k) / C(N, k), the hypergeometric chance of a hit among k.
    - INP: sum over l of (R / l) P(l); P(l) = C(l - 1, R - 1) / C(N, R) is the chance that the last hit has rank l.
    - first hit: (N + 1) / (R + 1).

    Arguments, errors and the warning are those of :func:`evaluate_distances`; ``ap``, ``inp`` and ``first_hit`` of the
    answer hold each query's expectation.
    """
    labels = _checked_labels(query_pids, gallery_pids, query_camids, gallery_camids)
    _check_choice(ap, AP_CONVENTIONS, "ap")
    _check_max_rank(max_rank)
    ranked, hits = np.empty((2, len(labels[0])), np.int64)
    for rows, good, junk in _chunks(*labels):
        ranked[rows] = (~junk).sum(axis=1)
        hits[rows] = good.sum(axis=1)

    valid = hits > 0
    # Equal (N, R) have equal expectations: compute each pair once.
    pairs, pair_of_query, queries = np.unique(
        np.stack([ranked[valid], hits[valid]]), axis=1, return_inverse=True, return_counts=True
    )
    expected = np.empty((pairs.shape[1], 3 + max_rank))
    for row, (n, r) in zip(expected, pairs.T, strict=True):
        row[:3], row[3:] = _chance(n, r, ap, max_rank)
    per_query = np.full((3, len(valid)), np.nan)
    per_query[:, valid] = expected[pair_of_query.ravel(), :3].T
    return _summarise(per_query, queries @ expected[:, 3:] / max(len(pair_of_query), 1), ap)


def pairwise_distances(query, gallery, metric: str = "cosine") -> np.ndarray:
    """Distances of every query to every gallery embedding, (num_queries, num_gallery).

    Args:
        query, gallery: (num_queries, dim) and (num_gallery, dim). Computed in float32, or in float64 where the input
            needs it (float64, or 32-bit integers and wider).
        metric: ``"cosine"`` is 1 - cos of the angle, from 0 to 2 but for rounding. ``"euclidean"`` is
            sqrt(|q|^2 + |g|^2 - 2 q.g), clipped at 0: fast, and exact to rounding of the *squared* norms, so that in
            float32 near-duplicates may differ by some thousandths of their norm.

    Raises:
        ValueError: dimensions that differ, a value that is NaN or infinite, an unknown metric or, for ``"cosine"``, an
            embedding of zeros, which has no direction.
    """
    return _prepare_distances(query, gallery, metric)(slice(None))


# -- classification ----------------------------------------------------------------------------------------------------


def evaluate_classification(scores, labels, *, max_rank: int = 50) -> ClassificationScores:
    """Score the closed protocol, in which every identity was trained on.

    The rank of the right class is 1 + the number of classes with a higher score + the number of earlier classes with
    the same score.

    Args:
        scores: (num_images, num_classes), larger is more likely: probabilities or logits.
        labels: integers (num_images,), the right class of each image, 0 .. num_classes - 1.
        max_rank: length of ``cmc``.

    Raises:
        ValueError: no image, a score that is NaN or infinite, lengths that do not agree, a label that is no integer or
            not a column of ``scores``, ``max_rank`` below 1.
    """
    scores = _finite_matrix(scores, "scores")
    num_images, num_classes = scores.shape
    labels = _checked_classes(labels, num_classes)
    _check_max_rank(max_rank)
    if len(labels) != num_images:
        raise ValueError(f"labels has {len(labels)} entries but scores has {num_images} rows: give one for each row")
    right = scores[np.arange(num_images), labels][:, np.newaxis]
    earlier = np.arange(num_classes) < labels[:, np.newaxis]
    rank = 1 + np.sum((scores > right) | ((scores == right) & earlier), axis=1)

    identity, images = np.unique(labels, return_inverse=True, return_counts=True)[1:]
    return ClassificationScores(
        mRA=float(np.mean(np.bincount(identity, weights=rank == 1) / images)),
        micro_accuracy=float(np.mean(rank == 1)),
        mAP=float(np.mean(1 / rank)),
        cmc=_cmc(rank, max_rank),
        num_images=num_images,
        num_identities=len(images),
        num_classes=num_classes,
        rank=rank,
    )


def expected_classification_by_chance(labels, num_classes: int, *, max_rank: int = 50) -> ClassificationScores:
    """Exact expectation of every closed-set score when the classes are ranked at random.

    With C classes the right one has each rank with probability 1 / C: mRA and accuracy are 1 / C, CMC(k) is
    min(k, C) / C, mAP is H_C / C (the harmonic number), and the rank is (C + 1) / 2. Arguments and errors are those of
    :func:`evaluate_classification`.
    """
    labels = _checked_classes(labels, num_classes)
    _check_max_rank(max_rank)
    return ClassificationScores(
        mRA=1 / num_classes,
        micro_accuracy=1 / num_classes,
        mAP=float(np.mean(1 / np.arange(1, num_classes + 1))),
        cmc=np.minimum(np.arange(1, max_rank + 1), num_classes) / num_classes,
        num_images=len(labels),
        num_identities=len(np.unique(labels)),
        num_classes=num_classes,
        rank=np.full(len(labels), (num_classes + 1) / 2),
    )


# -- from distances to scores ------------------------------------------------------------------------------------------


def _score_queries(distance_rows, labels, ap: str, max_rank: int) -> tuple[np.ndarray, np.ndarray]:
    """AP, INP and first hit of each query, (3, num_queries), and CMC; ``distance_rows`` answers for a chunk of rows."""
    precision = _check_choice(ap, AP_CONVENTIONS, "ap")
    _check_max_rank(max_rank)
    per_query = np.empty((3, len(labels[0])))
    for rows, good, junk in _chunks(*labels):
        distances = _finite_matrix(distance_rows(rows), "distances", first_row=rows.start)
        per_query[:, rows] = _score_rows(distances, good, junk, precision)
    first_hit = per_query[2]
    return per_query, _cmc(first_hit[~np.isnan(first_hit)], max_rank)


def _chunks(query_pids, gallery_pids, query_camids, gallery_camids) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Rows of at most about CHUNK_ELEMENTS entries; which gallery images are good matches of theirs, and which junk."""
    step = max(1, CHUNK_ELEMENTS // len(gallery_pids))
    for start in range(0, len(query_pids), step):
        rows = slice(start, min(start + step, len(query_pids)))
        same_identity = query_pids[rows, np.newaxis] == gallery_pids
        same_camera = query_camids[rows, np.newaxis] == gallery_camids
        yield rows, same_identity & ~same_camera, same_identity & same_camera


def _score_rows(distances, good, junk, precision) -> np.ndarray:
    """AP, INP and rank of the first hit of each row: (3, rows), NaN where nothing is good.

    Rows have unequally many hits, so the hits of all rows stand in one flat array, row by row.
    """
    order = np.argsort(distances, axis=1, kind="stable")
    good = np.take_along_axis(good, order, axis=1)
    rank_in_row = np.cumsum(~np.take_along_axis(junk, order, axis=1), axis=1)

    rank = rank_in_row[good]
    num_hits = good.sum(axis=1)
    valid = num_hits > 0
    num_hits = num_hits[valid]
    end = np.cumsum(num_hits)
    start = end - num_hits
    hit = np.arange(1, len(rank) + 1) - np.repeat(start, num_hits)
    scores = np.full((3, len(distances)), np.nan)
    scores[:, valid] = np.add.reduceat(precision(hit, rank), start) / num_hits, num_hits / rank[end - 1], rank[start]
    return scores


def _summarise(per_query, cmc, ap_convention: str) -> RetrievalScores:
    """Average over the valid queries; NaN and one warning, at the caller's caller, if there is none."""
    valid = ~np.isnan(per_query[0])
    if valid.any():
        mAP, mINP = (float(values[valid].mean()) for values in per_query[:2])
    else:
        mAP, mINP, cmc = np.nan, np.nan, np.full(len(cmc), np.nan)
        warnings.warn(
            f"none of the {len(valid)} queries has a match in the gallery (images with the query's identity and camera "
            "are left out), so the scores are NaN; check that pids and camids belong to these images, and give no "
            "camids where cameras are unknown",
            stacklevel=3,
        )
    return RetrievalScores(mAP, mINP, cmc, len(valid), int(valid.sum()), ap_convention, *per_query, valid)


def _cmc(rank, max_rank: int) -> np.ndarray:
    """Share of the ranks (from 1) that are at most k, for k = 1..max_rank."""
    return np.searchsorted(np.sort(rank), np.arange(1, max_rank + 1), side="right") / max(len(rank), 1)


def _precision_trapezoid(hit, rank):
    """Mean of the precision just before and at the hit, the former taken as 1 at rank 1.

    So the trapezoids under the precision-recall curve in Market-1501's official evaluation, which is that of the Oxford
    buildings (J. Philbin et al., CVPR 2007), where old_precision starts at 1.
    """
    before = np.where(rank == 1, 1.0, (hit - 1) / np.maximum(rank - 1, 1))
    return (before + hit / rank) / 2


def _chance(n: int, r: int, ap: str, max_rank: int) -> tuple[tuple[float, float, float], np.ndarray]:
    """Expected (AP, INP, first hit) and CMC for one N and R; formulas in :func:`expected_by_chance`."""
    rank = np.arange(1, n + 1)
    left = rank[::-1]  # images not yet drawn at each rank
    missed = np.cumprod(np.maximum(left - r, 0) / left)  # the chance of no hit up to each rank
    first = r / left * np.concatenate([[1.0], missed[:-1]])  # the chance of the first hit at each rank
    precision = np.mean((1 + (rank - 1) * (r - 1) / max(n - 1, 1)) / rank)
    if ap == "trapezoid":
        precision = (precision + r / n) / 2
    # Read backwards a random ranking is as random: the last hit has rank `left` as often as the first has `rank`.
    inp = np.sum(r / left * first)
    return (precision, inp, (n + 1) / (r + 1)), 1 - missed[np.minimum(np.arange(max_rank), n - 1)]


# -- distances ---------------------------------------------------------------------------------------------------------


def _prepare_distances(query, gallery, metric: str) -> Callable[[slice], np.ndarray]:
    """Check the embeddings and do the work of one side only once; the answer maps rows of queries to distances."""
    prepare = _check_choice(metric, METRICS, "metric")
    query, gallery = _finite_matrix(query, "query"), _finite_matrix(gallery, "gallery")
    if query.shape[1] != gallery.shape[1]:
        raise ValueError(f"query has {query.shape[1]} columns and gallery {gallery.shape[1]}: they must be as many")
    dtype = np.result_type(query, gallery, np.float32)
    return prepare(query.astype(dtype, copy=False), gallery.astype(dtype, copy=False))


def _cosine(query, gallery) -> Callable[[slice], np.ndarray]:
    query, gallery = _unit_rows(query, "query"), _unit_rows(gallery, "gallery")
    return lambda rows: 1 - query[rows] @ gallery.T


def _euclidean(query, gallery) -> Callable[[slice], np.ndarray]:
    query_squares = np.einsum("ij,ij->i", query, query)[:, np.newaxis]
    gallery_squares = np.einsum("ij,ij->i", gallery, gallery)

    def distances(rows):
        squares = query_squares[rows] + gallery_squares - 2 * (query[rows] @ gallery.T)
        return np.sqrt(np.maximum(squares, 0))

    return distances


def _unit_rows(embeddings, name: str) -> np.ndarray:
    # Dividing by the largest entry first keeps the squares of tiny and huge rows in range.
    largest = np.abs(embeddings).max(axis=1, initial=0, keepdims=True)
    zero = np.flatnonzero(largest == 0)
    if zero.size:
        raise ValueError(
            f"{name} embedding at row {zero[0]} is all zeros ({zero.size} such rows): it has no direction, so no "
            "cosine distance; leave it out, or take metric='euclidean'"
        )
    scaled = embeddings / largest
    return scaled / np.linalg.norm(scaled, axis=1, keepdims=True)


# -- checks ------------------------------------------------------------------------------------------------------------


def _checked_labels(query_pids, gallery_pids, query_camids, gallery_camids) -> tuple[np.ndarray, ...]:
    """The four as arrays; where cameras are unknown, such that the sides have none in common and nothing is junk."""
    if (query_camids is None) != (gallery_camids is None):
        missing = "query_camids" if query_camids is None else "gallery_camids"
        raise ValueError(f"{missing} is missing: give the cameras of both sides, or of neither")
    if query_camids is None:
        query_camids, gallery_camids = np.zeros(np.shape(query_pids)), np.ones(np.shape(gallery_pids))
    names = ("query_pids", "gallery_pids", "query_camids", "gallery_camids")
    labels = tuple(map(np.asarray, (query_pids, gallery_pids, query_camids, gallery_camids)))
    for name, values, side, pids in zip(names, labels, ("query", "gallery") * 2, labels[:2] * 2, strict=True):
        if values.ndim != 1:
            raise ValueError(f"{name} has shape {values.shape}: it must have one axis")
        if len(values) != len(pids):
            raise ValueError(f"{side}_pids has {len(pids)} entries and {name} {len(values)}: they must be as many")
    if len(labels[1]) == 0:
        raise ValueError("gallery_pids is empty: give at least one gallery image to rank")
    return labels


def _checked_classes(labels, num_classes: int) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 1 or len(labels) == 0 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels has shape {labels.shape} and dtype {labels.dtype}: give one integer for each of at least one image"
        )
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if outside.size:
        row = outside[0]
        raise ValueError(
            f"label {labels[row]} at row {row} is none of the {num_classes} classes, 0 .. {num_classes - 1}"
        )
    return labels


def _finite_matrix(values, name: str, first_row: int = 0) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} has shape {values.shape} and dtype {values.dtype}: it must be a matrix of real numbers, with one "
            "row for each image"
        )
    finite = np.isfinite(values)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        where = f"row {first_row + row}, column {column}"
        raise ValueError(f"{name} is {values[row, column]} at {where}: every value must be finite")
    return values


def _check_max_rank(max_rank: int) -> None:
    if not isinstance(max_rank, int | np.integer) or max_rank < 1:
        raise ValueError(f"max_rank is {max_rank!r}: it must be an integer of at least 1")


def _check_choice(name: str, choices: dict[str, Callable], argument: str) -> Callable:
    if name not in choices:
        raise ValueError(f"{argument} is {name!r}: it must be one of {', '.join(map(repr, choices))}")
    return choices[name]


AP_CONVENTIONS = {"step": lambda hit, rank: hit / rank, "trapezoid": _precision_trapezoid}
"""What AP averages over the hits: the precision of the hit-th one, at this rank; both count from 1."""

METRICS = {"cosine": _cosine, "euclidean": _euclidean}
