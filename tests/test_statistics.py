"""Bootstrap intervals: coverage, agreement with SciPy, and what they refuse."""

import numpy as np
import pytest
import scipy.stats

from gaaplib import statistics
from gaaplib.statistics import Interval, bootstrap_mean, paired_difference


def binomial_range(trials, chance):
    """Counts that a binomial leaves with probability below 0.001."""
    return scipy.stats.binom.ppf([0.0005, 0.9995], trials, chance)


def clustered(rng, identities=80):
    """Values that share a part within each of unevenly large identities; their mean is 0."""
    groups = np.repeat(np.arange(identities), rng.integers(1, 9, identities))
    return rng.normal(size=identities)[groups] + rng.normal(size=len(groups)), groups


def test_coverage_of_independent_values():
    rng = np.random.default_rng(0)
    intervals = [bootstrap_mean(rng.normal(size=150), resamples=999, seed=run, confidence=0.9) for run in range(600)]
    covered = sum(interval.low <= 0 <= interval.high for interval in intervals)
    low, high = binomial_range(600, 0.9)
    assert low <= covered <= high


def test_coverage_of_clustered_values_needs_the_groups():
    rng = np.random.default_rng(1)
    covered = {"grouped": 0, "ungrouped": 0}
    for run in range(600):
        values, groups = clustered(rng)
        for name, given in (("grouped", groups), ("ungrouped", None)):
            interval = bootstrap_mean(values, given, resamples=499, seed=run, confidence=0.9)
            covered[name] += interval.low <= 0 <= interval.high
    low, high = binomial_range(600, 0.9)
    assert low <= covered["grouped"] <= high
    assert covered["ungrouped"] < low


def test_agrees_with_scipy():
    values = np.random.default_rng(2).beta(0.5, 0.7, size=200)
    found = bootstrap_mean(values, resamples=50_000, confidence=0.9)
    theirs = scipy.stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=50_000,
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(3),
    )
    # Five standard errors of the difference of two 5 % quantiles of 50,000 normal draws each.
    density = scipy.stats.norm.pdf(scipy.stats.norm.ppf(0.05)) / theirs.standard_error
    margin = 5 * np.sqrt(2 * 0.05 * 0.95 / 50_000) / density
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=margin)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=margin)
    assert found.estimate == pytest.approx(values.mean())


def test_groups_are_drawn_whole_as_a_ratio_of_sums():
    # Two groups: a resample is (0, 0), (1, 1) or one of each, whose mean is 3 / 4, not 1 / 2.
    values, groups = [0, 1, 1, 1], ["a", "b", "b", "b"]
    assert bootstrap_mean(values, groups, confidence=0.1) == Interval(0.75, 0.75, 0.75, 0.1)
    assert bootstrap_mean(values, groups) == Interval(0.75, 0, 1, 0.95)


def test_a_pair_is_resampled_together():
    rng = np.random.default_rng(4)
    hardness = rng.normal(size=300)
    a, b = hardness + 0.1, hardness
    difference = paired_difference(a, b)
    assert difference.estimate == pytest.approx(0.1)
    assert difference.high - difference.low < 1e-12
    assert bootstrap_mean(a).high - bootstrap_mean(a).low > 0.1


def test_paired_difference_uses_the_groups_and_the_options():
    values, groups = clustered(np.random.default_rng(5))
    other = np.random.default_rng(6).normal(size=len(values))
    options = {"confidence": 0.8, "resamples": 400, "seed": 9}
    found = paired_difference(values, other, groups, **options)
    assert found == bootstrap_mean(values - other, groups, **options)
    assert found != paired_difference(values, other, **options)
    reverse = paired_difference(other, values, groups, **options)
    assert (reverse.low, reverse.high) == pytest.approx((-found.high, -found.low))


def test_equal_seeds_give_equal_intervals_in_any_chunks(monkeypatch):
    values, groups = clustered(np.random.default_rng(7))
    found = bootstrap_mean(values, groups, seed=3)
    assert bootstrap_mean(values, groups, seed=3) == found
    assert bootstrap_mean(values, groups, seed=4) != found
    monkeypatch.setattr(statistics, "CHUNK_ELEMENTS", 1000)
    assert bootstrap_mean(values, groups, seed=3) == found


def test_the_names_of_the_groups_do_not_matter():
    values, groups = clustered(np.random.default_rng(8))
    named = np.array([f"{group:03d}" for group in groups])
    assert bootstrap_mean(values, named) == bootstrap_mean(values, groups)
    alone = bootstrap_mean(values, np.arange(len(values)))
    assert alone == bootstrap_mean(values)


def test_more_confidence_is_a_wider_interval():
    values = np.random.default_rng(9).random(100)
    narrow, wide = bootstrap_mean(values, confidence=0.5), bootstrap_mean(values, confidence=0.99)
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high


def test_an_interval_prints_short():
    assert str(Interval(0.41249, 0.38, 0.4444, 0.95)) == "0.412 [0.380, 0.444]"
    assert str(bootstrap_mean([True, False] * 50)).startswith("0.500 [0.4")


@pytest.mark.parametrize(
    ("values", "groups", "options", "message"),
    [
        ([0.1, np.nan, 0.2], None, {}, "values is nan at index 1 .*queries that are not valid"),
        ([0.1, np.inf], None, {}, "values is inf at index 1"),
        ([], None, {}, r"values has shape \(0,\)"),
        ([[1, 2]], None, {}, r"values has shape \(1, 2\): it must have one axis"),
        ([1, 2], [1], {}, r"groups has shape \(1,\) and values \(2,\)"),
        ([1, 2], [7, 7], {}, "all 2 values are of 1 group: at least two are needed"),
        ([1], None, {}, "at least two are needed"),
        ([1, 2], None, {"confidence": 95}, "confidence is 95: it must be between 0 and 1"),
        ([1, 2], None, {"confidence": 0}, "confidence is 0"),
        ([1, 2], None, {"resamples": 0}, "resamples is 0"),
        ([1, 2], None, {"resamples": 10.5}, "resamples is 10.5"),
    ],
)
def test_errors(values, groups, options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_mean(values, groups, **options)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1, 2, 3], [1, 2], "a has 3 values and b 2: both must be of the same queries"),
        ([1, np.nan], [1, 2], "a is nan at index 1 .*leave them out in both"),
        ([1, 2], [np.nan, 2], "b is nan at index 0"),
    ],
)
def test_errors_of_pairs(a, b, message):
    with pytest.raises(ValueError, match=message):
        paired_difference(a, b)
