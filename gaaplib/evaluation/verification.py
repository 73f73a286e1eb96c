"""Accepting and rejecting by a threshold on the distance: verification (ROC) and open-set identification (DIR).

A *smaller* distance means more alike everywhere, and a pair is accepted where ``distance <= threshold``. Junk (gallery
images of the query's identity *and* camera) is left out, as in ``gaaplib.metrics``.

- :func:`evaluate_verification`: is this pair of images the same person? Every query with every gallery image is one
  trial, so that each pair counts once.
- :func:`evaluate_open_set`: is this person in the gallery at all, and who is it? Every query is one trial.

Source: P. J. Phillips, P. Grother and R. Micheals, "Evaluation Methods in Face Recognition", in Handbook of Face
Recognition, 2nd edition, 2011, chapter 21 (verification, open-set identification, detection and identification rate).
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from gaaplib.metrics import Identities, chunks, places


class OperatingPoint(NamedTuple):
    """A threshold and the two rates, fractions, that it gives."""

    true_accept_rate: float
    false_accept_rate: float
    threshold: float


@dataclass(frozen=True, eq=False)
class RateCurve:
    """The rates of true and of false acceptance at every threshold worth taking.

    Between two distances of genuine trials a higher threshold accepts impostors only; so the distances of the genuine
    trials are all the thresholds there are, besides minus infinity, which accepts nothing and stands first.

    Attributes:
        thresholds: (n,) ascending; a trial is accepted if its distance is no larger.
        true_accept_rate: (n,) share of the genuine trials that is accepted. TAR in verification, DIR in the open set.
        false_accept_rate: (n,) share of the impostor trials that is accepted. FAR in verification, FPIR in the open
            set.
        num_genuine, num_impostor: trials.
    """

    thresholds: np.ndarray = field(repr=False)
    true_accept_rate: np.ndarray = field(repr=False)
    false_accept_rate: np.ndarray = field(repr=False)
    num_genuine: int
    num_impostor: int

    def at(self, false_accept_rate: float) -> OperatingPoint:
        """The largest true accept rate of all thresholds whose false accept rate is at most the one given.

        Args:
            false_accept_rate: from 0 to 1. Below 1 / ``num_impostor`` it allows no false acceptance at all.

        Returns:
            That rate, the false accept rate that comes with it, and the threshold: the distance of the farthest genuine
            trial that is accepted, minus infinity where none can be.

        Raises:
            ValueError: a rate that is not from 0 to 1.
        """
        if not 0 <= false_accept_rate <= 1:
            raise ValueError(f"false_accept_rate is {false_accept_rate}: it must be from 0 to 1, such as 0.001")
        return self._point(np.searchsorted(self.false_accept_rate, false_accept_rate, side="right") - 1)

    @property
    def equal_error_rate(self) -> float:
        """The least rate that both errors, false acceptance and false rejection, can be held to by one threshold."""
        return float(np.min(np.maximum(self.false_accept_rate, 1 - self.true_accept_rate)))

    def _point(self, index) -> OperatingPoint:
        rates = (self.true_accept_rate, self.false_accept_rate, self.thresholds)
        return OperatingPoint(*(float(values[index]) for values in rates))


@dataclass(frozen=True, eq=False)
class OpenSetScores:
    """What the open set's rates are made of, query by query.

    Attributes:
        mated: booleans (num_queries,): the query has a match in the gallery once the junk is left out.
        unmated: booleans (num_queries,): its identity is not in the gallery. A query that is there as junk only is
            neither, and left out.
        rank: (num_queries,) rank of the nearest match of a mated query, from 1; else NaN.
        distance: (num_queries,) of a mated query to that match, of an unmated one to the nearest gallery image; else
            NaN.
    """

    mated: np.ndarray = field(repr=False)
    unmated: np.ndarray = field(repr=False)
    rank: np.ndarray = field(repr=False)
    distance: np.ndarray = field(repr=False)

    def curve(self, rank: int = 1) -> RateCurve:
        """Detection and identification rate by threshold.

        A mated query is detected and identified if its nearest match is among the first ``rank`` and within the
        threshold; an unmated query is a false alarm if anything is within the threshold.

        Raises:
            ValueError: ``rank`` below 1.
        """
        if not isinstance(rank, int | np.integer) or rank < 1:
            raise ValueError(f"rank is {rank!r}: it must be an integer of at least 1")
        # NaN, the rank of a query that is not mated, is not among the first.
        thresholds, identified = _thresholds(self.distance[self.rank <= rank])
        alarms = _accepted(self.distance[self.unmated], thresholds)
        num_mated, num_unmated = int(self.mated.sum()), int(self.unmated.sum())
        return RateCurve(thresholds, identified / num_mated, alarms / num_unmated, num_mated, num_unmated)


def evaluate_verification(distances, query_pids, gallery_pids, query_camids=None, gallery_camids=None) -> RateCurve:
    """ROC of the pairs of a query and a gallery image: is it the same person?

    Pairs of one identity are genuine, all others impostors; junk is neither. The pairs are gone through twice, some at
    a time: first for the distances of the genuine ones, which are held, then to count the impostors below each. With
    :class:`gaaplib.distances.EmbeddingDistances` the distances are therefore computed twice.

    Args:
        distances: (num_queries, num_gallery), smaller is more alike: a matrix of any real dtype and memory layout, or
            :class:`gaaplib.distances.EmbeddingDistances`.
        query_pids, gallery_pids, query_camids, gallery_camids: as in :func:`gaaplib.metrics.evaluate_distances`.

    Raises:
        ValueError: what :func:`gaaplib.metrics.evaluate_distances` raises, and no genuine or no impostor pair.
    """
    identities = Identities(query_pids, gallery_pids, query_camids, gallery_camids)
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


def evaluate_open_set(distances, query_pids, gallery_pids, query_camids=None, gallery_camids=None) -> OpenSetScores:
    """Open-set identification: queries of people in the gallery and of people who are not; distractors may be in it.

    The arguments are those of :func:`evaluate_verification`.

    Raises:
        ValueError: what :func:`gaaplib.metrics.evaluate_distances` raises, and no query that is mated, or none that is
            not.
    """
    identities = Identities(query_pids, gallery_pids, query_camids, gallery_camids)
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
    """Minus infinity and the distances of the genuine trials, and how many of these each threshold accepts."""
    distances, trials = np.unique(genuine, return_counts=True)
    return np.concatenate([[-np.inf], distances]), np.concatenate([[0], np.cumsum(trials)])


def _accepted(distances, thresholds) -> np.ndarray:
    """How many of the distances each threshold accepts."""
    return np.searchsorted(np.sort(distances), thresholds, side="right")


def _check_trials(num_genuine: int, genuine: str, num_impostor: int, impostor: str) -> None:
    for number, what in ((num_genuine, genuine), (num_impostor, impostor)):
        if number == 0:
            raise ValueError(
                f"there is no {what} (gallery images with the query's identity and camera are left out), so there is "
                "no rate of them; check that pids and camids belong to these images"
            )
