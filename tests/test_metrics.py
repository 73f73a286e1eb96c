"""Metrics against their oracles, by hand, by exhaustion and by simulation."""

import dataclasses
import subprocess
import sys
import tracemalloc
import warnings
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaaplib import metrics
from gaaplib.metrics import (
    EmbeddingDistances,
    evaluate_classification,
    evaluate_distances,
    evaluate_embeddings,
    evaluate_single_shot,
    expected_by_chance,
    expected_classification_by_chance,
    pairwise_distances,
)
from tests.oracles import classification as slow_classification
from tests.oracles import retrieval as slow_retrieval

AP = ("step", "trapezoid")
PER_QUERY = ("ap", "inp", "first_hit")
LAYOUTS = (
    np.ascontiguousarray,
    np.asfortranarray,
    lambda matrix: matrix[::-1, ::-1].copy()[::-1, ::-1],
    lambda matrix: np.repeat(np.repeat(matrix, 2, axis=0), 3, axis=1)[::2, ::3],
)


def compare(scores, oracle):
    """Every number of the library's scores equals the oracle's."""
    for name in ("mAP", "mINP", "cmc", *PER_QUERY):
        np.testing.assert_allclose(getattr(scores, name), oracle[name], rtol=1e-12, err_msg=name)
    np.testing.assert_array_equal(scores.valid, oracle["valid"])
    assert scores.num_queries == len(oracle["valid"])
    assert scores.num_valid_queries == sum(oracle["valid"])


@st.composite
def retrieval_cases(draw):
    """Few identities, cameras and distances: ties, uneven junk, one-image and absent identities."""
    num_query, num_gallery = draw(st.integers(1, 8)), draw(st.integers(1, 12))

    def integers(size, low, high):
        return np.array(draw(st.lists(st.integers(low, high), min_size=size, max_size=size)))

    distances = integers(num_query * num_gallery, 0, draw(st.sampled_from([0, 3, 1000])))
    distances = distances.reshape(num_query, num_gallery) / 8
    distances[distances == 0] *= draw(st.sampled_from([1, -1]))
    distances[0, 0] *= -1  # one zero is unlike the others by its sign alone
    cameras = draw(st.booleans())
    num_cameras = draw(st.integers(1, 3))
    return {
        "distances": draw(st.sampled_from(LAYOUTS))(distances.astype(draw(st.sampled_from(["f2", "f4", "f8"])))),
        "query_pids": integers(num_query, 0, 3),
        "gallery_pids": integers(num_gallery, 0, 4),
        "query_camids": integers(num_query, 1, num_cameras) if cameras else None,
        "gallery_camids": integers(num_gallery, 1, num_cameras) if cameras else None,
        "ap": draw(st.sampled_from(AP)),
        "max_rank": draw(st.integers(1, 15)),
    }


def as_lists(case):
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in case.items()}


def quietly(function, *args, **kwargs):
    """Call where cases without a valid query may be drawn; the warning has its own test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return function(*args, **kwargs)


# -- retrieval ---------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(retrieval_cases(), st.sampled_from([0, 2, 48]))
def test_retrieval_equals_the_oracle(case, many_hits):
    with mock.patch.object(metrics, "MANY_HITS", many_hits):
        compare(quietly(evaluate_distances, **case), slow_retrieval.evaluate(**as_lists(case)))


@pytest.mark.parametrize("many_hits", [0, 1000])
def test_places_are_those_of_a_stable_sort(many_hits, monkeypatch):
    monkeypatch.setattr(metrics, "MANY_HITS", many_hits)
    row = np.random.default_rng(8).integers(0, 300, 1000).astype(np.float32)
    columns = np.arange(0, 1000, 7)
    expected = np.argsort(np.argsort(row, kind="stable"))[columns]
    np.testing.assert_array_equal(metrics.places(row, columns), expected)


@pytest.mark.parametrize("ap", AP)
@pytest.mark.parametrize("rows", [1, 5, 66])
def test_uneven_junk_66_by_54_in_any_chunks(ap, rows, monkeypatch):
    rng = np.random.default_rng(0)
    case = {
        "distances": rng.integers(0, 40, (66, 54)).astype(np.float32),
        "query_pids": rng.integers(0, 6, 66),
        "gallery_pids": rng.integers(0, 6, 54),
        "query_camids": rng.integers(0, 3, 66),
        "gallery_camids": rng.integers(0, 3, 54),
        "ap": ap,
        "max_rank": 20,
    }
    same_identity = case["query_pids"][:, None] == case["gallery_pids"]
    same_camera = case["query_camids"][:, None] == case["gallery_camids"]
    assert len(set((same_identity & same_camera).sum(axis=1))) > 3
    monkeypatch.setattr(metrics, "CHUNK_ELEMENTS", rows * 54)
    compare(evaluate_distances(**case), slow_retrieval.evaluate(**as_lists(case)))


def test_hits_at_ranks_1_2_4_7():
    pids = [1, 1, 0, 1, 0, 0, 1, 0]
    scores = evaluate_distances(np.arange(8)[None], [1], pids, max_rank=3)
    assert scores.mAP == pytest.approx((1 + 1 + 3 / 4 + 4 / 7) / 4)
    assert scores.mINP == pytest.approx(4 / 7)
    assert scores.cmc.tolist() == [1, 1, 1]
    trapezoid = evaluate_distances(np.arange(8)[None], [1], pids, ap="trapezoid")
    before_and_at = [(1, 1), (1, 1), (2 / 3, 3 / 4), (3 / 6, 4 / 7)]
    assert trapezoid.mAP == pytest.approx(sum(a + b for a, b in before_and_at) / 8)
    assert (scores.ap_convention, trapezoid.ap_convention) == AP


def test_junk_takes_no_rank_and_distractors_do():
    # Nearest first: junk (same identity and camera), a distractor, then the match.
    scores = evaluate_distances([[0.1, 0.2, 0.3]], [7], [7, 0, 7], [1], [1, 1, 2])
    assert scores.first_hit.tolist() == [2]
    assert scores.mAP == 1 / 2


def test_ties_are_in_gallery_order():
    pids = np.arange(100)
    scores = evaluate_distances(np.zeros((100, 100)), pids, pids)
    np.testing.assert_array_equal(scores.first_hit, np.arange(1, 101))


def test_cmc_carries_its_last_value_past_the_gallery():
    scores = evaluate_distances([[1, 0, 2]], [5], [5, 6, 6], max_rank=10)
    assert scores.cmc.tolist() == [0] + [1] * 9


def test_queries_without_a_match_count_but_are_left_out_of_the_means():
    scores = evaluate_distances([[0, 1], [0, 1]], [1, 9], [1, 2])
    assert (scores.num_queries, scores.num_valid_queries) == (2, 1)
    assert (scores.mAP, scores.mINP, scores.cmc[0]) == (1, 1, 1)
    assert scores.valid.tolist() == [True, False]
    for name in PER_QUERY:
        assert np.isnan(getattr(scores, name)).tolist() == [False, True]


@pytest.mark.parametrize(
    "evaluate",
    [
        lambda: evaluate_distances(np.ones((3, 2)), [1, 1, 2], [1, 2], [4, 4, 4], [4, 4]),
        lambda: evaluate_embeddings(np.ones((3, 2)), np.ones((2, 2)), [1, 1, 3], [8, 9]),
        lambda: expected_by_chance([1, 1, 2], [1, 2], [4, 4, 4], [4, 4]),
    ],
)
def test_no_valid_query_gives_counts_nan_and_one_warning_here(evaluate):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scores = evaluate()
    assert len(caught) == 1
    assert "none of the 3 queries has a match" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert (scores.num_queries, scores.num_valid_queries) == (3, 0)
    assert np.isnan([scores.mAP, scores.mINP, *scores.cmc, *scores.ap]).all()
    assert scores.cmc.shape == (50,)


def test_any_layout_and_dtype_gives_the_same_scores():
    rng = np.random.default_rng(1)
    distances = rng.integers(0, 100, (20, 30))
    labels = (rng.integers(0, 4, 20), rng.integers(0, 4, 30))
    expected = evaluate_distances(distances.tolist(), *labels)
    wide = np.zeros((40, 60))
    wide[::2, ::2] = distances
    variants = [wide[::2, ::2], np.asfortranarray(distances), distances[::-1][::-1]]
    variants += [distances.astype(t) for t in ("f2", "f4", "f8", "i1", "u2", "i8")]
    read_only = distances.astype(float)
    read_only.flags.writeable = False
    for variant in [*variants, read_only]:
        np.testing.assert_array_equal(evaluate_distances(variant, *labels).ap, expected.ap)


@settings(max_examples=60, deadline=None)
@given(retrieval_cases(), st.randoms(use_true_random=False))
def test_scores_do_not_depend_on_the_order_of_the_queries(case, random):
    order = list(range(len(case["query_pids"])))
    random.shuffle(order)
    moved = {**case, "distances": case["distances"][order], "query_pids": case["query_pids"][order]}
    if case["query_camids"] is not None:
        moved["query_camids"] = case["query_camids"][order]
    scores, moved = quietly(evaluate_distances, **case), quietly(evaluate_distances, **moved)
    np.testing.assert_array_equal(scores.ap[order], moved.ap)
    np.testing.assert_allclose(scores.mAP, moved.mAP, rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(retrieval_cases())
def test_trapezoid_is_never_above_step(case):
    step = quietly(evaluate_distances, **{**case, "ap": "step"})
    trapezoid = quietly(evaluate_distances, **{**case, "ap": "trapezoid"})
    assert (trapezoid.ap[step.valid] <= step.ap[step.valid]).all()


def test_scores_are_frozen():
    scores = evaluate_distances([[0]], [1], [1])
    with pytest.raises(dataclasses.FrozenInstanceError):
        scores.mAP = 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distances": np.ones((2, 2))}, r"shape \(2, 2\).*2 query_pids and 3 gallery_pids"),
        ({"distances": np.ones(3)}, r"distances has shape \(3,\).*must be a matrix"),
        ({"distances": np.full((2, 3), "x")}, "distances has .*real numbers"),
        ({"distances": [[0, 1, 2], [0, np.nan, 1]]}, "distances is nan at row 1, column 1"),
        ({"distances": [[0, 1, np.inf], [0, 1, 2]]}, "distances is inf at row 0, column 2"),
        ({"distances": np.ones((2, 0)), "gallery_pids": [], "gallery_camids": []}, "gallery.*empty"),
        ({"query_camids": None}, "query_camids is missing: give the cameras of both sides"),
        ({"gallery_camids": None}, "gallery_camids is missing"),
        ({"query_camids": [1]}, "query_pids has 2 entries and query_camids 1"),
        ({"gallery_camids": [1, 2]}, "gallery_pids has 3 entries and gallery_camids 2"),
        ({"query_pids": [[1], [2]]}, r"query_pids has shape \(2, 1\): it must have one axis"),
        ({"gallery_pids": ["1", "2", "3"]}, "query_pids has dtype int64 and gallery_pids <U1: give numbers on both"),
        ({"gallery_camids": ["a", "b", "c"]}, "query_camids has dtype int64 and gallery_camids <U1"),
        ({"gallery_pids": [1, 2, np.nan]}, "gallery_pids is nan at index 2"),
        (
            {"query_pids": np.array([1, "a"], object), "gallery_pids": np.array([1, 2, "a"], object)},
            "pids cannot be compared",
        ),
        ({"ap": "interpolated"}, "ap is 'interpolated': it must be one of 'step', 'trapezoid'"),
        ({"max_rank": 0}, "max_rank is 0: it must be an integer of at least 1"),
        ({"max_rank": 2.5}, "max_rank is 2.5"),
    ],
)
def test_errors_name_what_is_wrong_and_what_would_be_right(change, message):
    case = {
        "distances": np.ones((2, 3)),
        "query_pids": [1, 2],
        "gallery_pids": [1, 2, 3],
        "query_camids": [1, 1],
        "gallery_camids": [2, 2, 2],
    }
    evaluate_distances(**case)
    with pytest.raises(ValueError, match=message):
        evaluate_distances(**{**case, **change})


def test_an_error_in_a_later_chunk_names_the_row_of_the_whole_matrix(monkeypatch):
    monkeypatch.setattr(metrics, "CHUNK_ELEMENTS", 4)
    distances = np.ones((9, 2))
    distances[7, 1] = np.nan
    with pytest.raises(ValueError, match="nan at row 7, column 1"):
        evaluate_distances(distances, np.ones(9), np.ones(2))


def test_labels_of_any_kind():
    big = 2**63
    for query, gallery in (
        (["a", "b"], ["b", "c"]),
        (np.array(["a", "b"], object), np.array(["b", "c"])),
        (np.array([5, big + 1], np.uint64), np.array([big + 1, big], np.uint64)),
        (np.array([5, big - 1]), np.array([big - 1, big], np.uint64)),
    ):
        scores = evaluate_distances([[0, 1], [1, 0]], query, gallery)
        np.testing.assert_array_equal(scores.first_hit, [np.nan, 2])


# -- one gallery image of each identity --------------------------------------------------------


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


def test_single_shot_draws_each_image_equally_often():
    # Identity 1 at 0 and at 2, identity 2 at 1 and at 3, each drawn evenly: 1 is nearer with chance 3/4.
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


# -- embeddings --------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize(
    ("dtype", "answer"),
    [
        ("f8", "f8"),
        ("f4", "f4"),
        ("f2", "f4"),
        ("i8", "f8"),
        ("u1", "f4"),
    ],
)
def test_distances_equal_the_oracle(metric, dtype, answer):
    rng = np.random.default_rng(2)
    query, gallery = rng.integers(1, 9, (5, 6)), rng.integers(1, 9, (7, 6))
    expected = [[slow_retrieval.distance(a, b, metric) for b in gallery.tolist()] for a in query.tolist()]
    distances = pairwise_distances(query.astype(dtype), gallery.astype(dtype), metric)
    assert distances.dtype == answer
    precision = 10 * np.finfo(answer).eps
    np.testing.assert_allclose(distances, expected, rtol=precision, atol=precision)


def test_euclidean_distance_is_never_nan_for_equal_rows():
    rows = np.random.default_rng(3).normal(size=(50, 64)).astype(np.float32)
    squares = (rows**2).sum(axis=1)[:, None] + (rows**2).sum(axis=1) - 2 * rows @ rows.T
    assert squares.min() < 0  # the case is real: without clipping this root would be NaN
    assert pairwise_distances(rows, rows, "euclidean").min() >= 0


def test_cosine_is_right_for_tiny_and_huge_rows():
    query = np.array([[1e-30, 0], [1e30, 1e30]], np.float32)
    one = np.array([[1, 0]], np.float32)
    np.testing.assert_allclose(pairwise_distances(query, one), [[0], [1 - np.sqrt(0.5)]], atol=1e-6)
    np.testing.assert_allclose(pairwise_distances(one, query), [[0, 1 - np.sqrt(0.5)]], atol=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_embeddings_score_as_their_distances_in_any_chunks(metric, monkeypatch):
    rng = np.random.default_rng(4)
    query, gallery = rng.normal(size=(30, 8)), rng.normal(size=(40, 8))
    labels = [rng.integers(0, high, size) for high, size in ((5, 30), (5, 40), (2, 30), (2, 40))]
    options = {"ap": "trapezoid", "max_rank": 7}
    expected = evaluate_distances(pairwise_distances(query, gallery, metric), *labels, **options)
    monkeypatch.setattr(metrics, "BLOCK_BYTES", 7 * 40 * 8)
    monkeypatch.setattr(metrics, "CHUNK_ELEMENTS", 130)
    scores = evaluate_embeddings(query, gallery, *labels, metric=metric, **options)
    np.testing.assert_array_equal(scores.ap, expected.ap)
    np.testing.assert_array_equal(scores.cmc, expected.cmc)
    assert scores.mAP > 0


def test_embeddings_need_memory_for_a_chunk_only(monkeypatch):
    monkeypatch.setattr(metrics, "BLOCK_BYTES", 80_000)
    monkeypatch.setattr(metrics, "CHUNK_ELEMENTS", 10_000)
    rng = np.random.default_rng(5)
    query, gallery = rng.normal(size=(2000, 4)), rng.normal(size=(1000, 4))
    tracemalloc.start()
    evaluate_embeddings(query, gallery, np.arange(2000) % 50, np.arange(1000) % 50)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2000 * 1000  # bytes: an eighth of the full matrix of distances


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("block", [1, 3 * 90 * 4, 7 * 90 * 4, 2**29])
@pytest.mark.parametrize("chunk", [1, 5 * 64, 2**22])
def test_equal_embeddings_in_any_parts(metric, block, chunk, monkeypatch):
    # Three copies of each gallery row, far apart; the hit is the last of them, so its rank is settled among equals.
    rng = np.random.default_rng(9)
    labels = (np.arange(29), np.concatenate([np.full(60, -1), np.arange(30)]))
    gallery = np.tile(rng.integers(-4, 5, (30, 64)), (3, 1)).astype(np.float32)
    # Queries of norm 8: with them every product is exact, whatever the order of its sums, so that equals tie.
    query = rng.choice([-1, 1], (29, 64)).astype(np.float32)
    expected = evaluate_embeddings(query, gallery, *labels, metric=metric).first_hit
    assert (expected % 3 == 0).all()
    monkeypatch.setattr(metrics, "BLOCK_BYTES", block)
    monkeypatch.setattr(metrics, "CHUNK_ELEMENTS", chunk)
    np.testing.assert_array_equal(evaluate_embeddings(query, gallery, *labels, metric=metric).first_hit, expected)
    # With any numbers the ranking is still that of the matrix.
    query, gallery = query * rng.random(64, np.float32), gallery * rng.random(64, np.float32)
    scores = evaluate_embeddings(query, gallery, *labels, metric=metric)
    of_matrix = evaluate_distances(pairwise_distances(query, gallery, metric), *labels)
    np.testing.assert_array_equal(scores.first_hit, of_matrix.first_hit)


def test_spans_cover_all_in_even_parts():
    for total in range(30):
        for longest in range(1, 12):
            spans = list(metrics._spans(total, longest))
            assert [n for span in spans for n in range(total)[span]] == list(range(total))
            lengths = {span.stop - span.start for span in spans}
            assert not lengths or max(lengths) <= min(longest, min(lengths) + 1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["f2", "f4", "i4", "i8"])
def test_embeddings_of_any_layout_and_dtype_may_be_mapped(layout, dtype, tmp_path):
    rng = np.random.default_rng(10)
    query, gallery = (rng.integers(1, 50, (size, 16)).astype(dtype) for size in (20, 30))
    labels = (np.arange(20) % 4, np.arange(30) % 5)
    np.save(tmp_path / "gallery.npy", layout(gallery))
    mapped = np.load(tmp_path / "gallery.npy", mmap_mode="r")
    expected = evaluate_embeddings(query, gallery, *labels)
    for variant in (layout(gallery), mapped):
        np.testing.assert_array_equal(evaluate_embeddings(layout(query), variant, *labels).ap, expected.ap)


def test_progress_counts_the_queries(capsys):
    evaluate_embeddings(np.ones((5, 2)), np.ones((3, 2)), np.ones(5), np.ones(3), progress=True)
    assert "5/5" in capsys.readouterr().err
    evaluate_embeddings(np.ones((5, 2)), np.ones((3, 2)), np.ones(5), np.ones(3))
    assert capsys.readouterr().err == ""


def test_embedding_distances_take_the_place_of_a_matrix():
    rng = np.random.default_rng(11)
    query, gallery = rng.normal(size=(6, 4)), rng.normal(size=(9, 4))
    labels = (np.arange(6) % 3, np.arange(9) % 3)
    lazy = EmbeddingDistances(query, gallery, "euclidean")
    assert (lazy.shape, lazy.dtype) == ((6, 9), np.float64)
    expected = evaluate_distances(pairwise_distances(query, gallery, "euclidean"), *labels)
    np.testing.assert_array_equal(evaluate_distances(lazy, *labels).ap, expected.ap)
    with pytest.raises(ValueError, match=r"distances has shape \(6, 9\).*5 query_pids"):
        evaluate_distances(lazy, labels[0][:5], labels[1])


@pytest.mark.parametrize(
    ("query", "gallery", "metric", "message"),
    [
        (np.ones((2, 3)), [[1, 1, 1], [0, 0, 0]], "cosine", "gallery embedding at row 1 is all zeros"),
        ([[1, 1, 1], [0, 0, 0]], np.ones((2, 3)), "cosine", "query embedding at row 1 is all zeros"),
        (np.float32([[1, 1], [1e-35, 0]]), np.ones((2, 2), "f4"), "cosine", "row 1 has entries of up to 1e-35, out of"),
        (np.ones((2, 2)), [[1, 1], [1e303, 0]], "cosine", "gallery embedding at row 1 has entries of up to 1e.303"),
        (np.float32([[1, 1], [2e19, 0]]), np.ones((2, 2), "f4"), "euclidean", "query embedding at row 1 has .* 2e.19"),
        (np.ones((2, 3)), np.ones((2, 4)), "cosine", "query has 3 columns and gallery 4"),
        ([[1, np.nan], [1, 1]], np.ones((2, 2)), "cosine", "query is nan at row 0, column 1"),
        (np.ones((2, 2)), [[1, 1], [-np.inf, 1]], "euclidean", "gallery is -inf at row 1, column 0"),
        (np.ones((2, 2)), np.ones((2, 2)), "manhattan", "must be one of 'cosine', 'euclidean'"),
        (5, np.ones((2, 2)), "cosine", r"query has shape \(\) and dtype int64: it must be a matrix"),
        (np.ones((3, 2)), np.ones((2, 2)), "cosine", "query has 3 embeddings but query_pids has 2"),
        (np.ones((2, 2)), np.ones((3, 2)), "cosine", "gallery has 3 embeddings but gallery_pids has 2"),
    ],
)
def test_embedding_errors(query, gallery, metric, message):
    with pytest.raises(ValueError, match=message):
        evaluate_embeddings(query, gallery, [1, 2], [1, 2], metric=metric)


def test_zero_embeddings_have_a_euclidean_distance():
    assert pairwise_distances([[0, 0]], [[3, 4]], "euclidean").tolist() == [[5]]


# -- chance ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ap", AP)
@pytest.mark.parametrize(("num_ranked", "num_hits"), [(n, r) for n in range(1, 8) for r in range(1, n + 1)])
def test_chance_equals_the_mean_over_every_order(num_ranked, num_hits, ap):
    gallery_pids = [1] * num_hits + [0] * (num_ranked - num_hits)
    scores = expected_by_chance([1], gallery_pids, ap=ap, max_rank=9)
    expected = slow_retrieval.chance(num_ranked, num_hits, ap, 9)
    found = (scores.mAP, scores.mINP, scores.first_hit[0], scores.cmc)
    for value, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, right, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("ap", AP)
def test_chance_equals_the_mean_of_random_rankings(ap):
    rng = np.random.default_rng(6)
    labels = [rng.integers(0, high, size) for high, size in ((5, 25), (4, 40), (3, 25), (3, 40))]
    # Up to rank 10: at later ones a miss is too rare to be drawn (exhaustion, above, has them).
    options = {"ap": ap, "max_rank": 10}
    runs = [evaluate_distances(rng.random((25, 40)), *labels, **options) for _ in range(2000)]
    chance = expected_by_chance(*labels, **options)
    assert (chance.num_queries, chance.num_valid_queries) == (25, runs[0].num_valid_queries)
    assert chance.num_valid_queries < 25
    np.testing.assert_array_equal(chance.valid, runs[0].valid)
    for name in ("mAP", "mINP", "cmc", "ap", "inp", "first_hit"):
        drawn = np.array([getattr(run, name) for run in runs])
        margin = 5 * drawn.std(axis=0) / np.sqrt(len(runs))
        difference = np.abs(drawn.mean(axis=0) - getattr(chance, name))
        assert np.all((difference <= margin) | np.isnan(difference)), name


def test_chance_is_finite_in_a_gallery_of_full_size():
    pids = np.repeat(np.arange(100), 300)
    scores = expected_by_chance([1, 2], pids)
    assert 300 / 30_000 < scores.mAP < 0.02
    assert 300 / 30_000 < scores.mINP < 0.0101
    assert scores.cmc[0] == pytest.approx(0.01)


def test_chance_checks_its_arguments():
    with pytest.raises(ValueError, match="ap is 'x'"):
        expected_by_chance([1], [1], ap="x")
    with pytest.raises(ValueError, match="max_rank is 0"):
        expected_by_chance([1], [1], max_rank=0)


# -- classification ----------------------------------------------------------------------------


@st.composite
def classification_cases(draw):
    num_images, num_classes = draw(st.integers(1, 10)), draw(st.integers(1, 6))
    levels = draw(st.sampled_from([0, 2, 1000]))
    size = num_images * num_classes
    scores = draw(st.lists(st.integers(0, levels), min_size=size, max_size=size))
    labels = draw(st.lists(st.integers(0, num_classes - 1), min_size=num_images, max_size=num_images))
    return np.reshape(scores, (num_images, num_classes)) / 8, labels, draw(st.integers(1, 8))


@settings(max_examples=200, deadline=None)
@given(classification_cases())
def test_classification_equals_the_oracle(case):
    scores, labels, max_rank = case
    found = evaluate_classification(scores, labels, max_rank=max_rank)
    for name, right in slow_classification.evaluate(scores.tolist(), labels, max_rank).items():
        np.testing.assert_allclose(getattr(found, name), right, rtol=1e-12, err_msg=name)
    assert (found.num_images, found.num_classes) == scores.shape
    assert found.macro_accuracy == found.mRA


def test_classification_by_hand():
    # Identity 0: three images, two right; identity 2: one image, its class third.
    scores = [[9, 1, 0], [9, 1, 0], [1, 9, 0], [9, 1, 0]]
    found = evaluate_classification(scores, [0, 0, 0, 2], max_rank=4)
    assert found.rank.tolist() == [1, 1, 2, 3]
    assert found.mRA == pytest.approx((2 / 3 + 0) / 2)
    assert found.micro_accuracy == 2 / 4
    assert found.mAP == pytest.approx((1 + 1 + 1 / 2 + 1 / 3) / 4)
    assert found.cmc.tolist() == [0.5, 0.75, 1, 1]
    assert (found.num_images, found.num_identities, found.num_classes) == (4, 2, 3)


def test_classification_by_chance_equals_random_scores():
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 6, 30)
    runs = [evaluate_classification(rng.random((30, 6)), labels, max_rank=8) for _ in range(2000)]
    chance = expected_classification_by_chance(labels, 6, max_rank=8)
    for name in ("mRA", "micro_accuracy", "mAP", "cmc", "rank"):
        drawn = np.array([getattr(run, name) for run in runs])
        margin = 5 * drawn.std(axis=0) / np.sqrt(len(runs)) + 1e-12
        assert np.all(np.abs(drawn.mean(axis=0) - getattr(chance, name)) <= margin), name
    assert (chance.num_images, chance.num_identities, chance.num_classes) == (30, 6, 6)


@pytest.mark.parametrize(
    ("scores", "labels", "max_rank", "message"),
    [
        ([[0.5, np.nan]], [0], 5, "scores is nan at row 0, column 1"),
        ([[0.5, np.inf]], [0], 5, "scores is inf"),
        ([0.5, 0.5], [0], 5, r"scores has shape \(2,\)"),
        ([[1, 2], [1, 2]], [0], 5, "labels has 1 entries but scores has 2 rows"),
        ([[1, 2], [1, 2]], [0, 2], 5, r"label 2 at row 1 is none of the 2 classes.*0 \.\. 1"),
        ([[1, 2], [1, 2]], [-1, 0], 5, "label -1 at row 0"),
        ([[1, 2], [1, 2]], [0.0, 1.0], 5, "dtype float64: give one integer"),
        (np.ones((0, 2)), np.ones(0, int), 5, "at least one image"),
        ([[1, 2]], [0], 0, "max_rank is 0"),
    ],
)
def test_classification_errors(scores, labels, max_rank, message):
    with pytest.raises(ValueError, match=message):
        evaluate_classification(scores, labels, max_rank=max_rank)


def test_importing_metrics_imports_neither_keras_nor_tensorflow():
    code = "import sys, gaaplib.metrics; print({'keras', 'tensorflow'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
