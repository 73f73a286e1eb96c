"""Decisions by a threshold on the distance: verification (ROC) and open-set identification (DIR).

A *smaller* distance means more similar, and a pair is accepted if ``distance <= threshold``. Junk (gallery images of
the query's identity *and* camera) is left out, as in :mod:`gaaplib.metrics`.

- :func:`evaluate_verification`: do these two images show the same person? Each pair of a query and a gallery image is
  one trial.
- :func:`evaluate_open_set`: is this person in the gallery at all, and if so, who is it? Each query is one trial.

Source: P. J. Phillips, P. Grother and R. Micheals, "Evaluation Methods in Face Recognition", in Handbook of Face
Recognition, 2nd edition, 2011, chapter 21 (verification, open-set identification, detection and identification rate).
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from gaaplib.metrics import Identities, chunks, places


class OperatingPoint(NamedTuple):
    """A threshold and its two rates, as fractions."""

    true_accept_rate: float
    false_accept_rate: float
    threshold: float


@dataclass(frozen=True, eq=False)
class RateCurve:
    """The true and false accept rates at every useful threshold.

    Raising a threshold between two genuine distances accepts more impostors and nothing else. Therefore the thresholds
    are the distances of the genuine trials, after minus infinity, which accepts nothing.

    Attributes:
        thresholds: (n,) ascending; a trial is accepted if its distance is at most the threshold.
        true_accept_rate: (n,) share of the genuine trials that is accepted. TAR in verification, DIR in the open set.
        false_accept_rate: (n,) share of the impostor trials that is accepted. FAR in verification, FPIR in the open
            set.
        num_genuine, num_impostor: numbers of trials.
    """

    thresholds: np.ndarray = field(repr=False)
    true_accept_rate: np.ndarray = field(repr=False)
    false_accept_rate: np.ndarray = field(repr=False)
    num_genuine: int
    num_impostor: int

    def at(self, false_accept_rate: float) -> OperatingPoint:
        """The operating point with the largest true accept rate whose false accept rate is at most the given one.

        Args:
            false_accept_rate: from 0 to 1. Below 1 / ``num_impostor`` no impostor may be accepted.

        Returns:
            :class:`OperatingPoint`. Its threshold is the distance of the farthest genuine trial that is accepted, or
            minus infinity if none can be accepted.

        Raises:
            ValueError: a rate that is not from 0 to 1.
        """
        if not 0 <= false_accept_rate <= 1:
            raise ValueError(f"false_accept_rate is {false_accept_rate}: it must be from 0 to 1, such as 0.001")
        return self._point(np.searchsorted(self.false_accept_rate, false_accept_rate, side="right") - 1)

    @property
    def equal_error_rate(self) -> float:
        """The smallest rate that neither false acceptance nor false rejection exceeds at some threshold."""
        return float(np.min(np.maximum(self.false_accept_rate, 1 - self.true_accept_rate)))

    def _point(self, index) -> OperatingPoint:
        rates = (self.true_accept_rate, self.false_accept_rate, self.thresholds)
        return OperatingPoint(*(float(values[index]) for values in rates))


@dataclass(frozen=True, eq=False)
class OpenSetScores:
    """The result of each query in open-set identification; :meth:`curve` computes the rates.

    Attributes:
        mated: booleans (num_queries,): the query has a match in the gallery after junk is left out.
        unmated: booleans (num_queries,): the query's identity is not in the gallery. A query whose matches are all junk
            is neither mated nor unmated, and is left out.
        rank: (num_queries,) rank of the nearest match of a mated query, from 1; else NaN.
        distance: (num_queries,) distance of a mated query to that match, of an unmated query to the nearest gallery
            image; else NaN.
    """

    mated: np.ndarray = field(repr=False)
    unmated: np.ndarray = field(repr=False)
    rank: np.ndarray = field(repr=False)
    distance: np.ndarray = field(repr=False)

    def curve(self, rank: int = 1) -> RateCurve:
        """Detection and identification rate (DIR) and false alarm rate at each threshold.

        A mated query is detected and identified if its nearest match is among the first ``rank`` gallery images and
        within the threshold. An unmated query is a false alarm if any gallery image is within the threshold.

        Raises:
            ValueError: ``rank`` below 1.
        """
        if not isinstance(rank, int | np.integer) or rank < 1:
            raise ValueError(f"rank is {rank!r}: it must be an integer of at least 1")
        # The rank of a query that is not mated is NaN, for which the comparison is False.
        thresholds, identified = _thresholds(self.distance[self.rank <= rank])
        alarms = _accepted(self.distance[self.unmated], thresholds)
        num_mated, num_unmated = int(self.mated.sum()), int(self.unmated.sum())
        return RateCurve(thresholds, identified / num_mated, alarms / num_unmated, num_mated, num_unmated)


def evaluate_verification(
    distances, query_pids, gallery_pids, query_camids=None, gallery_camids=None, *, itself=None
) -> RateCurve:
    """ROC curve of verification over all pairs of a query and a gallery image.

    Pairs of one identity are genuine and all others are impostors; junk is neither. The distances are read twice, in
    blocks: first to collect the genuine ones, then to count the impostors below each of them. With
    :class:`gaaplib.distances.EmbeddingDistances` the distances are therefore computed twice.

    Args:
        distances: (num_queries, num_gallery), smaller is more similar: a matrix of any real dtype and memory layout, or
            :class:`gaaplib.distances.EmbeddingDistances`.
        query_pids, gallery_pids, query_camids, gallery_camids, itself: as in
            :func:`gaaplib.metrics.evaluate_distances`.

    Returns:
        :class:`RateCurve`.

    Raises:
        ValueError: as :func:`gaaplib.metrics.evaluate_distances`; no genuine pair or no impostor pair.

    Example:
        Two genuine pairs (distances 0.1 and 0.4) and two impostor pairs (0.3 and 0.8):

        >>> curve = evaluate_verification([[0.1, 0.3], [0.8, 0.4]], query_pids=[7, 8], gallery_pids=[7, 8])
        >>> curve.at(false_accept_rate=0.0)
        OperatingPoint(true_accept_rate=0.5, false_accept_rate=0.0, threshold=0.1)
        >>> curve.at(false_accept_rate=0.5)
        OperatingPoint(true_accept_rate=1.0, false_accept_rate=0.5, threshold=0.4)
    """
    identities = Identities(query_pids, gallery_pids, query_camids, gallery_camids, itself)
    genuine, num_own = [np.empty(0)], 0
    for first_row, chunk in chunks(distances, identities):
        for query, row in enumerate(chunk, first_row):
            own, junk = identities.of(query)
            genuine.append(row[own[~junk]])
            num_own += len(own)
    genuine = np.concatenate(genuine)
    num_impostor = identities.shape[0] * identities.shape[1] - num_own
    _check_trials(len(genuine), "genuine pair", num_impostor, "impostor pair")

    thresholds, true_accepts = _thresholds(genuine)
    false_accepts = np.zeros(len(thresholds), np.int64)
    for first_row, chunk in chunks(distances, identities):
        own = [row[identities.of(query)[0]] for query, row in enumerate(chunk, first_row)]
        false_accepts += _accepted(chunk.ravel(), thresholds) - _accepted(np.concatenate(own), thresholds)
    return RateCurve(thresholds, true_accepts / len(genuine), false_accepts / num_impostor, len(genuine), num_impostor)


def evaluate_open_set(
    distances, query_pids, gallery_pids, query_camids=None, gallery_camids=None, *, itself=None
) -> OpenSetScores:
    """Scores of open-set identification, in which only some queries show a person of the gallery.

    The gallery may contain distractors. The arguments are those of :func:`evaluate_verification`.

    Returns:
        :class:`OpenSetScores`.

    Raises:
        ValueError: as :func:`gaaplib.metrics.evaluate_distances`; no query with a match in the gallery, or no query
            whose identity is not in it.

    Example:
        Persons 7 and 8 are in the gallery, person 9 is not. At the threshold 0.2 person 7 is identified.

        >>> distances = [[0.2, 0.5, 0.9], [0.6, 0.7, 0.9], [0.8, 0.4, 0.9]]
        >>> scores = evaluate_open_set(distances, query_pids=[7, 8, 9], gallery_pids=[7, 8, 6])
        >>> scores.curve(rank=1).at(false_accept_rate=0.0)
        OperatingPoint(true_accept_rate=0.5, false_accept_rate=0.0, threshold=0.2)
    """
    identities = Identities(query_pids, gallery_pids, query_camids, gallery_camids, itself)
    rank, distance = np.full((2, identities.shape[0]), np.nan)
    unmated = np.zeros(len(rank), bool)
    for first_row, chunk in chunks(distances, identities):
        for query, row in enumerate(chunk, first_row):
            own, junk = identities.of(query)
            if len(own) == 0:
                unmated[query], distance[query] = True, row.min()
            elif not junk.all():
                order = np.argsort(row[own], kind="stable")
                junk_before = np.argmin(junk[order])
                nearest = own[order[junk_before]]
                rank[query], distance[query] = 1 + places(row, [nearest])[0] - junk_before, row[nearest]
    mated = ~np.isnan(rank)
    _check_trials(mated.sum(), "query with a match in the gallery", unmated.sum(), "query whose identity is not in it")
    return OpenSetScores(mated, unmated, rank, distance)


def _thresholds(genuine) -> tuple[np.ndarray, np.ndarray]:
    """The thresholds (minus infinity and the genuine distances), and how many genuine trials each accepts."""
    distances, trials = np.unique(genuine, return_counts=True)
    return np.concatenate([[-np.inf], distances]), np.concatenate([[0], np.cumsum(trials)])


def _accepted(distances, thresholds) -> np.ndarray:
    """The number of distances that each threshold accepts."""
    return np.searchsorted(np.sort(distances), thresholds, side="right")


def _check_trials(num_genuine: int, genuine: str, num_impostor: int, impostor: str) -> None:
    for number, what in ((num_genuine, genuine), (num_impostor, impostor)):
        if number == 0:
            raise ValueError(
                f"there is no {what} (gallery images with the query's identity and camera are left out), so there is "
                "no such rate; check that pids and camids belong to these images"
            )
