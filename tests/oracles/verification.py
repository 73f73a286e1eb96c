"""Reference implementation of accept rates: loops over all thresholds, no code shared with gaaplib."""

from math import inf


def trials(distances, query_pids, gallery_pids, query_camids, gallery_camids):
    """The distances of the genuine and of the impostor pairs."""
    genuine, impostor = [], []
    for query, row in enumerate(distances):
        for column, distance in enumerate(row):
            if query_pids[query] != gallery_pids[column]:
                impostor.append(distance)
            elif query_camids is None or query_camids[query] != gallery_camids[column]:
                genuine.append(distance)
    return genuine, impostor


def share(distances, threshold):
    return sum(distance <= threshold for distance in distances) / len(distances)


def best_at(genuine, impostor, false_accept_rate):
    """The largest share of accepted genuine trials over all thresholds, and its threshold."""
    best = (0.0, -inf)
    for threshold in sorted({*genuine, *impostor}):
        if share(impostor, threshold) <= false_accept_rate and share(genuine, threshold) > best[0]:
            best = (share(genuine, threshold), threshold)
    return best


def equal_error_rate(genuine, impostor):
    thresholds = [-inf, *genuine, *impostor]
    return min(max(share(impostor, t), 1 - share(genuine, t)) for t in thresholds)


def open_set_trials(distances, query_pids, gallery_pids, query_camids, gallery_camids):
    """(rank, distance) of each mated query's nearest match, and the nearest distance of each unmated query."""
    mated, unmated = [], []
    for query, row in enumerate(distances):
        if query_pids[query] not in gallery_pids:
            unmated.append(min(row))
            continue
        ranked = []
        for column, distance in enumerate(row):
            same = gallery_pids[column] == query_pids[query]
            junk = same and query_camids is not None and gallery_camids[column] == query_camids[query]
            if not junk:
                ranked.append((distance, column, same))
        for rank, (distance, _, same) in enumerate(sorted(ranked), start=1):
            if same:
                mated.append((rank, distance))
                break
    return mated, unmated


def detection_rate(mated, unmated, rank, false_alarm_rate):
    """The largest detection and identification rate with at most this false alarm rate."""
    best = 0.0
    for threshold in sorted({distance for _, distance in mated} | set(unmated)):
        if share(unmated, threshold) <= false_alarm_rate:
            rate = sum(own <= rank and distance <= threshold for own, distance in mated) / len(mated)
            best = max(best, rate)
    return best
