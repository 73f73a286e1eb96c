"""Scores of finished runs: one table of all, runs side by side, and paired differences with intervals."""

from pathlib import Path

import numpy as np
import pandas as pd

from gaaplib.config import SYNTHETIC, RunConfig, check_known
from gaaplib.evaluation import statistics
from gaaplib.runs.content import WITHOUT_SCORES
from gaaplib.runs.folder import finished
from gaaplib.runs.provenance import is_current

RANKS = (1, 5, 10, 20)

COLUMNS = (
    *("alias", "run_id", "status", "data", "folder", "method", "backbone", "attention", "pooling"),
    *("profile", "settings", "fold", "seed", "ap", "queries", "closed_mRA", "closed_cmc1"),
    *("retrieval_cmc1", "retrieval_mAP", "retrieval_mINP", "seconds", "synthetic", "current"),
)
"""Columns of :func:`table`."""

SHORT = {"mRA": "closed_mRA", "rank-1": "retrieval_cmc1", "mAP": "retrieval_mAP"}
"""What :func:`as_text` calls the scores."""


def table(outputs=None, filters=()):
    """One row per finished run: what it was, and its headline metrics as fractions; NaN if there is none.

    Columns name their protocol: ``closed_*`` are softmax scores on unseen images of training identities,
    ``retrieval_*`` rank unseen identities, with the AP convention in ``ap``. ``alias`` is the shortest beginning of the
    run_id's hash that no other run has, at least three digits; :func:`gaaplib.runs.find` understands it. ``settings``
    are those that differ from the profile, ``folder`` holds the images, ``current`` tells whether it is up to date.

    Args:
        outputs: folder with ``runs/``; None: :func:`gaaplib.project.outputs_folder`.
        filters: texts ``"name=value"`` that all have to fit; a column or any setting of a run, such as ``"alpha=0.5"``.
            Numbers are compared as numbers. ``data`` is the column, or the setting: ``synthetic`` or the folder.

    Raises:
        ValueError: a filter without ``=`` or of an unknown name.
    """
    wanted = [_parsed_filter(text) for text in filters]
    found = finished(outputs)
    aliases = _aliases([run.folder.name for run in found])
    rows = []
    for run, alias in zip(found, aliases, strict=True):
        metrics = run.metrics
        row = _row(metrics, alias)
        known = metrics["config"] | row
        if all(_fits(value, known[name]) or _is_folder(name, value, row["folder"]) for name, value in wanted):
            rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def data_name(metrics):
    """What tables call the images of a run: its data set, or the folder of other photographs in a data set's layout.

    The layout is part of the run's own name. Photographs of PKU-Reid in Market-1501's layout, in ``data/pku``, are
    ``pku``, and ``pku-from-cuhk03`` if the model was trained on CUHK03.

    Args:
        metrics: ``metrics`` of a :class:`gaaplib.runs.Run`.
    """
    noted, config = metrics["data"], metrics["config"]
    name, dataset = noted["name"], config["dataset"]
    if config["data"] == SYNTHETIC or dataset == "folder" or noted.get("as_published", True):
        return name
    return Path(config["data"]).name + name.removeprefix(dataset)


def _parsed_filter(text):
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"filter {text!r}: expected NAME=VALUE, such as backbone=resnet18")
    check_known("filter", name, dict.fromkeys([*COLUMNS, *RunConfig.__annotations__]))
    return name, value


def _fits(value, known):
    """Whether a filter's text is what a run has: the same text, or the same number, so that .5 is 0.5."""
    if isinstance(known, bool) or not isinstance(known, int | float):
        return str(known) == value
    try:
        return float(value) == known
    except ValueError:
        return False


def _is_folder(name, value, folder):
    """Whether a filter names the images by the setting ``data``, whose name is that of another column, too."""
    return name == "data" and folder in (value, str(Path(value).expanduser().absolute()))


def _aliases(run_ids):
    hashes = [run_id.rpartition("_")[2] for run_id in run_ids]
    return [next(_unique_beginnings(own, hashes), own) for own in hashes]


def _unique_beginnings(own, hashes):
    for length in range(3, len(own) + 1):
        if sum(other.startswith(own[:length]) for other in hashes) == 1:
            yield own[:length]


def _row(metrics, alias):
    config = RunConfig(**metrics["config"])
    closed, retrieval = metrics["closed"] or {}, metrics["retrieval"] or {}
    settings = {name: value for name, value in config.changes().items() if name not in COLUMNS}
    values = config.to_dict()
    if config.method == "external":
        # The file is the network; the settings of ours say nothing about it.
        values |= {"backbone": Path(config.weights).name, "attention": "", "pooling": ""}
    return {
        **{name: value for name, value in values.items() if name in COLUMNS},
        "alias": alias,
        "run_id": metrics["run_id"],
        "status": metrics["status"],
        "data": data_name(metrics),
        "folder": config.data,
        "settings": " ".join(f"{name}={value}" for name, value in settings.items()),
        "queries": retrieval.get("num_valid_queries"),
        "closed_mRA": closed.get("mRA"),
        "closed_cmc1": closed.get("cmc1"),
        "retrieval_cmc1": retrieval.get("cmc1"),
        "retrieval_mAP": retrieval.get("mAP"),
        "retrieval_mINP": retrieval.get("mINP"),
        "seconds": sum(metrics["provenance"]["seconds"].values()),
        "synthetic": metrics["data"]["synthetic"],
        "current": is_current(metrics),
    }


def ordered(results, column):
    """Rows of :func:`table` sorted by a column, or by a key of ``SHORT``: scores from the highest, the rest ascending.

    Raises:
        ValueError: an unknown column.
    """
    check_known("sort", column, [*SHORT, *COLUMNS])
    column = SHORT.get(column, column)
    return results.sort_values(column, ascending=column not in SHORT.values(), kind="stable")


def as_text(results, width=120):
    """Rows of :func:`table` for a terminal: long names are cut so that no line exceeds ``width``."""
    shown = _cells(results)
    numbers = {"fold", "seed", "queries", *SHORT}
    widths = {name: max(len(name), *map(len, cells)) for name, cells in shown.items()}
    while sum(widths.values()) + 2 * (len(widths) - 1) > width:
        words = [name for name in widths if name not in numbers]
        # The settings give way first: --csv has them in full.
        first = [name for name in ("settings", "folder") if widths.get(name, 0) > 15]
        widths[max(first or words, key=widths.get)] -= 1
    rows = [list(shown), *zip(*shown.values(), strict=True)]
    lines = [
        "  ".join(_fitted(cell, size, name in numbers) for cell, (name, size) in zip(row, widths.items(), strict=True))
        for row in rows
    ]
    lines = [line.rstrip() for line in lines]
    lines.append("Fractions. mRA: closed protocol, training identities; the others: retrieval of unseen identities.")
    return "\n".join([*lines, *(["*: measured on synthetic images."] if results.synthetic.any() else [])])


def _cells(results):
    """The columns of :func:`as_text` as texts; those that say nothing are left out."""
    data = [f"*{row.data.replace(f'{SYNTHETIC}-', '')}" if row.synthetic else row.data for row in results.itertuples()]
    shown = {"alias": results.alias, "data": data}
    shown["model"] = results[["method", "backbone", "attention", "pooling"]].agg(" ".join, axis=1)
    shown["settings"] = results.profile.replace("demo", "").str.cat(results.settings, sep=" ").str.strip()
    shown |= {"fold": results.fold.astype(str), "seed": results.seed.astype(str)}
    shown["queries"] = [f"{value:.0f}" if value == value else "-" for value in results.queries.astype(float)]
    for name, column in SHORT.items():
        shown[name] = [f"{value:.3f}" if value == value else "-" for value in results[column].astype(float)]
    shown["folder"] = results.folder.replace(SYNTHETIC, "")
    notes = results.status.where(results.current, results.status + ", out of date").replace("done", "")
    shown["note"] = notes.str.removeprefix("done, ")
    return {name: list(cells) for name, cells in shown.items() if any(cells)}


def _fitted(cell, width, right):
    cell = cell if len(cell) <= width else cell[: width - 1] + "\u2026"
    return cell.rjust(width) if right else cell.ljust(width)


def compare(named):
    """Retrieval scores of runs side by side, chance first, with 95 % intervals.

    Args:
        named: ``{name: Run}``, all on the same queries.

    Returns:
        A DataFrame of words: a row for chance and for each run, columns ``CMC(1)``, ``CMC(5)``, ``mAP`` and ``mINP``.
        Intervals are bootstrap percentiles over the valid queries that resample whole identities.

    Raises:
        ValueError: a run has no scores because it diverged or collapsed.
    """
    return _side_by_side(named, "retrieval")


def compare_closed(named):
    """Scores of the closed protocol side by side, chance first, with 95 % intervals.

    Args:
        named: ``{name: Run}``, all on the same images.

    Returns:
        As :func:`compare`, with columns ``mRA``, ``CMC(1)``, ``CMC(5)`` and ``mAP``. Intervals are bootstrap
        percentiles that resample whole identities; mRA is a mean over identities.

    Raises:
        ValueError: a run has no closed protocol, diverged or collapsed.
    """
    return _side_by_side(named, "closed")


def interval(run, protocol, title):
    """A score of a run with its 95 % bootstrap interval, as :func:`compare` and :func:`compare_closed` give it.

    Args:
        run: one that has scores of this protocol.
        protocol: ``"retrieval"`` or ``"closed"``.
        title: a key of ``MEASURES`` or ``CLOSED_MEASURES``.
    """
    return statistics.bootstrap_mean(*values(run, protocol, title))


def values(run, protocol, title):
    """What a score is the mean of, (n,), and the identity of each value; None if each value is of its own identity.

    Args:
        run, protocol, title: as for :func:`interval`.
    """
    if protocol == "closed":
        return CLOSED_MEASURES[title][1](run.per_image)
    queries = run.per_query
    valid = queries["valid"]
    return MEASURES[title][1](queries)[valid], queries["pid"][valid]


def _side_by_side(named, protocol):
    measures = PROTOCOLS[protocol]
    for name, run in named.items():
        if run.metrics[protocol] is None:
            status = run.metrics["status"]
            why = f"has {status}" if status in WITHOUT_SCORES else f"has no {protocol} protocol"
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
    check_same(run, other, protocol)
    (one, groups), (two, _) = values(run, protocol, title), values(other, protocol, title)
    return statistics.paired_difference(one, two, groups)


def check_same(run, other, protocol):
    """Raise a ValueError if two runs were not scored on the same queries, or images of the closed protocol."""
    same = ("pid", "camid", "row", "valid") if protocol == "retrieval" else ("pid", "row")
    one, two = ((each.per_query if protocol == "retrieval" else each.per_image) for each in (run, other))
    if not all(np.array_equal(one[name], two[name]) for name in same):
        what = "queries" if protocol == "retrieval" else "images"
        raise ValueError(f"{run.folder.name} and {other.folder.name} were not scored on the same {what}")


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
