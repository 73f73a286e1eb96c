"""Results of methods side by side: from the paper's Table IV, from the methods' own papers, and measured here."""

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from gaaplib import runs
from gaaplib.datasets import trained_on
from gaaplib.evaluation import statistics
from gaaplib.project import tables_folder

WAYS = ("the paper's Table IV", "the method's own paper", "measured here")
PRINTED, OWN, HERE = WAYS
"""Where a number comes from: Table IV, the method's own paper, runs here on photographs."""

TABLE_4_NAMES = {
    "vpm": "PLF",
    "hmbn": "TLE",
    "mebnet": "MEB-Net",
    "han": "HAN's stand-in HA-CNN",
    "udaml": "UDAML's stand-in",
    "gml": "GML's stand-in",
}
"""The methods here that Table IV calls otherwise. A stand-in is no row of it: nothing was found of the original."""

RESULTS = [
    *("method", "dataset", "rank1", "rank1_low", "rank1_high", "mAP", "mAP_low", "mAP_high"),
    *("height", "width", "pretraining", "ap", "synthetic", "source"),
]
"""Columns of ``our_results.csv``, which has one row per result."""


def own_results(path=None):
    """Return the rows that users added to ``our_results.csv``, after checking them.

    Args:
        path: another file with the same columns; None: ``data/our_results.csv``.

    Raises:
        ValueError: a column is missing, a method or data set is empty, or a score is not a fraction; the message names
            file, line and value.
    """
    path = path or tables_folder() / "our_results.csv"
    table = pd.read_csv(path)
    missing = [name for name in RESULTS if name not in table]
    if missing:
        raise ValueError(f"{path} lacks the column {', '.join(missing)}; expected {', '.join(RESULTS)}")
    unnamed = np.flatnonzero(table[["method", "dataset"]].isna().any(axis=1))
    if unnamed.size:
        raise ValueError(f"{path}, line {unnamed[0] + 2}: method or dataset is empty; every result needs both")
    for name in RESULTS[2:8]:
        values = pd.to_numeric(table[name], errors="coerce")
        bad = np.flatnonzero(table[name].notna() & ~values.between(0, 1))
        if bad.size:
            value = table[name][bad[0]]
            raise ValueError(
                f"{path}, line {bad[0] + 2}: {name} is {value}; expected a fraction, such as 0.945 for 94.5 %"
            )
    return table[RESULTS]


def comparable(found):
    """Return the runs that can be compared with published results: scored, and trained as other papers train.

    That is on all images of the training identities (``training_images="all"``), and of the data set itself or, for
    Partial-iLIDS, of Market-1501.

    Args:
        found: runs, as returned by :func:`gaaplib.runs.finished`.
    """
    return [
        run
        for run in found
        if run.metrics["retrieval"] is not None
        and run.config.training_images == "all"
        and run.config.train_dataset == trained_on(run.config.dataset)
    ]


def measured(found):
    """Return the rank-1 and mAP of the :func:`comparable` runs (retrieval protocol) in the form of ``our_results.csv``.

    A single run of a kind has bootstrap intervals over its queries. Several runs (folds, seeds) are averaged, with a
    t interval over the runs. Photographs whose counts differ from the published ones are listed as another data set.

    Args:
        found: runs, as returned by :func:`gaaplib.runs.finished`.
    """
    kinds = {}
    for run in comparable(found):
        kinds.setdefault(_kind(run.config, run.metrics["data"]["as_published"]), []).append(run)
    rows = []
    for kind, members in sorted(kinds.items()):
        scores = [*_scores(members, "CMC(1)"), *_scores(members, "mAP")]
        source = members[0].folder.name if len(members) == 1 else f"{len(members)} runs"
        rows.append((*kind[:2], *scores, *kind[2:], source))
    return pd.DataFrame(rows, columns=RESULTS)


def _kind(config, as_published):
    """The values that runs share if they differ only in fold and seed, in the order of ``RESULTS``."""
    changes = [f"{name}={value}" for name, value in config.changes().items() if name not in _NAMED]
    elsewhere = config.method == "external"
    model = [] if config.method == "histogram" else [config.backbone, config.attention, config.pooling]
    model = [Path(config.weights).stem] if elsewhere else model
    precision = [] if config.precision == "float32" else [config.precision]
    name = " ".join([_method(config), *model, config.profile, *changes, *precision])
    weights = "trained elsewhere" if elsewhere else config.weights or "from scratch"
    setting = (config.height, config.width, weights, config.ap)
    return name, _name_of_data(config, as_published), *setting, config.is_synthetic


def _method(config):
    """The method's name in tables: GAAP without its block is plain softmax."""
    if not is_ablation(config):
        return config.method
    return "softmax" if (config.attention, config.pooling) == ("none", "avg") else "ablation"


def is_ablation(config):
    """Whether a run is of GAAP, but not of the paper's: the block of Eq. 4, average pooling, and no other change."""
    changed = [name for name in config.changes() if name not in _NAMED]
    return config.method == "gaap" and (config.attention != "class" or config.pooling != "avg" or bool(changed))


def _name_of_data(config, as_published):
    # A part of a data set, or other photographs in its layout, cannot be compared with published results on it.
    other = "" if config.is_synthetic or as_published else ", other images"
    # A model for Partial-iLIDS is always trained on Market-1501, so the name leaves that out.
    return config.data_name.split("-from-")[0] + other


def row_of(guest):
    """Return the line of ``our_results.csv`` for a method from elsewhere, as a dict; size and pre-training stay empty.

    Args:
        guest: :class:`gaaplib.runs.guests.Guest`.
    """
    config, data = guest.run.config, guest.run.metrics["data"]
    found = dict.fromkeys(RESULTS) | {"method": guest.name, "dataset": _name_of_data(config, data["as_published"])}
    for key, title in (("rank1", "CMC(1)"), ("mAP", "mAP")):
        value = guest.interval(title)
        found |= {key: value.estimate, f"{key}_low": value.low, f"{key}_high": value.high}
    return found | {"ap": config.ap, "synthetic": config.is_synthetic, "source": f"beside {guest.run.folder.name}"}


# Fields that the method's name or another column already shows, and those that results are averaged over.
_NAMED = ("method", "attention", "pooling", "height", "width", "weights", "ap", "fold", "seed", "training_images")


def three_ways(dataset, measure, table_4, published, results):
    """Return one data set's numbers from Table IV, from the methods' own papers, and measured here.

    Args:
        dataset: such as ``"market1501"``. Results on its synthetic twin are left out: they compare with none of these.
        measure: ``"rank1"``, which Table IV prints as CMC, or ``"mAP"``, which Table IV does not have.
        table_4, published, results: the tables ``paper_table_4``, ``published_methods`` and ``our_results``.

    Returns:
        A DataFrame with one row per number, in Table IV's order and then further methods: ``method``, ``way``,
        ``value``, ``low``, ``high``, ``protocol`` (as far as known, as text) and ``source``.
    """
    printed = table_4[(table_4.dataset == dataset) & (table_4.metric == "CMC") & (measure == "rank1")]
    own = published[(published.dataset == dataset) & (published.measure == measure)].dropna(subset="value")
    here = results[(results.dataset == dataset) & ~_are_synthetic(results)].dropna(subset=measure)
    rows = [
        (row.method, PRINTED, row.value, *[math.nan] * 2, "as printed", "Table IV, CMC") for row in printed.itertuples()
    ]
    for row in own.itertuples():
        known = f"{row.variant}, {_setting(row)}; {row.confidence}"
        rows.append((row.method, OWN, row.value, *[math.nan] * 2, known, row.paper))
    names = {name.casefold(): name for name in table_4.method}
    for row in here.to_dict("records"):
        first, *rest = row["method"].split()
        called = TABLE_4_NAMES.get(first, first)
        method = names.get(called.casefold(), called)
        known = ", ".join([*rest, _setting(pd.Series(row)), "AP " + _known(row["ap"], "convention")])
        rows.append((method, HERE, row[measure], row[f"{measure}_low"], row[f"{measure}_high"], known, row["source"]))
    found = pd.DataFrame(rows, columns=["method", "way", "value", "low", "high", "protocol", "source"])
    order = {name: index for index, name in enumerate(names.values())}
    return found.sort_values("method", key=lambda column: column.map(order), kind="stable", ignore_index=True)


def on_partial_ilids(found, published):
    """Return rank-1 and rank-3 of models trained on Market-1501 and tested on Partial-iLIDS, as text.

    Args:
        found: runs; those that are :func:`comparable` are listed, with their 95 % intervals.
        published: the table ``published_methods``.

    Returns:
        A DataFrame with the index ``method`` and the columns ``rank-1``, ``rank-3``, ``images`` and ``source``.
    """
    ranks = {"rank-1": 1, "rank-3": 3}
    rows = []
    for run in comparable(found):
        config = run.config
        if (config.dataset, config.train_dataset) == ("partial_ilids", "market1501"):
            queries, valid = run.per_query, run.per_query["valid"]
            hits, groups = queries["first_hit"][valid], queries["pid"][valid]
            scores = {title: str(statistics.bootstrap_mean(hits <= rank, groups)) for title, rank in ranks.items()}
            images = "synthetic" if config.is_synthetic else "photographs"
            name, *_ = _kind(config, run.metrics["data"]["as_published"])
            rows.append({"method": f"{name} seed {config.seed}", **scores, "images": images, "source": "measured here"})
    listed = published[published.dataset == "partial_ilids"].dropna(subset="value")
    for name, figures in listed.groupby("variant", sort=False):
        values = figures.set_index("measure").value.map("{:.3f}".format)
        scores = {title: values.get(f"rank{rank}", "") for title, rank in ranks.items()}
        source = f"another source: {figures.seen_in.iloc[0]}"
        rows.append({"method": name, **scores, "images": "photographs", "source": source})
    return pd.DataFrame(rows, columns=["method", *ranks, "images", "source"]).set_index("method")


def side_by_side(figures):
    """Return the numbers of :func:`three_ways` with one row per method and one column per way.

    Of several numbers the first is shown; a missing one is NaN.
    """
    table = figures.groupby(["method", "way"], sort=False).value.first().unstack("way")
    return table.reindex(index=figures.method.unique(), columns=[way for way in WAYS if way in table])


def against_own_papers(sides):
    """Return two sentences: how far Table IV is from the methods' own papers, and what GAAP exceeds by either.

    Args:
        sides: table of :func:`side_by_side`, of rank-1 on Market-1501.
    """
    both = sides[[PRINTED, OWN]].dropna()
    gap = both[PRINTED] - both[OWN]
    alike = both.corr("spearman").iloc[0, 1]
    gaap = sides.loc["GAAP", PRINTED]
    printed, own = (both < gaap).sum()
    below = (gap < 0).sum()
    return [
        f"Market-1501, rank-1: Table IV is below the method's own paper for {below} of {len(both)} methods, by "
        f"{-gap.max():.3f} to {-gap.min():.3f}; Spearman's correlation of the two orders is {alike:.2f} (1: the same)",
        f"GAAP's {gaap:.3f} is above {printed} of these {len(both)} by the numbers in Table IV, and above {own} by "
        "those in their own papers",
    ]


def in_short(results):
    """Return the results as text, those on photographs first: rank-1 and mAP with their intervals, and the protocol.

    ``mean of`` has the number of runs if there are several, over which the interval then is.

    Args:
        results: DataFrame with the columns ``RESULTS``.
    """
    found = results.assign(synthetic=_are_synthetic(results))
    found = found.sort_values(["synthetic", "dataset", "mAP"], ascending=[True, True, False])
    rows = found.to_dict("records")
    shown = {title: [_in_brackets(row, key) for row in rows] for title, key in (("rank-1", "rank1"), ("mAP", "mAP"))}
    size = [_size(pd.Series(row)) for row in rows]
    several = [source if str(source).endswith(" runs") else "" for source in found.source]
    columns = shown | {"mean of": several, "size": size, "AP": found.ap.to_numpy()}
    return pd.DataFrame(columns, index=[found.dataset, found.method])


def _in_brackets(row, key):
    """A value and its interval as text; without the interval, or empty, if it is not known."""
    value, low, high = row[key], row[f"{key}_low"], row[f"{key}_high"]
    if pd.isna(value):
        return ""
    return f"{value:.3f}" if pd.isna(low) else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _are_synthetic(results):
    # Users write "true" in their own way.
    return results.synthetic.astype(str).str.casefold() == "true"


def _setting(row):
    """Image size and pre-training, as far as they are known."""
    if _size(row) == "size unknown" and pd.isna(row.pretraining):
        return "size and pre-training unknown"
    return f"{_size(row)}, {_known(row.pretraining, 'pre-training')}"


def _size(row):
    return "size unknown" if pd.isna(row.height) or pd.isna(row.width) else f"{row.height:.0f} x {row.width:.0f}"


def _known(value, what):
    return f"{what} unknown" if pd.isna(value) else str(value)


def _scores(members, title):
    """The value, and the low and high end of its interval."""
    key, value = runs.MEASURES[title]
    if len(members) == 1:
        queries = members[0].per_query
        found = statistics.bootstrap_mean(value(queries)[queries["valid"]], queries["pid"][queries["valid"]])
        return found.estimate, found.low, found.high
    spread = statistics.mean_and_spread([run.metrics["retrieval"][key] for run in members])
    # With few runs that differ a lot, the t interval can leave the range of a fraction.
    return spread.mean, max(spread.low, 0.0), min(spread.high, 1.0)


@dataclass(frozen=True)
class Comparison:
    """Methods compared across data sets.

    Attributes:
        sentence: the result of the tests, or why there is no test.
        ranks: mean rank of each method, 1 the best, as a Series.
        pairs: DataFrame of ``one``, ``two`` and ``p`` (Wilcoxon, Holm-corrected); empty without a test.
        alpha: significance level of the tests.
    """

    sentence: str
    ranks: pd.Series
    pairs: pd.DataFrame
    alpha: float


def compare_methods(scores, alpha=0.05):
    """Return a :class:`Comparison`: Friedman's test over data sets, then Wilcoxon's for each pair, Holm-corrected.

    Source: J. Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 2006; A. Benavoli et al.,
    "Should We Really Use Post-Hoc Tests Based on Mean-Ranks?", JMLR 2016. With n data sets the smallest two-sided
    p-value of the signed-rank test is ``2 / 2 ** n``; if that is above ``alpha``, nothing is tested.

    Args:
        scores: DataFrame with one row per method and one column per data set, higher is better; methods without a score
            on every data set are left out.
        alpha: significance level of the tests.

    Example:
        >>> print(compare_methods(pd.DataFrame(np.eye(2, 9))).sentence)
        No test: 2 methods have scores on all 9 data sets; a comparison needs at least 3 methods.
    """
    complete = scores.dropna()
    ranks = complete.rank(ascending=False).mean(axis=1).sort_values(kind="stable")
    methods, sets = complete.shape
    nothing = pd.DataFrame(columns=["one", "two", "p"])
    smallest = 2 / 2**sets
    why = f"{methods} methods have scores on all {sets} data sets"
    if methods < 3:
        return Comparison(f"No test: {why}; a comparison needs at least 3 methods.", ranks, nothing, alpha)
    if smallest > alpha:
        why += f", and no paired test on so few can give a p-value below {smallest:.3g} (significance level {alpha:g})"
        return Comparison(f"No test: {why}.", ranks, nothing, alpha)
    p_friedman = stats.friedmanchisquare(*complete.to_numpy()).pvalue
    two_by_two = list(itertools.combinations(ranks.index, 2))
    raw = [stats.wilcoxon(complete.loc[a], complete.loc[b], method="exact").pvalue for a, b in two_by_two]
    pairs = pd.DataFrame(two_by_two, columns=["one", "two"]).assign(p=_holm(raw))
    sentence = f"Friedman's test of {methods} methods on {sets} data sets: p = {p_friedman:.3g}. "
    sentence += f"{(pairs.p < alpha).sum()} of {len(pairs)} pairs differ at level {alpha:g} (Wilcoxon, Holm)."
    return Comparison(sentence, ranks, pairs, alpha)


def _holm(p_values):
    """Holm-corrected p-values: the k-th smallest of m is multiplied by (m - k + 1), kept monotone, and at most 1."""
    order = np.argsort(p_values)
    factors = len(p_values) - np.arange(len(p_values))
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(np.asarray(p_values)[order] * factors), 1)
    return corrected
