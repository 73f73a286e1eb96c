"""The paper's printed tables, and arithmetic checks on them.

A cell has three decimals and is compared as an integer number of thousandths, so no check needs a tolerance. A check
takes tables and returns what it finds; no expected result is coded in it. The tables are the CSV files in ``data/``;
``data/README.md`` describes their columns.
"""

import itertools
import math
import string
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd

from gaaplib.project import tables_folder

KEYS = ("backbone", "dataset", "metric", "folds")
"""The columns that identify a cell within one half of Tables I to III."""

VGG16 = (2, 2, 3, 3, 3)
"""Convolutions in each block of VGG-16 (Simonyan and Zisserman 2015, Table 1, D)."""


def read(name):
    """Return a table of ``data/`` as a DataFrame; missing values are NaN.

    Args:
        name: file name without ``.csv``, such as ``"paper_table_4"``.

    Raises:
        FileNotFoundError: the table does not exist; the message lists the tables of the folder.
    """
    folder = tables_folder()
    path = folder / f"{name}.csv"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.csv"))) or "none"
        raise FileNotFoundError(f"{path} is missing; tables in that folder: {known}")
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def thousandths(values):
    """Return values of three decimals as integers: 0.124 is 124.

    Raises:
        ValueError: a value is missing or has more than three decimals.

    Example:
        >>> thousandths([0.124, 0.9]).tolist()
        [124, 900]
    """
    scaled = 1000 * np.asarray(values, float)
    whole = np.round(scaled)
    bad = np.flatnonzero(~(np.abs(scaled - whole) < 1e-6))
    if bad.size:
        raise ValueError(f"value {np.asarray(values)[bad[0]]} at row {bad[0]}: expected a number of three decimals")
    return whole.astype(int)


def cells(tables, **where):
    """Return cells of Tables I to III in thousandths: a Series with the index backbone, data set, metric and folds.

    Args:
        tables: the table ``paper_tables_1_2_3``.
        where: values of its columns, such as ``table="II", attention="none"``.

    Raises:
        ValueError: no cell matches, or two cells have the same keys.
    """
    for column, value in where.items():
        tables = tables[tables[column] == value]
    found = pd.Series(thousandths(tables.value), pd.MultiIndex.from_frame(tables[list(KEYS)]))
    if found.empty or found.index.has_duplicates:
        twice = found.index.duplicated().sum()
        raise ValueError(f"{where}: {len(found)} cells, {twice} of them twice; expected some cells, each of them once")
    return found


def grid(found):
    """Return cells as a table of fractions: a row for each backbone and data set, a column for each metric and fold.

    Args:
        found: Series of :func:`cells`, or differences of such.
    """
    table = found.unstack(["metric", "folds"], sort=False) / 1000
    names = [f"{metric}\n{folds}-fold" for metric, folds in table.columns]
    return table.set_axis(names, axis=1).set_axis(table.index.map(" ".join))


def methods_by_column(table_4):
    """Return Table IV in thousandths: one row per method, columns (data set, metric), in the order of the table."""
    values = pd.Series(thousandths(table_4.value), pd.MultiIndex.from_frame(table_4[["method", "dataset", "metric"]]))
    return values.unstack(["dataset", "metric"], sort=False)


def differences(one, two):
    """Return ``two - one``, cell by cell, in the order of ``one``.

    Raises:
        ValueError: they do not have the same cells.
    """
    if len(one) != len(two) or set(one.index) != set(two.index):
        raise ValueError(f"{len(one)} and {len(two)} cells; expected the same rows and columns in both")
    return two.reindex(one.index) - one


@dataclass(frozen=True)
class Agreement:
    """How many cells of two columns differ by the same amount.

    Attributes:
        difference: the most frequent difference, in thousandths.
        count: number of cells that differ by it.
        of: number of all cells.
        by_chance: the most cells with one common difference in ``pairings`` random pairings of the same values.
        pairings: number of random pairings.
    """

    difference: int
    count: int
    of: int
    by_chance: int
    pairings: int

    def __str__(self):
        chance = f"; in {self.pairings:,} random pairings of the same values at most {self.by_chance} are equal"
        return f"{self.count} of {self.of} differences are {self.difference / 1000:+.3f}{chance}"


def agreement(one, two, *, pairings=1000, seed=0):
    """Return an :class:`Agreement`: the most frequent difference ``two - one``, and how frequent one is by chance.

    Example:
        >>> one = pd.Series([500, 600, 700])
        >>> found = agreement(one, one + 124, pairings=10)
        >>> found.difference, found.count, found.of
        (124, 3, 3)
    """
    found = differences(one, two)
    difference, count = _most_frequent(found.to_numpy())
    rng = np.random.default_rng(seed)
    a, b = one.to_numpy(), two.to_numpy()
    by_chance = max(_most_frequent(rng.permutation(b) - a)[1] for _ in range(pairings))
    return Agreement(difference, count, len(found), by_chance, pairings)


def _most_frequent(values):
    """The most frequent value and its count; of equally frequent values the smallest."""
    distinct, counts = np.unique(values, return_counts=True)
    index = counts.argmax()
    return int(distinct[index]), int(counts[index])


def shapes(found):
    """Return the shape of each row; rows that are equal up to a constant have the same shape.

    Args:
        found: Series of :func:`cells`.

    Returns:
        A DataFrame with one row per backbone and data set: ``shape``, a letter in order of appearance, and
        ``constant``, in thousandths: the row minus the first row of its shape.
    """
    wide = found.unstack(["metric", "folds"], sort=False)
    first, names, rows = {}, {}, []
    for row in wide.to_numpy():
        shape = tuple(row - row[0])
        names.setdefault(shape, string.ascii_uppercase[len(names)])
        rows.append((names[shape], row[0] - first.setdefault(shape, row[0])))
    return pd.DataFrame(rows, index=wide.index, columns=["shape", "constant"])


def shapes_by_chance(found, *, simulations=10_000, seed=0):
    """Return how many distinct shapes independent measurements of the same precision would have.

    Each simulated cell is its row's mean plus its column's effect plus an independent normal deviation, rounded to
    thousandths. Its standard deviation is that of the cells around their row and column means,
    ``sd = sqrt(sum(residual ** 2) / ((rows - 1) (columns - 1)))``.

    Returns:
        An array (simulations,) of counts.
    """
    wide = found.unstack(["metric", "folds"], sort=False).to_numpy(float)
    expected = wide.mean(axis=1, keepdims=True) + wide.mean(axis=0) - wide.mean()
    rows, columns = wide.shape
    deviation = math.sqrt(((wide - expected) ** 2).sum() / ((rows - 1) * (columns - 1)))
    rng = np.random.default_rng(seed)
    counts = np.empty(simulations, int)
    for number in range(simulations):
        simulated = np.rint(expected + rng.normal(0, deviation, wide.shape)).astype(int)
        counts[number] = len({tuple(row) for row in simulated - simulated[:, :1]})
    return counts


def column_agreements(wide, *, pairings=200, seed=0):
    """Return :func:`agreement` for every pair of columns.

    Args:
        wide: table of :func:`methods_by_column`.

    Returns:
        A DataFrame, highest ``count`` first: ``one``, ``two``, ``difference`` in thousandths, ``count``, ``of`` and
        ``by_chance``.
    """
    rows = []
    for one, two in itertools.combinations(wide.columns, 2):
        found = agreement(wide[one], wide[two], pairings=pairings, seed=seed)
        rows.append((" ".join(one), " ".join(two), found.difference, found.count, found.of, found.by_chance))
    table = pd.DataFrame(rows, columns=["one", "two", "difference", "count", "of", "by_chance"])
    return table.sort_values("count", ascending=False, kind="stable", ignore_index=True)


def equal_cells(one, two):
    """Return in how many rows each column of ``one`` equals each column of ``two``: a DataFrame of counts."""
    two = two.loc[one.index]
    counts = {b: [(one[a] == two[b]).sum() for a in one] for b in two}
    return pd.DataFrame(counts, index=one.columns)


def means(found):
    """Return the mean of every group of cells that share some keys: single cells, rows, columns and the whole table.

    Returns:
        A DataFrame with ``of`` (which cells, as text), ``cells`` (how many) and ``mean`` (an exact fraction).
    """
    rows = []
    for size in range(len(KEYS) + 1):
        for by in itertools.combinations(KEYS, size):
            for key, group in found.groupby(list(by), sort=False) if by else [((), found)]:
                rows.append(
                    (" ".join(map(str, key)) or "all", len(group), Fraction(int(group.sum()), 1000 * len(group)))
                )
    return pd.DataFrame(rows, columns=["of", "cells", "mean"])


def rounding_to(stated, candidates):
    """Return the rows of :func:`means` that round to a stated number.

    Args:
        stated: the number as a fraction of 1, such as 0.912, with as many decimals as it is printed with.
        candidates: DataFrame of :func:`means`.
    """
    half = Fraction(1, 2 * 10 ** len(str(stated).partition(".")[2]))
    near = [abs(mean - Fraction(str(stated))) <= half for mean in candidates["mean"]]
    return candidates[near].reset_index(drop=True)


def leaders(found, among):
    """Return which value of a key has the highest cell, for every combination of the other keys.

    Args:
        found: Series of :func:`cells`.
        among: the key to compare, such as ``"backbone"``.

    Returns:
        A Series of names; if several are equal, all of them, joined with ``" = "``.
    """
    others = [key for key in KEYS if key != among]
    groups = found.groupby(others, sort=False)
    return groups.apply(lambda group: " = ".join(group.index.get_level_values(among)[group == group.max()]))


def standing(wide, name):
    """Return how many methods are above, equal to and below one, in a DataFrame with one row per column of Table IV."""
    own, others = wide.loc[name], wide.drop(index=name)
    return pd.DataFrame(
        {
            "above": (others > own).sum(),
            "equal": (others == own).sum(),
            "below": (others < own).sum(),
            "highest": others.max() / 1000,
            "own": own / 1000,
            "who is above or equal": [", ".join(others.index[others[column] >= own[column]]) for column in wide],
        }
    )


@dataclass(frozen=True)
class Gain:
    """Differences of cells, in thousandths, and the cells that they are compared with."""

    cells: pd.Series
    base: pd.Series

    @property
    def mean(self):
        """The mean of the differences, as a fraction of 1."""
        return float(self.cells.mean()) / 1000

    def between(self, low, high=math.inf):
        """Return how many differences are from ``low`` to ``high``, given as fractions of 1."""
        return int(((self.cells >= 1000 * low - 1e-6) & (self.cells <= 1000 * high + 1e-6)).sum())

    def __str__(self):
        relative = self.cells.mean() / self.base.mean()
        span = f"{self.cells.min() / 1000:.3f} to {self.cells.max() / 1000:.3f}"
        return f"{self.mean:+.3f} on average over {len(self.cells)} cells ({relative:+.1%} of their mean), from {span}"


def gain(one, two):
    """Return the :class:`Gain` of ``two`` over ``one``, cell by cell.

    Example:
        >>> print(gain(pd.Series([500, 600]), pd.Series([600, 650])))
        +0.075 on average over 2 cells (+13.6% of their mean), from 0.050 to 0.100
    """
    return Gain(differences(one, two), one)


def unpadded(height, width, blocks=VGG16):
    """Return the feature map's size after each 3 x 3 convolution without padding and each 2 x 2 pooling.

    Args:
        height, width: size of the image, in pixels.
        blocks: number of convolutions in each block; a pooling follows each block.

    Returns:
        A DataFrame with one row per layer: ``layer``, ``height``, ``width``. It ends at the first side that is not
        positive.
    """
    rows = [("image", height, width)]
    for block, convolutions in enumerate(blocks, start=1):
        for layer in [*range(1, convolutions + 1), "pooling"]:
            height, width = (height // 2, width // 2) if layer == "pooling" else (height - 2, width - 2)
            rows.append((f"block {block}, {layer if layer == 'pooling' else f'convolution {layer}'}", height, width))
            if min(height, width) <= 0:
                return pd.DataFrame(rows, columns=["layer", "height", "width"])
    return pd.DataFrame(rows, columns=["layer", "height", "width"])


def shared_references(table_4):
    """Return the methods of Table IV that cite the same reference: ``{reference: [methods]}``."""
    cited = table_4.drop_duplicates("method").groupby("reference").method.apply(list)
    return {reference: names for reference, names in cited.items() if len(names) > 1}


def in_the_cells(claims, tables, table_4):
    """Return what the paper's own cells show about its claims: ``{claim: sentence}``, for claims that cells can test.

    Args:
        claims, tables, table_4: the tables ``claims``, ``paper_tables_1_2_3`` and ``paper_table_4``.
    """
    stated = claims.set_index("claim")
    figure, (middle, margin) = stated.figure, stated.loc["average adds 10 ± 2 %", ["figure", "tolerance"]]
    block, none = cells(tables, table="I"), cells(tables, table="II", attention="none")
    attention, average = gain(none, block), gain(cells(tables, table="III", pooling="max"), block)
    deepest, others = block.xs("resnet50", level="backbone"), block.drop("resnet50", level="backbone")
    repeated = [part.xs("mRA", level="metric").xs(5, level="folds").mean() for part in (deepest, others)]
    ahead = [(one - two) / 1000 for one, two in (repeated, (deepest.mean(), others.mean()))]
    first = leaders(block, "backbone") == "resnet50"
    best = _rpifield_leads(block)
    gains = attention.cells.groupby("backbone", sort=False).mean() / 1000
    wide = methods_by_column(table_4)
    own, earlier = wide.loc["GAAP"], wide.drop(index="GAAP")
    above = f"in Table IV {(own.mean() - earlier.mean().mean()) / 1000:+.3f} compared with the others' mean"
    reaching = attention.between(figure["attention adds 30 %"])
    inside = average.between(middle - margin, middle + margin)
    alike = _equal_to_table_4(own, deepest)
    return {
        "attention helps": f"{attention}; {attention.between(0.001)} of {len(block)} above 0",
        "attention adds 30 %": f"{attention}; {reaching} of {len(block)} reach it",
        "average beats maximum": f"{average}; {average.between(0.001)} of {len(block)} above 0",
        "average adds 10 ± 2 %": f"{average}; {inside} of {len(block)} are within the range",
        "deeper is better": f"ResNet-50 has the highest cell in {first.sum()} of {len(first)} columns",
        "ResNet-50 averages 91.2 %": _means_in_words(figure["ResNet-50 averages 91.2 %"], block),
        "ResNet-50 is 10 % ahead": f"{ahead[0]:+.3f} compared with the others' mean in 5-fold mRA, "
        f"{ahead[1]:+.3f} in all columns",
        "RPIfield is the best": f"highest in most of the four columns for {best.sum()} of {len(best)} backbones",
        "VGG gains nothing": "mean gain: " + ", ".join(f"{name} {value:+.3f}" for name, value in gains.items()),
        "it beats earlier methods": f"above all others in {(own > earlier.max()).sum()} of {len(own)} columns",
        "it beats AGW": f"above AGW in {(own > wide.loc['AGW']).sum()} of {len(own)} columns",
        "the average is 84.12": f"{_means_in_words(figure['the average is 84.12'], block)}; {above}",
        "Table IV compares CMC": f"the column CMC equals Table I's {alike.idxmax()[0]}, {alike.idxmax()[1]}-fold, in "
        f"{alike.max()} of {len(deepest) // 4} data sets",
    }


def borne_out_by_the_cells(claims, tables, table_4):
    """Return whether the paper's own cells bear out those of its claims that are about these cells: ``{claim: bool}``.

    What would bear a claim out is stated in the column ``would_show`` of the table ``claims``.

    Args:
        claims, tables, table_4: as for :func:`in_the_cells`.
    """
    figure = claims.set_index("claim").figure
    block, none = cells(tables, table="I"), cells(tables, table="II", attention="none")
    gains = gain(none, block).cells.groupby("backbone").mean()
    of_vgg = gains.index.str.startswith("vgg")
    alike = _equal_to_table_4(methods_by_column(table_4).loc["GAAP"], block.xs("resnet50", level="backbone"))
    average, overall = (
        rounding_to(figure[claim], means(block)) for claim in ("ResNet-50 averages 91.2 %", "the average is 84.12")
    )
    return {
        "ResNet-50 averages 91.2 %": bool((average.of.str.startswith("resnet50") & (average.cells > 1)).any()),
        "RPIfield is the best": bool(_rpifield_leads(block).all()),
        "VGG gains nothing": bool(gains[of_vgg].max() < gains[~of_vgg].min()),
        "the average is 84.12": bool((overall.cells > 1).any()),
        "Table IV compares CMC": alike.idxmax()[0] == "CMC",
    }


def _rpifield_leads(block):
    """Whether RPIfield has the highest cell in most of the four columns, by backbone."""
    return leaders(block, "dataset").groupby("backbone").agg(lambda names: (names == "rpifield").mean() > 0.5)


def _equal_to_table_4(gaap, deepest):
    """How many cells of GAAP's column CMC in Table IV equal those of each column of ResNet-50 in Table I."""
    return equal_cells(gaap.unstack("metric"), deepest.unstack(["metric", "folds"])).loc["CMC"]


def _means_in_words(stated, block):
    candidates = means(block)
    found = rounding_to(stated, candidates)
    which = "".join(f"; {row.of} ({row.cells} cell{'s' * (row.cells > 1)})" for row in found.itertuples())
    return f"{len(found)} of the {len(candidates)} means and cells of Table I round to {stated}{which}"
