"""A first stage for large galleries: the images that are probably near a query, found by FAISS.

FAISS sorts the gallery into cells around centres found by k-means, and looks only into the cells whose centres are
nearest to the query (an inverted file; Jégou et al., "Product Quantization for Nearest Neighbor Search", TPAMI 2011;
Douze et al., "The Faiss library", 2024). It keeps each embedding with one byte per number. So some of the nearest
images are missed: :meth:`Candidates.recall` measures how many.

It is worth its setup for many queries one by one against some 100,000 images or more. Whole evaluations are exact; see
:func:`gaaplib.metrics.evaluate_embeddings`. Install FAISS with ``pip install "gaaplib[faiss]"``.
"""

import numpy as np

from gaaplib.distances import CHUNK_ELEMENTS, METRICS, EmbeddingDistances, check_choice, check_count, real_matrix, spans

IMAGES_PER_CELL = 64
"""How many images of each cell, on average, the k-means of the centres sees."""


class Candidates:
    """An index of gallery embeddings that names candidates for the nearest images of a query.

    Args:
        gallery: (num_gallery, dim), such as a memory map; it is read in parts, and again by :meth:`recall`.
        metric: ``"cosine"`` or ``"euclidean"``; see :func:`gaaplib.distances.pairwise_distances`.
        share: of the cells that a query looks into, above 0 to 1. More is slower and misses less.

    Raises:
        ImportError: FAISS is not installed.
        ValueError: an empty gallery, an unknown metric, a ``share`` out of range; embeddings that
            :func:`gaaplib.distances.pairwise_distances` refuses.

    Example:
        >>> gallery = np.eye(4, dtype="float32")
        >>> candidates = Candidates(gallery, share=1.0)
        >>> candidates.near([[0.1, 0.9, 0.5, 0.0]], 2).tolist()
        [[1, 2]]
    """

    def __init__(self, gallery, metric: str = "cosine", *, share: float = 0.25):
        faiss = library()
        check_choice(metric, METRICS, "metric")
        if not 0 < share <= 1:
            raise ValueError(f"share is {share}: it must be above 0 and at most 1")
        self._gallery, self._metric = real_matrix(gallery, "gallery"), metric
        if not self._gallery.size:
            raise ValueError(f"gallery has shape {self._gallery.shape}: give the embedding of at least one image")
        number, dim = self._gallery.shape
        # It checks every value, and its messages name the row.
        EmbeddingDistances(np.ones((1, dim), np.float32), self._gallery, metric)
        cells = max(1, round(number**0.5))
        # Of two embeddings of length 1, the one with the greater cosine has the smaller Euclidean distance.
        self._index = faiss.index_factory(dim, f"IVF{cells},SQ8")
        self._index.nprobe = max(1, round(share * cells))
        self._index.cp.min_points_per_centroid = 1
        step = max(1, number // (IMAGES_PER_CELL * cells))
        self._index.train(self._converted(self._gallery[::step]))
        for part in spans(number, CHUNK_ELEMENTS // dim):
            self._index.add(self._converted(self._gallery[part]))

    def near(self, query, count: int) -> np.ndarray:
        """Gallery indices of the images that seem nearest, (num_queries, count), nearest first; -1 where none is left.

        Raises:
            ValueError: a ``query`` that is no real matrix of the gallery's width; ``count`` below 1.
        """
        check_count(count, "count")
        query = real_matrix(query, "query")
        EmbeddingDistances(query, self._gallery[:1], self._metric)
        return self._index.search(self._converted(query), min(count, len(self._gallery)))[1]

    def recall(self, query, count: int = 10, *, among: int = 100, itself=None) -> float:
        """The share of the ``count`` truly nearest images that are among the candidates, over all queries.

        It is 1 if there is nothing to find, as for a gallery of the query alone.

        Args:
            query: (num_queries, dim), at least one.
            count: how many of the nearest images are looked for; ties are in gallery order, as in evaluations.
            among: number of candidates.
            itself: integers (num_queries,), as in :func:`gaaplib.metrics.evaluate_distances`: the gallery image that
                is the query, which does not count; -1 for a query that is not in the gallery. None: no query is.
        """
        found, itself = self.near(query, among), np.full(len(query), -1) if itself is None else np.asarray(itself)
        right = wanted = 0
        for first, block in EmbeddingDistances(query, self._gallery, self._metric).blocks():
            for place, row in enumerate(block, first):
                order = np.argsort(row, kind="stable")
                near = order[order != itself[place]][:count]
                right, wanted = right + np.isin(near, found[place]).sum(), wanted + len(near)
        return float(right / wanted) if wanted else 1.0

    def _converted(self, rows) -> np.ndarray:
        """The rows as FAISS wants them: float32 and, for the cosine, of length 1."""
        rows = np.asarray(rows, np.float64)
        if self._metric == "cosine":
            rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return np.ascontiguousarray(rows, np.float32)


def library():
    """FAISS; raises an ImportError that says how to install it."""
    try:
        import faiss
    except ImportError as error:
        raise ImportError("FAISS is not installed: pip install 'gaaplib[faiss]'") from error
    return faiss
