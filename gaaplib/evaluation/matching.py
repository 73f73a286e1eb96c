"""Distances whose smallest are given out anew, by a closer look at each pair."""

import numpy as np

from gaaplib.distances import EmbeddingDistances, check_count, spans

PAIRS = 512
"""Looked at in one call."""


class MatchedDistances(EmbeddingDistances):
    """Cosine distances, of which each query's smallest are given out in another order, by a probability of each pair.

    Among the ``nearest`` gallery images of a query, those with the highest ``share * cos + (1 - share) * p`` get the
    smallest distances. Which distances there are does not change, nor those of other images.

    The released code of HOReID (Wang et al., CVPR 2020) seems to sort by ``share * cos + (1 - share) * (1 - p)``, so
    that a lower probability of a match ranks higher; here it is p.

    Args:
        query, gallery: dicts with ``"embedding"`` (n, dim) and ``"nodes"`` (n, ...).
        probability: function of the nodes of n queries and n gallery images, which returns (n,) from 0 to 1.
        nearest: how many images of each query are looked at.
        share: of the cosine.
        progress: as in the base class.

    Raises:
        ValueError: as the base class.

    Example:
        Of the two nearest images, the second is taken for the person.

        >>> query = {"embedding": [[1.0, 0.0]], "nodes": np.array([7])}
        >>> gallery = {"embedding": [[4.0, 3.0], [3.0, 4.0], [0.0, 1.0]], "nodes": np.array([5, 7, 7])}
        >>> same = lambda one, other: (one == other).astype(float)
        >>> MatchedDistances(query, gallery, same, nearest=2).matrix().round(1).tolist()
        [[0.4, 0.2, 1.0]]
    """

    def __init__(self, query, gallery, probability, *, nearest=8, share=0.1, progress=False):
        super().__init__(query["embedding"], gallery["embedding"], "cosine", progress=progress)
        self._nodes = query["nodes"], gallery["nodes"]
        check_count(nearest, "nearest")
        self._probability, self._nearest, self._of_cosine = probability, nearest, share

    def fill(self, rows: slice, out: np.ndarray) -> None:
        """Write the distances of these rows into ``out``, (rows, num_gallery)."""
        super().fill(rows, out)
        if not self.shape[1]:
            return
        count = min(self._nearest, self.shape[1])
        for part in spans(len(out), max(1, PAIRS // count)):
            block = out[part]
            # In the order of the gallery where distances are equal.
            order = np.argsort(block, axis=1, kind="stable")[:, :count]
            before = np.take_along_axis(block, order, axis=1)
            queries = np.repeat(np.arange(rows.start + part.start, rows.start + part.stop), count)
            found = self._probability(self._nodes[0][queries], self._nodes[1][order.ravel()])
            alike = self._of_cosine * (1 - before) + (1 - self._of_cosine) * np.reshape(found, order.shape)
            best = np.take_along_axis(order, np.argsort(-alike, axis=1, kind="stable"), axis=1)
            np.put_along_axis(block, best, before, axis=1)
