"""The cells of the paper's tables beside those of runs: planned runs in, tables with intervals and marks out.

A cell that no run was made for says so; nothing is filled in. On drawn images every result is synthetic, and the
column's name says that too.
"""

import math

import pandas as pd
from tqdm import tqdm

from gaaplib import experiment, plan, runs, statistics

MISSING, DIVERGED, CHANCE = "not run", "diverged", "\u2020"
"""What stands in a cell without a score, and behind a score whose interval contains chance."""

SETTING = (
    *("dataset", "train_dataset", "method", "backbone", "attention", "attention_at", "alpha", "pooling", "pool_over"),
    *("sampler", "fold", "seed"),
)


def scores(configs, protocol, title, outputs=None):
    """One row a planned run, finished or not, with its score in one measure.

    Partial-iLIDS has two runs to a cell: its closed protocol is that of i-LIDS MCTS, whose row is named
    ``partial_ilids`` in ``dataset``; the row of the run that this protocol does not ask for is left out.

    Args:
        configs: of the runs, such as ``Plan().matrix()``.
        protocol: ``"closed"`` or ``"retrieval"``.
        title: a measure of it, a key of ``runs.CLOSED_MEASURES`` or ``runs.MEASURES``.
        outputs: folder with ``runs/``; None: :func:`gaaplib.folders.outputs_folder`.

    Returns:
        A DataFrame: the columns ``SETTING``; ``status`` (done, diverged, not run); ``value``, ``low``, ``high``
        (fractions, 95 % bootstrap interval, identities drawn together) and ``chance``, NaN where there is no score;
        ``at_chance``, whether the interval contains chance; ``partnered``, ``queries`` (valid ones, or images),
        ``seconds`` of training, ``synthetic`` and ``run_id``.

    Raises:
        ValueError: an unknown protocol or measure.
    """
    _check_measure(protocol, title)
    finished = plan.done(configs, outputs)
    rows = [
        _row(config, finished.get(config.run_id), name, protocol, title) for config, name in _asked(configs, protocol)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _check_measure(protocol, title):
    if protocol not in runs.PROTOCOLS:
        raise ValueError(f"protocol={protocol!r} is not known; known: {', '.join(runs.PROTOCOLS)}")
    if title not in runs.PROTOCOLS[protocol]:
        known = ", ".join(runs.PROTOCOLS[protocol])
        raise ValueError(f"{title!r} is no measure of the {protocol} protocol; known: {known}")


def _asked(configs, protocol):
    """The configurations that a protocol asks for, each once, with the data set that their cell is called by."""
    unique = {config.run_id: config for config in configs}.values()
    partial = any(config.dataset == "partial_ilids" for config in unique)
    for config in unique:
        stands_in = partial and config.dataset == "ilids"
        if protocol == "closed" and config.train_dataset is None:
            yield config, "partial_ilids" if stands_in else config.dataset
        elif protocol == "retrieval" and not stands_in:
            yield config, config.dataset


def _row(config, run, dataset, protocol, title):
    setting = {name: getattr(config, name) for name in SETTING} | {"dataset": dataset}
    row = {**setting, "status": MISSING, "synthetic": config.is_synthetic, "run_id": config.run_id}
    if run is None:
        return row
    metrics = run.metrics
    spent = metrics["provenance"]["seconds"].get("training")
    row |= {"status": metrics["status"], "partnered": metrics["partnered_share"], "seconds": spent}
    scored = metrics[protocol]
    if scored is None:
        return row
    found, chance = runs.interval(run, protocol, title), scored["chance"][runs.PROTOCOLS[protocol][title][0]]
    row |= {"value": found.estimate, "low": found.low, "high": found.high, "chance": chance}
    row["at_chance"] = found.low <= chance <= found.high
    row["queries"] = scored["num_valid_queries" if protocol == "retrieval" else "num_images"]
    return row


COLUMNS = (
    *SETTING,
    *("status", "value", "low", "high", "chance", "at_chance", "partnered", "queries", "seconds", "synthetic"),
    "run_id",
)


def over_runs(found):
    """The mean over folds and seeds of what is otherwise the same setting.

    Args:
        found: DataFrame as of :func:`scores`.

    Returns:
        A DataFrame: ``SETTING`` without fold and seed; ``mean``, ``sd`` (of the runs, NaN for one), ``low``, ``high``
        (Student's t interval of the mean), ``n`` runs with a score, ``planned`` runs and ``diverged`` ones.
    """
    same = [name for name in SETTING if name not in ("fold", "seed")]
    rows = []
    for key, group in found.groupby(same, sort=False, dropna=False):
        values = group.value.dropna()
        spread = statistics.mean_and_spread(values) if len(values) else None
        numbers = [math.nan] * 4 if spread is None else [spread.mean, spread.sd, spread.low, spread.high]
        rows.append((*key, *numbers, len(values), len(group), int((group.status == DIVERGED).sum())))
    return pd.DataFrame(rows, columns=[*same, "mean", "sd", "low", "high", "n", "planned", "diverged"])


def gains(configs, field, value, against, protocol, title, outputs=None):
    """What one change of a setting gains: paired differences between runs that are equal in all else.

    Args:
        configs: of the runs; those that are not finished, or have no partner, are left out.
        field: a field of the configuration, such as ``"attention"``.
        value, against: its values on both sides; what is returned is the score with ``value`` less that with
            ``against``, on the same queries.
        protocol, title, outputs: as of :func:`scores`.

    Returns:
        A DataFrame: the columns ``SETTING``, with ``field`` as ``value``; ``difference``, ``low``, ``high`` (95 %
        bootstrap interval of the paired difference); ``verdict``: "gain", "loss" or "not distinguishable"; ``run_id``
        and ``against``, the other run's.
    """
    _check_measure(protocol, title)
    finished = {run_id: run for run_id, run in plan.done(configs, outputs).items() if run.metrics[protocol]}
    asked = [(config, name) for config, name in _asked(configs, protocol) if config.run_id in finished]
    others = {_but_for(config, field): config.run_id for config, _ in asked if getattr(config, field) == against}
    rows = []
    for config, name in asked:
        other = others.get(_but_for(config, field))
        if getattr(config, field) == value and other is not None:
            found = runs.difference(finished[config.run_id], finished[other], title, protocol)
            said = "gain" if found.low > 0 else "loss" if found.high < 0 else "not distinguishable"
            setting = [name if column == "dataset" else getattr(config, column) for column in SETTING]
            rows.append((*setting, found.estimate, found.low, found.high, said, config.run_id, other))
    names = ["difference", "low", "high", "verdict", "run_id", "against"]
    return pd.DataFrame(rows, columns=[*SETTING, *names])


def _but_for(config, field):
    """The configuration without one field, as a key."""
    return tuple((name, value) for name, value in config.to_dict().items() if name != field)


def in_words(found):
    """Each row of :func:`scores` as words: ``0.412 [0.380, 0.444]``, marked at chance; else why there is none."""
    return pd.Series([_words(row) for row in found.itertuples()], index=found.index, dtype=object)


def _words(row):
    if row.status != "done" or math.isnan(row.value):
        return row.status if row.status != "done" else "no score"
    return f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]{CHANCE if row.at_chance else ''}"


def beside_paper(found, printed, table, metric="mRA"):
    """The paper's cells of one table beside ours, one row a cell.

    Args:
        found: DataFrame as of :func:`scores`, of one protocol and measure; several folds and seeds are averaged for
            the second of our columns.
        printed: the table ``paper_tables_1_2_3``.
        table: "I", "II" or "III".
        metric: the paper's, "mRA" or "CMC".

    Returns:
        A DataFrame with the index backbone, data set, attention, pooling and the columns ``paper, 1-fold``,
        ``ours, fold 0`` (in words, with interval and marks), ``paper, 5-fold``, ``ours, mean over runs``; "ours"
        reads "synthetic" where images were drawn.
    """
    cells = printed[(printed.table == table) & (printed.metric == metric)]
    # The paper's "gaap" is the block of Eq. 4 with partners of the class.
    cells = cells.assign(attention=cells.attention.replace("gaap", "class"))
    keys = ["backbone", "dataset", "attention", "pooling"]
    paper = cells.pivot(index=keys, columns="folds", values="value")
    first = found[(found.fold == 0) & (found.seed == 0)]
    whose = "synthetic" if found.synthetic.all() else "ours"
    ours = pd.Series(in_words(first).to_numpy(), pd.MultiIndex.from_frame(first[keys]))
    means = over_runs(found).set_index(keys)
    order = [key for key in ours.index if key in paper.index]
    shown = {
        "paper, 1-fold": [f"{paper.loc[key, 1]:.3f}" for key in order],
        f"{whose}, fold 0": [ours[key] for key in order],
        "paper, 5-fold": [f"{paper.loc[key, 5]:.3f}" for key in order],
        f"{whose}, mean over runs": [_mean_in_words(means.loc[key]) for key in order],
    }
    return pd.DataFrame(shown, index=pd.MultiIndex.from_tuples(order, names=keys))


def _mean_in_words(row):
    if row.n < 2:
        return f"{row.n:.0f} of {row.planned:.0f} runs"
    return f"{row['mean']:.3f} \u00b1 {row.sd:.3f} (sd of {row.n:.0f} of {row.planned:.0f})"


def complete(configs, *, train=False, outputs=None):
    """Make the planned runs that are not there, if told to; else say which they are.

    Args:
        configs: of the runs.
        train: whether to train them here, one after the other; runs that are there stay.
        outputs: folder with ``runs/``; None: :func:`gaaplib.folders.outputs_folder`.

    Returns:
        A sentence.
    """
    wanted = {config.run_id: config for config in configs}.values()
    if train:
        for config in tqdm(plan.missing(wanted, outputs), desc="runs", unit="run"):
            experiment.run(config, outputs=outputs)
    return absent(wanted, outputs) or f"All {len(wanted)} runs are there."


def absent(configs, outputs=None):
    """A sentence on the planned runs that are not there, and how to make them; None where all are."""
    wanted = {config.run_id: config for config in configs}.values()
    lacking = plan.missing(wanted, outputs)
    if not lacking:
        return None
    named = "\n".join(f"  {config.run_id}" for config in lacking[:5])
    more = f"\n  and {len(lacking) - 5} more" if len(lacking) > 5 else ""
    return (
        f"{len(lacking)} of {len(wanted)} runs are not there; `make tables` makes them, or this notebook with "
        f"train = True:\n{named}{more}"
    )


def caption(protocol, title, found):
    """What has to stand at every table and figure: protocol, measure, AP convention, drawn or real, marks."""
    drawn = "drawn (synthetic) images" if found.synthetic.all() else "photographs"
    ap = ", AP of the step convention" if protocol == "retrieval" and title in ("mAP", "mINP") else ""
    words = f"{protocol} protocol, {title}{ap}, on {drawn}; brackets: 95 % bootstrap interval over identities"
    return words + (f"; {CHANCE}: the interval contains chance" if found.at_chance.any() else "")
