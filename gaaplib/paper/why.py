"""Why the block loses on photographs: runs with the block, after one change at a time, beside those without both."""

import pandas as pd

from gaaplib.config import RunConfig
from gaaplib.paper import committed, photographs, plan, tables, wording

MEASURES = (photographs.CLOSED, photographs.RETRIEVAL)

OF_THE_BLOCK = ("attention_start", "alpha")
"""Settings that mean nothing without the block."""


def changes(outputs=None):
    """Return what each change does to the block on photographs, as a DataFrame of text.

    Returns:
        One row per change, the first without any, and two columns per measure. "minus no block": the run without the
        block has the same change, unless it is one of the block itself. "minus the usual block": that has no change.
        All runs have the first seed and were trained on 70 % of each person's images.
    """
    study = committed.photographs()
    usual = next(filter(_is_of_split, photographs.pairs("split")))
    runs = list(dict.fromkeys([usual, *filter(_is_of_split, study.why())]))
    finished = plan.done([*runs, *map(_without, runs)], outputs)
    rows = {}
    for run in runs:
        against = {"minus no block": _without(run), "minus the usual block": usual}
        rows[photographs.short(run)] = {
            (" ".join(measure), what): "" if run == other else _words(finished, run, other, measure)
            for measure in MEASURES
            for what, other in against.items()
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("the block")


def start(outputs=None):
    """Return what the block does if it starts as the identity, in retrieval and trained on all images, as sentences."""
    measure = " ".join(photographs.RETRIEVAL)
    what = f"{photographs.WHERE}, {measure}, trained on all images: class that starts as the identity"
    return [
        wording.filled(f"{what} minus {name}: {photographs.outcome(gained)}")
        for name, gained in starts(outputs).items()
    ]


def starts(outputs=None):
    """Return the gain in retrieval mAP of the block that starts as the identity, trained on all images.

    Returns:
        Two DataFrames by what it is beside, "no block" and "a random start", the default. Each has one row per seed,
        with the columns ``difference``, ``low``, ``high`` and ``verdict``.
    """
    runs = [run for run in committed.photographs().why() if run.training_images == "all"]
    against = {
        "no block": [_without(run) for run in runs],
        "a random start": [RunConfig(**run.to_dict() | {"attention_start": "random"}) for run in runs],
    }
    finished = plan.done([*runs, *(run for others in against.values() for run in others)], outputs)
    return {name: _pairs(finished, runs, others) for name, others in against.items()}


def deeper(study, backbones=None, outputs=None):
    """Return what the block does to shallower and deeper networks, for both starts of it.

    Args:
        study: a :class:`gaaplib.paper.plan.Plan`: photographs or the twin of :mod:`gaaplib.paper.committed`.
        backbones: which networks, or ``None`` for those of the study.
        outputs: as for :func:`gaaplib.paper.tables.gains`.

    Returns:
        A DataFrame of text: per network one row without the block and one per start of it, with the accuracy on the
        training images at the end, the scores of both protocols, and the difference in retrieval from the run without
        the block.
    """
    usual = tables.only(study.matrix(backbones=backbones), pooling="avg")
    runs = sorted([*usual, *committed.gentle(study, backbones)], key=lambda run: study.backbones.index(run.backbone))
    finished = plan.done(runs, outputs)
    rows = {}
    for run in runs:
        scored = {" ".join(each): wording.in_words(tables.scores([run], *each, outputs)).item() for each in MEASURES}
        row = {"training accuracy": _learnt(finished.get(run.run_id)), **scored}
        if run.attention != "none":
            row["retrieval mAP, minus no block"] = _words(finished, run, _without(run), photographs.RETRIEVAL)
        start = {"random": "starts at random", "identity": "starts as the identity"}[run.attention_start]
        rows[run.backbone, "no block" if run.attention == "none" else start] = row
    return pd.DataFrame.from_dict(rows, orient="index").fillna("").rename_axis(["backbone", "the block"])


def _learnt(run):
    learnt = None if run is None else run.metrics["train_accuracy"]
    return "" if learnt is None else f"{learnt:.3f}"


def _is_of_split(run):
    return run.attention == "class" and run.training_images == "split"


def _without(run):
    """The run without the block, and without changes of the block itself."""
    plain = RunConfig.usual(run.profile, run.method)
    return RunConfig(**run.to_dict() | {"attention": "none"} | {name: plain[name] for name in OF_THE_BLOCK})


def _words(finished, run, other, measure):
    return tables.difference_in_words(finished.get(run.run_id), finished.get(other.run_id), *measure)


def _pairs(finished, runs, others):
    found = [
        tables.difference(finished.get(run.run_id), finished.get(other.run_id), *photographs.RETRIEVAL)
        for run, other in zip(runs, others, strict=True)
    ]
    seeds = pd.Index([run.seed for run in runs], name="seed")
    return pd.DataFrame(found, index=seeds, columns=["difference", "low", "high", "verdict"])
