"""Reference implementation of the retrieval scores: plain Python loops, no code shared with gaaplib."""

from itertools import permutations
from math import comb, nan, sqrt


def ranked_relevance(distances, pid, gallery_pids, camid=None, gallery_camids=None):
    """One query's ranking without junk, nearest first, as booleans: whether the identity is right."""
    entries = []
    for index, distance in enumerate(distances):
        same = gallery_pids[index] == pid
        if same and camid is not None and gallery_camids[index] == camid:
            continue
        entries.append((distance, index, same))
    return [same for _, _, same in sorted(entries)]


def average_precision_step(relevance):
    precisions = []
    found = 0
    for rank, hit in enumerate(relevance, start=1):
        if hit:
            found += 1
            precisions.append(found / rank)
    return sum(precisions) / len(precisions)


def average_precision_trapezoid(relevance):
    """Market-1501's compute_AP.m, line by line."""
    total = sum(relevance)
    ap = old_recall = 0.0
    old_precision = 1.0
    found = 0
    for rank, hit in enumerate(relevance, start=1):
        if hit:
            found += 1
        recall = found / total
        precision = found / rank
        ap += (recall - old_recall) * ((old_precision + precision) / 2)
        old_recall, old_precision = recall, precision
    return ap


AVERAGE_PRECISION = {"step": average_precision_step, "trapezoid": average_precision_trapezoid}


def inverse_negative_penalty(relevance):
    ranks = [rank for rank, hit in enumerate(relevance, start=1) if hit]
    return len(ranks) / ranks[-1]


def matching_curve(relevance, max_rank):
    return [1.0 if any(relevance[:k]) else 0.0 for k in range(1, max_rank + 1)]


def evaluate(distances, query_pids, gallery_pids, query_camids, gallery_camids, ap, max_rank):
    """The means and the per-query lists, as a dictionary; NaN for a query without a match."""
    result = {"ap": [], "inp": [], "first_hit": [], "valid": []}
    curves = []
    for query, row in enumerate(distances):
        camid = None if query_camids is None else query_camids[query]
        relevance = ranked_relevance(row, query_pids[query], gallery_pids, camid, gallery_camids)
        valid = any(relevance)
        result["valid"].append(valid)
        result["ap"].append(AVERAGE_PRECISION[ap](relevance) if valid else nan)
        result["inp"].append(inverse_negative_penalty(relevance) if valid else nan)
        result["first_hit"].append(relevance.index(True) + 1 if valid else nan)
        if valid:
            curves.append(matching_curve(relevance, max_rank))

    def mean(values):
        return sum(values) / len(values) if values else nan

    result["mAP"] = mean([x for x, ok in zip(result["ap"], result["valid"], strict=True) if ok])
    result["mINP"] = mean([x for x, ok in zip(result["inp"], result["valid"], strict=True) if ok])
    result["cmc"] = [mean([curve[k] for curve in curves]) for k in range(max_rank)]
    return result


def chance(num_ranked, num_hits, ap, max_rank):
    """Expected (AP, INP, first hit, CMC) over all orders of a small gallery."""
    orders = set(permutations([True] * num_hits + [False] * (num_ranked - num_hits)))
    assert len(orders) == comb(num_ranked, num_hits)
    aps = [AVERAGE_PRECISION[ap](order) for order in orders]
    inps = [inverse_negative_penalty(order) for order in orders]
    first = [order.index(True) + 1 for order in orders]
    curves = [matching_curve(order, max_rank) for order in orders]
    n = len(orders)
    return (
        sum(aps) / n,
        sum(inps) / n,
        sum(first) / n,
        [sum(curve[k] for curve in curves) / n for k in range(max_rank)],
    )


def distance(a, b, metric):
    """Distance of two vectors."""
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    if metric == "cosine":
        return 1 - dot / sqrt(sum(x * x for x in a) * sum(y * y for y in b))
    return sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def single_shot_ranks(distances, query_pids, gallery_pids, query_camids, gallery_camids, draw_orders):
    """Ranks of each query's one match, by repeat; ``draw_orders`` numbers the gallery images in each repeat."""
    repeats = []
    for number in draw_orders:
        ranks = []
        for query, row in enumerate(distances):
            left = {}
            for column, pid in enumerate(gallery_pids):
                same = pid == query_pids[query]
                if same and query_camids is not None and gallery_camids[column] == query_camids[query]:
                    continue
                left.setdefault(pid, []).append((number[column], column))
            gallery = [(row[min(images)[1]], min(images)[1], pid) for pid, images in left.items()]
            hits = [pid == query_pids[query] for _, _, pid in sorted(gallery)]
            ranks.append(hits.index(True) + 1 if any(hits) else nan)
        repeats.append(ranks)
    return repeats
