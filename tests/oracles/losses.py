"""Reference implementation of cross-entropy and the batch-hard triplet loss, one image at a time."""

import math


def cross_entropy(labels, logits, smoothing):
    total = 0.0
    for label, row in zip(labels, logits, strict=True):
        norm = math.log(sum(math.exp(value) for value in row))
        for k, value in enumerate(row):
            target = (1 - smoothing) * (k == label) + smoothing / len(row)
            total -= target * (value - norm)
    return total / len(labels)


def cosine_distance(one, two):
    return 1 - sum(x * y for x, y in zip(one, two, strict=True)) / (math.hypot(*one) * math.hypot(*two))


def batch_hard_triplet(labels, embeddings, margin, distance="euclidean", both_sides=False):
    apart, losses = math.dist if distance == "euclidean" else cosine_distance, []
    for a, anchor in enumerate(embeddings):
        distances = [apart(anchor, other) for other in embeddings]
        positives = [(d, b) for b, d in enumerate(distances) if b != a and labels[b] == labels[a]]
        negatives = [(d, b) for b, d in enumerate(distances) if labels[b] != labels[a]]
        if not positives or not negatives:
            continue
        (far, positive), (near, negative) = max(positives), min(negatives)
        if both_sides:
            near = min(near, apart(embeddings[positive], embeddings[negative]))
        gap = far - near
        losses.append(math.log(1 + math.exp(gap)) if margin == "soft" else max(0.0, margin + gap))
    return sum(losses) / len(losses) if losses else 0.0


def weighted_triplet(labels, embeddings):
    losses = []
    for a, anchor in enumerate(embeddings):
        distances = [math.dist(anchor, other) for other in embeddings]
        positives = [d for b, d in enumerate(distances) if b != a and labels[b] == labels[a]]
        negatives = [d for b, d in enumerate(distances) if labels[b] != labels[a]]
        if positives and negatives:
            up, down = sum(map(math.exp, positives)), sum(math.exp(-d) for d in negatives)
            positive = sum(d * math.exp(d) / up for d in positives)
            negative = sum(d * math.exp(-d) / down for d in negatives)
            losses.append(math.log(1 + math.exp(positive - negative)))
    return sum(losses) / len(losses) if losses else 0.0


def circle(labels, embeddings, margin, scale):
    def cosine(one, two):
        return sum(x * y for x, y in zip(one, two, strict=True)) / (math.hypot(*one) * math.hypot(*two))

    losses = []
    for a, anchor in enumerate(embeddings):
        similar = [cosine(anchor, other) for other in embeddings]
        positives = [s for b, s in enumerate(similar) if b != a and labels[b] == labels[a]]
        negatives = [s for b, s in enumerate(similar) if labels[b] != labels[a]]
        if positives and negatives:
            pulled = sum(math.exp(-scale * max(0, 1 + margin - s) * (s - (1 - margin))) for s in positives)
            pushed = sum(math.exp(scale * max(0, s + margin) * (s - margin)) for s in negatives)
            losses.append(math.log(1 + pulled * pushed))
    return sum(losses) / len(losses) if losses else 0.0


def centre(labels, features, centres):
    """The mean squared distance to the own centre, and the centres after a step of their own rate."""
    total, moved = 0.0, [list(each) for each in centres]
    for label, row in zip(labels, features, strict=True):
        for k, value in enumerate(row):
            total += (value - centres[label][k]) ** 2
            moved[label][k] += (value - centres[label][k]) / len(labels)
    return total / len(labels), moved


def margin_logits(labels, features, weights, scale, margin, kind):
    """Logits of ArcFace (``kind="arc"``) or CosFace (``"cos"``)."""
    rows = []
    for label, feature in zip(labels, features, strict=True):
        row = []
        for k in range(len(weights[0])):
            column = [line[k] for line in weights]
            length = math.hypot(*feature) * math.hypot(*column)
            cosine = sum(x * y for x, y in zip(feature, column, strict=True)) / length
            if k == label:
                cosine = math.cos(math.acos(cosine) + margin) if kind == "arc" else cosine - margin
            row.append(scale * cosine)
        rows.append(row)
    return rows
