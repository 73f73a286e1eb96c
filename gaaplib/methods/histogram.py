"""Colour histograms of horizontal stripes: the baseline that a trained network has to beat."""

import keras
from keras import ops

from gaaplib.methods.method import Method


@keras.saving.register_keras_serializable(package="gaaplib")
class StripeHistogram(keras.layers.Layer):
    """RGB histograms of equal horizontal stripes: (batch, height, width, 3) to (batch, stripes * 3 * bins).

    Each histogram is normalised to sum 1, and its square root is taken, so that the dot product of two histograms is
    the Bhattacharyya coefficient. If the height is not a multiple of ``stripes``, the last rows are not used.
    """

    def __init__(self, stripes=6, bins=8, **kwargs):
        super().__init__(**kwargs)
        self.stripes = stripes
        self.bins = bins

    def call(self, inputs):
        batch, height, width, channels = ops.shape(inputs)
        rows = height // self.stripes
        images = ops.cast(inputs[:, : rows * self.stripes], "int32")
        pixels = ops.reshape(images, (batch, self.stripes, rows * width, channels))
        counts = ops.mean(ops.one_hot(pixels * self.bins // 256, self.bins), axis=2)
        return ops.reshape(ops.sqrt(counts), (batch, self.stripes * channels * self.bins))

    def get_config(self):
        return {**super().get_config(), "stripes": self.stripes, "bins": self.bins}

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.stripes * input_shape[-1] * self.bins)


class Histogram(Method):
    """The baseline without training. It is scored on retrieval only; it has no closed protocol."""

    learns = False
    has_maps = False
    losses = {}

    def __init__(self, config, num_classes):
        super().__init__(config, num_classes)
        images = keras.Input((config.height, config.width, 3), dtype="uint8", name="images")
        self.model = keras.Model(images, {"embedding": StripeHistogram(name="histogram")(images)})

    def class_scores(self, outputs):
        """None, because a histogram does not classify."""
        return None
