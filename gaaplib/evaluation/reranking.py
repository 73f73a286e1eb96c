"""K-reciprocal re-ranking and query expansion: better rankings without labels, from the neighbours of each image.

K-reciprocal re-ranking compares two images by the neighbours that they share. Over all images, queries first:

- N(i, k): image i itself and its k nearest other images; ties in the order of the images.
- R(i, k): those j of N(i, k) that have i in N(j, k).
- R*(i): R(i, k1) and, for each of its j, R(j, k1 / 2) if more than two thirds of it lie in R(i, k1); k1 / 2 is
  rounded to the nearest integer, a half to the even one.
- V(i): exp(-d(i, j)) at j in R*(i), else 0, divided by its sum; then averaged over i and its k2 - 1 nearest.
- Jaccard distance of i and j: 1 - m / (2 - m), where m is the sum over images of the lesser of V(i) and V(j).
- The result: (1 - lambda) times the Jaccard distance plus lambda times d(i, j).

As in the authors' code, d is the squared distance divided by the greatest squared distance from i to any image, both
in V and in the result. The authors' code leaves the order of ties open (equal distances, an image and its copy); here
it is the order of the images.

V is a sparse matrix. Distances are symmetric, so only one half of their matrix is computed, one tile at a time.

Sources: Z. Zhong, L. Zheng, D. Cao, S. Li, "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017,
and the authors' code, https://github.com/zhunzhong07/person-re-ranking; O. Chum et al., "Total Recall: Automatic Query
Expansion with a Generative Feature Model for Object Retrieval", ICCV 2007; F. Radenovic, G. Tolias, O. Chum,
"Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2019.
"""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
from scipy.sparse import csr_array

from gaaplib.distances import CACHE_ELEMENTS, check_count, check_finite, real_matrix, spans

CHUNK_ELEMENTS = 2**22
"""Entries of the (images, images) matrix worked on at once."""

METRICS = ("euclidean", "cosine")


def rerank(query, gallery, *, k1: int = 20, k2: int = 6, lambda_value: float = 0.3, metric="euclidean") -> np.ndarray:
    """K-reciprocal re-ranked distances of every query to every gallery image, float32 (num_queries, num_gallery).

    Pass them to :func:`gaaplib.metrics.evaluate_distances`. If this matrix does not fit into memory, use
    :func:`rerank_rows`.

    Memory: 4 bytes for each pair of a query and a gallery image, 12 if it is computed in float64, and what all images
    need. For Market-1501's 3,368 x 15,913 that was 290 MB from float32 embeddings of 512 numbers, 800 MB from float64.

    Args:
        query, gallery: embeddings, (num_queries, dim) and (num_gallery, dim). Computed in float32, or in float64 if
            the input needs it.
        k1: number of neighbours that count as candidates.
        k2: number of neighbours, the image itself included, that V is averaged over; 1 does not average.
        lambda_value: weight of the original distance, 0 to 1; 1 keeps the original order.
        metric: ``"euclidean"``; ``"cosine"``, which is Euclidean between embeddings scaled to length 1, so that d is
            proportional to the cosine distance; or a function of two arrays ``a`` and ``b``, each with some rows of
            ``query`` and ``gallery``, that returns their distances, (len(a), len(b)), which are then squared. With a
            function, the embeddings may have any number of axes. It should be symmetric: of two images, ``a`` is the
            one that comes first.

    Raises:
        ValueError: dimensions that differ, an empty side, a value that is NaN or infinite, an embedding of zeros for
            ``"cosine"``, an unknown metric, distances of a wrong shape, parameters out of range.

    Example:
        Gallery image 1 is the nearest to the query, but its own nearest neighbours are images 3 and 4. Re-ranking moves
        it behind images 2 and 0, which share their neighbours with the query.

        >>> from gaaplib.distances import pairwise_distances
        >>> query, gallery = [[0.0, 0.0]], [[1.1, 0.0], [0.0, -1.0], [1.0, 0.2], [0.0, -1.6], [0.1, -1.7]]
        >>> pairwise_distances(query, gallery, "euclidean").argsort().tolist()
        [[1, 2, 0, 3, 4]]
        >>> rerank(query, gallery, k1=2, k2=1).argsort().tolist()
        [[2, 0, 1, 3, 4]]
    """
    _check_parameters(k1, k2, lambda_value)
    images, squares = _prepare_squares(query, gallery, metric)
    distances = np.empty((len(query), len(gallery)), images.dtype)
    for _ in _rows(squares, len(images), len(query), k1, k2, lambda_value, distances):
        pass
    return distances.astype(np.float32, copy=False)


def rerank_rows(
    query, gallery, *, k1: int = 20, k2: int = 6, lambda_value: float = 0.3, metric="euclidean"
) -> Iterator[tuple[slice, np.ndarray]]:
    """The distances of :func:`rerank` in blocks of queries, so that memory grows with the images, not their pairs.

    Each block can be scored by itself with ``evaluate_distances(distances, query_pids[rows], gallery_pids, ...)``, and
    the per-query scores concatenated.

    Yields:
        ``rows``, a slice of the queries, and their distances, float32 (rows, num_gallery); in order.

    Arguments and errors are those of :func:`rerank`.
    """
    _check_parameters(k1, k2, lambda_value)
    images, squares = _prepare_squares(query, gallery, metric)
    # The arguments are checked at the call; the slow part runs when the first block is requested.
    return _rows(squares, len(images), len(query), k1, k2, lambda_value)


def expand_queries(query, gallery, *, k: int = 10, alpha: float = 0.0) -> np.ndarray:
    """Replaces each query by the weighted mean of itself and its k nearest gallery embeddings (cosine distance).

    All embeddings are first scaled to length 1. The query has the weight 1, a neighbour with the cosine c the weight
    max(c, 0) ** alpha. ``alpha=0`` is average query expansion (Chum et al. 2007); a positive ``alpha`` is the
    alpha-weighted expansion of Radenovic et al. 2019, who use 3. Ties are broken by gallery order.

    Args:
        query, gallery: (num_queries, dim) and (num_gallery, dim).
        k: number of neighbours; the whole gallery if it has fewer images.
        alpha: at least 0.

    Returns:
        (num_queries, dim), not of length 1: compare them by the cosine distance.

    Raises:
        ValueError: as in :func:`rerank`; ``k`` below 1 or a negative ``alpha``.

    Example:
        >>> expand_queries([[1.0, 0.0]], [[0.0, 2.0], [-1.0, 0.0]], k=1).tolist()
        [[0.5, 0.5]]
    """
    check_count(k, "k")
    if not alpha >= 0:
        raise ValueError(f"alpha is {alpha}: it must be at least 0")
    images = _unit_length(_checked_embeddings(query, gallery), len(query))
    query, gallery = images[: len(query)], images[len(query) :]
    k = min(k, len(gallery))
    expanded = np.empty_like(query)
    for rows in _blocks(len(query), max(len(gallery), k * query.shape[1])):
        cosines = query[rows] @ gallery.T
        near = _nearest(-cosines, k)
        weights = np.maximum(np.take_along_axis(cosines, near, axis=1), 0) ** alpha
        total = query[rows] + np.einsum("qk,qkd->qd", weights, gallery[near])
        expanded[rows] = total / (1 + weights.sum(axis=1, keepdims=True))
    return expanded


# -- k-reciprocal encoding ---------------------------------------------------------------------------------------------


def _rows(squares, num_images, num_queries, k1, k2, lambda_value, kept=None) -> Iterator[tuple[slice, np.ndarray]]:
    """The blocks of `rerank_rows`; into ``kept``, (num_queries, num_gallery), if there is such a matrix."""
    neighbours, largest = _neighbours(squares, num_images, max(k1 + 1, k2), kept)
    weights = _weights(_expanded(neighbours, k1), squares, largest)
    weights = _neighbour_matrix(neighbours[:, :k2], np.float32(1 / min(k2, num_images))) @ weights
    # Row j holds the gallery images that have image j in their V, with their weights.
    gallery_weights = weights[num_queries:].T.tocsr()
    gallery = slice(num_queries, num_images)
    for rows in _blocks(num_queries, num_images):
        distances = squares(rows, gallery) if kept is None else kept[rows]
        for row, image in zip(distances, range(rows.start, rows.stop), strict=True):
            row *= lambda_value / largest[image]
            row += (1 - lambda_value) * _jaccard(weights, image, gallery_weights)
        yield rows, distances.astype(np.float32, copy=False)


def _neighbours(squares, num_images, count, kept=None) -> tuple[np.ndarray, np.ndarray]:
    """The images nearest to each one, (num_images, count), itself first, and its greatest squared distance.

    The squared distances of queries to gallery images go into ``kept``, if it is given.
    """
    found = _Neighbours(num_images, min(count, num_images))
    bands = list(spans(num_images, int(CHUNK_ELEMENTS**0.5)))
    # Bands of rows from the last to the first, and in each the tiles from the diagonal to the right: so all images that
    # a row sees in a tile come before, or all come after, those that it has seen.
    for number in reversed(range(len(bands))):
        for rows, columns in product(bands[number : number + 1], bands[number:]):
            tile = squares(rows, columns)
            if kept is not None:
                _keep(tile, rows, columns, kept)
            found.see(tile, rows, columns)
    # If all images are equal, every distance is 0, so any divisor is right.
    return found.images, np.where(found.largest > 0, found.largest, 1)


def _keep(tile, rows, columns, kept) -> None:
    """Copy the part of a tile that has queries as rows and gallery images as columns."""
    num_queries = len(kept)
    ours = tile[: max(0, num_queries - rows.start), max(0, num_queries - columns.start) :]
    first = max(0, columns.start - num_queries)
    kept[rows.start : rows.start + len(ours), first : first + ours.shape[1]] = ours


class _Neighbours:
    """The nearest images of each image so far, itself first, and its greatest squared distance."""

    def __init__(self, num_images: int, count: int):
        self.images = np.empty((num_images, count), np.int32)
        self.squares = np.full((num_images, count), np.inf)
        self.largest = np.zeros(num_images)

    def see(self, tile, rows: slice, columns: slice) -> None:
        """Take a tile of squared distances into account, for its rows and its columns; a diagonal one is changed."""
        self.largest[rows] = np.maximum(self.largest[rows], tile.max(axis=1))
        check_finite(self.largest[rows], "the greatest squared distance from an image (queries first)", rows.start)
        if rows == columns:
            # Less than any square, so that an image comes before its copies.
            np.fill_diagonal(tile, -1)
            near = _nearest(tile, min(self.images.shape[1], tile.shape[1]))
            self.images[rows, : near.shape[1]] = near + columns.start
            self.squares[rows, : near.shape[1]] = np.take_along_axis(tile, near, axis=1)
            return
        self.largest[columns] = np.maximum(self.largest[columns], tile.max(axis=0))
        row, column = _positions(tile <= self.squares[rows, -1:].astype(tile.dtype))
        self._merge(rows, row, columns.start + column, tile[row, column], after=True)
        row, column = _positions(tile <= self.squares[columns, -1].astype(tile.dtype))
        order = np.argsort(column, kind="stable")
        row, column = row[order], column[order]
        self._merge(columns, column, rows.start + row, tile[row, column], after=False)

    def _merge(self, rows: slice, row, image, square, after: bool) -> None:
        """Keep the nearest of those there are and of new ones, given by ascending row and image.

        The new images all come ``after`` those there are, or all before them, in the order that decides ties.
        """
        new = np.bincount(row, minlength=rows.stop - rows.start)
        shape = (len(new), new.max())
        place = np.arange(len(row)) - np.repeat(np.cumsum(new) - new, new)
        images, squares = np.zeros(shape, np.int32), np.full(shape, np.inf)
        images[row, place], squares[row, place] = image, square
        there = slice(None, None, 1 if after else -1)
        images = np.concatenate([self.images[rows], images][there], axis=1)
        squares = np.concatenate([self.squares[rows], squares][there], axis=1)
        order = np.argsort(squares, axis=1, kind="stable")[:, : self.images.shape[1]]
        self.images[rows] = np.take_along_axis(images, order, axis=1)
        self.squares[rows] = np.take_along_axis(squares, order, axis=1)


def _positions(found) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the true entries: ``np.nonzero``, which is slower for two axes."""
    return np.divmod(np.flatnonzero(found), found.shape[1])


def _nearest(distances, count: int) -> np.ndarray:
    """Columns of the ``count`` least entries of each row, ascending, ties in column order.

    Partitioning whole rows would take most of the time. Therefore the columns are split into at least ``count`` groups.
    At least ``count`` entries are no greater than the count-th least of the groups' minima, and few more than that, so
    only these entries are sorted.
    """
    num_columns = distances.shape[1]
    group_size = max(1, num_columns // (16 * count))
    groups = num_columns // group_size
    minima = distances[:, : group_size * groups].reshape(len(distances), group_size, groups).min(axis=1)
    bound = np.partition(minima, count - 1, axis=1)[:, count - 1 : count]
    # The positions go by row, then by column. lexsort is stable, so ties keep this order.
    row, column = _positions(distances <= bound)
    order = np.lexsort((distances[row, column], row))
    first = np.searchsorted(row, np.arange(len(distances)))
    return column[order[first[:, np.newaxis] + np.arange(count)]]


def _expanded(neighbours, k1: int) -> csr_array:
    """The sets R*(i), as the entries of row i."""
    reciprocal = _reciprocal(neighbours[:, : k1 + 1])
    half = _reciprocal(neighbours[:, : round(k1 / 2) + 1])
    # For each j of R(i, k1), the number of images of R(j, k1 / 2) in R(i, k1). R(., k1 / 2) is a symmetric matrix.
    shared = (reciprocal @ half).multiply(reciprocal).tocoo()
    size = np.diff(half.indptr)
    enough = 3 * shared.data > 2 * size[shared.col]
    joined = csr_array((shared.data[enough], (shared.row[enough], shared.col[enough])), shape=shared.shape)
    return (reciprocal + joined @ half).tocsr()


def _reciprocal(neighbours) -> csr_array:
    near = _neighbour_matrix(neighbours, np.int32(1))
    return near.multiply(near.T).tocsr()


def _neighbour_matrix(neighbours, value) -> csr_array:
    """Sparse (num_images, num_images) with ``value`` at each image's neighbours."""
    num_images, count = neighbours.shape
    row_ends = np.arange(0, neighbours.size + 1, count)
    return csr_array((np.full(neighbours.size, value), neighbours.ravel(), row_ends), shape=(num_images, num_images))


def _weights(sets, squares, largest) -> csr_array:
    """V before averaging, at the entries of ``sets``."""
    values = np.empty(sets.nnz, np.float32)
    for image, (start, end) in enumerate(zip(sets.indptr[:-1], sets.indptr[1:], strict=True)):
        near = squares(slice(image, image + 1), sets.indices[start:end])[0] / largest[image]
        weight = np.exp(-near)
        values[start:end] = weight / weight.sum()
    return csr_array((values, sets.indices, sets.indptr), shape=sets.shape)


def _jaccard(weights, image: int, gallery_weights) -> np.ndarray:
    """Jaccard distances of one image to all gallery images, (num_gallery,)."""
    own = slice(weights.indptr[image], weights.indptr[image + 1])
    others = gallery_weights[weights.indices[own]]
    lesser = np.minimum(others.data, np.repeat(weights.data[own], np.diff(others.indptr)))
    shared = np.bincount(others.indices, lesser, minlength=others.shape[1])
    return 1 - shared / (2 - shared)


# -- distances and checks ----------------------------------------------------------------------------------------------


def _blocks(num_rows: int, num_columns: int) -> Iterator[slice]:
    """Spans of rows with at most CHUNK_ELEMENTS entries."""
    return spans(num_rows, CHUNK_ELEMENTS // num_columns)


def _prepare_squares(query, gallery, metric) -> tuple[np.ndarray, Callable]:
    """All images, queries first, and a function from row and column indices to their squared distances."""
    if callable(metric):
        return _squares_of_function(query, gallery, metric)
    if metric not in METRICS:
        raise ValueError(f"metric is {metric!r}: it must be one of {', '.join(map(repr, METRICS))}, or a function")
    images = _checked_embeddings(query, gallery)
    if metric == "cosine":
        images = _unit_length(images, len(query))
    lengths = np.einsum("ij,ij->i", images, images)
    check_finite(lengths, f"the squared length of an embedding (queries first) in {images.dtype}")

    def squares(rows, columns):
        block = (-2 * images[rows]) @ images[columns].T
        of_rows, of_columns = lengths[rows, np.newaxis], lengths[columns]
        # A few rows at a time, so that they stay in the processor's cache.
        for part in spans(len(block), CACHE_ELEMENTS // len(of_columns)):
            block[part] += of_rows[part]
            block[part] += of_columns
            np.maximum(block[part], 0, out=block[part])
        return block

    return images, squares


def _squares_of_function(query, gallery, distances) -> tuple[np.ndarray, Callable]:
    if len(query) == 0 or len(gallery) == 0:
        raise ValueError(f"there are {len(query)} queries and {len(gallery)} gallery images: give at least one of each")
    images = np.concatenate([query, gallery])

    def squares(rows, columns):
        a, b = images[rows], images[columns]
        block = np.array(distances(a, b))
        if block.shape != (len(a), len(b)) or block.dtype.kind not in "fiu":
            raise ValueError(
                f"metric returned shape {block.shape} and dtype {block.dtype} for {len(a)} and {len(b)} images: it "
                f"must return a matrix of real numbers of shape {(len(a), len(b))}"
            )
        return np.square(block, dtype=np.result_type(block, np.float32))

    return images, squares


def _unit_length(images, num_queries: int) -> np.ndarray:
    # Dividing by the largest entry first keeps the squares of tiny and huge rows in range.
    largest = np.abs(images).max(axis=1, keepdims=True)
    zero = np.flatnonzero(largest == 0)
    if zero.size:
        side, row = ("query", zero[0]) if zero[0] < num_queries else ("gallery", zero[0] - num_queries)
        raise ValueError(
            f"{side} embedding at row {row} is all zeros ({zero.size} such rows): it has no direction, so no cosine "
            "distance; leave it out, or use metric='euclidean'"
        )
    images = images / largest
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    return images


def _checked_embeddings(query, gallery) -> np.ndarray:
    """Queries and gallery in one matrix, queries first, float32 or float64."""
    query, gallery = real_matrix(query, "query"), real_matrix(gallery, "gallery")
    for name, values in (("query", query), ("gallery", gallery)):
        if values.size == 0:
            raise ValueError(f"{name} has shape {values.shape}: give the embedding of at least one image")
        check_finite(values, name)
    if query.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"query has {query.shape[1]} columns and gallery {gallery.shape[1]}: both must have the same dimension"
        )
    return np.concatenate([query, gallery], dtype=np.result_type(query, gallery, np.float32))


def _check_parameters(k1, k2, lambda_value) -> None:
    check_count(k1, "k1")
    check_count(k2, "k2")
    if not 0 <= lambda_value <= 1:
        raise ValueError(f"lambda_value is {lambda_value}: it must be from 0 to 1")
