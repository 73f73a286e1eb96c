"""Intervals, sign flips and spread: coverage, agreement with SciPy and the oracle, and errors."""

import dataclasses
import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from gaaplib.evaluation import statistics
from gaaplib.evaluation.statistics import (
    Interval,
    Spread,
    bootstrap_mean,
    mean_and_spread,
    paired_difference,
    sign_flip_test,
)
from tests.oracles import statistics as slow

MIN_GROUPS = statistics.MIN_GROUPS


@pytest.fixture(scope="module", autouse=True)
def few_are_enough():
    """The arithmetic is tested on few groups; that they are too few otherwise has its own tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "MIN_GROUPS", 2)
        yield


@pytest.fixture
def ten_are_needed(monkeypatch):
    monkeypatch.setattr(statistics, "MIN_GROUPS", MIN_GROUPS)


def test_fewer_than_ten_groups_give_counts_and_no_verdict(ten_are_needed):
    groups = np.repeat(np.arange(9), 2)
    interval = bootstrap_mean(np.ones(18), groups)
    assert interval.estimate == 1
    assert np.isnan([interval.low, interval.high]).all()
    assert interval.num_groups == 9
    assert str(interval) == "1.000 (9 identities)"
    assert interval.verdict == statistics.TOO_FEW
    assert str(bootstrap_mean([0.5, 0.25], [7, 7])) == "0.375 (1 identity)"


def test_ten_groups_are_enough(ten_are_needed):
    interval = paired_difference(np.linspace(0.5, 1, 20), np.zeros(20), np.repeat(np.arange(10), 2))
    assert interval.verdict == statistics.GAIN
    assert interval.num_groups == 10


def binomial_range(trials, chance):
    """The range that a binomial count leaves with probability below 0.001."""
    return scipy.stats.binom.ppf([0.0005, 0.9995], trials, chance)


def clustered(rng, identities=80):
    """Values that share a component within each identity; identities differ in size, and the mean is 0."""
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
        for name, labels in (("grouped", groups), ("ungrouped", None)):
            interval = bootstrap_mean(values, labels, resamples=499, seed=run, confidence=0.9)
            covered[name] += interval.low <= 0 <= interval.high
    low, high = binomial_range(600, 0.9)
    assert low <= covered["grouped"] <= high
    assert covered["ungrouped"] < low


def test_coverage_of_clustered_differences_at_95_percent():
    covered = {"grouped": 0, "ungrouped": 0}
    for run in range(200):
        rng = np.random.default_rng(run)
        harder, groups = clustered(rng, identities=150)
        same = rng.normal(size=len(groups))
        for name, given_groups in (("grouped", groups), ("ungrouped", None)):
            interval = paired_difference(same + harder, same, given_groups, resamples=499, seed=run)
            covered[name] += interval.low <= 0 <= interval.high
    low, high = binomial_range(200, 0.95)
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
    # Five standard errors of the difference of two 5 % quantiles, each of 50,000 normal samples.
    density = scipy.stats.norm.pdf(scipy.stats.norm.ppf(0.05)) / theirs.standard_error
    margin = 5 * np.sqrt(2 * 0.05 * 0.95 / 50_000) / density
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=margin)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=margin)
    assert found.estimate == pytest.approx(values.mean())


def test_whole_groups_are_resampled_and_the_mean_is_a_ratio_of_sums():
    # Two groups: a resample is (0, 0), (1, 1), or one of each with the mean 3 / 4, not 1 / 2.
    values, groups = [0, 1, 1, 1], ["a", "b", "b", "b"]
    assert bootstrap_mean(values, groups, confidence=0.1) == Interval(0.75, 0.75, 0.75, 0.1, 2)
    assert bootstrap_mean(values, groups) == Interval(0.75, 0, 1, 0.95, 2)


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


def test_one_resample_by_hand():
    values = np.random.default_rng(14).random(7)
    chosen = np.random.default_rng(5).integers(7, size=7)
    mean = pytest.approx(values[chosen].mean())
    found = bootstrap_mean(values, resamples=1, seed=5)
    assert (found.low, found.high) == (mean, mean)


def test_chunks_hold_at_least_one_resample(monkeypatch):
    a, b = np.random.default_rng(15).random((2, 30))
    found = [paired_difference(a, b, resamples=9), sign_flip_test(a, b, resamples=9)]
    monkeypatch.setattr(statistics, "CHUNK_ELEMENTS", 1)
    assert [paired_difference(a, b, resamples=9), sign_flip_test(a, b, resamples=9)] == found


@pytest.mark.parametrize("function", [paired_difference, sign_flip_test])
def test_many_resamples_need_memory_for_a_chunk_only(function, monkeypatch):
    monkeypatch.setattr(statistics, "CHUNK_ELEMENTS", 10_000)
    a, b = np.random.default_rng(17).random((2, 100))
    tracemalloc.start()
    function(a, b, resamples=20_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000  # bytes: an eighth of a number for each value and resample


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


def test_an_interval_prints_on_one_line():
    assert str(Interval(0.41249, 0.38, 0.4444, 0.95, 20)) == "0.412 [0.380, 0.444]"
    assert str(bootstrap_mean([True, False] * 50)).startswith("0.500 [0.4")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(0, 6)), min_size=2, max_size=20))
def test_few_groups_are_flipped_in_all_combinations(rows):
    a, b, groups = (list(column) for column in zip(*rows, strict=True))
    if len(set(groups)) < 2:
        groups[0] = 7
        groups[1] = 8
    found = sign_flip_test(a, b, groups)
    assert found.exact
    assert (found.num_groups, found.num_flips) == (len(set(groups)), 2 ** len(set(groups)))
    assert found.p_value == slow.sign_flip_p_value(a, b, groups)
    assert found.difference == pytest.approx(np.mean(a) - np.mean(b))


def test_sign_flips_agree_with_scipy():
    rng = np.random.default_rng(10)
    for size in (9, 60):
        a, b = rng.random((2, size)) + [[0.1], [0]]
        theirs = scipy.stats.permutation_test(
            (a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=20_000, rng=rng
        )
        found = sign_flip_test(a, b, resamples=20_000)
        assert found.exact == (size == 9)
        # Either both are exact, or they agree within five standard errors of two simulations.
        margin = 0 if found.exact else 5 * np.sqrt(2 * theirs.pvalue * (1 - theirs.pvalue) / 20_000)
        assert 0.001 < found.p_value < 0.9
        assert found.p_value == pytest.approx(theirs.pvalue, abs=margin + 1e-12)


def test_random_sign_flips_approximate_all_combinations():
    values, groups = clustered(np.random.default_rng(11), identities=12)
    zeros = np.zeros(len(values))
    exact, drawn = (sign_flip_test(values, zeros, groups, resamples=resamples) for resamples in (4096, 4095))
    assert (exact.exact, drawn.exact) == (True, False)
    assert exact.num_flips == 4096
    assert drawn.p_value == pytest.approx(exact.p_value, abs=5 * 0.5 / np.sqrt(4095))


def test_equal_models_differ_at_the_level_of_the_test_only_with_the_groups():
    rejected = {"grouped": 0, "ungrouped": 0}
    for run in range(200):
        values, groups = clustered(np.random.default_rng(run), identities=40)
        for name, given_groups in (("grouped", groups), ("ungrouped", None)):
            test = sign_flip_test(values, np.zeros(len(values)), given_groups, resamples=399, seed=run)
            rejected[name] += test.p_value <= 0.05
    low, high = binomial_range(200, 0.05)
    assert low <= rejected["grouped"] <= high
    assert rejected["ungrouped"] > high


def test_a_p_value_is_never_zero_and_equal_models_have_one():
    ones, zeros = np.ones(50), np.zeros(50)
    assert sign_flip_test(ones, zeros, resamples=99).p_value == 1 / 100
    assert sign_flip_test(ones, ones, resamples=99).p_value == 1
    assert sign_flip_test([0.1, 0.2, 0.3], [0, 0, 0]).p_value == 2 / 8


def test_sign_flips_do_not_depend_on_the_order_the_seed_alone_decides_in_any_chunks(monkeypatch):
    values, groups = clustered(np.random.default_rng(12))
    zeros = np.zeros(len(values))
    found = sign_flip_test(values, zeros, groups, seed=3)
    assert sign_flip_test(zeros, values, groups, seed=3).p_value == found.p_value
    assert sign_flip_test(values, zeros, groups, seed=4) != found
    monkeypatch.setattr(statistics, "CHUNK_ELEMENTS", 1000)
    assert sign_flip_test(values, zeros, groups, seed=3) == found


@pytest.mark.parametrize("size", [8, 40])
@pytest.mark.parametrize("unit", [2.0**-60, 2.0**60])
def test_the_p_value_does_not_depend_on_the_unit(size, unit):
    differences = np.random.default_rng(16).normal(0.3, size=size)
    zeros = np.zeros(size)
    found = sign_flip_test(differences, zeros, resamples=999)
    assert 0 < found.p_value < 1
    assert sign_flip_test(differences * unit, zeros, resamples=999).p_value == found.p_value


def test_spread_agrees_with_scipy():
    values = np.random.default_rng(13).random(5)
    found = mean_and_spread(values, confidence=0.9)
    low, high = scipy.stats.t.interval(0.9, 4, loc=values.mean(), scale=scipy.stats.sem(values))
    assert (found.mean, found.sd, found.n) == (values.mean(), pytest.approx(np.std(values, ddof=1)), 5)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_spread_prints_what_it_is():
    # t of one degree of freedom is 12.706; sd = 0.1 sqrt(2) / 2.
    assert str(mean_and_spread([0.4, 0.5])) == "0.450 +- 0.071 (sd of 2 runs), 95 % t interval [-0.185, 1.085]"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = mean_and_spread([0.4])
    assert str(one) == "0.400 (one run: no spread)"
    assert np.isnan([one.sd, one.low, one.high]).all()


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([0.1, np.nan], {}, "values is nan at index 1 .*leave out the runs without a number"),
        ([], {}, r"values has shape \(0,\)"),
        ([[0.1], [0.2]], {}, r"values has shape \(2, 1\): it must have one axis"),
        ([0.1, 0.2], {"confidence": 95}, "confidence is 95"),
    ],
)
def test_errors_of_spread(values, options, message):
    with pytest.raises(ValueError, match=message):
        mean_and_spread(values, **options)


@pytest.mark.parametrize(
    ("values", "groups", "options", "message"),
    [
        ([0.1, np.nan, 0.2], None, {}, "values is nan at index 1 .*queries that are not valid"),
        ([0.1, np.inf], None, {}, "values is inf at index 1"),
        ([], None, {}, r"values has shape \(0,\)"),
        ([[1, 2]], None, {}, r"values has shape \(1, 2\): it must have one axis"),
        (5, None, {}, r"values has shape \(\): it must have one axis"),
        ([np.inf, 1, np.nan], None, {}, r"values is inf at index 0 \(2 such values\)"),
        ([1, 2], [1], {}, r"groups has shape \(1,\) and values \(2,\)"),
        ([1, 2], [1, 2, 3], {}, r"groups has shape \(3,\) and values \(2,\)"),
        ([1, 2], None, {"confidence": 95}, "confidence is 95: it must be between 0 and 1"),
        ([1, 2], None, {"confidence": 0}, "confidence is 0"),
        ([1, 2], None, {"confidence": -0.5}, "confidence is -0.5"),
        ([1, 2], None, {"confidence": 1}, "confidence is 1"),
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
        ([1, 2], [1, 2, 3], "a has 2 values and b 3"),
        ([1, np.nan], [1, 2], "a is nan at index 1 .*leave them out in both"),
        ([1, 2], [np.nan, 2], "b is nan at index 0"),
    ],
)
@pytest.mark.parametrize("function", [paired_difference, sign_flip_test])
def test_errors_of_pairs(function, a, b, message):
    with pytest.raises(ValueError, match=message):
        function(a, b)


@pytest.mark.parametrize(
    ("groups", "options", "message"),
    [
        ([1, 2], {}, r"groups has shape \(2,\)"),
        (None, {"resamples": 0}, "resamples is 0"),
    ],
)
def test_errors_of_sign_flips(groups, options, message):
    with pytest.raises(ValueError, match=message):
        sign_flip_test([1, 2, 3], [0, 0, 0], groups, **options)


def test_one_group_alone_tells_nothing():
    found = sign_flip_test([1, 2, 3], [0, 0, 0], [7, 7, 7])
    assert (found.difference, found.p_value, found.num_groups) == (2.0, 1.0, 1)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.2, "gain"),
        (-0.2, -0.01, "loss"),
        (-0.1, 0.1, "no clear difference"),
        (0, 0.2, "no clear difference"),
        (-0.2, 0, "no clear difference"),
    ],
)
def test_the_verdict_is_the_side_of_zero(low, high, verdict):
    assert Interval((low + high) / 2, low, high, 0.95, 20).verdict == verdict
    assert Spread((low + high) / 2, 0.1, 3, low, high, 0.95).verdict == verdict


def test_one_run_is_no_clear_difference():
    assert Spread(0.1, np.nan, 1, np.nan, np.nan, 0.95).verdict == "no clear difference"


def test_the_options_not_given():
    a, b = np.random.default_rng(14).random((2, 40))
    assert bootstrap_mean(a) == bootstrap_mean(a, None, confidence=0.95, resamples=10_000, seed=0)
    assert paired_difference(a, b) == paired_difference(a, b, None, confidence=0.95, resamples=10_000, seed=0)
    assert sign_flip_test(a, b) == sign_flip_test(a, b, None, resamples=10_000, seed=0)
    assert mean_and_spread(a) == mean_and_spread(a, confidence=0.95)


@pytest.mark.parametrize("function", [bootstrap_mean, paired_difference, sign_flip_test, mean_and_spread])
def test_options_are_given_by_name(function):
    given = [np.arange(3.0)] * (2 if function in (paired_difference, sign_flip_test) else 1)
    groups = [] if function is mean_and_spread else [None]
    with pytest.raises(TypeError, match="positional"):
        function(*given, *groups, 0.9)


@pytest.mark.parametrize("result", [bootstrap_mean([1, 2]), sign_flip_test([1, 2], [0, 0]), mean_and_spread([1, 2])])
def test_results_are_frozen(result):
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.confidence = 1.0


def test_ranks_of_methods_have_the_intervals_of_a_plain_resampling():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 40, 200)
    values = rng.random(200) + np.array([0.0, 0.02, 0.05, 0.5])[:, None] + 0.3 * rng.random((4, 200))
    found = statistics.bootstrap_ranks(values, groups)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    ranks = []
    for _ in range(2000):
        chosen = np.concatenate([members[place] for place in rng.integers(len(members), size=len(members))])
        means = [row[chosen].mean() for row in values]
        ranks.append([1 + sum(other > mean for other in means) for mean in means])
    expected = np.quantile(ranks, [0.025, 0.975], axis=0)
    np.testing.assert_array_equal(found[:, 1:], expected.T)
    assert found[:, 0].tolist() == [1 + sum(values.mean(axis=1) > mean) for mean in values.mean(axis=1)]


def test_the_resamples_of_ranks_are_those_of_one_draw_and_are_in_memory_once(monkeypatch):
    values, size = np.random.default_rng(0).random((3, 400)), 8 * 2000 * 400
    monkeypatch.setattr(statistics, "CHUNK_ELEMENTS", 2000 * 400)
    whole = statistics.bootstrap_ranks(values, resamples=2000)
    monkeypatch.setattr(statistics, "CHUNK_ELEMENTS", 40 * 400)
    tracemalloc.start()
    np.testing.assert_array_equal(statistics.bootstrap_ranks(values, resamples=2000), whole)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size < peak < 1.5 * size


def test_equal_methods_share_their_rank_and_few_identities_have_no_interval(ten_are_needed):
    values = np.tile(np.linspace(0, 1, 30), (2, 1))
    assert statistics.bootstrap_ranks(values).tolist() == [[1.5, 1.5, 1.5]] * 2
    few = statistics.bootstrap_ranks(values, np.arange(30) // 10)
    assert few[:, 0].tolist() == [1.5, 1.5] and np.isnan(few[:, 1:]).all()
    with pytest.raises(ValueError, match="values is nan at index 3"):
        statistics.bootstrap_ranks(np.where(np.arange(30) == 3, np.nan, values))
