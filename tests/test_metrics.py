"""Metrics compared with their oracles, with hand-computed values, with all orders and with simulations."""

import dataclasses
import re
import subprocess
import sys
import tracemalloc
import warnings
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retrieval_cases import AP, LAYOUTS, as_lists, quietly, retrieval_cases

from gaaplib import distances, metrics
from gaaplib.distances import pairwise_distances
from gaaplib.metrics import (
    evaluate_classification,
    evaluate_distances,
    evaluate_embeddings,
    expected_by_chance,
    expected_classification_by_chance,
)
from tests.oracles import classification as slow_classification
from tests.oracles import retrieval as slow_retrieval

PER_QUERY = ("ap", "inp", "first_hit")


def compare(scores, oracle):
    """Assert that every score of the library equals the oracle's."""
    for name in ("mAP", "mINP", "cmc", *PER_QUERY):
        np.testing.assert_allclose(getattr(scores, name), oracle[name], rtol=1e-12, err_msg=name)
    np.testing.assert_array_equal(scores.valid, oracle["valid"])
    assert scores.num_queries == len(oracle["valid"])
    assert scores.num_valid_queries == sum(oracle["valid"])


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


@pytest.mark.parametrize("length", [1, 7, 8, 2039, 2040, 2041, 4081])
def test_places_of_rows_of_any_length(length):
    # All entries but the greatest come before it: a byte that counted beyond 255 would start again.
    assert metrics.places(np.arange(length, dtype=np.float32), np.array([length - 1])).tolist() == [length - 1]
    assert metrics.places(np.zeros(length, np.float32), np.array([length - 1])).tolist() == [length - 1]


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


def test_cmc_repeats_its_last_value_beyond_the_gallery():
    scores = evaluate_distances([[1, 0, 2]], [5], [5, 6, 6], max_rank=10)
    assert scores.cmc.tolist() == [0] + [1] * 9


@pytest.mark.parametrize("cameras", [None, np.arange(24) % 3])
def test_an_image_never_finds_itself(cameras):
    rng = np.random.default_rng(13)
    embeddings, pids = rng.normal(size=(24, 4)), rng.integers(0, 4, 24)
    itself = np.array([3, 9, -1, 0, 23, 12])
    queries = np.where(itself < 0, 5, itself)
    labels = (pids[queries], pids, *(() if cameras is None else (cameras[queries - 1], cameras)))
    found = evaluate_distances(pairwise_distances(embeddings[queries], embeddings), *labels, itself=itself)
    chance = expected_by_chance(*labels, itself=itself)
    for row, own in enumerate(itself):
        others = np.delete(np.arange(24), own) if own >= 0 else np.arange(24)
        alone = [values[row : row + 1] if side % 2 == 0 else values[others] for side, values in enumerate(labels)]
        right = evaluate_distances(pairwise_distances(embeddings[queries[[row]]], embeddings[others]), *alone)
        for name in PER_QUERY:
            assert getattr(found, name)[row] == pytest.approx(getattr(right, name)[0])
            assert getattr(chance, name)[row] == pytest.approx(getattr(expected_by_chance(*alone), name)[0])
    scores = evaluate_embeddings(embeddings[queries], embeddings, *labels, itself=itself)
    np.testing.assert_array_equal(scores.ap, found.ap)
    assert not np.array_equal(found.ap, evaluate_embeddings(embeddings[queries], embeddings, *labels).ap)


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


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (
            lambda: evaluate_distances([[0, 1]] * 2, [1, 1], [1, 2]),
            {"mAP", "mINP", "cmc", "num_queries", "num_valid_queries", "ap_convention"},
        ),
        (
            lambda: evaluate_classification([[1, 2]] * 2, [0, 1]),
            {"mRA", "micro_accuracy", "mAP", "cmc", "num_images", "num_identities", "num_classes"},
        ),
    ],
)
def test_scores_are_frozen_equal_to_nothing_else_and_print_nothing_per_query(make, shown):
    scores = make()
    with pytest.raises(dataclasses.FrozenInstanceError):
        scores.mAP = 1.0
    assert scores != make()
    assert set(re.findall(r"(\w+)=", repr(scores))) == shown


def test_the_options_not_given():
    distances, pids = np.random.default_rng(12).random((9, 60)), (np.arange(9) % 3, np.arange(60) % 3)
    found, expected = (evaluate_distances(distances, *pids, **given) for given in ({}, {"ap": "step", "max_rank": 50}))
    assert (found.mAP, found.cmc.tolist()) == (expected.mAP, expected.cmc.tolist())
    assert evaluate_embeddings(distances.T, distances.T, pids[1], pids[1]).cmc.shape == (50,)
    assert expected_by_chance(*pids).cmc.shape == (50,)
    assert evaluate_classification(distances, pids[0]).cmc.shape == (50,)
    assert expected_classification_by_chance(pids[0], 60).cmc.shape == (50,)


@pytest.mark.parametrize(
    ("function", "given", "option"),
    [
        (evaluate_distances, ([[0]], [1], [1], None, None), "step"),
        (evaluate_embeddings, ([[1]], [[1]], [1], [1], None, None), "cosine"),
        (expected_by_chance, ([1], [1], None, None), "step"),
        (evaluate_classification, ([[1]], [0]), 50),
        (expected_classification_by_chance, ([0], 1), 50),
    ],
)
def test_options_are_given_by_name(function, given, option):
    function(*given)
    with pytest.raises(TypeError, match="positional"):
        function(*given, option)


@pytest.mark.parametrize("ap", AP)
def test_scoring_and_chance_warn_of_nothing(ap):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert evaluate_distances([[0, 1]], [1], [1, 2], ap=ap).mAP == 1
        assert expected_by_chance([1, 2], [1, 2], ap=ap).num_valid_queries == 2


@pytest.mark.parametrize(("elements", "lengths"), [(1, [1, 1, 1, 1, 1]), (6, [3, 2]), (100, [5])])
def test_chunks_have_as_many_rows_as_fit(elements, lengths, monkeypatch):
    monkeypatch.setattr(metrics, "CHUNK_ELEMENTS", elements)
    identities = metrics.Identities(np.ones(5), np.ones(2))
    found = list(metrics.chunks(np.ones((5, 2)), identities))
    assert [len(chunk) for _, chunk in found] == lengths
    assert [first for first, _ in found] == np.cumsum([0, *lengths[:-1]]).tolist()


def test_half_precision_is_ranked_in_single():
    identities = metrics.Identities([1], [1, 2])
    dtypes = {
        name: next(metrics.chunks(np.ones((1, 2), name), identities))[1].dtype for name in ("f2", "f4", "f8", "i2")
    }
    assert dtypes == {"f2": "f4", "f4": "f4", "f8": "f8", "i2": "i2"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distances": np.ones((2, 2))}, r"shape \(2, 2\).*2 query_pids and 3 gallery_pids"),
        ({"distances": np.ones((3, 3))}, r"shape \(3, 3\).*must be a matrix of shape \(2, 3\)"),
        ({"distances": np.ones(3)}, r"distances has shape \(3,\).*must be a matrix"),
        ({"distances": np.full((2, 3), "x")}, "distances has .*real numbers"),
        ({"distances": [[0, 1, 2], [0, np.nan, 1]]}, "distances is nan at row 1, column 1"),
        ({"distances": [[0, 1, np.inf], [0, 1, 2]]}, "distances is inf at row 0, column 2"),
        ({"distances": np.ones((2, 0)), "gallery_pids": [], "gallery_camids": []}, "gallery.*empty"),
        ({"query_camids": None}, "query_camids is missing: give the cameras of both sides"),
        ({"gallery_camids": None}, "gallery_camids is missing"),
        ({"query_camids": [1]}, "query_pids has 2 entries and query_camids 1"),
        ({"query_camids": [1, 1, 1]}, "query_pids has 2 entries and query_camids 3"),
        ({"gallery_camids": [1, 2]}, "gallery_pids has 3 entries and gallery_camids 2"),
        ({"gallery_camids": [1, 2, 2, 2]}, "gallery_pids has 3 entries and gallery_camids 4"),
        ({"query_pids": [[1], [2]]}, r"query_pids has shape \(2, 1\): it must have one axis"),
        ({"query_pids": 1}, r"query_pids has shape \(\): it must have one axis"),
        ({"gallery_pids": ["1", "2", "3"]}, "query_pids has dtype int64 and gallery_pids <U1: give numbers for both"),
        ({"query_pids": ["1", "2"]}, "query_pids has dtype <U1 and gallery_pids int64: give numbers for both"),
        ({"gallery_camids": ["a", "b", "c"]}, "query_camids has dtype int64 and gallery_camids <U1"),
        ({"gallery_pids": [1, np.nan, np.nan]}, "gallery_pids is nan at index 1"),
        (
            {"query_pids": np.array([1, "a"], object), "gallery_pids": np.array([1, 2, "a"], object)},
            "pids cannot be compared",
        ),
        ({"itself": [0]}, r"itself has shape \(1,\) and dtype int64: give one integer for each of the 2 queries"),
        ({"itself": [0, 1, 2]}, r"itself has shape \(3,\)"),
        ({"itself": [0.0, 1.0]}, "itself has .* dtype float64"),
        ({"itself": [0, 3]}, "itself is 3 for query 1: the gallery has the indices 0 to 2"),
        ({"itself": [4, 5]}, "itself is 4 for query 0"),
        ({"itself": [-2, -1]}, "itself is -2 for query 0"),
        ({"itself": [0, 0]}, "itself says that query 1 is gallery image 0"),
        ({"itself": [2, 0]}, "itself says that query 0 is gallery image 2, but their pids differ"),
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


# -- embeddings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("num_queries", "num_gallery", "message"),
    [
        (3, 4, "query has 3 embeddings but query_pids has 2"),
        (1, 4, "query has 1 embeddings but query_pids has 2"),
        (2, 3, "gallery has 3 embeddings but gallery_pids has 4"),
        (2, 5, "gallery has 5 embeddings but gallery_pids has 4"),
    ],
)
def test_one_embedding_per_identity(num_queries, num_gallery, message):
    with pytest.raises(ValueError, match=message):
        evaluate_embeddings(np.ones((num_queries, 3)), np.ones((num_gallery, 3)), [1, 2], [1, 2, 3, 4])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_embeddings_score_as_their_distances_in_any_chunks(metric, monkeypatch):
    rng = np.random.default_rng(4)
    query, gallery = rng.normal(size=(30, 8)), rng.normal(size=(40, 8))
    labels = [rng.integers(0, high, size) for high, size in ((5, 30), (5, 40), (2, 30), (2, 40))]
    options = {"ap": "trapezoid", "max_rank": 7}
    expected = evaluate_distances(pairwise_distances(query, gallery, metric), *labels, **options)
    monkeypatch.setattr(distances, "BLOCK_BYTES", 7 * 40 * 8)
    for module in (distances, metrics):
        monkeypatch.setattr(module, "CHUNK_ELEMENTS", 130)
    scores = evaluate_embeddings(query, gallery, *labels, metric=metric, **options)
    np.testing.assert_array_equal(scores.ap, expected.ap)
    np.testing.assert_array_equal(scores.cmc, expected.cmc)
    assert scores.mAP > 0


def test_embeddings_need_memory_for_a_chunk_only(monkeypatch):
    monkeypatch.setattr(distances, "BLOCK_BYTES", 80_000)
    for module in (distances, metrics):
        monkeypatch.setattr(module, "CHUNK_ELEMENTS", 10_000)
    rng = np.random.default_rng(5)
    query, gallery = rng.normal(size=(2000, 4)), rng.normal(size=(1000, 4))
    tracemalloc.start()
    evaluate_embeddings(query, gallery, np.arange(2000) % 50, np.arange(1000) % 50)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2000 * 1000  # bytes: an eighth of the full matrix of distances


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
    # Up to rank 10: at higher ranks a miss is too rare for sampling; the test of all orders above covers them.
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
        ([[1, 2]], [0, 1], 5, "labels has 2 entries but scores has 1 rows"),
        ([[1, 2]], [[0]], 5, r"labels has shape \(1, 1\)"),
        ([[1, 2]], 0, 5, r"labels has shape \(\)"),
        ([[1, 2], [1, 2]], [3, 2], 5, "label 3 at row 0"),
        ([[1, 2], [1, 2]], [0, 2], 5, r"label 2 at row 1 is not one of the 2 classes.*0 \.\. 1"),
        ([[1, 2], [1, 2]], [-1, 0], 5, "label -1 at row 0"),
        ([[1, 2], [1, 2]], [0.0, 1.0], 5, "dtype float64: give one integer"),
        (np.ones((0, 2)), np.ones(0, int), 5, "one integer for each image, at least one"),
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


def test_a_query_that_is_a_gallery_image_does_not_find_itself():
    rng = np.random.default_rng(3)
    pids, images = np.repeat(np.arange(5), 3), rng.normal(size=(15, 4))
    query, itself = images[[2, 7, 11]], np.array([2, -1, 11])
    found = evaluate_embeddings(query, images, pids[[2, 7, 11]], pids, itself=itself)
    for row, place in enumerate(itself):
        rest = np.arange(15) != place
        alone = evaluate_embeddings(query[[row]], images[rest], pids[[2, 7, 11]][[row]], pids[rest])
        chance = expected_by_chance(pids[[2, 7, 11]][[row]], pids[rest])
        assert (found.ap[row], found.first_hit[row]) == (alone.ap[0], alone.first_hit[0])
        assert expected_by_chance(pids[[2, 7, 11]], pids, itself=itself).ap[row] == pytest.approx(chance.ap[0])
    assert found.first_hit[1] == 1


def test_labels_that_float_numbers_cannot_tell_apart_are_apart():
    large = [2**53 + 1, 2**53 + 3]
    for query in (np.array([2.0**53]), np.array([2**53 + 2], "uint64"), np.array([2**53])):
        with pytest.warns(UserWarning, match="match"):
            assert evaluate_distances([[0.0, 1.0]], query, large).num_valid_queries == 0
    assert evaluate_distances([[0.0, 1.0]], [7.0], [8, 7]).mAP == 0.5


def test_a_query_alone_with_itself_has_no_match():
    scores = evaluate_distances([[0.0, 0.5], [0.5, 0.1]], [7, 8], [7, 8], itself=[0, -1])
    assert scores.valid.tolist() == [False, True]


@pytest.mark.parametrize(
    ("itself", "message"),
    [
        ([0], r"itself has shape \(1,\) and dtype int64: give one integer for each of the 2 queries"),
        ([0.0, 1.0], "dtype float64: give one integer"),
        ([0, 2], "itself is 2 for query 1: the gallery has the indices 0 to 1"),
        ([-2, 1], "itself is -2 for query 0"),
        ([1, -1], "itself says that query 0 is gallery image 1, but their pids differ"),
    ],
)
def test_errors_of_itself(itself, message):
    with pytest.raises(ValueError, match=message):
        evaluate_distances(np.zeros((2, 2)), [7, 8], [7, 8], itself=itself)
