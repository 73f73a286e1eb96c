"""Distances of embeddings: embeddings in, distances out, whole or a block of rows at a time.

The checks at the foot are shared by everything that takes embeddings, scores or counts.
"""

from collections.abc import Callable, Iterator

import numpy as np
from tqdm import tqdm

BLOCK_BYTES = 2**29
"""Distances computed at once from embeddings. Fewer make the matrix product slower."""

CHUNK_ELEMENTS = 2**22
"""Distances checked and ranked at once, and numbers of the gallery's embeddings converted and multiplied at once."""

CACHE_ELEMENTS = 2**18
"""Distances that fit into the cache of one processor core."""


def pairwise_distances(query, gallery, metric: str = "cosine") -> np.ndarray:
    """Distances of every query to every gallery embedding, (num_queries, num_gallery).

    Args:
        query, gallery: (num_queries, dim) and (num_gallery, dim). Computed in float32, or in float64 where the input
            needs it (float64, or 32-bit integers and wider).
        metric: ``"cosine"`` is 1 - cos of the angle, from 0 to 2 but for rounding. ``"euclidean"`` is
            sqrt(|q|^2 + |g|^2 - 2 q.g), clipped at 0: fast, and exact to rounding of the *squared* norms, so that in
            float32 near-duplicates may differ by some thousandths of their norm.

    Raises:
        ValueError: dimensions that differ, a value that is NaN or infinite, an unknown metric or, for ``"cosine"``, an
            embedding of zeros, which has no direction; an embedding of numbers out of the range that can be squared.
    """
    distances = EmbeddingDistances(query, gallery, metric)
    matrix = np.empty(distances.shape, distances.dtype)
    for rows in distances.row_blocks():
        distances.fill(rows, matrix[rows])
    return matrix


class EmbeddingDistances:
    """What :func:`pairwise_distances` answers, bit for bit, but a block of rows at a time, as they are asked for.

    It takes the place of a matrix of distances that would not fit into memory, in
    :func:`gaaplib.metrics.evaluate_distances`, :mod:`gaaplib.evaluation.single_shot` and
    :mod:`gaaplib.evaluation.verification`. The embeddings are read in parts, so they may be mapped from a file.

    Args:
        query, gallery, metric: as in :func:`pairwise_distances`, with the same errors.
        progress: show a bar that counts the queries whenever the distances are computed.

    Attributes:
        shape, dtype: those of the matrix.
    """

    def __init__(self, query, gallery, metric: str = "cosine", *, progress: bool = False):
        self._metric = check_choice(metric, METRICS, "metric")
        self._query, self._gallery = real_matrix(query, "query"), real_matrix(gallery, "gallery")
        if self._query.shape[1] != self._gallery.shape[1]:
            raise ValueError(
                f"query has {self._query.shape[1]} columns and gallery {self._gallery.shape[1]}: they must be as many"
            )
        self.shape = (len(self._query), len(self._gallery))
        self.dtype = np.result_type(self._query, self._gallery, np.float32)
        self._progress = progress
        self._query_sizes = self._sizes(self._query, "query")
        self._gallery_sizes = self._sizes(self._gallery, "gallery")

    def row_blocks(self) -> Iterator[slice]:
        """The rows of each product. They depend on the shape alone, as the rounding depends on them."""
        return _spans(self.shape[0], BLOCK_BYTES // (self.dtype.itemsize * max(1, self.shape[1], self._query.shape[1])))

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """First row and distances (rows, num_gallery) of each block, which the next one overwrites."""
        rows = list(self.row_blocks())
        buffer = np.empty((max((part.stop - part.start for part in rows), default=0), self.shape[1]), self.dtype)
        with tqdm(total=self.shape[0], desc="distances", unit="query", disable=not self._progress) as bar:
            for part in rows:
                block = buffer[: part.stop - part.start]
                self.fill(part, block)
                yield part.start, block
                bar.update(len(block))

    def fill(self, rows: slice, out: np.ndarray) -> None:
        """Write the distances of these rows into ``out``, (rows, num_gallery)."""
        sizes = self._query_sizes[rows, np.newaxis]
        query = self._metric.left(self._converted(self._query[rows]), sizes)
        for columns in self._parts(self._gallery):
            np.matmul(query, self._converted(self._gallery[columns]).T, out=out[:, columns])
        # A few rows at a time, which stay in the processor's cache meanwhile.
        for part in _spans(len(out), CACHE_ELEMENTS // max(1, self.shape[1])):
            self._metric.finish(out[part], sizes[part], self._gallery_sizes)

    def _sizes(self, embeddings, name: str) -> np.ndarray:
        sizes = np.empty(len(embeddings), self.dtype)
        for part in self._parts(embeddings):
            rows = self._converted(embeddings[part])
            check_finite(rows, name, part.start)
            sizes[part] = self._metric.sizes(rows, name, part.start)
        return sizes

    def _parts(self, embeddings) -> Iterator[slice]:
        return _spans(len(embeddings), CHUNK_ELEMENTS // max(1, embeddings.shape[1]))

    def _converted(self, rows) -> np.ndarray:
        # Without a copy where there is nothing to convert.
        return np.ascontiguousarray(rows, self.dtype)


class _Cosine:
    """1 - q.g / (|q| |g|); the size of an embedding is its norm."""

    @staticmethod
    def sizes(rows, name: str, first_row: int) -> np.ndarray:
        # Dividing by the largest entry first keeps the squares of tiny and huge rows in range.
        largest = np.abs(rows).max(axis=1, initial=0)
        limits = np.finfo(rows.dtype)
        wrong = np.flatnonzero((largest < limits.tiny / limits.eps) | (largest > limits.max * limits.eps))
        if wrong.size:
            found = largest[wrong[0]]
            what = f"has entries of up to {found:.3g}, out of {rows.dtype}'s range" if found else "is all zeros"
            raise ValueError(
                f"{name} embedding at row {first_row + wrong[0]} {what} ({wrong.size} such rows here): it has no "
                "direction, so no cosine distance; leave it out or scale it, or take metric='euclidean'"
            )
        scaled = rows / largest[:, np.newaxis]
        return largest * np.sqrt(np.vecdot(scaled, scaled))

    @staticmethod
    def left(query, sizes) -> np.ndarray:
        return query / -sizes

    @staticmethod
    def finish(products, query_sizes, gallery_sizes) -> None:
        products /= gallery_sizes
        products += 1


class _Euclidean:
    """sqrt(|q|^2 + |g|^2 - 2 q.g); the size of an embedding is its squared norm."""

    @staticmethod
    def sizes(rows, name: str, first_row: int) -> np.ndarray:
        with np.errstate(over="ignore"):
            squares = np.vecdot(rows, rows)
        # A quarter, so that the sum of three such terms is in range too.
        wrong = np.flatnonzero(~(squares <= np.finfo(rows.dtype).max / 4))
        if wrong.size:
            largest = np.abs(rows[wrong[0]]).max()
            raise ValueError(
                f"{name} embedding at row {first_row + wrong[0]} has entries of up to {largest:.3g}, "
                f"whose squares are out of {rows.dtype}'s range ({wrong.size} such rows here): scale all embeddings"
            )
        return squares

    @staticmethod
    def left(query, sizes) -> np.ndarray:
        return -2 * query

    @staticmethod
    def finish(products, query_sizes, gallery_sizes) -> None:
        products += query_sizes
        products += gallery_sizes
        np.sqrt(np.maximum(products, 0, out=products), out=products)


def _spans(total: int, longest: int) -> Iterator[slice]:
    """Consecutive slices that cover ``total``, as few as possible and of even lengths.

    Not with a short one at the end: BLAS multiplies matrices of few rows by other routines, whose rounding is another,
    and equal embeddings would get distances that differ in the last bit.
    """
    number = -(-total // max(1, longest))
    return (slice(total * part // number, total * (part + 1) // number) for part in range(number))


# -- checks ------------------------------------------------------------------------------------------------------------


def real_matrix(values, name: str) -> np.ndarray:
    """The values as an array, refused unless they are a matrix of real numbers."""
    values = np.asarray(values)
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} has shape {values.shape} and dtype {values.dtype}: it must be a matrix of real numbers, with one "
            "row for each image"
        )
    return values


def check_finite(values, name: str, first_row: int = 0) -> None:
    """Refuse NaN and infinity, naming row and column; ``first_row`` is the number of the first row given."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row, *column = place = tuple(np.argwhere(~np.isfinite(values))[0])
        where = f"row {first_row + row}" + (f", column {column[0]}" if column else "")
        raise ValueError(f"{name} is {values[place]} at {where}: every value must be finite")


def check_count(value: int, name: str) -> None:
    """Refuse what is no whole number of at least 1."""
    if not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} is {value!r}: it must be an integer of at least 1")


def check_choice(name: str, choices: dict[str, Callable], argument: str) -> Callable:
    """The entry of this name, refused with the known names where there is none."""
    if name not in choices:
        raise ValueError(f"{argument} is {name!r}: it must be one of {', '.join(map(repr, choices))}")
    return choices[name]


METRICS = {"cosine": _Cosine, "euclidean": _Euclidean}
