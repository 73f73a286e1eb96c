"""Reference implementation of heat maps for one image: loops over lists of position vectors."""

import math

import numpy as np


def shares(values):
    """Each value divided by their sum; equal shares if the sum is zero."""
    total = math.fsum(float(value) for value in values)
    return [float(value) / total if total > 0 else 1.0 / len(values) for value in values]


def received(matrix):
    """The share of each column of a matrix (a list of rows)."""
    size = len(matrix)
    return shares([sum(abs(matrix[m][n]) for m in range(size)) for n in range(size)])


def rollout(matrix, position):
    """The row of a position, averaged with the identity of the residual connection."""
    row = shares([abs(value) for value in matrix[position]])
    return [0.5 * value + 0.5 * (n == position) for n, value in enumerate(row)]


def energy(features):
    return shares([sum(float(value) ** 2 for value in feature) for feature in features])


def gradcam(features, gradients):
    """Selvaraju et al., Eq. 1 and 2."""
    positions, channels = len(features), len(features[0])
    weights = [sum(float(gradient[c]) for gradient in gradients) / positions for c in range(channels)]
    return shares([max(sum(w * float(f) for w, f in zip(weights, feature, strict=True)), 0.0) for feature in features])


def differences(score, features, step):
    """The gradient of a score of a feature map (rows, columns, channels), by central differences."""
    gradients = np.zeros(features.shape)
    for index in np.ndindex(features.shape):
        moved = np.zeros(features.shape)
        moved[index] = step
        gradients[index] = (score(features + moved) - score(features - moved)) / (2 * step)
    return gradients


def cosine(one, two):
    return float(np.dot(one, two) / math.sqrt(np.dot(one, one) * np.dot(two, two)))


def bilinear(grid, height, width):
    """A map (rows, columns) at height x width: linear between cell centres, constant beyond the outermost ones."""
    rows, columns = grid.shape
    answer = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            v = min(max((y + 0.5) * rows / height - 0.5, 0.0), rows - 1.0)
            u = min(max((x + 0.5) * columns / width - 0.5, 0.0), columns - 1.0)
            top, left = int(v), int(u)
            below, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
            upper = grid[top, left] * (1 - u + left) + grid[top, right] * (u - left)
            lower = grid[below, left] * (1 - u + left) + grid[below, right] * (u - left)
            answer[y, x] = upper * (1 - v + top) + lower * (v - top)
    return answer / answer.sum()
