"""Where parts of a person are and which are visible, learnt from a pose: PVPM's layers (Gao et al., CVPR 2020)."""

import itertools

import keras
import numpy as np
from keras import ops

from gaaplib.network import layers
from gaaplib.network.osnet import block
from gaaplib.network.parts import directions
from gaaplib.network.pose import seen

NECK = 17
LIMBS = (
    *((NECK, 0), (NECK, 5), (NECK, 6), (5, 7), (7, 9), (6, 8), (8, 10), (NECK, 11), (NECK, 12), (11, 13), (13, 15)),
    *((12, 14), (14, 16), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
)
"""OpenPose's nineteen limbs, between the points of :func:`gaaplib.network.pose.with_neck`."""

CHANNELS = 32
"""Of the pose's network."""

GATE_REDUCTION = 4
"""Of its two blocks of OSNet."""


@keras.saving.register_keras_serializable(package="gaaplib")
class LimbMaps(keras.layers.Layer):
    """Two maps for each limb, as OpenPose's part affinity fields: the size of its direction in x and in y, along it.

    Input: points (batch, 18, 3). Output: float32 (batch, rows, columns, 38), from 0 to 1; 0 beyond a limb's width, and
    for a limb of which an end is not seen. PVPM uses the fields without their sign as well.

    Args:
        rows, columns: of the maps.
        height, width: of the image, in pixels.
        half: the width of a limb on either side, in pixels.
    """

    def __init__(self, rows, columns, height, width, half, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.rows, self.columns = rows, columns
        self.height, self.width = height, width
        self.half = half

    def call(self, points):
        first, second = (list(side) for side in zip(*LIMBS, strict=True))
        start, end = ops.take(points, first, axis=1), ops.take(points, second, axis=1)
        there = ops.take(seen(points), first, axis=1) * ops.take(seen(points), second, axis=1)
        along = end[:, :, :2] - start[:, :, :2]
        length = ops.sqrt(ops.maximum(ops.sum(ops.square(along), axis=2, keepdims=True), 1e-6))
        along = along / length
        x = (ops.arange(self.columns, dtype="float32") + 0.5) * (self.width / self.columns)
        y = (ops.arange(self.rows, dtype="float32") + 0.5) * (self.height / self.rows)
        # (batch, rows, columns, limbs): the place of each position from the limb's start.
        dx = x[None, None, :, None] - start[:, None, None, :, 0]
        dy = y[None, :, None, None] - start[:, None, None, :, 1]
        ux, uy = along[:, None, None, :, 0], along[:, None, None, :, 1]
        forward, aside = dx * ux + dy * uy, ops.abs(dx * uy - dy * ux)
        on = ops.logical_and(forward >= 0.0, forward <= length[:, None, None, :, 0])
        on = ops.cast(ops.logical_and(on, aside <= self.half), "float32") * there[:, None, None]
        return ops.concatenate([on * ops.abs(ux), on * ops.abs(uy)], axis=3)

    def get_config(self):
        names = ("rows", "columns", "height", "width", "half")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.rows, self.columns, 2 * len(LIMBS))


def pose_network(rows, columns, maps, parts):
    """A `keras.Model` from maps of a pose to where each part is, and whether it is visible.

    Args:
        rows, columns: of the maps of the pose, four times those of the feature map.
        maps: their number.
        parts: number of parts.

    The model takes (batch, rows, columns, maps) and returns float32 places (batch, rows / 4, columns / 4, parts), from
    0 to 1, where each position belongs to the one part of the highest value; and visibilities (batch, parts).
    """
    inputs = keras.Input((rows, columns, maps))
    x = _convolution(inputs, CHANNELS, 7, "first")
    x = keras.layers.MaxPooling2D(3, strides=2, padding="same", name="first_pool")(x)
    x = block(x, CHANNELS, "block1", GATE_REDUCTION)
    x = keras.layers.AveragePooling2D(2, name="second_pool")(_convolution(x, CHANNELS, 1, "second"))
    x = _convolution(block(x, CHANNELS, "block2", GATE_REDUCTION), CHANNELS, 3, "third")
    places = _normalised(keras.layers.Dense(parts, dtype="float32", name="places"), "places_bn", x)
    places = ops.sigmoid(places)
    only = ops.one_hot(ops.argmax(places, axis=3), parts, dtype="float32")
    pooled = ops.mean(ops.cast(x, "float32"), axis=(1, 2))
    visible = _normalised(
        keras.layers.Dense(parts, use_bias=False, dtype="float32", name="visible"), "visible_bn", pooled
    )
    return keras.Model(inputs, [places * only, ops.sigmoid(visible)], name="pose_network")


def _normalised(layer, name, x):
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype="float32", name=name)(layer(x))


def _convolution(x, filters, size, name):
    x = layers.Conv2D(
        filters, size, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return keras.layers.Activation("relu", name=f"{name}_relu")(x)


def part_vectors(features, places):
    """The mean of the feature map over each part, by its places.

    Args:
        features: (batch, rows, columns, channels).
        places: (batch, rows, columns, parts).

    Returns:
        float32 (batch, parts, channels).
    """
    sums = ops.einsum("bhwc,bhwp->bpc", ops.cast(features, "float32"), places)
    return sums / (ops.sum(places, axis=(1, 2))[:, :, None] + 1e-6)


class PairLosses(keras.layers.Layer):
    """What pairs of images of one person teach: which parts correspond, and which are visible in both.

    For two images of one identity, with unit vectors u of their parts, W has the cosines of corresponding parts in its
    diagonal, and beside it the cosines of the differences ``u_p - u_q`` in one image and in the other, less their
    running mean. The parts x, 0 or 1 each, that maximise ``x' W x - l' x`` are taken to be visible in both; l is 0.9
    times the running mean of the diagonal. All 2^parts choices are tried.

    Input: a list of vectors (batch, parts, channels), visibilities (batch, parts) and identities (batch,). Returns
    float32 (batch,) each, whose means are: ``"paired"``, the mean over pairs of ``-x' W x + (s_i + s_j)' x / 2``, where
    s is the mean cosine of a part with the other parts of its image; ``"visible"``, the binary cross-entropy of the
    products of visibilities with x. Both are 0 in a batch without pairs.

    Args:
        momentum: of the running means.
    """

    def __init__(self, momentum=0.5, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.momentum = momentum

    def build(self, input_shape):
        parts = input_shape[0][1]
        self.diagonal, self.beside = (
            self.add_weight(shape, initializer="zeros", trainable=False, dtype="float32", name=name)
            for shape, name in (((parts,), "diagonal"), ((), "beside"))
        )
        self.choices = np.array(list(itertools.product((0.0, 1.0), repeat=parts)), "float32")

    def call(self, inputs, training=None):
        vectors, visible, labels = inputs
        # A part without a position is a vector of zeros.
        vectors = directions(vectors)
        pairs = _pairs_of_one_person(labels)
        number = ops.maximum(ops.sum(pairs), 1.0)
        corresponding = ops.einsum("ipc,jpc->ijp", vectors, vectors)
        beside = _relations(vectors)
        self._remember(corresponding, beside, pairs, number, training)
        weights = (beside - ops.convert_to_tensor(self.beside)) * (1.0 - np.eye(vectors.shape[1], dtype="float32"))
        weights = weights + corresponding[:, :, :, None] * np.eye(vectors.shape[1], dtype="float32")
        gains = ops.einsum("xp,ijpq,xq->ijx", self.choices, weights, self.choices)
        cost = ops.matmul(self.choices, 0.9 * ops.convert_to_tensor(self.diagonal))
        chosen = ops.take(self.choices, ops.argmax(ops.stop_gradient(gains) - cost, axis=2), axis=0)
        gained = ops.einsum("ijp,ijpq,ijq->ij", chosen, weights, chosen)
        alike = _likeness_within(vectors)
        alike = ops.sum((alike[:, None] + alike[None, :]) / 2.0 * chosen, axis=2)
        both = ops.clip(visible[:, None] * visible[None, :], 1e-6, 1.0 - 1e-6)
        entropy = -ops.mean(chosen * ops.log(both) + (1.0 - chosen) * ops.log(1.0 - both), axis=2)
        found = {"paired": alike - gained, "visible": entropy}
        ones = ops.ones_like(visible[:, 0])
        return {name: ones * ops.sum(pairs * values) / number for name, values in found.items()}

    def _remember(self, corresponding, beside, pairs, number, training):
        """Move the running means."""
        if not training:
            return
        parts = corresponding.shape[2]
        diagonal = ops.sum(pairs[:, :, None] * ops.stop_gradient(corresponding), axis=(0, 1)) / number
        apart = 1.0 - np.eye(parts, dtype="float32")
        mean = ops.sum(pairs[:, :, None, None] * apart * ops.stop_gradient(beside)) / (number * parts * (parts - 1))
        for weight, value in ((self.diagonal, diagonal), (self.beside, mean)):
            weight.assign(self.momentum * ops.convert_to_tensor(weight) + (1.0 - self.momentum) * value)

    def compute_output_spec(self, inputs, training=None):
        shape = (inputs[0].shape[0],)
        return {name: keras.KerasTensor(shape, dtype="float32") for name in ("paired", "visible")}


def _pairs_of_one_person(labels):
    """float32 (batch, batch): 1 for two different images of one identity."""
    same = ops.cast(ops.equal(labels[:, None], labels[None, :]), "float32")
    return same * (1.0 - ops.eye(ops.shape(labels)[0]))


def _relations(vectors):
    """Cosines of the differences of two parts in one image and in another: (batch, batch, parts, parts)."""
    apart = vectors[:, :, None] - vectors[:, None, :]
    squared = ops.sum(ops.square(apart), axis=3, keepdims=True)
    # Without a gradient at a difference of 0, as of a part from itself.
    apart = apart / ops.sqrt(ops.maximum(squared, 1e-12))
    return ops.einsum("ipqc,jpqc->ijpq", apart, apart)


def _likeness_within(vectors):
    """The mean cosine of each part with the other parts of its image: (batch, parts)."""
    parts = vectors.shape[1]
    cosines = ops.einsum("bpc,bqc->bpq", vectors, vectors)
    return ops.sum(cosines * (1.0 - np.eye(parts, dtype="float32")), axis=2) / (parts - 1)
