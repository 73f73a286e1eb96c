"""Retrieval and classification scores: CMC, mAP, mINP and mRA from distances, embeddings or class scores.

The two protocols are never mixed in one number:

- *retrieval*: for each query, the gallery is ranked by distance. The identities were not trained on.
  Functions: :func:`evaluate_distances`, :func:`evaluate_embeddings` and, for the scores of random rankings,
  :func:`expected_by_chance`. For galleries with one image per identity, see
  :func:`gaaplib.evaluation.single_shot.evaluate_single_shot`; for decisions by a threshold on the distance,
  :mod:`gaaplib.evaluation.verification`.
- *closed*: softmax scores over the training identities.
  Functions: :func:`evaluate_classification` and, for random scores, :func:`expected_classification_by_chance`.

Junk is a gallery image with the query's identity *and* camera. It shows the same scene as the query, so finding it is
not re-identification, and it is left out. For one query, let N be the number of gallery images without the junk, and
R the number of those of the query's identity (the hits), at ranks r_1 < ... < r_R, counted from 1. Then

- CMC(k) is 1 if r_1 <= k, else 0;
- AP is the mean over the hits h = 1..R of the precision h / r_h ("step"), or of the average of the precisions just
  before and at the hit ("trapezoid"; see ``AP_CONVENTIONS``);
- INP is R / r_R, the share of hits in the ranking down to the last hit.

CMC, mAP and mINP are the means over the valid queries, those with R > 0.

Sources: L. Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015 (CMC, mAP, junk); M. Ye et al.,
"Deep Learning for Person Re-identification: A Survey and Outlook", TPAMI 2022 (INP).
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from gaaplib.distances import (
    CHUNK_ELEMENTS,
    EmbeddingDistances,
    check_choice,
    check_count,
    check_finite,
    real_matrix,
)

MANY_HITS = 48
"""From this number of hits on, sorting a row is faster than comparing it with each of its hits."""


@dataclass(frozen=True, eq=False)
class RetrievalScores:
    """Scores of one retrieval evaluation, all as fractions.

    Attributes:
        mAP, mINP: means over the valid queries; NaN if there is none.
        cmc: (max_rank,); ``cmc[k - 1]`` is CMC(k), the share of valid queries with a hit among the first k. Beyond the
            gallery's length the last value is repeated.
        num_queries, num_valid_queries: all queries, and those with a match in the gallery after junk is left out.
        ap_convention: how ``mAP`` and ``ap`` were computed: a key of ``AP_CONVENTIONS``.
        ap, inp, first_hit: floats (num_queries,), in the order of the queries, NaN if ``valid`` is False;
            ``first_hit`` is the rank of the first hit, from 1.
        valid: booleans (num_queries,): whether the query has a match.
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
        mAP: mean of 1 / rank of the right class, which is the AP of a ranking with one hit.
        cmc: (max_rank,); ``cmc[k - 1]`` is CMC(k), the share of images whose identity is among the k best classes.
            Beyond the number of classes the last value is repeated.
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


# -- retrieval ---------------------------------------------------------------------------------------------------------


def evaluate_distances(
    distances,
    query_pids,
    gallery_pids,
    query_camids=None,
    gallery_camids=None,
    *,
    itself=None,
    ap: str = "step",
    max_rank: int = 50,
) -> RetrievalScores:
    """Retrieval scores from a matrix of distances.

    For each query, the gallery is sorted by ascending distance, ties in gallery order. If cameras are given, gallery
    images with the query's identity and camera (junk) are left out. A query without a match is counted in
    ``num_queries`` and left out of every mean. If no query has a match, all scores are NaN and a UserWarning is issued.

    Args:
        distances: (num_queries, num_gallery), smaller is more similar: a matrix of any real dtype and memory layout, or
            :class:`gaaplib.distances.EmbeddingDistances`.
        query_pids, gallery_pids: identities, (num_queries,) and (num_gallery,).
        query_camids, gallery_camids: cameras, of the same lengths; give both or neither. If cameras are unknown, give
            neither: a placeholder shared by all images would make every match junk.
        itself: integers (num_queries,), for queries that are gallery images too: the index of that image, -1 for a
            query that is not in the gallery. An image never finds itself, so it is left out like junk. None: no query
            is in the gallery.
        ap: convention of the average precision. ``"step"`` is scikit-learn's; ``"trapezoid"`` is that of Market-1501's
            official evaluation and never the higher of the two.
        max_rank: length of ``cmc``.

    Returns:
        :class:`RetrievalScores`.

    Raises:
        ValueError: lengths that do not agree, an empty gallery, one camera array missing, a distance that is NaN or
            infinite, an unknown ``ap``, ``max_rank`` below 1, an ``itself`` that is no gallery image of the query's
            identity.

    Example:
        One query of person 7; its match is the second nearest of three gallery images.

        >>> scores = evaluate_distances([[0.2, 0.1, 0.9]], query_pids=[7], gallery_pids=[7, 8, 9], max_rank=3)
        >>> scores.mAP, scores.cmc.tolist()
        (0.5, [0.0, 1.0, 1.0])
    """
    identities = Identities(query_pids, gallery_pids, query_camids, gallery_camids, itself)
    return _summarise(*_score_queries(distances, identities, ap, max_rank), ap)


def evaluate_embeddings(
    query,
    gallery,
    query_pids,
    gallery_pids,
    query_camids=None,
    gallery_camids=None,
    *,
    metric: str = "cosine",
    itself=None,
    ap: str = "step",
    max_rank: int = 50,
    progress: bool = False,
) -> RetrievalScores:
    """Retrieval scores from embeddings: the same as :func:`evaluate_distances` of their pairwise distances.

    The whole distance matrix is never in memory, and the gallery is not copied, so it may be memory-mapped
    (``np.load(..., mmap_mode="r")``). Working memory is limited by ``gaaplib.distances.BLOCK_BYTES`` to about 600 MB.
    The time grows linearly with the gallery.

    Args:
        query, gallery: (num_queries, dim) and (num_gallery, dim).
        metric: ``"cosine"`` or ``"euclidean"``; see :func:`gaaplib.distances.pairwise_distances`.
        progress: show a progress bar that counts the queries.

    The other arguments and the warning are those of :func:`evaluate_distances`.

    Returns:
        :class:`RetrievalScores`.

    Raises:
        ValueError: as :func:`evaluate_distances` and :func:`gaaplib.distances.pairwise_distances`; numbers of
            embeddings and identities that do not agree.

    Example:
        With cameras, the query's own image in the gallery is junk, and the match is found first.

        >>> query, gallery = [[1.0, 0.0]], [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]
        >>> scores = evaluate_embeddings(query, gallery, [7], [7, 7, 8], query_camids=[0], gallery_camids=[0, 1, 1])
        >>> scores.mAP, float(scores.cmc[0])
        (1.0, 1.0)
    """
    identities = Identities(query_pids, gallery_pids, query_camids, gallery_camids, itself)
    query, gallery = real_matrix(query, "query"), real_matrix(gallery, "gallery")
    for name, rows, number in zip(("query", "gallery"), (query, gallery), identities.shape, strict=True):
        if len(rows) != number:
            raise ValueError(
                f"{name} has {len(rows)} embeddings but {name}_pids has {number} entries: give one of each per image"
            )
    distances = EmbeddingDistances(query, gallery, metric, progress=progress)
    return _summarise(*_score_queries(distances, identities, ap, max_rank), ap)


def expected_by_chance(
    query_pids,
    gallery_pids,
    query_camids=None,
    gallery_camids=None,
    *,
    itself=None,
    ap: str = "step",
    max_rank: int = 50,
) -> RetrievalScores:
    """Exact expectation of every retrieval score if each ranking is uniformly random.

    With N ranked gallery images of which R are hits, and H_N the N-th harmonic number:

    - AP, step: (H_N + (N - H_N) (R - 1) / (N - 1)) / N; a hit at rank k has k - 1 images before it, each a hit with
      probability (R - 1) / (N - 1).
    - AP, trapezoid: the mean of that and R / N, the expectation with the precision before the hit.
    - CMC(k): 1 - C(N - R, k) / C(N, k), the hypergeometric probability of a hit among k.
    - INP: sum over l of (R / l) P(l); P(l) = C(l - 1, R - 1) / C(N, R) is the probability that the last hit has rank l.
    - first hit: (N + 1) / (R + 1).

    Arguments, errors and the warning are those of :func:`evaluate_distances`.

    Returns:
        :class:`RetrievalScores`; ``ap``, ``inp`` and ``first_hit`` hold the expectation of each query.

    Example:
        One match among four gallery images:

        >>> chance = expected_by_chance(query_pids=[7], gallery_pids=[7, 8, 9, 9], max_rank=4)
        >>> round(chance.mAP, 3), chance.cmc.round(3).tolist()
        (0.521, [0.25, 0.5, 0.75, 1.0])
    """
    identities = Identities(query_pids, gallery_pids, query_camids, gallery_camids, itself)
    check_choice(ap, AP_CONVENTIONS, "ap")
    check_count(max_rank, "max_rank")
    junk_of_query = [identities.of(query)[1] for query in range(identities.shape[0])]
    num_junk = np.array([junk.sum() for junk in junk_of_query], np.int64)
    hits = np.array([len(junk) for junk in junk_of_query], np.int64) - num_junk
    ranked = identities.shape[1] - num_junk
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


# -- classification ----------------------------------------------------------------------------------------------------


def evaluate_classification(scores, labels, *, max_rank: int = 50) -> ClassificationScores:
    """Scores of the closed protocol, in which every test identity was trained on.

    The rank of the right class is 1 + the number of classes with a higher score + the number of earlier classes with
    the same score.

    Args:
        scores: (num_images, num_classes), larger is more likely: probabilities or logits.
        labels: integers (num_images,), the right class of each image, 0 .. num_classes - 1.
        max_rank: length of ``cmc``.

    Returns:
        :class:`ClassificationScores`.

    Raises:
        ValueError: no image, a score that is NaN or infinite, lengths that do not agree, a label that is not an integer
            or not a column of ``scores``, ``max_rank`` below 1.

    Example:
        Class 0 has two images, both right; class 1 has one, which is wrong.

        >>> scores = evaluate_classification([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], labels=[0, 0, 1])
        >>> round(scores.mRA, 3), round(scores.micro_accuracy, 3)
        (0.5, 0.667)
    """
    scores = real_matrix(scores, "scores")
    check_finite(scores, "scores")
    num_images, num_classes = scores.shape
    labels = _checked_classes(labels, num_classes)
    check_count(max_rank, "max_rank")
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
        cmc=cmc_of_ranks(rank, max_rank),
        num_images=num_images,
        num_identities=len(images),
        num_classes=num_classes,
        rank=rank,
    )


def expected_classification_by_chance(labels, num_classes: int, *, max_rank: int = 50) -> ClassificationScores:
    """Exact expectation of every closed-set score if the classes are ranked at random.

    With C classes the right one has each rank with probability 1 / C: mRA and accuracy are 1 / C, CMC(k) is
    min(k, C) / C, mAP is H_C / C (H_C is the C-th harmonic number), and the rank is (C + 1) / 2. Arguments and errors
    are those of :func:`evaluate_classification`.
    """
    labels = _checked_classes(labels, num_classes)
    check_count(max_rank, "max_rank")
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


class Identities:
    """For each query, the gallery images of its identity, and which of them are junk or the query itself.

    Args:
        query_pids, gallery_pids, query_camids, gallery_camids, itself: as in :func:`evaluate_distances`, with its
            errors.

    Attributes:
        shape: (num_queries, num_gallery).
        gallery: (num_gallery,) the identity of each gallery image as an integer from 0, numbered over both sides.
    """

    def __init__(self, query_pids, gallery_pids, query_camids=None, gallery_camids=None, itself=None):
        pids, camids = _checked_labels(query_pids, gallery_pids, query_camids, gallery_camids)
        self.shape = (len(pids[0]), len(pids[1]))
        query, self.gallery = _codes(*pids, "pids")
        self._cameras = None if camids is None else _codes(*camids, "camids")
        self._itself = None if itself is None else _checked_itself(itself, query, self.gallery)
        # Sorted by identity, and within it in gallery order.
        self._order = np.argsort(self.gallery, kind="stable")
        by_identity = self.gallery[self._order]
        self._start, self._stop = (np.searchsorted(by_identity, query, side) for side in ("left", "right"))

    def of(self, query: int) -> tuple[np.ndarray, np.ndarray]:
        """Columns of the gallery images of the query's identity, ascending, and booleans that mark what is left out."""
        own = self._order[self._start[query] : self._stop[query]]
        junk = np.zeros(len(own), bool)
        if self._cameras is not None:
            of_query, of_gallery = self._cameras
            junk = of_gallery[own] == of_query[query]
        return own, junk if self._itself is None else junk | (own == self._itself[query])


def chunks(distances, identities: Identities) -> Iterator[tuple[int, np.ndarray]]:
    """The distances in blocks of rows, each checked, contiguous and finite.

    Args:
        distances: as in :func:`evaluate_distances`, with its errors.
        identities: of the same shape.

    Yields:
        The index of the first row and the distances, (rows, num_gallery). The next block may overwrite them.
    """
    embedded = isinstance(distances, EmbeddingDistances)
    distances = distances if embedded else np.asarray(distances)
    if distances.shape != identities.shape:
        num_queries, num_gallery = identities.shape
        raise ValueError(
            f"distances has shape {distances.shape}: with {num_queries} query_pids and {num_gallery} gallery_pids it "
            f"must be a matrix of shape {identities.shape}"
        )
    for first_row, block in distances.blocks() if embedded else [(0, real_matrix(distances, "distances"))]:
        # Every float16 is exact in float32, and float16 itself is slow.
        dtype = np.float32 if block.dtype == np.float16 else block.dtype
        step = max(1, CHUNK_ELEMENTS // identities.shape[1])
        for start in range(0, len(block), step):
            chunk = np.ascontiguousarray(block[start : start + step], dtype)
            if not embedded:
                check_finite(chunk, "distances", start)
            yield first_row + start, chunk


def places(row, columns) -> np.ndarray:
    """How many entries of a row come before each of these columns: smaller ones, and equal ones further left.

    Args:
        row: (num_gallery,), contiguous and finite.
        columns: integers (n,).
    """
    values = row[columns]
    if len(columns) < MANY_HITS:
        before = _numbers_below(row, values)
        # Each column equals itself; if nothing else does, there are no ties.
        alone = np.count_nonzero(row == values[:, np.newaxis]) == len(columns)
        tied = () if alone else range(len(columns))
    else:
        ordered = np.sort(row)
        before = np.searchsorted(ordered, values)
        tied = np.flatnonzero(np.searchsorted(ordered, values, side="right") > before + 1)
    for hit in tied:
        before[hit] += np.count_nonzero(row[: columns[hit]] == values[hit])
    return before


def _numbers_below(row, values) -> np.ndarray:
    """How many entries of a row are below each value."""
    # A boolean is a byte. Eight are added at once as one 64-bit integer; no byte overflows with up to 255 integers.
    # count_nonzero with an axis is several times slower.
    parts = -(-len(row) // (8 * 255))
    words = -(-len(row) // (8 * parts))
    below = np.empty((len(values), 8 * parts * words), bool)
    np.less(row, values[:, np.newaxis], out=below[:, : len(row)])
    below[:, len(row) :] = False
    sums = below.view(np.uint64).reshape(len(values), parts, words).sum(axis=2)
    return sums.view(np.uint8).sum(axis=1, dtype=np.int64)


def _score_queries(distances, identities, ap: str, max_rank: int) -> tuple[np.ndarray, np.ndarray]:
    """AP, INP and first hit of each query, (3, num_queries), and CMC."""
    precision = check_choice(ap, AP_CONVENTIONS, "ap")
    check_count(max_rank, "max_rank")
    per_query = np.empty((3, identities.shape[0]))
    for first_row, chunk in chunks(distances, identities):
        for query, row in enumerate(chunk, first_row):
            per_query[:, query] = _score_row(row, *identities.of(query), precision)
    first_hit = per_query[2]
    return per_query, cmc_of_ranks(first_hit[~np.isnan(first_hit)], max_rank)


def _score_row(row, own, junk, precision) -> tuple[float, float, float]:
    """AP, INP and rank of the first hit of one query; NaN if it has no hit."""
    order = np.argsort(row[own], kind="stable")
    own, hit = own[order], ~junk[order]
    hits = own[hit]
    if len(hits) == 0:
        return np.nan, np.nan, np.nan
    rank = 1 + places(row, hits) - np.cumsum(~hit)[hit]
    return precision(np.arange(1, len(hits) + 1), rank).sum() / len(hits), len(hits) / rank[-1], rank[0]


def _summarise(per_query, cmc, ap_convention: str) -> RetrievalScores:
    """The means over the valid queries; if there is none, NaN and a warning that points to the user's call."""
    valid = ~np.isnan(per_query[0])
    if valid.any():
        mAP, mINP = (float(values[valid].mean()) for values in per_query[:2])
    else:
        mAP, mINP, cmc = np.nan, np.nan, np.full(len(cmc), np.nan)
        warnings.warn(no_match(len(valid)), stacklevel=3)
    return RetrievalScores(mAP, mINP, cmc, len(valid), int(valid.sum()), ap_convention, *per_query, valid)


def no_match(num_queries: int) -> str:
    """The warning that no query has a match, so there are no scores."""
    return (
        f"none of the {num_queries} queries has a match in the gallery (images with the query's identity and camera "
        "are left out), so the scores are NaN; check that pids and camids belong to these images, and give no "
        "camids if cameras are unknown"
    )


def cmc_of_ranks(rank, max_rank: int) -> np.ndarray:
    """Share of the ranks (from 1) that are at most k, for k = 1..max_rank."""
    return np.searchsorted(np.sort(rank), np.arange(1, max_rank + 1), side="right") / max(len(rank), 1)


def _precision_trapezoid(hit, rank):
    """Mean of the precision just before the hit and at the hit; at rank 1 the former is 1.

    This is the area of the trapezoids under the precision-recall curve, as Market-1501's official evaluation computes
    it. That evaluation follows the one of Oxford Buildings (J. Philbin et al., CVPR 2007): old_precision starts at 1.
    """
    before = np.where(rank == 1, 1.0, (hit - 1) / np.maximum(rank - 1, 1))
    return (before + hit / rank) / 2


def _chance(n: int, r: int, ap: str, max_rank: int) -> tuple[tuple[float, float, float], np.ndarray]:
    """Expected (AP, INP, first hit) and CMC for one N and R; formulas in :func:`expected_by_chance`."""
    rank = np.arange(1, n + 1)
    left = rank[::-1]  # images not yet ranked at each rank
    missed = np.cumprod(np.maximum(left - r, 0) / left)  # the probability of no hit up to each rank
    first = r / left * np.concatenate([[1.0], missed[:-1]])  # the probability of the first hit at each rank
    precision = np.mean((1 + (rank - 1) * (r - 1) / max(n - 1, 1)) / rank)
    if ap == "trapezoid":
        precision = (precision + r / n) / 2
    # A reversed random ranking is also uniformly random: the last hit has rank `left` as often as the first has `rank`.
    inp = np.sum(r / left * first)
    return (precision, inp, (n + 1) / (r + 1)), 1 - missed[np.minimum(np.arange(max_rank), n - 1)]


# -- checks ------------------------------------------------------------------------------------------------------------


def _checked_labels(query_pids, gallery_pids, query_camids, gallery_camids) -> tuple[tuple, tuple | None]:
    """The identities of both sides and the cameras of both (or None), as one-dimensional arrays."""
    if (query_camids is None) != (gallery_camids is None):
        missing = "query_camids" if query_camids is None else "gallery_camids"
        raise ValueError(f"{missing} is missing: give the cameras of both sides, or of neither")
    pids = np.asarray(query_pids), np.asarray(gallery_pids)
    camids = None if query_camids is None else (np.asarray(query_camids), np.asarray(gallery_camids))
    for kind, sides in (("pids", pids), ("camids", camids or pids)):
        for side, values, own_pids in zip(("query", "gallery"), sides, pids, strict=True):
            if values.ndim != 1:
                raise ValueError(f"{side}_{kind} has shape {values.shape}: it must have one axis")
            if len(values) != len(own_pids):
                raise ValueError(
                    f"{side}_pids has {len(own_pids)} entries and {side}_{kind} {len(values)}: give one of each per "
                    "image"
                )
    if len(pids[1]) == 0:
        raise ValueError("gallery_pids is empty: give at least one gallery image to rank")
    return pids, camids


def _checked_itself(itself, query, gallery) -> np.ndarray:
    """The gallery index of each query; ``query`` and ``gallery`` are the identities as integers from 0."""
    itself = np.asarray(itself)
    if itself.shape != query.shape or itself.dtype.kind not in "iu":
        raise ValueError(
            f"itself has shape {itself.shape} and dtype {itself.dtype}: give one integer for each of the {len(query)} "
            "queries, -1 if it is not in the gallery"
        )
    there = np.flatnonzero(itself != -1)
    for row in there[(itself[there] < 0) | (itself[there] >= len(gallery))][:1]:
        raise ValueError(
            f"itself is {itself[row]} for query {row}: the gallery has the indices 0 to {len(gallery) - 1}"
        )
    for row in there[gallery[itself[there]] != query[there]][:1]:
        raise ValueError(f"itself says that query {row} is gallery image {itself[row]}, but their pids differ")
    return itself


def _codes(query, gallery, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels of both sides as integers from 0, equal if and only if the labels are equal."""
    for side, values in (("query", query), ("gallery", gallery)):
        # Only NaN differs from itself, which an array of objects may have, too.
        missing = values != values if values.dtype.kind in "fO" else np.zeros(len(values), bool)
        if missing.any():
            raise ValueError(f"{side}_{name} is nan at index {np.flatnonzero(missing)[0]}: give a label")
    numbers = [values.dtype.kind in "biuf" for values in (query, gallery)]
    if len(query) and numbers[0] != numbers[1]:
        raise ValueError(
            f"query_{name} has dtype {query.dtype} and gallery_{name} {gallery.dtype}: give numbers for both sides, or "
            "text for both"
        )
    try:
        if np.result_type(query, gallery).kind == "f" and not query.dtype.kind == "f" == gallery.dtype.kind:
            # NumPy's common type of integers of both signs, or of integers and floats, is float64, which rounds large
            # integers.
            query, gallery = query.astype(object), gallery.astype(object)
        codes = np.unique(np.concatenate([query, gallery]), return_inverse=True)[1]
    except (TypeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"the {name} cannot be compared with each other ({error}): give all as numbers, or all as text"
        ) from error
    return codes[: len(query)], codes[len(query) :]


def _checked_classes(labels, num_classes: int) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 1 or len(labels) == 0 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels has shape {labels.shape} and dtype {labels.dtype}: give one integer for each image, at least one"
        )
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if outside.size:
        row = outside[0]
        raise ValueError(
            f"label {labels[row]} at row {row} is not one of the {num_classes} classes, 0 .. {num_classes - 1}"
        )
    return labels


AP_CONVENTIONS = {"step": lambda hit, rank: hit / rank, "trapezoid": _precision_trapezoid}
"""The value that AP averages over the hits, from the number of the hit and its rank, both from 1."""
