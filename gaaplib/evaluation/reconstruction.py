"""Distances by reconstruction: how well the parts of one image can be put together from those of another."""

import numpy as np

from gaaplib.distances import CACHE_ELEMENTS, EmbeddingDistances, check_count, check_finite, spans

FAR = 100.0
"""The residual of images that are not looked at closer."""


class ReconstructionDistances(EmbeddingDistances):
    """Cosine distances, mixed for each query's nearest images with the residual of a reconstruction (He et al. 2019).

    The distance is ``(1 - share) * d1 + share * d2``. d1 is the cosine distance of the embeddings. For d2 each part q
    of the query, of unit length, is put together from the parts G (dim, parts) of the gallery image by a ridge
    regression, and the lengths of what is left are averaged with the weights of the query's parts:
    ``d2 = sum_k w_k |G x_k - q_k|, x_k = (G'G + ridge I)^-1 G' q_k``. It is computed for the ``shortlist`` images of
    smallest d1, and for those as near as the last of them; d2 of the others is 100. It does not treat query and gallery
    alike.

    With the eigenvalues s and eigenvectors u of G'G,
    ``|G x - q|^2 = 1 - sum_i (s_i + 2 ridge) / (s_i + ridge)^2 (u_i'G'q)^2``, so a gallery image takes one
    decomposition, and a pair one matrix product.

    Args:
        query, gallery: dicts with ``"embedding"`` (n, dim), ``"parts"`` (n, parts, channels) and ``"weights"``
            (n, parts) from 0, which need not sum to one.
        shortlist: how many gallery images are looked at closer.
        share: of d2, from 0 to 1.
        ridge: above 0.
        progress: as in the base class.

    Raises:
        ValueError: as the base class; parts or weights that are not finite, or not those of as many images.

    Example:
        >>> image = {"embedding": [[1.0, 0.0]], "parts": [[[1.0, 0.0], [0.0, 1.0]]], "weights": [[1.0, 0.0]]}
        >>> half = {"embedding": [[1.0, 0.0]], "parts": [[[0.0, 1.0], [0.0, 1.0]]], "weights": [[0.5, 0.5]]}
        >>> [round(float(ReconstructionDistances(image, other).matrix()[0, 0]), 3) for other in (image, half)]
        [0.0, 0.5]
    """

    def __init__(self, query, gallery, *, shortlist=100, share=0.5, ridge=1e-3, progress=False):
        super().__init__(query["embedding"], gallery["embedding"], "cosine", progress=progress)
        self._parts_of = {"query": _checked(query, "query"), "gallery": _checked(gallery, "gallery")}
        check_count(shortlist, "shortlist")
        self._shortlist, self._share, self._ridge = shortlist, share, ridge

    def fill(self, rows: slice, out: np.ndarray) -> None:
        """Write the distances of these rows into ``out``, (rows, num_gallery)."""
        super().fill(rows, out)
        near = self._near(out)
        out *= 1 - self._share
        for part in spans(len(out), CACHE_ELEMENTS // max(1, self.shape[1])):
            out[part][~near[part]] += self._share * FAR
        parts, weights = self._parts_of["query"]
        for image in np.flatnonzero(near.any(axis=0)):
            looked_at = np.flatnonzero(near[:, image])
            chosen = looked_at + rows.start
            out[looked_at, image] += self._share * self._residuals(parts[chosen], weights[chosen], image)

    def _near(self, distances):
        """Which gallery images are in each query's shortlist."""
        if self._shortlist >= self.shape[1]:
            return np.ones(distances.shape, bool)
        near = np.empty(distances.shape, bool)
        for part in spans(len(near), CACHE_ELEMENTS // max(1, self.shape[1])):
            last = np.partition(distances[part], self._shortlist - 1, axis=1)[:, self._shortlist - 1]
            near[part] = distances[part] <= last[:, np.newaxis]
        return near

    def _residuals(self, query, weights, image):
        """The weighted residuals of some queries' parts (n, parts, channels) with one gallery image."""
        # In float64, as the residual of a part that is there is the difference of two ones.
        parts = _of_unit_length(self._parts_of["gallery"][0][image])
        values, vectors = np.linalg.eigh(parts @ parts.T)
        values = np.maximum(values, 0)
        basis = (vectors * np.sqrt(values + 2 * self._ridge) / (values + self._ridge)).T @ parts
        found = 1 - np.square(_of_unit_length(query) @ basis.T).sum(axis=2)
        lengths = np.sqrt(np.maximum(found, 0))
        return (lengths * weights).sum(axis=1)


def _checked(side, name):
    """The parts and weights of the images of one side."""
    parts, weights = np.asarray(side["parts"]), np.asarray(side["weights"])
    number = len(side["embedding"])
    if parts.ndim != 3 or weights.shape != parts.shape[:2] or len(parts) != number:
        raise ValueError(
            f"{name} has {number} embeddings, parts of shape {parts.shape} and weights of shape {weights.shape}: "
            "expected (images, parts, channels) and (images, parts)"
        )
    check_finite(weights, f"{name} weights")
    if (weights < 0).any():
        raise ValueError(f"{name} weights has negative values: a weight is from 0, background")
    for part in spans(number, CACHE_ELEMENTS // max(1, parts[0].size if number else 1)):
        check_finite(parts[part].reshape(len(parts[part]), -1), f"{name} parts", part.start)
    return parts, weights


def _of_unit_length(parts):
    parts = np.asarray(parts, np.float64)
    lengths = np.linalg.norm(parts, axis=-1, keepdims=True)
    return parts / np.where(lengths > 0, lengths, 1)
