"""Tables of our runs next to the cells of the paper's tables, with intervals and marks.

A cell without a finished run says so; no value is filled in. The column's name says whether the images are synthetic.
"""

import math

import pandas as pd

from gaaplib import runs
from gaaplib.datasets import closed_on
from gaaplib.evaluation import statistics
from gaaplib.paper import plan, wording

SETTING = (
    *("dataset", "train_dataset", "method", "backbone", "attention", "attention_at", "alpha", "pooling", "pool_over"),
    *("sampler", "fold", "seed"),
)


def only(configs, **settings):
    """Return the configurations with these settings, each a value or a tuple of values.

    Example:
        >>> study = plan.Plan("demo", backbones=("resnet18", "vgg16"), datasets=("raid",), precision="float32")
        >>> len(study.matrix()), len(only(study.matrix(), backbone="vgg16", pooling=("avg", "max")))
        (6, 3)
    """
    wanted = {name: value if isinstance(value, tuple) else (value,) for name, value in settings.items()}
    return [config for config in configs if all(getattr(config, name) in values for name, values in wanted.items())]


def scores(configs, protocol, title, outputs=None):
    """Return one row per planned run, finished or not, with its score in one measure.

    A cell of Partial-iLIDS has two runs: its closed protocol uses i-LIDS MCTS, and that run's row is named
    ``partial_ilids`` in ``dataset``. The run that the protocol does not use has no row, except that the retrieval
    scores of i-LIDS MCTS have a row of their own once they are measured.

    Args:
        configs: configurations of the runs, such as ``Plan().matrix()``.
        protocol: ``"closed"`` or ``"retrieval"``.
        title: a measure of the protocol, a key of ``runs.CLOSED_MEASURES`` or ``runs.MEASURES``.
        outputs: folder with ``runs/``; None: :func:`gaaplib.project.outputs_folder`.

    Returns:
        A DataFrame: the columns ``SETTING``; ``status`` (done, diverged, collapsed or not run); ``value``, ``low``,
        ``high`` (fractions, 95 % bootstrap interval over identities) and ``chance``, NaN if there is no score;
        ``at_chance``, whether the interval reaches down to chance; ``partnered``, the share of training images with a
        partner; ``queries`` and ``identities`` (number of valid queries, or of images, and of the identities that they
        show: fewer than ``statistics.MIN_GROUPS`` give no interval); ``seconds`` of training; ``synthetic``;
        ``as_published`` (whether the counts are those of the published data set); and ``run_id``.

    Raises:
        ValueError: an unknown protocol or measure.
    """
    _check_measure(protocol, title)
    finished = plan.done(configs, outputs)
    rows = [
        _row(config, finished.get(config.run_id), name, protocol, title)
        for config, name in _asked(configs, protocol, finished)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _check_measure(protocol, title):
    if protocol not in runs.PROTOCOLS:
        raise ValueError(f"protocol={protocol!r} is not known; known: {', '.join(runs.PROTOCOLS)}")
    if title not in runs.PROTOCOLS[protocol]:
        known = ", ".join(runs.PROTOCOLS[protocol])
        raise ValueError(f"{title!r} is no measure of the {protocol} protocol; known: {known}")


def _asked(configs, protocol, finished):
    """Yield the configurations that a protocol uses, each once, with the data set that names their cell."""
    unique = {config.run_id: config for config in configs}.values()
    pairs = {(closed_on(config.dataset), config.dataset) for config in unique}
    stands_in_for = {other: cell for other, cell in pairs if other != cell}
    for config in unique:
        if protocol == "closed" and config.train_dataset is None:
            yield config, stands_in_for.get(config.dataset, config.dataset)
        elif protocol == "retrieval" and (config.dataset not in stands_in_for or config.run_id in finished):
            # A run that stands in is planned for the closed protocol, so nobody waits for its retrieval.
            yield config, config.dataset


def _row(config, run, dataset, protocol, title):
    setting = {name: getattr(config, name) for name in SETTING} | {"dataset": dataset}
    row = {**setting, "status": wording.MISSING, "synthetic": config.is_synthetic, "run_id": config.run_id}
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
    row["at_chance"] = wording.is_at_chance(found, chance)
    row["queries"] = scored["num_valid_queries" if protocol == "retrieval" else "num_images"]
    row["identities"] = found.num_groups
    return row


COLUMNS = (
    *SETTING,
    *("status", "value", "low", "high", "chance", "at_chance", "partnered", "queries", "identities"),
    *("seconds", "synthetic", "as_published", "run_id"),
)


def over_runs(found):
    """Return the mean over folds and seeds of each setting.

    Args:
        found: DataFrame of :func:`scores`.

    Returns:
        A DataFrame: ``SETTING`` without fold and seed; ``mean``; ``sd`` (of the runs, NaN for one); ``low``, ``high``
        (Student's t interval of the mean); and the numbers of runs: ``n`` with a score, ``planned`` and ``failed``
        (diverged or collapsed).
    """
    same = [name for name in SETTING if name not in ("fold", "seed")]
    rows = []
    for key, group in found.groupby(same, sort=False, dropna=False):
        values = group.value.dropna()
        spread = statistics.mean_and_spread(values) if len(values) else None
        numbers = [math.nan] * 4 if spread is None else [spread.mean, spread.sd, spread.low, spread.high]
        rows.append((*key, *numbers, len(values), len(group), int(group.status.isin(runs.WITHOUT_SCORES).sum())))
    return pd.DataFrame(rows, columns=[*same, "mean", "sd", "low", "high", "n", "planned", "failed"])


def gains(configs, field, value, against, protocol, title, outputs=None):
    """Return the gain from changing one setting: paired differences between runs that are equal in all else.

    Args:
        configs: configurations of the runs; a planned run with ``value`` that has no run to compare it with is left
            out.
        field: a field of the configuration, such as ``"attention"``. The learning rate may differ together with the
            backbone, the training folder with the training set, and sampler and batch size with the method.
        value, against: the two values; the difference is the score with ``value`` minus the score with ``against``, on
            the same queries.
        protocol, title, outputs: as for :func:`scores`.

    Returns:
        A DataFrame with one row per planned pair: the columns ``SETTING``, with ``value`` in ``field``; ``difference``,
        ``low``, ``high`` (95 % bootstrap interval of the paired difference); ``verdict``: "gain", "loss", "no clear
        difference" or "too few identities", or, if there is no difference, "not run", "diverged", "collapsed" or "no
        score"; ``synthetic``; ``run_id``; and ``against``, the other run's ``run_id``.
    """
    _check_measure(protocol, title)
    finished = plan.done(configs, outputs)
    asked = list(_asked(configs, protocol, finished))
    others = {_but_for(config, field): config.run_id for config, _ in asked if getattr(config, field) == against}
    rows = []
    for config, name in asked:
        other = others.get(_but_for(config, field))
        if getattr(config, field) == value and other is not None:
            setting = [name if column == "dataset" else getattr(config, column) for column in SETTING]
            found = difference(finished.get(config.run_id), finished.get(other), protocol, title)
            rows.append((*setting, *found, config.is_synthetic, config.run_id, other))
    names = ["difference", "low", "high", "verdict", "synthetic", "run_id", "against"]
    return pd.DataFrame(rows, columns=[*SETTING, *names])


def changes(configs, wanted, by, protocol, title, outputs=None):
    """Return the :func:`gains` of several changes, with the change (such as "gem minus avg") and ``by`` as the index.

    Args:
        wanted: triples of field, value and the value that it is compared with.
        by: columns of ``SETTING`` that identify the pairs of one change, such as ``["dataset"]``; the field that
            changes is skipped.
        configs, protocol, title, outputs: as for :func:`gains`.
    """
    found = {}
    for field, value, against in wanted:
        gained = gains(configs, field, value, against, protocol, title, outputs)
        found[f"{value} minus {against}"] = gained.set_index([name for name in by if name != field])
    return pd.concat(found)


FOLLOWS = {"backbone": ("learning_rate",), "train_dataset": ("train_data",), "method": ("sampler", "batch_size")}
"""Fields that may differ between two runs that are compared in one field."""


def _but_for(config, field):
    """The configuration without one field and those that may differ with it, as a key."""
    free = (field, *FOLLOWS.get(field, ()))
    return tuple((name, value) for name, value in config.to_dict().items() if name not in free)


def difference(run, other, protocol, title):
    """Return the difference of two runs, the ends of its interval, and the verdict.

    If a run is None or has no score, the numbers are NaN, and the reason stands in place of the verdict.

    Args:
        run, other: finished runs, or None.
        protocol, title: as for :func:`scores`.
    """
    if run is None or other is None:
        return math.nan, math.nan, math.nan, wording.MISSING
    if any(each.metrics[protocol] is None for each in (run, other)):
        statuses = [each.metrics["status"] for each in (run, other)]
        failed = next((status for status in statuses if status in runs.WITHOUT_SCORES), wording.UNSCORED)
        return math.nan, math.nan, math.nan, failed
    found = runs.difference(run, other, title, protocol)
    verdict = found.verdict
    return found.estimate, found.low, found.high, verdict


def difference_in_words(run, other, protocol, title):
    """Return :func:`difference` as text: the numbers and the verdict, or the reason why there are none."""
    *numbers, verdict = difference(run, other, protocol, title)
    return verdict if math.isnan(numbers[0]) else f"{statistics.signed(*numbers)}, {verdict}"


def by_dataset(found):
    """Return the scores of fold 0 and seed 0 as text: one row per backbone, one column per data set."""
    first = found[(found.fold == 0) & (found.seed == 0)]
    words = first.assign(words=wording.in_words(first))
    wide = words.pivot(index="backbone", columns="dataset", values="words").fillna(wording.MISSING)
    return wide.loc[list(dict.fromkeys(first.backbone)), list(dict.fromkeys(first.dataset))].rename_axis(columns=None)


def side_by_side(configs, fields, measures, outputs=None):
    """Return several measures of planned runs as text, one row per run and one column per measure.

    Args:
        configs: configurations of the runs; no two have the same values of ``fields``.
        fields: names in ``SETTING`` that identify a row; they become the index.
        measures: pairs of protocol and measure, such as ``("closed", "mRA")``.
        outputs: as for :func:`scores`.
    """
    columns = {}
    for protocol, title in measures:
        found = scores(configs, protocol, title, outputs)
        columns[f"{protocol}, {title}"] = found.assign(words=wording.in_words(found)).set_index(list(fields)).words
    return pd.DataFrame(columns)


def crossed(found):
    """Return the scores of training on one data set and testing on another, as text.

    Args:
        found: DataFrame of :func:`scores`.

    Returns:
        A DataFrame with the index attention and training data set, one column per test data set, and a last row with
        chance.
    """
    cells = found.assign(words=wording.in_words(found), **{"trained on": found.train_dataset.fillna(found.dataset)})
    shown = cells.set_index(["attention", "trained on", "dataset"]).words.unstack(sort=False, fill_value="")
    chance = found.groupby("dataset").chance.first().reindex(shown.columns)
    shown.loc[("chance", ""), :] = [f"{value:.3f}" if value == value else "" for value in chance]
    return shown.rename_axis(columns="tested on")


def paper_cells(printed, table, metric="mRA", folds=1):
    """Return the cells of one of the paper's Tables I to III, with the names that our runs have.

    Args:
        printed: the table ``paper_tables_1_2_3``.
        table: "I", "II" or "III".
        metric: the paper's measure, "mRA" or "CMC".
        folds: 1 or 5.

    Returns:
        A DataFrame with the columns ``backbone``, ``dataset``, ``attention``, ``pooling`` and ``value``.
    """
    cells = printed[(printed.table == table) & (printed.metric == metric) & (printed.folds == folds)]
    # The paper's "gaap" is the block of Eq. 4 with partners of the class.
    cells = cells.assign(attention=cells.attention.replace("gaap", "class"))
    return cells[["backbone", "dataset", "attention", "pooling", "value"]]


def beside_paper(found, printed, table, metric="mRA"):
    """Return the paper's cells of one table next to ours, one row per cell of ours.

    Of data sets and backbones that the paper does not have, its cells are empty. Models that the table does not have
    are left out.

    Args:
        found: DataFrame of :func:`scores` for one protocol and measure; the second of our columns averages its folds
            and seeds.
        printed: the table ``paper_tables_1_2_3``.
        table: "I", "II" or "III".
        metric: the paper's measure, "mRA" or "CMC".

    Returns:
        A DataFrame with the index backbone, data set and, if they vary, attention and pooling, and the columns
        ``paper, 1-fold``, ``ours, fold 0`` (text, with interval and marks) and, if a cell has several runs, ``paper,
        5-fold`` and ``ours, mean over runs``; "ours" is "synthetic" if the images are.
    """
    keys = ["backbone", "dataset", "attention", "pooling"]
    paper = pd.concat(
        {folds: paper_cells(printed, table, metric, folds).set_index(keys).value for folds in (1, 5)}, axis=1
    )
    first = found[(found.fold == 0) & (found.seed == 0)]
    whose = "synthetic" if found.synthetic.all() else "ours"
    ours = pd.Series(wording.in_words(first).to_numpy(), pd.MultiIndex.from_frame(first[keys]))
    means = over_runs(found).set_index(keys)
    models = {key[2:] for key in paper[1].index}
    order = [key for key in ours.index if key[2:] in models]
    cited = {
        folds: [f"{cells[key]:.3f}" if key in cells.index else "" for key in order] for folds, cells in paper.items()
    }
    shown = {
        "paper, 1-fold": cited[1],
        f"{whose}, fold 0": [ours[key] for key in order],
        "paper, 5-fold": cited[5],
        f"{whose}, mean over runs": [wording.mean_in_words(means.loc[key]) for key in order],
    }
    table = pd.DataFrame(shown, index=pd.MultiIndex.from_tuples(order, names=keys))
    if not any(table.iloc[:, -1]):
        # One run in each cell: there is no mean to compare with the paper's.
        table = table.iloc[:, :2]
    return table.droplevel([name for name in keys[2:] if table.index.unique(name).size < 2])
