"""The base class of methods: networks, losses, inputs of a batch, and the comparison of two images."""

from dataclasses import dataclass

import keras
import numpy as np

from gaaplib import metrics, options


@dataclass(frozen=True)
class Round:
    """A number of epochs of training with fixed labels.

    Attributes:
        labels: (n,) integer label of each training image; images with a negative label are left out.
        epochs: number of epochs.
    """

    labels: np.ndarray
    epochs: int


class Method:
    """A way to learn and compare embeddings. A new method is a subclass in its own file, listed in ``METHODS``.

    A subclass sets ``learns`` (True by default) and builds in ``__init__``:

    - ``training_model``, if it learns: inputs ``{"images": (batch, height, width, 3), ...}``, with one more input for
      each array of :meth:`batch_inputs`; outputs are a dict with every key of :attr:`losses`.
    - ``model``: the same layers for inference, from images (batch, height, width, 3) to a dict of outputs. By
      default, scores are computed from ``"embedding"`` (batch, features) and ``"logits"`` (batch, identities). If a
      method overrides :meth:`retrieval_scores`, its model may return other outputs, such as embeddings of body parts.
    - ``OPTIONS`` and ``DEFAULTS``, in its file, if it has any: literal dicts of settings that are its own
      (``self.options``), and of values that settings of :class:`gaaplib.config.RunConfig` have unless others are given.
    - ``has_maps``: whether there are heat maps of its model (True by default), which need the layers of our networks.
    - ``losses``: ``{output: (loss, weight)}``; each loss is called with the labels and that output.

    Args:
        config: the RunConfig with the method's settings.
        num_classes: number of identities to train on.
    """

    learns = True
    has_maps = True
    training_model: keras.Model
    model: keras.Model
    losses: dict

    def __init__(self, config, num_classes):
        self.config = config
        self.options = options.parsed(config.method, config.options)
        self.num_classes = num_classes

    def batch_inputs(self, labels, rng):
        """Further inputs of the training model for a batch: a dict of arrays (batch, ...).

        Args:
            labels: (batch,) labels of the images.
            rng: numpy generator of this batch; None in validation, where no output may depend on the labels.
        """
        return {}

    def rounds(self, labels, embed):
        """Yield the rounds of training. Supervised methods have one round; a clustering method may have many.

        Args:
            labels: (n,) identity of each training image.
            embed: a function without arguments that returns the current outputs of ``model`` for all training images.
        """
        yield Round(labels, self.config.epochs)

    def save(self, folder):
        """Save the model in a run's folder, where :meth:`gaaplib.runs.Run.model` finds it."""
        self.model.save(folder / "model.keras")

    def class_scores(self, outputs):
        """Class scores for the closed protocol, (images, identities), higher is more likely; None if there are none."""
        return outputs["logits"]

    def retrieval_scores(self, query, gallery, **protocol):
        """Scores of the retrieval protocol from the outputs of ``model`` for queries and gallery.

        Args:
            query, gallery: dicts of arrays, as returned by ``model``.
            protocol: the other arguments of :func:`gaaplib.metrics.evaluate_embeddings`.
        """
        return metrics.evaluate_embeddings(
            query["embedding"], gallery["embedding"], metric=self.config.distance, **protocol
        )
