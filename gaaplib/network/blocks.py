"""Attention blocks of published methods, with which they extend a backbone. Both start as the identity."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="gaaplib")
class InteractionAggregation(keras.layers.Layer):
    """IANet's block: spatial, then channel aggregation, without learned projections (Hou et al., CVPR 2019).

    X is a map as a matrix (N, channels) of its N positions, each softmax is over rows:

    - ``S = softmax(L * softmax(X X^T / sqrt(channels)))``, in which L is the softmax of the negative squared distances
      of positions; ``Z = BN(S X) + X``;
    - ``K = softmax(Z^T Z)``, and the output is ``BN(Z K^T) + Z``.

    Distances of rows and of columns are divided by 0.625 of the map's height and width, as with the released 10 and 20
    for 32 x 16 positions, and then squared and halved. Scale and offset of both normalisations start at 0.

    Shape: (batch, height, width, channels), unchanged. The map needs a fixed size.

    The double softmax and the unscaled ``Z^T Z`` are those of the released code (blue-blue272/ImgReID-IAnet); the
    paper's equations could not be read.
    """

    SPREAD = 0.625

    def build(self, input_shape):
        _, height, width, channels = input_shape
        self.spatial = self._normalization("spatial")
        self.channel = self._normalization("channel")
        for layer in (self.spatial, self.channel):
            layer.build((None, height * width, channels))
        rows, columns = (places.reshape(-1) for places in np.mgrid[:height, :width])
        apart = _squares(rows / (self.SPREAD * height)) + _squares(columns / (self.SPREAD * width))
        near = np.exp(-apart / 2)
        self._location = (near / near.sum(axis=1, keepdims=True)).astype("float32")

    def call(self, inputs, training=None):
        shape = ops.shape(inputs)
        features = ops.reshape(inputs, (shape[0], shape[1] * shape[2], shape[3]))
        flipped = ops.swapaxes(features, 1, 2)
        alike = ops.softmax(ops.cast(ops.matmul(features, flipped), "float32") / float(inputs.shape[-1]) ** 0.5)
        weights = ops.cast(ops.softmax(self._location * alike), features.dtype)
        features = features + self.spatial(ops.matmul(weights, features), training=training)
        flipped = ops.swapaxes(features, 1, 2)
        weights = ops.cast(ops.softmax(ops.cast(ops.matmul(flipped, features), "float32")), features.dtype)
        mixed = ops.swapaxes(ops.matmul(weights, flipped), 1, 2)
        return ops.reshape(features + self.channel(mixed, training=training), shape)

    def _normalization(self, name):
        return keras.layers.BatchNormalization(
            gamma_initializer="zeros", momentum=0.9, epsilon=1e-5, dtype=self.dtype_policy, name=name
        )

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="gaaplib")
class BranchAttention(keras.layers.Layer):
    """Attention of a branch's positions to the positions of all branches, with a residual connection.

    ``softmax(Q K^T / sqrt(d)) V`` goes through a linear layer and batch normalisation, whose scale starts at 0, and is
    added to the branch's map. The softmax is over all positions of all branches.

    Input: a list of maps (batch, height, width, channels), which may differ in height and width; the first is the
    branch's own. Output: of the first one's shape.

    Args:
        key_dim: d, channels of Q, K and V. None: channels // 8.
    """

    def __init__(self, key_dim=None, **kwargs):
        super().__init__(**kwargs)
        self.key_dim = key_dim

    def build(self, input_shape):
        channels = input_shape[0][-1]
        dim = self.key_dim or max(channels // 8, 1)
        self.query, self.key, self.value = (self._linear(dim, name) for name in ("query", "key", "value"))
        self.output_projection = self._linear(channels, "output")
        self.normalization = keras.layers.BatchNormalization(
            gamma_initializer="zeros", momentum=0.9, epsilon=1e-5, dtype=self.dtype_policy, name="normalization"
        )
        for layer in (self.query, self.key, self.value, self.normalization):
            layer.build((None, None, channels))
        self.output_projection.build((None, None, dim))

    def call(self, inputs, training=None):
        own = inputs[0]
        positions = [ops.reshape(one, (-1, one.shape[1] * one.shape[2], one.shape[3])) for one in inputs]
        everything = ops.concatenate(positions, axis=1)
        query, key = self.query(positions[0]), self.key(everything)
        products = ops.cast(ops.matmul(query, ops.swapaxes(key, 1, 2)), "float32") / float(query.shape[-1]) ** 0.5
        weights = ops.cast(ops.softmax(products), query.dtype)
        attended = self.output_projection(ops.matmul(weights, self.value(everything)))
        return own + ops.reshape(self.normalization(attended, training=training), ops.shape(own))

    def _linear(self, units, name):
        return keras.layers.Dense(
            units, use_bias=False, kernel_initializer="he_normal", dtype=self.dtype_policy, name=name
        )

    def get_config(self):
        return {**super().get_config(), "key_dim": self.key_dim}

    def compute_output_shape(self, input_shape):
        return input_shape[0]


def _squares(places):
    """Squared differences of all pairs, (n, n)."""
    return np.square(places[:, None] - places[None, :])
