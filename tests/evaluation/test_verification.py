"""Verification and open-set scores compared with their oracles, by hand, in blocks and at the edges."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from retrieval_cases import as_lists, retrieval_cases

from gaaplib import distances, metrics
from gaaplib.distances import EmbeddingDistances, pairwise_distances
from gaaplib.evaluation.verification import evaluate_open_set, evaluate_verification
from tests.oracles import verification as slow

RATES = (0, 0.01, 0.1, 0.25, 0.5, 1)


def trials_of(case):
    names = ("distances", "query_pids", "gallery_pids", "query_camids", "gallery_camids")
    return {name: case[name] for name in names}


@settings(max_examples=200, deadline=None)
@given(retrieval_cases())
def test_verification_equals_the_oracle(case):
    case = trials_of(case)
    genuine, impostor = slow.trials(**as_lists(case))
    assume(genuine and impostor)
    curve = evaluate_verification(**case)
    assert (curve.num_genuine, curve.num_impostor) == (len(genuine), len(impostor))
    for rate in RATES:
        point = curve.at(rate)
        assert (point.true_accept_rate, point.threshold) == slow.best_at(genuine, impostor, rate)
        assert point.false_accept_rate == slow.share(impostor, point.threshold) <= rate
    assert curve.equal_error_rate == pytest.approx(slow.equal_error_rate(genuine, impostor), rel=1e-12)


@settings(max_examples=200, deadline=None)
@given(retrieval_cases())
def test_open_set_equals_the_oracle(case):
    case = trials_of(case)
    mated, unmated = slow.open_set_trials(**as_lists(case))
    assume(mated and unmated)
    scores = evaluate_open_set(**case)
    assert scores.rank[scores.mated].tolist() == [rank for rank, _ in mated]
    assert scores.distance[scores.mated].tolist() == [distance for _, distance in mated]
    assert scores.distance[scores.unmated].tolist() == unmated
    for rank in (1, 2, 20):
        curve = scores.curve(rank)
        for rate in RATES:
            assert curve.at(rate).true_accept_rate == slow.detection_rate(mated, unmated, rank, rate)


def test_smaller_is_more_similar():
    # Genuine at 0.1 and 0.4, impostors at 0.3 and 0.9.
    curve = evaluate_verification([[0.1, 0.3], [0.9, 0.4]], [1, 2], [1, 2])
    assert curve.at(0) == (0.5, 0, 0.1)
    assert curve.at(0.5) == curve.at(1) == (1, 0.5, 0.4)
    assert curve.equal_error_rate == 0.5
    assert curve.thresholds.tolist() == [-np.inf, 0.1, 0.4]


def test_if_an_impostor_is_nearest_nothing_can_be_accepted():
    assert evaluate_verification([[0.2, 0.1]], [1], [1, 2]).at(0.5) == (0, 0, -np.inf)


def test_a_tie_accepts_the_impostor_too():
    assert evaluate_verification([[0.2, 0.2]], [1], [1, 2]).at(0.99).true_accept_rate == 0


def test_open_set_by_hand():
    # The matches of the first two queries have ranks 2 and 1. The third is unknown; the fourth has only junk.
    rows = [[0.5, 0.3, 0.9], [0.8, 0.2, 0.4], [0.6, 0.7, 0.8], [0.0, 0.1, 0.0]]
    scores = evaluate_open_set(rows, [1, 2, 9, 3], [1, 2, 3], [1, 1, 1, 1], [2, 2, 1])
    assert scores.mated.tolist() == [True, True, False, False]
    assert scores.unmated.tolist() == [False, False, True, False]
    np.testing.assert_array_equal(scores.rank, [2, 1, np.nan, np.nan])
    np.testing.assert_array_equal(scores.distance, [0.5, 0.2, 0.6, np.nan])
    assert scores.curve(rank=1).at(0) == (0.5, 0, 0.2)
    assert scores.curve(rank=2).at(0) == (1, 0, 0.5)


@pytest.mark.parametrize("evaluate", [evaluate_verification, lambda *args: evaluate_open_set(*args).curve()])
def test_embeddings_in_any_parts_give_what_their_distances_give(evaluate, monkeypatch):
    rng = np.random.default_rng(0)
    query, gallery = rng.normal(size=(30, 8)), rng.normal(size=(41, 8))
    labels = [rng.integers(0, high, size) for high, size in ((12, 30), (9, 41), (2, 30), (2, 41))]
    expected = evaluate(pairwise_distances(query, gallery), *labels)
    monkeypatch.setattr(distances, "BLOCK_BYTES", 290 * 8)
    for module in (distances, metrics):
        monkeypatch.setattr(module, "CHUNK_ELEMENTS", 130)
    found = evaluate(EmbeddingDistances(query, gallery), *labels)
    for name in ("thresholds", "true_accept_rate", "false_accept_rate", "num_genuine", "num_impostor"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    assert found.num_genuine > 10


@pytest.mark.parametrize("evaluate", [evaluate_verification, evaluate_open_set])
def test_errors(evaluate):
    with pytest.raises(ValueError, match="distances is nan at row 1, column 0"):
        evaluate([[0, 1], [np.nan, 1]], [1, 2], [1, 2])
    with pytest.raises(ValueError, match="there is no (genuine pair|query with a match)"):
        evaluate([[0, 1]], [1], [2, 3])
    with pytest.raises(ValueError, match="there is no (impostor pair|query whose identity is not)"):
        evaluate([[0, 1]], [1], [1, 1])
    with pytest.raises(ValueError, match="there is no"):
        evaluate(np.ones((0, 2)), [], [1, 1])


@pytest.mark.parametrize("rate", [-0.1, 1.5, np.nan])
def test_a_rate_is_a_fraction(rate):
    curve = evaluate_verification([[0, 1]], [1], [1, 2])
    with pytest.raises(ValueError, match="false_accept_rate is .*from 0 to 1"):
        curve.at(rate)


@pytest.mark.parametrize("rank", [0, 1.5])
def test_a_rank_is_a_positive_integer(rank):
    with pytest.raises(ValueError, match="rank is .*at least 1"):
        evaluate_open_set([[0, 1], [1, 1]], [1, 9], [1, 2]).curve(rank)


def test_a_query_and_its_own_gallery_image_are_no_pair():
    distances = [[0.0, 0.1, 0.3, 0.9], [0.8, 0.7, 0.9, 0.4]]
    found = evaluate_verification(distances, [7, 8], [7, 7, 8, 8], itself=[0, -1])
    rest = evaluate_verification([[0.1, 0.3, 0.9]], [7], [7, 8, 8])
    assert found.num_genuine == 3
    assert found.at(0.0).true_accept_rate == pytest.approx(1 / 3)
    assert rest.num_genuine == 1
    mates = evaluate_open_set(distances + [[0.5, 0.5, 0.5, 0.5]], [7, 8, 9], [7, 7, 8, 8], itself=[0, -1, -1])
    assert mates.rank[:2].tolist() == [1, 1]
    assert mates.distance[0] == 0.1
