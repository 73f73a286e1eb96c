"""Words for results: the verdict on an interval, cells and captions of tables, sentences on many pairs of runs."""

import math
import textwrap

import pandas as pd

from gaaplib.evaluation.statistics import GAIN, LOSS, UNCLEAR

MISSING, DIVERGED, UNSCORED, CHANCE = "not run", "diverged", "no score", "\u2020"
"""What stands in a cell without a score, and behind a score whose interval does not lie above chance."""


def tally(gained, what):
    """A sentence on pairs of runs: how many are a gain, a loss and neither, how large, and what is missing.

    Args:
        gained: DataFrame as of :func:`gaaplib.paper.tables.gains`.
        what: the change in words, such as "average less maximum pooling".
    """
    paired = gained[gained.difference.notna()]
    lacking = gained.verdict[gained.difference.isna()].value_counts()
    left = "; ".join(f"{count} without both scores ({why})" for why, count in lacking.items())
    if paired.empty:
        return filled(f"{what}: nothing to compare yet" + (f"; {left}" if left else ""))
    said = ", ".join(f"{name} in {(paired.verdict == name).sum()}" for name in (GAIN, LOSS, UNCLEAR))
    low, high = paired.difference.min(), paired.difference.max()
    extent = f"{low:+.3f}" if len(paired) == 1 else f"{low:+.3f} to {high:+.3f}, mean {paired.difference.mean():+.3f}"
    return filled(f"{what}: {len(paired)} of {len(gained)} pairs: {said} ({extent})" + (f"; {left}" if left else ""))


def filled(sentence):
    """A sentence in lines that an output cell does not have to cut within a word."""
    return textwrap.fill(sentence, 96, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def in_words(found):
    """Scores as words: ``0.412 [0.380, 0.444]``, marked where at chance; else why there is none.

    Args:
        found: DataFrame as of :func:`gaaplib.paper.tables.scores`.
    """
    return pd.Series([_words(row) for row in found.itertuples()], index=found.index, dtype=object)


def _words(row):
    if row.status != "done" or math.isnan(row.value):
        return row.status if row.status != "done" else UNSCORED
    return f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]{CHANCE if row.at_chance else ''}"


def marked(found):
    """A sentence on runs: how many have a score, which diverged, and which are at chance.

    Args:
        found: DataFrame as of :func:`gaaplib.paper.tables.scores`.
    """
    said = [f"{found.value.notna().sum()} of {len(found)} runs have a score"]
    odd = {"diverged": found.status == DIVERGED, "not above chance": found.at_chance.eq(True)}
    for what, chosen in odd.items():
        names = [f"{row.backbone} on {row.dataset}" for row in found[chosen].itertuples()]
        named = ", ".join(
            f"{name} ({names.count(name)})" if names.count(name) > 1 else name for name in dict.fromkeys(names)
        )
        said.append(f"{len(names)} {what}" + (f": {named}" if names else ""))
    return "; ".join(said)


def mean_in_words(row):
    """The mean over runs with its standard deviation, or how many runs there are where one is too few.

    Args:
        row: of :func:`gaaplib.paper.tables.over_runs`.
    """
    if row.n < 2:
        return f"{row.n:.0f} of {row.planned:.0f} runs"
    return f"{row['mean']:.3f} \u00b1 {row.sd:.3f} (sd of {row.n:.0f} of {row.planned:.0f})"


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
        found: DataFrame with ``synthetic``, ``as_published`` and ``dataset``, as of
            :func:`gaaplib.paper.tables.scores`.
    """
    if found.synthetic.all():
        return "drawn (synthetic) images"
    others = found[~found.synthetic.astype(bool) & found.as_published.eq(False)].reset_index().dataset.unique()
    return "photographs" + (f" (not those that were published as {' and '.join(others)})" if len(others) else "")


def is_at_chance(interval, chance):
    """Whether an interval does not lie above chance. One below it counts: without any hit it has no width."""
    return interval.low <= chance
