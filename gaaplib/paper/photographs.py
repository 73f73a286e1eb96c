"""What came out on photographs, as sentences, with which the notebooks on the paper's tables begin.

The photographs are CUHK03's, under its official new protocol. They are not the paper's, so they do not decide what the
paper claims about its own data sets.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from gaaplib import options
from gaaplib.config import SYNTHETIC
from gaaplib.evaluation import statistics
from gaaplib.paper import audit, committed, occluded, plan, sota, tables, wording
from gaaplib.project import registered_names

WHERE = "CUHK03 (photographs, not the paper's)"
CLOSED, RETRIEVAL = ("closed", "mRA"), ("retrieval", "mAP")
SOFTMAX = "softmax (gaap without its block)"


def differences(configs, changes, measure, by=(), outputs=None, note=""):
    """Return a sentence for each change of one setting, and for each group of pairs that share other settings.

    Args:
        configs: configurations of the runs.
        changes: triples of field, value and the value that it is compared with.
        measure: protocol and title, such as ``RETRIEVAL``.
        by: settings that tell groups of pairs apart, such as ``("attention",)``; the pairs of a group differ in seed
            and fold alone.
        outputs: as for :func:`gaaplib.paper.tables.gains`.
        note: what is said behind the measure.
    """
    sentences = []
    for field, value, against in changes:
        gained = tables.gains(configs, field, value, against, *measure, outputs)
        groups = gained.groupby(list(by), sort=False) if by else [((), gained)]
        for key, rows in groups:
            shared = ", ".join(f"{name}={each}" for name, each in zip(by, key, strict=True))
            what = f"{WHERE}, {' '.join(measure)}{note}: {field} {value} minus {against}" + (
                f" with {shared}" if shared else ""
            )
            sentences.append(wording.filled(f"{what}: {outcome(rows)}"))
    return sentences


def outcome(rows):
    """The difference of one pair with its interval, or the mean over several with Student's t interval."""
    known = rows[rows.difference.notna()]
    if known.empty:
        return f"{', '.join(dict.fromkeys(rows.verdict))} (0 of {len(rows)} pairs)"
    if len(known) == 1:
        return wording.one_pair(known, len(rows))
    mean = statistics.mean_and_spread(known.difference)
    shown = statistics.signed(mean.mean, mean.low, mean.high)
    return f"{shown}, {mean.verdict} (mean of {len(known)} of {len(rows)} pairs)"


def block(outputs=None):
    """Return what the attention block does in both protocols; in retrieval, also with all images to train on.

    So with average pooling, as in the paper's Table II; the last sentence is on maximum pooling, as in its Table III.
    """
    change = [("attention", "class", "none")]
    split, whole = pairs("split"), pairs("all")
    largest = tables.only(committed.photographs().poolings(), pool_over="positions", pooling="max")
    return [
        *differences(split, change, CLOSED, outputs=outputs),
        *differences(split, change, RETRIEVAL, outputs=outputs),
        *differences(whole, change, RETRIEVAL, outputs=outputs, note=", trained on all images"),
        *differences(largest, change, RETRIEVAL, ("pooling",), outputs=outputs),
    ]


def pairs(training_images):
    """Return the runs with the block and without it, for each seed: trained on "all" images, or on 70 % ("split")."""
    return tables.only(committed.photographs().block(), training_images=training_images)


def depth(outputs=None):
    """Return what a deeper ResNet does with average pooling: without the block, with it, and with its gentler start.

    The block of Table I starts at random, and that of :func:`gaaplib.paper.committed.gentle` as the identity.
    """
    study = committed.photographs()
    runs, gentle = tables.only(study.matrix(), pooling="avg"), committed.gentle(study)
    steps = list(zip(study.backbones[1:], study.backbones[:-1], strict=True))
    changes = [("backbone", deeper, shallower) for deeper, shallower in steps]
    return [
        sentence
        for each in (CLOSED, RETRIEVAL)
        for sentence in (
            *differences(runs, changes, each, ("attention",), outputs=outputs),
            *differences(gentle, changes, each, outputs=outputs, note=" with a block that starts as the identity"),
        )
    ]


def pooling(outputs=None):
    """Return what average pooling does beside maximum and GeM pooling, without the block and with it."""
    runs = tables.only(committed.photographs().poolings(), pool_over="positions")
    changes = [("pooling", "avg", "max"), ("pooling", "avg", "gem")]
    measures = (CLOSED, RETRIEVAL)
    return [
        sentence for each in measures for sentence in differences(runs, changes, each, ("attention",), outputs=outputs)
    ]


def triplet(outputs=None):
    """Return what the classifier does beside the triplet loss, without the block and with it."""
    return differences(
        committed.photographs().methods(), [("method", "gaap", "triplet")], RETRIEVAL, ("attention",), outputs=outputs
    )


def across(outputs=None):
    """Return what the block does to models trained on CUHK03 and tested elsewhere, or the other way round."""
    crossings = {}
    for config in committed.across():
        source, target = _images(config.train_dataset, config.train_data), _images(config.dataset, config.data)
        crossings.setdefault(f"trained on {source}, tested on {target}, retrieval mAP", []).append(config)
    return [_crossing(what, configs, outputs) for what, configs in crossings.items()]


def _crossing(what, configs, outputs):
    """The mean score of each model, chance, and the difference of the pairs, as a sentence."""
    found = tables.scores(configs, *RETRIEVAL, outputs)
    found = found[found.value.notna()]
    means = [f"{value:.3f} with attention {name}" for name, value in found.groupby("attention").value.mean().items()]
    chance = [f"{value:.3f} by chance" for value in found.chance[:1]]
    gained = tables.gains(configs, "attention", "class", "none", *RETRIEVAL, outputs)
    return wording.filled(f"{what}: {', '.join([*means, *chance, ''])}class minus none: {outcome(gained)}")


ASKED = {
    "block": "the block: on and off, both protocols",
    "matrix": "depth: ResNet-18, -34 and -50",
    "all_folds": "depth and block: the other folds",
    "methods": "the classifier beside the triplet loss",
    "table_4": "the methods of Table IV",
    "poolings": "average, maximum and GeM pooling",
    "readings": "readings of Eq. 4, and controls",
    "why": "why the block gains or loses",
    "alphas": "alpha of Eq. 4",
    "places": "where the block stands",
    "tricks": "BoT's tricks, one by one",
    "twin": "on and off, depth, pooling, triplet loss (synthetic)",
    "gentle": "depth, if the block starts as the identity",
    "across": "from CUHK03 to other images, and back",
    "occluded": "hidden parts of the person (synthetic)",
    "dropout": "softmax without dropout, beside BoT and AGW",
}
"""What the parts of :func:`gaaplib.paper.committed.everything` ask; each run counts in the first part that has it."""


def left_out(outputs=None):
    """Return what was asked on photographs, and which of its runs were not made, as a DataFrame of text.

    Returns:
        One row per part of the plan, with the columns ``planned``, ``made`` and ``not made``: how each of these runs
        differs from the usual one, and how many seeds and folds of it there are, if several.
    """
    rows = {}
    for asked, runs in ((ASKED[name], runs) for name, runs in committed.everything().items() if runs):
        missing = plan.missing(runs.values(), outputs)
        named = [name + f" ({count} runs)" * (count > 1) for name, count in Counter(map(short, missing)).items()]
        rows[asked] = len(runs), len(runs) - len(missing), "; ".join(named)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["planned", "made", "not made"])


def short(config):
    """How a run differs from the usual one of its method, in words; its seed and fold aside."""
    settings = {"backbone": config.backbone} | config.changes()
    usual = {"backbone": committed.photographs().ablated, "training_images": "split"}
    said = {
        name: value for name, value in settings.items() if name not in ("seed", "fold") and usual.get(name) != value
    }
    images = {"on": _images(config.dataset, config.data)} if config.dataset != "cuhk03" else {}
    return " ".join(f"{name}={value}" for name, value in (images | said).items()) or "as usual"


def _images(dataset, data):
    """What images are called: a twin by its data set, photographs by the name of their folder."""
    return f"{SYNTHETIC}-{dataset}" if data == SYNTHETIC else Path(data).name


def measured(outputs=None):
    """Return the retrieval mAP of each method of Table IV, the highest first and those that were not run last.

    Returns:
        A DataFrame with the index ``method``: ``value``, ``low`` and ``high``, of one run with its interval over
        identities, or the mean over seeds with Student's t interval; ``words``, the same as text, or why there is none.
    """
    found = tables.scores(committed.photographs().table_4(), *RETRIEVAL, outputs)
    plain = (found.method == "gaap") & (found.attention == "none")
    rows = {name: _over_seeds(runs) for name, runs in found.groupby(found.method.mask(plain, SOFTMAX), sort=False)}
    columns = ["value", "low", "high", "words"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("method")
    return table.sort_values("value", ascending=False, kind="stable")


def _over_seeds(runs):
    scored = runs[runs.value.notna()]
    if len(scored) < 2:
        row = (scored if len(scored) else runs).iloc[[0]]
        return *row[["value", "low", "high"]].iloc[0], wording.in_words(row).item()
    spread = statistics.mean_and_spread(scored.value)
    words = f"{spread.mean:.3f} [{spread.low:.3f}, {spread.high:.3f}] over {spread.n} seeds"
    return spread.mean, spread.low, spread.high, words


def ranking(outputs=None):
    """Return the methods of Table IV that were measured, from the highest mAP, as one sentence."""
    table = measured(outputs)
    scored = table[table.value.notna()]
    named = ", ".join(f"{name} {words}" for name, words in scored.words.items()) or "none yet"
    without = table.words[table.value.isna()].value_counts()
    missing = "".join(f"; {count} {why}" for why, count in without.items())
    return wording.filled(f"{WHERE}, retrieval mAP, methods in order: {named}{missing}")


def ranks(outputs=None):
    """Return the rank of each measured method by its retrieval mAP, 1 the highest, with its 95 % interval.

    Intervals are over the identities of the queries, which are resampled for all methods at once. A method's AP of a
    query is the mean over its seeds.

    Returns:
        A DataFrame with the index ``method`` and the columns ``rank``, ``rank_low`` and ``rank_high``.
    """
    asked, found = committed.photographs().table_4(), {}
    for run in plan.done(asked, outputs).values():
        if run.metrics["retrieval"] is not None:
            config = run.config
            plain = config.method == "gaap" and config.attention == "none"
            found.setdefault(SOFTMAX if plain else config.method, []).append(run.per_query)
    columns = ["rank", "rank_low", "rank_high"]
    if not found:
        return pd.DataFrame(columns=columns, index=pd.Index([], name="method"))
    first = next(iter(found.values()))[0]
    precisions = [np.mean([each["ap"][each["valid"]] for each in seeds], axis=0) for seeds in found.values()]
    table = statistics.bootstrap_ranks(precisions, first["pid"][first["valid"]])
    return pd.DataFrame(table, index=pd.Index(found, name="method"), columns=columns)


def dropout(outputs=None):
    """Return how much dropout decides the order: softmax without it, and BoT and AGW beside that, one line each."""
    plain, without, *others = committed.without_dropout()
    finished = plan.done([plain, without, *others], outputs)
    asked = [("softmax without dropout", without, f"softmax with {plain.dropout}", plain)]
    asked += [(run.method, run, "softmax without dropout", without) for run in others]
    sentences = []
    for name, run, against, other in asked:
        words = tables.difference_in_words(finished.get(run.run_id), finished.get(other.run_id), *RETRIEVAL)
        sentences.append(wording.filled(f"{WHERE}, retrieval mAP: {name} minus {against}: {words}"))
    return sentences


def beside_published(outputs=None):
    """Return :func:`measured` and its ranks beside what Table IV and the methods' own papers print on Market-1501.

    Returns:
        The DataFrame of :func:`measured` with the columns of :func:`ranks`, ``table_4`` (its CMC), ``own`` (rank-1 of
        the method's own paper), and ``table_4_rank`` and ``own_rank``, among all methods that have such a number.
    """
    printed, own = audit.read("paper_table_4"), audit.read("published_methods")
    printed = printed[(printed.dataset == "market1501") & (printed.metric == "CMC")].set_index("method").value
    own = own[(own.dataset == "market1501") & (own.measure == "rank1")].groupby("method", sort=False).value.first()
    called = {name.casefold(): name for name in printed.index}
    table = measured(outputs)
    names = [called.get(sota.TABLE_4_NAMES.get(name, name).casefold()) for name in table.index]
    for column, numbers in {"table_4": printed, "own": own}.items():
        table[column] = numbers.reindex(names).to_numpy()
        table[f"{column}_rank"] = numbers.rank(ascending=False).reindex(names).to_numpy()
    return table.join(ranks(outputs))


LEARNS_FROM = {
    "gml": "names of who is on a sequence of images",
    "hct": "images alone",
    "mebnet": "images alone, after identities of another set",
    "udaml": "images alone, after identities of another set",
}
"""What the methods learn from that do not learn from the identities of the images."""


def rows_of_table_4(outputs=None):
    """Return each method of Table IV: its name here, what it needs, whether it stands measured, and what that took.

    Returns:
        A DataFrame of text. The minutes of training are those of the first seed on CUHK03. The last column is of
        synthetic images on which something hides a part of the person; see :mod:`gaaplib.paper.occluded`.
    """
    printed = audit.read("paper_table_4").method.unique()
    called = {
        sota.TABLE_4_NAMES.get(name, name).casefold(): name for name in registered_names("gaaplib.methods", "METHODS")
    }
    words = measured(outputs).words.rename({SOFTMAX: "softmax"})
    seconds = tables.scores(methods(), *RETRIEVAL, outputs).set_index(["method", "attention"]).seconds
    twin = occluded.scores(outputs).iloc[:, 0]
    minutes = {name: spent / 60 for (name, block), spent in seconds.items() if (name, block) != ("gaap", "none")}
    rows = {}
    for name in printed:
        here = called.get(name.casefold())
        stand_in = next(
            (own for own, said in sota.TABLE_4_NAMES.items() if said.startswith(f"{name}'s stand-in")), None
        )
        own = here or stand_in
        state, spent = _state(own, words), minutes.get(own, np.nan)
        state = f"no source found; stand-in: {state}" if stand_in else state
        sees = ", ".join(["images", *options.needs(own)])
        rest = state, "" if spent != spent else f"{spent:.0f}", twin.get(own, "not asked")
        rows[name] = own, LEARNS_FROM.get(own, "identities"), sees, *rest
    columns = ["here", "learns from", "sees", "on CUHK03, retrieval mAP", "minutes of training", twin.name]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _state(name, words):
    if name in words.index:
        return words[name]
    if needed := options.needs(name):
        return f"needs {', '.join(needed)}, which CUHK03 does not have"
    return "adapts to another data set: not run" if options.start(name) else wording.MISSING


def ladder(outputs=None):
    """Return BoT's tricks one after the other: retrieval mAP here, and what its README prints, as a DataFrame of text.

    The README's figures are of Market-1501, ResNet-50 from ImageNet and images of 256 x 128.
    """
    found = tables.scores(committed.photographs().tricks(), *RETRIEVAL, outputs)
    printed = audit.read("published_ladder").set_index("trick")
    here = pd.Series(wording.in_words(found).to_numpy(), list(plan.TRICKS), name="mAP here")
    columns = {"rank1": "rank-1 in the README", "mAP": "mAP in the README"}
    return pd.concat([here, printed[list(columns)].rename(columns=columns)], axis=1).rename_axis("with")


def methods():
    """Return the runs of Table IV whose learning curves are shown: each method that learns, with the first seed."""
    return [config for config in committed.photographs().table_4() if config.method != "histogram" and config.seed == 0]


def front(outputs=None):
    """Return the three sentences of the study: on the printed cells, on the block, and on the methods."""
    printed = audit.read("paper_tables_1_2_3")
    sides = audit.cells(printed, table="II", attention="none"), audit.cells(printed, table="III", pooling="max")
    return [
        wording.filled(f"Table III (maximum pooling) minus Table II (no attention): {audit.agreement(*sides)}"),
        *block(outputs),
        ranking(outputs),
    ]
