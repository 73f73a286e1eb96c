"""Better rankings from the neighbourhoods of the images, without labels: k-reciprocal re-ranking, query expansion.

K-reciprocal re-ranking compares two images by the neighbours that they share. With all images together, queries first:

- N(i, k): image i itself and the k others nearest to it; equally near ones in the order of the images.
- R(i, k): those j of N(i, k) that have i in N(j, k).
- R*(i): R(i, k1) and, for each of its j, R(j, k1 / 2) where more than two thirds of it lie in R(i, k1); k1 / 2 is
  rounded to the nearest, a half to the even neighbour.
- V(i): exp(-d(i, j)) at j in R*(i), else 0, divided by its sum; then averaged over i and its k2 - 1 nearest.
- Jaccard distance of i and j: 1 - m / (2 - m), where m is the sum over images of the lesser of V(i) and V(j).
- The result: (1 - lambda) times the Jaccard distance plus lambda times d(i, j).

Here d is, as in the authors' code, the squared distance divided by the greatest squared distance from i to any image:
both in V and in the result. Where they sort in no stated order (equal distances, an image and its copy), the order
above holds.

V is sparse, so it is held and multiplied as such; distances are made for a block of rows at a time and never kept.

Sources: Z. Zhong, L. Zheng, D. Cao, S. Li, "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017,
and the authors' code, https://github.com/zhunzhong07/person-re-ranking; O. Chum et al., "Total Recall: Automatic Query
Expansion with a Generative Feature Model for Object Retrieval", ICCV 2007; F. Radenovic, G. Tolias, O. Chum,
"Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2019.
"""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from gaaplib import metrics
from gaaplib.distances import check_count, check_finite, real_matrix

CHUNK_ELEMENTS = 2**24
"""Images x images entries worked on at once, at some 6 bytes each in float32."""

METRICS = ("euclidean", "cosine")


def rerank(query, gallery, *, k1: int = 20, k2: int = 6, lambda_value: float = 0.3, metric="euclidean") -> np.ndarray:
    """K-reciprocal re-ranked distances of every query to every gallery image, float32 (num_queries, num_gallery).

    They are what :func:`gaaplib.metrics.evaluate_distances` takes. Where even they are too large to hold, take
    :func:`rerank_rows`.

    Args:
        query, gallery: embeddings, (num_queries, dim) and (num_gallery, dim). Computed in float32, or in float64 where
            the input needs it.
        k1: neighbours that count as candidates.
        k2: neighbours, oneself included, that V is averaged over; 1 averages nothing.
        lambda_value: share of the original distance, 0 to 1; 1 leaves the original order.
        metric: ``"euclidean"``; ``"cosine"``, the same between embeddings of length 1, so that d is proportional to the
            cosine distance; or a function of two stacks of some of the rows of ``query`` and ``gallery`` that answers
            their distances (len(a), len(b)), which are squared. Then the embeddings may have any number of axes.

    Raises:
        ValueError: dimensions that differ, an empty side, a value that is NaN or infinite, an embedding of zeros for
            ``"cosine"``, an unknown metric, distances of a wrong shape, parameters out of range.
    """
    distances = np.empty((len(query), len(gallery)), np.float32)
    for rows, part in rerank_rows(query, gallery, k1=k1, k2=k2, lambda_value=lambda_value, metric=metric):
        distances[rows] = part
    return distances


def rerank_rows(
    query, gallery, *, k1: int = 20, k2: int = 6, lambda_value: float = 0.3, metric="euclidean"
) -> Iterator[tuple[slice, np.ndarray]]:
    """The distances of :func:`rerank` for some queries at a time: memory grows with the images, not with their pairs.

    Each part can be scored alone, by ``evaluate_distances(distances, query_pids[rows], gallery_pids, ...)``, and the
    per-query scores put together.

    Yields:
        ``rows``, a slice of the queries, and their distances, float32 (rows, num_gallery); in order.

    Arguments and errors are those of :func:`rerank`.
    """
    _check_parameters(k1, k2, lambda_value)
    images, squares = _prepare_squares(query, gallery, metric)
    # Checked above at the call; what is slow waits for the first part.
    return _rows(squares, len(images), len(query), k1, k2, lambda_value)


def choose_parameters(
    query,
    gallery,
    query_pids,
    gallery_pids,
    query_camids=None,
    gallery_camids=None,
    *,
    k1=(10, 20, 30),
    k2=(1, 3, 6),
    lambda_values=(0.0, 0.1, 0.3, 0.5, 1.0),
    metric="euclidean",
    ap: str = "step",
) -> tuple[dict, pd.DataFrame]:
    """The parameters of :func:`rerank` with the highest mAP on *validation* images.

    All embeddings and labels are of the validation split: identities that are neither trained on nor tested on. The
    test images are no argument, so that their labels cannot take part in the choice; re-rank them once, with what
    comes out here.

    Args:
        query, gallery: validation embeddings; see :func:`rerank`.
        query_pids, gallery_pids, query_camids, gallery_camids: their labels; see
            :func:`gaaplib.metrics.evaluate_distances`.
        k1, k2, lambda_values: the values to try, in every combination. A ``lambda_values`` of 1 is no re-ranking.
        metric, ap: as in :func:`rerank` and :func:`gaaplib.metrics.evaluate_distances`.

    Returns:
        The keyword arguments ``k1``, ``k2`` and ``lambda_value`` for :func:`rerank`, and a table of all that was tried,
        with these columns and ``mAP`` and ``cmc1``. Of equally good rows the first is chosen.

    Raises:
        ValueError: as in :func:`rerank`; no value to try; no validation query with a match.
    """
    k1, k2, lambda_values = tuple(k1), tuple(k2), tuple(lambda_values)
    tried = list(product(k1, k2, lambda_values))
    if not tried:
        raise ValueError("k1, k2 or lambda_values is empty: give at least one value of each")
    for values in tried:
        _check_parameters(*values)
    labels = (query_pids, gallery_pids, query_camids, gallery_camids)
    original = rerank(query, gallery, lambda_value=1, metric=metric)
    rows = []
    for neighbours, averaged in product(k1, k2):
        jaccard = rerank(query, gallery, k1=neighbours, k2=averaged, lambda_value=0, metric=metric)
        for share in lambda_values:
            # As in _rows: linear in the share, so that the slow part is done once for all of them.
            distances = (1 - share) * jaccard + share * original
            scores = metrics.evaluate_distances(distances, *labels, ap=ap, max_rank=1)
            if not scores.valid.any():
                raise ValueError(
                    "no validation query has a match in the validation gallery: there is no mAP to choose by"
                )
            rows.append((neighbours, averaged, share, scores.mAP, scores.cmc[0]))
    table = pd.DataFrame(rows, columns=["k1", "k2", "lambda_value", "mAP", "cmc1"])
    best = table.mAP.argmax()
    return dict(zip(("k1", "k2", "lambda_value"), tried[best], strict=True)), table


def expand_queries(query, gallery, *, k: int = 10, alpha: float = 0.0) -> np.ndarray:
    """Each query as the weighted mean of itself and its k nearest gallery embeddings, for the cosine distance.

    All are scaled to length 1 first. The query weighs 1, a neighbour with the cosine c weighs max(c, 0) ** alpha: with
    ``alpha=0`` this is average query expansion (Chum et al. 2007), with ``alpha`` above it that of Radenovic et al.
    2019, who take 3. Equally near ones are taken in gallery order.

    Args:
        query, gallery: (num_queries, dim) and (num_gallery, dim).
        k: number of neighbours; all of the gallery if it has fewer.
        alpha: at least 0.

    Returns:
        (num_queries, dim), not scaled again: compare them by the cosine distance.

    Raises:
        ValueError: as in :func:`rerank`; ``k`` below 1 or a negative ``alpha``.
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


def _rows(squares, num_images, num_queries, k1, k2, lambda_value) -> Iterator[tuple[slice, np.ndarray]]:
    neighbours, largest = _neighbours(squares, num_images, max(k1 + 1, k2))
    weights = _weights(_expanded(neighbours, k1), squares, largest)
    weights = _neighbour_matrix(neighbours[:, :k2], np.float32(1 / min(k2, num_images))) @ weights
    # Row j: which gallery images have image j in their V, and with what weight.
    gallery_weights = weights[num_queries:].T.tocsr()
    gallery = slice(num_queries, num_images)
    for rows in _blocks(num_queries, num_images):
        distances = squares(rows, gallery) / largest[rows, np.newaxis]
        distances *= lambda_value
        for row, image in zip(distances, range(rows.start, rows.stop), strict=True):
            row += (1 - lambda_value) * _jaccard(weights, image, gallery_weights)
        yield rows, distances.astype(np.float32, copy=False)


def _neighbours(squares, num_images, count) -> tuple[np.ndarray, np.ndarray]:
    """Each image and those nearest to it, (num_images, count), nearest first; and the greatest squared distances."""
    count = min(count, num_images)
    neighbours = np.empty((num_images, count), np.int32)
    largest = np.empty(num_images)
    for rows in _blocks(num_images, num_images):
        block = squares(rows, slice(None))
        largest[rows] = block.max(axis=1)
        check_finite(largest[rows], "the greatest squared distance from an image (queries first)", rows.start)
        # Below any square, so that an image comes before its copies.
        block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = -1
        neighbours[rows] = _nearest(block, count)
    # All images in one place: every distance is 0, whatever it is divided by.
    return neighbours, np.where(largest > 0, largest, 1)


def _nearest(distances, count: int) -> np.ndarray:
    """Columns of the ``count`` least entries of each row, ascending, equal ones in column order.

    Partitioning whole rows would take most of the time. So the columns are dealt out in at least ``count`` hands: the
    count-th least of their minima has ``count`` entries at or below it, and few more, so that only those are sorted.
    """
    num_columns = distances.shape[1]
    per_hand = max(1, num_columns // (16 * count))
    hands = num_columns // per_hand
    minima = distances[:, : per_hand * hands].reshape(len(distances), per_hand, hands).min(axis=1)
    bound = np.partition(minima, count - 1, axis=1)[:, count - 1 : count]
    # Found by row, then by column; lexsort is stable, so that equal ones stay in this order.
    row, column = np.nonzero(distances <= bound)
    order = np.lexsort((distances[row, column], row))
    first = np.searchsorted(row, np.arange(len(distances)))
    return column[order[first[:, np.newaxis] + np.arange(count)]]


def _expanded(neighbours, k1: int) -> csr_array:
    """The sets R*(i), as the entries of row i."""
    reciprocal = _reciprocal(neighbours[:, : k1 + 1])
    half = _reciprocal(neighbours[:, : round(k1 / 2) + 1])
    # How much of R(j, k1 / 2), which is symmetric, lies in R(i, k1), for each j of R(i, k1).
    shared = (reciprocal @ half).multiply(reciprocal).tocoo()
    size = np.diff(half.indptr)
    enough = 3 * shared.data > 2 * size[shared.col]
    joined = csr_array((shared.data[enough], (shared.row[enough], shared.col[enough])), shape=shared.shape)
    return (reciprocal + joined @ half).tocsr()


def _reciprocal(neighbours) -> csr_array:
    near = _neighbour_matrix(neighbours, np.int32(1))
    return near.multiply(near.T).tocsr()


def _neighbour_matrix(neighbours, value) -> csr_array:
    """``value`` at each image's neighbours."""
    num_images, count = neighbours.shape
    row_ends = np.arange(0, neighbours.size + 1, count)
    return csr_array((np.full(neighbours.size, value), neighbours.ravel(), row_ends), shape=(num_images, num_images))


def _weights(sets, squares, largest) -> csr_array:
    """V before it is averaged, on the entries of ``sets``."""
    values = np.empty(sets.nnz, np.float32)
    for image, (start, end) in enumerate(zip(sets.indptr[:-1], sets.indptr[1:], strict=True)):
        near = squares(slice(image, image + 1), sets.indices[start:end])[0] / largest[image]
        weight = np.exp(-near)
        values[start:end] = weight / weight.sum()
    return csr_array((values, sets.indices, sets.indptr), shape=sets.shape)


def _jaccard(weights, image: int, gallery_weights) -> np.ndarray:
    """Jaccard distances of one image to the gallery."""
    own = slice(weights.indptr[image], weights.indptr[image + 1])
    others = gallery_weights[weights.indices[own]]
    lesser = np.minimum(others.data, np.repeat(weights.data[own], np.diff(others.indptr)))
    shared = np.bincount(others.indices, lesser, minlength=others.shape[1])
    return 1 - shared / (2 - shared)


# -- distances and checks ----------------------------------------------------------------------------------------------


def _blocks(num_rows: int, num_columns: int) -> Iterator[slice]:
    step = max(1, CHUNK_ELEMENTS // num_columns)
    for start in range(0, num_rows, step):
        yield slice(start, min(start + step, num_rows))


def _prepare_squares(query, gallery, metric) -> tuple[np.ndarray, Callable]:
    """All images, and a function from rows and columns of them to squared distances."""
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
        block = images[rows] @ images[columns].T
        block *= -2
        block += lengths[rows, np.newaxis]
        block += lengths[columns]
        return np.maximum(block, 0, out=block)

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
                f"metric answered shape {block.shape} and dtype {block.dtype} for {len(a)} and {len(b)} images: it "
                f"must answer a matrix of real numbers of shape {(len(a), len(b))}"
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
            "distance; leave it out, or take the metric 'euclidean'"
        )
    images = images / largest
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    return images


def _checked_embeddings(query, gallery) -> np.ndarray:
    """Queries, then gallery, in one matrix of float32 or float64."""
    query, gallery = real_matrix(query, "query"), real_matrix(gallery, "gallery")
    for name, values in (("query", query), ("gallery", gallery)):
        if values.size == 0:
            raise ValueError(f"{name} has shape {values.shape}: give the embedding of at least one image")
        check_finite(values, name)
    if query.shape[1] != gallery.shape[1]:
        raise ValueError(f"query has {query.shape[1]} columns and gallery {gallery.shape[1]}: they must be as many")
    return np.concatenate([query, gallery], dtype=np.result_type(query, gallery, np.float32))


def _check_parameters(k1, k2, lambda_value) -> None:
    check_count(k1, "k1")
    check_count(k2, "k2")
    if not 0 <= lambda_value <= 1:
        raise ValueError(f"lambda_value is {lambda_value}: it must be from 0 to 1")
