"""A pyramid of windows over a feature map, and how much of the person each window shows: FPR's layers.

Vectors of windows are (batch, windows, channels), those of the smallest windows first.
"""

import keras
import numpy as np
from keras import ops

KERNELS = (2, 4, 6, 8)
"""Sides of the windows, in positions of the feature map."""

STRIDE = 2


def pyramid(features, kernels=KERNELS, *, pool=ops.max_pool):
    """The maxima of each channel in square windows of several sizes, as the authors' later code (fast-reid) has them.

    A window that is larger than the map ends at its edges. On a map of 24 x 8 positions there are 48 + 33 + 20 + 9
    windows.

    Args:
        features: (batch, height, width, channels).
        kernels: sides of the windows.
        pool: what is taken of a window; ``ops.average_pool`` for means.

    Returns:
        (batch, windows, channels).

    Example:
        >>> tuple(pyramid(ops.ones((1, 24, 8, 5))).shape)
        (1, 110, 5)
    """
    _, height, width, channels = features.shape
    sizes = [(min(kernel, height), min(kernel, width)) for kernel in kernels]
    # A small map has some sizes twice.
    levels = [pool(features, size, strides=STRIDE, padding="valid") for size in dict.fromkeys(sizes)]
    return ops.concatenate([ops.reshape(level, (-1, level.shape[1] * level.shape[2], channels)) for level in levels], 1)


def finest(height, width, kernels=KERNELS):
    """How many windows the smallest size has on a map of these dimensions.

    Example:
        >>> finest(24, 8)
        48
    """
    sides = (min(kernels[0], side) for side in (height, width))
    rows, columns = ((side - size) // STRIDE + 1 for side, size in zip((height, width), sides, strict=True))
    return rows * columns


def shares_of_person(masks, rows, columns):
    """The share of each window of :func:`pyramid` that shows the person.

    Args:
        masks: uint8 (batch, height, width), 255 on the person.
        rows, columns: of the feature map.

    Returns:
        float32 (batch, windows), from 0 to 1.

    Example:
        >>> [round(float(share), 3) for share in shares_of_person(ops.full((1, 8, 8), 255, "uint8"), 4, 2)[0]]
        [1.0, 1.0, 1.0]
    """
    _, height, width = masks.shape
    cells = ops.einsum("rh,bhw,cw->brc", _means(rows, height), ops.cast(masks, "float32"), _means(columns, width))
    return pyramid(cells[:, :, :, None] / 255.0, pool=ops.average_pool)[:, :, 0]


def _means(cells, pixels):
    """(cells, pixels): takes the mean of those pixels of a side that a cell covers, some of them in part."""
    edges = np.linspace(0.0, pixels, cells + 1)[:, None]
    first = np.arange(pixels)
    covered = np.minimum(edges[1:], first + 1) - np.maximum(edges[:-1], first)
    return (np.maximum(covered, 0.0) * cells / pixels).astype("float32")


@keras.saving.register_keras_serializable(package="gaaplib")
class Foreground(keras.layers.Layer):
    """How much of the person each window shows, and the mean of the smallest windows by it.

    A linear layer and a sigmoid give the weight of a window. Weights are divided by their sum.

    Input: windows (batch, windows, channels), those of the smallest size first.

    Returns float32 weights (batch, windows), which sum to one, and the mean of the smallest windows (batch, channels).

    Args:
        smallest: number of windows of the smallest size.

    Example:
        >>> weights, feature = Foreground(smallest=2)(ops.ones((1, 3, 4)))
        >>> [round(float(weight), 3) for weight in weights[0]], tuple(feature.shape)
        ([0.333, 0.333, 0.333], (1, 4))
    """

    def __init__(self, smallest, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.smallest = smallest

    def build(self, input_shape):
        self.scores = keras.layers.Dense(1, activation="sigmoid", dtype="float32", name="scores")
        self.scores.build(input_shape)

    def call(self, windows):
        windows = ops.cast(windows, "float32")
        weights = self.shown(windows)
        own = _shares(weights[:, : self.smallest])
        return _shares(weights), ops.einsum("bw,bwc->bc", own, windows[:, : self.smallest])

    def shown(self, windows):
        """The weights before they are divided by their sum, float32 (batch, windows), from 0 to 1."""
        return self.scores(ops.cast(windows, "float32"))[:, :, 0]

    def get_config(self):
        return {**super().get_config(), "smallest": self.smallest}

    def compute_output_shape(self, input_shape):
        batch, windows, channels = input_shape
        return (batch, windows), (batch, channels)


def _shares(weights):
    return weights / ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1e-12)
