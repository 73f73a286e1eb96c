"""Whether embeddings have collapsed: all are alike, so that a ranking by them is one by rounding or by brightness.

A network collapses if its training fails, for example at too high a learning rate. Its scores may still be above
chance, but they say nothing about identities.
"""

import numpy as np

ROUNDING = {"float16": 1e-3, "mixed_bfloat16": 5e-3}
"""Share of an embedding's length that is rounding, by precision; 1e-5 for any other, which is single or double."""

OFF, LINE = 0.01, 0.9
FEW, ALONE = 10, 0.98
"""Limits of :func:`collapsed`, between networks that learnt and those that collapsed in ``benchmarks/collapse.py``."""

SAMPLE = 1024


def collapsed(sides, identities, precision="float32", metric="cosine"):
    """Why embeddings have collapsed, as a sentence with the spread in numbers; None if they have not.

    They have collapsed, by the two numbers of :func:`spread`,

    - if ``off`` is within rounding: all point in one direction;
    - if ``off`` is below ``OFF`` and ``line`` above ``LINE``: they hardly differ, and in one respect only;
    - if ``line`` is above ``ALONE``: they differ in one respect only. This is not asked of fewer than ``FEW``
      identities, who may well lie along one axis.

    Embeddings that are compared by the Euclidean distance have collapsed if both their directions and, by the same
    rules, they themselves have: of one direction, they may still differ in length, as of a few people they may well do.

    Args:
        sides: arrays (n, dim), finite: the embeddings of the queries, of the gallery, or both.
        identities: number of identities that the images show.
        precision: in which the network computed them: a key of ``ROUNDING`` or any other name.
        metric: by which they are compared, ``"cosine"`` or ``"euclidean"``.

    Example:
        >>> import numpy as np
        >>> collapsed([np.eye(4)], identities=2) is None
        True
        >>> print(collapsed([np.ones((1, 8)), np.ones((3, 8))], identities=2))
        all 4 embeddings are alike: they deviate from one direction by 0.0e+00 of their length, which is rounding
    """
    n = sum(len(side) for side in sides)
    zeros = sum(int((~side.any(axis=1)).sum()) for side in sides)
    if n < 2 or zeros == n:
        return "all embeddings are zeros" if n > 1 else None
    if zeros and metric == "cosine":
        # They have no direction, which is refused elsewhere.
        return None
    reason = _alike(n, "direction", spread([side[side.any(axis=1)] for side in sides]), identities, precision)
    if reason and metric == "euclidean":
        return _alike(n, "point", spread(sides, metric), identities, precision)
    return reason


def _alike(n, what, found, identities, precision):
    """Why so many embeddings are alike by what :func:`spread` found, as a sentence; None if they are not."""
    off, line = found
    start = f"all {n} embeddings are alike: they deviate from one {what} by {off:.1e} of their length"
    if off < ROUNDING.get(precision, 1e-5):
        return f"{start}, which is rounding"
    if n >= FEW and (off < OFF or identities >= FEW) and line > (LINE if off < OFF else ALONE):
        return f"{start}, and {line:.1%} of their variance is along one axis"
    return None


def spread(sides, metric="cosine"):
    """How far embeddings deviate from one direction, and how much of that is along one axis: ``(off, line)``.

    With every embedding scaled to length 1, ``off`` is the root mean square distance from the line through the origin
    that fits best, and ``line`` the share of the variance around the mean that lies along one axis. Both are from 0 to
    1. Of more than ``SAMPLE`` images, every second, third, ... is taken.

    With the metric ``"euclidean"``, embeddings keep their lengths, and ``off`` is the root mean square distance from
    their mean, as a share of their root mean square length.

    Args:
        sides: as for :func:`collapsed`, without embeddings of zeros for ``"cosine"``.
        metric: as for :func:`collapsed`.
    """
    step = -(-sum(len(side) for side in sides) // SAMPLE)
    chosen = np.concatenate([side[::step] for side in sides]).astype(float)
    # By the largest first: squares of very small or very large values would be 0 or infinite.
    if metric == "euclidean":
        chosen /= np.abs(chosen).max() or 1.0
        around = chosen - chosen.mean(axis=0)
        return float(np.linalg.norm(around) / (np.linalg.norm(chosen) or 1.0)), _first_share(around)
    chosen /= np.abs(chosen).max(axis=1, keepdims=True)
    directions = chosen / np.linalg.norm(chosen, axis=1, keepdims=True)
    off = np.sqrt(max(0.0, 1 - _first_share(directions)))
    return float(off), _first_share(directions - directions.mean(axis=0))


def _first_share(rows):
    """The share of the sum of squares that lies along the first singular vector."""
    small = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
    total = np.trace(small)
    return float(np.linalg.eigvalsh(small)[-1] / total) if total else 1.0
