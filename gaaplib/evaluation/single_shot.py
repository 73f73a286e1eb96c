"""Scores of galleries with one random image per identity: CUHK03's first protocol."""

import warnings
from dataclasses import dataclass, field

import numpy as np

from gaaplib.distances import check_count
from gaaplib.metrics import Identities, chunks, cmc_of_ranks, no_match


@dataclass(frozen=True, eq=False)
class SingleShotScores:
    """Scores of galleries with one image per identity, all as fractions.

    Attributes:
        cmc, cmc_std: (max_rank,), the share of valid queries whose match has rank k or better: its mean over the
            repeats, and its standard deviation between repeats (repeats - 1 in the denominator; NaN for one repeat).
        mAP, mAP_std: the same for the mean of 1 / rank, which is the AP of a ranking with one hit.
        num_queries, num_valid_queries: all queries, and those with a match in the gallery after junk is left out.
        rank: (repeats, num_queries), the rank of each query's one match, from 1; NaN for a query without a match.
    """

    cmc: np.ndarray
    cmc_std: np.ndarray
    mAP: float
    mAP_std: float
    num_queries: int
    num_valid_queries: int
    rank: np.ndarray = field(repr=False)


def evaluate_single_shot(
    distances,
    query_pids,
    gallery_pids,
    query_camids=None,
    gallery_camids=None,
    *,
    itself=None,
    repeats: int = 10,
    seed: int = 0,
    max_rank: int = 50,
) -> SingleShotScores:
    """Scores of galleries with one random image per identity: CUHK03's first protocol.

    In each repeat, the gallery images are numbered by the next ``permutation(num_gallery)`` of
    ``numpy.random.default_rng(seed)``. The image with the lowest number represents its identity for all queries. If it
    is junk for a query, that query's match with the lowest number is used instead. The match is therefore always
    sampled uniformly; and if queries and gallery share no camera, as in CUHK03, all queries rank the same gallery.
    All distractors of one pid (Market-1501's 0) count as one identity and contribute one image.

    The rank of a query's one match is 1 + the number of other identities whose image is nearer, ties in gallery order.

    Args:
        repeats: how many galleries are sampled.
        seed: of the sampling; equal arguments give equal scores.

    The other arguments, the errors and the warning are those of :func:`gaaplib.metrics.evaluate_distances`.

    Returns:
        :class:`SingleShotScores`.

    Source: W. Li et al., "DeepReID: Deep Filter Pairing Neural Network for Person Re-Identification", CVPR 2014. There
    the gallery is sampled once in each of 20 splits; torchreid and FastReID sample 10 galleries for each query.

    Example:
        Person 7 has two gallery images. The nearer one gives rank 1, the farther one rank 2.

        >>> scores = evaluate_single_shot(
        ...     [[0.1, 0.5, 0.3]], query_pids=[7], gallery_pids=[7, 7, 8], repeats=6, max_rank=2
        ... )
        >>> scores.rank[:, 0].tolist(), scores.cmc.round(3).tolist()
        ([2.0, 2.0, 2.0, 1.0, 1.0, 1.0], [0.5, 1.0])
    """
    identities = Identities(query_pids, gallery_pids, query_camids, gallery_camids, itself)
    check_count(repeats, "repeats")
    check_count(max_rank, "max_rank")
    number, identity, chosen = _sample_galleries(identities.gallery, repeats, seed)
    rank = np.full((repeats, identities.shape[0]), np.nan)
    for first_row, chunk in chunks(distances, identities):
        for query, row in enumerate(chunk, first_row):
            own, junk = identities.of(query)
            if not junk.all():
                rank[:, query] = _single_shot_ranks(row, own[~junk], number, chosen, identity[own[0]])
    valid = ~np.isnan(rank[0])
    if not valid.any():
        warnings.warn(no_match(len(valid)), stacklevel=2)
    cmc, mAP = np.full((repeats, max_rank), np.nan), np.full(repeats, np.nan)
    for repeat, ranks in enumerate(rank[:, valid] if valid.any() else ()):
        cmc[repeat], mAP[repeat] = cmc_of_ranks(ranks, max_rank), np.mean(1 / ranks)
    cmc_std, mAP_std = (_spread(values) for values in (cmc, mAP))
    return SingleShotScores(
        cmc.mean(axis=0), cmc_std, float(mAP.mean()), float(mAP_std), len(valid), int(valid.sum()), rank
    )


def _sample_galleries(gallery_pids, repeats: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image numbers (repeats, num_gallery), identity as an index (num_gallery,), chosen columns (repeats, num_ids)."""
    rng = np.random.default_rng(seed)
    number = np.stack([rng.permutation(len(gallery_pids)) for _ in range(repeats)])
    identity = np.unique(gallery_pids, return_inverse=True)[1]
    by_number = np.argsort(number, axis=1)
    first = [np.unique(identity[order], return_index=True)[1] for order in by_number]
    return number, identity, np.take_along_axis(by_number, np.stack(first), axis=1)


def _single_shot_ranks(row, hits, number, chosen, identity) -> np.ndarray:
    """Rank of one query's match in each repeat's gallery, (repeats,); ``identity`` is its column of ``chosen``."""
    match = hits[np.argmin(number[:, hits], axis=1)][:, np.newaxis]
    before = (row[chosen] < row[match]) | ((row[chosen] == row[match]) & (chosen < match))
    before[:, identity] = False
    return 1 + before.sum(axis=1)


def _spread(values) -> np.ndarray:
    """Sample standard deviation along the first axis; NaN for one value."""
    return values.std(axis=0, ddof=1) if len(values) > 1 else np.full(values.shape[1:], np.nan)
