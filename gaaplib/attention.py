"""Cross-feature attention (Eq. 4-5 of the paper) and the ablation controls that it is compared with.

Every block maps a feature map (batch, height, width, channels) to one of the same shape, and all blocks have the same
call: ``block(inputs, partners=None, training=None)``. ``attention_map`` returns the weights that the block uses,
(batch, N, N) with N = height * width: row n holds the weights with which position n attends to all positions.
"""

import keras
from keras import ops


class AttentionBlock(keras.layers.Layer):
    """The base class of all blocks: it holds their arguments and their configuration.

    Every entry of ``ATTENTION`` takes these arguments. A control ignores those that it does not need.

    Args:
        key_dim: channels of query and key (``d_k``). None: channels // 8, made even.
        value_dim: channels of the value. None: channels // 2.
        alpha: weight of the image's own term in Eq. 4, from 0 to 1.
        use_bias: whether the projections have a bias. Without a bias, the average-pooled output is the pooled input
            plus a projection of the attention-weighted mean, so the column mean of the attention map is the weight of
            a position in the embedding.
        kernel_initializer: of all projections.
        output_initializer: of ``W_a``, if it differs: with "zeros" the block starts as the identity.

    Raises:
        ValueError: an argument is out of range; the message names it.
    """

    def __init__(
        self,
        key_dim=None,
        value_dim=None,
        alpha=0.5,
        use_bias=False,
        kernel_initializer="he_normal",
        output_initializer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for argument, value in (("key_dim", key_dim), ("value_dim", value_dim)):
            if value is not None and (value != int(value) or value < 1):
                raise ValueError(f"{argument}={value!r}: expected a whole number of channels, or None")
        if not 0.0 <= alpha <= 1.0:
            raise ValueError(f"alpha={alpha!r}: expected a share from 0 to 1")
        self.key_dim = key_dim
        self.value_dim = value_dim
        self.alpha = alpha
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.output_initializer = keras.initializers.get(output_initializer)

    def _projection(self, units, name, initializer=None):
        """A 1 x 1 convolution, computed as a matrix product over (batch, positions, channels)."""
        initializer = initializer or self.kernel_initializer
        return keras.layers.Dense(
            units,
            use_bias=self.use_bias,
            # Each projection gets a clone: a shared initializer would give projections of equal shape equal weights.
            kernel_initializer=initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "alpha": self.alpha,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "output_initializer": self.output_initializer and keras.initializers.serialize(self.output_initializer),
        }

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="gaaplib")
class CrossFeatureAttention(AttentionBlock):
    """Cross-feature attention with a residual connection.

    Eq. 4: ``A_i = softmax((alpha Q_i K_i^T + (1 - alpha) Q_j K_j^T) / sqrt(d_k))``, over the N positions.
    Eq. 5: ``a_i = W_a (A_i V_i) + f_i``.

    The paper describes ``j`` in two different ways; ``partner`` chooses one of them, or the control:

    - ``"class"``: j is another image of the same identity in the batch, given by ``partners``. Without ``partners``
      (at inference) each image is its own partner.
    - ``"channel"``: i and j are the two halves of the channels of Q and K of one image; ``d_k`` is the size of a half.
    - ``"self"``: j = i, plain scaled dot-product attention. The paper does not run this control.

    Args:
        partner: ``"class"``, ``"channel"`` or ``"self"``.

    The other arguments are those of :class:`AttentionBlock`; ``"channel"`` needs an even ``key_dim``.

    Example:
        >>> from keras import ops
        >>> block = CrossFeatureAttention(partner="class")
        >>> feature_map = ops.ones((2, 4, 2, 16))  # two images, 4 x 2 positions, 16 channels
        >>> partners = ops.convert_to_tensor([1, 0])  # each image is the other one's partner
        >>> tuple(block(feature_map, partners=partners).shape)
        (2, 4, 2, 16)
        >>> tuple(block.attention_map(feature_map, partners=partners).shape)
        (2, 8, 8)
    """

    PARTNERS = ("class", "channel", "self")

    def __init__(self, key_dim=None, value_dim=None, alpha=0.5, partner="class", **kwargs):
        super().__init__(key_dim, value_dim, alpha, **kwargs)
        if partner not in self.PARTNERS:
            raise ValueError(f"partner={partner!r}: expected one of {', '.join(self.PARTNERS)}")
        self.partner = partner

    def build(self, input_shape):
        channels = input_shape[-1]
        # channels // 8, made even so that the default is the same for all partners.
        key_dim = self.key_dim or max(channels // 16 * 2, 2)
        if self.partner == "channel" and key_dim % 2:
            raise ValueError(f"key_dim={key_dim}: partner='channel' splits it into halves, so it must be even")
        self.query = self._projection(key_dim, "query")
        self.key = self._projection(key_dim, "key")
        self.value = self._projection(self.value_dim or max(channels // 2, 1), "value")
        self.output_projection = self._projection(channels, "output", self.output_initializer)
        positions = (input_shape[0], None, channels)
        for projection in (self.query, self.key, self.value):
            projection.build(positions)
        self.output_projection.build((input_shape[0], None, self.value.units))

    def call(self, inputs, partners=None, training=None):
        """Attend (Eq. 4) and add to the input (Eq. 5).

        Args:
            inputs: (batch, height, width, channels).
            partners: (batch,) index in the batch of each image's partner; used by ``"class"`` only.
        """
        features = _positions(inputs)
        attended = ops.matmul(self._weights(features, partners), self.value(features))
        return inputs + ops.reshape(self.output_projection(attended), ops.shape(inputs))

    def attention_map(self, inputs, partners=None):
        """The softmax matrix of Eq. 4: (batch, N, N), every row sums to one."""
        return self._weights(_positions(inputs), partners)

    def _weights(self, features, partners):
        query, key = self.query(features), self.key(features)
        if self.partner == "channel":
            own_query, other_query = ops.split(query, 2, axis=-1)
            own_key, other_key = ops.split(key, 2, axis=-1)
        else:
            own_query, own_key = query, key
        own = _scaled_products(own_query, own_key)
        if self.partner == "channel":
            other = _scaled_products(other_query, other_key)
        elif self.partner == "class" and partners is not None:
            # Q_j K_j^T is the partner's own product, so it is looked up instead of computed again.
            other = ops.take(own, partners, axis=0)
        else:
            other = own
        logits = self.alpha * own + (1.0 - self.alpha) * other
        return ops.cast(ops.softmax(logits, axis=-1), features.dtype)

    def get_config(self):
        return {**super().get_config(), "partner": self.partner}


@keras.saving.register_keras_serializable(package="gaaplib")
class UniformAttention(AttentionBlock):
    """The control in which every position attends equally to all positions: ``A = 1/N``.

    It keeps the value projection, the output projection and the residual of Eq. 5. Its gain over ``none`` therefore
    comes from two more linear layers, and the gain of attention over it comes from the attention weights.
    """

    def build(self, input_shape):
        channels = input_shape[-1]
        self.value = self._projection(self.value_dim or max(channels // 2, 1), "value")
        self.output_projection = self._projection(channels, "output", self.output_initializer)
        self.value.build((input_shape[0], None, channels))
        self.output_projection.build((input_shape[0], None, self.value.units))

    def call(self, inputs, partners=None, training=None):
        attended = ops.mean(self.value(_positions(inputs)), axis=1)
        return inputs + ops.expand_dims(self.output_projection(attended), (1, 2))

    def attention_map(self, inputs, partners=None):
        """(batch, N, N), every entry 1/N."""
        features = _positions(inputs)
        batch, size = ops.shape(features)[:2]
        return ops.full((batch, size, size), 1.0 / size, dtype=features.dtype)


@keras.saving.register_keras_serializable(package="gaaplib")
class NonLocalAttention(AttentionBlock):
    """The non-local block of AGW (Ye et al. 2021): ``z = BN(W (theta phi^T / N) g) + x``.

    The weights are dot products divided by N, not a softmax. The scale of the batch normalisation starts at zero, so
    the block starts as the identity, and ``output_initializer`` is not used. ``key_dim`` and ``value_dim`` default to
    channels // 2, the reduction by two that the AGW paper states. Its released code computes ``reduc_ratio //
    reduc_ratio`` and so uses one channel; ``key_dim=1, value_dim=1`` reproduces that. AGW's projections have a bias:
    set ``use_bias=True`` for it.
    """

    def build(self, input_shape):
        channels = input_shape[-1]
        half = max(channels // 2, 1)
        self.query = self._projection(self.key_dim or half, "theta")
        self.key = self._projection(self.key_dim or half, "phi")
        self.value = self._projection(self.value_dim or half, "g")
        self.output_projection = self._projection(channels, "output")
        self.normalization = keras.layers.BatchNormalization(
            gamma_initializer="zeros",
            momentum=0.9,
            epsilon=1e-5,
            dtype=self.dtype_policy,
            name="normalization",
        )
        positions = (input_shape[0], None, channels)
        for projection in (self.query, self.key, self.value):
            projection.build(positions)
        self.output_projection.build((input_shape[0], None, self.value.units))
        self.normalization.build(positions)

    def call(self, inputs, partners=None, training=None):
        features = _positions(inputs)
        attended = ops.matmul(self._weights(features), self.value(features))
        residual = self.normalization(self.output_projection(attended), training=training)
        return inputs + ops.reshape(residual, ops.shape(inputs))

    def attention_map(self, inputs, partners=None):
        """(batch, N, N): the dot products divided by N. They can be negative, and rows do not sum to one."""
        return self._weights(_positions(inputs))

    def _weights(self, features):
        products = ops.matmul(self.query(features), ops.swapaxes(self.key(features), 1, 2))
        return products / ops.shape(features)[1]


@keras.saving.register_keras_serializable(package="gaaplib")
class NoAttention(AttentionBlock):
    """No attention: returns the feature map unchanged, so that models without attention use the same code."""

    def call(self, inputs, partners=None, training=None):
        return ops.convert_to_tensor(inputs)

    def attention_map(self, inputs, partners=None):
        """(batch, N, N): the identity matrix, since every position keeps its own feature."""
        batch, size = ops.shape(_positions(inputs))[:2]
        identity = ops.eye(size, dtype=self.compute_dtype)
        return ops.broadcast_to(identity[None], (batch, size, size))


def _positions(inputs):
    """(batch, height, width, channels) -> (batch, height * width, channels)."""
    batch, height, width, channels = ops.shape(inputs)
    return ops.reshape(inputs, (batch, height * width, channels))


def _scaled_products(query, key):
    """``Q K^T / sqrt(d_k)`` in float32, so that the softmax is accurate under mixed precision."""
    products = ops.cast(ops.matmul(query, ops.swapaxes(key, 1, 2)), "float32")
    return products / float(query.shape[-1]) ** 0.5


def _reading(partner):
    """A function that builds ``CrossFeatureAttention`` with this ``partner``."""

    def make(**kwargs):
        return CrossFeatureAttention(partner=partner, **kwargs)

    return make


ATTENTION = {
    "none": NoAttention,
    "class": _reading("class"),
    "channel": _reading("channel"),
    "self": _reading("self"),
    "uniform": UniformAttention,
    "nonlocal": NonLocalAttention,
}
