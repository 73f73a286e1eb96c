"""How sure a mean is: over queries (bootstrap), between two models (sign flips), over folds and seeds (spread).

The queries of one identity resemble each other, so they are not independent draws: an interval that treats them as
such is too narrow, a p-value too small. Give the identities as ``groups`` and whole identities are drawn or flipped.
What is a mean over queries, so mAP, mINP and each CMC(k), is given as its values per query: for CMC(k), whether
``first_hit <= k``.

These say how sure a number is for one trained model. Another seed or fold gives another model:
:func:`mean_and_spread` is for that.

Sources: A. C. Davison and D. V. Hinkley, "Bootstrap Methods and their Application", 1997, chapters 2.4, 3.8, 4.3 and
5.3; B. Phipson and G. K. Smyth, "Permutation P-values Should Never Be Zero", 2010.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.special import stdtrit

GAIN, LOSS, UNCLEAR = "gain", "loss", "no clear difference"
"""What the interval of a difference says: it lies above 0, below 0, or reaches it."""

CHUNK_ELEMENTS = 2**22
"""Drawn group indices held at once: some 100 MB, however many resamples."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; prints as ``0.412 [0.380, 0.444]``."""

    estimate: float
    low: float
    high: float
    confidence: float

    @property
    def verdict(self) -> str:
        """``GAIN``, ``LOSS`` or ``UNCLEAR``, where this is the interval of a difference."""
        return _verdict(self.low, self.high)

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class SignFlipTest:
    """Whether two models differ on the same queries.

    Attributes:
        difference: mean(a) - mean(b).
        p_value: two-sided, above 0.
        num_groups: identities whose signs are flipped, or values where none are given.
        num_flips: choices of signs that were looked at.
        exact: whether these are all there are.
    """

    difference: float
    p_value: float
    num_groups: int
    num_flips: int
    exact: bool


@dataclass(frozen=True)
class Spread:
    """A mean over runs, and how far the runs lie apart; prints as ``0.412 +- 0.013 (sd of 5 runs), ...``.

    Attributes:
        mean: over the runs.
        sd: sample standard deviation (n - 1) of the runs, not of their mean; NaN for one run.
        n: number of runs.
        low, high: Student's t interval of the mean, mean -+ t(n - 1) sd / sqrt(n); NaN for one run.
        confidence: of that interval.
    """

    mean: float
    sd: float
    n: int
    low: float
    high: float
    confidence: float

    @property
    def verdict(self) -> str:
        """``GAIN``, ``LOSS`` or ``UNCLEAR``, where these are differences; of one run ``UNCLEAR``."""
        return _verdict(self.low, self.high)

    def __str__(self) -> str:
        if self.n == 1:
            return f"{self.mean:.3f} (one run: no spread)"
        interval = f"{100 * self.confidence:g} % t interval [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.mean:.3f} +- {self.sd:.3f} (sd of {self.n} runs), {interval}"


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
    _check_confidence(confidence)
    _check_resamples(resamples)
    sums, sizes = _group_totals(values, groups)
    _check_groups(sums, values)
    num_groups = len(sums)
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
    return bootstrap_mean(_differences(a, b), groups, confidence=confidence, resamples=resamples, seed=seed)


def sign_flip_test(a, b, groups=None, *, resamples=10_000, seed=0) -> SignFlipTest:
    """Two-sided permutation test of mean(a) = mean(b) on the same queries, by flipping the signs of the differences.

    If the two models were exchangeable, each identity's differences could as well have the other sign, all of them at
    once. The p-value is the share of choices of signs that give a mean at least as far from 0 as the one seen. With G
    groups and 2 ** G <= ``resamples`` all choices are looked at; else ``resamples`` random ones, and the one seen is
    counted with them: (1 + as far) / (1 + resamples).

    Args:
        a, b: (n,), the same queries in the same order, so equally many.
        groups: (n,), the identity of each query; without, every query is a group of its own.
        resamples: number of random choices of signs.
        seed: equal arguments give equal p-values.

    Raises:
        ValueError: as :func:`paired_difference`.
    """
    differences = _differences(a, b)
    _check_resamples(resamples)
    sums, _ = _group_totals(differences, groups)
    _check_groups(sums, differences)
    # Sums in another order differ by rounding; what is as far but for that is as far.
    as_far = abs(sums.sum()) - 1e-12 * np.abs(sums).sum()
    if 2 ** len(sums) <= resamples:
        flips = np.array(list(product((1, -1), repeat=len(sums))))
        p_value = np.mean(np.abs(flips @ sums) >= as_far)
        return SignFlipTest(float(differences.mean()), float(p_value), len(sums), len(flips), True)
    rng = np.random.default_rng(seed)
    found = 0
    chunk = max(1, CHUNK_ELEMENTS // len(sums))
    for start in range(0, resamples, chunk):
        flipped = rng.random((min(chunk, resamples - start), len(sums))) < 0.5
        found += np.count_nonzero(np.abs(sums.sum() - 2 * (flipped @ sums)) >= as_far)
    p_value = (1 + found) / (1 + resamples)
    return SignFlipTest(float(differences.mean()), p_value, len(sums), resamples, False)


def mean_and_spread(values, *, confidence=0.95) -> Spread:
    """Mean, sample standard deviation and t interval over runs: folds, seeds, or both.

    The interval takes the runs for independent draws from a normal distribution. Folds share training images and
    seeds share all of them, so it is no promise for other data; the standard deviation is what was seen, and nothing
    more. One run has no spread: that is NaN, never 0.

    Args:
        values: (n,), one number a run, for example its mAP.
        confidence: between 0 and 1.

    Raises:
        ValueError: a value that is NaN or infinite, no value, ``confidence`` out of range.
    """
    values = _checked_values(values, "values", advice="leave out the runs without a number, and say how many")
    _check_confidence(confidence)
    n, mean = len(values), values.mean()
    if n == 1:
        return Spread(float(mean), np.nan, 1, np.nan, np.nan, confidence)
    sd = values.std(ddof=1)
    margin = stdtrit(n - 1, (1 + confidence) / 2) * sd / np.sqrt(n)
    return Spread(float(mean), float(sd), n, float(mean - margin), float(mean + margin), confidence)


def _verdict(low, high) -> str:
    return GAIN if low > 0 else LOSS if high < 0 else UNCLEAR


def _differences(a, b) -> np.ndarray:
    a, b = _checked_values(a, "a"), _checked_values(b, "b")
    if len(a) != len(b):
        raise ValueError(f"a has {len(a)} values and b {len(b)}: both must be of the same queries, in the same order")
    return a - b


def _group_totals(values, groups) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the values of each group."""
    if groups is None:
        return values, np.ones(len(values))
    groups = np.asarray(groups)
    if groups.shape != values.shape:
        raise ValueError(f"groups has shape {groups.shape} and values {values.shape}: give one group for each value")
    group_of_value, sizes = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    return np.bincount(group_of_value, weights=values), sizes.astype(float)


def _checked_values(values, name: str, advice: str | None = None) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"{name} has shape {values.shape}: it must have one axis and some values")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        advice = advice or "leave out the queries that are not valid, and for a comparison leave them out in both"
        raise ValueError(f"{name} is {values[bad[0]]} at index {bad[0]} ({bad.size} such values): {advice}")
    return values


def _check_groups(sums, values) -> None:
    if len(sums) < 2:
        raise ValueError(
            f"all {len(values)} values are of {len(sums)} group: at least two are needed, as what is sought "
            "comes from the differences between groups"
        )


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}: it must be between 0 and 1, such as 0.95")


def _check_resamples(resamples: int) -> None:
    if not isinstance(resamples, int | np.integer) or resamples < 1:
        raise ValueError(f"resamples is {resamples!r}: it must be an integer of at least 1")
