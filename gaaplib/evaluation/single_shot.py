"""Galleries with one random image of each identity: CUHK03's first protocol."""

import warnings
from dataclasses import dataclass, field

import numpy as np

from gaaplib.distances import check_count
from gaaplib.metrics import Identities, chunks, cmc_of_ranks, no_match


@dataclass(frozen=True, eq=False)
class SingleShotScores:
    """Scores of galleries with one image of each identity, all as fractions.

    Attributes:
        cmc, cmc_std: (max_rank,), mean over the repeats of the share of valid queries whose match has rank k or better,
            and its standard deviation between repeats (with repeats - 1 in the denominator; NaN for one repeat).
        mAP, mAP_std: the same of the mean of 1 / rank: the AP of a ranking with one right answer.
        num_queries, num_valid_queries: all queries, and those with a match in the gallery once the junk is left out.
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
    repeats: int = 10,
    seed: int = 0,
    max_rank: int = 50,
) -> SingleShotScores:
    """Score galleries with one random image of each identity: CUHK03's first protocol.

    For each repeat the gallery images are numbered by the next ``permutation(num_gallery)`` of
    ``numpy.random.default_rng(seed)``, and the image with the lowest number stands for its identity in the galleries of
    all queries. Where it is junk to a query, the query ranks the lowest of its matches instead. So where queries and
    gallery have no camera in common, as in CUHK03, one gallery is shared by all queries; and everywhere the match is
    drawn uniformly. All distractors of one pid (Market-1501's 0) count as one identity, and give one image.

    The rank of a query's one match is 1 + the number of other identities whose image is nearer, ties in gallery order.

    Args:
        repeats: how many galleries are drawn.
        seed: equal arguments give equal scores.

    The other arguments, the errors and the warning are those of :func:`gaaplib.metrics.evaluate_distances`.

    Source: W. Li et al., "DeepReID: Deep Filter Pairing Neural Network for Person Re-Identification", CVPR 2014. There
    each of 20 splits draws the gallery; torchreid and FastReID draw 10 galleries for each query.
    """
    identities = Identities(query_pids, gallery_pids, query_camids, gallery_camids)
    check_count(repeats, "repeats")
    check_count(max_rank, "max_rank")
    number, identity, drawn = _draw_galleries(identities.gallery, repeats, seed)
    rank = np.full((repeats, identities.shape[0]), np.nan)
    for first_row, chunk in chunks(distances, identities):
        for query, row in enumerate(chunk, first_row):
            own, junk = identities.of(query)
            if not junk.all():
                rank[:, query] = _single_shot_ranks(row, own[~junk], number, drawn, identity[own[0]])
    valid = ~np.isnan(rank[0])
    if not valid.any():
        warnings.warn(no_match(len(valid)), stacklevel=2)
    cmc, mAP = np.full((repeats, max_rank), np.nan), np.full(repeats, np.nan)
    for repeat, found in enumerate(rank[:, valid] if valid.any() else ()):
        cmc[repeat], mAP[repeat] = cmc_of_ranks(found, max_rank), np.mean(1 / found)
    cmc_std, mAP_std = (_spread(values) for values in (cmc, mAP))
    return SingleShotScores(
        cmc.mean(axis=0), cmc_std, float(mAP.mean()), float(mAP_std), len(valid), int(valid.sum()), rank
    )


def _draw_galleries(gallery_pids, repeats: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The images' numbers in each repeat, their identity as an index, and the columns drawn, (repeats, identities)."""
    rng = np.random.default_rng(seed)
    number = np.stack([rng.permutation(len(gallery_pids)) for _ in range(repeats)])
    identity = np.unique(gallery_pids, return_inverse=True)[1]
    by_number = np.argsort(number, axis=1)
    first = [np.unique(identity[order], return_index=True)[1] for order in by_number]
    return number, identity, np.take_along_axis(by_number, np.stack(first), axis=1)


def _single_shot_ranks(row, hits, number, drawn, identity) -> np.ndarray:
    """Rank of one query's match in each repeat's gallery, (repeats,); ``identity`` is its column of ``drawn``."""
    match = hits[np.argmin(number[:, hits], axis=1)][:, np.newaxis]
    before = (row[drawn] < row[match]) | ((row[drawn] == row[match]) & (drawn < match))
    before[:, identity] = False
    return 1 + before.sum(axis=1)


def _spread(values) -> np.ndarray:
    """Standard deviation along the first axis; of one value it is unknown."""
    return values.std(axis=0, ddof=1) if len(values) > 1 else np.full(values.shape[1:], np.nan)
