"""What networks make of key points: maps of where they are, and which parts of an image show the person.

Key points are (batch, 17, 3), COCO's in the order of :data:`gaaplib.datasets.keypoints.NAMES`: x and y in pixels of the
image and a confidence, which is 0 for a point that is not seen.
"""

import keras
from keras import ops

LEAST = 0.2
"""Points of a lower confidence are not used, as in PGFA's released code."""

SHOULDERS = (5, 6)


def with_neck(points):
    """The 18 points of OpenPose: COCO's and the neck, which is in the middle of the shoulders if both are seen.

    Shapes: (batch, 17, 3) to (batch, 18, 3).
    """
    left, right = points[:, SHOULDERS[0]], points[:, SHOULDERS[1]]
    confidence = ops.minimum(left[:, 2:], right[:, 2:])
    neck = ops.concatenate([(left[:, :2] + right[:, :2]) / 2.0, confidence], axis=1)
    return ops.concatenate([points, neck[:, None]], axis=1)


def seen(points):
    """Which points are used, float32 (batch, points) of 0 and 1."""
    return ops.cast(points[:, :, 2] > LEAST, "float32")


@keras.saving.register_keras_serializable(package="gaaplib")
class PointMaps(keras.layers.Layer):
    """A map for each key point: a Gaussian about it, sampled at the middles of a feature map's positions.

    Input: points (batch, points, 3). Output: float32 (batch, rows, columns, points), 1 at the point and 0 everywhere
    for a point that is not seen. An image on which no point is seen gets maps of ones, as PGFA has it.

    Args:
        rows, columns: of the feature map.
        height, width: of the image, in pixels.
        sigma: deviation of the Gaussian, in pixels.

    Example:
        >>> layer = PointMaps(rows=2, columns=1, height=4, width=2, sigma=1.0)
        >>> maps = layer(ops.array([[[1.0, 1.0, 1.0]]]))
        >>> [round(float(value), 3) for value in maps[0, :, 0, 0]]
        [1.0, 0.135]
    """

    def __init__(self, rows, columns, height, width, sigma, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.rows, self.columns = rows, columns
        self.height, self.width = height, width
        self.sigma = sigma

    def call(self, points):
        across = self._along(points[:, :, 0], self.columns, self.width)
        down = self._along(points[:, :, 1], self.rows, self.height)
        maps = down[:, :, None, :] * across[:, None, :, :] * seen(points)[:, None, None, :]
        nobody = ops.max(seen(points), axis=1) == 0.0
        return ops.where(nobody[:, None, None, None], ops.ones_like(maps), maps)

    def _along(self, places, count, length):
        """The Gaussian in one direction: (batch, points) to (batch, count, points)."""
        middles = (ops.arange(count, dtype="float32") + 0.5) * (length / count)
        return ops.exp(-ops.square(places[:, None, :] - middles[None, :, None]) / (2.0 * self.sigma**2))

    def get_config(self):
        names = ("rows", "columns", "height", "width", "sigma")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.rows, self.columns, input_shape[1])


def visible_stripes(points, parts, rows, height, fewest=3):
    """Which stripes of an image show a key point, float32 (batch, stripes) of 0 and 1.

    All are taken to be visible on an image with fewer than ``fewest`` points.

    Args:
        points: (batch, points, 3).
        parts: slices of the rows of the feature map, from :func:`gaaplib.network.parts.stripes`.
        rows: of the feature map.
        height: of the image, in pixels.
        fewest: number of points.
    """
    y, used = points[:, :, 1] * (rows / height), seen(points)
    within = [used * ops.cast(ops.logical_and(y >= part.start, y < part.stop), "float32") for part in parts]
    found = ops.stack([ops.max(each, axis=1) for each in within], axis=1)
    few = ops.sum(used, axis=1) < fewest
    return ops.where(few[:, None], ops.ones_like(found), found)
