"""Distances compared with their oracle, in blocks of any size."""

import numpy as np
import pytest

from gaaplib import distances, metrics
from gaaplib.distances import EmbeddingDistances, pairwise_distances
from gaaplib.metrics import evaluate_distances, evaluate_embeddings
from tests.oracles import retrieval as slow_retrieval


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
    assert squares.min() < 0  # without clipping, this root would be NaN
    assert pairwise_distances(rows, rows, "euclidean").min() >= 0


def test_cosine_is_right_for_tiny_and_huge_rows():
    query = np.array([[1e-30, 0], [1e30, 1e30]], np.float32)
    one = np.array([[1, 0]], np.float32)
    np.testing.assert_allclose(pairwise_distances(query, one), [[0], [1 - np.sqrt(0.5)]], atol=1e-6)
    np.testing.assert_allclose(pairwise_distances(one, query), [[0, 1 - np.sqrt(0.5)]], atol=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("block", [1, 3 * 90 * 4, 7 * 90 * 4, 2**29])
@pytest.mark.parametrize("chunk", [1, 5 * 64, 2**22])
def test_equal_embeddings_in_any_parts(metric, block, chunk, monkeypatch):
    # Three copies of each gallery row, far apart. The hit is the last of them, so its rank depends on ties.
    rng = np.random.default_rng(9)
    labels = (np.arange(29), np.concatenate([np.full(60, -1), np.arange(30)]))
    gallery = np.tile(rng.integers(-4, 5, (30, 64)), (3, 1)).astype(np.float32)
    # Queries of norm 8 make every product exact in any order of summation, so that equal rows tie.
    query = rng.choice([-1, 1], (29, 64)).astype(np.float32)
    expected = evaluate_embeddings(query, gallery, *labels, metric=metric).first_hit
    assert (expected % 3 == 0).all()
    monkeypatch.setattr(distances, "BLOCK_BYTES", block)
    for module in (distances, metrics):
        monkeypatch.setattr(module, "CHUNK_ELEMENTS", chunk)
    np.testing.assert_array_equal(evaluate_embeddings(query, gallery, *labels, metric=metric).first_hit, expected)
    # With arbitrary numbers the ranking is still that of the matrix.
    query, gallery = query * rng.random(64, np.float32), gallery * rng.random(64, np.float32)
    scores = evaluate_embeddings(query, gallery, *labels, metric=metric)
    of_matrix = evaluate_distances(pairwise_distances(query, gallery, metric), *labels)
    np.testing.assert_array_equal(scores.first_hit, of_matrix.first_hit)


def test_spans_cover_all_in_even_parts():
    for total in range(30):
        for longest in range(1, 12):
            spans = list(distances._spans(total, longest))
            assert [n for span in spans for n in range(total)[span]] == list(range(total))
            lengths = {span.stop - span.start for span in spans}
            assert not lengths or max(lengths) <= min(longest, min(lengths) + 1)


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


def test_zero_embeddings_have_a_euclidean_distance():
    assert pairwise_distances([[0, 0]], [[3, 4]], "euclidean").tolist() == [[5]]
