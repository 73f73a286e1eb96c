"""Pooling of a feature map to one vector an image (Eq. 6 of the paper and its alternatives).

Every entry of ``POOLING`` takes (batch, height, width, channels) and answers (batch, channels), and is called alike:
``pool(inputs, groups=None, training=None)``.
"""

import keras
from keras import ops


class Pooling(keras.layers.Layer):
    """Pools over positions, and with ``pool_over="class"`` over the images of an identity as well.

    The paper averages over positions (Eq. 6), but its text also speaks of "averaging feature space across a batch
    size within a class label". With ``pool_over="class"`` the vector of a training image is the mean of the pooled
    vectors of all images of its identity in the batch; at inference, where identities are unknown, it is its own.

    Args:
        pool_over: ``"positions"`` or ``"class"``.

    Raises:
        ValueError: for another ``pool_over``, or for ``"class"`` in training without ``groups``.
    """

    POOL_OVER = ("positions", "class")

    def __init__(self, pool_over="positions", **kwargs):
        super().__init__(**kwargs)
        if pool_over not in self.POOL_OVER:
            raise ValueError(f"pool_over={pool_over!r}: expected one of {', '.join(self.POOL_OVER)}")
        self.pool_over = pool_over

    def call(self, inputs, groups=None, training=None):
        """Pool.

        Args:
            inputs: (batch, height, width, channels).
            groups: (batch,) integers, equal for images of one identity; read in training by ``"class"`` only.
        """
        pooled = self.pool(inputs)
        if self.pool_over == "positions" or not training:
            return pooled
        if groups is None:
            raise ValueError("pool_over='class' needs `groups` in training: which images are of one identity")
        same = ops.cast(ops.equal(groups[:, None], groups[None, :]), pooled.dtype)
        return ops.matmul(same, pooled) / ops.sum(same, axis=1, keepdims=True)

    def pool(self, inputs):
        """(batch, height, width, channels) -> (batch, channels)."""
        raise NotImplementedError

    def get_config(self):
        return {**super().get_config(), "pool_over": self.pool_over}

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])


@keras.saving.register_keras_serializable(package="gaaplib")
class AveragePooling(Pooling):
    """Eq. 6: the mean over positions. After attention this is the paper's GAAP."""

    def pool(self, inputs):
        return ops.mean(inputs, axis=(1, 2))


@keras.saving.register_keras_serializable(package="gaaplib")
class MaxPooling(Pooling):
    """The maximum over positions, the alternative of the paper's Table III."""

    def pool(self, inputs):
        return ops.max(inputs, axis=(1, 2))


@keras.saving.register_keras_serializable(package="gaaplib")
class GeMPooling(Pooling):
    """Generalised mean, ``(mean x^p)^(1/p)`` with a learnt p (Radenovic et al. 2018; AGW starts it at 3).

    p = 1 is the average, p to infinity the maximum. Values below ``epsilon`` are raised to it first, as the power of
    a negative number is not real.
    """

    def __init__(self, pool_over="positions", p=3.0, epsilon=1e-6, **kwargs):
        super().__init__(pool_over, **kwargs)
        if p <= 0 or epsilon <= 0:
            raise ValueError(f"p={p!r}, epsilon={epsilon!r}: expected both above 0")
        self.p = p
        self.epsilon = epsilon

    def build(self, input_shape):
        self.exponent = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(self.p), dtype="float32", name="p"
        )

    def pool(self, inputs):
        # In float32: a cube leaves the range in which half precision is exact.
        exponent = ops.cast(self.exponent, "float32")
        powered = ops.power(ops.maximum(ops.cast(inputs, "float32"), self.epsilon), exponent)
        return ops.cast(ops.power(ops.mean(powered, axis=(1, 2)), 1.0 / exponent), inputs.dtype)

    def get_config(self):
        return {**super().get_config(), "p": self.p, "epsilon": self.epsilon}


POOLING = {"avg": AveragePooling, "max": MaxPooling, "gem": GeMPooling}
