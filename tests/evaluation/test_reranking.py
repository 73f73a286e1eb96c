"""Re-ranking compared with its oracle and with hand-computed values, and its errors."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaaplib import metrics
from gaaplib.distances import pairwise_distances
from gaaplib.evaluation import reranking
from gaaplib.evaluation.reranking import expand_queries, rerank, rerank_rows
from tests.oracles import reranking as slow


def clustered(seed, queries=20, gallery=60, identities=8, dim=6, spread=0.9):
    """Queries and gallery in overlapping clusters, and their identities."""
    rng = np.random.default_rng(seed)
    pids = rng.integers(identities, size=queries + gallery)
    images = rng.normal(size=(identities, dim))[pids] + spread * rng.normal(size=(len(pids), dim))
    return images[:queries], images[queries:], pids[:queries], pids[queries:]


@st.composite
def cases(draw):
    """Either few small integers, so that distances are exact and many are equal, or random numbers."""
    queries, gallery, dim = draw(st.integers(1, 5)), draw(st.integers(1, 14)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = (queries + gallery, dim)
    images = rng.integers(0, 4, size=size) if draw(st.booleans()) else rng.normal(size=size)
    parameters = {
        "k1": draw(st.integers(1, 12)),
        "k2": draw(st.integers(1, 15)),
        "lambda_value": draw(st.sampled_from([0, 0.3, 1])),
    }
    return images[:queries], images[queries:], parameters


@settings(max_examples=200, deadline=None)
@given(cases(), st.sampled_from([1, 9, 30, reranking.CHUNK_ELEMENTS]))
def test_equals_the_oracle(case, entries_of_a_tile):
    query, gallery, parameters = case
    with mock.patch.object(reranking, "CHUNK_ELEMENTS", entries_of_a_tile):
        found = rerank(query, gallery, **parameters)
        rows = list(rerank_rows(query, gallery, **parameters))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slow.rerank(query, gallery, **parameters), atol=1e-5)
    np.testing.assert_allclose(np.concatenate([part for _, part in rows]), found, atol=1e-5)


@pytest.mark.parametrize("k1", [5, 20])
def test_equals_the_oracle_if_sets_are_expanded(k1, monkeypatch):
    query, gallery, _, _ = clustered(0)
    expected = slow.rerank(query, gallery, k1, 6, 0.3)
    monkeypatch.setattr(reranking, "CHUNK_ELEMENTS", 1000)
    np.testing.assert_allclose(rerank(query, gallery, k1=k1), expected, atol=1e-5)
    single = rerank(query.astype(np.float32), gallery.astype(np.float32), k1=k1)
    np.testing.assert_allclose(single, expected, atol=1e-5)


@pytest.mark.parametrize("tile", [20, 2048])
@pytest.mark.parametrize("k1", [1, 3])
def test_equals_the_oracle_with_many_ties(k1, tile, monkeypatch):
    monkeypatch.setattr(reranking, "CHUNK_ELEMENTS", tile**2)
    rng = np.random.default_rng(k1)
    query, gallery = rng.integers(0, 12, size=(4, 2)), rng.integers(0, 12, size=(173, 2))
    found = rerank(query, gallery, k1=k1, k2=2)
    np.testing.assert_allclose(found, slow.rerank(query, gallery, k1, 2, 0.3), atol=1e-5)


def test_three_images_by_hand():
    # Images at 0, 1 and 3. With k1 = k2 = 1 only the first two are reciprocal neighbours: V(0) = (1, w, 0) / (1 + w)
    # with w = exp(-1/9), V(1) = (v, 1, 0) / (1 + v) with v = exp(-1/4), V(2) = (0, 0, 1).
    w, v = np.exp(-1 / 9), np.exp(-1 / 4)
    shared = min(1 / (1 + w), v / (1 + v)) + min(w / (1 + w), 1 / (1 + v))
    expected = [0.7 * (1 - shared / (2 - shared)) + 0.3 / 9, 1]
    np.testing.assert_allclose(rerank([[0]], [[1], [3]], k1=1, k2=1)[0], expected, atol=1e-6)


def test_cosine_is_euclidean_between_unit_lengths():
    query, gallery, _, _ = clustered(1)
    query, gallery = query * np.exp(query[:, :1]), gallery * np.exp(gallery[:, :1])
    scaled = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (query, gallery)]
    found = rerank(query, gallery, metric="cosine")
    np.testing.assert_allclose(found, rerank(*scaled), atol=1e-6)
    assert np.abs(found - rerank(query, gallery)).max() > 0.01


def test_a_metric_function_accepts_embeddings_of_more_axes():
    query, gallery, _, _ = clustered(2)

    def by_parts(a, b):
        return np.abs(a[:, np.newaxis] - b).sum(axis=(2, 3))

    def squared(a, b):
        return np.abs(a - b).sum() ** 2

    query, gallery = query.reshape(-1, 2, 3), gallery.reshape(-1, 2, 3)
    expected = slow.rerank(query, gallery, 8, 3, 0.3, squared)
    np.testing.assert_allclose(rerank(query, gallery, k1=8, k2=3, metric=by_parts), expected, atol=1e-5)


def test_rows_come_in_parts_that_can_be_scored_alone(monkeypatch):
    query, gallery, query_pids, gallery_pids = clustered(3)
    whole = metrics.evaluate_distances(rerank(query, gallery), query_pids, gallery_pids)
    monkeypatch.setattr(reranking, "CHUNK_ELEMENTS", 7 * 80)
    parts = list(rerank_rows(query, gallery))
    assert [rows.stop - rows.start for rows, _ in parts] == [6, 7, 7]
    ap = [metrics.evaluate_distances(part, query_pids[rows], gallery_pids).ap for rows, part in parts]
    np.testing.assert_array_equal(np.concatenate(ap), whole.ap)


def test_re_ranking_helps_if_clusters_overlap():
    query, gallery, query_pids, gallery_pids = clustered(4, queries=60, gallery=240)
    plain = metrics.evaluate_embeddings(query, gallery, query_pids, gallery_pids, metric="euclidean")
    better = metrics.evaluate_distances(rerank(query, gallery), query_pids, gallery_pids)
    assert better.mAP > plain.mAP + 0.02


def test_a_share_of_one_is_the_original_order():
    query, gallery, _, _ = clustered(5)
    original = pairwise_distances(query, gallery, "euclidean")
    found = rerank(query, gallery, lambda_value=1)
    np.testing.assert_array_equal(np.argsort(found, axis=1), np.argsort(original, axis=1))


def test_equal_images_have_finite_distances():
    # Each image's nearest are itself and the first other one, so some neighbours are not reciprocal. Nothing is NaN.
    found = rerank(np.ones((2, 3)), np.ones((4, 3)), k1=1, k2=1)
    np.testing.assert_allclose(found, slow.rerank(np.ones((2, 3)), np.ones((4, 3)), 1, 1, 0.3), atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12), st.sampled_from([0.0, 1.0, 3.0]))
def test_query_expansion_equals_the_oracle(seed, k, alpha):
    rng = np.random.default_rng(seed)
    query, gallery = rng.normal(size=(3, 4)), rng.normal(size=(9, 4))
    np.testing.assert_allclose(
        expand_queries(query, gallery, k=k, alpha=alpha), slow.expand_queries(query, gallery, k, alpha)
    )


def test_query_expansion_breaks_ties_by_gallery_order():
    found = expand_queries([[1, 1]], [[0, 2], [5, 0]], k=1)
    root = np.sqrt(0.5)
    np.testing.assert_allclose(found, [[root / 2, (root + 1) / 2]], rtol=1e-6)


IMAGES = np.eye(3)


@pytest.mark.parametrize(
    ("query", "gallery", "options", "message"),
    [
        (IMAGES, IMAGES[:, :2], {}, "query has 3 columns and gallery 2"),
        (IMAGES, IMAGES[:0], {}, r"gallery has shape \(0, 3\)"),
        (IMAGES[0], IMAGES, {}, r"query has shape \(3,\)"),
        (IMAGES, IMAGES * [[1], [np.nan], [1]], {}, "gallery is nan at row 1"),
        (IMAGES, IMAGES * [[1], [1], [0]], {"metric": "cosine"}, "gallery embedding at row 2 is all zeros"),
        (
            np.float32([[1e30]]),
            np.float32([[0]]),
            {},
            "the squared length of an embedding .* in float32 is inf at row 0",
        ),
        (IMAGES, IMAGES, {"metric": "l2"}, "metric is 'l2': it must be one of 'euclidean', 'cosine', or a function"),
        (IMAGES, IMAGES, {"metric": lambda a, b: np.ones(3)}, r"metric returned shape \(3,\)"),
        (
            IMAGES,
            IMAGES,
            {"metric": lambda a, b: np.full((len(a), len(b)), np.nan)},
            "greatest squared .* is nan at row 0",
        ),
        (IMAGES, IMAGES[:0], {"metric": lambda a, b: np.ones((len(a), len(b)))}, "3 queries and 0 gallery images"),
        (IMAGES, IMAGES, {"k1": 0}, "k1 is 0"),
        (IMAGES, IMAGES, {"k2": 1.5}, "k2 is 1.5"),
        (IMAGES, IMAGES, {"lambda_value": 30}, "lambda_value is 30: it must be from 0 to 1"),
    ],
)
def test_errors(query, gallery, options, message):
    with pytest.raises(ValueError, match=message):
        rerank(query, gallery, **options)


def test_rerank_rows_checks_its_arguments_at_the_call():
    with pytest.raises(ValueError, match="k1 is 0"):
        rerank_rows(IMAGES, IMAGES, k1=0)


@pytest.mark.parametrize(("options", "message"), [({"k": 0}, "k is 0"), ({"alpha": -1}, "alpha is -1")])
def test_errors_of_query_expansion(options, message):
    with pytest.raises(ValueError, match=message):
        expand_queries(IMAGES, IMAGES, **options)
