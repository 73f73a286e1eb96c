"""The network of HA-CNN (Li et al., "Harmonious Attention Network for Person Re-Identification", CVPR 2018).

A global stream of three stages, each weighted by a soft attention over positions and channels; and a local stream that
sees four bands of each stage's input, whose places the global stream predicts. As in the authors' torchreid.
"""

import keras
from keras import ops

from gaaplib.network import layers
from gaaplib.network.backbones import MEAN, STD

CHANNELS = (32, 128, 256, 384)
"""Of the stem and of the three stages."""

BANDS = ((24, 28), (12, 14), (6, 7))
"""Height and width to which a band of each stage's input is resized."""

PLACES = (-0.75, -0.25, 0.25, 0.75)
"""Where the centres of the four bands are at first: from -1, the top, to 1, the bottom."""

REDUCTION = 16
"""The channels' attention has so many times fewer channels in between."""


def network(height, width):
    """A `keras.Model` from images (batch, height, width, 3) to the global map and the local vector.

    The map (batch, height / 16, width / 16, 384) is after its soft attention; the vector is (batch, 4 * 384).
    """
    inputs = keras.Input((height, width, 3), name="images")
    offset = [-mean / std for mean, std in zip(MEAN, STD, strict=True)]
    x = keras.layers.Rescaling([1 / std for std in STD], offset, name="normalisation")(inputs)
    x = _convolution(x, CHANNELS[0], 3, "stem", strides=2)
    local = [None] * len(PLACES)
    for stage, (channels, size) in enumerate(zip(CHANNELS[1:], BANDS, strict=True), start=1):
        seen, name = x, f"conv{stage + 1}"
        x = _inception_b(_inception_a(x, channels, f"{name}_a"), channels, f"{name}_b")
        bands = Bands(size, name=f"bands{stage}")([seen, _centres(x, f"centres{stage}")])
        shared = _inception_b_model(size, seen.shape[-1], channels, f"local{stage}")
        local = [shared(bands[:, place] if old is None else bands[:, place] + old) for place, old in enumerate(local)]
        x = keras.layers.Multiply(name=f"{name}_out")([x, _soft_attention(x, f"{name}_soft")])
    vectors = [ops.mean(band, axis=(1, 2)) for band in local]
    return keras.Model(inputs, [x, ops.concatenate(vectors, axis=1)], name="backbone")


@keras.saving.register_keras_serializable(package="gaaplib")
class Bands(keras.layers.Layer):
    """Bands of a map, a quarter of its height high and as broad as it is, resized with linear interpolation.

    Input: a list of the map (batch, height, width, channels), and the centres (batch, bands, 2) as shares of half of
    the map, x and y, each from -1 to 1, where 0 is the middle. What lies beyond the map is 0. Output: (batch, bands,
    rows, columns, channels).

    torchreid samples at the map's size and resizes then; here it is one step.

    Args:
        size: (rows, columns) of a band.
    """

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = tuple(size)

    def call(self, inputs):
        features, centres = inputs
        dtype = features.dtype
        centres = ops.cast(centres, "float32")
        rows = self._weights(centres[:, :, 1], 0.25, self.size[0], features.shape[1])
        columns = self._weights(centres[:, :, 0], 1.0, self.size[1], features.shape[2])
        found = ops.einsum("bnrh,bhwc->bnrwc", ops.cast(rows, dtype), features)
        return ops.einsum("bnsw,bnrwc->bnrsc", ops.cast(columns, dtype), found)

    @staticmethod
    def _weights(centres, share, sampled, length):
        """The weight of each of ``length`` positions in each of the sampled ones: (batch, bands, sampled, length)."""
        places = (2.0 * ops.arange(sampled, dtype="float32") + 1.0) / sampled - 1.0
        sought = share * places[None, None, :] + centres[:, :, None]
        sought = ((sought + 1.0) * length - 1.0) / 2.0
        return ops.relu(1.0 - ops.abs(sought[..., None] - ops.arange(length, dtype="float32")))

    def get_config(self):
        return {**super().get_config(), "size": self.size}

    def compute_output_spec(self, inputs):
        features, centres = inputs
        shape = (features.shape[0], centres.shape[1], *self.size, features.shape[-1])
        return keras.KerasTensor(shape, dtype=self.compute_dtype)


def _centres(x, name):
    """The hard attention: centres of the bands from the pooled map, (batch, bands, 2)."""
    start = [value for place in PLACES for value in (0.0, place)]
    dense = keras.layers.Dense(
        len(start),
        activation="tanh",
        kernel_initializer="zeros",
        bias_initializer=keras.initializers.Constant(start),
        dtype="float32",
        name=name,
    )
    return keras.layers.Reshape((len(PLACES), 2), name=f"{name}_reshape")(dense(ops.mean(x, axis=(1, 2))))


def _soft_attention(x, name):
    """Weights of positions and channels at once, in (0, 1), of the map's shape."""
    channels = x.shape[-1]
    places = ops.mean(x, axis=-1, keepdims=True)
    places = _convolution(places, 1, 3, f"{name}_places1", strides=2)
    places = ops.image.resize(places, x.shape[1:3], interpolation="bilinear")
    places = _convolution(places, 1, 1, f"{name}_places2")
    kinds = ops.mean(x, axis=(1, 2), keepdims=True)
    kinds = _convolution(kinds, channels // REDUCTION, 1, f"{name}_channels1")
    kinds = _convolution(kinds, channels, 1, f"{name}_channels2")
    both = _convolution(keras.layers.Multiply(name=f"{name}_both")([places, kinds]), channels, 1, f"{name}_weights")
    return keras.layers.Activation("sigmoid", name=f"{name}_sigmoid")(both)


def _inception_a(x, channels, name):
    """Four streams of a quarter of the channels each, without a stride."""
    quarter = channels // 4
    streams = [_convolution(x, quarter, 1, f"{name}1")]
    for stream in (2, 3):
        narrow = _convolution(x, quarter, 1, f"{name}{stream}_1")
        streams.append(_convolution(narrow, quarter, 3, f"{name}{stream}_2"))
    pooled = keras.layers.AveragePooling2D(3, strides=1, padding="same", name=f"{name}4_pool")(x)
    streams.append(_convolution(pooled, quarter, 1, f"{name}4"))
    return keras.layers.Concatenate(name=f"{name}_join")(streams)


def _inception_b(x, channels, name):
    """Three streams with a stride of 2."""
    quarter = channels // 4
    first = _convolution(_convolution(x, quarter, 1, f"{name}1_1"), quarter, 3, f"{name}1_2", strides=2)
    second = _convolution(_convolution(x, quarter, 1, f"{name}2_1"), quarter, 3, f"{name}2_2")
    second = _convolution(second, quarter, 3, f"{name}2_3", strides=2)
    pooled = keras.layers.MaxPooling2D(3, strides=2, padding="same", name=f"{name}3_pool")(x)
    third = _convolution(pooled, 2 * quarter, 1, f"{name}3")
    return keras.layers.Concatenate(name=f"{name}_join")([first, second, third])


def _inception_b_model(size, channels, filters, name):
    """The block as a model, which the four bands share."""
    inputs = keras.Input((*size, channels))
    return keras.Model(inputs, _inception_b(inputs, filters, name), name=name)


def _convolution(x, filters, size, name, strides=1):
    """Convolution without bias, batch normalisation and ReLU."""
    padding = "same"
    if strides > 1:
        # Both sides, as in PyTorch; "same" would pad the bottom and the right alone.
        x = keras.layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
        padding = "valid"
    x = layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return keras.layers.Activation("relu", name=f"{name}_relu")(x)
