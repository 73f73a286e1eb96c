"""Confidence intervals over queries (bootstrap), tests between two models (sign flips), spread over folds and seeds.

The queries of one identity resemble each other, so they are not independent. An interval that treats them as
independent is too narrow, and a p-value too small. Pass the identities as ``groups``: then whole identities are
resampled or flipped. The functions take one value per query. For mAP and mINP that is the AP or INP; for CMC(k) it is
whether ``first_hit <= k``.

Bootstrap and sign flips describe the uncertainty for one trained model. Another seed or fold gives another model; use
:func:`mean_and_spread` for that.

Sources: A. C. Davison and D. V. Hinkley, "Bootstrap Methods and their Application", 1997, chapters 2.4, 3.8, 4.3 and
5.3; B. Phipson and G. K. Smyth, "Permutation P-values Should Never Be Zero", 2010.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import stats

from gaaplib.distances import spans

GAIN, LOSS, UNCLEAR, TOO_FEW = "gain", "loss", "no clear difference", "too few identities"
"""The verdicts on a difference: its interval lies above 0, lies below 0, contains 0, or there is none."""

MIN_GROUPS = 10
"""Fewer identities than this give no interval: their bootstrap is far too narrow, down to no width at all."""

CHUNK_ELEMENTS = 2**22
"""Number of resampled group indices in memory at once: about 100 MB for any number of resamples."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; prints as ``0.412 [0.380, 0.444]``.

    With fewer than ``MIN_GROUPS`` identities, ``low`` and ``high`` are NaN, and it prints as ``0.412 (4 identities)``.
    """

    estimate: float
    low: float
    high: float
    confidence: float
    num_groups: int

    @property
    def verdict(self) -> str:
        """``GAIN``, ``LOSS``, ``UNCLEAR`` or ``TOO_FEW``, if this is the interval of a difference."""
        return TOO_FEW if np.isnan(self.low) else _verdict(self.low, self.high)

    def __str__(self) -> str:
        return shown(self.estimate, self.low, self.high, self.num_groups)


@dataclass(frozen=True)
class SignFlipTest:
    """The result of :func:`sign_flip_test`: whether two models differ on the same queries.

    Attributes:
        difference: mean(a) - mean(b).
        p_value: two-sided, above 0.
        num_groups: number of identities whose signs are flipped; number of values if no groups are given.
        num_flips: number of sign combinations that were tested.
        exact: whether these are all combinations.
    """

    difference: float
    p_value: float
    num_groups: int
    num_flips: int
    exact: bool


@dataclass(frozen=True)
class Spread:
    """A mean over runs and the spread of the runs; prints as ``0.412 +- 0.013 (sd of 5 runs), ...``.

    Attributes:
        mean: over the runs.
        sd: sample standard deviation (n - 1) of the runs, not of their mean; NaN for one run.
        n: number of runs.
        low, high: Student's t interval of the mean, mean -+ t(n - 1) sd / sqrt(n); NaN for one run.
        confidence: of the interval.
    """

    mean: float
    sd: float
    n: int
    low: float
    high: float
    confidence: float

    @property
    def verdict(self) -> str:
        """``GAIN``, ``LOSS`` or ``UNCLEAR``, if the values are differences; ``UNCLEAR`` for one run."""
        return _verdict(self.low, self.high)

    def __str__(self) -> str:
        if self.n == 1:
            return f"{self.mean:.3f} (one run: no spread)"
        interval = f"{100 * self.confidence:g} % t interval [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.mean:.3f} +- {self.sd:.3f} (sd of {self.n} runs), {interval}"


def bootstrap_ranks(values, groups=None, *, confidence=0.95, resamples=10_000, seed=0):
    """Ranks of methods by their means, 1 the highest, with percentile bootstrap intervals.

    The groups of values are resampled as in :func:`bootstrap_mean`, the same for all methods, and the means are ranked
    anew each time. Methods with equal means share the mean of their ranks.

    Memory: 8 bytes for each resample and group, and 50 MB. For Market-1501's 3,368 queries that is about 110 MB with
    its 750 identities as groups, and 320 MB without groups.

    Args:
        values: (methods, n), for example the AP of each valid query, in the same order for each method.
        groups, confidence, resamples, seed: as for :func:`bootstrap_mean`.

    Returns:
        float (methods, 3): rank, low and high.

    Raises:
        ValueError: as :func:`bootstrap_mean`.

    Example:
        >>> one = np.linspace(0, 0.9, 40)
        >>> bootstrap_ranks(np.stack([one, one[::-1], one + 0.1])).tolist()
        [[2.5, 2.0, 3.0], [2.5, 1.0, 3.0], [1.0, 1.0, 2.0]]
    """
    values = np.asarray(values, float)
    _check_confidence(confidence)
    _check_resamples(resamples)
    totals = [_group_totals(_checked_values(each, "values"), groups) for each in values]
    sums, sizes = np.stack([each for each, _ in totals]), totals[0][1]
    rng = np.random.default_rng(seed)
    # How often each group is chosen. As floats from the start, because the product would copy integers whole.
    counts, chances = np.empty((resamples, len(sizes))), np.full(len(sizes), 1 / len(sizes))
    for part in spans(resamples, CHUNK_ELEMENTS // len(sizes)):
        counts[part] = rng.multinomial(len(sizes), chances, size=part.stop - part.start)
    ranks = stats.rankdata(-(sums @ counts.T) / (counts @ sizes), axis=0)
    ends = np.quantile(ranks, [(1 - confidence) / 2, (1 + confidence) / 2], axis=1)
    if len(sizes) < MIN_GROUPS:
        ends = np.full_like(ends, np.nan)
    return np.column_stack([stats.rankdata(-values.mean(axis=1)), *ends])


def bootstrap_mean(values, groups=None, *, confidence=0.95, resamples=10_000, seed=0) -> Interval:
    """Percentile bootstrap interval of a mean.

    With G groups, each resample consists of G groups chosen with replacement, with all their values. Its mean is the
    sum of these values divided by their number. The interval goes from the (1 - confidence) / 2 to the
    (1 + confidence) / 2 quantile of the resampled means. Fewer than ``MIN_GROUPS`` groups have no interval.

    Args:
        values: (n,), for example the AP of each valid query.
        groups: (n,), the identity of each value; None: every value is its own group.
        confidence: between 0 and 1.
        resamples: number of resamples.
        seed: of the resampling; equal arguments give equal intervals.

    Returns:
        :class:`Interval`.

    Raises:
        ValueError: a value that is NaN or infinite, lengths that do not agree, ``confidence`` or ``resamples`` out of
            range.

    Example:
        The AP of twenty queries of ten identities, and of six queries of three.

        >>> ap = np.linspace(0, 0.95, 20)
        >>> print(bootstrap_mean(ap, groups=np.arange(20) // 2))
        0.475 [0.295, 0.655]
        >>> print(bootstrap_mean([0.9, 0.8, 0.5, 0.6, 0.2, 0.3], groups=[7, 7, 8, 8, 9, 9]))
        0.550 (3 identities)
    """
    values = _checked_values(values, "values")
    _check_confidence(confidence)
    _check_resamples(resamples)
    sums, sizes = _group_totals(values, groups)
    num_groups = len(sums)
    if num_groups < MIN_GROUPS:
        return Interval(float(values.mean()), np.nan, np.nan, confidence, num_groups)
    rng = np.random.default_rng(seed)
    chunk = max(1, CHUNK_ELEMENTS // num_groups)
    means = np.empty(resamples)
    for start in range(0, resamples, chunk):
        part = means[start : start + chunk]
        chosen = rng.integers(num_groups, size=(len(part), num_groups))
        part[:] = sums[chosen].sum(axis=1) / sizes[chosen].sum(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(values.mean()), float(low), float(high), confidence, num_groups)


def paired_difference(a, b, groups=None, *, confidence=0.95, resamples=10_000, seed=0) -> Interval:
    """Percentile bootstrap interval of mean(a) - mean(b) on the same queries.

    The difference is taken query by query, so that what makes a query hard for both models cancels out.

    Args:
        a, b: (n,), values for the same queries in the same order.

    The other arguments and the errors are those of :func:`bootstrap_mean`.

    Returns:
        :class:`Interval`, whose ``verdict`` is ``GAIN`` if it lies above 0.

    Example:
        >>> ours, theirs = np.linspace(0.5, 0.9, 20), np.linspace(0.4, 0.7, 20)
        >>> difference = paired_difference(ours, theirs)
        >>> print(difference, "-", difference.verdict)
        0.150 [0.137, 0.163] - gain
    """
    return bootstrap_mean(_differences(a, b), groups, confidence=confidence, resamples=resamples, seed=seed)


def sign_flip_test(a, b, groups=None, *, resamples=10_000, seed=0) -> SignFlipTest:
    """Two-sided permutation test of mean(a) = mean(b) on the same queries, by flipping the signs of the differences.

    If the two models were exchangeable, the differences of each identity could equally well all have the opposite
    sign. The p-value is the share of sign combinations that give a mean at least as far from 0 as the observed one.
    With G groups and 2 ** G <= ``resamples``, all combinations are tested. Otherwise ``resamples`` random ones are
    tested and the observed one is counted with them: (1 + number as far) / (1 + resamples). One group alone has the
    p-value 1.

    Args:
        a, b: (n,), values for the same queries in the same order.
        groups: (n,), the identity of each query; None: every query is its own group.
        resamples: number of random sign combinations.
        seed: of the random combinations; equal arguments give equal p-values.

    Returns:
        :class:`SignFlipTest`.

    Raises:
        ValueError: as :func:`paired_difference`.

    Example:
        All six differences are positive: 2 of the 2 ** 6 sign combinations give a mean as far from 0.

        >>> test = sign_flip_test([0.9, 0.7, 0.4, 0.6, 0.5, 0.8], [0.8, 0.5, 0.3, 0.4, 0.4, 0.6])
        >>> test.p_value, test.num_flips, test.exact
        (0.03125, 64, True)
    """
    differences = _differences(a, b)
    _check_resamples(resamples)
    sums, _ = _group_totals(differences, groups)
    # Sums in another order differ by rounding, so a mean that is as far up to rounding counts.
    as_far = abs(sums.sum()) - 1e-12 * np.abs(sums).sum()
    if 2 ** len(sums) <= resamples:
        flips = np.array(list(product((1, -1), repeat=len(sums))))
        p_value = np.mean(np.abs(flips @ sums) >= as_far)
        return SignFlipTest(float(differences.mean()), float(p_value), len(sums), len(flips), True)
    rng = np.random.default_rng(seed)
    num_as_far = 0
    chunk = max(1, CHUNK_ELEMENTS // len(sums))
    for start in range(0, resamples, chunk):
        flipped = rng.random((min(chunk, resamples - start), len(sums))) < 0.5
        num_as_far += np.count_nonzero(np.abs(sums.sum() - 2 * (flipped @ sums)) >= as_far)
    p_value = (1 + num_as_far) / (1 + resamples)
    return SignFlipTest(float(differences.mean()), p_value, len(sums), resamples, False)


def mean_and_spread(values, *, confidence=0.95) -> Spread:
    """Mean, sample standard deviation and t interval over runs: folds, seeds, or both.

    The interval assumes that the runs are independent samples of a normal distribution. Folds share training images
    and seeds share all of them, so the interval does not hold for other data. The standard deviation only describes
    the given runs. One run has no spread: its standard deviation is NaN, not 0.

    Args:
        values: (n,), one number per run, for example its mAP.
        confidence: between 0 and 1.

    Returns:
        :class:`Spread`.

    Raises:
        ValueError: a value that is NaN or infinite, no value, ``confidence`` out of range.

    Example:
        >>> print(mean_and_spread([0.41, 0.43, 0.39]))
        0.410 +- 0.020 (sd of 3 runs), 95 % t interval [0.360, 0.460]
        >>> print(mean_and_spread([0.41]))
        0.410 (one run: no spread)
    """
    values = _checked_values(values, "values", advice="leave out the runs without a number, and report how many")
    _check_confidence(confidence)
    n, mean = len(values), values.mean()
    if n == 1:
        return Spread(float(mean), np.nan, 1, np.nan, np.nan, confidence)
    sd = values.std(ddof=1)
    from scipy.special import stdtrit  # only here: its import takes as long as all others

    margin = stdtrit(n - 1, (1 + confidence) / 2) * sd / np.sqrt(n)
    return Spread(float(mean), float(sd), n, float(mean - margin), float(mean + margin), confidence)


def shown(estimate, low, high, num_groups) -> str:
    """An estimate with its interval as text, or with the number of identities if they are too few for one.

    Example:
        >>> shown(0.412, 0.38, 0.444, 20), shown(0.412, np.nan, np.nan, 4)
        ('0.412 [0.380, 0.444]', '0.412 (4 identities)')
    """
    if np.isnan(low):
        return f"{estimate:.3f} ({num_groups:.0f} {'identity' if num_groups == 1 else 'identities'})"
    return f"{estimate:.3f} [{low:.3f}, {high:.3f}]"


def signed(estimate, low, high) -> str:
    """A difference with its interval as text, or alone if it has none.

    Example:
        >>> signed(0.05, 0.01, 0.09), signed(-0.05, np.nan, np.nan)
        ('+0.050 [+0.010, +0.090]', '-0.050')
    """
    return f"{estimate:+.3f}" if np.isnan(low) else f"{estimate:+.3f} [{low:+.3f}, {high:+.3f}]"


def _verdict(low, high) -> str:
    return GAIN if low > 0 else LOSS if high < 0 else UNCLEAR


def _differences(a, b) -> np.ndarray:
    a, b = _checked_values(a, "a"), _checked_values(b, "b")
    if len(a) != len(b):
        raise ValueError(f"a has {len(a)} values and b {len(b)}: both must be of the same queries, in the same order")
    return a - b


def _group_totals(values, groups) -> tuple[np.ndarray, np.ndarray]:
    """The sum of the values and the number of values of each group."""
    if groups is None:
        return values, np.ones(len(values))
    groups = np.asarray(groups)
    if groups.shape != values.shape:
        raise ValueError(f"groups has shape {groups.shape} and values {values.shape}: give one group per value")
    group_of_value, sizes = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    return np.bincount(group_of_value, weights=values), sizes.astype(float)


def _checked_values(values, name: str, advice: str | None = None) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"{name} has shape {values.shape}: it must have one axis and at least one value")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        advice = advice or "leave out the queries that are not valid, and for a comparison leave them out in both"
        raise ValueError(f"{name} is {values[bad[0]]} at index {bad[0]} ({bad.size} such values): {advice}")
    return values


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}: it must be between 0 and 1, such as 0.95")


def _check_resamples(resamples: int) -> None:
    if not isinstance(resamples, int | np.integer) or resamples < 1:
        raise ValueError(f"resamples is {resamples!r}: it must be an integer of at least 1")
