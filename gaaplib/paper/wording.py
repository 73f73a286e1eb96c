"""Results as text: table cells, captions, summaries of runs and of pairs of runs; and tables in a notebook."""

import html
import math
import textwrap

import pandas as pd

from gaaplib import runs
from gaaplib.evaluation.statistics import GAIN, LOSS, TOO_FEW, UNCLEAR, shown, signed

MISSING, UNSCORED, CHANCE = "not run", "no score", "\u2020"
"""The text of a cell without a score, and the mark behind a score whose interval is not above chance."""

LONG = 40
"""A table of more rows scrolls."""


def tally(gained, what):
    """Return a sentence on pairs of runs: how many are a gain, a loss or neither, how large, and how many are missing.

    Args:
        gained: DataFrame of :func:`gaaplib.paper.tables.gains`.
        what: what is compared, such as "average minus maximum pooling, retrieval mAP".

    Example:
        >>> import pandas as pd
        >>> gained = pd.DataFrame({"difference": [0.1, -0.02], "verdict": ["gain", "no clear difference"]})
        >>> print(tally(gained, "average minus maximum, mAP"))
        average minus maximum, mAP, 2 of 2 pairs: gain in 1, loss in 0, no clear difference in 1 (-0.020
          to +0.100, mean +0.040)
    """
    paired = gained[gained.difference.notna()]
    missing = gained.verdict[gained.difference.isna()].value_counts()
    left = "; ".join(f"{count} without both scores ({why})" for why, count in missing.items())
    if paired.empty:
        return filled(f"{what}: nothing to compare yet" + (f"; {left}" if left else ""))
    left = f"; {left}" if left else ""
    if len(paired) == 1:
        return filled(f"{what}: {one_pair(paired, len(gained))}{left}")
    counts = {name: (paired.verdict == name).sum() for name in (GAIN, LOSS, UNCLEAR, TOO_FEW)}
    verdicts = ", ".join(f"{name} in {count}" for name, count in counts.items() if count or name != TOO_FEW)
    low, high = paired.difference.min(), paired.difference.max()
    extent = f"{low:+.3f} to {high:+.3f}, mean {paired.difference.mean():+.3f}"
    return filled(f"{what}, {len(paired)} of {len(gained)} pairs: {verdicts} ({extent}){left}")


def one_pair(measured, planned):
    """Return the difference of the only measured pair as text, with its interval, verdict and how many were planned."""
    pair = measured.iloc[0]
    return f"{signed(pair.difference, pair.low, pair.high)}, {pair.verdict} (1 of {planned} pairs)"


def filled(sentence):
    """Return a sentence wrapped into lines of at most 96 characters, broken between words only."""
    return textwrap.fill(sentence, 96, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def show(table):
    """Show a table in a notebook, whole: text stands left and wraps, numbers have three decimals, no value is empty.

    A table of more than ``LONG`` rows scrolls, except in print.

    Args:
        table: DataFrame.
    """
    from IPython.display import display

    look = "text-align: left; vertical-align: top; padding: 0.2em 0.8em 0.2em 0"
    left = [{"selector": "th, td", "props": look}]
    styled = table.style.format(_in_html).format_index(_in_html).format_index(_in_html, axis=1).set_table_styles(left)
    # An id of its own would differ each time.
    markup = styled.to_html(table_uuid="shown", cell_ids=False)
    if len(table) > LONG:
        box = "<style>.long {max-height: 36em; overflow: auto} @media print {.long {max-height: none}}</style>"
        markup = f'{box}<div class="long">{markup}</div>'
    display({"text/plain": table.round(3).to_string(na_rep=""), "text/html": markup}, raw=True)


def _in_html(value):
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    # A run's name can break where it has an underscore.
    return html.escape(str(value)).replace("_", "_<wbr>")


def in_words(found):
    """Return scores as text, ``0.412 [0.380, 0.444]``, marked if not above chance; or the reason why there is none.

    A score of too few identities for an interval has their number instead, ``0.412 (4 identities)``.

    Args:
        found: DataFrame of :func:`gaaplib.paper.tables.scores`.
    """
    return pd.Series([_words(row) for row in found.itertuples()], index=found.index, dtype=object)


def _words(row):
    if row.status != "done" or math.isnan(row.value):
        return row.status if row.status != "done" else UNSCORED
    return f"{shown(row.value, row.low, row.high, row.identities)}{CHANCE if row.at_chance else ''}"


def marked(found):
    """Return a sentence on runs: how many have a score, which diverged or collapsed, and which are not above chance.

    Args:
        found: DataFrame of :func:`gaaplib.paper.tables.scores`.
    """
    parts = [f"{found.value.notna().sum()} of {len(found)} runs have a score"]
    without = {status: found.status == status for status in runs.WITHOUT_SCORES}
    # A collapse is rare, and named only if there is one.
    without = {status: chosen for status, chosen in without.items() if status == "diverged" or chosen.any()}
    for what, chosen in {**without, "not above chance": found.at_chance.eq(True)}.items():
        names = [f"{row.backbone} on {row.dataset}" for row in found[chosen].itertuples()]
        named = ", ".join(
            f"{name} ({names.count(name)})" if names.count(name) > 1 else name for name in dict.fromkeys(names)
        )
        parts.append(f"{len(names)} {what}" + (f": {named}" if names else ""))
    return "; ".join(parts)


def mean_in_words(row):
    """Return the mean over runs with its standard deviation; of fewer than two, how many there are if more are planned.

    Args:
        row: a row of :func:`gaaplib.paper.tables.over_runs`.
    """
    if row.n < 2:
        return "" if row.planned == 1 else f"{row.n:.0f} of {row.planned:.0f} runs"
    return f"{row['mean']:.3f} \u00b1 {row.sd:.3f} (sd of {row.n:.0f} of {row.planned:.0f})"


def caption(protocol, title, found):
    """Return the caption of a table or figure: protocol, measure, AP convention, kind of images, and marks.

    Args:
        protocol: such as ``"retrieval"``, or several in words.
        title: the measure, or several in words.
        found: DataFrame of :func:`gaaplib.paper.tables.scores`.
    """
    has_ap = "retrieval" in protocol and ("mAP" in title or "mINP" in title)
    ap = ", AP by the step convention" if has_ap else ""
    words = f"{protocol} protocol, {title}{ap}, on {images(found)}; brackets: 95 % bootstrap interval over identities"
    chance = {f"{value:.3f}" for value in found.chance.dropna()}
    words += f"; chance {chance.pop()}" if len(chance) == 1 else ""
    words += f"; {CHANCE}: the interval reaches down to chance" if found.at_chance.eq(True).any() else ""
    return filled(words)


def images(found):
    """Return the kind of images: synthetic or photographs, and which data sets differ from the published ones.

    Args:
        found: DataFrame with ``synthetic``, ``as_published`` and ``dataset``, as returned by
            :func:`gaaplib.paper.tables.scores`.

    Example:
        >>> import pandas as pd
        >>> images(pd.DataFrame({"synthetic": [True]}))
        'synthetic images'
        >>> images(pd.DataFrame({"synthetic": [False], "as_published": [False], "dataset": ["raid"]}))
        'photographs (not the published raid)'
    """
    if found.synthetic.all():
        return "synthetic images"
    others = found[~found.synthetic.astype(bool) & found.as_published.eq(False)].reset_index().dataset.unique()
    return "photographs" + (f" (not the published {' and '.join(others)})" if len(others) else "")


def is_at_chance(interval, chance):
    """Return whether an interval is not above chance; one that lies below chance counts (no hit gives zero width).

    Without an interval, because the identities are too few, nothing is said: False.
    """
    return interval.low <= chance
