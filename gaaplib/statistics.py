"""Intervals for means over queries: percentile bootstrap, of whole identities where they are given.

The queries of one identity resemble each other, so they are not independent draws: an interval that treats them as
such is too narrow. Give the identities as ``groups`` and whole identities are drawn (the cluster bootstrap).

Source: A. C. Davison and D. V. Hinkley, "Bootstrap Methods and their Application", 1997, chapters 2.4, 3.8 and 5.3.
"""

from dataclasses import dataclass

import numpy as np

CHUNK_ELEMENTS = 2**22
"""Drawn group indices held at once: some 100 MB, however many resamples."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; prints as ``0.412 [0.380, 0.444]``."""

    estimate: float
    low: float
    high: float
    confidence: float

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap_mean(values, groups=None, *, confidence=0.95, resamples=10_000, seed=0) -> Interval:
    """Percentile bootstrap interval of a mean.

    With G groups, each resample draws G of them with replacement, with all their values, and its mean is the sum of the
    values drawn divided by their number. The interval goes from the (1 - confidence) / 2 to the (1 + confidence) / 2
    quantile of the resampled means.

    Args:
        values: (n,), for example the AP of each valid query.
        groups: (n,), the identity of each value; without, every value is a group of its own.
        confidence: between 0 and 1.
        resamples: number of resamples.
        seed: equal arguments give equal intervals.

    Raises:
        ValueError: a value that is NaN or infinite, lengths that do not agree, fewer than two groups, ``confidence`` or
            ``resamples`` out of range.
    """
    values = _checked_values(values, "values")
    _check_options(confidence, resamples)
    sums, sizes = _group_totals(values, groups)
    num_groups = len(sums)
    if num_groups < 2:
        raise ValueError(
            f"all {len(values)} values are of {num_groups} group: at least two are needed, as the interval "
            "comes from the differences between groups"
        )
    rng = np.random.default_rng(seed)
    chunk = max(1, CHUNK_ELEMENTS // num_groups)
    means = np.empty(resamples)
    for start in range(0, resamples, chunk):
        part = means[start : start + chunk]
        drawn = rng.integers(num_groups, size=(len(part), num_groups))
        part[:] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(values.mean()), float(low), float(high), confidence)


def paired_difference(a, b, groups=None, *, confidence=0.95, resamples=10_000, seed=0) -> Interval:
    """Percentile bootstrap interval of mean(a) - mean(b) on the same queries.

    Each query's difference is one value, so that what makes a query hard for both cancels out.

    Args:
        a, b: (n,), the same queries in the same order, so equally many.

    The other arguments, and the errors, are those of :func:`bootstrap_mean`.
    """
    a, b = _checked_values(a, "a"), _checked_values(b, "b")
    if len(a) != len(b):
        raise ValueError(f"a has {len(a)} values and b {len(b)}: both must be of the same queries, in the same order")
    return bootstrap_mean(a - b, groups, confidence=confidence, resamples=resamples, seed=seed)


def _group_totals(values, groups) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the values of each group."""
    if groups is None:
        return values, np.ones(len(values))
    groups = np.asarray(groups)
    if groups.shape != values.shape:
        raise ValueError(f"groups has shape {groups.shape} and values {values.shape}: give one group for each value")
    group_of_value, sizes = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    return np.bincount(group_of_value, weights=values), sizes.astype(float)


def _checked_values(values, name: str) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"{name} has shape {values.shape}: it must have one axis and some values")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise ValueError(
            f"{name} is {values[bad[0]]} at index {bad[0]} ({bad.size} such values): leave out the queries that "
            "are not valid, and for a comparison leave them out in both"
        )
    return values


def _check_options(confidence: float, resamples: int) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}: it must be between 0 and 1, such as 0.95")
    if not isinstance(resamples, int | np.integer) or resamples < 1:
        raise ValueError(f"resamples is {resamples!r}: it must be an integer of at least 1")
