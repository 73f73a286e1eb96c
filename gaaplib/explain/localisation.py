"""Does a map find the person? Measures of heat maps against true masks, baselines of the maps, and what may be said.

A map is (height, width), not negative, and sums to one. The measures take it at the image's resolution; baselines and
the maps of :mod:`gaaplib.explain.heatmaps` are grids of h x w cells, which are to be brought there by one and the same
interpolation, or one of them gains by that alone. A pedestrian's box has its person in the middle, where any blob
scores well: a measure says something only beside that of the baselines.

Sources: J. Zhang et al., "Top-down Neural Attention by Excitation Backprop", IJCV 2018 (pointing game); V. Petsiuk et
al., "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018 (deletion and insertion); T. Judd
et al., "Learning to Predict Where Humans Look", ICCV 2009, and "A Benchmark of Computational Models of Saliency to
Predict Human Fixations", 2012 (the centre as an baseline, a Gaussian stretched to the image's aspect).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr

from gaaplib.evaluation import statistics
from gaaplib.evaluation.statistics import GAIN, LOSS, UNCLEAR, Interval

TIE = 1e-6
"""Values of a map that differ by less, as a share of its maximum, are equal: interpolation rounds."""

TOTAL = 1e-3
"""How far from one the sum of a map may be."""

BASELINES = ("uniform", "centre prior", "mean mask", "untrained")
"""Names of what a map is compared with, for tables and figures."""


def share_on_person(maps, masks):
    """How much of each map lies on the person; for a uniform map the share of the pixels that the mask has.

    Args:
        maps: (n, height, width), not negative, each of sum one.
        masks: bool (n, height, width), True on the person.

    Returns:
        float (n,), from 0 to 1.

    Raises:
        ValueError: a map that is negative, NaN or of another sum, masks that are not bool or of another shape, or a
            mask without a pixel, which leaves nothing to find; the message names the row.
    """
    maps, masks = _checked(maps, masks)
    return np.where(masks, maps, 0).sum(axis=(1, 2))


def pointing_game(maps, masks):
    """1.0 where the maximum of the map lies on the person (Zhang et al. 2018), without their margin of 15 pixels.

    Where several pixels share the maximum, it is the share of them that lies on the person: what one of them, taken at
    random, scores on average. A uniform map thus has its chance value.

    Arguments, shape of the result and errors are those of :func:`share_on_person`.
    """
    maps, masks = _checked(maps, masks)
    top = _from(maps, 1)
    return (top & masks).sum(axis=(1, 2)) / top.sum(axis=(1, 2))


def iou(maps, masks, *, threshold=0.5):
    """Intersection over union of the person and of the pixels with at least ``threshold`` times the map's maximum.

    A uniform map is all above any threshold, so that it has the share of the pixels that the mask has.

    Args:
        threshold: share of each map's own maximum, above 0 and at most 1.

    The other arguments, shape of the result and errors are those of :func:`share_on_person`.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold!r}: it is a share of the map's maximum, above 0 and at most 1")
    maps, masks = _checked(maps, masks)
    found = _from(maps, threshold)
    return (found & masks).sum(axis=(1, 2)) / (found | masks).sum(axis=(1, 2))


def measures(maps, masks, *, threshold=0.5):
    """All three, as ``{name: (n,)}``; arguments and errors are those of :func:`iou`."""
    return {
        "share on person": share_on_person(maps, masks),
        "pointing game": pointing_game(maps, masks),
        f"IoU at {threshold:g}": iou(maps, masks, threshold=threshold),
    }


def uniform(n, h, w):
    """n maps (n, h, w) with the same value in every cell."""
    return _repeated(np.ones((h, w)), n)


def centre_prior(n, h, w, *, spread=0.25):
    """n maps (n, h, w) of a Gaussian in the middle, stretched to the image's aspect (Judd et al. 2012).

    A cell has what the Gaussian has within it, so that the prior does not change with the grid.

    Args:
        spread: standard deviation along each axis, as a share of the image's height and of its width; at 0.25, two
            standard deviations reach the border.
    """
    if not spread > 0:
        raise ValueError(f"spread is {spread!r}: it is a share of height and width, above 0")
    rows, columns = (np.diff(ndtr((np.linspace(0, 1, cells + 1) - 0.5) / spread)) for cells in (h, w))
    return _repeated(np.outer(rows, columns), n)


def mean_mask(n, h, w, masks):
    """n maps (n, h, w) of where persons are in other images: the strongest baseline that has not seen the image.

    Args:
        masks: bool (m, height, width), of the training images; with the tested ones among them it is no prior.

    Raises:
        ValueError: masks that are not bool, or of which none has a pixel.
    """
    masks = _checked_masks(masks)
    if not masks.any():
        raise ValueError(f"none of the {len(masks)} masks has a pixel: there is no mean of the persons' places")
    cells = _cells(*masks.shape[1:], h, w)
    return _repeated(np.bincount(cells.ravel(), masks.mean(axis=0).ravel(), h * w).reshape(h, w), n)


def deletion_insertion(images, maps, score, *, steps=None, fill=None):
    """Scores while the cells of a map are removed from the image, or added, the highest first (Petsiuk et al. 2018).

    A map that shows what the score rests on makes deletion fall early and insertion rise early. Equal cells go in
    reading order, from the upper left: a uniform map is thus one arbitrary order, and no measure of chance.

    Args:
        images: uint8 (n, height, width, 3).
        maps: (n, h, w) with a cell for a block of pixels, or for each; not negative, each of sum one.
        score: function from changed images, uint8 (n, height, width, 3) and in the order given, to scores (n,), higher
            for a better match. It is called 2 (steps + 1) times.
        steps: how many times cells are taken, equally many each time; without, one at a time.
        fill: what stands in for removed pixels: a colour (3,), 0-255, or images as :func:`blurred` makes them; without,
            the mean colour of each image.

    Returns:
        Deletion and insertion, each (n, steps + 1). Deletion starts with the whole image, insertion ends with it.

    Raises:
        ValueError: shapes that do not agree, a map as :func:`share_on_person` refuses it, ``steps`` that does not
            divide the cells, or a score that is not one finite number for each image.
    """
    images, maps = np.asarray(images), _checked_maps(maps)
    n, h, w = maps.shape
    if images.dtype != np.uint8 or images.ndim != 4 or len(images) != n:
        raise ValueError(f"images are {images.dtype} {images.shape}: give uint8 ({n}, height, width, 3), one for a map")
    steps = steps or h * w
    if h * w % steps:
        raise ValueError(f"steps is {steps}: it must divide the {h * w} cells of the {h} x {w} maps")
    fill = _filling(images, fill)
    place = _places(maps)[:, _cells(*images.shape[1:3], h, w)][..., None]
    deletion, insertion = np.empty((2, n, steps + 1))
    for step in range(steps + 1):
        taken = place < step * h * w // steps
        deletion[:, step] = _scores(score, np.where(taken, fill, images))
        insertion[:, step] = _scores(score, np.where(taken, images, fill))
    return deletion, insertion


def blurred(images, sd):
    """Images in which nothing can be told, to fill in: a Gaussian over height and width.

    Args:
        images: uint8 (n, height, width, 3).
        sd: standard deviation in pixels.
    """
    return np.stack([gaussian_filter(image, (sd, sd, 0), mode="nearest") for image in images])


def auc(curves):
    """Area under each curve of :func:`deletion_insertion` by the trapezoid rule, over the share of cells from 0 to 1.

    Args:
        curves: (n, steps + 1).

    Returns:
        (n,): the mean height of a curve. Low is good of deletion, high of insertion.
    """
    curves = np.asarray(curves, dtype=float)
    return np.trapezoid(curves, axis=1) / (curves.shape[1] - 1)


def table(measured, groups=None, *, confidence=0.95):
    """Means with bootstrap intervals.

    Args:
        measured: ``{kind of map: {measure: (n,)}}``, all of the same images, as :func:`measures` gives them.
        groups: (n,), the identity of each image: whole identities are resampled, as the images of one resemble each
            other. Without, images are.
        confidence: of the intervals.

    Returns:
        A DataFrame of :class:`gaaplib.evaluation.statistics.Interval`, a row a kind and a column a measure.

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
    """How a map does beside an baseline on one measure; printed, it is a sentence.

    Attributes:
        kind, baseline, measure: names.
        difference: of the means, kind minus baseline, on the same images.
        p_value: of the two-sided sign-flip test.
        verdict: ``GAIN``, ``LOSS`` or ``UNCLEAR``; where lower is better, a gain is a lower mean.
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
        found = f"{self.kind} against {self.baseline}, {self.measure}: {self.verdict}"
        low, high, share = self.difference.low, self.difference.high, self.difference.confidence
        interval = f"{self.difference.estimate:+.3f} [{low:+.3f}, {high:+.3f}] ({100 * share:g} %)"
        return f"{found}; difference {interval}, p = {self.p_value:.2g}, {self.sample}"


def versus(measured, kind, measure, groups=None, *, baseline="centre prior", lower_is_better=False, confidence=0.95):
    """Whether a map does better than an baseline, image by image.

    The difference is clear where the paired bootstrap interval leaves out 0 and the sign-flip test's p-value is below
    1 - ``confidence``. With fewer than six groups no p-value is below 0.05, so no difference is clear. Of many verdicts
    some are chance: each p-value is of one comparison.

    Args:
        measured, groups: as for :func:`table`.
        kind, baseline: keys of ``measured``.
        measure: a key of both.
        lower_is_better: as of the area under the deletion curve.
        confidence: of the interval.

    Raises:
        ValueError: an unknown kind, baseline or measure; see also
            :func:`gaaplib.evaluation.statistics.paired_difference`.
    """
    for name in (kind, baseline):
        if measure not in measured.get(name, ()):
            known = "; ".join(f"{key}: {', '.join(values)}" for key, values in measured.items())
            raise ValueError(f"there is no {measure!r} of {name!r}; there are: {known}")
    pair = measured[kind][measure], measured[baseline][measure]
    difference = statistics.paired_difference(*pair, groups, confidence=confidence)
    test = statistics.sign_flip_test(*pair, groups)
    verdict = UNCLEAR
    if test.p_value < 1 - confidence and difference.verdict != UNCLEAR:
        verdict = LOSS if (difference.verdict == GAIN) == lower_is_better else GAIN
    images = f"{len(pair[0])} images"
    sample = f"{images} resampled" if groups is None else f"{test.num_groups} identities resampled ({images})"
    return Verdict(kind, baseline, measure, difference, test.p_value, verdict, sample)


def _checked(maps, masks):
    maps, masks = _checked_maps(maps), _checked_masks(masks)
    if maps.shape != masks.shape:
        raise ValueError(f"maps have shape {maps.shape} and masks {masks.shape}: bring the maps to the masks' size")
    empty = np.flatnonzero(~masks.any(axis=(1, 2)))
    if empty.size:
        raise ValueError(f"mask {empty[0]} has no pixel ({empty.size} such masks): leave out images without a person")
    return maps, masks


def _checked_maps(maps):
    maps = np.asarray(maps, dtype=float)
    if maps.ndim != 3 or not maps.size:
        raise ValueError(f"maps have shape {maps.shape}: give (n, height, width), none of them 0")
    lowest, totals = maps.min(axis=(1, 2)), maps.sum(axis=(1, 2))
    # Not "> TOTAL": NaN is larger than nothing.
    bad = np.flatnonzero(~(lowest >= 0) | ~(abs(totals - 1) <= TOTAL))
    if bad.size:
        row = bad[0]
        found = f"map {row} has the minimum {lowest[row]:.4g} and the sum {totals[row]:.4g} ({bad.size} such maps)"
        raise ValueError(f"{found}: a map is not negative and sums to 1")
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
    """The number of the cell that each pixel (height, width) lies in, cells in reading order."""
    if h > height or w > width:
        raise ValueError(f"maps of {h} x {w} cells are finer than images of {height} x {width} pixels")
    rows, columns = np.arange(height) * h // height, np.arange(width) * w // width
    return rows[:, None] * w + columns


def _places(maps):
    """The place (n, h w) of each cell from the highest on, ties in reading order."""
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
        raise ValueError(f"score gave {scores} for {len(images)} images: it must give one finite number for each")
    return scores
