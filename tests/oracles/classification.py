"""Reference implementation of the closed-set scores: plain Python loops, no code shared with gaaplib."""


def rank_of_right_class(scores, label):
    best_first = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    return best_first.index(label) + 1


def evaluate(scores, labels, max_rank):
    """The scores and the rank of each image, as a dictionary."""
    ranks = [rank_of_right_class(row, label) for row, label in zip(scores, labels, strict=True)]
    by_identity = {}
    for rank, label in zip(ranks, labels, strict=True):
        by_identity.setdefault(label, []).append(rank == 1)
    accuracies = [sum(right) / len(right) for right in by_identity.values()]
    return {
        "rank": ranks,
        "mRA": sum(accuracies) / len(accuracies),
        "micro_accuracy": sum(rank == 1 for rank in ranks) / len(ranks),
        "mAP": sum(1 / rank for rank in ranks) / len(ranks),
        "cmc": [sum(rank <= k for rank in ranks) / len(ranks) for k in range(1, max_rank + 1)],
        "num_identities": len(by_identity),
    }
