"""Layers between a pooled feature and a loss: reductions, centres of identities, classifiers with an angular margin.

Centres and margins need the labels of a batch, so they are part of training models only.
"""

import keras
from keras import ops


def bnneck(name):
    """BNNeck (Luo et al. 2019): normalisation without offset, in float32, between pooled vector and classifier."""
    return keras.layers.BatchNormalization(center=False, momentum=0.9, epsilon=1e-5, dtype="float32", name=name)


def reduced(units, name):
    """A linear layer, batch normalisation and a ReLU: a `keras.Sequential` from (batch, channels) to (batch, units)."""
    linear = keras.layers.Dense(units, kernel_initializer="he_normal", name="linear")
    normalization = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="normalization")
    return keras.Sequential([linear, normalization, keras.layers.ReLU()], name=name)


@keras.saving.register_keras_serializable(package="gaaplib")
class Centres(keras.layers.Layer):
    """Centre loss (Wen et al. 2016) as BoT has it: the squared distance of each feature to its identity's centre.

    The centres start from N(0, 1) and are not trained by the optimiser. After each training batch they move by their
    own rate: the centre c of an identity by ``rate * 2 / batch * sum(f - c)`` over its features f in the batch, which
    for BoT's rate of 0.5 is ``sum(f - c) / batch``. That is a step of gradient descent on the mean squared distance.

    Input shapes: features (batch, dim) and labels (batch,), integers from 0. Output: float32 (batch,), each image's
    squared distance to the centre before the step.

    Args:
        classes: number of identities.
        rate: of the centres' own descent.

    Example:
        >>> layer = Centres(classes=2)
        >>> layer.build((None, 1))
        >>> layer.set_weights([ops.array([[0.0], [10.0]])])
        >>> distances = layer(ops.array([[2.0], [4.0]]), ops.array([0, 0]), training=True)
        >>> [float(distance) for distance in distances], layer.get_weights()[0].tolist()
        ([4.0, 16.0], [[3.0], [10.0]])
    """

    def __init__(self, classes, rate=0.5, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.classes = classes
        self.rate = rate

    def build(self, features_shape, labels_shape=None):
        self.centres = self.add_weight(
            shape=(self.classes, features_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            trainable=False,
            dtype="float32",
            name="centres",
        )

    def call(self, features, labels, training=None):
        features, centres = ops.cast(features, "float32"), ops.convert_to_tensor(self.centres)
        chosen = ops.one_hot(ops.cast(labels, "int32"), self.classes, dtype="float32")
        apart = features - ops.matmul(chosen, centres)
        if training:
            moved = ops.matmul(ops.transpose(chosen), ops.stop_gradient(apart))
            self.centres.assign(centres + 2.0 * self.rate * moved / ops.cast(ops.shape(features)[0], "float32"))
        return ops.sum(ops.square(apart), axis=1)

    def get_config(self):
        return {**super().get_config(), "classes": self.classes, "rate": self.rate}

    def compute_output_shape(self, features_shape, labels_shape=None):
        return (features_shape[0],)


@keras.saving.register_keras_serializable(package="gaaplib")
class MarginClassifier(keras.layers.Layer):
    """A classifier on cosines with a margin for the own identity: ArcFace or CosFace.

    The logit of another identity is ``scale * cos t``, t being the angle between feature and class vector. That of the
    own identity is ``scale * cos(t + margin)`` for ``kind="arc"`` (Deng et al. 2019) and ``scale * (cos t - margin)``
    for ``kind="cos"`` (Wang et al. 2018). Without labels, or with ``training=False``, all logits are ``scale * cos t``.

    It computes in float32 whatever the policy: 64 times the rounding of a cosine in bfloat16 is a quarter of a logit.

    Input shapes: features (batch, dim), and labels (batch,) or None. Output: float32 (batch, classes).

    Args:
        classes: number of identities.
        kind: ``"arc"`` or ``"cos"``.
        scale: above 0.
        margin: from 0; for ``"arc"`` in radians.

    Raises:
        ValueError: an unknown kind, or a number out of range.

    Example:
        >>> layer = MarginClassifier(classes=2, kind="cos", scale=10.0, margin=0.3)
        >>> layer.build((None, 2))
        >>> layer.set_weights([ops.eye(2)])
        >>> [round(float(logit), 3) for logit in layer(ops.array([[3.0, 4.0]]), labels=ops.array([1]))[0]]
        [6.0, 5.0]
    """

    def __init__(self, classes, kind="arc", scale=64.0, margin=0.35, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        if kind not in ("arc", "cos"):
            raise ValueError(f"kind={kind!r} is not known; known: arc, cos")
        if not scale > 0 or not margin >= 0:
            raise ValueError(f"scale={scale!r}, margin={margin!r}: expected scale > 0 and margin >= 0")
        self.classes = classes
        self.kind = kind
        self.scale = scale
        self.margin = margin

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.classes), initializer="glorot_uniform", dtype="float32", name="kernel"
        )

    def call(self, inputs, labels=None, training=None):
        features = ops.normalize(ops.cast(inputs, "float32"), axis=1)
        cosines = ops.matmul(features, ops.normalize(ops.convert_to_tensor(self.kernel), axis=0))
        if labels is None or training is False:
            return self.scale * cosines
        own = ops.one_hot(ops.cast(labels, "int32"), self.classes, dtype="bool")
        return self.scale * ops.where(own, self._with_margin(cosines), cosines)

    def _with_margin(self, cosines):
        if self.kind == "cos":
            return cosines - self.margin
        # Within (-1, 1), because the derivative of arccos is infinite at both ends.
        return ops.cos(ops.arccos(ops.clip(cosines, -1.0 + 1e-6, 1.0 - 1e-6)) + self.margin)

    def get_config(self):
        own = {"classes": self.classes, "kind": self.kind, "scale": self.scale, "margin": self.margin}
        return {**super().get_config(), **own}

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.classes)
