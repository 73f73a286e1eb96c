"""Distances compared with their oracle, in blocks of any size."""

import numpy as np
import pytest

from gaaplib import distances, metrics
from gaaplib.distances import METRICS, EmbeddingDistances, PartDistances, check_count, check_finite, pairwise_distances
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


def test_the_limits_of_the_range_are_in_range():
    limits = np.finfo(np.float32)
    smallest, largest = limits.tiny / limits.eps, limits.max * limits.eps
    one = np.array([[1, 0]], np.float32)
    assert pairwise_distances(np.array([[smallest, 0], [largest, 0]], np.float32), one).tolist() == [[0], [0]]
    # Its square is more than a fifth of the range and less than a quarter.
    np.testing.assert_allclose(pairwise_distances(np.float32([[8.7e18, 0]]), one, "euclidean"), [[8.7e18]], rtol=1e-6)


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
            spans = list(distances.spans(total, longest))
            assert [n for span in spans for n in range(total)[span]] == list(range(total))
            lengths = {span.stop - span.start for span in spans}
            assert not lengths or max(lengths) <= min(longest, min(lengths) + 1)


def test_a_block_has_as_many_rows_as_fit_into_its_bytes(monkeypatch):
    def rows(num_queries, num_gallery, dim, fitting):
        monkeypatch.setattr(distances, "BLOCK_BYTES", fitting * max(num_gallery, dim) * 8)
        blocks = EmbeddingDistances(np.ones((num_queries, dim)), np.ones((num_gallery, dim))).row_blocks()
        return [block.stop - block.start for block in blocks]

    assert rows(7, 10, 2, fitting=3) == [2, 2, 3]
    assert rows(7, 3, 20, fitting=3) == [2, 2, 3]
    assert rows(4, 1, 1, fitting=2) == [2, 2]


def test_blocks_share_a_buffer_of_the_longest(monkeypatch):
    monkeypatch.setattr(distances, "BLOCK_BYTES", 3 * 10 * 8)
    lazy = EmbeddingDistances(np.ones((7, 2)), np.ones((10, 2)))
    assert [(first, len(block), len(block.base)) for first, block in lazy.blocks()] == [(0, 2, 3), (2, 2, 3), (4, 3, 3)]


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_parts_are_as_long_as_allowed_and_change_nothing(metric, width, monkeypatch):
    query, gallery = np.arange(1.0, 1 + 7 * width).reshape(7, width), np.ones((width, width))
    expected = pairwise_distances(query, gallery, metric)
    monkeypatch.setattr(distances, "CHUNK_ELEMENTS", 3 * width)
    monkeypatch.setattr(distances, "CACHE_ELEMENTS", 4 * width)
    convert, finish = EmbeddingDistances._converted, METRICS[metric].finish
    converted, finished = [], []

    def converting(self, rows):
        converted.append(len(rows))
        return convert(self, rows)

    def finishing(products, *sizes):
        finished.append(len(products))
        finish(products, *sizes)

    monkeypatch.setattr(EmbeddingDistances, "_converted", converting)
    monkeypatch.setattr(METRICS[metric], "finish", staticmethod(finishing))
    np.testing.assert_array_equal(pairwise_distances(query, gallery, metric), expected)
    # The sizes of the queries and of the gallery; then the block of all queries and the gallery.
    assert converted == [2, 2, 3, width, 7, width]
    assert finished == [3, 4]


def test_nothing_to_compare_gives_an_empty_matrix():
    assert pairwise_distances(np.ones((2, 3)), np.ones((0, 3))).shape == (2, 0)
    assert pairwise_distances(np.ones((2, 0)), np.ones((0, 0)), "euclidean").shape == (2, 0)
    assert list(EmbeddingDistances(np.ones((0, 2)), np.ones((3, 2))).blocks()) == []


def test_progress_counts_the_queries_if_wanted(capsys):
    list(EmbeddingDistances(np.ones((5, 2)), np.ones((3, 2)), progress=True).blocks())
    assert "5/5" in capsys.readouterr().err
    list(EmbeddingDistances(np.ones((5, 2)), np.ones((3, 2))).blocks())
    assert capsys.readouterr().err == ""
    with pytest.raises(TypeError, match="positional"):
        EmbeddingDistances(np.ones((5, 2)), np.ones((3, 2)), "cosine", True)


@pytest.mark.parametrize(
    ("query", "gallery", "metric", "message"),
    [
        (np.ones((2, 3)), [[1, 1, 1], [0, 0, 0]], "cosine", "gallery embedding at row 1 is all zeros"),
        ([[1, 1, 1], [0, 0, 0]], np.ones((2, 3)), "cosine", "query embedding at row 1 is all zeros"),
        (np.float32([[1, 1], [1e-35, 0]]), np.ones((2, 2), "f4"), "cosine", "row 1 has entries of up to 1e-35, out of"),
        (np.ones((2, 2)), [[1, 1], [1e303, 0]], "cosine", "gallery embedding at row 1 has entries of up to 1e.303"),
        (np.float32([[1, 1], [2e19, 0]]), np.ones((2, 2), "f4"), "euclidean", "query embedding at row 1 has .* 2e.19"),
        (np.ones((2, 0)), np.ones((2, 0)), "cosine", "query embedding at row 0 is all zeros"),
        ([[1e-305, 0], [1e-304, 0]], np.ones((2, 2)), "cosine", r"row 0 has entries of up to 1e-305, .*\(2 such rows"),
        (np.float32([[9.8e18], [1]]), np.ones((2, 1), "f4"), "euclidean", "row 0 has entries of up to 9.8e.18"),
        ([[1e155], [2e155]], np.ones((2, 1)), "euclidean", r"row 0 has entries of up to 1e.155, .*\(2 such rows"),
        (np.ones((2, 3)), np.ones((2, 4)), "cosine", "query has 3 columns and gallery 4"),
        (np.ones((2, 4)), np.ones((2, 3)), "cosine", "query has 4 columns and gallery 3"),
        ([[1, np.nan], [1, 1]], np.ones((2, 2)), "cosine", "query is nan at row 0, column 1"),
        (np.ones((2, 2)), [[1, 1], [-np.inf, 1]], "euclidean", "gallery is -inf at row 1, column 0"),
        (np.ones((2, 2)), np.ones((2, 2)), "manhattan", "must be one of 'cosine', 'euclidean'"),
        (5, np.ones((2, 2)), "cosine", r"query has shape \(\) and dtype int64: it must be a matrix"),
        (np.ones((2, 2, 2)), np.ones((2, 2)), "cosine", r"query has shape \(2, 2, 2\)"),
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


def test_euclidean_distances_of_zeros_and_of_neighbours():
    assert pairwise_distances([[0, 0]], [[3, 4]], "euclidean").tolist() == [[5]]
    assert pairwise_distances([[0, 0]], [[0.375, 0.5]], "euclidean").tolist() == [[0.625]]


def test_the_first_value_that_is_not_finite_is_named():
    with pytest.raises(ValueError, match="x is nan at row 0, column 1"):
        check_finite(np.array([[1, np.nan], [np.inf, 1]]), "x")
    with pytest.raises(ValueError, match="x is -inf at row 12: every"):
        check_finite(np.array([1, 1, -np.inf]), "x", first_row=10)


@pytest.mark.parametrize("value", [1, 2, np.int64(1)])
def test_counts(value):
    check_count(value, "n")


@pytest.mark.parametrize("value", [0, -1, 1.0, 2.5, "1"])
def test_what_is_no_count(value):
    with pytest.raises(ValueError, match=f"n is {value!r}: it must be an integer of at least 1"):
        check_count(value, "n")


def shared_parts(seed, queries=5, gallery=7, parts=3, dim=4):
    """Unit vectors of parts and their visibilities, of queries and gallery."""
    rng = np.random.default_rng(seed)
    sides = []
    for number in (queries, gallery):
        vectors = rng.normal(size=(number, parts, dim)).astype("float32")
        vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
        sides.append((vectors, rng.random((number, parts)).astype("float32")))
    return sides


def of_parts(query, gallery):
    """The distances of unit vectors and visibilities."""
    flat = [(vectors * visible[:, :, None]).reshape(len(vectors), -1) for vectors, visible in (query, gallery)]
    return PartDistances(*flat, query[1], gallery[1])


@pytest.mark.parametrize("block_bytes", [2**29, 64])
def test_distances_of_parts_equal_the_slow_definition(block_bytes, monkeypatch):
    monkeypatch.setattr(distances, "BLOCK_BYTES", block_bytes)
    query, gallery = shared_parts(0)
    found = of_parts(query, gallery)
    expected = np.zeros(found.shape)
    for q, g in np.ndindex(found.shape):
        weights = [float(query[1][q, k] * gallery[1][g, k]) for k in range(3)]
        cosines = [float(query[0][q, k] @ gallery[0][g, k]) for k in range(3)]
        expected[q, g] = sum(w * (1 - c) for w, c in zip(weights, cosines, strict=True)) / sum(weights)
    np.testing.assert_allclose(found.matrix(), expected, rtol=1e-4, atol=1e-6)
    blocks = np.concatenate([block.copy() for _, block in found.blocks()])
    np.testing.assert_allclose(blocks, expected, rtol=1e-4, atol=1e-6)


def test_images_without_a_common_part_are_farthest():
    found = PartDistances([[1.0, 0.0]], [[0.0, 1.0], [-1.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]).matrix()
    assert found.tolist() == [[2.0, 2.0]]


@pytest.mark.parametrize(
    ("visible", "shown", "message"),
    [
        ([[1.0, 0.0]], [[1.0]], "query has 2 parts and gallery 1"),
        ([[1.0], [1.0]], [[1.0]], "query_visibility has 2 rows for 1 embeddings"),
        ([[-1.0]], [[1.0]], "query_visibility has negative values"),
        ([[np.nan]], [[1.0]], "query_visibility is nan at row 0, column 0"),
    ],
)
def test_wrong_visibilities_are_refused(visible, shown, message):
    with pytest.raises(ValueError, match=message):
        PartDistances([[1.0, 0.0]], [[1.0, 0.0]], visible, shown)
