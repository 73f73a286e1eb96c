"""Distances between embeddings, as one matrix or one block of rows at a time.

The checks at the end of the module are shared by every module that takes embeddings, scores or counts.
"""

from collections.abc import Callable, Iterator

import numpy as np
from tqdm import tqdm

BLOCK_BYTES = 2**29
"""Bytes of distances computed at once. Smaller blocks make the matrix product slower."""

CHUNK_ELEMENTS = 2**22
"""Numbers worked on at once: distances checked and ranked, values of gallery embeddings converted and multiplied."""

CACHE_ELEMENTS = 2**18
"""Number of distances that fit into the cache of one processor core."""


def pairwise_distances(query, gallery, metric: str = "cosine") -> np.ndarray:
    """Distances of every query to every gallery embedding, (num_queries, num_gallery).

    Args:
        query, gallery: (num_queries, dim) and (num_gallery, dim). Computed in float32, or in float64 if the input
            needs it (float64, or 32-bit integers and wider).
        metric: ``"cosine"`` is 1 - cos of the angle, from 0 to 2 up to rounding. ``"euclidean"`` is
            ``sqrt(|q|^2 + |g|^2 - 2 q.g)``, clipped at 0. This is fast, but its error is that of rounding the *squared*
            norms: in float32, near-duplicates may get a distance of some thousandths of their norm.

    Raises:
        ValueError: dimensions that differ, a value that is NaN or infinite, an unknown metric; for ``"cosine"``, an
            embedding of zeros, which has no direction; values so large or so small that their squares are out of
            range.

    Example:
        >>> pairwise_distances([[1.0, 0.0]], [[2.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]).tolist()
        [[0.0, 1.0, 2.0]]
        >>> pairwise_distances([[1.0, 0.0]], [[2.0, 0.0], [1.0, 3.0]], metric="euclidean").tolist()
        [[1.0, 3.0]]
    """
    return EmbeddingDistances(query, gallery, metric).matrix()


class EmbeddingDistances:
    """The distances of :func:`pairwise_distances`, bit for bit, computed one block of rows at a time on demand.

    Pass it instead of a matrix that would not fit into memory to :func:`gaaplib.metrics.evaluate_distances` or to the
    functions of :mod:`gaaplib.evaluation.single_shot` and :mod:`gaaplib.evaluation.verification`. The embeddings are
    read in parts, so they may be memory-mapped.

    Args:
        query, gallery, metric: as in :func:`pairwise_distances`, with the same errors.
        progress: show a progress bar that counts the queries whenever the distances are computed.

    Attributes:
        shape, dtype: those of the matrix.

    Example:
        >>> from gaaplib.metrics import evaluate_distances
        >>> distances = EmbeddingDistances([[1.0, 0.0]], [[0.9, 0.1], [0.0, 1.0]])
        >>> distances.shape, str(distances.dtype)
        ((1, 2), 'float64')
        >>> evaluate_distances(distances, query_pids=[7], gallery_pids=[7, 8]).mAP
        1.0
    """

    def __init__(self, query, gallery, metric: str = "cosine", *, progress: bool = False):
        self._metric = check_choice(metric, METRICS, "metric")
        self._query, self._gallery = real_matrix(query, "query"), real_matrix(gallery, "gallery")
        if self._query.shape[1] != self._gallery.shape[1]:
            raise ValueError(
                f"query has {self._query.shape[1]} columns and gallery {self._gallery.shape[1]}: both must have the "
                "same dimension"
            )
        self.shape = (len(self._query), len(self._gallery))
        self.dtype = np.result_type(self._query, self._gallery, np.float32)
        self._progress = progress
        self._query_sizes = self._sizes(self._query, "query")
        self._gallery_sizes = self._sizes(self._gallery, "gallery")

    def matrix(self) -> np.ndarray:
        """All distances at once, (num_queries, num_gallery)."""
        matrix = np.empty(self.shape, self.dtype)
        for rows in self.row_blocks():
            self.fill(rows, matrix[rows])
        return matrix

    def row_blocks(self) -> Iterator[slice]:
        """The rows of each matrix product. They depend only on the shape, because they affect the rounding."""
        return spans(self.shape[0], BLOCK_BYTES // (self.dtype.itemsize * max(1, self.shape[1], self._query.shape[1])))

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """The first row and the distances, (rows, num_gallery), of each block. The next block overwrites them."""
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
        # A few rows at a time, so that they stay in the processor's cache.
        for part in spans(len(out), CACHE_ELEMENTS // max(1, self.shape[1])):
            self._metric.finish(out[part], sizes[part], self._gallery_sizes)

    def _sizes(self, embeddings, name: str) -> np.ndarray:
        sizes = np.empty(len(embeddings), self.dtype)
        for part in self._parts(embeddings):
            rows = self._converted(embeddings[part])
            check_finite(rows, name, part.start)
            sizes[part] = self._metric.sizes(rows, name, part.start)
        return sizes

    def _parts(self, embeddings) -> Iterator[slice]:
        return spans(len(embeddings), CHUNK_ELEMENTS // max(1, embeddings.shape[1]))

    def _converted(self, rows) -> np.ndarray:
        # No copy if there is nothing to convert.
        return np.ascontiguousarray(rows, self.dtype)


class PartDistances(EmbeddingDistances):
    """Distances of embeddings of parts, of which an image may show only some; otherwise as the base class.

    The distance of two images is the mean of their parts' cosine distances, each weighted by the product of the two
    visibilities: ``sum_k v_k^q v_k^g (1 - cos(f_k^q, f_k^g)) / sum_k v_k^q v_k^g``. That is half of VPM's, which has
    squared Euclidean distances of unit vectors (Sun et al., CVPR 2019). It takes two matrix products.

    Args:
        query, gallery: (num_queries, dim) and (num_gallery, dim), the parts one after the other. A part's vector has
            unit length times its visibility.
        query_visibility, gallery_visibility: (num_queries, parts) and (num_gallery, parts), from 0.
        progress: as in the base class.

    Raises:
        ValueError: as the base class; visibilities that are negative, not finite or of other shapes.

    Two images that show no part in common have a distance of 2, the largest.

    Example:
        Two parts of one number each. The second image shows its first part alone.

        >>> PartDistances([[1.0, 1.0]], [[1.0, 0.0], [0.0, -1.0]], [[1.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]).matrix()
        array([[0., 2.]])
    """

    def __init__(self, query, gallery, query_visibility, gallery_visibility, *, progress: bool = False):
        # The Euclidean metric checks that squares are in range, as products must be.
        super().__init__(query, gallery, "euclidean", progress=progress)
        self._metric = _Product
        self._query_visibility = self._visibility(query_visibility, "query", self.shape[0])
        self._gallery_visibility = self._visibility(gallery_visibility, "gallery", self.shape[1])
        if self._query_visibility.shape[1] != self._gallery_visibility.shape[1]:
            raise ValueError(
                f"query has {self._query_visibility.shape[1]} parts and gallery "
                f"{self._gallery_visibility.shape[1]}: both must have the same parts"
            )

    def fill(self, rows: slice, out: np.ndarray) -> None:
        """Write the distances of these rows into ``out``, (rows, num_gallery)."""
        super().fill(rows, out)
        visible = self._query_visibility[rows]
        for part in spans(len(out), CACHE_ELEMENTS // max(1, self.shape[1])):
            shared = visible[part] @ self._gallery_visibility.T
            with np.errstate(invalid="ignore"):
                out[part] /= shared
            out[part] += 1
            out[part][shared == 0] = 2

    def _visibility(self, values, side: str, number: int) -> np.ndarray:
        name = f"{side}_visibility"
        values = self._converted(real_matrix(values, name))
        check_finite(values, name)
        if len(values) != number:
            raise ValueError(f"{name} has {len(values)} rows for {number} embeddings: give one for each")
        if (values < 0).any():
            raise ValueError(f"{name} has negative values: a visibility is from 0, invisible")
        return values


class _Cosine:
    """1 - q.g / (|q| |g|); the size of an embedding is its norm."""

    @staticmethod
    def sizes(rows, name: str, first_row: int) -> np.ndarray:
        # Dividing by the largest entry first keeps the squares of tiny and huge rows in range.
        largest = np.abs(rows).max(axis=1, initial=0)
        limits = np.finfo(rows.dtype)
        wrong = np.flatnonzero((largest < limits.tiny / limits.eps) | (largest > limits.max * limits.eps))
        if wrong.size:
            value = largest[wrong[0]]
            what = f"has entries of up to {value:.3g}, out of {rows.dtype}'s range" if value else "is all zeros"
            raise ValueError(
                f"{name} embedding at row {first_row + wrong[0]} {what} ({wrong.size} such rows here): it has no "
                "direction, so no cosine distance; leave it out or scale it, or use metric='euclidean'"
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
        # A quarter of the range, so that the sum of three such terms is in range too.
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


class _Product:
    """-q.g, of parts."""

    @staticmethod
    def left(query, sizes) -> np.ndarray:
        return -query

    @staticmethod
    def finish(products, query_sizes, gallery_sizes) -> None:
        pass


def spans(total: int, longest: int) -> Iterator[slice]:
    """The fewest consecutive slices of at most ``longest`` that cover ``total``, of even lengths.

    A short slice at the end is avoided: BLAS multiplies matrices of few rows with other routines, which round
    differently, so that equal embeddings would get distances that differ in the last bit.
    """
    number = -(-total // max(1, longest))
    return (slice(total * part // number, total * (part + 1) // number) for part in range(number))


# -- checks ------------------------------------------------------------------------------------------------------------


def real_matrix(values, name: str) -> np.ndarray:
    """The values as an array; raises a ValueError unless they are a matrix of real numbers."""
    values = np.asarray(values)
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} has shape {values.shape} and dtype {values.dtype}: it must be a matrix of real numbers, with one "
            "row per image"
        )
    return values


def check_finite(values, name: str, first_row: int = 0) -> None:
    """Raise a ValueError that names row and column of a NaN or an infinity; ``values`` start at ``first_row``."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row, *column = index = tuple(np.argwhere(~np.isfinite(values))[0])
        where = f"row {first_row + row}" + (f", column {column[0]}" if column else "")
        raise ValueError(f"{name} is {values[index]} at {where}: every value must be finite")


def check_count(value: int, name: str) -> None:
    """Raise a ValueError unless the value is an integer of at least 1."""
    if not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} is {value!r}: it must be an integer of at least 1")


def check_choice(name: str, choices: dict[str, Callable], argument: str) -> Callable:
    """The entry of this name; raises a ValueError that lists the known names if there is none."""
    if name not in choices:
        raise ValueError(f"{argument} is {name!r}: it must be one of {', '.join(map(repr, choices))}")
    return choices[name]


METRICS = {"cosine": _Cosine, "euclidean": _Euclidean}
