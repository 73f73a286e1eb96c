"""Scores of finished runs: one table of all, runs side by side, and paired differences with intervals."""

import numpy as np
import pandas as pd

from gaaplib.evaluation import statistics
from gaaplib.runs.folder import finished

RANKS = (1, 5, 10, 20)


def table(outputs=None):
    """One row a finished run: what it was, and its headline metrics as fractions; NaN where there is none.

    Columns name their protocol: ``closed_*`` are softmax scores on unseen images of trained identities,
    ``retrieval_*`` are unseen identities, with the AP convention in ``ap``.
    """
    return pd.DataFrame([_row(run.metrics) for run in finished(outputs)], columns=COLUMNS)


def compare(named):
    """Retrieval scores of runs side by side, chance first, with 95 % intervals.

    Args:
        named: ``{name: Run}``, all on the same queries.

    Returns:
        A DataFrame of words: a row for chance and for each run, columns ``CMC(1)``, ``CMC(5)``, ``mAP`` and ``mINP``.
        Intervals are bootstrap percentiles over the valid queries, an identity's queries drawn together.

    Raises:
        ValueError: a run diverged and has no scores.
    """
    return _side_by_side(named, "retrieval")


def compare_closed(named):
    """Scores of the closed protocol side by side, chance first, with 95 % intervals.

    Args:
        named: ``{name: Run}``, all on the same images.

    Returns:
        As :func:`compare`, with columns ``mRA``, ``CMC(1)``, ``CMC(5)`` and ``mAP``. Intervals are bootstrap
        percentiles over the identities, an identity's images drawn together; mRA is a mean over identities.

    Raises:
        ValueError: a run has no closed protocol, or diverged.
    """
    return _side_by_side(named, "closed")


def interval(run, protocol, title):
    """A score of a run with its 95 % bootstrap interval, as :func:`compare` and :func:`compare_closed` give it.

    Args:
        run: one that has scores of this protocol.
        protocol: ``"retrieval"`` or ``"closed"``.
        title: a key of ``MEASURES`` or ``CLOSED_MEASURES``.
    """
    values, groups = _values(run, protocol, title)
    return statistics.bootstrap_mean(values, groups)


def _values(run, protocol, title):
    """What a score is the mean of, and the identity of each value."""
    if protocol == "closed":
        return CLOSED_MEASURES[title][1](run.per_image)
    queries = run.per_query
    valid = queries["valid"]
    return MEASURES[title][1](queries)[valid], queries["pid"][valid]


def _side_by_side(named, protocol):
    measures = PROTOCOLS[protocol]
    for name, run in named.items():
        if run.metrics[protocol] is None:
            why = "diverged" if run.metrics["status"] == "diverged" else f"has no {protocol} protocol"
            raise ValueError(f"{name} ({run.folder.name}) {why}: it has no {protocol} scores to compare")
    chance = next(iter(named.values())).metrics[protocol]["chance"]
    rows = {"chance": {title: f"{chance[key]:.3f}" for title, (key, _) in measures.items()}}
    for name, run in named.items():
        rows[name] = {title: str(interval(run, protocol, title)) for title in measures}
    return pd.DataFrame(rows).T


def cmc(run, max_rank=20):
    """CMC(1) to CMC(max_rank) of the retrieval protocol, as an array of fractions."""
    first_hits = run.per_query["first_hit"][run.per_query["valid"]]
    return np.array([(first_hits <= rank).mean() for rank in range(1, max_rank + 1)])


def difference(run, other, title="mAP", protocol="retrieval"):
    """How far a run is ahead of another on the same queries: a paired :class:`gaaplib.evaluation.statistics.Interval`.

    Args:
        title: a key of ``MEASURES``; of ``CLOSED_MEASURES`` for the closed protocol, on the same images.
        protocol: ``"retrieval"`` or ``"closed"``.

    Raises:
        ValueError: the runs do not have the same queries, or images.
    """
    same = ("pid", "camid", "row", "valid") if protocol == "retrieval" else ("pid", "row")
    one, two = ((each.per_query if protocol == "retrieval" else each.per_image) for each in (run, other))
    if not all(np.array_equal(one[name], two[name]) for name in same):
        what = "queries" if protocol == "retrieval" else "images"
        raise ValueError(f"{run.folder.name} and {other.folder.name} were not scored on the same {what}")
    (values, groups), (others, _) = _values(run, protocol, title), _values(other, protocol, title)
    return statistics.paired_difference(values, others, groups)


# Title: the key in metrics.json, and the value of each query.
MEASURES = {
    "CMC(1)": ("cmc1", lambda queries: queries["first_hit"] <= 1),
    "CMC(5)": ("cmc5", lambda queries: queries["first_hit"] <= 5),
    "mAP": ("mAP", lambda queries: queries["ap"]),
    "mINP": ("mINP", lambda queries: queries["inp"]),
}


def _identity_means(images):
    """The top-1 accuracy of each identity, which mRA averages, and a group for each."""
    identity, sizes = np.unique(images["pid"], return_inverse=True, return_counts=True)[1:]
    return np.bincount(identity, weights=images["rank"] == 1) / sizes, None


# Title: the key in metrics.json, and the values that it averages, with their groups.
CLOSED_MEASURES = {
    "mRA": ("mRA", _identity_means),
    "CMC(1)": ("cmc1", lambda images: (images["rank"] <= 1, images["pid"])),
    "CMC(5)": ("cmc5", lambda images: (images["rank"] <= 5, images["pid"])),
    "mAP": ("mAP", lambda images: (1 / images["rank"], images["pid"])),
}


PROTOCOLS = {"retrieval": MEASURES, "closed": CLOSED_MEASURES}


COLUMNS = (
    *("run_id", "status", "data", "method", "backbone", "attention", "pooling", "fold", "seed"),
    *("profile", "ap", "closed_mRA", "closed_cmc1"),
    *("retrieval_cmc1", "retrieval_mAP", "retrieval_mINP", "seconds", "synthetic"),
)


def _row(metrics):
    config = metrics["config"]
    closed, retrieval = metrics["closed"] or {}, metrics["retrieval"] or {}
    return {
        **{name: config[name] for name in COLUMNS if name in config},
        "run_id": metrics["run_id"],
        "status": metrics["status"],
        "data": metrics["data"]["name"],
        "synthetic": metrics["data"]["synthetic"],
        "closed_mRA": closed.get("mRA"),
        "closed_cmc1": closed.get("cmc1"),
        "retrieval_cmc1": retrieval.get("cmc1"),
        "retrieval_mAP": retrieval.get("mAP"),
        "retrieval_mINP": retrieval.get("mINP"),
        "seconds": sum(metrics["provenance"]["seconds"].values()),
    }
