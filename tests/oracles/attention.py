"""Reference implementation of Eq. 4-6 of the paper: loops over images and positions."""

import math

import numpy as np


def softmax(row):
    shifted = [math.exp(value - max(row)) for value in row]
    return [value / sum(shifted) for value in shifted]


def dot(a, b):
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def attention_matrix(query_i, key_i, query_j, key_j, alpha):
    """The softmax matrix of Eq. 4 for one image, as a list of rows, from lists of position vectors."""
    d_k = len(query_i[0])
    rows = []
    for n in range(len(query_i)):
        logits = []
        for m in range(len(key_i)):
            own, other = dot(query_i[n], key_i[m]), dot(query_j[n], key_j[m])
            logits.append((alpha * own + (1 - alpha) * other) / math.sqrt(d_k))
        rows.append(softmax(logits))
    return rows


def cross_feature_attention(maps, w_q, w_k, w_v, w_a, alpha, partner, partners):
    """The softmax matrices and the output of Eq. 4-5 for a batch (batch, height, width, channels)."""
    batch, height, width, channels = maps.shape
    features = [[maps[b, y, x] for y in range(height) for x in range(width)] for b in range(batch)]
    queries = [[f @ w_q for f in image] for image in features]
    keys = [[f @ w_k for f in image] for image in features]
    matrices, outputs = [], np.zeros_like(maps)
    for b in range(batch):
        if partner == "channel":
            half = w_q.shape[1] // 2
            query_i, query_j = [q[:half] for q in queries[b]], [q[half:] for q in queries[b]]
            key_i, key_j = [k[:half] for k in keys[b]], [k[half:] for k in keys[b]]
        else:
            j = partners[b] if partner == "class" else b
            query_i, key_i, query_j, key_j = queries[b], keys[b], queries[j], keys[j]
        matrix = attention_matrix(query_i, key_i, query_j, key_j, alpha)
        matrices.append(matrix)
        for n in range(height * width):
            attended = sum(matrix[n][m] * (features[b][m] @ w_v) for m in range(height * width))
            outputs[b, n // width, n % width] = attended @ w_a + features[b][n]
    return np.array(matrices), outputs


def average_pool(maps):
    """Eq. 6: the mean over positions, one at a time."""
    batch, height, width, channels = maps.shape
    total = np.zeros((batch, channels), maps.dtype)
    for y in range(height):
        for x in range(width):
            total += maps[:, y, x]
    return total / (height * width)
