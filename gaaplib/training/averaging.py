"""The mean of a network's weights over its last epochs."""

import keras
import numpy as np

from gaaplib.network import devices


class WeightAverage(keras.callbacks.Callback):
    """The mean of the weights at the ends of the last epochs (Izmailov et al., "Averaging Weights", UAI 2018).

    The training itself does not change. Its weights wander about a minimum, and their mean lies nearer to its middle
    than the last ones do. The moving statistics of batch normalisation belong to the last weights, and to augmented
    images. So they are computed anew.

    Args:
        first: the first epoch that counts, from 0.
    """

    def __init__(self, first):
        super().__init__()
        self.first = first
        self.count = 0
        self.mean = []

    def on_epoch_end(self, epoch, logs=None):
        if epoch < self.first:
            return
        self.count += 1
        weights = self.model.get_weights()
        if self.count == 1:
            self.mean = weights
            return
        for mean, weight in zip(self.mean, weights, strict=True):
            mean += (weight - mean) / np.float32(self.count)

    def apply(self, model, batches):
        """Give a training model the mean of its weights, if any epoch has counted.

        Args:
            model: the training model.
            batches: ``(inputs, targets)``, without augmentation; the moving statistics become the means over these.
        """
        if self.count:
            model.set_weights(self.mean)
            compute_statistics(model, batches)

    def save(self, path):
        """Write the mean so far to an ``.npz``, if any epoch has counted."""
        if self.count:
            np.savez(path, *self.mean, count=self.count)

    def load(self, path):
        """Read what :meth:`save` has written, if anything."""
        if path.exists():
            with np.load(path, allow_pickle=False) as arrays:
                self.count = int(arrays["count"])
                self.mean = [arrays[f"arr_{index}"] for index in range(len(arrays) - 1)]


def compute_statistics(model, batches):
    """Replace the moving statistics of batch normalisation by their means over batches of ``(inputs, targets)``."""
    normalisations = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in normalisations]
    for index in range(len(batches) if normalisations else 0):
        for layer in normalisations:
            layer.momentum = index / (index + 1)
        inputs, _ = batches[index]
        model(keras.tree.map_structure(devices.shared, inputs), training=True)
    for layer, momentum in zip(normalisations, momenta, strict=True):
        layer.momentum = momentum
