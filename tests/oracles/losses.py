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


def batch_hard_triplet(labels, embeddings, margin):
    losses = []
    for a, anchor in enumerate(embeddings):
        distances = [math.dist(anchor, other) for other in embeddings]
        positives = [d for b, d in enumerate(distances) if b != a and labels[b] == labels[a]]
        negatives = [d for b, d in enumerate(distances) if labels[b] != labels[a]]
        if not positives or not negatives:
            continue
        gap = max(positives) - min(negatives)
        losses.append(math.log(1 + math.exp(gap)) if margin == "soft" else max(0.0, margin + gap))
    return sum(losses) / len(losses) if losses else 0.0
