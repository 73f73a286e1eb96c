"""The effect of changing one setting: per cell next to the paper's number, and per step and seed.

The steps through the readings of Eq. 4 take the block apart: ``uniform`` minus ``none`` is its extra linear layer,
``self`` minus ``uniform`` is attention, ``class`` minus ``self`` is the term of another image. Identities that follow
from the equations need no run; :func:`provable` checks them on random maps.
"""

import math

import numpy as np
import pandas as pd
from keras.ops import convert_to_numpy

from gaaplib.attention import ATTENTION
from gaaplib.evaluation import statistics
from gaaplib.paper import plan, tables, wording

READINGS = (("uniform", "none"), ("self", "uniform"), ("class", "self"))
"""The steps from no attention to the paper's: pairs of an attention and the one it is compared with."""

MEAN, TOO_FEW = "mean of seeds", "too few runs"

PRINTED = {("closed", "mRA"): "mRA", ("closed", "CMC(1)"): "CMC"}
"""The paper's name for our protocol and measure."""


def on_off(study):
    """Return Table II's runs: each cell without and with attention, for the ablated backbone on all five folds.

    Args:
        study: a :class:`gaaplib.paper.plan.Plan`.
    """
    found = study.matrix() + [run for run in study.all_folds() if run.backbone in study.backbones]
    return tables.only(found, pooling="avg")


def by_cell(configs, field, value, against, protocol, title, outputs=None, paper=None):
    """Return the gains of fold 0 and seed 0 by backbone and data set, the layout of the paper's tables.

    Args:
        configs, field, value, against, protocol, title, outputs: as for :func:`gaaplib.paper.tables.gains`.
        paper: the paper's differences, as ``audit.gain(...).cells``; None: the paper has none.

    Returns:
        Rows of :func:`gaaplib.paper.tables.gains` with the index ``backbone`` and ``dataset`` and more columns:
        ``base``, the score of ``against``; ``without`` and ``with``, both scores as text; ``runs``, the mean difference
        over all folds and seeds as text; ``paper``, the paper's difference as a fraction, NaN if it prints none.
    """
    gained = tables.gains(configs, field, value, against, protocol, title, outputs)
    found = tables.scores(configs, protocol, title, outputs).set_index("run_id")
    keys, words = ["backbone", "dataset"], wording.in_words(found)
    cells = gained[(gained.fold == 0) & (gained.seed == 0)].set_index(keys)
    cells = cells.assign(base=cells.against.map(found.value), paper=math.nan)
    cells = cells.assign(**{"without": cells.against.map(words), "with": cells.run_id.map(words)})
    means = {
        key: _mean_in_words(rows.difference, rows.verdict, sign="+") if len(rows) > 1 else ""
        for key, rows in gained.groupby(keys)
    }
    cells["runs"] = [means[key] for key in cells.index]
    if paper is not None and (protocol, title) in PRINTED:
        printed = paper.xs((PRINTED[protocol, title], 1), level=("metric", "folds"))
        cells["paper"] = (printed / 1000).reindex(cells.index)
    return cells


def claimed(cells, size):
    """Return a sentence on how many cells reach a claimed gain, read as percentage points and as a relative gain.

    Args:
        cells: DataFrame of :func:`by_cell`.
        size: the claimed gain, as a fraction.
    """
    paired = cells[cells.difference.notna()]
    if paired.empty:
        return f"none of {len(cells)} cells has both runs, so the claimed {size:+.0%} cannot be checked"
    points, relative = (paired.difference >= size).sum(), (paired.difference >= size * paired.base).sum()
    mean = paired.difference.mean()
    return wording.filled(
        f"{mean:+.3f} on average over {len(paired)} of {len(cells)} cells ({mean / paired.base.mean():+.1%} of their "
        f"mean score); {points} of them reach a gain of {size:.0%} in percentage points, {relative} relative to the "
        "score"
    )


def steps(configs, field, levels, protocol, title, outputs=None):
    """Return the gains of several pairs of values of one field, run by run.

    Args:
        configs, field, protocol, title, outputs: as for :func:`gaaplib.paper.tables.gains`.
        levels: ``((value, against), ...)``, such as ``READINGS``.

    Returns:
        The rows of :func:`gaaplib.paper.tables.gains` with the index ``step``, ``sampler`` and ``seed``.
    """
    parts = []
    for value, against in levels:
        gained = tables.gains(configs, field, value, against, protocol, title, outputs)
        seeds = [f"seed {seed}" for seed in gained.seed]
        parts.append(gained.assign(step=f"{value} \u2212 {against}", seed=seeds))
    order = {name: index for index, name in enumerate(dict.fromkeys(config.sampler for config in configs))}
    parts = [part.sort_values("sampler", key=lambda names: names.map(order), kind="stable") for part in parts]
    return pd.concat(parts).set_index(["step", "sampler", "seed"])


def with_means(found):
    """Return the rows of :func:`steps`, each group of seeds followed by its mean with Student's t interval."""
    parts = []
    for (step, sampler), rows in found.groupby(["step", "sampler"], sort=False):
        row, values = {"difference": math.nan, "verdict": TOO_FEW}, rows.difference.dropna()
        if len(values) > 1:
            spread = statistics.mean_and_spread(values)
            row = {"difference": spread.mean, "low": spread.low, "high": spread.high}
            row["verdict"] = spread.verdict
        index = pd.MultiIndex.from_tuples([(step, sampler, MEAN)], names=found.index.names)
        parts += [rows, pd.DataFrame([row], index=index, columns=rows.columns)]
    return pd.concat(parts)


def in_words(found):
    """Return one sentence per step and sampler on rows of :func:`steps`: over its seeds, and on their mean."""
    sentences = []
    for (step, sampler), rows in with_means(found).groupby(["step", "sampler"], sort=False):
        mean = rows.loc[(step, sampler, MEAN)]
        words = wording.tally(rows.iloc[:-1], f"{step}, {sampler}")
        if mean.verdict != TOO_FEW:
            words += f"; mean over seeds {mean.difference:+.3f} [{mean.low:+.3f}, {mean.high:+.3f}]: {mean.verdict}"
        sentences.append(words)
    return sentences


def fitted(configs, outputs=None):
    """Return a sentence on how well the finished runs know their training images, without dropout and augmentation.

    Args:
        configs, outputs: as for :func:`gaaplib.paper.tables.scores`.
    """
    shares = [run.metrics["train_accuracy"] for run in plan.done(configs, outputs).values()]
    known = [share for share in shares if share is not None]
    if not known:
        return "training accuracy: no finished run yet"
    return f"training accuracy: {min(known):.3f} to {max(known):.3f} ({len(known)} runs)"


def partnered(found):
    """Return one sentence per sampler on the share of training images with a partner (same identity) in the batch.

    Args:
        found: DataFrame of :func:`gaaplib.paper.tables.scores`.
    """
    sentences = []
    for sampler, shares in found.groupby("sampler", sort=False).partnered:
        known = shares.dropna()
        words = f"{known.mean():.0%} of the training images had a partner in the batch (mean of {len(known)} runs)"
        sentences.append(f"{sampler}: {words if len(known) else 'no run yet'}")
    return sentences


def over_seeds(found):
    """Return the mean over seeds of each attention and sampler, as text.

    Args:
        found: DataFrame of :func:`gaaplib.paper.tables.scores`.

    Returns:
        A DataFrame with the index ``attention`` and one column per sampler: mean, standard deviation and number of the
        runs; or the reason why there is no score.
    """
    groups = found.groupby(["attention", "sampler"], sort=False)
    cells = {key: _mean_in_words(rows.value, rows.status, chance=rows.at_chance.eq(True).any()) for key, rows in groups}
    return pd.Series(cells, dtype=object).rename_axis(["attention", "sampler"]).unstack(sort=False)


def _mean_in_words(values, why, sign="", chance=False):
    scored = values.dropna()
    if scored.empty:
        return ", ".join(dict.fromkeys(why))
    sd = f" \u00b1 {scored.std():.3f}" if len(scored) > 1 else ""
    mark = wording.CHANCE if chance else ""
    return f"{scored.mean():{sign}.3f}{sd}{mark} ({len(scored)} of {len(values)} runs)"


def shown(found):
    """Return differences with intervals and verdicts as text, next to both scores and the paper's difference if known.

    Args:
        found: DataFrame of :func:`by_cell`, :func:`steps` or :func:`with_means`.
    """
    ends = [f" [{row.low:+.3f}, {row.high:+.3f}]" if row.low == row.low else "" for row in found.itertuples()]
    gain = [f"{difference:+.3f}{end}" for difference, end in zip(found.difference, ends, strict=True)]
    words = {name: found[name] for name in ("without", "with") if name in found}
    words |= {"difference": np.where(found.difference.notna(), gain, ""), "verdict": found.verdict}
    if "runs" in found and any(found.runs):
        words["mean difference over runs"] = found.runs
    if "paper" in found and found.paper.notna().any():
        words["the paper's difference"] = [f"{value:+.3f}" if value == value else "" for value in found.paper]
    return pd.DataFrame(words, index=found.index)


def provable(seed=0):
    """Check on random maps and weights what follows from Eq. 4 to 6 without training; the last statement is false.

    Returns:
        A Series with the statements as its index: the largest difference between both sides, as a share of the largest
        value, as text.
    """
    rng = np.random.default_rng(seed)
    maps, partners = rng.normal(size=(4, 4, 2, 64)).astype("float32"), np.array([1, 0, 3, 2])
    own, mixed = ATTENTION["self"](), ATTENTION["class"](alpha=0.5)
    alone, channel = ATTENTION["class"](alpha=1.0), ATTENTION["channel"](alpha=0.5)
    colder = ATTENTION["self"]()
    for layer in (own, mixed, alone, channel, colder):
        layer.build(maps.shape)
    kernels = [rng.normal(size=kernel.shape) / len(kernel) ** 0.5 for kernel in own.get_weights()]
    for layer in (own, mixed, alone, channel):
        layer.set_weights(kernels)
    colder.set_weights([kernels[0] / 2**0.5, *kernels[1:]])
    weights = convert_to_numpy(mixed.attention_map(maps, partners)).mean(axis=1)
    features = maps.reshape(4, 8, 64)
    pooled = features.mean(axis=1) + np.einsum("bn,bnc->bc", weights, features) @ kernels[2] @ kernels[3]
    block = convert_to_numpy(mixed(maps, partners=partners))
    sides = {
        "class with \u03b1 = 1 equals self": (alone(maps, partners=partners), own(maps)),
        "class without a partner, as at inference, equals self": (mixed(maps), own(maps)),
        "channel with \u03b1 = 0.5 equals self with its query divided by \u221a2": (channel(maps), colder(maps)),
        "the average-pooled block equals mean(F) + W_a W_v \u03a3 w_n F_n": (block.mean(axis=(1, 2)), pooled),
        "class with \u03b1 = 0.5 and a partner equals self": (block, own(maps)),
    }
    return pd.Series({name: _apart(*both) for name, both in sides.items()}, name="largest difference")


def _apart(one, other):
    one, other = convert_to_numpy(one), convert_to_numpy(other)
    share = np.abs(one - other).max() / np.abs(other).max()
    return "below 1e-5" if share < 1e-5 else f"{share:.2f}: not equal"
