"""FPR's distance of two images, as its definition reads."""

import numpy as np


def residual(query, weights, gallery, ridge):
    """Query (parts, dim) with its weights, put together from gallery (parts, dim); vectors get length 1."""
    query, gallery = ([row / np.linalg.norm(row) for row in np.asarray(side, float)] for side in (query, gallery))
    basis = np.stack(gallery, axis=1)
    total = 0.0
    for part, weight in zip(query, weights, strict=True):
        regularised = basis.T @ basis + ridge * np.eye(basis.shape[1])
        coefficients = np.linalg.solve(regularised, basis.T @ part)
        total += weight * np.linalg.norm(basis @ coefficients - part)
    return total


def distances(query, gallery, shortlist, share, ridge):
    """All of them, (num_queries, num_gallery); images beyond the shortlist have a residual of 100."""
    rows = []
    for q in range(len(query["embedding"])):
        embedding = query["embedding"][q] / np.linalg.norm(query["embedding"][q])
        first = [1 - embedding @ (other / np.linalg.norm(other)) for other in gallery["embedding"]]
        row = []
        for g, near in enumerate(first):
            second = 100.0
            if sum(other < near for other in first) < shortlist:
                second = residual(query["parts"][q], query["weights"][q], gallery["parts"][g], ridge)
            row.append((1 - share) * near + share * second)
        rows.append(row)
    return np.array(rows)
