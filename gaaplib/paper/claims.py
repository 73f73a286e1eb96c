"""The paper's claims tested one by one, with pairs of runs that differ only in the factor a claim is about.

The claims are rows of ``data/claims.csv``. The paper's own data sets decide them, and some are decided by arithmetic on
the printed cells. Photographs that are not the paper's have a verdict of their own. Results on synthetic images are
shown, and decide nothing.
"""

import math

import pandas as pd

from gaaplib import runs
from gaaplib.config import SYNTHETIC, RunConfig
from gaaplib.evaluation import statistics
from gaaplib.evaluation.statistics import UNCLEAR
from gaaplib.paper import audit, costs, sota

DATA_FIELDS = (
    *("dataset", "data", "variant", "train_dataset", "train_data", "scale", "fold", "seed", "ap"),
    "training_images",
)
"""Fields that two runs have to share to be trained on the same images and scored on the same queries."""

MODEL_FIELDS = ("profile", "backbone", "height", "width", "precision")
"""Fields that two methods have to share as well: they differ in what is the method's own."""

DECISIVE = ("market1501", "raid", "partial_ilids", "rpifield", "parameters saved")
"""The data that decide a claim: the paper's data sets, and parameter counts, which need no data."""

SUPPORTED, CONTRADICTED = "supported", "contradicted"
NOT_TESTED = "not tested here"

PHOTOGRAPHS = "photographs, not the paper's"
"""The column of results on photographs of other data sets; the column of their verdict starts with "verdict on "."""


def verdict(low, high, test="sign", figure=None, tolerance=0.0):
    """Return the verdict on a claim from the interval of a difference.

    Args:
        low, high: ends of the interval.
        test: ``"sign"``: the claim is that the difference is above 0. ``"size"``: that it is ``figure``.
        figure, tolerance: the claimed size; an interval that reaches ``figure`` plus or minus ``tolerance`` agrees.

    Returns:
        ``"supported"``; ``"contradicted"``; or ``"no clear difference"`` if the interval contains 0 as well as the
        claimed size, or is unknown (NaN).

    Example:
        >>> verdict(0.01, 0.05), verdict(-0.05, -0.01), verdict(-0.01, 0.05)
        ('supported', 'contradicted', 'no clear difference')
        >>> verdict(0.1, 0.2, test="size", figure=0.3)
        'contradicted'
    """
    if math.isnan(low) or math.isnan(high):
        return UNCLEAR
    has_zero = low <= 0 <= high
    if test == "size":
        if high < figure - tolerance or low > figure + tolerance:
            return CONTRADICTED
        return UNCLEAR if has_zero else SUPPORTED
    if has_zero:
        return UNCLEAR
    return SUPPORTED if low > 0 else CONTRADICTED


def queries_needed(low, high, queries, effect):
    """Return the number of queries at which the interval's half-width would equal the effect, all else equal.

    The half-width of a mean falls with the square root of the number of values, so
    ``n = queries (half-width / effect) ** 2``. The observed half-width already reflects the spread of the differences
    and the correlation between queries of one identity.

    Returns:
        An integer; None if the effect is 0 or the interval has no width.

    Example:
        >>> queries_needed(-0.1, 0.1, queries=100, effect=0.05)
        400
    """
    half = (high - low) / 2
    return math.ceil(queries * (half / effect) ** 2) if effect and half > 0 else None


def matches(config, terms):
    """Return whether a configuration dict fits terms such as ``"method=gaap backbone=resnet18|resnet34 fold!=1"``."""
    for term in terms.split():
        field, values = term.split("!=" if "!=" in term else "=")
        if (str(config[field]) in values.split("|")) == ("!=" in term):
            return False
    return True


def evidence(claims, found):
    """Return every pair of runs that tests a claim: a paired difference on the same queries, or in training seconds.

    Two runs are a pair if they fit ``run`` and ``against`` and are equal in all but ``may_differ``. With "*" they are
    of two methods: equal in data, split and scoring, and in ``MODEL_FIELDS`` if both are networks; GAAP is then as the
    paper has it, and no ablation of it. Times are compared on one kind of machine only, and need several pairs for an
    interval.

    Args:
        claims: the table ``claims``.
        found: runs, as returned by :func:`gaaplib.runs.finished`.

    Returns:
        A DataFrame: ``claim``, ``data``, ``as_published`` (photographs only, with the published counts), ``run``,
        ``against``, ``difference``, ``low``, ``high``, ``queries``.
    """
    scored = [(run, metrics) for run in found if (metrics := run.metrics)["retrieval"] is not None]
    rows = []
    for claim in claims[claims.measure.isin([*runs.MEASURES, "seconds"])].itertuples():
        others = {}
        for run, metrics in scored:
            if matches(metrics["config"], claim.against):
                others.setdefault(_in_common(claim, metrics), []).append(run)
        ours = [(run, _in_common(claim, metrics)) for run, metrics in scored if matches(metrics["config"], claim.run)]
        if claim.may_differ == "*":
            ours = [(run, key) for run, key in ours if not sota.is_ablation(run.config)]
        pairs = [(run, other) for run, key in ours for other in others.get(key, [])]
        rows += _seconds(claim, pairs) if claim.measure == "seconds" else [_paired(claim, *pair) for pair in pairs]
    return pd.DataFrame(rows, columns=EVIDENCE)


EVIDENCE = ["claim", "data", "as_published", "run", "against", "difference", "low", "high", "queries"]


def _in_common(claim, metrics):
    """The values that both runs of a pair share, as a key."""
    config, origin = metrics["config"], metrics["provenance"]
    free = {"profile", *str(claim.may_differ).split()}
    fields = [field for field in config if field not in free]
    if claim.may_differ == "*":
        fields = DATA_FIELDS if claim.against == "method=histogram" else DATA_FIELDS + MODEL_FIELDS
    machine = (origin["processor"], origin["cores"], str(origin["devices"])) if claim.measure == "seconds" else ()
    return (*(config[field] for field in fields), *machine)


def _paired(claim, run, other):
    ahead = runs.difference(run, other, claim.measure)
    metrics, queries = run.metrics, int(run.per_query["valid"].sum())
    where = runs.data_name(metrics), _is_as_published(metrics["data"])
    return claim.claim, *where, run.folder.name, other.folder.name, ahead.estimate, ahead.low, ahead.high, queries


def _is_as_published(data):
    """Whether training and test used photographs only, and the test set's counts are the published ones."""
    return not data["synthetic"] and data["as_published"]


def _seconds(claim, pairs):
    """One row per data set: the seconds saved, on average over folds and seeds, of pairs that have both times."""
    by_data = {}
    for run, other in pairs:
        spent = [each.metrics["provenance"]["seconds"].get("training") for each in (other, run)]
        if None not in spent:
            metrics = run.metrics
            by_data.setdefault((runs.data_name(metrics), _is_as_published(metrics["data"])), []).append(spent)
    for (name, as_published), saved in by_data.items():
        spread = statistics.mean_and_spread([two - one for two, one in saved])
        pairs_named = f"{len(saved)} pairs of runs"
        yield claim.claim, name, as_published, pairs_named, pairs_named, spread.mean, spread.low, spread.high, math.nan


def counted(claims):
    """Return evidence that needs no data, as rows of :func:`evidence`: the parameters of ``against`` minus ``run``.

    Args:
        claims: the table ``claims``; claims whose measure is ``parameters`` name one configuration on each side,
            as changes of the profile ``paper``.
    """
    rows = []
    for claim in claims[claims.measure == "parameters"].itertuples():
        terms = (dict(term.split("=") for term in side.split()) for side in (claim.run, claim.against))
        own, other = (costs.by_part(costs.model(RunConfig("paper", **fields))).parameters.sum() for fields in terms)
        rows.append((claim.claim, "parameters saved", True, claim.run, claim.against, *[other - own] * 3, math.nan))
    return pd.DataFrame(rows, columns=EVIDENCE)


def decided(found):
    """Return all that bears on the paper's claims: the evidence, from counts and from runs, and what it decides.

    Args:
        found: finished runs.

    Returns:
        Two DataFrames: rows of :func:`evidence`, and the table of :func:`judged`.
    """
    stated, cells = audit.read("claims"), (audit.read("paper_tables_1_2_3"), audit.read("paper_table_4"))
    rows = pd.concat([counted(stated), evidence(stated, found)], ignore_index=True)
    arithmetic = audit.borne_out_by_the_cells(stated, *cells)
    return rows, judged(stated, rows, audit.in_the_cells(stated, *cells), arithmetic)


def judged(claims, found, printed, arithmetic=None):
    """Return one row per claim: what was measured, the verdicts, and the number of queries needed to decide it.

    The verdict is on the paper's claim: results on photographs of its data sets decide it, counts that need no data, or
    arithmetic on its own cells. Photographs of other data sets, or of copies that do not match the published counts,
    have a verdict of their own, for each data set if these disagree. Synthetic images have none. If there are several
    pairs, all have to agree.

    Args:
        claims: the table ``claims``.
        found: DataFrame in the form of :func:`evidence`.
        printed: sentences on the paper's own cells, ``{claim: sentence}``, as returned by
            :func:`gaaplib.paper.audit.in_the_cells`.
        arithmetic: ``{claim: whether the cells bear it out}``, as returned by
            :func:`gaaplib.paper.audit.borne_out_by_the_cells`.
    """
    rows = []
    for claim in claims.itertuples():
        own = found[found.claim == claim.claim]
        decides = own.as_published.astype(bool) & own.data.str.split("-").str[0].isin(DECISIVE)
        drawn = own.data.str.contains(SYNTHETIC)
        real, others, synthetic = (own[mask.to_numpy(bool)] for mask in (decides, ~decides & ~drawn, ~decides & drawn))
        borne_out = (arithmetic or {}).get(claim.claim)
        rows.append(
            {
                "claim": claim.claim,
                "the paper's figure": "" if pd.isna(claim.figure) else f"{claim.figure:g}",
                "the paper's own cells": printed.get(claim.claim, ""),
                "measured": _in_words(real),
                "test": TESTS[claim.test],
                "verdict": _decided(claim, real) if borne_out is None else (CONTRADICTED, SUPPORTED)[borne_out],
                "queries needed": _settling(claim, real),
                PHOTOGRAPHS: _in_words(others),
                f"verdict on {PHOTOGRAPHS}": _by_data(claim, others),
                "synthetic": _in_words(synthetic),
            }
        )
    return pd.DataFrame(rows).set_index("claim")


def _decided(claim, rows):
    rows = rows[rows.difference.notna()]
    if rows.empty or claim.test not in ("sign", "size"):
        return NOT_TESTED
    verdicts = {verdict(row.low, row.high, claim.test, claim.figure, claim.tolerance) for row in rows.itertuples()}
    return verdicts.pop() if len(verdicts) == 1 else UNCLEAR


def _by_data(claim, rows):
    """The verdict on each data set, as text; one word if they agree."""
    verdicts = {data: _decided(claim, pairs) for data, pairs in rows.groupby("data", sort=False)}
    if len(set(verdicts.values())) < 2:
        return next(iter(verdicts.values()), NOT_TESTED)
    return "; ".join(f"{data}: {word}" for data, word in verdicts.items())


TESTS = {
    "sign": "paired difference above 0",
    "size": "paired difference reaches the figure",
    "cells": "arithmetic on the cells",
    "shown": "shown only, no figure to test",
}


def _in_words(rows):
    """Per data set, the difference of its pair with its interval, or the range of several pairs, as text."""
    each = []
    for data, pairs in rows.groupby("data", sort=False):
        pairs = pairs[pairs.difference.notna()]
        if pairs.empty:
            each.append(f"{data}: not measured")
            continue
        low, high = pairs.difference.min(), pairs.difference.max()
        words = _signed(low) if len(pairs) == 1 else f"{len(pairs)} pairs, {_signed(low)} to {_signed(high)}"
        if len(pairs) == 1 and pairs.low.item() < pairs.high.item():
            words += f" [{_signed(pairs.low.item())}, {_signed(pairs.high.item())}]"
        elif pairs.low.notna().any() and pairs.queries.notna().any():
            words += f", intervals within [{_signed(pairs.low.min())}, {_signed(pairs.high.max())}]"
        if pairs.low.isna().any() and pairs.queries.notna().any():
            words += " (too few identities for an interval)"
        each.append(f"{data}: {words}")
    return "; ".join(each) or "none"


def _signed(value):
    return f"{value:+.3f}" if abs(value) < 10 else f"{value:+,.0f}"


def _settling(claim, rows):
    """The largest number of queries that a pair needs, as text."""
    effects = [row.difference if pd.isna(claim.figure) else claim.figure for row in rows.itertuples()]
    counts = [
        queries_needed(row.low, row.high, row.queries, effect)
        for row, effect in zip(rows.itertuples(), effects, strict=True)
        if not pd.isna(row.queries)
    ]
    return f"{max(filter(None, counts)):,}" if any(counts) else ""
