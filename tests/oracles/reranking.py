"""Reference implementation of re-ranking from the papers' formulas: sets and loops, no code shared with gaaplib."""

import math


def squared_distance(a, b):
    return math.fsum((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True))


def rerank(query, gallery, k1, k2, lambda_value, squared=squared_distance):
    """Re-ranked distances, a list of lists (num_queries, num_gallery)."""
    images = [*query, *gallery]
    everyone = range(len(images))
    square = [[squared(images[i], images[j]) for j in everyone] for i in everyone]
    d = [[value / (max(row) or 1) for value in row] for row in square]

    def near(i, k):
        """The image itself and the k nearest others."""
        return sorted(everyone, key=lambda j: (j != i, square[i][j], j))[: k + 1]

    def reciprocal(i, k):
        return {j for j in near(i, k) if i in near(j, k)}

    half = round(k1 / 2)
    full_sets = [reciprocal(i, k1) for i in everyone]
    half_sets = [reciprocal(i, half) for i in everyone]
    encoded = []
    for i in everyone:
        expanded = set(full_sets[i])
        for candidate in full_sets[i]:
            if 3 * len(half_sets[candidate] & full_sets[i]) > 2 * len(half_sets[candidate]):
                expanded |= half_sets[candidate]
        weights = [math.exp(-d[i][j]) if j in expanded else 0.0 for j in everyone]
        encoded.append([weight / sum(weights) for weight in weights])
    averaged = []
    for i in everyone:
        rows = [encoded[j] for j in near(i, k2 - 1)]
        averaged.append([sum(column) / len(rows) for column in zip(*rows, strict=True)])

    result = []
    for i in range(len(query)):
        row = []
        for j in range(len(query), len(images)):
            shared = sum(map(min, averaged[i], averaged[j]))
            union = sum(map(max, averaged[i], averaged[j]))
            row.append((1 - lambda_value) * (1 - shared / union) + lambda_value * d[i][j])
        result.append(row)
    return result


def expand_queries(query, gallery, k, alpha):
    """Weighted mean of each query and its k nearest gallery rows, all of length 1."""

    def unit(row):
        length = math.sqrt(sum(float(x) ** 2 for x in row))
        return [float(x) / length for x in row]

    gallery = [unit(row) for row in gallery]
    result = []
    for row in map(unit, query):
        alike = sorted(((-sum(a * b for a, b in zip(row, other, strict=True)), n) for n, other in enumerate(gallery)))
        members = [(1.0, row)] + [(max(-minus, 0.0) ** alpha, gallery[n]) for minus, n in alike[:k]]
        total = sum(weight for weight, _ in members)
        result.append([sum(weight * vector[c] for weight, vector in members) / total for c in range(len(row))])
    return result
