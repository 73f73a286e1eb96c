"""Single-shot scores compared with their oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retrieval_cases import as_lists, quietly, retrieval_cases

from gaaplib.evaluation.single_shot import evaluate_single_shot
from tests.oracles import retrieval as slow_retrieval


@settings(max_examples=200, deadline=None)
@given(retrieval_cases(), st.integers(0, 3))
def test_single_shot_equals_the_oracle(case, seed):
    case.pop("ap")
    max_rank = case.pop("max_rank")
    scores = quietly(evaluate_single_shot, **case, max_rank=max_rank, repeats=3, seed=seed)
    rng = np.random.default_rng(seed)
    draw_orders = [rng.permutation(len(case["gallery_pids"])).tolist() for _ in range(3)]
    expected = np.array(slow_retrieval.single_shot_ranks(**as_lists(case), draw_orders=draw_orders))
    np.testing.assert_array_equal(scores.rank, expected)
    valid = ~np.isnan(expected[0])
    assert (scores.num_queries, scores.num_valid_queries) == (len(valid), valid.sum())
    if valid.any():
        found = expected[:, valid]
        cmc = np.array([[np.mean(ranks <= k) for k in range(1, max_rank + 1)] for ranks in found])
        np.testing.assert_allclose(scores.cmc, cmc.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(scores.cmc_std, cmc.std(axis=0, ddof=1), atol=1e-12)
        np.testing.assert_allclose(scores.mAP, np.mean(1 / found), rtol=1e-12)
        np.testing.assert_allclose(scores.mAP_std, np.mean(1 / found, axis=1).std(ddof=1), atol=1e-12)


def test_single_shot_samples_each_image_equally_often():
    # Identity 1 at 0 and 2, identity 2 at 1 and 3, each sampled uniformly: 1 is nearer with probability 3/4.
    case = ([[0, 1, 2, 3]], [1], [1, 2, 1, 2])
    scores = evaluate_single_shot(*case, repeats=4000)
    assert scores.cmc[0] == pytest.approx(3 / 4, abs=5 * np.sqrt(3 / 16 / 4000))
    assert scores.cmc[1] == 1
    np.testing.assert_array_equal(scores.rank, evaluate_single_shot(*case, repeats=4000).rank)
    assert (scores.rank != evaluate_single_shot(*case, repeats=4000, seed=1).rank).any()


def test_single_shot_without_spread_or_without_a_match():
    scores = evaluate_single_shot([[0, 1]], [1], [1, 2], repeats=1)
    assert (scores.cmc[0], scores.mAP) == (1, 1)
    assert np.isnan([*scores.cmc_std, scores.mAP_std]).all()
    with pytest.warns(UserWarning, match="none of the 1 queries has a match") as caught:
        scores = evaluate_single_shot([[0, 1]], [3], [1, 2])
    assert caught[0].filename == __file__
    assert np.isnan([*scores.cmc, *scores.cmc_std, scores.mAP, scores.mAP_std]).all()
    with pytest.raises(ValueError, match="repeats is 0"):
        evaluate_single_shot([[0, 1]], [3], [1, 2], repeats=0)


def test_a_query_is_not_its_own_match():
    distances = [[0.0, 0.5, 0.3]]
    found = evaluate_single_shot(distances, [7], [7, 7, 8], itself=[0], repeats=4, max_rank=2)
    assert found.rank.ravel().tolist() == [2.0] * 4
