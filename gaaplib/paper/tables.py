"""The cells of the paper's tables beside those of runs: planned runs in, tables with intervals and marks out.

A cell that no run was made for says so; nothing is filled in. On drawn images every result is synthetic, and the
column's name says that too.
"""

import math
import textwrap

import pandas as pd
from tqdm import tqdm

from gaaplib import experiment, runs
from gaaplib.evaluation import statistics
from gaaplib.paper import plan

MISSING, DIVERGED, UNSCORED, CHANCE = "not run", "diverged", "no score", "\u2020"
"""What stands in a cell without a score, and behind a score whose interval does not lie above chance."""

SETTING = (
    *("dataset", "train_dataset", "method", "backbone", "attention", "attention_at", "alpha", "pooling", "pool_over"),
    *("sampler", "fold", "seed"),
)


def only(configs, **settings):
    """The configurations with these settings, each a value or a tuple of values."""
    wanted = {name: value if isinstance(value, tuple) else (value,) for name, value in settings.items()}
    return [config for config in configs if all(getattr(config, name) in values for name, values in wanted.items())]


def scores(configs, protocol, title, outputs=None):
    """One row a planned run, finished or not, with its score in one measure.

    Partial-iLIDS has two runs to a cell: its closed protocol is that of i-LIDS MCTS, whose row is named
    ``partial_ilids`` in ``dataset``; the row of the run that this protocol does not ask for is left out.

    Args:
        configs: of the runs, such as ``Plan().matrix()``.
        protocol: ``"closed"`` or ``"retrieval"``.
        title: a measure of it, a key of ``runs.CLOSED_MEASURES`` or ``runs.MEASURES``.
        outputs: folder with ``runs/``; None: :func:`gaaplib.project.outputs_folder`.

    Returns:
        A DataFrame: the columns ``SETTING``; ``status`` (done, diverged, not run); ``value``, ``low``, ``high``
        (fractions, 95 % bootstrap interval, identities drawn together) and ``chance``, NaN where there is no score;
        ``at_chance``, whether the interval reaches down to chance; ``partnered``, ``queries`` (valid ones, or images),
        ``seconds`` of training, ``synthetic``, ``as_published`` (whether photographs are as many as those of the
        published data set) and ``run_id``.

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
    row["as_published"] = metrics["data"]["as_published"]
    scored = metrics[protocol]
    if scored is None:
        return row
    found, chance = runs.interval(run, protocol, title), scored["chance"][runs.PROTOCOLS[protocol][title][0]]
    row |= {"value": found.estimate, "low": found.low, "high": found.high, "chance": chance}
    row["at_chance"] = is_at_chance(found, chance)
    row["queries"] = scored["num_valid_queries" if protocol == "retrieval" else "num_images"]
    return row


def is_at_chance(interval, chance):
    """Whether an interval does not lie above chance. One below it counts: without any hit it has no width."""
    return interval.low <= chance


COLUMNS = (
    *SETTING,
    *("status", "value", "low", "high", "chance", "at_chance", "partnered", "queries", "seconds", "synthetic"),
    *("as_published", "run_id"),
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
        configs: of the runs; a run with ``value`` that is planned without one to compare it with is left out.
        field: a field of the configuration, such as ``"attention"``. A backbone brings its learning rate along,
            a training set its folder, a method the batches that it needs.
        value, against: its values on both sides; what is returned is the score with ``value`` less that with
            ``against``, on the same queries.
        protocol, title, outputs: as of :func:`scores`.

    Returns:
        A DataFrame, a row a planned pair: the columns ``SETTING``, with ``field`` as ``value``; ``difference``,
        ``low``, ``high`` (95 % bootstrap interval of the paired difference); ``verdict``: "gain", "loss" or "not
        distinguishable", and without a difference "not run", "diverged" or "no score"; ``synthetic``; ``run_id`` and
        ``against``, the other run's.
    """
    _check_measure(protocol, title)
    finished = plan.done(configs, outputs)
    asked = list(_asked(configs, protocol))
    others = {_but_for(config, field): config.run_id for config, _ in asked if getattr(config, field) == against}
    rows = []
    for config, name in asked:
        other = others.get(_but_for(config, field))
        if getattr(config, field) == value and other is not None:
            setting = [name if column == "dataset" else getattr(config, column) for column in SETTING]
            found = _difference(finished.get(config.run_id), finished.get(other), protocol, title)
            rows.append((*setting, *found, config.is_synthetic, config.run_id, other))
    names = ["difference", "low", "high", "verdict", "synthetic", "run_id", "against"]
    return pd.DataFrame(rows, columns=[*SETTING, *names])


def changes(configs, wanted, by, protocol, title, outputs=None):
    """:func:`gains` of several changes, with an index of the change in words and ``by``.

    Args:
        wanted: triples of field, value and the value it is held against.
        by: columns of ``SETTING`` that tell the pairs of one change apart, such as ``["dataset"]``; the one that
            changes is passed over.
        configs, protocol, title, outputs: as of :func:`gains`.
    """
    found = {}
    for field, value, against in wanted:
        gained = gains(configs, field, value, against, protocol, title, outputs)
        found[f"{value} less {against}"] = gained.set_index([name for name in by if name != field])
    return pd.concat(found)


GAIN, LOSS, EVEN = "gain", "loss", "not distinguishable"


def _but_for(config, field):
    """The configuration without one field and what that brings along, as a key."""
    free = (field, {"backbone": "learning_rate", "train_dataset": "train_data", "method": "sampler"}.get(field))
    return tuple((name, value) for name, value in config.to_dict().items() if name not in free)


def _difference(run, other, protocol, title):
    """Difference, ends of its interval and verdict; why there is none where a run is missing or has no score."""
    if run is None or other is None:
        return math.nan, math.nan, math.nan, MISSING
    if any(each.metrics[protocol] is None for each in (run, other)):
        failed = DIVERGED in (run.metrics["status"], other.metrics["status"])
        return math.nan, math.nan, math.nan, DIVERGED if failed else UNSCORED
    found = runs.difference(run, other, title, protocol)
    verdict = side_of_zero(found)
    return found.estimate, found.low, found.high, verdict


def side_of_zero(found):
    """What the interval of a difference says, an ``Interval`` or a ``Spread``: gain, loss or not distinguishable."""
    return GAIN if found.low > 0 else LOSS if found.high < 0 else EVEN


def tally(gained, what):
    """A sentence on rows of :func:`gains`: how many are a gain, a loss and neither, how large, and what is missing.

    Args:
        gained: DataFrame as of :func:`gains`.
        what: the change in words, such as "average less maximum pooling".
    """
    paired = gained[gained.difference.notna()]
    lacking = gained.verdict[gained.difference.isna()].value_counts()
    left = "; ".join(f"{count} without both scores ({why})" for why, count in lacking.items())
    if paired.empty:
        return filled(f"{what}: nothing to compare yet" + (f"; {left}" if left else ""))
    said = ", ".join(f"{name} in {(paired.verdict == name).sum()}" for name in (GAIN, LOSS, EVEN))
    low, high = paired.difference.min(), paired.difference.max()
    extent = f"{low:+.3f}" if len(paired) == 1 else f"{low:+.3f} to {high:+.3f}, mean {paired.difference.mean():+.3f}"
    return filled(f"{what}: {len(paired)} of {len(gained)} pairs: {said} ({extent})" + (f"; {left}" if left else ""))


def filled(sentence):
    """A sentence in lines that an output cell does not have to cut within a word."""
    return textwrap.fill(sentence, 96, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def in_words(found):
    """Each row of :func:`scores` as words: ``0.412 [0.380, 0.444]``, marked at chance; else why there is none."""
    return pd.Series([_words(row) for row in found.itertuples()], index=found.index, dtype=object)


def _words(row):
    if row.status != "done" or math.isnan(row.value):
        return row.status if row.status != "done" else UNSCORED
    return f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]{CHANCE if row.at_chance else ''}"


def by_dataset(found):
    """Rows of :func:`scores` of fold 0 and seed 0 in words: an index of backbones, a column a data set."""
    first = found[(found.fold == 0) & (found.seed == 0)]
    words = first.assign(words=in_words(first))
    wide = words.pivot(index="backbone", columns="dataset", values="words")
    return wide.loc[list(dict.fromkeys(first.backbone)), list(dict.fromkeys(first.dataset))].rename_axis(columns=None)


def side_by_side(configs, fields, measures, outputs=None):
    """Planned runs with several measures in words, one row a run.

    Args:
        configs: of the runs, each with its own values of ``fields``.
        fields: names of ``SETTING`` that tell the rows apart: the index.
        measures: pairs of protocol and measure, such as ``("closed", "mRA")``: the columns.
        outputs: as of :func:`scores`.
    """
    columns = {}
    for protocol, title in measures:
        found = scores(configs, protocol, title, outputs)
        columns[f"{protocol}, {title}"] = found.assign(words=in_words(found)).set_index(list(fields)).words
    return pd.DataFrame(columns)


def marked(found):
    """A sentence on rows of :func:`scores`: how many have a score, which diverged, and which are at chance."""
    said = [f"{found.value.notna().sum()} of {len(found)} runs have a score"]
    odd = {"diverged": found.status == DIVERGED, "not above chance": found.at_chance.eq(True)}
    for what, chosen in odd.items():
        names = [f"{row.backbone} on {row.dataset}" for row in found[chosen].itertuples()]
        named = ", ".join(
            f"{name} ({names.count(name)})" if names.count(name) > 1 else name for name in dict.fromkeys(names)
        )
        said.append(f"{len(names)} {what}" + (f": {named}" if names else ""))
    return "; ".join(said)


def crossed(found):
    """Scores of training on one data set and testing on another, in words.

    Args:
        found: DataFrame as of :func:`scores`.

    Returns:
        A DataFrame by attention and the data set trained on, a column a data set tested on; chance below.
    """
    cells = found.assign(words=in_words(found), **{"trained on": found.train_dataset.fillna(found.dataset)})
    shown = cells.set_index(["attention", "trained on", "dataset"]).words.unstack(sort=False, fill_value="")
    chance = found.groupby("dataset").chance.first().reindex(shown.columns)
    shown.loc[("chance", ""), :] = [f"{value:.3f}" if value == value else "" for value in chance]
    return shown.rename_axis(columns="tested on")


def paper_cells(printed, table, metric="mRA", folds=1):
    """The cells of one of the paper's Tables I to III, called as our runs are.

    Args:
        printed: the table ``paper_tables_1_2_3``.
        table: "I", "II" or "III".
        metric: the paper's, "mRA" or "CMC".
        folds: 1 or 5.

    Returns:
        A DataFrame with the columns ``backbone``, ``dataset``, ``attention``, ``pooling`` and ``value``.
    """
    cells = printed[(printed.table == table) & (printed.metric == metric) & (printed.folds == folds)]
    # The paper's "gaap" is the block of Eq. 4 with partners of the class.
    cells = cells.assign(attention=cells.attention.replace("gaap", "class"))
    return cells[["backbone", "dataset", "attention", "pooling", "value"]]


def beside_paper(found, printed, table, metric="mRA"):
    """The paper's cells of one table beside ours, one row a cell.

    Args:
        found: DataFrame as of :func:`scores`, of one protocol and measure; several folds and seeds are averaged for
            the second of our columns.
        printed: the table ``paper_tables_1_2_3``.
        table: "I", "II" or "III".
        metric: the paper's, "mRA" or "CMC".

    Returns:
        A DataFrame with the index backbone, data set and, where they vary, attention and pooling, and the columns
        ``paper, 1-fold``, ``ours, fold 0`` (in words, with interval and marks), ``paper, 5-fold``, ``ours, mean over
        runs``; "ours" reads "synthetic" where images were drawn.
    """
    keys = ["backbone", "dataset", "attention", "pooling"]
    paper = pd.concat(
        {folds: paper_cells(printed, table, metric, folds).set_index(keys).value for folds in (1, 5)}, axis=1
    )
    first = found[(found.fold == 0) & (found.seed == 0)]
    whose = "synthetic" if found.synthetic.all() else "ours"
    ours = pd.Series(in_words(first).to_numpy(), pd.MultiIndex.from_frame(first[keys]))
    means = over_runs(found).set_index(keys)
    order = [key for key in ours.index if key in paper[1].index]
    shown = {
        "paper, 1-fold": [f"{paper[1][key]:.3f}" for key in order],
        f"{whose}, fold 0": [ours[key] for key in order],
        "paper, 5-fold": [f"{paper[5][key]:.3f}" for key in order],
        f"{whose}, mean over runs": [_mean_in_words(means.loc[key]) for key in order],
    }
    table = pd.DataFrame(shown, index=pd.MultiIndex.from_tuples(order, names=keys))
    return table.droplevel([name for name in keys[2:] if table.index.unique(name).size < 2])


def _mean_in_words(row):
    if row.n < 2:
        return f"{row.n:.0f} of {row.planned:.0f} runs"
    return f"{row['mean']:.3f} \u00b1 {row.sd:.3f} (sd of {row.n:.0f} of {row.planned:.0f})"


def complete(configs, *, train=False, outputs=None):
    """Make the planned runs that are not there, if told to; else say which they are.

    Args:
        configs: of the runs.
        train: whether to train them here, one after the other; runs that are there stay.
        outputs: folder with ``runs/``; None: :func:`gaaplib.project.outputs_folder`.

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
    has_ap = "retrieval" in protocol and ("mAP" in title or "mINP" in title)
    ap = ", AP of the step convention" if has_ap else ""
    words = f"{protocol} protocol, {title}{ap}, on {images(found)}; brackets: 95 % bootstrap interval over identities"
    chance = {f"{value:.3f}" for value in found.chance.dropna()}
    words += f"; chance {chance.pop()}" if len(chance) == 1 else ""
    words += f"; {CHANCE}: the interval reaches down to chance" if found.at_chance.eq(True).any() else ""
    return filled(words)


def images(found):
    """On which images: drawn, or photographs, and of which data sets those are not the published ones.

    Args:
        found: DataFrame with ``synthetic``, ``as_published`` and ``dataset``, as of :func:`scores`.
    """
    if found.synthetic.all():
        return "drawn (synthetic) images"
    others = found[~found.synthetic.astype(bool) & found.as_published.eq(False)].reset_index().dataset.unique()
    return "photographs" + (f" (not those that were published as {' and '.join(others)})" if len(others) else "")
