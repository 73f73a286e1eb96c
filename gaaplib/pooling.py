"""Pooling of a feature map to one vector per image (Eq. 6 of the paper and its alternatives).

Every entry of ``POOLING`` maps (batch, height, width, channels) to (batch, channels), and all entries have the same
call: ``pool(inputs, groups=None, training=None)``.
"""

import keras
from keras import ops


class Pooling(keras.layers.Layer):
    """Pools over positions and, with ``pool_over="class"``, also over the images of an identity.

    The paper averages over positions (Eq. 6), but its text also speaks of "averaging feature space across a batch
    size within a class label". With ``pool_over="class"`` the vector of a training image is the mean of the pooled
    vectors of all images of its identity in the batch. At inference identities are unknown, so each image keeps its
    own pooled vector.

    Args:
        pool_over: ``"positions"`` or ``"class"``.

    Raises:
        ValueError: ``pool_over`` is unknown, or it is ``"class"`` and a training call gives no ``groups``.
    """

    POOL_OVER = ("positions", "class")

    def __init__(self, pool_over="positions", **kwargs):
        super().__init__(**kwargs)
        if pool_over not in self.POOL_OVER:
            raise ValueError(f"pool_over={pool_over!r}: expected one of {', '.join(self.POOL_OVER)}")
        self.pool_over = pool_over

    def call(self, inputs, groups=None, training=None):
        """Pool each feature map to one vector, (batch, channels).

        Args:
            inputs: (batch, height, width, channels).
            groups: (batch,) integers, equal for images of one identity; used by ``"class"`` in training only.
        """
        pooled = self.pool(inputs)
        if self.pool_over == "positions" or not training:
            return pooled
        if groups is None:
            raise ValueError("pool_over='class' needs `groups` in training: one integer per image, its identity")
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
    """Eq. 6: the mean over positions. After attention this is the paper's GAAP.

    Example:
        >>> from keras import ops
        >>> feature_map = ops.reshape(ops.arange(8.0), (1, 2, 2, 2))  # one image, 2 x 2 positions, 2 channels
        >>> ops.convert_to_numpy(AveragePooling()(feature_map)).tolist()
        [[3.0, 4.0]]
        >>> identities = ops.convert_to_tensor([7, 7, 9])
        >>> averaged = AveragePooling("class")(ops.reshape(ops.eye(3), (3, 1, 1, 3)), groups=identities, training=True)
        >>> ops.convert_to_numpy(averaged).tolist()
        [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    """

    def pool(self, inputs):
        return ops.mean(inputs, axis=(1, 2))


@keras.saving.register_keras_serializable(package="gaaplib")
class MaxPooling(Pooling):
    """The maximum over positions, the alternative in the paper's Table III."""

    def pool(self, inputs):
        return ops.max(inputs, axis=(1, 2))


@keras.saving.register_keras_serializable(package="gaaplib")
class GeMPooling(Pooling):
    """Generalised mean, ``(mean x^p)^(1/p)`` (Radenovic et al. 2018), by default with a trained p; AGW starts at 3.

    p = 1 is the average; as p grows, the result approaches the maximum. Values below ``epsilon`` are first set to
    ``epsilon``, because the power of a negative number is not real.

    Args:
        pool_over: as in :class:`Pooling`.
        p: the exponent, or its initial value, above 0.
        learned: whether p is trained.
        epsilon: smallest value that is pooled, above 0.

    Raises:
        ValueError: ``p`` or ``epsilon`` is not above 0.

    Example:
        >>> from keras import ops
        >>> feature_map = ops.reshape(ops.convert_to_tensor([1.0, 3.0]), (1, 2, 1, 1))
        >>> [round(float(GeMPooling(p=p)(feature_map)[0, 0]), 2) for p in (1.0, 3.0, 50.0)]
        [2.0, 2.41, 2.96]
    """

    def __init__(self, pool_over="positions", p=3.0, learned=True, epsilon=1e-6, **kwargs):
        super().__init__(pool_over, **kwargs)
        if p <= 0 or epsilon <= 0:
            raise ValueError(f"p={p!r}, epsilon={epsilon!r}: expected both above 0")
        self.p = p
        self.learned = learned
        self.epsilon = epsilon

    def build(self, input_shape):
        self.exponent = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(self.p),
            trainable=self.learned,
            dtype="float32",
            name="p",
        )

    def pool(self, inputs):
        # In float32: half precision cannot hold a cube exactly.
        exponent = ops.cast(self.exponent, "float32")
        powered = ops.power(ops.maximum(ops.cast(inputs, "float32"), self.epsilon), exponent)
        return ops.cast(ops.power(ops.mean(powered, axis=(1, 2)), 1.0 / exponent), inputs.dtype)

    def get_config(self):
        return {**super().get_config(), "p": self.p, "learned": self.learned, "epsilon": self.epsilon}


def _fixed_gem(**kwargs):
    """GeM with p = 3, as FastReID's AGW has it."""
    return GeMPooling(learned=False, **kwargs)


POOLING = {"avg": AveragePooling, "max": MaxPooling, "gem": GeMPooling, "gem3": _fixed_gem}
