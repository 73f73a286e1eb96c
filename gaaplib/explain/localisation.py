"""Measures of how well heat maps localise the person: scores against true masks, baseline maps, and paired tests.

A map is (height, width), not negative, and sums to one. The measures take maps at the resolution of the image. The
baselines and the maps of :mod:`gaaplib.explain.heatmaps` are grids of h x w cells; upsample all of them with the same
interpolation, because the interpolation alone changes the scores. In a pedestrian crop the person is in the centre, so
any central blob scores well: read a measure only together with that of the baselines.

Sources: J. Zhang et al., "Top-down Neural Attention by Excitation Backprop", IJCV 2018 (pointing game); V. Petsiuk et
al., "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018 (deletion and insertion); T. Judd
et al., "Learning to Predict Where Humans Look", ICCV 2009, and "A Benchmark of Computational Models of Saliency to
Predict Human Fixations", 2012 (the image centre as a baseline, a Gaussian stretched to the image's aspect).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr

from gaaplib.evaluation import statistics
from gaaplib.evaluation.statistics import GAIN, LOSS, TOO_FEW, UNCLEAR, Interval

TIE = 1e-6
"""Values of a map that differ by less than this share of its maximum count as equal, because interpolation rounds."""

TOTAL = 1e-3
"""The largest accepted difference of a map's sum from one."""

BASELINES = ("uniform", "centre prior", "mean mask", "untrained")
"""Names of the baseline maps in tables and figures."""


def share_on_person(maps, masks):
    """The share of each map that lies on the person. For a uniform map it is the share of pixels in the mask.

    Args:
        maps: (n, height, width), not negative, each sums to one.
        masks: bool (n, height, width), True on the person.

    Returns:
        float (n,), from 0 to 1.

    Raises:
        ValueError: a map that is negative, contains NaN or does not sum to one, masks that are not bool or of another
            shape, or an empty mask; the message names the row.
    """
    maps, masks = _checked(maps, masks)
    return np.where(masks, maps, 0).sum(axis=(1, 2))


def pointing_game(maps, masks):
    """1.0 if the maximum of the map lies on the person, else 0.0 (Zhang et al. 2018, without their 15-pixel margin).

    If several pixels share the maximum, the score is the share of them on the person, which is the expected score of a
    random choice among them. A uniform map therefore scores the chance level.

    Arguments, shape of the result and errors are those of :func:`share_on_person`.
    """
    maps, masks = _checked(maps, masks)
    top = _from(maps, 1)
    return (top & masks).sum(axis=(1, 2)) / top.sum(axis=(1, 2))


def iou(maps, masks, *, threshold=0.5):
    """Intersection over union of the mask and the pixels with at least ``threshold`` times the map's maximum.

    A uniform map lies above any threshold, so it scores the share of pixels in the mask.

    Args:
        threshold: share of each map's own maximum, above 0 and at most 1.

    The other arguments, shape of the result and errors are those of :func:`share_on_person`.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold!r}: it must be a share of the map's maximum, above 0 and at most 1")
    maps, masks = _checked(maps, masks)
    high = _from(maps, threshold)
    return (high & masks).sum(axis=(1, 2)) / (high | masks).sum(axis=(1, 2))


def measures(maps, masks, *, threshold=0.5):
    """All three measures, as ``{name: (n,)}``. Arguments and errors are those of :func:`iou`."""
    return {
        "share on person": share_on_person(maps, masks),
        "pointing game": pointing_game(maps, masks),
        f"IoU at {threshold:g}": iou(maps, masks, threshold=threshold),
    }


def uniform(n, h, w):
    """n maps (n, h, w) with the same value in every cell."""
    return _repeated(np.ones((h, w)), n)


def centre_prior(n, h, w, *, spread=0.25):
    """n maps (n, h, w) of a Gaussian at the image centre, stretched to the image's aspect (Judd et al. 2012).

    Each cell holds the integral of the Gaussian over the cell, so the prior does not depend on the grid.

    Args:
        n: number of maps.
        h, w: rows and columns of cells.
        spread: standard deviation along each axis, as a share of the image's height and width. At 0.25, two standard
            deviations reach the border.

    Raises:
        ValueError: ``spread`` is not above 0.

    Example:
        >>> print(centre_prior(1, 4, 2)[0].round(3))  # a grid of 4 x 2 cells
        [[0.071 0.071]
         [0.179 0.179]
         [0.179 0.179]
         [0.071 0.071]]
    """
    if not spread > 0:
        raise ValueError(f"spread is {spread!r}: it must be a share of height and width, above 0")
    rows, columns = (np.diff(ndtr((np.linspace(0, 1, cells + 1) - 0.5) / spread)) for cells in (h, w))
    return _repeated(np.outer(rows, columns), n)


def mean_mask(n, h, w, masks):
    """n copies (n, h, w) of the mean mask of other images: the strongest baseline that does not use the image itself.

    Args:
        n: number of maps.
        h, w: rows and columns of cells.
        masks: bool (m, height, width), of training images. They must not include the tested images.

    Raises:
        ValueError: masks that are not bool, or that are all empty.
    """
    masks = _checked_masks(masks)
    if not masks.any():
        raise ValueError(f"none of the {len(masks)} masks has a pixel: give masks of images with a person")
    cells = _cells(*masks.shape[1:], h, w)
    return _repeated(np.bincount(cells.ravel(), masks.mean(axis=0).ravel(), h * w).reshape(h, w), n)


def deletion_insertion(images, maps, score, *, steps=None, fill=None):
    """Scores while the cells of a map are removed from the image, or added to it, highest first (Petsiuk et al. 2018).

    If a map shows what the score depends on, the deletion curve falls early and the insertion curve rises early. Equal
    cells are taken in reading order from the upper left, so a uniform map gives one arbitrary order, not chance level.

    Args:
        images: uint8 (n, height, width, 3).
        maps: (n, h, w), one cell per block of pixels or per pixel; not negative, each sums to one.
        score: function from changed images, uint8 (n, height, width, 3) in the given order, to scores (n,), higher for
            a better match. It is called 2 (steps + 1) times.
        steps: number of steps; each takes the same number of cells. None: one cell per step.
        fill: what replaces removed pixels: a colour (3,), 0-255, or uint8 images, for example blurred ones. None: the
            mean colour of each image.

    Returns:
        The deletion and the insertion curves, each (n, steps + 1). Deletion starts with the whole image, insertion
        ends with it.

    Raises:
        ValueError: shapes that do not agree, a map that :func:`share_on_person` refuses, ``steps`` that does not
            divide the number of cells, or a score that is not one finite number per image.
    """
    images, maps = np.asarray(images), _checked_maps(maps)
    n, h, w = maps.shape
    if images.dtype != np.uint8 or images.ndim != 4 or len(images) != n:
        raise ValueError(f"images are {images.dtype} {images.shape}: give uint8 ({n}, height, width, 3), one per map")
    steps = steps or h * w
    if h * w % steps:
        raise ValueError(f"steps is {steps}: it must divide the {h * w} cells of the {h} x {w} maps")
    fill = _filling(images, fill)
    position = _places(maps)[:, _cells(*images.shape[1:3], h, w)][..., None]
    deletion, insertion = np.empty((2, n, steps + 1))
    for step in range(steps + 1):
        taken = position < step * h * w // steps
        deletion[:, step] = _scores(score, np.where(taken, fill, images))
        insertion[:, step] = _scores(score, np.where(taken, images, fill))
    return deletion, insertion


def auc(curves):
    """Area under each curve of :func:`deletion_insertion`: the trapezoid rule over the share of cells, 0 to 1.

    Args:
        curves: (n, steps + 1).

    Returns:
        (n,): the mean height of each curve. Lower is better for deletion, higher for insertion.
    """
    curves = np.asarray(curves, dtype=float)
    return np.trapezoid(curves, axis=1) / (curves.shape[1] - 1)


def table(measured, groups=None, *, confidence=0.95):
    """A table of the mean of each measure for each kind of map, with bootstrap intervals.

    Args:
        measured: ``{kind of map: {measure: (n,)}}``, all of the same images, as :func:`measures` returns them.
        groups: (n,), the identity of each image. Whole identities are resampled, because the images of one identity
            are not independent. None: images are resampled.
        confidence: of the intervals.

    Returns:
        A DataFrame of :class:`gaaplib.evaluation.statistics.Interval`, one row per kind, one column per measure.

    Raises:
        ValueError: as :func:`gaaplib.evaluation.statistics.bootstrap_mean`.
    """
    rows = {
        kind: {name: statistics.bootstrap_mean(values, groups, confidence=confidence) for name, values in row.items()}
        for kind, row in measured.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


@dataclass(frozen=True)
class Verdict:
    """A map compared with a baseline on one measure; ``str`` gives a one-line summary.

    Attributes:
        kind, baseline, measure: names.
        difference: of the means, kind minus baseline, on the same images.
        p_value: of the two-sided sign-flip test.
        verdict: ``GAIN``, ``LOSS``, ``UNCLEAR`` or ``TOO_FEW``. If lower is better, a gain is a lower mean.
        sample: what was resampled, in words.
    """

    kind: str
    baseline: str
    measure: str
    difference: Interval
    p_value: float
    verdict: str
    sample: str

    def __str__(self):
        result = f"{self.kind} against {self.baseline}, {self.measure}: {self.verdict}"
        low, high, share = self.difference.low, self.difference.high, self.difference.confidence
        ends = "" if np.isnan(low) else f" [{low:+.3f}, {high:+.3f}] ({100 * share:g} %)"
        interval = f"{self.difference.estimate:+.3f}{ends}"
        return f"{result}; difference {interval}, p = {self.p_value:.2g}, {self.sample}"


def versus(measured, kind, measure, groups=None, *, baseline="centre prior", lower_is_better=False, confidence=0.95):
    """A :class:`Verdict` on whether a map scores better than a baseline on the same images.

    The difference is clear if the paired bootstrap interval excludes 0 and the p-value of the sign-flip test is below
    1 - ``confidence``. With fewer than ``statistics.MIN_GROUPS`` groups there is no interval, so no verdict. The
    p-values are not corrected for multiple comparisons.

    Args:
        measured, groups: as for :func:`table`.
        kind, baseline: keys of ``measured``.
        measure: a key of both.
        lower_is_better: True for measures such as the area under the deletion curve.
        confidence: of the interval.

    Raises:
        ValueError: an unknown kind, baseline or measure; see also
            :func:`gaaplib.evaluation.statistics.paired_difference`.
    """
    for name in (kind, baseline):
        if measure not in measured.get(name, ()):
            known = "; ".join(f"{key}: {', '.join(values)}" for key, values in measured.items())
            raise ValueError(f"there is no {measure!r} of {name!r}; known: {known}")
    pair = measured[kind][measure], measured[baseline][measure]
    difference = statistics.paired_difference(*pair, groups, confidence=confidence)
    test = statistics.sign_flip_test(*pair, groups)
    verdict = TOO_FEW if difference.verdict == TOO_FEW else UNCLEAR
    if test.p_value < 1 - confidence and difference.verdict in (GAIN, LOSS):
        verdict = LOSS if (difference.verdict == GAIN) == lower_is_better else GAIN
    images = f"{len(pair[0])} images"
    sample = f"{images} resampled" if groups is None else f"{test.num_groups} identities resampled ({images})"
    return Verdict(kind, baseline, measure, difference, test.p_value, verdict, sample)


def _checked(maps, masks):
    maps, masks = _checked_maps(maps), _checked_masks(masks)
    if maps.shape != masks.shape:
        raise ValueError(f"maps have shape {maps.shape} and masks {masks.shape}: upsample the maps to the masks' size")
    empty = np.flatnonzero(~masks.any(axis=(1, 2)))
    if empty.size:
        raise ValueError(f"mask {empty[0]} is empty ({empty.size} such masks): leave out images without a person")
    return maps, masks


def _checked_maps(maps):
    maps = np.asarray(maps, dtype=float)
    if maps.ndim != 3 or not maps.size:
        raise ValueError(f"maps have shape {maps.shape}: give (n, height, width), each at least 1")
    lowest, totals = maps.min(axis=(1, 2)), maps.sum(axis=(1, 2))
    # Not "> TOTAL", because a comparison with NaN is False.
    bad = np.flatnonzero(~(lowest >= 0) | ~(abs(totals - 1) <= TOTAL))
    if bad.size:
        row = bad[0]
        problem = f"map {row} has the minimum {lowest[row]:.4g} and the sum {totals[row]:.4g} ({bad.size} such maps)"
        raise ValueError(f"{problem}: a map must not be negative, and must sum to 1")
    return maps


def _checked_masks(masks):
    masks = np.asarray(masks)
    if masks.dtype != bool or masks.ndim != 3:
        raise ValueError(f"masks are {masks.dtype} {masks.shape}: give bool (n, height, width), such as masks > 0")
    return masks


def _from(maps, share):
    """The pixels with at least ``share`` of their map's maximum."""
    return maps >= maps.max(axis=(1, 2), keepdims=True) * share * (1 - TIE)


def _repeated(grid, n):
    return np.tile((grid / grid.sum()).astype(np.float32), (n, 1, 1))


def _cells(height, width, h, w):
    """The index of the cell that each pixel lies in, (height, width); cells are numbered in reading order."""
    if h > height or w > width:
        raise ValueError(f"maps of {h} x {w} cells are finer than images of {height} x {width} pixels")
    rows, columns = np.arange(height) * h // height, np.arange(width) * w // width
    return rows[:, None] * w + columns


def _places(maps):
    """The rank (n, h * w) of each cell, 0 for the highest; ties in reading order."""
    levels = np.round(maps / maps.max(axis=(1, 2), keepdims=True) / TIE).reshape(len(maps), -1)
    return np.argsort(np.argsort(-levels, axis=1, kind="stable"), axis=1)


def _filling(images, fill):
    if fill is None:
        return images.mean(axis=(1, 2), keepdims=True).round().astype(np.uint8)
    fill = np.asarray(fill)
    if fill.shape not in ((3,), images.shape):
        raise ValueError(f"fill has shape {fill.shape}: give a colour (3,) or images {images.shape}")
    return fill.astype(np.uint8)


def _scores(score, images):
    scores = np.asarray(score(images), dtype=float)
    if scores.shape != (len(images),) or not np.isfinite(scores).all():
        raise ValueError(f"score returned {scores} for {len(images)} images: it must return one finite number for each")
    return scores
